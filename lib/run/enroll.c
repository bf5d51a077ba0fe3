#include <config.h>

#include "run/enroll.h"

#include <stdlib.h>

#include "acme/account.h"
#include "acme/problem.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/log.h"
#include "pki/key.h"
#include "run/run.h"
#include "store/account.h"
#include "store/layout.h"
#include "store/lease.h"

struct enrolment {
	struct run *run;
	struct store *store;
	struct enroll *e;
	struct lease *lease;
	int64_t give_up_ms;
	struct account_files files;
	struct account_spec spec;
	struct account *account;
	bool lost; /* the CA does not know the URL we had */
	struct err *err;
};

/* CertMagic's registration lock; 0, or -1 with ERR_LATER while it is held. */
static int
lock(struct enrolment *n, int64_t *wait_ms, struct err *err)
{
	char name[LAYOUT_KEY_MAX];

	if (n->lease)
		return 0;
	if (layout_lock_account(n->e->email, name, err) == -1)
		return -1;
	if ((n->lease = lease_try(n->store, name, err)))
		return 0;
	if (err->code == ERR_LATER && date_mono_ms() < n->give_up_ms)
		*wait_ms = LEASE_RETRY_MS;
	return -1;
}

/* Key first: it is durable before the CA hears of it. */
static int
have_key(struct enrolment *n, struct err *err)
{
	const struct enroll *e = n->e;

	account_files_release(&n->files);
	if (account_files_load(n->store, e->issuer, e->email, &n->files, err) ==
	    -1)
		return -1;
	n->spec.key_is_new = !n->files.key;
	if (n->files.key)
		return 0;
	if (e->only_existing)
		return err_set(err, ERR_PERMISSION,
		    "there is no account with "
		    "this CA yet: run autocert-register");
	if (!(n->files.key = key_new(KEY_P256, err)))
		return -1;
	return account_key_save(
	    n->store, e->issuer, e->email, n->files.key, err);
}

static struct flow *
begin(void *self, int64_t *wait_ms, struct err *err)
{
	struct enrolment *n = self;

	if (lock(n, wait_ms, err) == -1 || have_key(n, err) == -1)
		return NULL;
	if (!(n->spec.directory = run_directory(n->run, err)))
		return NULL;
	n->spec.key = n->files.key;
	n->spec.url = n->lost ? NULL : n->files.url;
	n->spec.email = n->e->email;
	n->spec.only_existing = n->e->only_existing;
	n->spec.eab_key_id = n->e->eab_key_id;
	n->spec.eab_mac = n->e->eab_mac;
	n->spec.eab_mac_len = n->e->eab_mac_len;
	run_account(n->run, n->files.key, n->spec.url);
	account_free(n->account);
	if (!(n->account = account_new(&n->spec, err)))
		return NULL;
	return account_flow(n->account);
}

static int
save(struct enrolment *n, struct err *err)
{
	struct json *record = account_record(n->account);
	int rc;

	rc = account_record_save(
	    n->store, n->e->issuer, n->e->email, record, err);
	json_free(record);
	return rc;
}

static int
local(void *self, const struct ask *ask, struct answer *answer, struct err *err)
{
	(void)answer;
	if (ask->local != LOCAL_SAVE)
		return err_bug(err, "an account asked for %s", ask->what);
	return save(self, err);
}

static int
tick(void *self, int64_t now_ms, int64_t *next_ms, struct err *err)
{
	struct enrolment *n = self;

	if (lease_refresh(n->lease, now_ms, err) == -1)
		return -1;
	*next_ms = lease_due_ms(n->lease);
	return 0;
}

static bool
end(void *self, const struct err *err)
{
	struct enrolment *n = self;

	/* a CA that has forgotten the account is asked by key, and then made
	 * to know it again: the certificates are not touched */
	if (err && problem_is(err, "accountDoesNotExist") && n->spec.url &&
	    !n->lost) {
		log_warn(
		    NULL, "the CA no longer knows the account %s", n->spec.url);
		n->lost = true;
		return true;
	}
	if (err) {
		*n->err = *err;
		return false;
	}
	n->e->url = xstrdup(account_url(n->account));
	n->e->created = account_created(n->account);
	return false;
}

int
enroll(struct run *run, struct store *store, struct enroll *e, struct err *err)
{
	struct enrolment n = {.run = run,
	    .store = store,
	    .e = e,
	    .err = err,
	    .give_up_ms = date_mono_ms() + e->lock_wait_ms};
	const struct run_job job = {.begin = begin,
	    .local = local,
	    .tick = tick,
	    .end = end,
	    .self = &n};

	e->url = NULL;
	run_add(run, &job);
	if (run_all(run, err) == -1) {
		free(e->url);
		e->url = NULL;
	}
	run_account(run, NULL, NULL);
	lease_release(n.lease);
	account_free(n.account);
	account_files_release(&n.files);
	return e->url ? 0 : -1;
}
