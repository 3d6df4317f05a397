#include "docker/dockerfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* rows leave out what they do not need */

#define NS "abcdefghij234567klmn"
#define OWN "dind.invalid/" NS "/docker.io/library/"

/*
 * The policy of these tests: "own..." is the task's, "debian", "golang" and "busybox" are base images
 * that keep their name, all else is refused.
 */
static int
resolve(void *arg, const char *word, char mapped[REFERENCE_MAX], int *own, struct err *e)
{
	static const char *const bases[] = { "docker.io/library/debian", "docker.io/library/golang",
		"docker.io/library/busybox" };
	struct reference r;
	char name[REFERENCE_MAX];

	(void)arg;
	if (reference_parse(&r, word, e) < 0)
		return -1;
	reference_repository(&r, name);
	*own = strncmp(r.path, "library/own", 11) == 0;
	if (*own)
		return reference_map(&r, NS, mapped, e);
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		if (strcmp(name, bases[i]) == 0) {
			snprintf(mapped, REFERENCE_MAX, "%s", word);
			return 0;
		}
	return err_refuse(e, 403, "base-image", "'%s' is not allowed", word);
}

struct row {
	const char *name;
	const char *in;
	const char *out;  /* NULL: refused; "=": unchanged */
	int status;       /* of a refusal; else the number of steps */
	const char *rule; /* of a refusal; else the bases: "typed>mapped ..." with own as '~' */
	const char *args, *target;
	int add_urls;
};

#define BAD NULL, 400, "dockerfile"
#define URL NULL, 403, "add-url"
#define BASE NULL, 403, "base-image"
#define F "FROM debian:12\n"
#define D " debian:12>debian:12"

