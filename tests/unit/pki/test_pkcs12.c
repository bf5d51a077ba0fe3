#include <config.h>

#include "pki/pkcs12.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "pki/cert.h"
#include "pki/gtls.h"
#include "pki/key.h"
#include "tap.h"

#define PASSWORD "gl\303\274ckspilz 7"
#define NAME "www.example.com"

enum { AROUND = 128 }; /* bytes before and behind */

static struct key *key, *other;
static struct buf chain; /* leaf and issuer */
static size_t leaf_len;

static void
must(int rc)
{
	if (rc < 0)
		exit(99);
}

static gnutls_x509_crt_t
make_cert(const struct key *k, gnutls_x509_crt_t issuer,
    const struct key *issuer_key, unsigned char serial)
{
	gnutls_datum_t pem;
	gnutls_x509_crt_t crt;

	must(gnutls_x509_crt_init(&crt));
	must(gnutls_x509_crt_set_version(crt, 3));
	must(gnutls_x509_crt_set_serial(crt, &serial, 1));
	must(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600));
	must(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400));
	must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    serial == 1 ? "leaf" : "issuer", serial == 1 ? 4 : 6));
	must(gnutls_x509_crt_set_key(crt, key_handle(k)));
	must(gnutls_x509_crt_sign2(crt, issuer ? issuer : crt,
	    key_handle(issuer_key), GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
	if (issuer) {
		buf_put(&chain, pem.data, pem.size);
		leaf_len = chain.len;
	}
	gtls_free(&pem);
	return crt;
}

static void
make_world(void)
{
	struct err err = ERR_INIT;
	gnutls_x509_crt_t issuer, leaf;
	gnutls_datum_t pem;

	key = key_new(KEY_P256, &err);
	other = key_new(KEY_P256, &err);
	if (!key || !other)
		exit(99);
	issuer = make_cert(other, NULL, other, 2);
	leaf = make_cert(key, issuer, other, 1);
	must(gnutls_x509_crt_export2(issuer, GNUTLS_X509_FMT_PEM, &pem));
	buf_put(&chain, pem.data, pem.size);
	gtls_free(&pem);
	gnutls_x509_crt_deinit(issuer);
	gnutls_x509_crt_deinit(leaf);
}

static bool
holds(const struct buf *p12, const char *password, size_t len,
    const struct key *k, const char *name)
{
	return pkcs12_holds(
	    p12->data, p12->len, password, chain.data, len, k, name);
}

static void
test_make(void)
{
	struct buf p12 = BUF_INIT, again = BUF_INIT, alone = BUF_INIT;
	struct buf twice = BUF_INIT;
	struct err err = ERR_INIT;

	ok_err(
	    pkcs12_make(chain.data, chain.len, key, NAME, PASSWORD, &p12, &err),
	    &err, "a file is made");
	ok(p12.secret, "and is a secret");
	ok(holds(&p12, PASSWORD, chain.len, key, NAME),
	    "it holds what was put in");
	ok(!holds(&p12, "another", chain.len, key, NAME), "another password");
	ok(!holds(&p12, PASSWORD, leaf_len, key, NAME), "fewer certificates");
	buf_put(&twice, chain.data, leaf_len);
	buf_put(&twice, chain.data, leaf_len);
	ok(!pkcs12_holds(
	       p12.data, p12.len, PASSWORD, twice.data, twice.len, key, NAME),
	    "another issuer");
	buf_release(&twice);
	ok(!holds(&p12, PASSWORD, chain.len, other, NAME), "another key");
	ok(!holds(&p12, PASSWORD, chain.len, key, "mail.example.com"),
	    "another name");
	ok_err(pkcs12_make(
	           chain.data, leaf_len, key, NAME, PASSWORD, &alone, &err),
	    &err, "the leaf alone");
	ok(holds(&alone, PASSWORD, leaf_len, key, NAME), "is held");
	ok(!holds(&alone, PASSWORD, chain.len, key, NAME),
	    "and more certificates are not");
	ok_err(pkcs12_make(
	           chain.data, chain.len, key, NAME, PASSWORD, &again, &err),
	    &err, "once more");
	ok(again.len != p12.len || memcmp(again.data, p12.data, p12.len) != 0,
	    "salts are fresh");
	ok(holds(&again, PASSWORD, chain.len, key, NAME),
	    "and it says the same");
	buf_release(&p12);
	buf_release(&again);
	buf_release(&alone);
}

/* No byte can be changed unnoticed of what the MAC is over.  Around it, that
 * which names algorithms, some may: these are only read. */
static void
test_damaged(void)
{
	struct buf p12 = BUF_INIT;
	struct err err = ERR_INIT;
	size_t i, step, held = 0;
	bool same;

	if (pkcs12_make(
	        chain.data, chain.len, key, NAME, PASSWORD, &p12, &err) == -1)
		exit(99);
	/* Each try costs two key derivations. */
	step = p12.len / 60 + 1;
	for (i = 0; i < p12.len; i += step) {
		p12.data[i] ^= 1;
		same = holds(&p12, PASSWORD, chain.len, key, NAME);
		held += same && i > AROUND && i < p12.len - AROUND;
		p12.data[i] ^= 1;
	}
	is_int((long long)held, 0, "a changed byte is another file");
	for (i = 0; i < p12.len; i += step)
		held += pkcs12_holds(
		    p12.data, i, PASSWORD, chain.data, chain.len, key, NAME);
	is_int((long long)held, 0, "and so is a part");
	buf_release(&p12);
}

static void
test_refused(void)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	fails(pkcs12_make(
	          chain.data, chain.len, other, NAME, PASSWORD, &out, &err),
	    &err, ERR_DATA, "not the certificate's", "another's key");
	fails(pkcs12_make("nothing", 7, key, NAME, PASSWORD, &out, &err), &err,
	    ERR_DATA, "the chain", "no certificate");
	fails(pkcs12_make("", 0, key, NAME, PASSWORD, &out, &err), &err,
	    ERR_DATA, "the chain", "nothing at all");
	fails(pkcs12_make(
	          chain.data, CERT_SIZE + 1, key, NAME, PASSWORD, &out, &err),
	    &err, ERR_DATA, "larger", "too much");
	fails(pkcs12_make(chain.data, chain.len, key, NAME, "", &out, &err),
	    &err, ERR_CONFIG, "empty", "no password");
	is_int((long long)out.len, 0, "nothing was made");
	buf_release(&out);
}

