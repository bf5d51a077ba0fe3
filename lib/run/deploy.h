/*
 * Deploying: telling the operator's programs that a certificate has changed.
 *
 * After each change the certificate's own hook is run, and every program in
 * the hooks' folder (as run-parts would), with the variables that certbot's
 * deploy hooks know, RENEWED_LINEAGE and RENEWED_DOMAINS, and ours,
 * AUTOCERT_NAME, AUTOCERT_NAMES, AUTOCERT_FOLDER, AUTOCERT_CERT, AUTOCERT_KEY,
 * AUTOCERT_EXPIRES (autocert-hook(7)).  What has been deployed is remembered by
 * its serial number in the certificate's state, so that a hook that failed is
 * run again by later runs until it succeeds, and a certificate renewed by
 * somebody else is noticed.
 */
#ifndef RUN_DEPLOY_H
#define RUN_DEPLOY_H

#include <stdbool.h>

struct certificate;
struct err;
struct state;
struct store;

struct deploy {
	struct store *store;
	const char *dir; /* of hooks for every certificate, or NULL */
	long timeout_ms; /* of each hook; 0: two minutes */
};

/* The certificate in place is not the one that the hooks have had.  A
 * certificate never deployed before counts only if a hook was ever asked for:
 * state->deployed is "" then, and there is a hook or a folder with some. */
bool deploy_pending(const struct deploy *d, const struct certificate *c,
    const struct state *state);

/*
 * Runs the hooks; on success state->deployed is set (the caller saves it).
 * ERR_HOOK with what failed: the files are safe.  hook is the certificate's
 * own, or NULL.  Without any hook: success.
 */
int deploy_run(const struct deploy *d, const struct certificate *c,
    const char *hook, struct state *state, struct err *err);

#endif
