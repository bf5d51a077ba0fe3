#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/log.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/issued.h"
#include "cmd/managed.h"
#include "pki/idna.h"
#include "run/deploy.h"
#include "run/renew.h"
#include "run/run.h"
#include "solver/solver.h"
#include "store/state.h"
#include "store/store.h"

enum { OPT_DRY_RUN = 1, OPT_FORCE, OPT_JOBS, OPT_LIST_DUE };

static struct {
	bool dry_run, force, list_due;
	long jobs;
} opt;

static int
option(int val, const char *arg, struct err *err)
{
	switch (val) {
	case OPT_DRY_RUN:
		opt.dry_run = true;
		return 0;
	case OPT_FORCE:
		opt.force = true;
		return 0;
	case OPT_LIST_DUE:
		opt.list_due = true;
		return 0;
	default:
		return issued_jobs(arg, &opt.jobs, err);
	}
}

static const struct option options[] = {
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"force", no_argument, NULL, OPT_FORCE},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"list-due", no_argument, NULL, OPT_LIST_DUE},
    {NULL, 0, NULL, 0},
};

static const struct cmd cmd = {.name = "autocert-renew",
    .usage = "autocert-renew [-qv] [-c file] [--ca url] [--dir path] "
             "[--dry-run]\n"
             "    [--email address] [--exit-unchanged n] [--force] [--jobs n] "
             "[--json]\n"
             "    [--list-due] [--lock-wait seconds] [--must-staple] "
             "[--staging]\n"
             "    [--trusted-ca base64] [--trusted-ca-file file] "
             "[--trusted-ca-only]\n"
             "    [name ...]",
    .options = options,
    .option = option};

/* Everything wanted, and what has become of it. */
struct renewal_run {
	struct ca ca;
	struct managed managed;
	struct state *by_hand; /* own what wants borrow */
	struct strings by_hand_names;
	struct renew_want *wants;
	size_t n, cap;
	struct err_tally tally;
	enum err_code deployed; /* ERR_NONE, or what a hook failed with */
	bool changed;
};

/* -- what is wanted -- */

static struct renew_want *
add_want(struct renewal_run *r)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->wants = xrealloc(r->wants, r->cap, sizeof(*r->wants));
	}
	r->wants[r->n] = (struct renew_want){.deploy_hook = NULL};
	return &r->wants[r->n++];
}

/* folder: as name_safe() spells a certificate's name. */
static bool
have_want(const struct renewal_run *r, const char *folder)
{
	char safe[NAME_MAX_LEN + 1];

	for (size_t i = 0; i < r->n; i++)
		if (name_safe(r->wants[i].spec.name, safe, sizeof(safe)) == 0 &&
		    strcmp(safe, folder) == 0)
			return true;
	return false;
}

/* Manual certificates that are valid now cover every name. */
static bool
is_manual(const struct renewal_run *r, const struct managed_cert *m, time_t now)
{
	const struct manual_cert *expired, *found;
	char date[DATE_MAX];

	if (r->managed.order_covered)
		return false;
	for (size_t i = 0; i < m->n_names; i++) {
		found = manual_find(
		    &r->managed.manual, &m->names[i], now, &expired);
		if (expired)
			log_warn(m->names[i].value,
			    "the manual certificate "
			    "%s has expired",
			    expired->where);
		if (!found)
			return false;
		if (found->cert.not_after - now <
		    (found->cert.not_after - found->cert.not_before) / 10)
			log_warn(m->names[i].value,
			    "the manual certificate "
			    "%s expires %s",
			    found->where,
			    date_format(found->cert.not_after, date));
	}
	log_info(m->name, "a manual certificate covers it");
	return true;
}

static void
want_managed(struct renewal_run *r, const struct managed_cert *m)
{
	struct renew_want *w;

	if (is_manual(r, m, time(NULL)))
		return;
	w = add_want(r);
	w->deploy_hook = m->deploy_hook;
	w->spec = (struct issue_spec){.name = m->name,
	    .names = m->names,
	    .n_names = m->n_names,
	    .key_type = m->key_type,
	    .must_staple = m->must_staple,
	    .n_challenges = m->n_challenges};
	memcpy(w->spec.challenges, m->challenges, sizeof(m->challenges));
}

/* What a record says may have been written by anybody: it is checked again,
 * and one that is no good costs only itself. */