static const struct row rows[] = {
	{ "one line", "FROM debian:12\n", "=", 1, D },
	{ "no newline at the end", "FROM debian:12", "=", 1, D },
	{ "an own image", "FROM own:1\nRUN true\n", "FROM " OWN "own:1\nRUN true\n", 2, " own:1>~own:1" },
	{ "blanks and case", "  from \t own:1 \t aS \t B  \n", "  from \t " OWN "own:1 \t aS \t B  \n", 1,
	    " own:1>~own:1" },
	{ "CRLF", "FROM own:1\r\nRUN a \\\r\n b\r\n", "FROM " OWN "own:1\r\nRUN a \\\r\n b\r\n", 2,
	    " own:1>~own:1" },
	{ "scratch", "FROM scratch\nCOPY a /\n", "=", 2, "" },
	{ "a foreign image", "FROM victim/priv:1\n", BASE },
	{ "an image of the second stage", "FROM scratch AS a\nCOPY f /f\nFROM victim/priv:1\n", BASE },
	{ "the reserved registry", "FROM dind.invalid/" NS "/docker.io/library/own:1\n", NULL, 400,
	    "reference" },
	{ "stages",
	    "FROM debian:12 AS build\nRUN make\nFROM own:2 AS x\nCOPY --from=build --chown=1:1 /a /b\n"
	    "COPY --from=0 /a /b\nFROM build\nFROM BUILD\nCOPY --from=X a b\n",
	    "FROM debian:12 AS build\nRUN make\nFROM " OWN "own:2 AS x\nCOPY --from=build --chown=1:1 /a /b\n"
	    "COPY --from=0 /a /b\nFROM build\nFROM BUILD\nCOPY --from=X a b\n",
	    8, D " own:2>~own:2" },
	{ "a stage is no image", "FROM debian:12 AS own\nFROM own\n", "=", 2, D },
	{ "a stage does not see itself", F "FROM debian:12 AS own\nCOPY --from=own a b\n",
	    F "FROM debian:12 AS own\nCOPY --from=" OWN "own a b\n", 3, D " own>~own" },
	{ "a stage name with a tag is an image", "FROM debian:12 AS victim\n" F "COPY --from=victim:1 a b\n",
	    BASE },
	{ "COPY --from an own image", F "COPY --from=own:1 [\"/a\", \"/b\"]\n",
	    F "COPY --from=" OWN "own:1 [\"/a\", \"/b\"]\n", 2, D " own:1>~own:1" },
	{ "COPY --from a foreign image", F "COPY --from=victim/priv:1 a b\n", BASE },
	{ "COPY --from=itself", F "COPY --from=0 a b\n", BAD },
	{ "COPY --from a later stage", F "COPY --from=1 a b\nFROM scratch\n", BAD },
	{ "COPY --from +0", F F "COPY --from=+0 a b\n", NULL, 400, "reference" },
	{ "COPY --from a long number", F "COPY --from=99999999999999999999999 a b\n", BAD },
	{ "COPY --from without value", F "COPY --from a b\n", BAD },
	{ "COPY --from empty", F "COPY --from= a b\n", "=", 2, D },
	{ "COPY --from twice", F "COPY --from=own --from=own a b\n", BAD },
	{ "COPY --from a variable", F "COPY --from=$X a b\n", BAD },
	{ "COPY --from scratch", F "COPY --from=scratch a b\n", BAD },
	{ "COPY --from quoted", F "COPY --from='own' a b\n", BAD },
	{ "COPY --from with a quoted name", F "COPY --fr\"om\"=own a b\n", BAD },
	{ "COPY --from with a backslash", F "COPY --from=o\\wn a b\n", BAD },
	{ "COPY --from broken over lines", F "COPY --from=ow\\\nn a b\n", BAD },
	{ "COPY --from behind a line break", F "COPY \\\n  # why\n\n --from=own a b\n",
	    F "COPY \\\n  # why\n\n --from=" OWN "own a b\n", 2, D " own>~own" },
	{ "COPY --chmod", F "COPY --chmod=755 a b\n", BAD },
	{ "COPY --link", F "COPY --link a b\n", BAD },
	{ "an unknown flag", F "CMD --help\n", BAD },
	{ "--", F "COPY -- --from=own a b\n", BAD },
	{ "a flag behind the first word is none", F "COPY a --from=victim/priv b\n", "=", 2, D },
	{ "twice the same base counts once", "FROM own\nFROM own\n", "FROM " OWN "own\nFROM " OWN "own\n", 2,
	    " own>~own" },
	{ "one stage name twice", "FROM debian:12 AS a\nFROM debian:12 AS a\n", BAD },
	{ "a stage name that is none", "FROM debian:12 AS 1a\n", BAD },
	{ "FROM with two words", "FROM debian:12 x\n", BAD },
	{ "FROM with a comment behind", "FROM debian:12 # x\n", BAD },
	{ "FROM with no words", "FROM\n", BAD },
	{ "FROM quoted", "FROM \"own\"\n", BAD },
	{ "FROM with a backslash", "FROM o\\wn\n", BAD },
	{ "FROM broken over lines", "FROM ow\\\nn\n", BAD },
	{ "FROM --platform", "FROM --platform=linux/amd64 debian:12\n", BAD },
	{ "FROM --platform empty", "FROM --platform= own\n", "FROM --platform= " OWN "own\n", 1,
	    " own>~own" },
	{ "FROM with another flag", "FROM --from=x debian:12\n", BAD },
	{ "the keyword broken over lines", "FR\\\nOM own\nR\\\nUN x\n", "FR\\\nOM " OWN "own\nR\\\nUN x\n", 2,
	    " own>~own" },

	{ "ARG before FROM", "ARG V=12\nFROM debian:$V\n", "ARG V=12\nFROM debian:12\n", 2,
	    " debian:$V>debian:12" },
	{ "build-arg", "ARG BASE\nFROM ${BASE}\n", "ARG BASE\nFROM " OWN "own:7\n", 2, " ${BASE}>~own:7",
	    "{\"BASE\":\"own:7\"}" },
	{ "build-arg over default", "ARG BASE=debian:12\nFROM $BASE\n", BASE, "{\"BASE\":\"victim/priv\"}" },
	{ "build-arg null", "ARG BASE=own\nFROM $BASE\n", "ARG BASE=own\nFROM " OWN "own\n", 2, " $BASE>~own",
	    "{\"BASE\":null}" },
	{ "build-arg that is not declared", "FROM ${BASE:-own}\n", "FROM " OWN "own\n", 1,
	    " ${BASE:-own}>~own", "{\"BASE\":\"victim\"}" },
	{ "build-arg that the builder declares", "FROM ${HTTP_PROXY:-own}\n", BASE,
	    "{\"HTTP_PROXY\":\"victim/priv\"}" },
	{ "what was judged is written", "FROM ${X:-scratch} AS a\nFROM ${Y:-a}\n",
	    "FROM scratch AS a\nFROM a\n", 2, "" },
	{ "a default", "FROM ${BASE:-debian:12}\n", "FROM debian:12\n", 1, " ${BASE:-debian:12}>debian:12" },
	{ "an alternative", "ARG A=1\nFROM ${A:+own}\n", "ARG A=1\nFROM " OWN "own\n", 2, " ${A:+own}>~own" },
	{ "an alternative that is not taken", "FROM own${A:+x}\n", "FROM " OWN "own\n", 1,
	    " own${A:+x}>~own" },
	{ "nested", "ARG A=own\nFROM ${B:-${A}:${C:-1}}\n", "ARG A=own\nFROM " OWN "own:1\n", 2,
	    " ${B:-${A}:${C:-1}}>~own:1" },
	{ "must be set", "FROM ${A:?no}\n", BAD },
	{ "ARG of ARG", "ARG A=ow\nARG B=${A}n C='x y' D=\"$A\"\nFROM $B\n",
	    "ARG A=ow\nARG B=${A}n C='x y' D=\"$A\"\nFROM " OWN "own\n", 3, " $B>~own" },
	{ "words of one ARG do not see each other", "ARG A=own B=$A\nFROM x$B\n", BASE },
	{ "ARG quoted", "ARG A=\"o\"'w'\\n\nFROM $A\n", "ARG A=\"o\"'w'\\n\nFROM " OWN "own\n", 2,
	    " $A>~own" },
	{ "ARG single quotes keep variables", "ARG O=own\nARG A='$O'\nFROM $A\n", NULL, 400, "reference" },
	{ "ARG again without value", "ARG A=own\nARG A\nFROM ${A:-debian:12}\n",
	    "ARG A=own\nARG A\nFROM debian:12\n", 3, " ${A:-debian:12}>debian:12" },
	{ "ARG behind FROM is not seen", F "ARG A=own\nFROM ${A:-debian:12}\n",
	    F "ARG A=own\nFROM debian:12\n", 3, D " ${A:-debian:12}>debian:12" },
	{ "an empty base", "ARG A\nFROM $A\n", BAD },
	{ "an open quote", "ARG A='x\n" F, BAD },
	{ "an open brace", "FROM ${A\n", BAD },
	{ "${x-y} is not for 20.10", "FROM ${A-own}\n", BAD },
	{ "${x#y} is not for 20.10", "FROM ${A#own}\n", BAD },
	{ "${x/y/z} is not for 20.10", "FROM ${A/o/w}\n", BAD },
	{ "$1", "FROM debian$1\n", BAD },
	{ "$@", "FROM debian$@\n", BAD },
	{ "two words in a default", "FROM ${A:-own x}\n", BAD },
	{ "values that double",
	    "ARG A=aaaaaaaaaaaaaaaa\nARG B=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A\n"
	    "ARG C=$B$B$B$B$B$B$B$B$B$B$B$B$B$B$B$B$B\n" F,
	    BAD },
	{ "deep nesting", "FROM ${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-own}}}}}}}}}\n", BAD },
	{ "buildargs of another type", F, BAD, "[1]" },
	{ "buildargs with a number", F, BAD, "{\"A\":1}" },
	{ "buildargs broken", F, BAD, "{" },
	{ "buildargs null", F, "=", 1, D, "null" },

	{ "continuation, comments and blanks between",
	    F "RUN apt-get update && \\\n    # one\n\n#two\n  apt-get install -y \\  \n\tgcc \\\n && rm -rf "
	      "/x\n"
	      "COPY --from=own a b\n",
	    F "RUN apt-get update && \\\n    # one\n\n#two\n  apt-get install -y \\  \n\tgcc \\\n && rm -rf "
	      "/x\n"
	      "COPY --from=" OWN "own a b\n",
	    3, D " own>~own" },
	{ "a comment does not continue", "# x \\\nFROM own\n", "# x \\\nFROM " OWN "own\n", 1, " own>~own" },
	{ "two backslashes do not continue", F "RUN x \\\\\nCOPY --from=victim/x a b\n", BASE },
	{ "three do not either", F "RUN x \\\\\\\nCOPY --from=victim/x a b\n", BASE },
	{ "a continued line hides a FROM", F "RUN x \\\nFROM victim/x\n", "=", 2, D },
	{ "a continuation at the end", F "RUN x \\\n", "=", 2, D },
	{ "a lone backslash", F "\\\nRUN x\n", "=", 2, D },
	{ "a lone backslash at the end", F "\\\n", BAD },
	{ "a comment in a continuation ends in a backslash", F "RUN x \\\n# y \\\nCOPY --from=victim/x a b\n",
	    "=", 2, D },
	{ "escape directive", "# escape=`\n" F "RUN a `\n b\nRUN c:\\\nCOPY --from=victim/x a b\n", BASE },
	{ "escape directive, any form", "#\tEsCaPe \t= ` \r\n" F "RUN a `\n FROM x\n", "=", 2, D },
	{ "escape directive behind syntax",
	    "# syntax=docker/dockerfile:1\n# escape=`\n" F "RUN a `\n FROM x\n", "=", 2, D },
	{ "escape is no directive behind a comment",
	    "# hello\n# escape=`\n" F "RUN a `\nCOPY --from=victim/x a b\n", BASE },
	{ "escape is no directive behind an empty line",
	    "\n# escape=`\n" F "RUN a `\nCOPY --from=victim/x a b\n", BASE },
	{ "escape behind check", "# check=skip=all\n# escape=`\n" F, BAD },
	{ "check alone", "# check=skip=all\n" F, "=", 1, D },
	{ "escape with odd white space",
	    "#\xc2\xa0"
	    "escape=`\n" F,
	    BAD },
	{ "escape of another kind", "# escape=x\n" F, BAD },
	{ "escape twice", "# escape=`\n# escape=`\n" F, BAD },
	{ "escape=` and ADD", "# escape=`\n" F "RUN echo \\\nADD http://169.254.169.254/ /x\n", URL },
	{ "syntax is a comment", "# syntax=docker/dockerfile:1.7-labs\n" F, "=", 1, D },
	{ "a comment with any bytes", "# caf\xe9 \xe3\x80\x80 <<EOF\n" F "RUN x \\\n# caf\xe9\n y\n", "=", 2,
	    D },

	{ "a here-document", F "RUN cat <<CMD\nCOPY --from=victim/x a b\nCMD\n", BAD },
	{ "a here-document in COPY", F "COPY <<EOF /x\nEOF\n", BAD },
	{ "a here-document in ONBUILD", F "ONBUILD RUN <<EOF\nEOF\n", BAD },
	{ "with a descriptor", F "RUN cat 3<<EOF\n", BAD },
	{ "with a dash", F "RUN cat <<-EOF\n", BAD },
	{ "with blanks", F "RUN cat <<  EOF\n", BAD },
	{ "with quotes", F "RUN cat <<'CMD \\'\nCMD \\\nADD http://169.254.169.254/ /x\n", BAD },
	{ "behind a variable", F "RUN echo ${A} <<EOF\n", BAD },
	{ "behind a quote", F "RUN echo \"a\" 'b' <<EOF\n", BAD },
	{ "inside of a substitution", F "RUN echo a<<b ${x:+ <\\<EOF}\n", BAD },
	{ "escaped blank behind", F "RUN cat <<\\ EOF\n", BAD },
	{ "a shift", F "RUN echo $((1<<2))\n", "=", 2, D },
	{ "a shift with blanks", F "RUN echo $(( 1 << 2 ))\n", BAD },
	{ "a shift with blanks in quotes", F "RUN python3 -c 'print(1 << 2)' \"$(( 1 << 2))\"\n", "=", 2, D },
	{ "a here-string", F "RUN cat <<<word <<< \"x\"\n", "=", 2, D },
	{ "a word that does not begin so", F "RUN cat<<EOF\nCOPY --from=victim/x a b\n", BASE },
	{ "in a comment", F "RUN x \\\n# <<EOF\n y\n", "=", 2, D },
	{ "in JSON", F "RUN [\"sh\", \"-c\", \"cat <<EOF\"]\n", "=", 2, D },
	{ "in what is nearly JSON", F "RUN ['sh', '-c', cat <<EOF]\n", BAD },
	{ "in CMD and LABEL", F "CMD cat <<EOF\nLABEL a=\"<<EOF\" b=<<EOF\n", "=", 3, D },
	{ "an open quote in a long script", F "RUN echo it's a <<b\n", BAD },
	{ "with a no-break space", F "RUN echo\xc2\xa0<<EOF\n", BAD },

	{ "ADD", F "ADD a.tar b /x/\nADD --chown=1:1 [\"a b\", \"/x\"]\n", "=", 3, D },
	{ "ADD url", F "ADD http://169.254.169.254/ /x\n", URL },
	{ "ADD url in the second place", F "ADD a https://x/ /x\n", URL },
	{ "ADD url in capitals", F "ADD HTTP://x/ /x\n", URL },
	{ "ADD url, tabs", F "\tadd\thttp://x/ /x\n", URL },
	{ "ADD url behind a flag", F "ADD --chown=0:0 http://x/ /x\n", URL },
	{ "ADD url with quotes", F "ADD ht'tp':\"//x/\" /x\n", URL },
	{ "ADD url with escapes", F "ADD h\\ttp://x/ /x\n", URL },
	{ "ADD url over lines", F "ADD ht\\\ntp://x/ /x\n", URL },
	{ "ADD url in JSON", F "ADD [\"h\\u0074tp://x/\", \"/x\"]\n", URL },
	{ "ADD url in JSON with escapes", F "ADD [\"h\\\\ttp://x/\", \"/x\"]\n", URL },
	{ "ADD url in JSON behind U+FEFF", F "ADD [\"\\ufeffhttp://x/\", \"/x\"]\n", BAD },
	{ "ADD url in JSON with junk behind", F "ADD [\"http://x/\", \"/x\"] y\n", BAD },
	{ "ADD git", F "ADD git@github.com:a/b.git /x\n", URL },
	{ "ADD of what may become a url", F "ENV Z=ttp\nADD h${Z}://x/ /x\n", URL },
	{ "ADD of a variable", F "ADD $JAR /x\n", URL },
	{ "ADD of a quoted variable", F "ADD \"${JAR}\" /x\n", URL },
	{ "ADD of a variable below ./", F "ADD ./$JAR dist/$X a$Y /x\n", "=", 2, D },
	{ "ADD to an address is a directory", F "ADD a http://x/\n", "=", 2, D },
	{ "ADD of something like it", F "ADD http /x\nADD https.tar /x\n", "=", 3, D },
	{ "ADD where the policy allows it", F "ADD http://x/ /x\n", "=", 2, D, NULL, NULL, 1 },
	{ "ADD under ONBUILD", F "ONBUILD ADD http://x/ /x\n", URL },
	{ "ADD under ONBUILD with escapes", F "ONBUILD ADD h`ttp://x/ /x\n", BAD },
	{ "ADD of a pattern that looks like JSON", F "ADD [ab].tar /x\n", BAD },
	{ "COPY of a pattern that looks like JSON", F "COPY [ab].tar /x\n", "=", 2, D },

	{ "ONBUILD", F "ONBUILD RUN make\nONBUILD COPY . /src\nonbuild ADD . /src\n", "=", 4, D },
	{ "ONBUILD COPY --from an own image", F "ONBUILD COPY --from=own a b\n", BAD },
	{ "ONBUILD COPY --from a foreign image",
	    "FROM debian:12 AS a\nONBUILD COPY --from=victim/p a b\nFROM a\n", BASE },
	{ "ONBUILD COPY --from a base that keeps its name", F "ONBUILD COPY --from=busybox a b\n", "=", 2,
	    D },
	{ "ONBUILD COPY --from a stage",
	    "FROM debian:12 AS a\n" F "ONBUILD COPY --from=a a b\n"
	    "ONBUILD COPY --from=0 a b\n",
	    "=", 4, D },
	{ "ONBUILD ONBUILD", F "ONBUILD ONBUILD RUN x\n", BAD },
	{ "ONBUILD FROM", F "ONBUILD FROM debian\n", BAD },
	{ "ONBUILD MAINTAINER", F "ONBUILD MAINTAINER x\n", BAD },
	{ "ONBUILD of nothing", F "ONBUILD\n", BAD },
	{ "ONBUILD RUN --mount", F "ONBUILD RUN --mount=type=cache,target=/c x\n", BAD },

	{ "RUN --mount", F "RUN --mount=type=cache,id=gomod,target=/c cat /c/f\n", BAD },
	{ "RUN --network", F "RUN --network=host x\n", BAD },
	{ "RUN --security", F "RUN --security=insecure x\n", BAD },
	{ "an unknown instruction", F "//syntax=x\n", BAD },
	{ "KELVIN SIGN",
	    F "WOR\xe2\x84\xaa"
	      "DIR /x\n",
	    BAD },
	{ "IDEOGRAPHIC SPACE before a keyword",
	    F "\xe3\x80\x80"
	      "ADD http://x/ /x\n",
	    BAD },
	{ "NO-BREAK SPACE behind a keyword", F "ADD\xc2\xa0http://x/ /x\n", BAD },
	{ "NO-BREAK SPACE in a label",
	    F "LABEL a=\"\xc2\xab\xc2\xa0x\xc2\xa0\xc2\xbb\"\nRUN echo \xe3\x80\x80\n", "=", 3, D },
	{ "NO-BREAK SPACE before a comment", F "RUN x \\\n\xc2\xa0# y\n", BAD },
	{ "byte order mark", "\xef\xbb\xbf" F, BAD },
	{ "vertical tab", F "ADD\vhttp://x/ /x\n", BAD },
	{ "carriage return inside", F "RUN x\rADD http://x/ /x\n", BAD },
	{ "Latin-1 outside of comments", F "RUN echo caf\xe9\n", BAD },
	{ "UTF-8", F "RUN echo caf\xc3\xa9\nCOPY \xc3\xa9 /x\n", "=", 3, D },
	{ "WORKDIR", F "WORKDIR /process\nWORKDIR $X/proc\nWORKDIR proc\n", "=", 4, D },
	{ "WORKDIR below /proc", F "WORKDIR /proc/self/fd/8\n", NULL, 403, "workdir-proc" },
	{ "WORKDIR below /proc, quoted", F "WORKDIR \"//./pr\"oc\n", NULL, 403, "workdir-proc" },

	{ "nothing", "", BAD },
	{ "only comments", "# x\n\n", BAD },
	{ "only ARG", "ARG A\n", BAD },
	{ "an instruction before FROM", "RUN x\n" F, BAD },

	{ "behind the target nothing is asked for",
	    "FROM own AS a\nRUN x\nFROM victim/x AS b\nADD http://x/ /y\nCOPY --from=c a b\nFROM victim/y\n",
	    "FROM " OWN
	    "own AS a\nRUN x\nFROM victim/x AS b\nADD http://x/ /y\nCOPY --from=c a b\nFROM victim/y\n",
	    2, " own>~own", NULL, "A" },
	{ "but its name is parsed", "FROM own AS a\nFROM victim/x AS b<<c\n", BAD, NULL, "a" },
	{ "but before it is", "FROM victim/x AS b\nFROM own AS a\n", BASE, NULL, "a" },
	{ "an unknown target changes nothing", "FROM own AS a\nFROM victim/x\n", BASE, NULL, "z" },
	{ "a number is no name", "FROM own AS a\nFROM victim/x\n", BASE, NULL, "0" },

	{ "everything that is usual",
	    "# syntax=docker/dockerfile:1\nARG GO=1.22\nFROM golang:1.22 AS build\nLABEL a=\"b c\" d='e f' "
	    "\\\n"
	    "      g=h\nENV PATH=/go/bin:$PATH X=\"a b\"\nENV OLD form of it\nWORKDIR /src\nCOPY . .\n"
	    "RUN [ -f x ] && [\"a\"] || true\nRUN [\"go\", \"build\"]\n\nFROM debian:12\nMAINTAINER "
	    "Jos\xc3\xa9 <j@x>\n"
	    "USER 1000:1000\nEXPOSE 80/tcp 443\nVOLUME [\"/data\"]\nVOLUME /a /b\nSTOPSIGNAL SIGTERM\n"
	    "SHELL [\"/bin/bash\", \"-c\"]\nHEALTHCHECK --interval=5m --timeout=3s --retries=3 \\\n"
	    "  CMD curl -f http://localhost/ || exit 1\nHEALTHCHECK NONE\nCOPY --from=build /src/app /app\n"
	    "ENTRYPOINT [\"/app\"]\nCMD [\"--help\"]",
	    "=", 22, " golang:1.22>golang:1.22" D },
};

