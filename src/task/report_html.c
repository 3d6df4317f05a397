/* How a report looks, and how foreign text gets into it: printable ASCII, escaped, cut. */

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/stamp.h"
#include "report_private.h"
#include "report_style.h"

/* One code point of valid UTF-8 (JSON gave it); *n its bytes. What is not valid counts byte by byte. */
static unsigned long
code_point(const unsigned char *s, size_t *n)
{
	size_t more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : s[0] >= 0xc0 ? 1 : 0;
	unsigned long c = more == 3 ? s[0] & 7U : more == 2 ? s[0] & 15U : more == 1 ? s[0] & 31U : s[0];

	*n = 1;
	for (size_t i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return s[0];
		c = c << 6 | (s[i] & 63U);
	}
	*n = more + 1;
	return c;
}

static void
add_char(struct buf *out, unsigned long c)
{
	switch (c) {
	case '&':
		buf_adds(out, "&amp;");
		break;
	case '<':
		buf_adds(out, "&lt;");
		break;
	case '>':
		buf_adds(out, "&gt;");
		break;
	case '"':
		buf_adds(out, "&quot;");
		break;
	case '\'':
		buf_adds(out, "&#39;");
		break;
	default:
		if (c >= 0x20 && c < 0x7f)
			buf_printf(out, "%c", (int)c);
		else
			buf_printf(out, "<i class=x>\\u{%lx}</i>", c);
	}
}

void
html_text(struct buf *out, const char *s)
{
	size_t shown = 0, n;

	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p += n) {
		if (shown++ == SHOWN_MAX) {
			buf_adds(out, "<i class=x>...</i>");
			return;
		}
		add_char(out, code_point(p, &n));
	}
}

void
html_size(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes;
	size_t i = 0;

	for (; n >= 1000 && i + 1 < sizeof units / sizeof units[0]; i++)
		n /= 1024;
	buf_printf(out, "%.*f&nbsp;%s", i > 0 && n < 10 ? 1 : 0, n, units[i]);
}

void
html_took(struct buf *out, int64_t ms)
{
	long long s = ms / 1000;

	if (ms < 1000)
		buf_printf(out, "%lld&nbsp;ms", (long long)ms);
	else if (s < 60)
		buf_printf(out, "%.1f&nbsp;s", (double)ms / 1000);
	else if (s < 3600)
		buf_printf(out, "%lld&nbsp;min %02lld&nbsp;s", s / 60, s % 60);
	else
		buf_printf(out, "%lld&nbsp;h %02lld&nbsp;min", s / 3600, s / 60 % 60);
}

void
html_time(struct buf *out, int64_t ms)
{
	char text[STAMP_MAX];

	stamp_print(ms, text);
	buf_printf(out, "<time datetime=\"%s\">%.10s&nbsp;%.8s</time>", text, text, text + 11);
}

/* The one style that the page may have: its hash stands in the policy. */
static void
add_style_hash(struct buf *out)
{
	char hex[HASH_HEX_MAX];
	uint8_t raw[32];

	hash_once(HASH_SHA256, report_style, strlen(report_style), hex);
	for (size_t i = 0; i < sizeof raw; i++) {
		const char byte[] = { hex[2 * i], hex[2 * i + 1], '\0' };

		raw[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	base64_add(out, raw, sizeof raw);
}

void
html_begin(struct buf *out, const char *title)
{
	buf_adds(out,
	    "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
	    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'sha256-");
	add_style_hash(out);
	buf_adds(out, "'; base-uri 'none'; form-action 'none'\">\n"
	              "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
	              "<meta name=referrer content=no-referrer>\n<meta name=color-scheme content=\"light "
	              "dark\">\n<title>");
	html_text(out, title);
	buf_printf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", report_style);
}

void
html_end(struct buf *out)
{
	buf_adds(out, "</body>\n</html>\n");
}
