#include <config.h>

#include "run/renew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/directory.h"
#include "acme/renewal.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/enc.h"
#include "base/json.h"
#include "base/log.h"
#include "pki/hash.h"
#include "run/backoff.h"
#include "run/deploy.h"
#include "run/due.h"
#include "run/run.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/state.h"
#include "store/store.h"

static uint32_t
random32(void)
{
	uint32_t n;

	hash_random(&n, sizeof(n));
	return n;
}

static int
folder_of(const struct renew_want *w, char out[LAYOUT_KEY_MAX], struct err *err)
{
	if (name_safe(w->spec.name, out, LAYOUT_KEY_MAX) == -1 || !*out)
		return err_set(err, ERR_CONFIG,
		    "%s cannot be a certificate's name", w->spec.name);
	return 0;
}

/* What was asked for, in eight digits: a change of it ends a back-off. */
static void
config_of(const struct renew_env *env, const struct renew_want *w, char out[17])
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s %s %d", env->ca, key_type_name(w->spec.key_type),
	    w->spec.must_staple);
	for (size_t i = 0; i < w->spec.n_names; i++)
		buf_printf(&text, " %s", w->spec.names[i].value);
	for (size_t i = 0; i < w->spec.n_challenges; i++)
		buf_printf(&text, " %d", (int)w->spec.challenges[i]);
	snprintf(out, 17, "%08x", fnv1a32(text.data, text.len));
	buf_release(&text);
}

/* A lock that is held, or an interruption, is nobody's failure. */
static bool
counts(const struct err *err)
{
	return err->code != ERR_LATER || *err->type || err->http;
}

/* -- deciding -- */

/* 0: the certificate in place will do; -1 with ERR_ABSENT and why not, or
 * with what the store failed at. *ask: the CA has to be asked. */
static int
look(const struct renew_env *env, struct renew_want *w, struct err *err)
{
	struct certificate c;
	struct renewal r;
	char folder[LAYOUT_KEY_MAX];
	struct buf id = BUF_INIT;
	int rc;

	w->ask = false;
	if (env->force)
		return err_set(err, ERR_ABSENT, "forced");
	rc = issue_needless(env->store, env->issuer, &w->spec, err);
	if (rc == -1 || folder_of(w, folder, err) == -1 ||
	    certificate_load(env->store, env->issuer, folder, false, &c, err) ==
	        -1)
		return -1;
	renewal_load(c.meta, &r);
	w->ask = r.retry_at <= env->now && cert_ari_id(&c.cert, &id, NULL) == 0;
	buf_release(&id);
	certificate_release(&c);
	return 0;
}

/* Due, but an earlier failure for the same may say: not yet. */
static void
consider_failures(
    const struct renew_env *env, struct renew_want *w, const char *folder)
{
	struct state st;
	char config[17], date[DATE_MAX];

	w->state = RENEW_DUE;
	state_load(env->store, env->issuer, folder, &st);
	config_of(env, w, config);
	if (!env->force && st.failures && strcmp(st.config, config) == 0 &&
	    backoff_waits(st.failed_at, st.next_try, env->now)) {
		w->state = RENEW_WAITS;
		w->next_try = st.next_try;
		err_set(&w->err, ERR_LATER,
		    "not before %s: it has failed %u "
		    "time%s, last by: %s",
		    date_format(st.next_try, date), st.failures,
		    st.failures == 1 ? "" : "s", st.text ? st.text : "unknown");
		w->err.retry_at = st.next_try;
	}
	state_release(&st);
}

static void
decide(const struct renew_env *env, struct renew_want *w)
{
	char folder[LAYOUT_KEY_MAX];

	err_clear(&w->err);
	w->state = RENEW_NONE;
	if (look(env, w, &w->err) == 0)
		return;
	if (w->err.code != ERR_ABSENT || folder_of(w, folder, &w->err) == -1)
		w->state = RENEW_BROKEN;
	else
		consider_failures(env, w, folder);
}

void
renew_decide(const struct renew_env *env, struct renew_want *wants, size_t n,
    size_t *n_due, size_t *n_ask)
{
	*n_due = *n_ask = 0;
	for (size_t i = 0; i < n; i++) {
		decide(env, &wants[i]);
		*n_due += wants[i].state == RENEW_DUE;
		*n_ask += wants[i].ask;
	}
}

/* -- renewal information -- */

struct question {
	const struct renew_env *env;
	struct renew_want *want;
	const char *url; /* the directory's */
	struct renewal_fetch fetch;
	struct renewal renewal;
	char folder[LAYOUT_KEY_MAX];
};

