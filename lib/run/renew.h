/*
 * Renewing: everything managed is brought up to date.
 *
 * A renewal is a list of certificates that are wanted.  For each it is decided
 * whether there is anything to do: none is there yet, it is for other names or
 * another kind of key, it is due, or a deploy hook still has to succeed; and
 * whether it may be done now, or an earlier failure says to wait.  Then the CA
 * is asked for renewal information where that is due (RFC 9773), what is due
 * is ordered, many at once, failures are remembered per certificate, and the
 * hooks are run.  One certificate never stops another.
 */
#ifndef RUN_RENEW_H
#define RUN_RENEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "run/issue.h"

struct deploy;

enum renew_state {
	RENEW_NONE,  /* nothing to do */
	RENEW_DUE,   /* to be ordered */
	RENEW_WAITS, /* to be ordered, but not before next_try */
	RENEW_BROKEN /* the store failed for it */
};

/* One certificate that is wanted. */
struct renew_want {
	struct issue_spec spec;  /* name, names: borrowed */
	const char *deploy_hook; /* path, or NULL */
	/* the renewal's own */
	enum renew_state state;
	bool ask;        /* the CA, for renewal information */
	bool changed;    /* issued in this run */
	time_t next_try; /* with RENEW_WAITS */
	struct err err;  /* why: due, waiting, failed */
};

struct renew_env {
	struct store *store;
	const char *issuer; /* folder name */
	const char *ca;     /* directory URL */
	bool force;
	time_t now;
};

/*
 * Decides about every want, without network.  n_due and n_ask count what needs
 * the CA; nothing does when both are 0.
 */
void renew_decide(const struct renew_env *env, struct renew_want *wants,
    size_t n, size_t *n_due, size_t *n_ask);

/*
 * Asks for renewal information where that is due, and decides again.  run must
 * have a directory; account is not needed.  A CA that does not answer is no
 * failure.
 */
int renew_ask(const struct renew_env *env, struct run *run,
    struct renew_want *wants, size_t n, struct err *err);

/*
 * Orders what is due.  Each result goes to report, as issue_add()'s does; each
 * failure is remembered, each success forgets.
 */
int renew_order(const struct renew_env *env, const struct issue_env *issue,
    struct renew_want *wants, size_t n, issue_report *report, void *arg,
    struct err *err);

/*
 * Runs the deploy hooks of what changed, in this run or by somebody else, or
 * failed before.  ERR_NONE, or ERR_HOOK; each failure is logged.
 */
enum err_code renew_deploy(const struct renew_env *env,
    const struct deploy *deploy, const struct renew_want *wants, size_t n);

#endif
