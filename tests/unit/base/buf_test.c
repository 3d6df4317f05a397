#include "base/buf.h"

#include <stdlib.h>

#include "tap.h"

static void
test_queue(void)
{
	struct buf b = { 0 };

	is_int(buf_len(&b), 0, "a zeroed struct is an empty buffer");
	is_str(buf_text(&b), "", "with a text");
	buf_add(&b, "abc", 3);
	buf_adds(&b, "def");
	buf_printf(&b, "%03d", 7);
	buf_add(&b, NULL, 0);
	is_int(buf_len(&b), 9, "length");
	is_str(buf_text(&b), "abcdef007", "in order");
	buf_drop(&b, 4);
	is_str(buf_text(&b), "ef007", "dropped at the head");
	buf_drop(&b, 5);
	is_int(buf_len(&b), 0, "to the last byte");
	ok(b.head == 0 && b.tail == 0, "an empty one starts at its beginning");
	memcpy(buf_reserve(&b, 5), "01234", 5);
	buf_commit(&b, 3);
	is_str(buf_text(&b), "012", "only what was committed counts");
	buf_clear(&b);
	ok(buf_len(&b) == 0 && b.cap > 0, "clear keeps the memory");
	buf_done(&b);
	ok(b.data == NULL && b.cap == 0, "done gives it back");
	buf_adds(&b, "again");
	is_str(buf_text(&b), "again", "and it may be used again");
	buf_done(&b);
}

static void
test_move(void)
{
	struct buf a = { 0 }, b = { 0 };

	buf_adds(&a, "0123456789");
	is_int(buf_move(&a, &b, 4), 4, "moved");
	is_int(buf_move(&a, &b, 100), 6, "no more than there is");
	is_int(buf_move(&a, &b, 1), 0, "nothing from nothing");
	is_str(buf_text(&b), "0123456789", "all of it, in order");
	buf_done(&a);
	buf_done(&b);
}

/* A queue against an array: random adds and drops, and memory that does not grow with what passes through. */
static void
test_random(void)
{
	enum { BYTES = 1 << 20 };
	unsigned char *all = malloc(BYTES);
	struct buf b = { 0 };
	size_t in = 0, out = 0, bad = 0, most = 0;

	srand(1);
	for (size_t i = 0; i < BYTES; i++)
		all[i] = (unsigned char)rand();
	while (out < BYTES) {
		size_t n = (size_t)(rand() % 700);

		if (in < BYTES && buf_len(&b) < 2000) {
			n = n > BYTES - in ? BYTES - in : n;
			buf_add(&b, all + in, n);
			in += n;
		} else {
			n = n > buf_len(&b) ? buf_len(&b) : n;
			bad += memcmp(buf_ptr(&b), all + out, n) != 0;
			buf_drop(&b, n);
			out += n;
		}
		bad += buf_len(&b) != in - out;
		most = b.cap > most ? b.cap : most;
	}
	is_int(bad, 0, "what comes out is what went in");
	ok(most <= 8192, "a queue of 2,700 bytes stays small");
	buf_done(&b);
	free(all);
}

int
main(void)
{
	test_queue();
	test_move();
	test_random();
	return tap_end();
}
