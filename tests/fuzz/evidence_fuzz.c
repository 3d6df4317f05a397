/*
 * What `artifact verify` reads of others: a record, a NUL, an envelope. Whatever is accepted as a record has
 * a statement that is about it; no signature is good; no reason moves a terminal's cursor.
 */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sign.h"
#include "cli/verify.h"
#include "task/evidence.h"
#include "task/provenance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of RFC 8032, TEST 1; no seed is signed with it. */
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                 "-----END PUBLIC KEY-----\n";

static void
check(int good)
{
	if (!good)
		abort();
}

/* jansson quotes the text that it cannot read; all other reasons are ours. */
static void
check_reason(const struct err *e)
{
	check(e->text[0] != '\0');
	for (const char *p = e->text; *p != '\0' && strstr(e->text, " near ") == NULL; p++)
		check((unsigned char)*p >= 0x20);
}

static json_t *
read_record(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	json_t *record = verify_record(data, size, &e), *statement, *again;
	char *text;

	if (record == NULL) {
		check_reason(&e);
		return NULL;
	}
	statement = provenance_statement(record);
	check(statement != NULL && provenance_compare(statement, record, &e) == 0);
	text = provenance_text(statement);
	again = json_parse(text, strlen(text), &e);
	check(json_equal(again, statement));
	json_decref(again);
	json_decref(statement);
	free(text);
	return record;
}

static void
read_statement(const uint8_t *data, size_t size, const json_t *record, const struct sign_key *key)
{
	struct err e = { 0 };
	json_t *statement = verify_statement(data, size, NULL, &e), *inside;
	const json_t *of;

	if (statement == NULL) {
		check_reason(&e);
		return;
	}
	check(verify_statement(data, size, key, &e) == NULL);
	of = provenance_record(statement, &e);
	if (of != NULL && evidence_read((json_t *)(uintptr_t)of, &inside, &e) == 0) {
		if (provenance_compare(statement, inside, &e) < 0)
			check_reason(&e);
		json_decref(inside);
	}
	if (record != NULL && provenance_compare(statement, record, &e) < 0)
		check_reason(&e);
	json_decref(statement);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sign_key *key;
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t first = nul != NULL ? (size_t)(nul - data) : size;
	struct err e = { 0 };
	json_t *record;

	if (key == NULL)
		key = sign_key_parse(public_pem, strlen(public_pem), SIGN_PUBLIC, &e);
	check(key != NULL);
	record = read_record(data, first);
	if (nul != NULL)
		read_statement(nul + 1, size - first - 1, record, key);
	json_decref(record);
	return 0;
}
