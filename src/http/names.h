#ifndef HTTP_NAMES_H
#define HTTP_NAMES_H

#include "http/head.h"

/* The method of that name, HTTP_NONE when no route can have it. Internal. */
enum http_method names_method(const char *name);

#endif
