#include "base/base64.h"

#include "base/buf.h"
#include "tap.h"

/* RFC 4648 section 10. */
static const char *const good[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };

static const char *const bad[] = { "Zg", "Zg=", "Zh==", "Zm9", "Zm9=", "Zm8=Zm8=", "Zm9v\n", " Zm9v", "Zm-_",
	"Zm9vYg==\n\n\n\n", "====", "A===", "=", "Zm9v====", "Z\0==" };

static void
test_long(void)
{
	struct buf bytes = { 0 }, text = { 0 }, back = { 0 };

	for (int i = 0; i < 800000; i++)
		buf_add(&bytes, "\x00\xff\x10\x7f\x80", 5);
	base64_add(&text, buf_ptr(&bytes), buf_len(&bytes));
	is_int(buf_len(&text), (buf_len(&bytes) + 2) / 3 * 4, "4 MB: as long as it should be");
	is_int(base64_read(buf_text(&text), buf_len(&text), &back), 0, "4 MB: read back");
	ok(buf_len(&back) == buf_len(&bytes) && memcmp(buf_ptr(&back), buf_ptr(&bytes), buf_len(&back)) == 0,
	    "4 MB: the same bytes");
	buf_done(&bytes);
	buf_done(&text);
	buf_done(&back);
}

int
main(void)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct buf out = { 0 };

		buf_adds(&out, "x");
		base64_add(&out, good[i][0], strlen(good[i][0]));
		is_str(buf_text(&out) + 1, good[i][1], "written behind what was there");
		buf_clear(&out);
		is_int(base64_read(good[i][1], strlen(good[i][1]), &out), 0, good[i][1]);
		is_str(buf_text(&out), good[i][0], "read back");
		buf_done(&out);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf out = { 0 };
		size_t len = bad[i][0] == 'Z' && bad[i][1] == '\0' ? 4 : strlen(bad[i]);

		is_int(base64_read(bad[i], len, &out), -1, "not what base64_add() writes");
		is_int(buf_len(&out), 0, "nothing was added");
		buf_done(&out);
	}
	test_long();
	return tap_end();
}
