#ifndef POLICY_SHOW_H
#define POLICY_SHOW_H

/* Peer bytes in reasons, printable ASCII, cut with "...". Internal to this floor. */

enum { SHOWN_SIZE = 100 };

struct shown {
	char text[SHOWN_SIZE];
};

/* show(s).text lives until the end of the full expression. As log_quote(), which a pure floor does not know.
 */
struct shown show(const char *s);

#endif
