/*
 * What is managed: the certificates that the configuration wants.
 *
 *  - one for each host name of Pomerium's routes (cmd/pomerium.h);
 *  - one for each name in autocert_hosts, for people without Pomerium;
 *  - one for each entry of autocert_certificates, with its own options.
 *
 * An entry with the same certificate name as one before it replaces it.  The
 * certificates ordered by hand are not here: they are remembered in the store
 * (store/state.h).
 */
#ifndef CMD_MANAGED_H
#define CMD_MANAGED_H

#include <stdbool.h>
#include <stddef.h>

#include "acme/authz.h"
#include "base/name.h"
#include "pki/key.h"
#include "run/manual.h"

struct err;
struct settings;

/* The options of one certificate: autocert-order's, as members of an entry. */
struct managed_cert {
	char *name; /* certificate name */
	struct identifier *names;
	size_t n_names;
	enum key_type key_type;
	bool must_staple;
	enum challenge_type challenges[4];
	size_t n_challenges;
	char *deploy_hook; /* path, or NULL */
	char *where;       /* "FILE:LINE" or a variable, for messages */
};

struct managed {
	struct managed_cert *v;
	size_t n;
	struct manual manual; /* what the operator brings himself */
	bool order_covered;   /* autocert_order_covered_names */
	char *hooks_dir;      /* autocert_deploy_hooks */
	long hook_timeout_ms; /* autocert_hook_timeout */
};

/*
 * Reads it all from the configuration file of the settings and the
 * environment.  A route that cannot be managed is skipped with a warning; an
 * entry of ours that is no good is ERR_CONFIG with its line.
 */
int managed_load(
    const struct settings *settings, struct managed *out, struct err *err);
void managed_release(struct managed *m);

#endif
