/* Answers of S3: the walk through them, and what an error says. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/artifact/s3_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t count, stop;
};

static int
on_element(void *arg, const char *path, const char *text)
{
	struct seen *s = arg;

	if (*path == '\0' || path[strlen(path) - 1] == '/' || strlen(text) >= S3_TEXT_MAX)
		abort();
	return ++s->count == s->stop ? 7 : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size > 0 ? size : 1); /* its exact size: reading one byte too far is found */
	struct seen s = { 0, size > 0 ? data[0] : 0 };
	struct s3_error x;
	struct err e;
	int rc;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	rc = s3_xml_walk(text, size, on_element, &s, &e);
	if ((rc != 0 && rc != -1 && rc != 7) || (rc == 7) != (s.count == s.stop && s.count > 0) ||
	    (rc == 0 && s.count == 0))
		abort();
	if (s3_error_read(text, size, &x) && x.code[0] == '\0')
		abort();
	if (s3_find_run(text, size, "d/T/", 1000, &e) >= 1000)
		abort();
	free(text);
	return 0;
}
