#include <config.h>

#include "pki/key.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "pki/gtls.h"
#include "pki/hash.h"

enum {
	KEY_TEXT_MAX = 256 * 1024, /* a chain may be in the file too */
	RSA_BITS_MIN = 2048,
	WIDTH_MAX = 66 /* of P-521 */
};

/* What a kind of key is called, made of and signs with. */
struct kind {
	const char *name;
	const char *crv; /* NULL for RSA */
	const char *alg;
	size_t width; /* of a coordinate, in bytes */
	enum key_type type;
	gnutls_pk_algorithm_t pk;
	gnutls_sign_algorithm_t sign; /* GnuTLS ties no hash to the curve */
	unsigned int bits;            /* RSA; 0: any that has no row above */
	unsigned int make;            /* what GnuTLS wants to hear for it */
};

static const struct kind kinds[] = {
    {"p256", "P-256", "ES256", 32, KEY_P256, GNUTLS_PK_ECDSA,
        GNUTLS_SIGN_ECDSA_SHA256, 0,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
    {"p384", "P-384", "ES384", 48, KEY_P384, GNUTLS_PK_ECDSA,
        GNUTLS_SIGN_ECDSA_SHA384, 0,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)},
    {"other", "P-521", "ES512", WIDTH_MAX, KEY_OTHER, GNUTLS_PK_ECDSA,
        GNUTLS_SIGN_ECDSA_SHA512, 0, 0},
    {"rsa2048", NULL, "RS256", 0, KEY_RSA2048, GNUTLS_PK_RSA,
        GNUTLS_SIGN_RSA_SHA256, 2048, 2048},
    {"rsa3072", NULL, "RS256", 0, KEY_RSA3072, GNUTLS_PK_RSA,
        GNUTLS_SIGN_RSA_SHA256, 3072, 3072},
    {"rsa4096", NULL, "RS256", 0, KEY_RSA4096, GNUTLS_PK_RSA,
        GNUTLS_SIGN_RSA_SHA256, 4096, 4096},
    {"other", NULL, "RS256", 0, KEY_OTHER, GNUTLS_PK_RSA,
        GNUTLS_SIGN_RSA_SHA256, 0, 0},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct key {
	gnutls_x509_privkey_t x509;
	gnutls_privkey_t signer; /* borrows x509 */
	const struct kind *kind;
};

/* -- kinds -- */

/* GnuTLS gives a curve's bits in whole bytes: 528 for P-521. */
static bool
fits(const struct kind *kind, unsigned int bits)
{
	if (kind->crv)
		return (bits + 7) / 8 == kind->width;
	return kind->bits == bits || kind->bits == 0;
}

static const struct kind *
kind_of(gnutls_pk_algorithm_t pk, unsigned int bits)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].pk == pk && fits(&kinds[i], bits))
			return &kinds[i];
	return NULL;
}

enum key_type
gtls_key_type(gnutls_pk_algorithm_t pk, unsigned int bits)
{
	const struct kind *kind = kind_of(pk, bits);

	return kind ? kind->type : KEY_OTHER;
}

const char *
key_type_name(enum key_type type)
{
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].type == type)
			return kinds[i].name;
	return "other";
}

int
key_type_parse(const char *name, enum key_type *out)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (kinds[i].make == 0 || strcmp(kinds[i].name, name) != 0)
			continue;
		*out = kinds[i].type;
		return 0;
	}
	return -1;
}

/* -- making and loading -- */

static struct key *
key_blank(struct err *err)
{
	struct key *key = xcalloc(1, sizeof(*key));
	int rc = gnutls_x509_privkey_init(&key->x509);

	if (rc == 0)
		rc = gnutls_privkey_init(&key->signer);
	if (rc == 0)
		return key;
	gtls_fail(err, ERR_SOFTWARE, "private key", rc);
	key_free(key);
	return NULL;
}

void
key_free(struct key *key)
{
	if (!key)
		return;
	if (key->signer)
		gnutls_privkey_deinit(key->signer);
	if (key->x509)
		gnutls_x509_privkey_deinit(key->x509);
	free(key);
}

struct key *
key_new(enum key_type type, struct err *err)
{
	const struct kind *kind = NULL;
	struct key *key;
	int rc;

	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].type == type && kinds[i].make)
			kind = &kinds[i];
	if (!kind) {
		err_bug(err, "key of type %d asked for", (int)type);
		return NULL;
	}
	key = key_blank(err);
	if (!key)
		return NULL;
	key->kind = kind;
	rc = gnutls_x509_privkey_generate(key->x509, kind->pk, kind->make, 0);
	if (rc == 0)
		rc = gnutls_privkey_import_x509(key->signer, key->x509, 0);
	if (rc == 0)
		return key;
	gtls_fail(err, ERR_SOFTWARE, "making a private key", rc);
	key_free(key);
	return NULL;
}

