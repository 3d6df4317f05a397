"""What our Dockerfile reader accepts, the engine's classic builder reads the same way: 20.10 and 28.5, hundreds of odd files.

Every name that a Dockerfile may type exists twice: mapped, with a file /ok; and as typed, a trap without it. The engine
builds what our reader has written. It must count the same steps and stages, start every stage from a mapped image, an
earlier stage or nothing, copy from mapped images only, and fetch nothing.

    DIND_TEST_ENGINE=/path/docker.sock   one running engine in place of private ones
    DIND_TEST_SEED=N DIND_TEST_COUNT=N   other files, or more of them
"""
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/lib")

import http.client
import io
import json
import os
import random
import re
import subprocess
import tarfile
import urllib.parse

import engine
from tap import Failed, Skip, cleanup, main, ok, test

SEED = int(os.environ.get("DIND_TEST_SEED", "1"))
COUNT = int(os.environ.get("DIND_TEST_COUNT", "80"))  # accepted files that are built; each costs an engine a third of a second
DUMP = os.path.join(engine.ROOT, os.environ.get("DIND_BUILD", "build/plain"), "tests", "tools", "dockerfile_dump")
MAPPED = "dind.invalid/aaaaaaaaaaaaaaaaaaaa/docker.io/library/"
NAMES = ("own:1", "own:latest", "base:1", "base:2", "a:latest", "b:latest", "x:latest")
# The engine's own complaints about what says nothing about images, stages or addresses
HARMLESS = (
    "must have two arguments|requires at least one argument|requires exactly one argument|Syntax error - can't find =|"
    "requires at least two arguments|Unknown type|names can not be blank|failed to process|Empty|invalid containerPort|Invalid proto|"
    "must be of the form|SHELL requires the arguments to be in JSON form|Missing command|is not a valid|Invalid signal|"
    "when using JSON array syntax|destination .* must be a directory|no source files were specified|HEALTHCHECK NONE takes|"
    "can't be a destination|VOLUME specified can not be|Invalid containerPort|invalid start port|unable to convert uid/gid|"
    "parsing time|time: |invalid duration|Interval .* cannot be|strconv|failed to parse|Invalid range format|start-interval|"
    "syntax error|not a directory|invalid user|failed to reach build target|OCI runtime create failed|returned a non-zero code|"
    "No image was generated|target stage .* could not be found|the destination must be a directory|requires BuildKit|dockerfile parse error .*: (failed to|unexpected)|"
    "(COPY|ADD) failed: .*(not found in build context|no such file|does not exist)"
)


# --- what is generated


