#include <config.h>

#include "run/issue.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/order.h"
#include "acme/problem.h"
#include "acme/renewal.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/log.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/key.h"
#include "run/due.h"
#include "run/run.h"
#include "solver/solver.h"
#include "store/certificate.h"
#include "store/journal.h"
#include "store/layout.h"
#include "store/lease.h"
#include "store/store.h"

enum { ORDERS_MAX = 3 }; /* for one issue, with other challenge types */

struct issue {
	const struct issue_env *env;
	struct issue_spec spec;
	char *name;
	issue_report *report;
	void *arg;

	struct lease *lease;
	int64_t give_up_ms;
	struct journal journal;
	bool journalled; /* it fits, and its order is resumed */
	bool left;       /* a killed run left one */
	struct order_spec order_spec;
	struct order *order;
	struct buf thumbprint;
	struct buf csr; /* DER */
	char *replaces; /* CertID of the one in place, or NULL */
	unsigned orders;
	enum issue_outcome outcome;
};

/* -- is it needed -- */

static int
needed(
    const struct certificate *c, const struct issue_spec *spec, struct err *err)
{
	char date[DATE_MAX];
	struct renewal r;

	if (!c->key_matches)
		return err_set(err, ERR_ABSENT, "its key does not fit");
	if (!identifiers_equal(
	        c->cert.names, c->cert.n_names, spec->names, spec->n_names))
		return err_set(err, ERR_ABSENT, "it is for other names");
	if (c->cert.key_type != spec->key_type)
		return err_set(err, ERR_ABSENT, "its key is of type %s",
		    key_type_name(c->cert.key_type));
	/* as in Pomerium, must-staple changes what is ordered from now on, and
	 * never makes an order by itself */
	renewal_load(c->meta, &r);
	if (due_now(&c->cert, &r, time(NULL)))
		return err_set(err, ERR_ABSENT, "it is due since %s",
		    date_format(
		        due_with(c->cert.not_before, c->cert.not_after, &r),
		        date));
	return 0;
}

int
issue_needless(struct store *store, const char *issuer,
    const struct issue_spec *spec, struct err *err)
{
	struct certificate c;
	char name[LAYOUT_KEY_MAX];
	int rc;

	if (name_safe(spec->name, name, sizeof(name)) == -1 || !*name)
		return err_set(err, ERR_USAGE,
		    "%s cannot be a certificate's name", spec->name);
	rc = certificate_load(store, issuer, name, true, &c, err);
	if (rc == -1) {
		if (err->code == ERR_ABSENT)
			return err_set(err, ERR_ABSENT, "there is none yet");
		/* one that cannot be used is replaced, never left standing */
		if (err->code == ERR_DATA)
			err->code = ERR_ABSENT;
		return -1;
	}
	rc = needed(&c, spec, err);
	certificate_release(&c);
	return rc;
}

/* -- begin -- */

static int
lock(struct issue *is, int64_t *wait_ms, struct err *err)
{
	char name[LAYOUT_KEY_MAX];

	if (is->lease)
		return 0;
	if (!is->give_up_ms)
		is->give_up_ms = date_mono_ms() + is->env->lock_wait_ms;
	if (layout_lock_cert(is->name, name, err) == -1)
		return -1;
	if ((is->lease = lease_try(is->env->store, name, err)))
		return 0;
	if (err->code == ERR_LATER && date_mono_ms() < is->give_up_ms)
		*wait_ms = LEASE_RETRY_MS;
	return -1;
}

/* The journalled order is worth going on with if it was for the same. */
static bool
journal_fits(const struct issue *is)
{
	const struct journal *j = &is->journal;

	return identifiers_equal(
	           j->names, j->n_names, is->spec.names, is->spec.n_names) &&
	    j->key_type == is->spec.key_type &&
	    j->must_staple == is->spec.must_staple && j->order_url;
}

static void
new_journal(struct issue *is)
{
	struct journal *j = &is->journal;

	journal_release(j);
	j->names = xcalloc(is->spec.n_names, sizeof(*j->names));
	memcpy(j->names, is->spec.names, is->spec.n_names * sizeof(*j->names));
	j->n_names = is->spec.n_names;
	j->key_type = is->spec.key_type;
	j->must_staple = is->spec.must_staple;
}

static int
open_journal(struct issue *is, struct err *err)
{
	bool found = false;

	if (journal_load(is->env->store, is->env->issuer, is->name,
	        &is->journal, &found, err) == -1)
		return -1;
	is->left |= found;
	is->journalled = found && journal_fits(is);
	if (is->journalled)
		return 0;
	new_journal(is);
	/* also what is left of one that was being removed */
	return journal_remove(is->env->store, is->env->issuer, is->name, err);
}