static int
read_pem(const char *what, const void *pem, size_t len, struct key *key,
    struct err *err)
{
	gnutls_datum_t text = gtls_datum(pem, len);
	int rc;

	if (len > KEY_TEXT_MAX)
		return err_set(err, ERR_DATA,
		    "%s: %zu bytes are no private key", what, len);
	rc = gnutls_x509_privkey_import2(
	    key->x509, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc == 0)
		return 0;
	if (rc == GNUTLS_E_DECRYPTION_FAILED)
		return err_set(err, ERR_DATA,
		    "%s: the private key is encrypted; store it without a "
		    "pass phrase",
		    what);
	return err_set(err, ERR_DATA, "%s: no usable private key: %s", what,
	    gnutls_strerror(rc));
}

static int
check_kind(const char *what, struct key *key, struct err *err)
{
	unsigned int bits = 0;
	int pk = gnutls_x509_privkey_get_pk_algorithm2(key->x509, &bits);
	const char *name;

	if (pk == GNUTLS_PK_RSA && bits < RSA_BITS_MIN)
		return err_set(err, ERR_DATA,
		    "%s: an RSA key of %u bits is too short: %d at least", what,
		    bits, RSA_BITS_MIN);
	if (pk > 0)
		key->kind = kind_of((gnutls_pk_algorithm_t)pk, bits);
	if (key->kind)
		return 0;
	name = pk > 0 ? gnutls_pk_get_name((gnutls_pk_algorithm_t)pk) : NULL;
	return err_set(err, ERR_DATA,
	    "%s: no CA takes this kind of key (%s, %u bits): P-256, P-384 or "
	    "RSA is wanted",
	    what, name ? name : "unknown", bits);
}

/* Also that the private and public numbers belong together: the CA certifies
 * one half, the server signs with the other. */
static int
check_numbers(const char *what, struct key *key, struct err *err)
{
	int rc = gnutls_x509_privkey_verify_params(key->x509);

	if (rc == 0)
		rc = gnutls_privkey_import_x509(key->signer, key->x509, 0);
	if (rc == 0)
		return 0;
	return err_set(err, ERR_DATA, "%s: the private key is damaged: %s",
	    what, gnutls_strerror(rc));
}

struct key *
key_load(const char *what, const void *pem, size_t len, struct err *err)
{
	struct key *key = key_blank(err);

	if (!key)
		return NULL;
	if (read_pem(what, pem, len, key, err) == 0 &&
	    check_kind(what, key, err) == 0 &&
	    check_numbers(what, key, err) == 0)
		return key;
	key_free(key);
	return NULL;
}

int
key_save(const struct key *key, struct buf *out, struct err *err)
{
	gnutls_datum_t pem = {NULL, 0};
	int rc = gnutls_x509_privkey_export2_pkcs8(
	    key->x509, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);

	if (rc < 0)
		return gtls_fail(
		    err, ERR_SOFTWARE, "writing a private key", rc);
	out->secret = true;
	buf_put(out, pem.data, pem.size);
	gtls_wipe(&pem);
	return 0;
}

/* -- the public half -- */

enum key_type
key_type(const struct key *key)
{
	return key->kind->type;
}

int
key_id(const struct key *key, unsigned char out[32], struct err *err)
{
	unsigned char id[SHA256_LEN];
	size_t size = sizeof(id);
	int rc = gnutls_x509_privkey_get_key_id(
	    key->x509, GNUTLS_KEYID_USE_SHA256, id, &size);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "key id", rc);
	memcpy(out, id, sizeof(id));
	return 0;
}

/*
 * A big-endian number in exactly width bytes.  GnuTLS gives a zero byte more
 * in half of all cases and drops leading zeros in one of a hundred.
 */
static int
pad(const gnutls_datum_t *number, size_t width, unsigned char *out)
{
	const unsigned char *p = number->data;
	size_t n = number->size;

	while (n > 0 && *p == 0) {
		p++;
		n--;
	}
	if (n > width)
		return -1;
	memset(out, 0, width - n);
	if (n > 0)
		memcpy(out + width - n, p, n);
	return 0;
}

