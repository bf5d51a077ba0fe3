#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/name.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/issued.h"
#include "pki/idna.h"
#include "run/deploy.h"
#include "run/issue.h"
#include "run/renew.h"
#include "run/run.h"
#include "solver/solver.h"
#include "store/state.h"
#include "store/store.h"

enum {
	OPT_CERT_NAME = 1,
	OPT_CHALLENGE,
	OPT_DEPLOY_HOOK,
	OPT_FORCE,
	OPT_JOBS,
	OPT_KEY_TYPE
};

enum { LINE_NAMES_MAX = 100, LINES_MAX = 10000 };

static struct {
	const char *cert_name, *challenge, *deploy_hook;
	bool force;
	long jobs;
	enum key_type key_type;
	enum challenge_type challenges[4];
	size_t n_challenges;
} opt = {.key_type = KEY_P256,
    .challenge = "http-01,tls-alpn-01",
    .challenges = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01},
    .n_challenges = 2};

/* One certificate to be ordered. */
struct want {
	struct issue_spec spec;
	struct identifier *names;
	bool issued;
};

static struct {
	struct want *v;
	size_t n, cap;
	struct err_tally tally;
	bool changed;
} wants;

/* -- options -- */

static int
option(int val, const char *arg, struct err *err)
{
	switch (val) {
	case OPT_CERT_NAME:
		opt.cert_name = arg;
		return 0;
	case OPT_CHALLENGE:
		opt.challenge = arg;
		return solver_parse(
		    arg, opt.challenges, &opt.n_challenges, err);
	case OPT_DEPLOY_HOOK:
		opt.deploy_hook = arg;
		if (*arg == '/')
			return 0;
		return err_set(err, ERR_USAGE,
		    "--deploy-hook %s: an absolute path is wanted", arg);
	case OPT_FORCE:
		opt.force = true;
		return 0;
	case OPT_JOBS:
		return issued_jobs(arg, &opt.jobs, err);
	default:
		if (key_type_parse(arg, &opt.key_type) == -1)
			return err_set(err, ERR_USAGE,
			    "--key-type %s: p256, "
			    "p384, rsa2048, rsa3072 or rsa4096 is wanted",
			    arg);
		return 0;
	}
}

static const struct option options[] = {
    {"cert-name", required_argument, NULL, OPT_CERT_NAME},
    {"challenge", required_argument, NULL, OPT_CHALLENGE},
    {"deploy-hook", required_argument, NULL, OPT_DEPLOY_HOOK},
    {"force", no_argument, NULL, OPT_FORCE},
    {"jobs", required_argument, NULL, OPT_JOBS},
    {"key-type", required_argument, NULL, OPT_KEY_TYPE},
    {NULL, 0, NULL, 0},
};

static const struct cmd cmd = {.name = "autocert-order",
    .usage = "autocert-order [-qv] [-c file] [--ca url] [--cert-name name] "
             "[--challenge list]\n"
             "    [--deploy-hook path] [--dir path] [--email address] "
             "[--exit-unchanged n]\n"
             "    [--force] [--jobs n] [--json] [--key-type type] "
             "[--lock-wait seconds]\n"
             "    [--must-staple] [--staging] [--trusted-ca base64] "
             "[--trusted-ca-file file]\n"
             "    [--trusted-ca-only] name ... | -",
    .options = options,
    .shorts = "",
    .option = option};

/* -- what is wanted -- */

static bool
have_name(const struct identifier *names, size_t n, const struct identifier *id)
{
	for (size_t i = 0; i < n; i++)
		if (identifier_equal(&names[i], id))
			return true;
	return false;
}

static int
add_want(char *const *texts, size_t n, struct err *err)
{
	struct identifier *names = xcalloc(n, sizeof(*names));
	struct issue_spec *spec;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (idna_identifier(texts[i], &names[kept], err) == -1 ||
		    solver_check(&names[kept], opt.challenges, opt.n_challenges,
		        err) == -1) {
			free(names);
			return -1;
		}
		kept += !have_name(names, kept, &names[kept]);
	}
	if (wants.n == wants.cap) {
		wants.cap = wants.cap ? 2 * wants.cap : 8;
		wants.v = xrealloc(wants.v, wants.cap, sizeof(*wants.v));
	}
	wants.v[wants.n] = (struct want){.names = names};
	spec = &wants.v[wants.n++].spec;
	*spec = (struct issue_spec){
	    .name = opt.cert_name ? opt.cert_name : names[0].value,
	    .names = names,
	    .n_names = kept,
	    .key_type = opt.key_type,
	    .must_staple = shared.settings.must_staple,
	    .force = opt.force,
	    .n_challenges = opt.n_challenges};
	memcpy(spec->challenges, opt.challenges, sizeof(spec->challenges));
	return 0;
}

/* A line of names; empty ones and those that begin with "#" are passed over. */
static int
add_line(char *line, struct err *err)
{
	char *texts[LINE_NAMES_MAX], *word;
	size_t n = 0;

	line[strcspn(line, "#\n")] = '\0';
	while ((word = strsep(&line, " \t\r"))) {
		if (!*word)
			continue;
		if (n == LINE_NAMES_MAX)
			return err_set(err, ERR_USAGE,
			    "more than %d names on one line", LINE_NAMES_MAX);
		texts[n++] = word;
	}
	return n ? add_want(texts, n, err) : 0;
}

/* A bad line is reported, and costs only itself. */
static void
read_lines(void)
{
	struct err err;
	char *line = NULL, where[32];
	size_t size = 0;

	for (int n = 1; n <= LINES_MAX && getline(&line, &size, stdin) > 0;
	     n++) {
		err_clear(&err);
		if (add_line(line, &err) == 0)
			continue;
		snprintf(where, sizeof(where), "line %d", n);
		err_tally_add(&wants.tally, err.code);
		log_err(where, &err);
	}
	free(line);
}

