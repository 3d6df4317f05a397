#ifndef IO_GATE_WIRE_H
#define IO_GATE_WIRE_H

#include <stdint.h>

#include "policy/call.h"

/* What passes between front and gate: one datagram each, native byte order (same machine, same build). */
enum gate_kind {
	GATE_CALL = 1, /* ticket, then a call */
	GATE_POLICY,   /* ns, then JSON text of the policy given; empty text forgets it */
	GATE_LOAD,     /* ticket: read the settings file; the answer is its descriptor, text its SHA-256 */
	GATE_SWITCH,   /* version: what was read is what judges calls from here on */
	GATE_RELEASE,  /* no call comes any more that the policies before judged */
};

struct gate_ask {
	uint32_t kind;
	uint32_t ticket;
	char ns[24];
	uint32_t len; /* bytes behind this head */
	uint32_t version;
};

struct gate_reply { /* with the descriptor in SCM_RIGHTS when status is 0 */
	uint32_t ticket;
	uint32_t status;   /* HTTP status of a refusal */
	uint32_t replaced; /* it is "policy-replaced" */
	char text[512];
};

enum { GATE_MESSAGE_MAX = sizeof(struct gate_ask) + sizeof(struct call) };

/* The gate's own loop; returns when the front has closed its end. */
struct gate_policies;
void gate_serve(int fd, const char *engine, struct gate_policies *policies);

#endif
