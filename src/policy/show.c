#include "show.h"

#include <stdio.h>

struct shown
show(const char *s)
{
	struct shown out;
	size_t n = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		int plain = c >= 0x20 && c < 0x7f && c != '\'' && c != '"' && c != '\\';

		if (n + 8 > SHOWN_SIZE) { /* the longest escape, the dots and the end */
			snprintf(out.text + n, SHOWN_SIZE - n, "...");
			return out;
		}
		n += (size_t)snprintf(out.text + n, SHOWN_SIZE - n, plain ? "%c" : "\\x%02x", c);
	}
	out.text[n] = '\0';
	return out;
}
