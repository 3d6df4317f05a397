#include "read.h"

#include <http_parser.h>
#include <string.h>

#include "base/err.h"

enum piece { PIECE_NONE, PIECE_TARGET, PIECE_NAME, PIECE_VALUE };

struct reader {
	struct reading *r;
	enum piece last;
	char *start; /* of the last piece */
	char *at;    /* where the next byte goes */
	int complete;
};

/* Blanks around a value are not part of it (RFC 9112 5.1); http-parser leaves those behind it. */
static void
end_piece(struct reader *s)
{
	if (s->last == PIECE_NONE)
		return;
	if (s->last == PIECE_VALUE)
		while (s->at > s->start && (s->at[-1] == ' ' || s->at[-1] == '\t'))
			s->at--;
	*s->at++ = '\0';
}

static int
add(http_parser *p, enum piece piece, const char *bytes, size_t len)
{
	struct reader *s = p->data;

	if (s->last != piece) {
		end_piece(s);
		s->start = s->at;
		s->last = piece;
		s->r->fields += piece == PIECE_NAME;
	}
	memcpy(s->at, bytes, len);
	s->at += len;
	return 0;
}

static int
on_target(http_parser *p, const char *bytes, size_t len)
{
	return add(p, PIECE_TARGET, bytes, len);
}

static int
on_name(http_parser *p, const char *bytes, size_t len)
{
	struct reader *s = p->data;

	add(p, PIECE_NAME, bytes, len);
	for (char *c = s->at - len; c < s->at; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return 0;
}

static int
on_value(http_parser *p, const char *bytes, size_t len)
{
	return add(p, PIECE_VALUE, bytes, len);
}

static int
on_complete(http_parser *p)
{
	struct reader *s = p->data;

	end_piece(s);
	s->last = PIECE_NONE;
	s->complete = 1;
	s->r->minor = p->http_minor;
	s->r->status = p->status_code;
	return 0;
}

static const http_parser_settings callbacks = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_complete,
};

/* What it finds before fields.c can; the rest of its errors speak for themselves. */
static const struct {
	enum http_errno no;
	int status;
	const char *rule;
	const char *text;
} errors[] = {
	{ HPE_UNEXPECTED_CONTENT_LENGTH, 400, "http-framing",
	    "Content-Length comes twice or beside Transfer-Encoding, expected one of them, once" },
	{ HPE_INVALID_CONTENT_LENGTH, 400, "http-content-length",
	    "Content-Length is not a plain decimal number (no sign, no leading zero, below 2^63)" },
	{ HPE_INVALID_TRANSFER_ENCODING, 501, "http-transfer-encoding",
	    "Transfer-Encoding is not accepted, expected 'chunked'" },
};

static int
explain(enum http_errno no, struct err *e)
{
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
		if (errors[i].no == no)
			return err_refuse(e, errors[i].status, errors[i].rule, "%s", errors[i].text);
	return err_refuse(e, 400, "http-syntax", "the head is not HTTP/1.1: %s", http_errno_description(no));
}

static int
run(struct reading *r, http_parser *p, const char *method, const char *rest, size_t len, struct err *e)
{
	struct reader s = { .r = r, .at = r->text };

	p->data = &s;
	p->allow_chunked_length = 1; /* fields.c refuses both lengths, and says why */
	r->fields = 0;
	if (method != NULL)
		(void)http_parser_execute(p, &callbacks, method, strlen(method));
	(void)http_parser_execute(p, &callbacks, rest, len);
	if (HTTP_PARSER_ERRNO(p) != HPE_OK)
		return explain(HTTP_PARSER_ERRNO(p), e);
	if (!s.complete)
		return err_refuse(e, 400, "http-syntax", "the head is not HTTP/1.1");
	return 0;
}

int
read_request(struct reading *r, const char *method, const char *rest, size_t len, struct err *e)
{
	http_parser p;

	http_parser_init(&p, HTTP_REQUEST);
	return run(r, &p, method, rest, len, e);
}

int
read_response(struct reading *r, const char *head, size_t len, struct err *e)
{
	http_parser p;

	http_parser_init(&p, HTTP_RESPONSE);
	return run(r, &p, NULL, head, len, e);
}
