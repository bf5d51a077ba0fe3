/*
 * Certificates and chains: what they say, and whether a chain is the one that
 * was ordered.
 *
 * struct cert is plain data read from the first certificate of a PEM text (or
 * DER), owned by the caller.  Reading is lenient about what a stored file may
 * hold; cert_chain_check() is strict about what a CA sends, and nothing it has
 * not passed is ever installed.
 */
#ifndef PKI_CERT_H
#define PKI_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/name.h"
#include "pki/key.h"

struct buf;
struct err;

enum {
	CERT_SIZE = 256 * 1024, /* cap on a chain file */
	CERT_CHAIN_MAX = 10,    /* certificates in a chain */
	CERT_SERIAL_MAX = 40
};

struct cert {
	struct identifier *names; /* subjectAltName, in its order */
	size_t n_names;
	time_t not_before, not_after; /* not_after as written: inclusive */
	char issuer[256];             /* issuer's common name, else its DN */
	unsigned char serial[CERT_SERIAL_MAX]; /* DER contents, with its 00 */
	size_t serial_len;
	unsigned char aki[64]; /* authority key id, or aki_len 0 */
	size_t aki_len;
	unsigned char key_id[32]; /* compare with key_id() */
	enum key_type key_type;
	bool must_staple;
	bool is_ca;
	bool server_auth;   /* its extended key usage, if it has
					 * one, allows TLS servers */
	char ocsp_url[512]; /* first one, or "" */
};

/* Reads the first certificate of a PEM text. what is for messages. ERR_DATA. */
int cert_read(const char *what, const void *pem, size_t len, struct cert *out,
    struct err *err);
void cert_release(struct cert *cert);

/* RFC 9773, 4.1: base64url(AKI) "." base64url(serial). ERR_DATA without AKI. */
int cert_ari_id(const struct cert *cert, struct buf *out, struct err *err);

/* One covers id: equal, or one label under its wildcard (RFC 6125, 6.4.3). */
bool cert_covers(const struct cert *cert, const struct identifier *id);

/* What a chain must be, to be kept. */
struct cert_want {
	const unsigned char *key_id; /* 32 bytes */
	const struct identifier *names;
	size_t n_names;
	bool must_staple;
	time_t now;
};

/*
 * A chain as a CA sent it (RFC 8555, 9.1 and 11.4): nothing but CERTIFICATE
 * blocks and white space between them, at most CERT_CHAIN_MAX, the leaf first
 * and carrying our public key and exactly our names, not a CA, valid now (an
 * hour of grace at its beginning), must-staple if that was asked for, and each
 * certificate signed by the one behind it.  A self-signed root at the end is
 * allowed; its own dates and signature mean nothing.  ERR_PROTOCOL with what is
 * wrong.
 */
int cert_chain_check(
    const void *pem, size_t len, const struct cert_want *want, struct err *err);

/*
 * A trust input: PEM text with at least one certificate, every block of which
 * parses.  ERR_CONFIG; n is set to how many there are.
 */
int cert_trust_check(
    const char *what, const void *pem, size_t len, size_t *n, struct err *err);

#endif
