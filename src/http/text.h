#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes and characters as HTTP sees them, the same in every locale. Internal to this floor. */

enum { QUOTE_SIZE = 68 };

struct quote {
	char text[QUOTE_SIZE];
};

/*
 * Peer bytes as printable ASCII, cut with "...": quote(p, n).text lives until the end of the full
 * expression. As log_quote(), but this floor is pure and does not know the log.
 */
struct quote quote(const void *bytes, size_t len);

int text_is_token(uint8_t c);      /* RFC 9110 tchar */
int text_is_unreserved(uint8_t c); /* RFC 3986 */
int text_is_visible(uint8_t c);    /* 0x21-0x7e */
int text_hex(uint8_t c);           /* 0-15, or -1 */

/* Compares with a lower-case word, ASCII case folded. */
int text_is_word(const char *s, size_t len, const char *word);

/* Length of the valid UTF-8 sequence at p (no surrogates, no long forms), 0 when there is none. */
size_t text_utf8(const uint8_t *p, size_t len);

#endif
