/*
 * Solvers: making a challenge come true.
 *
 * A solver is a row of one table: which challenge type it serves, for which
 * identifiers, and the two acts, present and cleanup.  http-01 and tls-alpn-01
 * are both solved by putting the challenge where a responder finds it, in the
 * store's challenge_tokens (RFC 8555, 8.3; RFC 8737): autocert-serve-challenge,
 * Pomerium or Caddy answer from there.
 */
#ifndef SOLVER_SOLVER_H
#define SOLVER_SOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/authz.h"

struct err;
struct order_challenge;
struct store;

struct solver_env {
	struct store *store;
	const char *issuer;
};

struct solver {
	enum challenge_type type;
	bool for_ip;       /* may prove an address (RFC 8738) */
	bool for_wildcard; /* may prove a wildcard (RFC 8555, 8.4) */
	int (*present)(const struct solver_env *env,
	    const struct order_challenge *c, struct err *err);
	int (*cleanup)(const struct solver_env *env,
	    const struct order_challenge *c, struct err *err);
};

/*
 * Withdraws what a run that was killed left for id: a token of this account's
 * (thumbprint) under its name.  Nobody else's is touched.
 */
int solver_withdraw(const struct solver_env *env, const struct identifier *id,
    const char *thumbprint, struct err *err);

/* NULL when there is no solver for that type. */
const struct solver *solver_find(enum challenge_type type);

/*
 * A list of challenge types as people write it, "http-01,tls-alpn-01", best
 * first, each of which has a solver.  ERR_USAGE.
 */
enum { SOLVER_TYPES = 4 };
int solver_parse(const char *list, enum challenge_type out[SOLVER_TYPES],
    size_t *n, struct err *err);

/*
 * Whether some of the wanted types can prove the identifier; ERR_USAGE with
 * what to do otherwise ("a wildcard can only be proved by dns-01").
 */
int solver_check(const struct identifier *id, const enum challenge_type *wanted,
    size_t n, struct err *err);

#endif