static int
spec_by_hand(const char *name, const struct state *st, struct issue_spec *spec,
    struct err *err)
{
	*spec = (struct issue_spec){.name = name,
	    .names = st->names,
	    .n_names = st->n_names,
	    .key_type = st->key_type,
	    .must_staple = st->must_staple};
	if (solver_parse(st->challenges, spec->challenges, &spec->n_challenges,
	        err) == -1)
		return -1;
	for (size_t i = 0; i < st->n_names; i++)
		if (solver_check(&st->names[i], spec->challenges,
		        spec->n_challenges, err) == -1)
			return -1;
	return 0;
}

static void
want_record(struct renewal_run *r, const char *name, struct state *st)
{
	struct issue_spec spec;
	struct err err = ERR_INIT;
	struct renew_want *w;

	state_load(r->ca.store, r->ca.issuer, name, st);
	if (!st->n_names || have_want(r, name))
		return;
	if (spec_by_hand(name, st, &spec, &err) == -1) {
		err_wrap(&err, "what is remembered of its order");
		err_tally_add(&r->tally, ERR_DATA);
		log_err(name, &err);
		return;
	}
	w = add_want(r);
	w->deploy_hook = st->deploy_hook;
	w->spec = spec;
}

/* What was ordered by hand, unless the configuration has it too. */
static int
want_by_hand(struct renewal_run *r, struct err *err)
{
	if (state_list(r->ca.store, r->ca.issuer, &r->by_hand_names, err) == -1)
		return -1;
	r->by_hand = xcalloc(r->by_hand_names.n + 1, sizeof(*r->by_hand));
	for (size_t i = 0; i < r->by_hand_names.n; i++)
		want_record(r, r->by_hand_names.v[i], &r->by_hand[i]);
	return 0;
}

/* Operands restrict to certificates of those names, or with them in it. */
static bool
is_meant(const struct renew_want *w, const char *operand)
{
	struct identifier id;

	if (strcmp(w->spec.name, operand) == 0)
		return true;
	if (idna_identifier(operand, &id, NULL) == -1)
		return false;
	for (size_t i = 0; i < w->spec.n_names; i++)
		if (identifier_equal(&w->spec.names[i], &id))
			return true;
	return false;
}

/* An operand that means nothing is told, and costs only itself. */
static void
unknown(struct renewal_run *r, const char *operand)
{
	struct err err;

	err_clear(&err);
	err_set(&err, ERR_ABSENT,
	    "it is not managed: neither in the "
	    "configuration nor ordered by hand");
	err_tally_add(&r->tally, err.code);
	log_err(operand, &err);
}

static void
restrict_to(struct renewal_run *r, char *const *operands, int n)
{
	size_t kept = 0;
	bool *meant = xcalloc(r->n + 1, sizeof(*meant));

	for (int i = 0; i < n; i++) {
		bool found = false;

		for (size_t j = 0; j < r->n; j++)
			if (is_meant(&r->wants[j], operands[i]))
				meant[j] = found = true;
		if (!found)
			unknown(r, operands[i]);
	}
	for (size_t j = 0; n && j < r->n; j++)
		if (meant[j])
			r->wants[kept++] = r->wants[j];
	if (n)
		r->n = kept;
	free(meant);
}

static int
gather(struct renewal_run *r, char *const *operands, int n, struct err *err)
{
	if (managed_load(&shared.settings, &r->managed, err) == -1)
		return -1;
	for (size_t i = 0; i < r->managed.n; i++)
		want_managed(r, &r->managed.v[i]);
	if (want_by_hand(r, err) == -1)
		return -1;
	restrict_to(r, operands, n);
	return 0;
}

/* -- doing it -- */

static void
report(void *arg, const struct issue_spec *spec, enum issue_outcome outcome,
    const struct err *err)
{
	struct renewal_run *r = arg;

	err_tally_add(&r->tally, err ? err->code : ERR_NONE);
	if (err)
		log_err(spec->name, err);
	if (outcome == ISSUE_INSTALLED) {
		r->changed = true;
		issued_print(r->ca.store, r->ca.issuer, spec->name);
	}
}