static void
print_bases(const struct dockerfile_facts *f, char *out, size_t size)
{
	size_t n = 0;

	*out = '\0';
	for (size_t i = 0; i < f->base_count; i++) {
		const char *mapped = f->bases[i].name.mapped;

		if (f->bases[i].own && strncmp(mapped, OWN, strlen(OWN)) == 0)
			n += (size_t)snprintf(
			    out + n, size - n, " %s>~%s", f->bases[i].name.typed, mapped + strlen(OWN));
		else
			n += (size_t)snprintf(out + n, size - n, " %s>%s", f->bases[i].name.typed, mapped);
	}
}

static void
test_row(const struct row *row)
{
	struct dockerfile_ask ask = {
		.resolve = resolve, .build_args = row->args, .target = row->target, .add_urls = row->add_urls
	};
	struct dockerfile_facts *facts = calloc(1, sizeof(*facts));
	struct buf out = { 0 };
	struct err e;
	char bases[2048];
	int rc;

	err_clear(&e);
	rc = dockerfile_rewrite(row->in, strlen(row->in), &ask, &out, facts, &e);
	is_int(rc, row->out != NULL ? 0 : -1, row->name);
	if (rc < 0 && row->out == NULL) {
		is_int(e.status, row->status, e.text);
		is_str(e.rule, row->rule, row->name);
		is_int(buf_len(&out), 0, "nothing is written");
	} else if (rc < 0) {
		printf("# %s\n", e.text);
	} else if (row->out != NULL) {
		print_bases(facts, bases, sizeof(bases));
		is_str(buf_text(&out), strcmp(row->out, "=") == 0 ? row->in : row->out, row->name);
		is_int(facts->steps, row->status, "steps");
		is_str(bases, row->rule, "bases");
	}
	free(facts);
	buf_done(&out);
}

