#ifndef POLICY_DOC_H
#define POLICY_DOC_H

struct buf;

/* The tables as Markdown, for README and docs/policy.md: the rows that judge are the rows that are printed.
 */

/* What a task may call, and what reaches the engine. */
void policy_doc_routes(struct buf *out);

/* Every parameter: what happens to it and why. */
void policy_doc_params(struct buf *out);

/* Routes that are refused with a word of their own. */
void policy_doc_refusals(struct buf *out);

#endif
