/*
 * GnuTLS, as pki/'s own files use it: its error codes put into struct err, its
 * datums made and given up.  No header but this one includes GnuTLS's.
 */
#ifndef PKI_GTLS_H
#define PKI_GTLS_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509-ext.h>
#include <gnutls/x509.h>

#include "base/err.h"
#include "pki/key.h"

struct identifier;

/* "what: GnuTLS's own words". Always returns -1. */
static inline int
gtls_fail(struct err *err, enum err_code code, const char *what, int rc)
{
	return err_set(err, code, "%s: %s", what, gnutls_strerror(rc));
}

/* A borrowed view; GnuTLS counts in unsigned int, so len must be capped. */
static inline gnutls_datum_t
gtls_datum(const void *data, size_t len)
{
	return (gnutls_datum_t){(void *)data, (unsigned int)len};
}

static inline void
gtls_free(gnutls_datum_t *d)
{
	gnutls_free(d->data);
	*d = (gnutls_datum_t){NULL, 0};
}

/* For what held a secret: gnutls_free() does not wipe. */
static inline void
gtls_wipe(gnutls_datum_t *d)
{
	if (d->data)
		gnutls_memset(d->data, 0, d->size);
	gtls_free(d);
}

/* -- key.c's -- */

enum key_type gtls_key_type(gnutls_pk_algorithm_t pk, unsigned int bits);

/* -- cert.c's -- */

/*
 * Entry i of subjectAltName: 1, 0 past the end, or -1 with ERR_DATA when it is
 * not exactly one DNS name or IP address.
 */
int gtls_san(gnutls_x509_crt_t crt, unsigned int i, struct identifier *out,
    struct err *err);
bool gtls_must_staple(gnutls_x509_crt_t crt);

#endif