/* The challenge types that have not been tried yet. */
static void
choose_challenges(struct issue *is, unsigned tried)
{
	size_t n = 0;

	for (size_t i = 0; i < is->spec.n_challenges; i++)
		if (!(tried & 1u << is->spec.challenges[i]))
			is->spec.challenges[n++] = is->spec.challenges[i];
	is->spec.n_challenges = n;
}

/*
 * The predecessor's CertID, if this CA issued it and the new one shares a name
 * with it (RFC 9773, 5): CAs lift their rate limits for such an order.
 */
static void
find_replaced(struct issue *is)
{
	const struct json *data = NULL;
	const char *ca = NULL;
	struct certificate c;
	struct buf id = BUF_INIT;
	struct err ignored = ERR_INIT;
	char name[LAYOUT_KEY_MAX];

	if (!is->spec.renew || is->replaces || is->orders ||
	    name_safe(is->name, name, sizeof(name)) == -1 ||
	    certificate_load(is->env->store, is->env->issuer, name, false, &c,
	        &ignored) == -1)
		return;
	(void)json_get_object(
	    "metadata", c.meta, "issuer_data", JSON_OPTIONAL, &data, NULL);
	if (data)
		(void)json_get_string(
		    "metadata", data, "ca", JSON_OPTIONAL, &ca, NULL);
	if (ca && strcmp(ca, is->env->ca) == 0 &&
	    cert_covers(&c.cert, &is->spec.names[0]) &&
	    cert_ari_id(&c.cert, &id, NULL) == 0)
		is->replaces = xstrdup(buf_str(&id));
	buf_release(&id);
	certificate_release(&c);
}

static int
open_thumbprint(struct issue *is, struct err *err)
{
	return is->thumbprint.len ?
	    0 :
	    key_thumbprint(is->env->account_key, &is->thumbprint, err);
}

static int
open_order(struct issue *is, struct err *err)
{
	struct order_spec *o = &is->order_spec;

	order_free(is->order);
	is->order = NULL;
	*o = (struct order_spec){.name = is->name,
	    .directory = run_directory(is->env->run, err),
	    .names = is->spec.names,
	    .n_names = is->spec.n_names,
	    .thumbprint = buf_str(&is->thumbprint),
	    .challenges = is->spec.challenges,
	    .n_challenges = is->spec.n_challenges,
	    .resume_url = is->journalled ? is->journal.order_url : NULL,
	    .resume_key = is->journalled && is->journal.key,
	    .must_staple = is->spec.must_staple,
	    .replaces = is->replaces};
	if (!o->directory || !(is->order = order_new(o, err)))
		return -1;
	is->orders++;
	return 0;
}

/* 1: there is nothing to do; 0: there is; -1: nobody can tell. */
static int
needless(struct issue *is, struct err *err)
{
	struct err why = ERR_INIT;

	/* an order that was begun anew has been found to be needed */
	if (is->spec.force || is->orders)
		return 0;
	if (issue_needless(is->env->store, is->env->issuer, &is->spec, &why) ==
	    0)
		return 1;
	if (why.code == ERR_ABSENT)
		return 0;
	*err = why;
	return -1;
}

static struct flow *
begin(void *self, int64_t *wait_ms, struct err *err)
{
	struct issue *is = self;

	if (lock(is, wait_ms, err) == -1 || open_thumbprint(is, err) == -1 ||
	    open_journal(is, err) == -1)
		return NULL;
	/* whoever held the lock before us may have done the work */
	switch (needless(is, err)) {
	case 0:
		break;
	case 1:
		is->outcome = ISSUE_UNCHANGED;
		return NULL;
	default:
		return NULL;
	}
	run_account(is->env->run, is->env->account_key, is->env->account_url);
	find_replaced(is);
	if (open_order(is, err) == -1)
		return NULL;
	return order_flow(is->order);
}

/* -- what the order wants of the machine -- */

static int
do_journal(struct issue *is, const struct ask *ask, struct answer *answer,
    struct err *err)
{
	struct journal *j = &is->journal;

	(void)ask, (void)answer;
	free(j->order_url);
	j->order_url = xstrdup(order_url(is->order));
	/* a key that belonged to an order given up is not used again */
	key_free(j->key);
	j->key = NULL;
	return journal_save(is->env->store, is->env->issuer, is->name, j, err);
}

/* Durable before finalize can bind the CA to it. */
static int
do_key(struct issue *is, const struct ask *ask, struct answer *answer,
    struct err *err)
{
	struct journal *j = &is->journal;

