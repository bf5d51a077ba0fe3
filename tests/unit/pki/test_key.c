#include <config.h>

#include "pki/key.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "pki/gtls.h"
#include "pki/hash.h"
#include "tap.h"

enum { FILE_CAP = 65536, TOO_LARGE = 300 * 1024 };

/* RFC 7515, A.2; its signing input stands in A.3 too, but for the header. */
#define CLAIMS                                                                 \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"          \
	"leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

struct rsa_numbers {
	const char *n, *d, *p, *q; /* base64url; e is AQAB */
};

static const struct rsa_numbers rfc7515 = {
    .n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp"
         "-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWv"
         "G6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA"
         "9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4L"
         "T6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD"
         "TW9gb54h4FRWyuXpoQ",
    .d = "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_G"
         "Q5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVR"
         "UCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYa"
         "nrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQ"
         "T5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0"
         "QU91p1DhOVRuOopznQ",
    .p = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBds"
         "s1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5"
         "xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    .q = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHA"
         "jLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtX"
         "lnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
};

static const char rfc7515_signature[] =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh"
    "-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLg"
    "rnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
    "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgG"
    "Y9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/* RFC 7517, A.2, whose public half is the example of RFC 7638, 3.1. */
static const struct rsa_numbers rfc7638 = {
    .n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z"
         "wu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-"
         "5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
         "65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj"
         "rn1n91CbOpbISD08qNLyrdkt-"
         "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-"
         "G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    .d = "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURk"
         "nchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6NqXSzUvxT0_YSfqijwp3RTzlBaCxWp"
         "4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8M"
         "N6TNwm0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bg"
         "kuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mq"
         "nOYtqc0X4jfcKoAC8Q",
    .p = "83i-7IvMGXoMXCskv73TKr8637FiO7Z27zv8oj6pbWUQyLPQBQxtPVnwD20R-60e"
         "TDmD2ujnMt5PoqMrm8RfmNhVWDtjjMmCMjOpSXicFHj7XOuVIYQyqVWlWEh6dN36G"
         "VZYk93N8Bc9vY41xy8B9RzzOGVQzXvNEvn7O0nVbfs",
    .q = "3dfOR9cuYq-0S-mkFLzgItgMEfFzB2q3hWehMuG0oCuqnb3vobLyumqjVZQO1dIr"
         "dwgTnCdpYzBcOfW5r370AFXjiWft_NGEiovonizhKpo9VVS78TzFgxkIdrecRezsZ"
         "-1kYd_s1qDbxtkDEgfAITAG9LUnADun4vIcb6yelxk",
};

/* -- helpers -- */

static struct buf
data(const char *name)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	char *path = xasprintf("%s/pki/%s", DATA, name);

	if (file_read(AT_FDCWD, path, FILE_CAP, FILE_FOLLOW, &b, &err) == -1)
		diag("%s", err.text);
	free(path);
	return b;
}

static struct key *
load(const char *name)
{
	struct buf b = data(name);
	struct err err = ERR_INIT;
	struct key *key = key_load(name, b.data, b.len, &err);

	ok_err(key ? 0 : -1, &err, "%s is loaded", name);
	buf_release(&b);
	return key;
}

static gnutls_datum_t
number(const char *text, struct buf *b)
{
	if (b64url_decode(text, strlen(text), b) == -1)
		diag("not base64url: %s", text);
	return gtls_datum(b->data, b->len);
}

/* PEM of k, which is given up, loaded by key_load(). */
static struct key *
reload(gnutls_x509_privkey_t k)
{
	gnutls_datum_t pem = {NULL, 0};
	struct err err = ERR_INIT;
	struct key *key;

	gnutls_x509_privkey_export2(k, GNUTLS_X509_FMT_PEM, &pem);
	key = key_load("vector", pem.data, pem.size, &err);
	ok_err(key ? 0 : -1, &err, "a key made of numbers is loaded");
	gtls_wipe(&pem);
	gnutls_x509_privkey_deinit(k);
	return key;
}

