#include <config.h>

#include "store/account.h"

#include "base/err.h"
#include "base/json.h"
#include "pki/key.h"
#include "store/store.h"
#include "scratch.h"
#include "tap.h"

#define ACCOUNT "acme/" ISSUER "/users/me@example.com/me"

static struct store *s;
static struct err err;

static void
load_account(struct account_files *a, const char *what)
{
	ok_err(account_files_load(s, ISSUER, "me@example.com", a, &err), &err,
	    "%s", what);
}

static void
test_account(void)
{
	struct key *key = key_new(KEY_P256, &err);
	struct key *other = key_new(KEY_P256, &err);
	struct account_files a = {.key = NULL};
	struct json *record = json_new_object();

	load_account(&a, "where there is no account");
	ok(!a.key && !a.url && !a.record, "there is nothing");
	ok_err(account_key_save(s, ISSUER, "Me@Example.com", key, &err), &err,
	    "its key is saved first");
	is_int(mode_of(ACCOUNT ".key"), 0600, "where only we can read it");
	fails(account_key_save(s, ISSUER, "me@example.com", other, &err), &err,
	    ERR_EXISTS, NULL, "and never replaced");
	load_account(&a, "a key alone");
	ok(same_key(a.key, key) && !a.url && !a.record, "is an account to be");
	account_files_release(&a);
	json_add_string(record, "status", "valid");
	json_add_string(record, "location", "https://localhost:14000/acct/1");
	ok_err(account_record_save(s, ISSUER, "me@example.com", record, &err),
	    &err, "its record");
	is(get(ACCOUNT ".json"),
	    "{\n\t\"status\": \"valid\",\n"
	    "\t\"location\": \"https://localhost:14000/acct/1\"\n}",
	    "is CertMagic's");
	load_account(&a, "an account");
	is(a.url, "https://localhost:14000/acct/1", "has a URL");
	ok(a.record && same_key(a.key, key), "a record and a key");
	account_files_release(&a);
	account_files_release(&a);
	json_free(record);
	key_free(key);
	key_free(other);
}

static void
test_account_foreign(void)
{
	static const char *const bad[] = {"", "{", "{}",
	    "{\"status\":\"valid\"}", "{\"location\":5}",
	    "{\"status\":\"valid\",\"location\":\"\"}",
	    "{\"status\":\"valid\",\"location\":\"/acct/1\"}",
	    "{\"status\":\"valid\",\"location\":\"http://example.com/1\"}",
	    "{\"status\":\"deactivated\",\"location\":\"https://ca/1\"}",
	    "{\"status\":1,\"location\":\"https://ca/1\"}"};
	struct account_files a = {.key = NULL};
	size_t i;

	put(ACCOUNT ".json",
	    "{\"location\":\"https://ca/1\",\"x\":1,"
	    "\"status\":\"valid\",\"contact\":[\"mailto:me@example.com\"]}");
	load_account(&a, "a compact record of others");
	is(a.url, "https://ca/1", "is one");
	account_files_release(&a);
	put(ACCOUNT ".json", "{\"location\":\"https://ca/1\"}");
	load_account(&a, "and one without a status");
	is(a.url, "https://ca/1", "too");
	account_files_release(&a);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(ACCOUNT ".json", bad[i]);
		load_account(&a, "an unusable record");
		ok(a.key && !a.url && !a.record, "%zu counts as none", i);
		account_files_release(&a);
	}
	put(ACCOUNT ".key", "garbage");
	fails(account_files_load(s, ISSUER, "me@example.com", &a, &err), &err,
	    ERR_DATA, "me.key", "an unusable key is an error");
	is(get(ACCOUNT ".key"), "garbage", "and stays");
	ok(!a.key && !a.url && !a.record, "nothing is handed over");
	store_del(s, ACCOUNT ".json", &err);
	ok_err(store_put(s, ACCOUNT ".json/x", "", 0, STORE_CACHE, &err), &err,
	    "a folder in the record's place");
	store_del(s, ACCOUNT ".key", &err);
	load_account(&a, "is no record");
	account_files_release(&a);
	fails(account_files_load(s, "", "", &a, &err), &err, ERR_CONFIG, NULL,
	    "no issuer");
}

int
main(void)
{
	s = scratch_open();
	if (!s)
		return done();
	test_account();
	test_account_foreign();
	store_close(s);
	return done();
}
