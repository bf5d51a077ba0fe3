#include <config.h>

#include "run/renew.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/json.h"
#include "base/log.h"
#include "io/http.h"
#include "pair.h"
#include "pki/key.h"
#include "run/deploy.h"
#include "run/run.h"
#include "store/cache.h"
#include "store/certificate.h"
#include "store/lease.h"
#include "store/state.h"
#include "store/store.h"
#include "tap.h"

#define NAME "www.example.com"
#define ISSUER "127.0.0.1-1-dir"
#define FOLDER "certificates/" ISSUER "/" NAME "/"
/* a port that nobody listens on */
static const char ca[] = "https://127.0.0.1:1/dir";

enum { CAP = 65536 };

#define HOUR ((time_t)3600)
#define DAY (24 * HOUR)

static struct store *store;
static struct identifier names[2];

/* -- what the tests are made of -- */

/* From now: a fresh life of ninety days has begun an hour ago. */
struct life {
	time_t from, until;
};

static const struct life fresh = {-HOUR, 90 * DAY};
static const struct life late = {-80 * DAY, 10 * DAY};

static void
install(const struct life *life, const char *name, bool other_key)
{
	struct pair_spec spec = {.names = {name},
	    .from = time(NULL) + life->from,
	    .until = time(NULL) + life->until};
	struct certificate_new c = {.issuer = ISSUER,
	    .name = NAME,
	    .names = names,
	    .n_names = 1,
	    .url = "https://127.0.0.1:1/c",
	    .ca = ca,
	    .account = "https://127.0.0.1:1/a"};
	struct pair p, other;
	struct err err = ERR_INIT;

	pair_make(&spec, &p);
	pair_make(&spec, &other);
	c.chain = p.chain.data;
	c.chain_len = p.chain.len;
	c.key = other_key ? other.key.data : p.key.data;
	c.key_len = other_key ? other.key.len : p.key.len;
	ok_err(certificate_commit(store, &c, &err), &err, "a certificate");
	pair_release(&p);
	pair_release(&other);
}

/* The CA's window as it is kept; retry and selected from now, 0: not there. */
static void
put_window(time_t retry, time_t selected)
{
	struct json *meta, *data, *info, *window;
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	char date[DATE_MAX];
	time_t now = time(NULL);

	if (store_get(store, FOLDER NAME ".json", CAP, &text, NULL, &err) ==
	        -1 ||
	    !(meta = json_parse("meta", text.data, text.len, &err))) {
		diag("%s", err.text);
		return;
	}
	data = json_new_object();
	info = json_new_object();
	if (selected) {
		window = json_new_object();
		json_add_string(
		    window, "start", date_format(now + selected - HOUR, date));
		json_add_string(
		    window, "end", date_format(now + selected + HOUR, date));
		json_add(info, "suggestedWindow", window);
		json_add_string(
		    info, "_selectedTime", date_format(now + selected, date));
	}
	json_add_string(info, "_retryAfter", date_format(now + retry, date));
	json_add(data, "renewal_info", info);
	json_add(meta, "issuer_data", data);
	buf_clear(&text);
	json_print(meta, JSON_TABS, &text);
	ok_err(store_put(store, FOLDER NAME ".json", text.data, text.len,
	           STORE_REPLACE, &err),
	    &err, "a window");
	json_free(meta);
	buf_release(&text);
}

static struct renew_want
want(void)
{
	return (struct renew_want){
	    .spec = {.name = NAME,
	        .names = names,
	        .n_names = 1,
	        .key_type = KEY_P256,
	        .challenges = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01},
	        .n_challenges = 2}};
}

static struct renew_env
env_at(time_t now)
{
	return (struct renew_env){
	    .store = store, .issuer = ISSUER, .ca = ca, .now = now};
}

static struct renew_env
env_now(void)
{
	return env_at(time(NULL));
}

/* Decides about one, alone. */
static enum renew_state
decided(const struct renew_env *env, struct renew_want *w)
{
	size_t due, ask;

	renew_decide(env, w, 1, &due, &ask);
	if (due != (w->state == RENEW_DUE) || ask != w->ask)
		diag("%zu are due, %zu to be asked for", due, ask);
	return w->state;
}

