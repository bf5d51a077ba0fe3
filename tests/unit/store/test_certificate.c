#include <config.h>

#include "store/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/err.h"
#include "base/json.h"
#include "pki/key.h"
#include "store/dir.h"
#include "store/store.h"
#include "tap.h"

#define ISSUER "localhost-14000-dir"
#define FOLDER "certificates/" ISSUER "/www.example.com"

enum { PATH_SIZE = 512 };

static char root[PATH_SIZE];

/* A key and a certificate for it. */
struct pair {
	struct buf key, chain;
};

static void
must(int rc)
{
	if (rc < 0) {
		fprintf(stderr, "%s\n", gnutls_strerror(rc));
		exit(99);
	}
}

static void
make_pair(struct pair *p, unsigned char serial)
{
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem;

	*p = (struct pair){.key = BUF_SECRET};
	if (!key || key_save(key, &p->key, &err) == -1)
		exit(99);
	must(gnutls_x509_crt_init(&crt));
	must(gnutls_x509_crt_set_version(crt, 3));
	must(gnutls_x509_crt_set_serial(crt, &serial, 1));
	must(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600));
	must(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400));
	must(gnutls_x509_crt_set_subject_alt_name(
	    crt, GNUTLS_SAN_DNSNAME, "www.example.com", 15, GNUTLS_FSAN_SET));
	must(gnutls_x509_crt_set_key(crt, key_handle(key)));
	must(gnutls_x509_crt_sign2(
	    crt, crt, key_handle(key), GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
	buf_put(&p->chain, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	key_free(key);
}

static void
pair_release(struct pair *p)
{
	buf_release(&p->key);
	buf_release(&p->chain);
}

static struct store *
fresh(const char *name, int flags)
{
	struct err err = ERR_INIT;
	struct store *s;

	snprintf(root, sizeof(root), "%s/%s", tap_tmpdir(), name);
	s = store_open_dir(root, flags | DIR_CREATE, &err);
	if (!s) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	return s;
}

static int
commit(struct store *s, const struct pair *p, const char *url, struct err *err)
{
	struct identifier names[2];
	struct certificate_new c = {
	    .issuer = ISSUER,
	    .name = "www.example.com",
	    .chain = p->chain.data,
	    .chain_len = p->chain.len,
	    .key = p->key.data,
	    .key_len = p->key.len,
	    .names = names,
	    .n_names = 2,
	    .url = url,
	    .ca = "https://localhost:14000/dir",
	    .account = "https://localhost:14000/my-account/1",
	};

	if (identifier_parse("www.example.com", &names[0], err) == -1 ||
	    identifier_parse("192.0.2.1", &names[1], err) == -1)
		return -1;
	return certificate_commit(s, &c, err);
}

static void
put(struct store *s, const char *key, const void *data, size_t len)
{
	struct err err = ERR_INIT;

	if (store_put(s, key, data, len, STORE_CACHE, &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
}

static int
load(struct store *s, bool with_key, struct certificate *c, struct err *err)
{
	return certificate_load(s, ISSUER, "www.example.com", with_key, c, err);
}

/* -- somebody else --------------------------------------------------------- */

/* Commits at the close() that is countdown calls away. */
static struct intruder {
	struct store *store;
	const struct pair *pair;
	const char *url;
	int countdown;
	bool restless; /* and at every later one, URLs changing */
} intruder;

static void
intrude(void)
{
	static unsigned visits;
	struct err err = ERR_INIT;
	char url[32];

	snprintf(url, sizeof(url), "%u", ++visits);
	if (commit(intruder.store, intruder.pair,
	        intruder.restless ? url : intruder.url, &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	intruder.countdown = intruder.restless;
}

/* Stands before the C library's. */
int
close(int fd)
{
	static bool inside;

	if (!inside && intruder.countdown > 0 && --intruder.countdown == 0) {
		inside = true;
		intrude();
		inside = false;
	}
	return (int)syscall(SYS_close, fd);
}

/* -- commit and load ------------------------------------------------------- */

static void
test_commit(void)
{
	static const char meta[] =
	    "{\n"
	    "\t\"sans\": [\n"
	    "\t\t\"www.example.com\",\n"
	    "\t\t\"192.0.2.1\"\n"
	    "\t],\n"
	    "\t\"issuer_data\": {\n"
	    "\t\t\"url\": \"https://localhost:14000/certZ/1\",\n"
	    "\t\t\"ca\": \"https://localhost:14000/dir\",\n"
	    "\t\t\"account\": \"https://localhost:14000/my-account/1\"\n"
	    "\t}\n"
	    "}";
	struct store *s = fresh("commit", 0);
	struct certificate c = {.issuer = NULL};
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct pair p;

	make_pair(&p, 1);
	fails(load(s, false, &c, &err), &err, ERR_ABSENT, "www.example.com",
	    "no certificate yet");
	ok_err(commit(s, &p, "https://localhost:14000/certZ/1", &err), &err,
	    "one is committed");
	store_get(s, FOLDER "/www.example.com.json", 9999, &b, NULL, &err);
	is(buf_str(&b), meta, "the metadata is CertMagic's, to the byte");
	ok_err(load(s, false, &c, &err), &err, "it is loaded");
	is(c.issuer, ISSUER, "its issuer");
	is(c.name, "www.example.com", "its name");
	ok(c.chain.len == p.chain.len &&
	        memcmp(c.chain.data, p.chain.data, p.chain.len) == 0,
	    "its chain");
	is_int((long long)c.cert.n_names, 1, "what the chain says");
	is(c.cert.names[0].value, "www.example.com", "is read");
	ok(c.meta != NULL, "so is the metadata");
	ok(!c.key_checked && !c.key_matches, "the key is not looked at");
	certificate_release(&c);
	certificate_release(&c);
	ok_err(load(s, true, &c, &err), &err, "with its key");
	ok(c.key_checked && c.key_matches, "which fits");
	certificate_release(&c);
	buf_release(&b);
	pair_release(&p);
	store_close(s);
}

static void
test_names(void)
{
	struct store *s = fresh("names", 0);
	struct certificate_new bad = {
	    .issuer = ISSUER, .name = "..", .chain = "", .key = ""};
	struct certificate c;
	struct err err = ERR_INIT;

	fails(certificate_commit(s, &bad, &err), &err, ERR_CONFIG, NULL,
	    "a name of which nothing is left");
	fails(certificate_load(s, "..", "x", false, &c, &err), &err, ERR_CONFIG,
	    NULL, "an issuer of which nothing is left");
	store_close(s);
}

/* -- damage ---------------------------------------------------------------- */

static void
test_missing(void)
{
	static const char *const suffixes[] = {".key", ".crt", ".json"};
	struct store *s = fresh("missing", 0);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair p;
	char key[PATH_SIZE];
	size_t i;

	make_pair(&p, 1);
	for (i = 0; i < 3; i++) {
		commit(s, &p, "u", &err);
		snprintf(
		    key, sizeof(key), FOLDER "/www.example.com%s", suffixes[i]);
		store_del(s, key, &err);
		fails(load(s, false, &c, &err), &err, ERR_ABSENT, suffixes[i],
		    "without its %s there is no certificate", suffixes[i]);
		fails(load(s, true, &c, &err), &err, ERR_ABSENT, suffixes[i],
		    "with or without looking at the key");
	}
	pair_release(&p);
	store_close(s);
}

static void
test_damaged(void)
{
	static const struct {
		const char *suffix, *text;
	} bad[] = {
	    {".json", ""},
	    {".json", "[]"},
	    {".json", "{"},
	    {".crt", ""},
	    {".crt", "-----BEGIN CERTIFICATE-----\n"},
	};
	struct store *s = fresh("damaged", 0);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair p;
	char key[PATH_SIZE], *big = xcalloc(1, CERT_SIZE + 1);
	size_t i;

	make_pair(&p, 1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		commit(s, &p, "u", &err);
		snprintf(key, sizeof(key), FOLDER "/www.example.com%s",
		    bad[i].suffix);
		put(s, key, bad[i].text, strlen(bad[i].text));
		fails(load(s, false, &c, &err), &err, ERR_DATA, bad[i].suffix,
		    "damage %zu", i);
	}
	commit(s, &p, "u", &err);
	put(s, FOLDER "/www.example.com.key", "no key", 6);
	fails(load(s, true, &c, &err), &err, ERR_DATA, ".key",
	    "a key that is none");
	ok_err(load(s, false, &c, &err), &err, "for who looks at it");
	certificate_release(&c);
	put(s, FOLDER "/www.example.com.crt", big, CERT_SIZE + 1);
	fails(load(s, false, &c, &err), &err, ERR_DATA, ".crt",
	    "a chain too large");
	free(big);
	pair_release(&p);
	store_close(s);
}

static void
test_other_key(void)
{
	struct store *s = fresh("other", 0);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair p, q;

	make_pair(&p, 1);
	make_pair(&q, 2);
	commit(s, &p, "u", &err);
	put(s, FOLDER "/www.example.com.key", q.key.data, q.key.len);
	ok_err(load(s, true, &c, &err), &err, "with another's key it loads");
	ok(c.key_checked && !c.key_matches, "and says that it does not fit");
	certificate_release(&c);
	pair_release(&p);
	pair_release(&q);
	store_close(s);
}

/* What Caddy writes has more in it, and may have less. */
static void
test_foreign(void)
{
	static const char more[] =
	    "{\"sans\":[\"www.example.com\"],"
	    "\"issuer_data\":{\"url\":\"u\",\"renewal_info\":{"
	    "\"_uniqueIdentifier\":\"a.b\",\"_retryAfter\":"
	    "\"2026-11-22T07:46:32.481219475Z\"}},\"else\":1}";
	struct store *s = fresh("foreign", 0);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair p;

	make_pair(&p, 1);
	commit(s, &p, "u", &err);
	put(s, FOLDER "/www.example.com.json", more, strlen(more));
	ok_err(load(s, true, &c, &err), &err, "metadata with more in it");
	certificate_release(&c);
	put(s, FOLDER "/www.example.com.json", "{}", 2);
	ok_err(load(s, true, &c, &err), &err, "and with nothing");
	certificate_release(&c);
	pair_release(&p);
	store_close(s);
}

/* -- list ------------------------------------------------------------------ */

static void
test_list(void)
{
	struct store *s = fresh("list", 0);
	struct strings names = {.n = 0};
	struct err err = ERR_INIT;

	ok_err(certificate_list(s, &names, &err), &err, "an empty store");
	is_int((long long)names.n, 0, "has none");
	put(s, "certificates/b-ca/www/www.crt", "", 0);
	put(s, "certificates/b-ca/aaa/aaa.crt", "", 0);
	put(s, "certificates/a-ca/zzz/zzz.crt", "", 0);
	put(s, "certificates/a-ca/file", "", 0);
	put(s, "certificates/file", "", 0);
	ok_err(certificate_list(s, &names, &err), &err, "a list");
	if (is_int((long long)names.n, 3, "of folders")) {
		is(names.v[0], "a-ca/zzz", "sorted");
		is(names.v[1], "b-ca/aaa", "by issuer");
		is(names.v[2], "b-ca/www", "and name");
	}
	strings_release(&names);
	store_close(s);
}

/* -- loading while somebody commits ---------------------------------------- */

/* The URL in the metadata says which pair it should be. */
static const struct pair *
meant(const struct certificate *c, const struct pair *pairs)
{
	const struct json *data = NULL;
	struct err err = ERR_INIT;
	const char *url = "";

	if (json_get_object("meta", c->meta, "issuer_data", JSON_REQUIRED,
	        &data, &err) == -1 ||
	    json_get_string("meta", data, "url", JSON_REQUIRED, &url, &err) ==
	        -1)
		return NULL;
	return &pairs[strncmp(url, "odd", 3) == 0];
}

static bool
belongs(const struct certificate *c, const struct pair *p)
{
	return p && c->chain.len == p->chain.len &&
	    memcmp(c->chain.data, p->chain.data, p->chain.len) == 0;
}

/*
 * Loads once for every close() that loading calls, with a commit just before
 * it: between any two steps of the way to a file, and between any two files.
 */
static void
check_torn(const char *name, int flags, bool with_key)
{
	struct store *s = fresh(name, flags);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair pairs[2];
	int n, failed = 0, torn = 0, unfit = 0;

	make_pair(&pairs[0], 1);
	make_pair(&pairs[1], 2);
	commit(s, &pairs[0], "even", &err);
	for (n = 1; n < 1000; n++) {
		intruder = (struct intruder){.store = s,
		    .pair = &pairs[n % 2],
		    .url = n % 2 ? "odd" : "even",
		    .countdown = n};
		if (load(s, with_key, &c, &err) == -1) {
			diag("%s at %d: %s", name, n, err.text);
			failed++;
		} else {
			torn += !belongs(&c, meant(&c, pairs));
			unfit += with_key && !c.key_matches;
			certificate_release(&c);
		}
		if (intruder.countdown > 0)
			break;
	}
	intruder.countdown = 0;
	ok(n > 15 && n < 1000, "%s: %d places for a commit", name, n - 1);
	is_int(failed, 0, "%s: every load succeeds", name);
	is_int(torn, 0, "%s: with chain and metadata of one commit", name);
	is_int(unfit, 0, "%s: and its key", name);
	pair_release(&pairs[0]);
	pair_release(&pairs[1]);
	store_close(s);
}

/* Metadata that says the same before and after: only the key tells. */
static void
test_same_meta(void)
{
	struct store *s = fresh("same", 0);
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair pairs[2];
	int n, unfit = 0;

	make_pair(&pairs[0], 1);
	make_pair(&pairs[1], 2);
	commit(s, &pairs[0], "u", &err);
	for (n = 1; n < 1000; n++) {
		intruder = (struct intruder){.store = s,
		    .url = "u",
		    .pair = &pairs[n % 2],
		    .countdown = n};
		if (load(s, true, &c, &err) == -1)
			break;
		unfit += !c.key_matches;
		certificate_release(&c);
		if (intruder.countdown > 0)
			break;
	}
	intruder.countdown = 0;
	ok(n > 15 && n < 1000, "another key under the same metadata");
	is_int(unfit, 0, "is looked at again");
	pair_release(&pairs[0]);
	pair_release(&pairs[1]);
	store_close(s);
}

/* Somebody who commits each time we look. */
static void
test_restless(void)
{
	struct store *s = fresh("restless", 0);
	struct strings names = {.n = 0};
	struct certificate c;
	struct err err = ERR_INIT;
	struct pair pair;

	make_pair(&pair, 1);
	commit(s, &pair, "0", &err);
	intruder = (struct intruder){
	    .store = s, .pair = &pair, .countdown = 1, .restless = true};
	fails(store_list(s, FOLDER, &names, &err), &err, ERR_LATER, FOLDER,
	    "a folder that is never the same is given up");
	fails(load(s, false, &c, &err), &err, ERR_LATER, "www.example.com",
	    "and so is a certificate");
	intruder.countdown = 0;
	ok_err(load(s, false, &c, &err), &err, "for now");
	certificate_release(&c);
	pair_release(&pair);
	store_close(s);
}

int
main(void)
{
	test_commit();
	test_names();
	test_missing();
	test_damaged();
	test_other_key();
	test_foreign();
	test_list();
	check_torn("exchange", 0, false);
	check_torn("exchange with key", 0, true);
	check_torn("journal", DIR_JOURNAL, false);
	check_torn("journal with key", DIR_JOURNAL, true);
	test_same_meta();
	test_restless();
	return done();
}
