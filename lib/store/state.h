/*
 * What is remembered of a certificate beside itself, under
 * autocert/ISSUER/state/NAME.json: the options it was ordered with by hand,
 * its failures and when to try next, and what its deploy hooks have seen.
 *
 * Plain data.  A record that is missing or unusable is an empty one (with a
 * warning): nothing in it is needed to go on serving, or to order again.
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/err.h"
#include "base/name.h"
#include "pki/key.h"

struct store;

enum { STATE_CHALLENGES = 64, STATE_SERIAL = 96 };

struct state {
	/* as ordered by hand; n_names is 0 when it was not */
	struct identifier *names;
	size_t n_names;
	enum key_type key_type;
	bool must_staple;
	char challenges[STATE_CHALLENGES]; /* "http-01,tls-alpn-01" */
	char *deploy_hook;                 /* path, or NULL */

	/* failures in a row; none: the rest of this part is zero */
	unsigned failures;
	time_t failed_at, next_try;
	enum err_code code;
	char type[ERR_TYPE_MAX]; /* ACME problem type, or "" */
	char *text;              /* the last one, in words */
	char config[17];         /* what was asked for, hashed */

	/* serial (hex) of the certificate that the hooks have had */
	char deployed[STATE_SERIAL];
};

/* issuer and name as layout makes them. Always fills *out. */
void state_load(
    struct store *s, const char *issuer, const char *name, struct state *out);
int state_save(struct store *s, const char *issuer, const char *name,
    const struct state *state, struct err *err);
void state_release(struct state *state);

/* Certificates that have a record, as name_safe() spells them, sorted. */
struct strings;
int state_list(
    struct store *s, const char *issuer, struct strings *out, struct err *err);

/* Forgets the failures. */
void state_clear_failures(struct state *state);

#endif