static void
test_passwords(void)
{
	char longest[PKCS12_PASSWORD_MAX + 2];
	struct err err = ERR_INIT;

	memset(longest, 'x', sizeof(longest));
	longest[PKCS12_PASSWORD_MAX + 1] = '\0';
	fails(pkcs12_password_check(longest, &err), &err, ERR_CONFIG, "longer",
	    "too long");
	longest[PKCS12_PASSWORD_MAX] = '\0';
	ok_err(pkcs12_password_check(longest, &err), &err, "just right");
	ok_err(pkcs12_password_check(PASSWORD, &err), &err, "UTF-8");
	fails(pkcs12_password_check("caf\351", &err), &err, ERR_CONFIG, "UTF-8",
	    "Latin-1");
	fails(pkcs12_password_check("a\tb", &err), &err, ERR_CONFIG, "control",
	    "a tab");
	fails(pkcs12_password_check("a\177", &err), &err, ERR_CONFIG, "control",
	    "DEL");
	fails(pkcs12_password_check("", &err), &err, ERR_CONFIG, "empty",
	    "nothing");
}

int
main(void)
{
	make_world();
	test_make();
	test_damaged();
	test_refused();
	test_passwords();
	buf_release(&chain);
	key_free(key);
	key_free(other);
	return done();
}
