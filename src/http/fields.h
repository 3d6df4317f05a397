#ifndef HTTP_FIELDS_H
#define HTTP_FIELDS_H

#include "http/head.h"

struct err;

/* What the fields of a parsed head mean: framing, keep_alive, expect_continue, upgrade. Internal; pure. */
int fields_of_request(struct http_head *h, struct err *e);
int fields_of_response(struct http_head *h, enum http_method asked, struct err *e);

#endif
