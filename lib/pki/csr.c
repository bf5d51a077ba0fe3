#include <config.h>

#include "pki/csr.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/key.h"

enum { STATUS_REQUEST = 5 }; /* RFC 6066, 8: what must-staple lists */

static int
add_names(gnutls_x509_crq_t crq, const struct identifier *names, size_t n)
{
	unsigned int how = GNUTLS_FSAN_SET;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		const struct identifier *id = &names[i];

		if (id->type == IDENTIFIER_IP)
			rc = gnutls_x509_crq_set_subject_alt_name(crq,
			    GNUTLS_SAN_IPADDRESS, id->ip,
			    (unsigned int)id->ip_len, how);
		else
			rc = gnutls_x509_crq_set_subject_alt_name(crq,
			    GNUTLS_SAN_DNSNAME, id->value,
			    (unsigned int)strlen(id->value), how);
		how = GNUTLS_FSAN_APPEND;
	}
	return rc;
}

static int
add_must_staple(gnutls_x509_crq_t crq)
{
	gnutls_x509_tlsfeatures_t features;
	int rc = gnutls_x509_tlsfeatures_init(&features);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_tlsfeatures_add(features, STATUS_REQUEST);
	if (rc == 0)
		rc = gnutls_x509_crq_set_tlsfeatures(crq, features);
	gnutls_x509_tlsfeatures_deinit(features);
	return rc;
}

/* The hash that fits the key's strength; every CA takes all three. */
static gnutls_digest_algorithm_t
digest_for(const struct key *key)
{
	const char *alg = key_jws_alg(key);

	if (strcmp(alg, "ES384") == 0)
		return GNUTLS_DIG_SHA384;
	if (strcmp(alg, "ES512") == 0)
		return GNUTLS_DIG_SHA512;
	return GNUTLS_DIG_SHA256;
}

static int
fill(gnutls_x509_crq_t crq, const struct key *key,
    const struct identifier *names, size_t n, bool must_staple)
{
	int rc = gnutls_x509_crq_set_version(crq, 1);

	if (rc == 0)
		rc = gnutls_x509_crq_set_key(crq, key_handle(key));
	if (rc == 0)
		rc = add_names(crq, names, n);
	if (rc == 0 && must_staple)
		rc = add_must_staple(crq);
	if (rc == 0)
		rc = gnutls_x509_crq_sign2(
		    crq, key_handle(key), digest_for(key), 0);
	return rc;
}

int
csr_make(const struct key *key, const struct identifier *names, size_t n,
    bool must_staple, struct buf *out, struct err *err)
{
	gnutls_datum_t der = {NULL, 0};
	gnutls_x509_crq_t crq = NULL;
	int rc;

	if (n == 0)
		return err_bug(err, "a CSR without names");
	rc = gnutls_x509_crq_init(&crq);
	if (rc == 0)
		rc = fill(crq, key, names, n, must_staple);
	if (rc == 0)
		rc = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_DER, &der);
	if (rc < 0)
		rc = gtls_fail(err, ERR_SOFTWARE, "making a CSR", rc);
	else
		buf_put(out, der.data, der.size);
	gtls_free(&der);
	if (crq)
		gnutls_x509_crq_deinit(crq);
	return rc;
}
