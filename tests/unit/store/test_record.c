#include <config.h>

#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/json.h"
#include "store/store.h"
#include "tap.h"

#define ISSUER "localhost-14000-dir"
#define ACCOUNT "acme/" ISSUER "/users/me@example.com/me"
#define TOKEN "acme/" ISSUER "/challenge_tokens/www.example.com.json"
#define JOURNAL "autocert/" ISSUER "/orders/www.example.com"
#define THUMB "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

enum { PATH_SIZE = 512 };

static char root[PATH_SIZE];
static struct store *s;
static struct err err;

static void
put(const char *key, const char *text)
{
	if (store_put(s, key, text, strlen(text), STORE_CACHE, &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
}

static const char *
get(const char *key)
{
	static char text[4096];
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;

	if (store_get(s, key, sizeof(text) - 1, &b, NULL, &e) == -1)
		snprintf(text, sizeof(text), "error %d", (int)e.code);
	else
		snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_release(&b);
	return text;
}

static unsigned
mode_of(const char *key)
{
	char path[2 * PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", root, key);
	return stat(path, &st) == -1 ? 0 : st.st_mode & 07777;
}

static bool
same_key(const struct key *a, const struct key *b)
{
	unsigned char x[32], y[32];

	return a && b && key_id(a, x, &err) == 0 && key_id(b, y, &err) == 0 &&
	    memcmp(x, y, sizeof(x)) == 0;
}

/* -- the account ----------------------------------------------------------- */

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
	struct account_files a = { .key = NULL };
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
	is(get(ACCOUNT ".json"), "{\n\t\"status\": \"valid\",\n"
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
	static const char *const bad[] = { "", "{", "{}",
		"{\"status\":\"valid\"}", "{\"location\":5}",
		"{\"status\":\"valid\",\"location\":\"\"}",
		"{\"status\":\"valid\",\"location\":\"/acct/1\"}",
		"{\"status\":\"valid\",\"location\":\"http://example.com/1\"}",
		"{\"status\":\"deactivated\",\"location\":\"https://ca/1\"}",
		"{\"status\":1,\"location\":\"https://ca/1\"}" };
	struct account_files a = { .key = NULL };
	size_t i;

	put(ACCOUNT ".json", "{\"location\":\"https://ca/1\",\"x\":1,"
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

/* -- tokens ---------------------------------------------------------------- */

static struct token
make_token(const char *type, const char *name, const char *token)
{
	struct token t = { .type = "" };

	snprintf(t.type, sizeof(t.type), "%s", type);
	snprintf(t.token, sizeof(t.token), "%s", token);
	snprintf(t.key_authorization, sizeof(t.key_authorization), "%s." THUMB,
	    token);
	if (identifier_parse(name, &t.identifier, &err) == -1)
		exit(99);
	return t;
}

static void
test_token(void)
{
	struct token t = make_token("http-01", "www.example.com", "abc-_09");
	struct token got, other;

	ok_err(token_put(s, ISSUER, &t, "https://ca/chall/1", &err), &err,
	    "a token is put");
	is(get(TOKEN), "{\"type\":\"http-01\",\"url\":\"https://ca/chall/1\","
	    "\"status\":\"pending\",\"token\":\"abc-_09\","
	    "\"keyAuthorization\":\"abc-_09." THUMB "\","
	    "\"identifier\":{\"type\":\"dns\",\"value\":\"www.example.com\"}}",
	    "as CertMagic does, to the byte");
	is_int(mode_of(TOKEN), 0600, "for us alone");
	ok_err(token_get(s, ISSUER, "WWW.example.com", &got, &err), &err,
	    "and got");
	is(got.type, t.type, "type");
	is(got.token, t.token, "token");
	is(got.key_authorization, t.key_authorization, "key authorization");
	ok(identifier_equal(&got.identifier, &t.identifier), "identifier");
	fails(token_get(s, ISSUER, "other.example.com", &got, &err), &err,
	    ERR_ABSENT, NULL, "no other name has one");
	fails(token_get(s, ISSUER, "../../x", &got, &err), &err, ERR_ABSENT,
	    NULL, "nor a path");
	other = make_token("http-01", "www.example.com", "other");
	ok_err(token_del(s, ISSUER, &other, &err), &err, "another's removal");
	ok_err(token_get(s, ISSUER, "www.example.com", &got, &err), &err,
	    "does not remove it");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "its own");
	is(get(TOKEN), "error 66", "does");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "twice is no error");
	put(TOKEN, "");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "a damaged file");
	is(get(TOKEN), "error 66", "goes, too");
	t.token[0] = '/';
	fails(token_put(s, ISSUER, &t, "u", &err), &err, ERR_DATA, NULL,
	    "a token that is none is not put");
}

static void
test_token_ip(void)
{
	struct token t = make_token("tls-alpn-01", "192.0.2.1", "abc");
	struct token h = make_token("http-01", "2001:db8::1", "abc"), got;

	ok_err(token_put(s, ISSUER, &t, "u", &err), &err, "an address");
	ok_err(token_get(s, ISSUER, "1.2.0.192.in-addr.arpa", &got, &err),
	    &err, "is filed for tls-alpn-01 under its reverse name");
	is(got.identifier.value, "192.0.2.1", "and is itself inside");
	ok(strncmp(get("acme/" ISSUER "/challenge_tokens/"
	    "1.2.0.192.in-addr.arpa.json"), "{\"type\"", 7) == 0, "there");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "and removed");
	ok_err(token_put(s, ISSUER, &h, "u", &err), &err, "for http-01");
	ok_err(token_get(s, ISSUER, "2001:db8::1", &got, &err), &err,
	    "under itself");
	ok(strncmp(get("acme/" ISSUER "/challenge_tokens/2001-db8--1.json"),
	    "{\"type\"", 7) == 0, "made safe");
	token_del(s, ISSUER, &h, &err);
}

#define KA "\"keyAuthorization\":\"abc." THUMB "\""
#define ID "\"identifier\":{\"type\":\"dns\",\"value\":\"www.example.com\"}"
#define TYPE "\"type\":\"http-01\""
#define TOK "\"token\":\"abc\""

/* Other programs write these, and whoever can write there. */
static void
test_token_hostile(void)
{
	static const char *const bad[] = {
		"", "[]", "{", "{}",
		"{" TOK "," KA "," ID "}",
		"{" TYPE "," KA "," ID "}",
		"{" TYPE "," TOK "," ID "}",
		"{" TYPE "," TOK "," KA "}",
		"{\"type\":\"\"," TOK "," KA "," ID "}",
		"{\"type\":\"HTTP 01\"," TOK "," KA "," ID "}",
		"{\"type\":\"http-01-http-01-http-01-http-01-\"," TOK "," KA ","
		    ID "}",
		"{\"type\":1," TOK "," KA "," ID "}",
		"{" TYPE ",\"token\":\"\",\"keyAuthorization\":\"." THUMB "\","
		    ID "}",
		"{" TYPE ",\"token\":\"../x\",\"keyAuthorization\":\"../x."
		    THUMB "\"," ID "}",
		"{" TYPE ",\"token\":\"a=\",\"keyAuthorization\":\"a=." THUMB
		    "\"," ID "}",
		"{" TYPE ",\"token\":\"abd\"," KA "," ID "}",
		"{" TYPE ",\"token\":\"abc." THUMB "\"," KA "," ID "}",
		"{" TYPE "," TOK ",\"keyAuthorization\":\"abc\"," ID "}",
		"{" TYPE "," TOK ",\"keyAuthorization\":\"abc." THUMB "x\"," ID
		    "}",
		"{" TYPE "," TOK ",\"keyAuthorization\":\"abc.9jg46WB3rR_AHD-"
		    "EBXdN7cBkH1WOu0tA3M9fm21mqT\\n\"," ID "}",
		"{" TYPE "," TOK "," KA ",\"identifier\":\"www.example.com\"}",
		"{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\"}}",
		"{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"ip\","
		    "\"value\":\"www.example.com\"}}",
		"{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
		    "\"value\":\"192.0.2.1\"}}",
		"{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
		    "\"value\":\"../www.example.com\"}}",
		"{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
		    "\"value\":\"evil.example.com\"}}",
		"{" TYPE "," TYPE "," TOK "," KA "," ID "}",
	};
	struct token got = { .type = "kept" };
	char token[514], text[2048];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(TOKEN, bad[i]);
		err_clear(&err);
		fails(token_get(s, ISSUER, "www.example.com", &got, &err),
		    &err, ERR_DATA, NULL, "hostile token %zu", i);
	}
	is(got.type, "kept", "nothing is handed over");
	put(TOKEN, "{" TYPE "," TOK "," KA "," ID "}");
	ok_err(token_get(s, ISSUER, "www.example.com", &got, &err), &err,
	    "the least that is a token");
	memset(token, 'a', 513);
	for (i = 512; i <= 513; i++) {
		token[i] = '\0';
		snprintf(text, sizeof(text), "{" TYPE ",\"token\":\"%s\","
		    "\"keyAuthorization\":\"%s." THUMB "\"," ID "}", token,
		    token);
		put(TOKEN, text);
		is_int(token_get(s, ISSUER, "www.example.com", &got, &err),
		    i == 512 ? 0 : -1, "a token of %zu bytes", i);
		token[i] = 'a';
	}
	store_del(s, TOKEN, &err);
}