class Writer:
    """Writes one Dockerfile of the grammar's corners."""

    def __init__(self, number):
        self.r = random.Random("%d/%d" % (SEED, number))
        self.escape = "\\"
        self.end = self.r.choice(["\n"] * 5 + ["\r\n"])
        self.stages = []
        self.free = {"a", "b", "Build", "x", "own", "s.1-_"}
        self.lines = []
        self.count = 0  # stages before this one

    def some(self, *choices):
        return self.r.choice(choices)

    def maybe(self, chance):
        return self.r.random() < chance

    def blank(self):
        return self.some(" ", " ", " ", "\t", "  ", " \t ")

    def case(self, word):
        return self.some(word, word, word, word.lower(), word.capitalize(), "".join(self.some(c, c.lower()) for c in word))

    def break_line(self):
        """A continuation, with what may stand between its two halves."""
        text = self.escape + self.some("", "", " ", "\t ", "") + self.end
        while self.maybe(0.3):
            text += self.some("", "  ", "# c", "  # c " + self.escape, "#", "\t# <<EOF") + self.end
        return text

    def join(self, words):
        text = ""
        for word in words:
            if text:
                text += self.blank()
                if self.maybe(0.08):
                    text += self.break_line() + self.some("", " ", "    ")
            if len(word) > 3 and self.maybe(0.02):
                at = self.r.randrange(1, len(word))
                word = word[:at] + self.break_line() + word[at:]
            text += word
        return text

    def image(self):
        names = [n[: -len(":latest")] if n.endswith(":latest") else n for n in NAMES]
        plain = self.r.choice(names) if self.maybe(0.7) else "docker.io/library/" + self.r.choice(names)
        self_made = ["${X:-%s}" % plain, "${BASE:-base:1}", "own:${V:-1}", "${V:+own:}latest", "own${NO}:1", "${X:-${BASE:-b}}", "${HTTP_PROXY:-%s}" % plain, "$BASE"]
        return self.some(plain, plain, plain, plain, plain, "scratch", self.r.choice(self_made), self.r.choice(self_made))

    def directives(self):
        for key in self.r.sample(["escape", "escape", "syntax", "check", "foo"], self.some(0, 0, 0, 1, 1, 2)):
            value = {"escape": self.some("`", "`", "\\"), "syntax": "docker/dockerfile:1", "check": "skip=all", "foo": "x"}[key]
            self.lines.append("#%s%s%s=%s%s" % (self.some("", " ", "\t"), self.case(key), self.some("", " "), self.some("", " "), value))
            if key == "escape" and not any(re.search("foo|check", line) for line in self.lines[:-1]):
                self.escape = value
        if self.maybe(0.2):
            self.lines.append(self.some("", "# escape=`", "  # hello"))

    def meta_args(self):
        for _ in range(self.some(0, 1, 1, 2)):
            words = [self.some("BASE=own:1", 'BASE="base:2"', "BASE", "V=1", "V='1'", "X=$BASE", "V=\"$V\"1", "BASE=ow" + self.escape + "n", "A=1 BASE=base:1")]
            self.lines.append(self.join([self.case("ARG"), *words]))

    def stage(self):
        words = [self.case("FROM")] + (["--platform="] if self.maybe(0.03) else [])
        words.append(self.image() if not self.stages or self.maybe(0.6) else self.r.choice(self.stages))
        if self.maybe(0.6):
            name = self.some(*sorted(self.free))
            words += [self.some("AS", "as", "As"), name]
        self.lines.append(self.join(words))
        for _ in range(self.some(1, 1, 2)):
            self.lines.append(self.instruction())
        self.count += 1
        if len(words) > 2 and words[-2].lower() == "as":
            self.stages.append(words[-1])
            self.free.discard(words[-1])

    def instruction(self):
        kind = self.some("COPY", "COPY", "COPY", "ADD", "ADD", "LABEL", "ENV", "ARG", "ONBUILD", "other", "comment")
        return {"COPY": self.copy, "ADD": self.add, "ONBUILD": self.onbuild}.get(kind, lambda: self.text(kind))()

    def copy(self):
        words = [self.case("COPY")]
        if self.maybe(0.6):
            earlier = self.stages + ["%d" % self.r.randrange(self.count)] if self.count else []
            source = self.some(self.image(), *earlier, *earlier, "own", "1" if self.maybe(0.1) else "x")
            words.append((self.some("--from ", '--"from"=', "--fr" + self.escape + "om=") if self.maybe(0.04) else "--from=") + source)
        if self.maybe(0.2):
            words.append("--chown=1:1")
        if self.maybe(0.05):
            words.append(self.some("--", "--chmod=1", "-x", "--from"))
        words += self.some(["ok", "/ok"], ["/ok", "/ok"], ["/ok", "/ok"], ['["ok",', '"/ok"]'], ["o[k]", "/ok"])
        return self.join(words)

    def add(self):
        pieces = ["ok", "ht", "tp", "http", "s", "://", "127.0.0.1:9/x", "'", '"', self.escape, "$Z", "${Z}", "./", "\\", "`"]
        word = self.some("ok", "./ok", "o$NO" + "k", "./${NO}ok", "'ok'", "o" + self.escape + "k") if self.maybe(0.7) else "".join(self.r.choice(pieces) for _ in range(self.some(2, 3, 4, 5)))
        if self.maybe(0.3):
            quoted = json.dumps([word, "/ok"])
            return self.join([self.case("ADD"), quoted + (self.some(" junk", "]") if self.maybe(0.1) else "")])
        return self.join([self.case("ADD")] + (["ok"] if self.maybe(0.2) else []) + [word, "/ok"])

    def onbuild(self):
        """Its RUN is read as every RUN is, and not run. CMD ends a here-document, and alone in a line is an instruction."""
        shell = self.some("cat <<CMD", "cat <<<CMD", "cat<<CMD", "cat << CMD", "echo $((1<<CMD))", "echo 'a <<CMD'", 'echo "<<CMD"', 'echo "${X:-a}" <<CMD', "[ -f x ] && y",
                          '["a","<<CMD"]', "echo ${x:+ <\\<CMD} a<<b", "echo it's <<CMD 'x", "echo \\\\", "a 2<<CMD", "a 2 <<-CMD", "x ${Y} $((X<<2)) '<<CMD'", "echo \\\" <<CMD",
                          "echo \\<<CMD", "echo $<<CMD", "x<< <<CMD", "echo ''<<CMD", "echo \\ <<CMD", 'echo "\'" <<CMD')  # fmt: skip
        text = self.join([self.case("ONBUILD"), self.case("RUN"), *shell.split(" ")])
        return text + self.end + self.some("LABEL a=b", "LABEL a=b", "COPY ok /ok") + self.end + "CMD" if self.maybe(0.7) else text

    def text(self, kind):
        escape = self.escape
        rows = {
            "LABEL": ['a="b c"', "a=b d='e f'", "a=b" + escape + " c", "a=b \\\\", 'a="\u00a0"', "a b c", "a=<<EOF"],
            "ENV": ["A=b", "A b c", 'Z=ttp B="x y"', "Z http", "A=$BASE", "A='<<E'", "A=b" + escape + escape],
            "ARG": ["Z", "Z=http://x", "BASE=x", "A=1 B=2"],
            "comment": ["# FROM x", "   # ADD http://x /y", "#", "", "  \t", "# \u3000 " + escape],
        }
        if kind == "comment":
            return self.r.choice(rows[kind])
        if kind == "other":
            kind, word = self.some(("CMD", '["a", "b"]'), ("CMD", "a <<EOF"), ("ENTRYPOINT", "[ -f x ]"), ("EXPOSE", "80 81/udp"), ("USER", "1"), ("STOPSIGNAL", "SIGTERM"),
                                   ("VOLUME", '["/d"]'), ("WORKDIR", "/w"), ("SHELL", '["/bin/sh","-c"]'), ("MAINTAINER", "x y"), ("HEALTHCHECK", "--retries=3 CMD x"), ("HEALTHCHECK", "NONE"))  # fmt: skip
            return self.join([self.case(kind), *word.split(" ")])
        return self.join([self.case(kind), *self.r.choice(rows[kind]).split(" ")])

    def spoil(self, text):
        """Puts or takes a few characters anywhere."""
        strange = ["\\", "`", '"', "'", " ", "\t", "$", "#", "<<", "{", "}", "=", "--", "-", "\n", "\r", "\r\n", "\\\n", "`\n", "\u00a0", "\u3000", "\u212a", "\ufeff", "\v", "\x00", ":", "[", "]", ","]
        for _ in range(self.some(1, 1, 2, 3)):
            at = self.r.randrange(len(text) + 1)
            text = text[:at] + (self.r.choice(strange) if self.maybe(0.7) else "") + text[at + (0 if self.maybe(0.6) else 1) :]
        return text

    def write(self):
        self.directives()
        self.meta_args()
        for _ in range(self.some(1, 2, 2, 3)):
            self.stage()
        text = self.end.join(self.lines) + self.some(self.end, self.end, self.end, "", self.end, self.end + "# end", self.escape)
        if self.maybe(0.5):
            text = self.spoil(text)
        arguments = self.some("", "", '{"BASE":"base:1"}', '{"V":"1","BASE":null}', '{"HTTP_PROXY":"own:1","X":"no:1"}')
        return text.encode(), arguments, self.some("", "", "", "", "build", "a", "zz")


