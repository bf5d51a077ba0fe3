/*
 * The tls-alpn-01 certificate (RFC 8737, 3): self-signed, one name, a fresh
 * P-256 key, and the critical acmeIdentifier extension holding the SHA-256 of
 * the key authorization.
 */
#ifndef PKI_ALPN_H
#define PKI_ALPN_H

#include <time.h>

struct alpn_cert;
struct err;
struct identifier;

struct alpn_cert *alpn_cert_new(const struct identifier *id,
    const char *key_authorization, time_t now, struct err *err);
void alpn_cert_free(struct alpn_cert *cert);

/* For the responder alone: a gnutls_pcert_st * and a gnutls_privkey_t. */
void *alpn_cert_pcert(const struct alpn_cert *cert);
void *alpn_cert_privkey(const struct alpn_cert *cert);

#endif