static void
forget(void)
{
	struct err err = ERR_INIT;

	ok_err(store_del(store, "autocert", &err), &err, "all is forgotten");
}

/* -- deciding -- */

static void
test_due(void)
{
	static const struct {
		struct life life;
		time_t retry, selected;
		enum renew_state state;
		bool ask;
		const char *why; /* in the reason, or NULL */
	} rows[] = {{{-HOUR, 90 * DAY}, HOUR, 0, RENEW_NONE, false, NULL},
	    {{-HOUR, 90 * DAY}, -HOUR, 0, RENEW_NONE, true, NULL},
	    {{-59 * DAY, 31 * DAY}, HOUR, 0, RENEW_NONE, false, NULL},
	    {{-61 * DAY, 29 * DAY}, HOUR, 0, RENEW_DUE, false,
	        "it is due since 20"},
	    {{-4 * DAY, 5 * DAY}, HOUR, 0, RENEW_NONE, false, NULL},
	    {{-5 * DAY, 4 * DAY}, HOUR, 0, RENEW_DUE, false, "due"},
	    {{-90 * DAY, -1}, HOUR, 0, RENEW_DUE, false, "due"},
	    /* the CA's window: earlier, later, but not too late */
	    {{-30 * DAY, 60 * DAY}, HOUR, -HOUR, RENEW_DUE, false, "due"},
	    {{-70 * DAY, 20 * DAY}, HOUR, 5 * DAY, RENEW_NONE, false, NULL},
	    {{-70 * DAY, 20 * DAY}, -HOUR, 5 * DAY, RENEW_NONE, true, NULL},
	    {{-87 * DAY, 3 * DAY}, HOUR, 2 * DAY, RENEW_DUE, false, "due"},
	    {{-87 * DAY, 3 * DAY}, HOUR, 99 * DAY, RENEW_DUE, false, "due"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct renew_env env = env_now();
		struct renew_want w = want();

		install(&rows[i].life, NAME, false);
		put_window(rows[i].retry, rows[i].selected);
		is_int(decided(&env, &w), rows[i].state, "row %zu", i);
		is_int(w.ask, rows[i].ask, "... asked for");
		if (rows[i].why)
			ok(strstr(w.err.text, rows[i].why) != NULL,
			    "... because: %s", w.err.text);
		env.force = true;
		is_int(decided(&env, &w), RENEW_DUE, "... by force");
		ok(!w.ask, "... without asking");
	}
}

static void
test_wrong(void)
{
	struct renew_env env = env_now();
	struct renew_want w = want();
	struct err err = ERR_INIT;

	is_int(decided(&env, &w), RENEW_DUE, "none is there");
	is(w.err.text, "there is none yet", "which is why");
	install(&fresh, "other.example.com", false);
	is_int(decided(&env, &w), RENEW_DUE, "one for another name");
	is(w.err.text, "it is for other names", "which is why");
	install(&fresh, NAME, true);
	is_int(decided(&env, &w), RENEW_DUE, "one whose key is another's");
	install(&fresh, NAME, false);
	put_window(HOUR, 0);
	is_int(decided(&env, &w), RENEW_NONE, "the right one");
	is_int(w.err.code, ERR_NONE, "no reason");
	w.spec.key_type = KEY_RSA2048;
	is_int(decided(&env, &w), RENEW_DUE, "another type of key is wanted");
	w = want();
	w.spec.n_names = 2;
	is_int(decided(&env, &w), RENEW_DUE, "another name is wanted");
	w = want();
	w.spec.must_staple = true;
	is_int(decided(&env, &w), RENEW_NONE, "must-staple can wait");
	ok_err(
	    store_put(store, FOLDER NAME ".crt", "x", 1, STORE_REPLACE, &err),
	    &err, "a broken file");
	is_int(decided(&env, &w), RENEW_DUE, "is replaced");
	w.spec.name = "...";
	is_int(decided(&env, &w), RENEW_BROKEN, "a name that is none");
}

/* -- failures -- */

static struct {
	unsigned n;
	enum issue_outcome outcome;
	struct err err;
} reported;

static void
note(void *arg, const struct issue_spec *spec, enum issue_outcome outcome,
    const struct err *err)
{
	(void)arg;
	is(spec->name, NAME, "a report");
	reported.n++;
	reported.outcome = outcome;
	reported.err = err ? *err : (struct err)ERR_INIT;
}

/* A run with a CA that is not there; that it is not is found out once. */
static struct {
	struct http *http;
	struct run *run;
	struct key *key;
} nobody;

static void
open_run(void)
{
	struct http_config config = {.user_agent = "test", .proxy = ""};
	struct err err = ERR_INIT;
	struct run_config where = {.store = store,
	    .issuer = ISSUER,
	    .directory_url = ca,
	    .hits_fd = -1};

	nobody.http = where.http = http_open(&config, &err);
	nobody.run = run_open(&where, &err);
	nobody.key = key_new(KEY_P256, &err);
	ok(nobody.run && nobody.key, "a run");
}

static void
close_run(void)
{
	run_close(nobody.run);
	http_close(nobody.http);
	key_free(nobody.key);
}

static void
order(const struct renew_env *env, struct renew_want *w)
{
	struct issue_env issue = {.run = nobody.run,
	    .store = store,
	    .issuer = ISSUER,
	    .ca = ca,
	    .account_key = nobody.key,
	    .account_url = "https://127.0.0.1:1/a"};
	struct err err = ERR_INIT;

	memset(&reported, 0, sizeof(reported));
	ok_err(
	    renew_order(env, &issue, w, 1, note, NULL, &err), &err, "ordering");
	is_int(reported.n, 1, "... is reported once");
}

static void
test_failure(void)
{
	time_t now = time(NULL);
	struct renew_env env = env_at(now);
	struct renew_want w = want();
	struct state st;

	install(&late, NAME, false);
	put_window(HOUR, 0);
	is_int(decided(&env, &w), RENEW_DUE, "one that is due");
	order(&env, &w);
	is_int(reported.outcome, ISSUE_FAILED, "fails");
	is_int(reported.err.code, ERR_UNAVAILABLE, "since there is no CA");
	ok(strstr(reported.err.text, "is untouched and good until") != NULL,
	    "the one in place is told: %s", reported.err.text);
	state_load(store, ISSUER, NAME, &st);
	is_int(st.failures, 1, "it is remembered");
	is_int(st.failed_at, now, "and when");
	ok(st.next_try >= now + 30 && st.next_try < now + 90,
	    "the next try is about a minute away");
	is_int(reported.err.retry_at, st.next_try, "which is told");
	is_int(st.code, ERR_UNAVAILABLE, "the status");
	ok(st.text && strstr(st.text, "127.0.0.1"), "the words");
	ok(!w.changed && !w.ask, "nothing has changed");

	w = want();
	env.now = st.next_try - 1;
	is_int(decided(&env, &w), RENEW_WAITS, "it waits");
	is_int(w.next_try, st.next_try, "until then");
	is_int(w.err.code, ERR_LATER, "which is no failure of its own");
	ok(strstr(w.err.text, "failed 1 time, last by: ") != NULL,
	    "and says why: %s", w.err.text);
	env.force = true;
	is_int(decided(&env, &w), RENEW_DUE, "but not by force");
	env.force = false;
	env.now = st.next_try;
	is_int(decided(&env, &w), RENEW_DUE, "no longer than that");
	env.now = now - 3 * DAY;
	is_int(decided(&env, &w), RENEW_DUE, "nor by a clock set back");
	state_release(&st);
}

static void
test_again(void)
{
	struct renew_env env = env_now();
	struct renew_want w = want();
	struct state st;

	w.state = RENEW_DUE;
	order(&env, &w);
	state_load(store, ISSUER, NAME, &st);
	is_int(st.failures, 2, "a second failure");
	ok(st.next_try >= env.now + 300 && st.next_try < env.now + 900,
	    "waits ten times as long");
	state_release(&st);

	env.ca = "https://127.0.0.1:1/other";
	is_int(decided(&env, &w), RENEW_DUE, "another CA does not wait");
	env.ca = ca;
	is_int(decided(&env, &w), RENEW_WAITS, "the same one does");
	w.spec.n_challenges = 1;
	is_int(decided(&env, &w), RENEW_DUE, "another challenge does not");
	w = want();
	w.spec.must_staple = true;
	is_int(decided(&env, &w), RENEW_DUE, "nor does must-staple");
	w.spec.key_type = KEY_P384;
	is_int(decided(&env, &w), RENEW_DUE, "nor another type of key");
	order(&env, &w);
	state_load(store, ISSUER, NAME, &st);
	is_int(st.failures, 1, "whose failures are counted anew");
	state_release(&st);
}

static void
test_held(void)
{
	struct renew_env env = env_now();
	struct renew_want w = want();
	struct buf directory = BUF_INIT;
	struct err err = ERR_INIT;
	struct lease *lease;
	struct state st;

	forget();
	w.state = RENEW_DUE;
	/* nobody is asked: the directory is at hand, and the lock is not */
	buf_puts(&directory,
	    "{\"newNonce\": \"https://127.0.0.1:1/n\", "
	    "\"newAccount\": \"https://127.0.0.1:1/a\", "
	    "\"newOrder\": \"https://127.0.0.1:1/o\", "
	    "\"revokeCert\": \"https://127.0.0.1:1/r\", "
	    "\"keyChange\": \"https://127.0.0.1:1/k\"}");
	directory_cache_save(store, ISSUER, ca, &directory, time(NULL));
	lease = lease_try(store, "issue_cert_" NAME, &err);
	ok(lease != NULL, "somebody holds the lock");
	order(&env, &w);
	is_int(reported.outcome, ISSUE_FAILED, "nothing is ordered");
	is_int(reported.err.code, ERR_LATER, "for now");
	ok(strstr(reported.err.text, "held by") != NULL, "since it is held: %s",
	    reported.err.text);
	state_load(store, ISSUER, NAME, &st);
	is_int(st.failures, 0, "which is no failure");
	state_release(&st);
	lease_release(lease);
	buf_release(&directory);
}

/* -- deploying -- */

static void
deployed(char out[STATE_SERIAL])
{
	struct state st;

	state_load(store, ISSUER, NAME, &st);
	memcpy(out, st.deployed, STATE_SERIAL);
	state_release(&st);
}

static void
test_deploy(void)
{
	struct renew_env env = env_now();
	struct deploy deploy = {.store = store};
	struct renew_want w = want();
	char before[STATE_SERIAL], after[STATE_SERIAL];
	struct err err = ERR_INIT;

	forget();
	ok_err(store_del(store, "certificates", &err), &err, "no certificate");
	w.deploy_hook = "/nonexistent/hook";
	is_int(
	    renew_deploy(&env, &deploy, &w, 1), ERR_NONE, "nothing to deploy");
	install(&fresh, NAME, false);
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_HOOK,
	    "a hook of the configuration that is not there");
	deployed(after);
	is(after, "", "is not done");
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_HOOK, "and repeated");
	w.deploy_hook = NULL;
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_NONE,
	    "what nobody waits for");
	deployed(after);
	is(after, "", "is not noted");
	w.changed = true;
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_NONE, "what was issued");
	deployed(before);
	ok(*before, "is");
	w = want();
	install(&fresh, NAME, false);
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_NONE,
	    "what somebody else has put there");
	deployed(after);
	ok(*after && strcmp(before, after) != 0, "is deployed too");
	w.deploy_hook = "/nonexistent/hook";
	w.changed = true;
	is_int(renew_deploy(&env, &deploy, &w, 1), ERR_NONE,
	    "what another run has deployed is not deployed again");
}

int
main(void)
{
	char *root = xasprintf("%s/store", tap_tmpdir());
	struct err err = ERR_INIT;

	log_open("test", LOG_ERROR);
	if (identifier_parse(NAME, &names[0], &err) == -1 ||
	    identifier_parse("b.example.com", &names[1], &err) == -1 ||
	    !(store = store_open(root, true, &err))) {
		diag("%s", err.text);
		return 99;
	}
	test_wrong();
	test_due();
	open_run();
	test_failure();
	test_again();
	close_run();
	open_run();
	test_held();
	close_run();
	test_deploy();
	store_close(store);
	free(root);
	return done();
}