static struct key *
rsa_key(const struct rsa_numbers *rsa)
{
	struct buf b[5] = {BUF_INIT};
	gnutls_datum_t n = number(rsa->n, &b[0]), e = number("AQAB", &b[1]);
	gnutls_datum_t d = number(rsa->d, &b[2]), p = number(rsa->p, &b[3]);
	gnutls_datum_t q = number(rsa->q, &b[4]);
	gnutls_x509_privkey_t k;

	gnutls_x509_privkey_init(&k);
	gnutls_x509_privkey_import_rsa_raw2(
	    k, &n, &e, &d, &p, &q, NULL, NULL, NULL);
	for (size_t i = 0; i < 5; i++)
		buf_release(&b[i]);
	return reload(k);
}

/* RFC 7515, A.3.1 */
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"

static struct key *
ec_key(void)
{
	struct buf b[3] = {BUF_INIT};
	gnutls_datum_t x = number(X, &b[0]), y = number(Y, &b[1]);
	gnutls_datum_t d = number(D, &b[2]);
	gnutls_x509_privkey_t k;

	gnutls_x509_privkey_init(&k);
	gnutls_x509_privkey_import_ecc_raw(
	    k, GNUTLS_ECC_CURVE_SECP256R1, &x, &y, &d);
	for (size_t i = 0; i < 3; i++)
		buf_release(&b[i]);
	return reload(k);
}

static gnutls_pubkey_t
public_half(const struct key *key)
{
	gnutls_privkey_t priv;
	gnutls_pubkey_t pub;

	gnutls_privkey_init(&priv);
	gnutls_pubkey_init(&pub);
	gnutls_privkey_import_x509(priv, key_handle(key), 0);
	gnutls_pubkey_import_privkey(pub, priv, 0, 0);
	gnutls_privkey_deinit(priv);
	return pub;
}

/* SubjectPublicKeyInfo, from GnuTLS. */
static gnutls_datum_t
spki(const struct key *key)
{
	gnutls_datum_t der = {NULL, 0};
	gnutls_pubkey_t pub = public_half(key);

	gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &der);
	gnutls_pubkey_deinit(pub);
	return der;
}

/* -- tests -- */

static void
test_types(void)
{
	static const char *const names[] = {
	    "p256", "p384", "rsa2048", "rsa3072", "rsa4096"};
	enum key_type type = KEY_OTHER;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ok(key_type_parse(names[i], &type) == 0, "%s is a type",
		    names[i]);
		is(key_type_name(type), names[i], "... and is called so");
	}
	is(key_type_name(KEY_OTHER), "other", "others have a name");
	type = KEY_P384;
	ok(key_type_parse("other", &type) == -1, "none makes an other");
	ok(key_type_parse("P256", &type) == -1, "names are lower case");
	ok(key_type_parse("", &type) == -1, "nothing is no type");
	ok(type == KEY_P384, "a refusal leaves the type alone");
	ok(gtls_key_type(GNUTLS_PK_RSA, 3072) == KEY_RSA3072, "RSA 3072");
	ok(gtls_key_type(GNUTLS_PK_RSA, 2047) == KEY_OTHER, "RSA 2047");
	ok(gtls_key_type(GNUTLS_PK_ECDSA, 224) == KEY_OTHER, "P-224");
}

static void
test_new(void)
{
	static const struct {
		enum key_type type;
		const char *alg;
	} made[] = {
	    {KEY_P256, "ES256"},
	    {KEY_P384, "ES384"},
	    {KEY_RSA2048, "RS256"},
	};
	unsigned char id[32], again[32];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		struct key *key = key_new(made[i].type, &err), *copy;
		struct buf pem = BUF_INIT;

		ok(key && key_type(key) == made[i].type, "a %s key is made",
		    key_type_name(made[i].type));
		is(key_jws_alg(key), made[i].alg, "... for %s", made[i].alg);
		ok_err(key_save(key, &pem, &err), &err, "... is saved");
		ok(pem.secret, "... into a secret");
		ok(strstr(buf_str(&pem), "BEGIN PRIVATE KEY"), "... as PKCS#8");
		copy = key_load("copy", pem.data, pem.len, &err);
		ok(copy && key_type(copy) == made[i].type, "... is loaded");
		ok(key_id(key, id, &err) == 0 &&
		        key_id(copy, again, &err) == 0 &&
		        memcmp(id, again, 32) == 0,
		    "... and is the same");
		key_free(copy);
		key_free(key);
		buf_release(&pem);
	}
	ok(!key_new(KEY_OTHER, &err) && err.code == ERR_SOFTWARE,
	    "no other key is made");
	key_free(NULL);
}

