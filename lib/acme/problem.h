/*
 * Problem documents (RFC 7807 as ACME uses it, RFC 8555, 6.7) into struct err.
 *
 * One table gives each problem type its exit status and a hint of what to do;
 * types it does not know go by the HTTP status.  Text from the server is
 * shown, never parsed.
 */
#ifndef ACME_PROBLEM_H
#define ACME_PROBLEM_H

#include <stdbool.h>

struct answer;
struct err;
struct json;

/*
 * 0 for an answer of 200 to 299.  Otherwise -1 with err filled from the
 * problem document, or from the status when there is none:
 * "what: the CA says TYPE: DETAIL; NAME: SUBPROBLEM...".  err->http and, for
 * ACME's own types, err->type are set.
 */
int
problem_check(const char *what, const struct answer *answer, struct err *err);

/* The same from a problem object inside another: a challenge's "error". */
int problem_read(const char *what, const struct json *problem, struct err *err);

/* err carries this ACME problem type ("badNonce"). */
bool problem_is(const struct err *err, const char *type);

/* A failed validation that another challenge type might not suffer from:
 * connection, dns, serverInternal, unauthorized, tls, incorrectResponse. */
bool problem_of_validation(const struct err *err);

#endif
