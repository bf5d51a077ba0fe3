#include <config.h>

#include "pki/alpn.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/hash.h"
#include "pki/key.h"

enum {
	BACKDATE = 3600, /* the CA's clock may be behind ours */
	LIFETIME = 24 * 3600,
	SERIAL_LEN = 16,
	DER_OCTET_STRING = 0x04
};

/* id-pe-acmeIdentifier (RFC 8737, 6.1) */
#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"
#define SUBJECT "ACME challenge"

struct alpn_cert {
	gnutls_pcert_st pcert; /* zeroed until it is made */
	gnutls_privkey_t privkey;
};

/* acmeIdentifier: an OCTET STRING with the hash (RFC 8737, 3). */
static int
set_acme_identifier(gnutls_x509_crt_t crt, const char *key_authorization)
{
	unsigned char der[2 + SHA256_LEN] = {DER_OCTET_STRING, SHA256_LEN};

	hash_sha256(key_authorization, strlen(key_authorization), der + 2);
	return gnutls_x509_crt_set_extension_by_oid(
	    crt, ACME_IDENTIFIER, der, sizeof(der), 1);
}

static int
set_name(gnutls_x509_crt_t crt, const struct identifier *id)
{
	if (id->type == IDENTIFIER_IP)
		return gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_IPADDRESS, id->ip, (unsigned int)id->ip_len,
		    GNUTLS_FSAN_SET);
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
	    id->value, (unsigned int)strlen(id->value), GNUTLS_FSAN_SET);
}

/* Version, serial, subject and times.  The subject is not empty because it is
 * the issuer's too, which must not be (RFC 5280, 4.1.2.4). */
static int
set_frame(gnutls_x509_crt_t crt, time_t now)
{
	unsigned char serial[SERIAL_LEN];
	int rc = gnutls_x509_crt_set_version(crt, 3);

	hash_random(serial, sizeof(serial));
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, full length */
	if (rc == 0)
		rc = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (rc == 0)
		rc = gnutls_x509_crt_set_dn_by_oid(crt,
		    GNUTLS_OID_X520_COMMON_NAME, 0, SUBJECT,
		    sizeof(SUBJECT) - 1);
	if (rc == 0)
		rc = gnutls_x509_crt_set_activation_time(crt, now - BACKDATE);
	if (rc == 0)
		rc = gnutls_x509_crt_set_expiration_time(crt, now + LIFETIME);
	return rc;
}

static int
make_crt(gnutls_x509_crt_t crt, const struct key *key,
    const struct identifier *id, const char *key_authorization, time_t now)
{
	int rc = set_frame(crt, now);

	if (rc == 0)
		rc = gnutls_x509_crt_set_key(crt, key_handle(key));
	if (rc == 0)
		rc = set_name(crt, id);
	if (rc == 0)
		rc = set_acme_identifier(crt, key_authorization);
	if (rc == 0)
		rc = gnutls_x509_crt_sign2(
		    crt, crt, key_handle(key), GNUTLS_DIG_SHA256, 0);
	return rc;
}

/* Into the two forms that a handshake wants; the key is copied. */
static int
make_pair(struct alpn_cert *cert, gnutls_x509_crt_t crt, const struct key *key)
{
	int rc = gnutls_pcert_import_x509(&cert->pcert, crt, 0);

	if (rc == 0)
		rc = gnutls_privkey_init(&cert->privkey);
	if (rc == 0)
		rc = gnutls_privkey_import_x509(
		    cert->privkey, key_handle(key), GNUTLS_PRIVKEY_IMPORT_COPY);
	return rc;
}

struct alpn_cert *
alpn_cert_new(const struct identifier *id, const char *key_authorization,
    time_t now, struct err *err)
{
	struct alpn_cert *cert = NULL;
	struct key *key = key_new(KEY_P256, err);
	gnutls_x509_crt_t crt = NULL;
	int rc;

	if (!key)
		return NULL;
	rc = gnutls_x509_crt_init(&crt);
	if (rc == 0)
		rc = make_crt(crt, key, id, key_authorization, now);
	if (rc == 0) {
		cert = xcalloc(1, sizeof(*cert));
		rc = make_pair(cert, crt, key);
	}
	if (rc < 0) {
		gtls_fail(
		    err, ERR_SOFTWARE, "making a tls-alpn-01 certificate", rc);
		alpn_cert_free(cert);
		cert = NULL;
	}
	if (crt)
		gnutls_x509_crt_deinit(crt);
	key_free(key);
	return cert;
}

void
alpn_cert_free(struct alpn_cert *cert)
{
	if (!cert)
		return;
	if (cert->pcert.pubkey)
		gnutls_pcert_deinit(&cert->pcert);
	if (cert->privkey)
		gnutls_privkey_deinit(cert->privkey);
	free(cert);
}

void *
alpn_cert_pcert(const struct alpn_cert *cert)
{
	return (void *)&cert->pcert;
}

void *
alpn_cert_privkey(const struct alpn_cert *cert)
{
	return cert->privkey;
}