EVERYDAY = (
    "FROM base:1\nRUN apt-get update && \\\n    # tools\n    apt-get install -y \\\n      gcc \\\n\n      make \\\n && rm -rf /var/lib/apt/lists/*\n",
    "FROM base:1 AS build\nWORKDIR /src\nCOPY . .\nFROM base:2\nCOPY --from=build --chown=1:1 /ok /ok\nCOPY --from=0 /ok /ok2\nCMD [\"/ok\"]\n",
    "# syntax=docker/dockerfile:1\nARG BASE=base:1\nARG TAG\nFROM ${BASE} AS x\nFROM ${OTHER:-base:2}\nFROM own:${TAG:-1}\nCOPY --from=x /ok /\n",
    "FROM base:1\r\nENV A=1 B=\"two words\" \\\r\n    C='x'\r\nLABEL a=\"b\" c='d e'\r\nCMD [\"a\", \"b\"]\r\n",
    "FROM scratch\nCOPY ok /\nADD --chown=1:1 ok ./o* /d/\nHEALTHCHECK --interval=5m --timeout=3s CMD curl -f http://localhost/ || exit 1\n"
    "SHELL [\"/bin/bash\", \"-c\"]\nONBUILD RUN make\nONBUILD COPY . /src\nSTOPSIGNAL SIGTERM\nVOLUME /data /x\nUSER 1\nEXPOSE 80 443/tcp\nENTRYPOINT [\"/x\"]",
    "FROM base:1\nONBUILD RUN echo $((1<<2)) && cat <<< word && python3 -c 'print(1 << 2)'\n\tlabel\tx=y\nMAINTAINER Jos\u00e9 <j@example.org>\n",
    "# escape=`\nFROM base:1\nLABEL path=C:\\x `\n  more=yes\n",
)