static struct flow *
begin_question(void *self, int64_t *wait_ms, struct err *err)
{
	struct question *q = self;
	struct certificate c;
	struct buf id = BUF_INIT;

	(void)wait_ms;
	renewal_fetch_release(&q->fetch);
	if (folder_of(q->want, q->folder, err) == -1 ||
	    certificate_load(
	        q->env->store, q->env->issuer, q->folder, false, &c, err) == -1)
		return NULL;
	renewal_load(c.meta, &q->renewal);
	if (cert_ari_id(&c.cert, &id, err) == 0)
		renewal_fetch_init(
		    &q->fetch, q->want->spec.name, q->url, buf_str(&id));
	if (fmt_fit(q->renewal.cert_id, sizeof(q->renewal.cert_id), "%s",
	        buf_str(&id)) == -1)
		err_set(err, ERR_DATA, "its serial number is too long");
	buf_release(&id);
	certificate_release(&c);
	return err->code ? NULL : &q->fetch.flow;
}

static void
replace(struct json *meta, const struct renewal *r)
{
	const struct json *data = NULL;
	struct json *copy;

	(void)json_get_object(
	    "metadata", meta, "issuer_data", JSON_OPTIONAL, &data, NULL);
	copy = data ? json_copy(data) : json_new_object();
	json_add(copy, "renewal_info", renewal_save(r));
	json_add(meta, "issuer_data", copy);
}

/* Into the metadata, if it is still the one that was read. */
static int
save_renewal(const struct question *q, struct err *err)
{
	char file[LAYOUT_KEY_MAX], folder[LAYOUT_KEY_MAX];
	char version[STORE_VERSION_MAX];
	struct buf text = BUF_INIT;
	struct json *meta = NULL;
	char *key;
	int rc = -1;

	if (layout_cert_folder(q->env->issuer, q->folder, folder, err) == -1 ||
	    layout_cert_file(q->folder, ".json", file, err) == -1)
		return -1;
	key = xasprintf("%s/%s", folder, file);
	if (store_get(q->env->store, key, JSON_SIZE, &text, version, err) ==
	        -1 ||
	    !(meta = json_parse(key, text.data, text.len, err)))
		goto out;
	replace(meta, &q->renewal);
	buf_clear(&text);
	json_print(meta, JSON_TABS, &text);
	rc = store_put_if(
	    q->env->store, key, text.data, text.len, version, err);
	if (rc == -1 && err->code == ERR_EXISTS) {
		err_clear(err); /* replaced meanwhile: asked again later */
		rc = 0;
	}
out:
	json_free(meta);
	buf_release(&text);
	free(key);
	return rc;
}

static bool
end_question(void *self, const struct err *err)
{
	struct question *q = self;
	struct err why = ERR_INIT;
	const char *name = q->want->spec.name;
	char told[sizeof(q->renewal.explanation)];

	if (err)
		why = *err;
	memcpy(told, q->renewal.explanation, sizeof(told));
	/* also an answer that is none says when to ask again */
	if (renewal_read(q->fetch.body.data, q->fetch.body.len,
	        err ? -1 : q->fetch.retry_after, q->env->now, random32(),
	        &q->renewal, err ? NULL : &why) == 0 &&
	    *q->renewal.explanation &&
	    strcmp(q->renewal.explanation, told) != 0)
		log_warn(name, "the CA explains its window: %s",
		    q->renewal.explanation);
	if (why.code)
		log_info(name, "%s", why.text);
	err_clear(&why);
	if (save_renewal(q, &why) == -1)
		log_warn(name, "%s", why.text);
	q->want->ask = false;
	return false;
}

static bool
any_question(const struct renew_want *wants, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (wants[i].ask)
			return true;
	return false;
}

/* Without a directory there is nobody to ask: that stops no renewal. */
static int
no_directory(struct err *err)
{
	if (!counts(err))
		return -1;
	log_info(NULL, "renewal information: %s", err->text);
	err_clear(err);
	return 0;
}

int
renew_ask(const struct renew_env *env, struct run *run,
    struct renew_want *wants, size_t n, struct err *err)
{
	const struct directory *d;
	struct question *questions;
	size_t asked = 0;
	int rc;

	if (!any_question(wants, n))
		return 0;
	if (!(d = run_directory(run, err)))
		return no_directory(err);
	if (!d->renewal_info)
		return 0;
	questions = xcalloc(n, sizeof(*questions));
	for (size_t i = 0; i < n; i++) {
		struct question *q = &questions[asked];

		if (!wants[i].ask)
			continue;
		*q = (struct question){
		    .env = env, .want = &wants[i], .url = d->renewal_info};
		run_add(run,
		    &(struct run_job){.begin = begin_question,
		        .end = end_question,
		        .self = q});
		asked++;
	}
	rc = run_all(run, err);
	for (size_t i = 0; i < asked; i++) {
		renewal_fetch_release(&questions[i].fetch);
		if (!questions[i].want->changed)
			decide(env, questions[i].want);
	}
	free(questions);
	return rc;
}