/* -- the journal ----------------------------------------------------------- */

static bool
load_journal(struct journal *j)
{
	bool found = true;

	ok_err(journal_load(s, ISSUER, "www.example.com", j, &found, &err),
	    &err, "the journal is looked for");
	return found;
}

static void
test_journal(void)
{
	struct identifier names[2];
	struct journal j = { .names = names, .n_names = 2,
		.key_type = KEY_P384, .must_staple = true }, got;
	struct key *key = key_new(KEY_P384, &err);

	identifier_parse("www.example.com", &names[0], &err);
	identifier_parse("*.example.com", &names[1], &err);
	ok(!load_journal(&got), "there is none");
	ok_err(journal_save(s, ISSUER, "www.example.com", &j, &err), &err,
	    "one is saved before the order is made");
	if (ok(load_journal(&got), "and found")) {
		ok(identifiers_equal(names, 2, got.names, got.n_names) &&
		    got.key_type == KEY_P384 && got.must_staple &&
		    !got.order_url && !got.key, "as it was");
		journal_release(&got);
	}
	j.order_url = xstrdup("https://localhost:14000/order/1");
	ok_err(journal_save(s, ISSUER, "www.example.com", &j, &err), &err,
	    "then the order's URL");
	ok_err(journal_save_key(s, ISSUER, "www.example.com", key, &err), &err,
	    "then the key");
	is_int(mode_of(JOURNAL "/key.pem"), 0600, "for us alone");
	if (ok(load_journal(&got), "all is found")) {
		is(got.order_url, j.order_url, "the URL");
		ok(same_key(got.key, key), "and the key");
		journal_release(&got);
		journal_release(&got);
	}
	ok_err(journal_remove(s, ISSUER, "www.example.com", &err), &err,
	    "removed");
	ok(!load_journal(&got), "it is gone");
	ok_err(journal_remove(s, ISSUER, "www.example.com", &err), &err,
	    "twice is no error");
	free(j.order_url);
	key_free(key);
}