	(void)ask;
	if (!j->key) {
		struct key *key = key_new(is->spec.key_type, err);

		if (!key ||
		    journal_save_key(is->env->store, is->env->issuer, is->name,
		        key, err) == -1) {
			key_free(key);
			return -1;
		}
		j->key = key;
	}
	buf_clear(&is->csr);
	if (csr_make(j->key, is->spec.names, is->spec.n_names,
	        is->spec.must_staple, &is->csr, err) == -1)
		return -1;
	answer->body = is->csr.data;
	answer->body_len = is->csr.len;
	return 0;
}

static int
do_challenge(struct issue *is, const struct ask *ask, struct err *err)
{
	const struct solver_env env = {
	    .store = is->env->store, .issuer = is->env->issuer};
	struct order_challenge c;
	const struct solver *solver;

	order_challenge(is->order, ask->index, &c);
	if (!(solver = solver_find(c.type)))
		return err_bug(
		    err, "no solver for %s", challenge_type_name(c.type));
	if (ask->local == LOCAL_CLEANUP)
		return solver->cleanup(&env, &c, err);
	log_info(is->name, "proving %s by %s", c.identifier->value,
	    challenge_type_name(c.type));
	return solver->present(&env, &c, err);
}

static int
do_present(struct issue *is, const struct ask *ask, struct answer *answer,
    struct err *err)
{
	(void)answer;
	return do_challenge(is, ask, err);
}

/* Check, then keep: one commit point, and only while the lock is ours. */
static int
do_install(struct issue *is, const struct ask *ask, struct answer *answer,
    struct err *err)
{
	const struct buf *chain = order_chain(is->order);
	struct buf pem = BUF_SECRET;
	unsigned char id[32];
	struct cert_want want = {.key_id = id,
	    .names = is->spec.names,
	    .n_names = is->spec.n_names,
	    .must_staple = is->spec.must_staple,
	    .now = time(NULL)};
	int rc = -1;

	(void)ask, (void)answer;
	if (!is->journal.key)
		return err_bug(err, "a certificate without a key");
	if (key_id(is->journal.key, id, err) == -1 ||
	    cert_chain_check(chain->data, chain->len, &want, err) == -1 ||
	    key_save(is->journal.key, &pem, err) == -1 ||
	    lease_check(is->lease, err) == -1)
		goto out;
	rc = certificate_commit(is->env->store,
	    &(struct certificate_new){.issuer = is->env->issuer,
	        .name = is->name,
	        .chain = chain->data,
	        .chain_len = chain->len,
	        .key = pem.data,
	        .key_len = pem.len,
	        .names = is->spec.names,
	        .n_names = is->spec.n_names,
	        .url = order_certificate_url(is->order),
	        .ca = is->env->ca,
	        .account = is->env->account_url},
	    err);
	if (rc == 0)
		is->outcome = ISSUE_INSTALLED;
out:
	buf_release(&pem);
	return rc;
}

static int
local(void *self, const struct ask *ask, struct answer *answer, struct err *err)
{
	static int (*const act[])(struct issue *, const struct ask *,
	    struct answer *, struct err *) = {[LOCAL_JOURNAL] = do_journal,
	    [LOCAL_KEY] = do_key,
	    [LOCAL_PRESENT] = do_present,
	    [LOCAL_CLEANUP] = do_present,
	    [LOCAL_INSTALL] = do_install};

	if (ask->local >= sizeof(act) / sizeof(*act) || !act[ask->local])
		return err_bug(err, "an order asked for %s", ask->what);
	return act[ask->local](self, ask, answer, err);
}

static int
tick(void *self, int64_t now_ms, int64_t *next_ms, struct err *err)
{
	struct issue *is = self;

	if (lease_refresh(is->lease, now_ms, err) == -1)
		return -1;
	*next_ms = lease_due_ms(is->lease);
	return 0;
}

static bool
seen(void *self, const char *name)
{
	const struct issue *is = self;
	char sni[NAME_MAX_LEN + 1];

	for (size_t i = 0; i < is->spec.n_names; i++) {
		identifier_sni(&is->spec.names[i], sni);
		if (name_equal(name, is->spec.names[i].value) ||
		    name_equal(name, sni))
			return true;
	}
	return false;
}

/* -- end -- */

/* An order that may still lead somewhere is left for the next run. */
static bool
may_resume(const struct err *err)
{
	return err->code == ERR_UNAVAILABLE || err->code == ERR_LATER ||
	    err->code == ERR_IO || err->code == ERR_SOFTWARE;
}

/* What a killed run presented, and this one had no reason to present again. */
static void
withdraw_left(struct issue *is)
{
	const struct solver_env env = {
	    .store = is->env->store, .issuer = is->env->issuer};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < is->spec.n_names; i++)
		if (solver_withdraw(&env, &is->spec.names[i],
		        buf_str(&is->thumbprint), &err) == -1)
			log_warn(is->name, "%s", err.text);
}

