/*
 * Issuing: what an order wants of this machine.
 *
 * An issue is one certificate to be ordered: it waits for the certificate's
 * lock, looks again whether the order is still needed, resumes the journalled
 * order or begins a new one, keeps the key and the order's URL durable, makes
 * challenges true, commits the result, and tidies up.  When a validation
 * fails and another challenge type is wanted, it orders once more with the
 * types that are left.
 */
#ifndef RUN_ISSUE_H
#define RUN_ISSUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme/authz.h"
#include "base/err.h"
#include "base/name.h"
#include "pki/key.h"

struct run;
struct store;

struct issue_spec {
	const char *name; /* certificate name */
	const struct identifier *names;
	size_t n_names;
	enum key_type key_type;
	bool must_staple;
	bool force; /* although not due */
	enum challenge_type challenges[4];
	size_t n_challenges;
	bool renew; /* say which certificate it replaces */
};

/* What all issues of a run share. */
struct issue_env {
	struct run *run;
	struct store *store;
	const char *issuer; /* folder name */
	const char *ca;     /* directory URL */
	const char *account_url;
	const struct key *account_key;
	int64_t lock_wait_ms; /* 0: do not wait */
};

enum issue_outcome { ISSUE_FAILED, ISSUE_UNCHANGED, ISSUE_INSTALLED };

/* Called once for each issue; err is NULL unless it failed. */
typedef void issue_report(void *arg, const struct issue_spec *spec,
    enum issue_outcome outcome, const struct err *err);

/* Adds the issue to the run. spec is copied, names with it; env is borrowed
 * until run_all() has returned. */
int issue_add(const struct issue_env *env, const struct issue_spec *spec,
    issue_report *report, void *arg, struct err *err);

/*
 * Whether the store's certificate of that name already answers the spec: same
 * names, key type and must-staple, its key fits, and not due.  0 yes; -1 with
 * err->code ERR_ABSENT and the reason when an order is needed; -1 with another
 * code when the store failed.
 */
int issue_needless(struct store *store, const char *issuer,
    const struct issue_spec *spec, struct err *err);

/* A run that was killed has left something of this certificate's order, which
 * issue_add() would finish or tidy up. */
bool issue_unfinished(
    struct store *store, const char *issuer, const struct issue_spec *spec);

#endif