# --- what reads it


def ours(dockerfile, arguments="", target=""):
    done = subprocess.run([DUMP, arguments, target, ""], input=dockerfile, capture_output=True, timeout=20)
    ok(done.returncode == 0, "dockerfile_dump ended with %d on %r: %s" % (done.returncode, dockerfile, done.stderr.decode(errors="replace")))
    return json.loads(done.stdout)


def tarball(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Builder:
    """The classic builder of one engine, with all names on it twice."""

    def __init__(self, path):
        self.path = path
        self.mapped, self.traps = {}, {}
        for name in NAMES:
            self.mapped[name] = self.load(MAPPED + name, {"ok": name.encode()})
            self.traps[name] = self.load(name, {"trap": name.encode()})
        cleanup(self.clean)

    def load(self, name, files):
        repo, tag = name.rsplit(":", 1)
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
        engine.call(self.path, "POST", "/images/create?" + query, tarball(files))
        return engine.call(self.path, "GET", "/images/%s/json" % name)[1]["Id"].split(":")[1][:12]

    def clean(self):
        for name in NAMES:
            engine.call(self.path, "DELETE", "/images/%s%s" % (MAPPED, name))
            engine.call(self.path, "DELETE", "/images/" + name)

    def build(self, dockerfile, arguments, target):
        """(steps, images that FROM began with, all the text, the error)"""
        query = {"version": "1", "rm": "1", "forcerm": "1", "networkmode": "none", "target": target}
        if arguments:
            query["buildargs"] = arguments
        body = tarball({"Dockerfile": dockerfile, "ok": b"ok"})
        c = engine.UnixHTTP(self.path, 60)
        try:
            c.request("POST", "/v1.41/build?" + urllib.parse.urlencode(query), body, {"Content-Type": "application/x-tar"})
            answer = c.getresponse()
            return self.understand(answer.status, answer.read().decode())
        finally:
            c.close()

    @staticmethod
    def understand(status, text):
        if status != 200:
            return None, [], text, json.loads(text)["message"]
        stream, error = "", None
        for line in text.split("\r\n"):
            record = json.loads(line) if line else {}
            stream += re.sub("\033\\[[0-9]*m", "", record.get("stream", ""))
            error = record.get("error", error)
        steps = [int(n) for n in re.findall(r"^Step \d+/(\d+) : ", stream, re.M)]
        begun = re.findall(r"^Step \d+/\d+ : (?i:from)\b[^\n]*\n(?:#[^\n]*\n)? ---> ?([0-9a-f]*)", stream, re.M)
        return steps[0] if steps else None, begun, stream, error


def compare(builder, dockerfile, arguments, target):
    """None when refused by us, else True; raises Failed on a difference."""
    read = ours(dockerfile, arguments, target)
    if not read["accepted"]:
        return None
    written = bytes.fromhex(read["out"])
    steps, begun, text, error = builder.build(written, arguments, target)

    def need(good, what):
        ok(good, "%s\n file: %r\nwritten: %r\nbuildargs %s target %s\n ours: %s\nengine: %s\nerror: %s" % (what, dockerfile, written, arguments, target, read, text[-1500:], error))

    for trap, identity in builder.traps.items():
        need(identity not in begun, "a stage begins with the trap " + trap)
    need("dind.invalid" in (error or "") or not re.search("dial tcp|Downloading|connection refused", (error or "") + text), "the engine fetches")
    if error is None or steps is not None:
        need(steps == read["steps"], "steps differ")
    if error is None:
        need(len(begun) == read["stages"], "stages differ")
    known = set(builder.mapped.values()) | {""}
    ids = {i for i in re.findall(r"^ ---> ?([0-9a-f]*)$", text, re.M)}
    need(all(i in known or i in ids for i in begun), "a stage begins with something else")
    last = re.findall(r"^Step \d+/\d+ : (.*)", text, re.M)[-1:] or [""]
    need(not ("--from=" + MAPPED in last[0] and "stat ok:" in (error or "")), "a copy from something else than the mapped image")
    mapped_missing = error is not None and (MAPPED in error or "dind.invalid" in error)
    need(error is None or mapped_missing or (re.search(HARMLESS, error) and "heredoc" not in error), "the engine refuses what we accept")
    return True


def run(builder):
    accepted, number, different = 0, 0, []
    while accepted < COUNT and number < 20 * COUNT:
        dockerfile, arguments, target = Writer(number).write()
        try:
            accepted += bool(compare(builder, dockerfile, arguments, target))
        except Failed as e:
            accepted += 1
            different.append("number %d: %s" % (number, e))
        number += 1
    print("# %d of %d are accepted" % (accepted, number))
    ok(not different, "%d differences; the first:\n%s" % (len(different), "\n\n".join(different[:3])))
    ok(accepted >= COUNT, "only %d of %d are accepted: that tests little" % (accepted, number))


@test("what is usual is accepted")
def everyday():
    for text in EVERYDAY:
        read = ours(text.encode())
        ok(read["accepted"], "%s: %r" % (read.get("text"), text))


def agreement(version):
    def agree():
        path = os.environ.get("DIND_TEST_ENGINE")
        if path is None:
            try:
                running = engine.Engine(version=version)
                cleanup(running.stop)
                path = running.start().socket
            except engine.EngineError as e:
                raise Skip(str(e))
        builder = Builder(path)
        for text in EVERYDAY:
            if "RUN apt" not in text:
                ok(compare(builder, text.encode(), "", ""), repr(text))
        run(builder)

    return agree


if os.environ.get("DIND_TEST_ENGINE"):
    test("the engine reads what we accept as we do")(agreement(None))
else:
    test("engine 20.10 reads what we accept as we do")(agreement("bookworm"))
    test("engine 28.5 reads what we accept as we do")(agreement("sid"))

if __name__ == "__main__":
    main()