static void
tidy_up(struct issue *is)
{
	struct err err = ERR_INIT;

	if (is->left)
		withdraw_left(is);
	if (journal_remove(is->env->store, is->env->issuer, is->name, &err) ==
	    -1)
		log_warn(is->name, "%s", err.text);
	journal_release(&is->journal);
	is->journalled = is->left = false;
}

/* Once more, with the types of challenge that are left. */
static bool
try_others(struct issue *is, const struct err *err)
{
	if (!is->order || !order_validation_failed(is->order) ||
	    !problem_of_validation(err) || is->orders >= ORDERS_MAX)
		return false;
	choose_challenges(is, order_tried(is->order));
	if (is->spec.n_challenges == 0)
		return false;
	log_warn(is->name, "%s", err->text);
	log_warn(is->name, "trying %s instead",
	    challenge_type_name(is->spec.challenges[0]));
	return true;
}

/*
 * An order refused for what it says it replaces is placed once more without:
 * alreadyReplaced (RFC 9773, 7.4), or whatever else an older server makes of
 * the member.
 */
static bool
try_without_replaces(struct issue *is, const struct err *err)
{
	if (!is->replaces || !is->order || order_url(is->order) ||
	    (!problem_is(err, "alreadyReplaced") &&
	        !problem_is(err, "malformed") && !problem_is(err, "conflict")))
		return false;
	log_info(is->name, "%s; ordering without saying what it replaces",
	    err->text);
	free(is->replaces);
	is->replaces = NULL;
	return true;
}

/* What is in place goes on being served: until when? */
static void
say_what_is_left(struct issue *is, struct err *err)
{
	struct certificate c;
	char name[LAYOUT_KEY_MAX], date[DATE_MAX];
	struct err text = ERR_INIT;

	if (name_safe(is->name, name, sizeof(name)) == -1 ||
	    certificate_load(
	        is->env->store, is->env->issuer, name, false, &c, &text) == -1)
		return;
	err_set(&text, err->code, "%s; the certificate in place %s %s",
	    err->text,
	    c.cert.not_after < time(NULL) ? "expired" :
	                                    "is untouched and good until",
	    date_format(c.cert.not_after, date));
	memcpy(err->text, text.text, sizeof(err->text));
	certificate_release(&c);
}

static void
issue_free(struct issue *is)
{
	lease_release(is->lease);
	order_free(is->order);
	journal_release(&is->journal);
	buf_release(&is->thumbprint);
	buf_release(&is->csr);
	free(is->replaces);
	free(is->name);
	free((void *)is->spec.names);
	free(is);
}

static bool
end(void *self, const struct err *err)
{
	struct issue *is = self;
	struct err final = err ? *err : (struct err)ERR_INIT;

	if ((is->order || is->left) && (!err || !may_resume(err)))
		tidy_up(is);
	if (err && (try_without_replaces(is, err) || try_others(is, err)))
		return true;
	if (err) {
		is->outcome = ISSUE_FAILED;
		say_what_is_left(is, &final);
	}
	/* whoever waits for the lock sees the result before the report */
	lease_release(is->lease);
	is->lease = NULL;
	is->report(is->arg, &is->spec, is->outcome, err ? &final : NULL);
	issue_free(is);
	return false;
}

bool
issue_unfinished(
    struct store *store, const char *issuer, const struct issue_spec *spec)
{
	struct journal journal = {.names = NULL};
	struct err err = ERR_INIT;
	bool found = false;

	if (journal_load(store, issuer, spec->name, &journal, &found, &err) ==
	    -1)
		return true;
	journal_release(&journal);
	return found;
}

int
issue_add(const struct issue_env *env, const struct issue_spec *spec,
    issue_report *report, void *arg, struct err *err)
{
	struct identifier *names;
	struct issue *is;

	for (size_t i = 0; i < spec->n_names; i++)
		if (solver_check(&spec->names[i], spec->challenges,
		        spec->n_challenges, err) == -1)
			return -1;
	names = xcalloc(spec->n_names, sizeof(*names));
	memcpy(names, spec->names, spec->n_names * sizeof(*names));
	is = xcalloc(1, sizeof(*is));
	is->env = env;
	is->spec = *spec;
	is->spec.names = names;
	is->spec.name = is->name = xstrdup(spec->name);
	is->report = report;
	is->arg = arg;
	run_add(env->run,
	    &(struct run_job){.begin = begin,
	        .local = local,
	        .tick = tick,
	        .end = end,
	        .seen = seen,
	        .self = is});
	return 0;
}