#define NAMES "\"names\":[\"www.example.com\"]"
#define REST "\"key_type\":\"p256\",\"must_staple\":false"

static void
test_journal_damaged(void)
{
	static const char *const bad[] = { "", "{}", "{" NAMES "}",
		"{" REST "}", "{\"names\":[]," REST "}",
		"{\"names\":[1]," REST "}", "{\"names\":[\"..\"]," REST "}",
		"{\"names\":[\"a.example\",\"/\"]," REST "}",
		"{" NAMES ",\"key_type\":\"dsa\",\"must_staple\":false}",
		"{" NAMES ",\"key_type\":\"p256\",\"must_staple\":0}",
		"{" NAMES "," REST ",\"order\":\"ftp://x/\"}",
		"{" NAMES "," REST ",\"order\":7}" };
	struct journal got;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(JOURNAL "/order.json", bad[i]);
		ok(!load_journal(&got), "damaged %zu is none", i);
	}
	put(JOURNAL "/order.json", "{" NAMES "," REST "}");
	ok(load_journal(&got), "the least that is a journal");
	journal_release(&got);
	put(JOURNAL "/key.pem", "garbage");
	ok(!load_journal(&got), "with a damaged key it is none");
	journal_remove(s, ISSUER, "www.example.com", &err);
	put(JOURNAL "/key.pem", "garbage");
	ok(!load_journal(&got), "a key alone is none either");
	journal_remove(s, ISSUER, "www.example.com", &err);
}