static int
pad_both(const gnutls_datum_t *a, const gnutls_datum_t *b, size_t width,
    unsigned char out[2 * WIDTH_MAX], struct err *err)
{
	if (pad(a, width, out) == -1 || pad(b, width, out + width) == -1)
		return err_bug(err, "a number wider than the key's curve");
	return 0;
}

static int
jwk_ec(const struct key *key, gnutls_pubkey_t pub, struct buf *out,
    struct err *err)
{
	gnutls_datum_t x = {NULL, 0}, y = {NULL, 0};
	unsigned char xy[2 * WIDTH_MAX];
	size_t width = key->kind->width;
	gnutls_ecc_curve_t curve;
	int rc = gnutls_pubkey_export_ecc_raw2(
	    pub, &curve, &x, &y, GNUTLS_EXPORT_FLAG_NO_LZ);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "public key", rc);
	rc = pad_both(&x, &y, width, xy, err);
	gtls_free(&x);
	gtls_free(&y);
	if (rc == -1)
		return -1;
	buf_printf(
	    out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", key->kind->crv);
	b64url_encode(xy, width, out);
	buf_puts(out, "\",\"y\":\"");
	b64url_encode(xy + width, width, out);
	buf_puts(out, "\"}");
	return 0;
}

static int
jwk_rsa(gnutls_pubkey_t pub, struct buf *out, struct err *err)
{
	gnutls_datum_t n = {NULL, 0}, e = {NULL, 0};
	int rc = gnutls_pubkey_export_rsa_raw2(
	    pub, &n, &e, GNUTLS_EXPORT_FLAG_NO_LZ);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "public key", rc);
	buf_puts(out, "{\"e\":\"");
	b64url_encode(e.data, e.size, out);
	buf_puts(out, "\",\"kty\":\"RSA\",\"n\":\"");
	b64url_encode(n.data, n.size, out);
	buf_puts(out, "\"}");
	gtls_free(&n);
	gtls_free(&e);
	return 0;
}

/* Written by hand because RFC 7638, 3 hashes these very bytes; there is
 * nothing in it but base64url and names of ours. */
int
key_jwk(const struct key *key, struct buf *out, struct err *err)
{
	gnutls_pubkey_t pub = NULL;
	int rc = gnutls_pubkey_init(&pub);

	if (rc == 0)
		rc = gnutls_pubkey_import_privkey(pub, key->signer, 0, 0);
	if (rc < 0)
		rc = gtls_fail(err, ERR_SOFTWARE, "public key", rc);
	else if (key->kind->crv)
		rc = jwk_ec(key, pub, out, err);
	else
		rc = jwk_rsa(pub, out, err);
	if (pub)
		gnutls_pubkey_deinit(pub);
	return rc;
}

int
key_thumbprint(const struct key *key, struct buf *out, struct err *err)
{
	unsigned char hash[SHA256_LEN];
	struct buf jwk = BUF_INIT;
	int rc = key_jwk(key, &jwk, err);

	if (rc == 0) {
		hash_sha256(jwk.data, jwk.len, hash);
		b64url_encode(hash, sizeof(hash), out);
	}
	buf_release(&jwk);
	return rc;
}

/* -- signatures -- */

const char *
key_jws_alg(const struct key *key)
{
	return key->kind->alg;
}

/* DER's SEQUENCE of two integers into R || S (RFC 7518, 3.4). */
static int
put_rs(const struct key *key, const gnutls_datum_t *sig, struct buf *out,
    struct err *err)
{
	gnutls_datum_t r = {NULL, 0}, s = {NULL, 0};
	unsigned char rs[2 * WIDTH_MAX];
	int rc = gnutls_decode_rs_value(sig, &r, &s);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "signature", rc);
	rc = pad_both(&r, &s, key->kind->width, rs, err);
	gtls_free(&r);
	gtls_free(&s);
	if (rc == 0)
		buf_put(out, rs, 2 * key->kind->width);
	return rc;
}

int
key_sign_jws(const struct key *key, const void *data, size_t len,
    struct buf *out, struct err *err)
{
	gnutls_datum_t in = gtls_datum(data, len), sig = {NULL, 0};
	int rc;

	if (len > BUF_MAX)
		return err_bug(err, "%zu bytes to be signed", len);
	rc = gnutls_privkey_sign_data2(
	    key->signer, key->kind->sign, 0, &in, &sig);
	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "signing", rc);
	if (key->kind->crv)
		rc = put_rs(key, &sig, out, err);
	else
		buf_put(out, sig.data, sig.size);
	gtls_free(&sig);
	return rc;
}

void *
key_handle(const struct key *key)
{
	return key->x509;
}