static void
test_load(void)
{
	struct key *a = load("p256.pem"), *b = load("p256-sec1.pem");
	struct key *c = load("p521.pem"), *d = load("rsa2048-pkcs1.pem"), *e;
	unsigned char id[32], same[32], hash[32];
	struct buf both = data("leaf.pem"), pem = data("p256.pem");
	struct err err = ERR_INIT;
	gnutls_datum_t der;

	ok(key_id(a, id, &err) == 0 && key_id(b, same, &err) == 0 &&
	        memcmp(id, same, 32) == 0,
	    "PKCS#8 and SEC1 hold one key");
	ok(key_type(a) == KEY_P256 && key_type(c) == KEY_OTHER &&
	        key_type(d) == KEY_RSA2048,
	    "types");
	is(key_jws_alg(c), "ES512", "a P-521 key can be used");
	der = spki(a);
	hash_sha256(der.data, der.size, hash);
	ok(memcmp(id, hash, 32) == 0, "key_id is SPKI's hash");
	gtls_free(&der);

	buf_put(&both, pem.data, pem.len);
	e = key_load("both", both.data, both.len, &err);
	ok(e && key_id(e, same, &err) == 0 && memcmp(id, same, 32) == 0,
	    "a key behind a chain is found");
	key_free(a);
	key_free(b);
	key_free(c);
	key_free(d);
	key_free(e);
	buf_release(&both);
	buf_release(&pem);
}

static void
test_refused(void)
{
	static const struct {
		const char *file, *why;
	} bad[] = {
	    {"bad-rsa1024.pem", "1024 bits is too short"},
	    {"bad-ed25519.pem", "no CA takes this kind"},
	    {"bad-p224.pem", "no CA takes this kind"},
	    {"bad-secp256k1.pem", "no usable private key"},
	    {"bad-explicit.pem", "no usable private key"},
	    {"bad-encrypted.pem", "is encrypted"},
	    {"bad-encrypted-sec1.pem", "is encrypted"},
	    {"bad-mismatch.pem", "is damaged"},
	    {"leaf.pem", "no usable private key"},
	};
	char *text = xcalloc(1, TOO_LARGE);
	struct err err = ERR_INIT;
	struct key *key;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b = data(bad[i].file);

		key = key_load(bad[i].file, b.data, b.len, &err);
		fails(key ? 0 : -1, &err, ERR_DATA, bad[i].why, "%s is refused",
		    bad[i].file);
		ok(strncmp(err.text, bad[i].file, strlen(bad[i].file)) == 0,
		    "... by name");
		key_free(key);
		buf_release(&b);
	}
	key = key_load("empty", NULL, 0, &err);
	fails(key ? 0 : -1, &err, ERR_DATA, "empty: no usable", "nothing");
	key = key_load("large", text, TOO_LARGE, &err);
	fails(key ? 0 : -1, &err, ERR_DATA, "307200 bytes", "too much");
	free(text);
}

/* RFC 7515 A.3's public key, and both examples' thumbprints. */
static void
test_vectors(void)
{
	struct key *ec = ec_key(), *rsa = rsa_key(&rfc7638);
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	ok_err(key_jwk(ec, &text, &err), &err, "JWK of RFC 7515 A.3's key");
	is(buf_str(&text),
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" X "\",\"y\":\"" Y
	    "\"}",
	    "... is right");
	buf_clear(&text);
	ok_err(key_thumbprint(ec, &text, &err), &err, "its thumbprint");
	is(buf_str(&text), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
	    "... is right");
	buf_clear(&text);
	ok_err(key_thumbprint(rsa, &text, &err), &err, "RFC 7638 3.1");
	is(buf_str(&text), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
	    "... is right");
	buf_release(&text);
	key_free(ec);
	key_free(rsa);
}

static void
test_rs256(void)
{
	static const char input[] = "eyJhbGciOiJSUzI1NiJ9." CLAIMS;
	struct key *rsa = rsa_key(&rfc7515);
	struct buf sig = BUF_INIT, text = BUF_INIT;
	struct err err = ERR_INIT;

	ok_err(key_sign_jws(rsa, input, strlen(input), &sig, &err), &err,
	    "RS256, RFC 7515 A.2");
	b64url_encode(sig.data, sig.len, &text);
	is(buf_str(&text), rfc7515_signature, "... is right");
	buf_release(&sig);
	buf_release(&text);
	key_free(rsa);
}