static const struct {
	const char *trigger;
	int status; /* 0: allowed */
} triggers[] = {
	{ "RUN make", 0 },
	{ "COPY . /src", 0 },
	{ "ADD . /src", 0 },
	{ "ADD http://x/ /x", 403 },
	{ "ADD $X /x", 403 },
	{ "ADD h\\ttp://x/ /x", 400 },
	{ "\xef\xbb\xbf"
	  "ADD http://x/ /x",
	    400 },
	{ "COPY --from=0 a b", 0 },
	{ "COPY --from=busybox:1 a b", 0 },
	{ "COPY --from=own a b", 400 },
	{ "COPY --from=victim/x a b", 403 },
	{ "COPY --from=dind.invalid/" NS "/docker.io/library/own a b", 400 },
	{ "FROM debian", 400 },
	{ "ONBUILD RUN x", 400 },
	{ "MAINTAINER x", 400 },
	{ "RUN x\nADD http://x/ /x", 400 },
	{ "RUN --mount=type=bind,from=victim/x x", 400 },
	{ "RUN x \\", 0 },
	{ "NOSUCH x", 400 },
	{ "", 0 },
};

static void
test_triggers(void)
{
	struct dockerfile_ask ask = { .resolve = resolve };
	struct err e;

	for (size_t i = 0; i < sizeof(triggers) / sizeof(triggers[0]); i++) {
		err_clear(&e);
		is_int(dockerfile_judge_trigger(triggers[i].trigger, &ask, &e), triggers[i].status ? -1 : 0,
		    triggers[i].trigger);
		is_int(e.status, triggers[i].status, e.text);
	}
}