/* -- what is remembered ---------------------------------------------------- */

static void
test_directory(void)
{
	static const char url[] = "https://localhost:14000/dir";
	struct buf body = BUF_INIT, out = BUF_INIT;
	time_t when = 5;

	directory_cache_load(s, ISSUER, url, &out, &when);
	ok(out.len == 0 && when == 0, "no directory is remembered");
	buf_puts(&body, "{ \"newNonce\": \"https://localhost:14000/n\" }");
	directory_cache_save(s, ISSUER, url, &body, 1800000000);
	directory_cache_load(s, ISSUER, url, &out, &when);
	is(buf_str(&out), "{\"newNonce\":\"https://localhost:14000/n\"}",
	    "now it is");
	is_int(when, 1800000000, "with its time");
	directory_cache_load(s, ISSUER, "https://localhost:14000/DIR", &out,
	    &when);
	ok(out.len == 0 && when == 0, "but not for another URL");
	put("autocert/" ISSUER "/directory.json", "{\"url\":\"x");
	directory_cache_load(s, ISSUER, url, &out, &when);
	ok(out.len == 0 && when == 0, "a damaged one is none");
	buf_clear(&body);
	buf_puts(&body, "<html>");
	directory_cache_save(s, ISSUER, url, &body, 1800000000);
	is(get("autocert/" ISSUER "/directory.json"), "{\"url\":\"x",
	    "what is no directory is not remembered");
	directory_cache_forget(s, ISSUER);
	is(get("autocert/" ISSUER "/directory.json"), "error 66", "forgotten");
	directory_cache_forget(s, ISSUER);
	buf_release(&body);
	buf_release(&out);
}

static void
test_nonce(void)
{
	static const char *const bad[] = { "", "a b", "a\n", "a+b", "\xff" };
	char *nonce = nonce_cache_take(s, ISSUER);
	size_t i;

	is(nonce, NULL, "no nonce is remembered");
	nonce_cache_save(s, ISSUER, "abc-_123");
	nonce = nonce_cache_take(s, ISSUER);
	is(nonce, "abc-_123", "one is");
	free(nonce);
	is(nonce_cache_take(s, ISSUER), NULL, "and is taken once");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nonce_cache_save(s, ISSUER, bad[i]);
		is(get("autocert/" ISSUER "/nonce"), "error 66",
		    "bad nonce %zu is not saved", i);
		put("autocert/" ISSUER "/nonce", bad[i]);
		is(nonce_cache_take(s, ISSUER), NULL, "and not believed");
	}
}

int
main(void)
{
	snprintf(root, sizeof(root), "%s/store", tap_tmpdir());
	s = store_open(root, true, &err);
	if (!ok_err(s ? 0 : -1, &err, "a store"))
		return done();
	test_account();
	test_account_foreign();
	test_token();
	test_token_ip();
	test_token_hostile();
	test_journal();
	test_journal_damaged();
	test_directory();
	test_nonce();
	store_close(s);
	return done();
}