/* The member's bytes in jwk. */
static struct buf
coordinate(const struct buf *jwk, const char *member)
{
	const char *p = strstr(buf_str(jwk), member);
	struct buf bytes = BUF_INIT;

	if (p) {
		p += strlen(member);
		(void)!b64url_decode(p, strcspn(p, "\""), &bytes);
	}
	return bytes;
}

/* x and y end SubjectPublicKeyInfo, each in the curve's width. */
static void
check_jwk(const struct key *key, size_t width)
{
	gnutls_datum_t der = spki(key);
	const unsigned char *xy = der.data + der.size - 2 * width;
	struct buf jwk = BUF_INIT, x, y;
	struct err err = ERR_INIT;

	ok_err(key_jwk(key, &jwk, &err), &err, "a JWK, %zu bytes wide", width);
	x = coordinate(&jwk, "\"x\":\"");
	y = coordinate(&jwk, "\"y\":\"");
	ok(x.len == width && memcmp(x.data, xy, width) == 0, "... x");
	ok(y.len == width && memcmp(y.data, xy + width, width) == 0, "... y");
	buf_release(&x);
	buf_release(&y);
	buf_release(&jwk);
	gtls_free(&der);
}

static void
test_padding(void)
{
	struct key *shortx = load("short-x.pem"), *p521 = load("p521.pem");
	struct buf jwk = BUF_INIT;
	struct err err = ERR_INIT;

	ok_err(key_jwk(shortx, &jwk, &err), &err, "a JWK of a short x");
	ok(strstr(buf_str(&jwk), "\"x\":\"A"), "x begins with zero bits");
	check_jwk(shortx, 32);
	check_jwk(p521, 66);
	buf_release(&jwk);
	key_free(shortx);
	key_free(p521);
}

/* Whether R || S, put back into DER, verifies. */
static bool
verifies(const struct key *key, const struct buf *sig, const char *text)
{
	gnutls_sign_algorithm_t algorithm = strcmp(key_jws_alg(key), "ES256") ==
	        0 ?
	    GNUTLS_SIGN_ECDSA_SHA256 :
	    strcmp(key_jws_alg(key), "ES384") == 0 ? GNUTLS_SIGN_ECDSA_SHA384 :
	                                             GNUTLS_SIGN_ECDSA_SHA512;
	gnutls_datum_t r = gtls_datum(sig->data, sig->len / 2), der;
	gnutls_datum_t s = gtls_datum(sig->data + sig->len / 2, sig->len / 2);
	gnutls_datum_t in = gtls_datum(text, strlen(text));
	gnutls_pubkey_t pub = public_half(key);
	bool good = gnutls_encode_rs_value(&der, &r, &s) == 0 &&
	    gnutls_pubkey_verify_data2(pub, algorithm, 0, &in, &der) == 0;

	gtls_free(&der);
	gnutls_pubkey_deinit(pub);
	return good;
}

/* One r or s in 128 is short of a byte: often enough to be met here. */
static void
sign_often(const struct key *key, int times, size_t len)
{
	struct err err = ERR_INIT;
	int right = 0, shorter = 0;

	for (int i = 0; i < times; i++) {
		struct buf sig = BUF_INIT;

		right += key_sign_jws(key, "text", 4, &sig, &err) == 0 &&
		    sig.len == len && verifies(key, &sig, "text");
		shorter += sig.len == len &&
		    (sig.data[0] == 0 || sig.data[len / 2] == 0);
		buf_release(&sig);
	}
	is_int(right, times, "%s: all signatures are right", key_jws_alg(key));
	diag("%d of them held a short number", shorter);
}

static void
test_ecdsa(void)
{
	struct key *a = load("p256.pem"), *c = load("p521.pem"), *b;
	struct err err = ERR_INIT;

	b = key_new(KEY_P384, &err);
	sign_often(a, 1000, 64);
	sign_often(b, 10, 96);
	sign_often(c, 10, 132);
	key_free(a);
	key_free(b);
	key_free(c);
}

int
main(void)
{
	test_types();
	test_new();
	test_load();
	test_refused();
	test_vectors();
	test_rs256();
	test_padding();
	test_ecdsa();
	return done();
}