/* What only a length or a number makes wrong. */
static void
test_limits(void)
{
	struct dockerfile_ask ask = { .resolve = resolve };
	struct dockerfile_facts *facts = calloc(1, sizeof(*facts));
	struct buf text = { 0 }, out = { 0 };
	struct err e;

	buf_adds(&text, F "RUN a\0b\n");
	ok(dockerfile_rewrite(F "RUN a\0b\n", strlen(F) + 8, &ask, &out, facts, &e) < 0, "NUL");
	for (int i = 0; i < DOCKERFILE_LINES_MAX; i++)
		buf_adds(&text, "RUN x\n");
	ok(dockerfile_rewrite(buf_text(&text), buf_len(&text), &ask, &out, facts, &e) < 0, "too many lines");
	buf_clear(&text);
	buf_adds(&text, F "RUN ");
	for (int i = 0; i < 65600; i++)
		buf_add(&text, "x", 1);
	ok(dockerfile_rewrite(buf_text(&text), buf_len(&text), &ask, &out, facts, &e) < 0, "a line too long");
	buf_clear(&text);
	while (buf_len(&text) <= DOCKERFILE_MAX)
		buf_adds(&text,
		    "# "
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
	ok(dockerfile_rewrite(buf_text(&text), buf_len(&text), &ask, &out, facts, &e) < 0, "too many bytes");
	buf_clear(&text);
	for (int i = 0; i <= DOCKERFILE_BASES_MAX; i++)
		buf_printf(&text, "FROM own:%d\n", i);
	memset(facts, 0, sizeof(*facts));
	ok(dockerfile_rewrite(buf_text(&text), buf_len(&text), &ask, &out, facts, &e) < 0, "too many images");
	is_int(facts->base_count, DOCKERFILE_BASES_MAX, "no more than there is room for");
	buf_done(&text);
	buf_done(&out);
	free(facts);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_row(&rows[i]);
	test_triggers();
	test_limits();
	return tap_end();
}
