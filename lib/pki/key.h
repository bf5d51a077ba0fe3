/*
 * Private keys: account keys and leaf keys.
 *
 * A struct key holds one private key in GnuTLS's memory, which wipes itself
 * when freed.  It is made, loaded from PEM (PKCS#8, SEC1 or PKCS#1, as
 * CertMagic reads them) and written as PKCS#8 PEM into a secret buf.  It has
 * no log function.  RSA below 2048 bits, encrypted keys and curves no public
 * CA takes are refused when loaded.
 */
#ifndef PKI_KEY_H
#define PKI_KEY_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct json;
struct key;

enum key_type {
	KEY_P256,
	KEY_P384,
	KEY_RSA2048,
	KEY_RSA3072,
	KEY_RSA4096,
	KEY_OTHER /* loaded, usable, but none that we make */
};

/* "p256", "p384", "rsa2048", "rsa3072", "rsa4096"; "other". */
const char *key_type_name(enum key_type type);
int key_type_parse(const char *name, enum key_type *out); /* 0 or -1 */

/* NULL and ERR_SOFTWARE when the library fails. */
struct key *key_new(enum key_type type, struct err *err);

/* what names the key in messages ("account key /x/y").  ERR_DATA. */
struct key *
key_load(const char *what, const void *pem, size_t len, struct err *err);

/* PKCS#8 PEM. out is made secret. */
int key_save(const struct key *key, struct buf *out, struct err *err);

void key_free(struct key *key);

enum key_type key_type(const struct key *key);

/* SHA-256 of the SubjectPublicKeyInfo: equal for a key and its certificate. */
int key_id(const struct key *key, unsigned char out[32], struct err *err);

/*
 * The public half as a JWK (RFC 7517, RFC 7518 6): members in the byte order
 * that RFC 7638 hashes, coordinates padded to the curve's width.
 */
int key_jwk(const struct key *key, struct buf *out, struct err *err);

/* base64url of the SHA-256 thumbprint (RFC 7638), 43 characters. */
int key_thumbprint(const struct key *key, struct buf *out, struct err *err);

/* The JWS algorithm for this key: "ES256", "ES384", "ES512", "RS256". */
const char *key_jws_alg(const struct key *key);

/* Signature in JWS form (RFC 7518, 3.4): R and S of fixed width; RSA as is. */
int key_sign_jws(const struct key *key, const void *data, size_t len,
    struct buf *out, struct err *err);

/* For pki/ and the responder alone: GnuTLS's own handle (a
 * gnutls_x509_privkey_t), borrowed. */
void *key_handle(const struct key *key);

#endif