/* -- results -- */

/* How it was ordered: autocert-renew keeps it up to date so. */
static void
remember(const struct ca *ca, const struct issue_spec *spec)
{
	struct state st;
	struct err err = ERR_INIT;
	char folder[LAYOUT_KEY_MAX];

	if (name_safe(spec->name, folder, sizeof(folder)) == -1)
		return;
	state_load(ca->store, ca->issuer, folder, &st);
	free(st.names);
	st.names = xcalloc(spec->n_names, sizeof(*st.names));
	memcpy(st.names, spec->names, spec->n_names * sizeof(*st.names));
	st.n_names = spec->n_names;
	st.key_type = spec->key_type;
	st.must_staple = spec->must_staple;
	snprintf(st.challenges, sizeof(st.challenges), "%s", opt.challenge);
	free(st.deploy_hook);
	st.deploy_hook = opt.deploy_hook ? xstrdup(opt.deploy_hook) : NULL;
	state_clear_failures(&st);
	if (state_save(ca->store, ca->issuer, folder, &st, &err) == -1)
		log_warn(spec->name, "%s", err.text);
	state_release(&st);
}

static void
mark_issued(const struct issue_spec *spec)
{
	for (size_t i = 0; i < wants.n; i++)
		if (strcmp(wants.v[i].spec.name, spec->name) == 0)
			wants.v[i].issued = true;
}

static void
report(void *arg, const struct issue_spec *spec, enum issue_outcome outcome,
    const struct err *err)
{
	const struct ca *ca = arg;

	err_tally_add(&wants.tally, err ? err->code : ERR_NONE);
	if (err)
		log_err(spec->name, err);
	else if (outcome == ISSUE_UNCHANGED)
		log_info(spec->name, "nothing to do");
	if (outcome != ISSUE_INSTALLED)
		return;
	wants.changed = true;
	mark_issued(spec);
	remember(ca, spec);
	issued_print(ca->store, ca->issuer, spec->name);
}

/* Drops what is there and not due: that takes no network. */
static void
drop_needless(const struct ca *ca)
{
	size_t kept = 0;

	for (size_t i = 0; i < wants.n; i++) {
		struct want *w = &wants.v[i];
		struct err why = ERR_INIT;

		if (!w->spec.force &&
		    issue_needless(ca->store, ca->issuer, &w->spec, &why) ==
		        0 &&
		    !issue_unfinished(ca->store, ca->issuer, &w->spec)) {
			log_info(w->spec.name, "nothing to do");
			err_tally_add(&wants.tally, ERR_NONE);
			free(w->names);
			continue;
		}
		if (why.code)
			log_info(w->spec.name, "ordering: %s", why.text);
		wants.v[kept++] = *w;
	}
	wants.n = kept;
}

static int
order_all(struct ca *ca, struct err *err)
{
	struct issue_env env = {.store = ca->store,
	    .issuer = ca->issuer,
	    .ca = ca->settings->ca,
	    .lock_wait_ms = shared.lock_wait_ms};

	if (store_probe(ca->store, err) == -1 ||
	    ca_open(ca, (size_t)opt.jobs, err) == -1 ||
	    ca_account(ca, shared.lock_wait_ms, err) == -1)
		return -1;
	env.run = ca->run;
	env.account_url = ca->account_url;
	env.account_key = ca->account_key;
	for (size_t i = 0; i < wants.n; i++)
		if (issue_add(&env, &wants.v[i].spec, report, ca, err) == -1)
			return -1;
	return run_all(ca->run, err);
}

/* The hooks, once no order is in flight any more. */
static void
deploy_issued(const struct ca *ca)
{
	const struct settings *s = ca->settings;
	const struct renew_env env = {
	    .store = ca->store, .issuer = ca->issuer, .ca = s->ca};
	const struct deploy deploy = {.store = ca->store,
	    .dir = s->deploy_hooks,
	    .timeout_ms = s->hook_timeout_ms};

	for (size_t i = 0; i < wants.n; i++) {
		const struct renew_want w = {.spec = wants.v[i].spec,
		    .changed = true,
		    .deploy_hook = opt.deploy_hook};

		enum err_code code = wants.v[i].issued ?
		    renew_deploy(&env, &deploy, &w, 1) :
		    ERR_NONE;

		/* a hook that did well is no certificate that did */
		if (code != ERR_NONE)
			err_tally_add(&wants.tally, code);
	}
}

static void
free_wants(void)
{
	for (size_t i = 0; i < wants.n; i++)
		free(wants.v[i].names);
	free(wants.v);
}

int
main(int argc, char **argv)
{
	struct ca ca = {.store = NULL};
	struct err err = ERR_INIT;
	int first = cmd_start(&cmd, argc, argv), status;
	bool lines = first == argc - 1 && strcmp(argv[first], "-") == 0;

	if (first == argc)
		return cmd_usage("no name is given");
	if (lines && opt.cert_name)
		return cmd_usage("--cert-name goes with one certificate, not "
		                 "with a list");
	if (lines)
		read_lines();
	else if (add_want(argv + first, (size_t)(argc - first), &err) == -1)
		goto out;
	if (ca_open_store(&ca, &shared.settings, &err) == -1)
		goto out;
	drop_needless(&ca);
	if (wants.n) {
		order_all(&ca, &err);
		deploy_issued(&ca);
	}
out:
	if (err.code)
		err_tally_add(
		    &wants.tally, (enum err_code)cmd_fail(NULL, &err));
	status = (int)err_tally_result(&wants.tally);
	if (status == 0 && !wants.changed)
		status = shared.exit_unchanged;
	ca_close(&ca);
	free_wants();
	return cmd_finish(status);
}
