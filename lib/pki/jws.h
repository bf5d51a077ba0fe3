/*
 * JSON Web Signatures as ACME sends them (RFC 8555, 6.2): flattened JSON with
 * protected, payload and signature, nothing else.
 */
#ifndef PKI_JWS_H
#define PKI_JWS_H

#include <stddef.h>

struct buf;
struct err;
struct key;

/*
 * Signs payload ("" for POST-as-GET) for url with nonce.  kid is the account
 * URL, or NULL to send the public key itself as jwk.
 */
int jws_sign(const struct key *key, const char *kid, const char *nonce,
    const char *url, const char *payload, struct buf *out, struct err *err);

/*
 * External account binding (RFC 8555, 7.3.4): the account's public key signed
 * with the MAC key by HS256. url is newAccount's.
 */
int jws_eab(const struct key *account_key, const char *key_id, const void *mac,
    size_t mac_len, const char *url, struct buf *out, struct err *err);

#endif
