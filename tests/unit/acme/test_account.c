#include <config.h>

#include "tap.h"

#include <string.h>

#include "acme/account.h"
#include "acme/directory.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"
#include "pki/key.h"

#define PROBLEM(type)                                                          \
	"{\"type\":\"urn:ietf:params:acme:error:" type                         \
	"\",\"detail\":\"because\"}"
#define VALID "{\"status\":\"valid\",\"contact\":[\"mailto:me@example.test\"]}"

/* What a CA answers to each ask in turn, and what it was asked. */
struct script {
	struct {
		int status;
		const char *body;
	} answers[6];
	bool no_location;
	struct buf asked; /* "newAccount{...} save " */
	int saved;
};

static char new_account[] = "https://ca.test/new-account";
static char account[] = "https://ca.test/account/1";
static struct directory directory = {.new_account = new_account};
static struct key *key;

static enum flow_state
drive(struct script *s, const struct account_spec *spec, struct err *err,
    struct json **record, bool *created)
{
	struct account *a = account_new(spec, err);
	enum flow_state state;
	size_t n = 0;

	if (!a)
		return FLOW_FAILED;
	while ((state = flow_next(account_flow(a))) == FLOW_ASKING) {
		const struct ask *ask = &account_flow(a)->asks.v[0];
		struct answer answer = {.status = 200, .retry_after = -1};

		buf_printf(&s->asked, "%s%s ", ask->what,
		    ask->payload ? ask->payload : "");
		if (ask->kind == ASK_LOCAL) {
			s->saved++;
			*record = account_record(a);
			*created = account_created(a);
		} else {
			answer.status = s->answers[n].status;
			answer.body = s->answers[n].body;
			answer.body_len = strlen(s->answers[n++].body);
			answer.location = s->no_location ? NULL : account;
		}
		flow_answer(account_flow(a), 0, &answer);
	}
	*err = account_flow(a)->err;
	account_free(a);
	return state;
}

static struct account_spec
spec_for(const char *email)
{
	return (struct account_spec){
	    .directory = &directory, .key = key, .email = email};
}

static void
test_new(void)
{
	struct account_spec spec = spec_for("me@example.test");
	struct script s = {.answers = {{201, VALID}}};
	struct json *record = NULL;
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	bool created = false;

	spec.key_is_new = true;
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "a new key registers: %s", err.text);
	is(buf_str(&s.asked),
	    "newAccount{\"termsOfServiceAgreed\":true,"
	    "\"contact\":[\"mailto:me@example.test\"]} save ",
	    "with terms and contact, and is kept");
	ok(created, "the account was made");
	json_print(record, JSON_COMPACT, &text);
	is(buf_str(&text),
	    "{\"status\":\"valid\",\"contact\":"
	    "[\"mailto:me@example.test\"],\"termsOfServiceAgreed\":true,"
	    "\"location\":\"https://ca.test/account/1\"}",
	    "the record is what CertMagic reads");
	json_free(record);
	buf_release(&text);
	buf_release(&s.asked);
}

static void
test_find(void)
{
	struct account_spec spec = spec_for("");
	struct script s = {.answers = {{200, VALID}, {200, VALID}}};
	struct json *record = NULL;
	struct err err = ERR_INIT;
	bool created = true;

	spec.email = "me@example.test";
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "an old key without a URL is looked up: %s", err.text);
	is(buf_str(&s.asked), "newAccount{\"onlyReturnExisting\":true} save ",
	    "without registering (RFC 8555, 7.3.1)");
	ok(!created, "and was not made");
	json_free(record);
	buf_release(&s.asked);

	s = (struct script){
	    .answers = {{400, PROBLEM("accountDoesNotExist")}, {201, VALID}}};
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "one nobody knows is registered");
	ok(created, "which makes the account");
	json_free(record);
	buf_release(&s.asked);

	s = (struct script){.answers = {{400, PROBLEM("accountDoesNotExist")}}};
	spec.only_existing = true;
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "unless only an existing one will do");
	is_int(err.code, ERR_PERMISSION, "with its code");
	is_int(s.saved, 0, "nothing is kept");
	buf_release(&s.asked);
}

static void
test_update(void)
{
	struct account_spec spec = spec_for("you@example.test");
	struct script s = {.answers = {{200, VALID},
	                       {200,
	                           "{\"status\":\"valid\",\"contact\":["
	                           "\"mailto:you@example.test\"]}"}}};
	struct json *record = NULL;
	struct err err = ERR_INIT;
	bool created = true;

	spec.url = account;
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "another address is sent: %s", err.text);
	is(buf_str(&s.asked),
	    "account account{\"contact\":"
	    "[\"mailto:you@example.test\"]} save ",
	    "after a look");
	json_free(record);
	buf_release(&s.asked);

	s = (struct script){.answers = {{200, VALID}, {200, VALID}}};
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "a CA that keeps the old one is not asked for ever");
	json_free(record);
	buf_release(&s.asked);

	s = (struct script){.answers = {{200, "{\"status\":\"valid\"}"}}};
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "a CA that keeps none is asked once");
	is(buf_str(&s.asked), "account save ", "only for a look");
	json_free(record);
	buf_release(&s.asked);
}

static void
test_bad(void)
{
	struct account_spec spec = spec_for("");
	struct script s = {.answers = {{200, "{\"status\":\"deactivated\"}"}}};
	struct json *record = NULL;
	struct err err = ERR_INIT;
	bool created = true;

	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "a deactivated account is refused");
	is_int(err.code, ERR_PERMISSION, "with its code");
	buf_release(&s.asked);

	s = (struct script){.answers = {{200, VALID}}, .no_location = true};
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "an account without a URL is none");
	buf_release(&s.asked);

	s = (struct script){.answers = {{200, "{\"status\":5}"}}};
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "nor is one without a status");
	is_int(err.code, ERR_PROTOCOL, "with its code");
	buf_release(&s.asked);

	spec.url = "ftp://ca.test/1";
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "a URL of another kind is not asked");
}

static void
test_eab(void)
{
	struct account_spec spec = spec_for("");
	struct script s = {.answers = {{201, VALID}}};
	struct json *record = NULL;
	struct err err = ERR_INIT;
	bool created = false;

	directory.eab_required = true;
	spec.key_is_new = true;
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_FAILED,
	    "a CA that wants a binding is not asked without one");
	ok(strstr(err.text, "autocert_eab_key_id") != NULL, "what to set: %s",
	    err.text);
	spec.eab_key_id = "kid-1";
	spec.eab_mac = "0123456789abcdef";
	spec.eab_mac_len = 16;
	is_int(drive(&s, &spec, &err, &record, &created), FLOW_DONE,
	    "with one it is: %s", err.text);
	ok(strstr(buf_str(&s.asked),
	       "\"externalAccountBinding\":{\"protected\":") != NULL,
	    "the binding is in newAccount");
	directory.eab_required = false;
	json_free(record);
	buf_release(&s.asked);
}

int
main(void)
{
	struct err err = ERR_INIT;

	if (!(key = key_new(KEY_P256, &err)))
		return 99;
	test_new();
	test_find();
	test_update();
	test_bad();
	test_eab();
	key_free(key);
	return done();
}