/* -- ordering -- */

struct ordering {
	const struct renew_env *env;
	struct renew_want *want;
	issue_report *report;
	void *arg;
};

static void
remember(const struct ordering *o, const struct err *err)
{
	const struct renew_env *env = o->env;
	struct state st;
	struct err why = ERR_INIT;
	char folder[LAYOUT_KEY_MAX], config[17];

	if ((err && !counts(err)) || folder_of(o->want, folder, &why) == -1)
		return;
	state_load(env->store, env->issuer, folder, &st);
	config_of(env, o->want, config);
	if (!err || strcmp(st.config, config) != 0)
		state_clear_failures(&st);
	if (err) {
		memcpy(st.config, config, sizeof(st.config));
		st.failed_at = env->now;
		st.failures++;
		st.next_try = backoff_next(
		    st.failures, env->now, err->retry_at, random32());
		st.code = err->code;
		snprintf(st.type, sizeof(st.type), "%s", err->type);
		free(st.text);
		st.text = xstrdup(err->text);
		o->want->next_try = st.next_try;
	}
	if (state_save(env->store, env->issuer, folder, &st, &why) == -1)
		log_warn(o->want->spec.name, "%s", why.text);
	state_release(&st);
}

static void
report_order(void *arg, const struct issue_spec *spec,
    enum issue_outcome outcome, const struct err *err)
{
	struct ordering *o = arg;
	struct err told = err ? *err : (struct err)ERR_INIT;

	remember(o, err);
	o->want->changed = outcome == ISSUE_INSTALLED;
	if (err) {
		o->want->err = *err;
		told.retry_at = o->want->next_try;
	}
	o->report(o->arg, spec, outcome, err ? &told : NULL);
}

int
renew_order(const struct renew_env *env, const struct issue_env *issue,
    struct renew_want *wants, size_t n, issue_report *report, void *arg,
    struct err *err)
{
	struct ordering *orders = xcalloc(n + 1, sizeof(*orders));
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct issue_spec spec = wants[i].spec;

		if (wants[i].state != RENEW_DUE)
			continue;
		spec.force = env->force;
		spec.renew = true;
		orders[i] = (struct ordering){.env = env,
		    .want = &wants[i],
		    .report = report,
		    .arg = arg};
		rc = issue_add(issue, &spec, report_order, &orders[i], err);
	}
	if (run_all(issue->run, rc == 0 ? err : NULL) == -1)
		rc = -1;
	for (size_t i = 0; i < n; i++)
		wants[i].ask = wants[i].changed;
	free(orders);
	return rc;
}

/* -- deploying -- */

/* The configuration's hook counts like the one that the state remembers, and
 * what another run has deployed meanwhile is not deployed again. */
static bool
to_be_deployed(const struct deploy *deploy, const struct renew_want *w,
    const struct certificate *c, const struct state *st)
{
	if (!*st->deployed && (w->changed || w->deploy_hook))
		return true;
	return deploy_pending(deploy, c, st);
}

static int
deploy_one(const struct renew_env *env, const struct deploy *deploy,
    const struct renew_want *w, struct err *err)
{
	struct certificate c;
	struct state st;
	char folder[LAYOUT_KEY_MAX];
	int rc = 0;

	if (folder_of(w, folder, err) == -1)
		return -1;
	if (certificate_load(env->store, env->issuer, folder, false, &c, err) ==
	    -1) {
		/* none there yet: nothing to deploy, and told already */
		return err->code == ERR_ABSENT ? 0 : -1;
	}
	state_load(env->store, env->issuer, folder, &st);
	if (to_be_deployed(deploy, w, &c, &st)) {
		rc = deploy_run(deploy, &c, w->deploy_hook, &st, err);
		if (rc == 0)
			rc = state_save(
			    env->store, env->issuer, folder, &st, err);
	}
	state_release(&st);
	certificate_release(&c);
	return rc;
}

enum err_code
renew_deploy(const struct renew_env *env, const struct deploy *deploy,
    const struct renew_want *wants, size_t n)
{
	enum err_code worst = ERR_NONE;

	for (size_t i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (deploy_one(env, deploy, &wants[i], &err) == 0)
			continue;
		log_err(wants[i].spec.name, &err);
		if (worst == ERR_NONE || worst == ERR_HOOK)
			worst = err.code;
	}
	return worst;
}
