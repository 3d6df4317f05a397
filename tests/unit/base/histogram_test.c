#include "base/histogram.h"

#include <string.h>

#include "base/buf.h"
#include "tap.h"

int
main(void)
{
	static const int64_t times[] = { 0, 1, 2, 700, 3600000, 3600001, -5 };
	struct histogram h = { { 0 }, 0, 0 };
	struct buf out = { 0 };
	const char *text;

	histogram_print(&h, "empty", "", &out);
	ok(strstr(buf_text(&out), "empty_bucket{le=\"0.001\"} 0\n") != NULL, "an empty one has all bounds");
	ok(strstr(buf_text(&out), "empty_sum 0.000\nempty_count 0\n") != NULL,
	    "and no braces without labels");
	buf_clear(&out);
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		histogram_add(&h, times[i]);
	histogram_print(&h, "t", "route=\"build\"", &out);
	text = buf_text(&out);
	ok(strstr(text, "t_bucket{route=\"build\",le=\"0.001\"} 3\n") != NULL, "a bound is part of its own");
	ok(strstr(text, "t_bucket{route=\"build\",le=\"0.005\"} 4\n") != NULL, "counts add up");
	ok(strstr(text, "t_bucket{route=\"build\",le=\"2.5\"} 5\n") != NULL, "to the next");
	ok(strstr(text, "t_bucket{route=\"build\",le=\"3600\"} 6\n") != NULL, "an hour");
	ok(strstr(text, "t_bucket{route=\"build\",le=\"+Inf\"} 7\n") != NULL, "and more");
	ok(strstr(text, "t_sum{route=\"build\"} 7200.704\n") != NULL,
	    "the sum in seconds; a clock never runs back");
	ok(strstr(text, "t_count{route=\"build\"} 7\n") != NULL, "all of them");
	buf_done(&out);
	return tap_end();
}
