/* Runs a fuzz target over the files named on the command line: a corpus as a test, with any compiler. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(1 << 20);
	size_t n;

	if (f == NULL || data == NULL) {
		perror(path);
		free(data);
		return 1;
	}
	n = fread(data, 1, 1 << 20, f);
	fclose(f);
	data = realloc(data, n ? n : 1); /* exact size: ASan sees one byte too many */
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		failed |= replay(argv[i]);
		printf("%s %d - %s\n", failed ? "not ok" : "ok", i, argv[i]);
	}
	printf("1..%d\n", argc - 1);
	return failed;
}