/* What is not ordered now: nothing to do, not yet, or not at all. */
static void
tally_others(struct renewal_run *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct renew_want *w = &r->wants[i];

		if (w->state == RENEW_DUE)
			continue;
		if (w->state == RENEW_NONE)
			log_debug(w->spec.name, "nothing to do");
		else if (w->state == RENEW_WAITS)
			log_info(w->spec.name, "%s", w->err.text);
		else
			log_err(w->spec.name, &w->err);
		err_tally_add(
		    &r->tally, w->state == RENEW_NONE ? ERR_NONE : w->err.code);
	}
}

static void
list_due(const struct renewal_run *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct renew_want *w = &r->wants[i];

		if (w->state != RENEW_DUE)
			continue;
		if (opt.list_due)
			printf("%s\n", w->spec.name);
		else
			printf("%s\twould be ordered: %s\n", w->spec.name,
			    w->err.text);
	}
}

static size_t
count_due(const struct renewal_run *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->wants[i].state == RENEW_DUE;
	return n;
}

static int
order_due(struct renewal_run *r, const struct renew_env *env, struct err *err)
{
	struct issue_env issue = {.run = r->ca.run,
	    .store = r->ca.store,
	    .issuer = r->ca.issuer,
	    .ca = r->ca.settings->ca,
	    .lock_wait_ms = shared.lock_wait_ms};

	if (store_probe(r->ca.store, err) == -1 ||
	    ca_account(&r->ca, shared.lock_wait_ms, err) == -1)
		return -1;
	issue.account_url = r->ca.account_url;
	issue.account_key = r->ca.account_key;
	if (renew_order(env, &issue, r->wants, r->n, report, r, err) == -1)
		return -1;
	return renew_ask(env, r->ca.run, r->wants, r->n, err);
}

/* Nothing is asked of the CA when there is nothing to ask. */
static int
ask_ca(struct renewal_run *r, const struct renew_env *env, struct err *err)
{
	size_t due, ask;

	renew_decide(env, r->wants, r->n, &due, &ask);
	if (opt.list_due || opt.dry_run)
		due = 0;
	if (!due && !ask)
		return 0;
	if (ca_open(&r->ca, (size_t)opt.jobs, err) == -1)
		return -1;
	return renew_ask(env, r->ca.run, r->wants, r->n, err);
}

static int
renew(struct renewal_run *r, struct err *err)
{
	const struct renew_env env = {.store = r->ca.store,
	    .issuer = r->ca.issuer,
	    .ca = shared.settings.ca,
	    .force = opt.force,
	    .now = time(NULL)};
	const struct deploy deploy = {.store = r->ca.store,
	    .dir = r->managed.hooks_dir,
	    .timeout_ms = r->managed.hook_timeout_ms};
	int rc = ask_ca(r, &env, err);

	tally_others(r);
	if (opt.list_due || opt.dry_run) {
		list_due(r);
		return rc;
	}
	if (rc == 0 && count_due(r))
		rc = order_due(r, &env, err);
	/* also when the CA cannot be reached: what changed is in the store */
	r->deployed = renew_deploy(&env, &deploy, r->wants, r->n);
	return rc;
}

static void
release(struct renewal_run *r)
{
	for (size_t i = 0; i < r->by_hand_names.n; i++)
		state_release(&r->by_hand[i]);
	free(r->by_hand);
	strings_release(&r->by_hand_names);
	free(r->wants);
	managed_release(&r->managed);
	ca_close(&r->ca);
}

int
main(int argc, char **argv)
{
	struct renewal_run r = {.wants = NULL};
	struct err err = ERR_INIT;
	int first = cmd_start(&cmd, argc, argv), status;

	if (!shared.settings.autocert) {
		log_warn(NULL,
		    "autocert is off: nothing is done (set "
		    "\"autocert: true\" or AUTOCERT=true)");
		return cmd_finish(shared.exit_unchanged);
	}
	if (ca_open_store(&r.ca, &shared.settings, &err) == 0 &&
	    gather(&r, argv + first, argc - first, &err) == 0)
		renew(&r, &err);
	if (err.code)
		err_tally_add(&r.tally, (enum err_code)cmd_fail(NULL, &err));
	status = (int)err_tally_result(&r.tally);
	if (status == 0)
		status = (int)r.deployed;
	if (status == 0 && !r.changed)
		status = shared.exit_unchanged;
	release(&r);
	return cmd_finish(status);
}
