#include <config.h>

#include "pki/cert.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "pki/gtls.h"
#include "pki/key.h"

enum {
	STATUS_REQUEST = 5, /* RFC 6066, 8; RFC 7633, 6 */
	AIA_MAX = 16,       /* entries looked at for an OCSP URL */
	DER_SEQUENCE = 0x30
};

/* -- names -- */

static int
san_dns(const char *text, size_t size, struct identifier *out, struct err *err)
{
	struct identifier id;

	if (memchr(text, '\0', size))
		return err_set(err, ERR_DATA,
		    "a DNS name with a NUL byte in it (\"%s\" and more)", text);
	if (identifier_parse(text, &id, err) == -1) {
		err->code = ERR_DATA;
		return -1;
	}
	/* No address, no dot at the end (RFC 5280, 4.2.1.6). */
	if (id.type != IDENTIFIER_DNS || !name_equal(id.value, text))
		return err_set(
		    err, ERR_DATA, "the DNS name \"%s\" is none", text);
	*out = id;
	return 1;
}

static int
san_ip(const char *bytes, size_t size, struct identifier *out, struct err *err)
{
	char text[INET6_ADDRSTRLEN];
	int family = size == 4 ? AF_INET : AF_INET6;
	struct identifier id;

	if ((size != 4 && size != 16) ||
	    !inet_ntop(family, bytes, text, sizeof(text)))
		return err_set(
		    err, ERR_DATA, "an IP address of %zu bytes", size);
	if (identifier_parse(text, &id, err) == -1) {
		err->code = ERR_DATA;
		return -1;
	}
	*out = id;
	return 1;
}

int
gtls_san(gnutls_x509_crt_t crt, unsigned int i, struct identifier *out,
    struct err *err)
{
	char text[NAME_MAX_LEN + 1];
	size_t size = sizeof(text);
	int type = gnutls_x509_crt_get_subject_alt_name(
	    crt, i, text, &size, NULL);

	if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return 0;
	if (type == GNUTLS_E_SHORT_MEMORY_BUFFER)
		return err_set(err, ERR_DATA, "a name of %zu bytes", size);
	if (type < 0)
		return gtls_fail(err, ERR_DATA, "an unreadable name", type);
	if (type == GNUTLS_SAN_DNSNAME)
		return san_dns(text, size, out, err);
	if (type == GNUTLS_SAN_IPADDRESS)
		return san_ip(text, size, out, err);
	return err_set(err, ERR_DATA,
	    "a name that is neither a DNS name nor an IP address (type %d)",
	    type);
}

/* Names of other kinds are passed over: what is stored may be anyone's. */
static void
read_names(gnutls_x509_crt_t crt, struct cert *cert)
{
	struct err ignored = ERR_INIT;
	struct identifier id;
	size_t cap = 0;
	int rc;

	for (unsigned int i = 0;; i++) {
		rc = gtls_san(crt, i, &id, &ignored);
		if (rc == 0)
			return;
		if (rc == -1)
			continue;
		if (cert->n_names == cap) {
			cap = cap ? 2 * cap : 4;
			cert->names = xrealloc(cert->names, cap, sizeof(id));
		}
		cert->names[cert->n_names++] = id;
	}
}

/* -- fields -- */

/* RFC 5280, 4.2.1.12: without the extension every purpose is allowed. */
static bool
allows_servers(gnutls_x509_crt_t crt)
{
	char oid[128];

	for (unsigned int i = 0;; i++) {
		size_t size = sizeof(oid);
		int rc = gnutls_x509_crt_get_key_purpose_oid(
		    crt, i, oid, &size, NULL);

		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return i == 0;
		if (rc == GNUTLS_E_SHORT_MEMORY_BUFFER)
			continue;
		if (rc < 0)
			return false;
		if (strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0 ||
		    strcmp(oid, GNUTLS_KP_ANY) == 0)
			return true;
	}
}

bool
gtls_must_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features;
	unsigned int feature;
	bool found = false;

	if (gnutls_x509_tlsfeatures_init(&features) < 0)
		return false;
	if (gnutls_x509_crt_get_tlsfeatures(crt, features, 0, NULL) == 0)
		for (unsigned int i = 0; !found &&
		     gnutls_x509_tlsfeatures_get(features, i, &feature) == 0;
		     i++)
			found = feature == STATUS_REQUEST;
	gnutls_x509_tlsfeatures_deinit(features);
	return found;
}

/* For people: the common name, or as much of the whole as fits, cut between
 * characters.  GnuTLS writes what is not text as hex. */
static void
read_issuer(gnutls_x509_crt_t crt, struct cert *cert)
{
	gnutls_datum_t dn = {NULL, 0};
	size_t size = sizeof(cert->issuer), n;

	if (gnutls_x509_crt_get_issuer_dn_by_oid(crt,
	        GNUTLS_OID_X520_COMMON_NAME, 0, 0, cert->issuer, &size) == 0)
		return;
	cert->issuer[0] = '\0';
	if (gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0) < 0)
		return;
	n = dn.size < sizeof(cert->issuer) ? dn.size : sizeof(cert->issuer) - 1;
	while (n > 0 && n < dn.size && (dn.data[n] & 0xc0) == 0x80)
		n--;
	memcpy(cert->issuer, dn.data, n);
	cert->issuer[n] = '\0';
	gtls_free(&dn);
}

/* An authority key identifier that is absent or absurd means no ARI. */
static void
read_aki(gnutls_x509_crt_t crt, struct cert *cert)
{
	size_t size = sizeof(cert->aki);

	if (gnutls_x509_crt_get_authority_key_id(crt, cert->aki, &size, NULL) ==
	    0)
		cert->aki_len = size;
}

/*
 * The index counts access descriptions of every kind: "unknown algorithm"
 * says that this one is of another.
 */
static void
read_ocsp_url(gnutls_x509_crt_t crt, struct cert *cert)
{
	gnutls_datum_t url = {NULL, 0};
	int rc = GNUTLS_E_UNKNOWN_ALGORITHM;

	for (unsigned int i = 0;
	     i < AIA_MAX && rc == GNUTLS_E_UNKNOWN_ALGORITHM; i++)
		rc = gnutls_x509_crt_get_authority_info_access(
		    crt, i, GNUTLS_IA_OCSP_URI, &url, NULL);
	if (rc < 0)
		return;
	if (url.size > 0 && url.size < sizeof(cert->ocsp_url) &&
	    !memchr(url.data, '\0', url.size))
		memcpy(cert->ocsp_url, url.data, url.size); /* was zeroed */
	gtls_free(&url);
}

static int
read_required(
    const char *what, gnutls_x509_crt_t crt, struct cert *cert, struct err *err)
{
	size_t serial = sizeof(cert->serial), id = sizeof(cert->key_id);
	unsigned int bits = 0;
	int rc = gnutls_x509_crt_get_serial(crt, cert->serial, &serial);

	if (rc < 0)
		return err_set(err, ERR_DATA, "%s: serial number: %s", what,
		    gnutls_strerror(rc));
	cert->serial_len = serial;
	rc = gnutls_x509_crt_get_key_id(
	    crt, GNUTLS_KEYID_USE_SHA256, cert->key_id, &id);
	if (rc < 0)
		return err_set(err, ERR_DATA, "%s: public key: %s", what,
		    gnutls_strerror(rc));
	rc = gnutls_x509_crt_get_pk_algorithm(crt, &bits);
	cert->key_type = rc < 0 ?
	    KEY_OTHER :
	    gtls_key_type((gnutls_pk_algorithm_t)rc, bits);
	cert->not_before = gnutls_x509_crt_get_activation_time(crt);
	cert->not_after = gnutls_x509_crt_get_expiration_time(crt);
	return 0;
}

/* -- reading -- */

static int
import(const char *what, const void *data, size_t len, gnutls_x509_crt_t crt,
    struct err *err)
{
	gnutls_datum_t d = gtls_datum(data, len);
	bool der = len > 0 && *(const unsigned char *)data == DER_SEQUENCE;
	int rc;

	if (len > CERT_SIZE)
		return err_set(err, ERR_DATA,
		    "%s: %zu bytes are no certificate (%d at most)", what, len,
		    (int)CERT_SIZE);
	rc = gnutls_x509_crt_import(
	    crt, &d, der ? GNUTLS_X509_FMT_DER : GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		return err_set(err, ERR_DATA, "%s: no certificate: %s", what,
		    gnutls_strerror(rc));
	return 0;
}

int
cert_read(const char *what, const void *pem, size_t len, struct cert *out,
    struct err *err)
{
	struct cert cert = {.names = NULL};
	gnutls_x509_crt_t crt;
	int rc = gnutls_x509_crt_init(&crt);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, what, rc);
	rc = import(what, pem, len, crt, err);
	if (rc == 0)
		rc = read_required(what, crt, &cert, err);
	if (rc == 0) {
		read_names(crt, &cert);
		read_issuer(crt, &cert);
		read_aki(crt, &cert);
		read_ocsp_url(crt, &cert);
		cert.must_staple = gtls_must_staple(crt);
		cert.is_ca = gnutls_x509_crt_get_ca_status(crt, NULL) > 0;
		cert.server_auth = allows_servers(crt);
		*out = cert;
	}
	gnutls_x509_crt_deinit(crt);
	return rc;
}

void
cert_release(struct cert *cert)
{
	free(cert->names);
	*cert = (struct cert){.names = NULL};
}

/* -- questions -- */

int
cert_ari_id(const struct cert *cert, struct buf *out, struct err *err)
{
	if (cert->aki_len == 0)
		return err_set(err, ERR_DATA,
		    "the certificate has no authority key identifier");
	b64url_encode(cert->aki, cert->aki_len, out);
	buf_puts(out, ".");
	b64url_encode(cert->serial, cert->serial_len, out);
	return 0;
}

static bool
name_covers(const struct identifier *name, const struct identifier *id)
{
	const char *rest;

	if (identifier_equal(name, id))
		return true;
	if (!name->wildcard || id->type != IDENTIFIER_DNS)
		return false;
	rest = strchr(id->value, '.');
	return rest && name_equal(rest, name->value + 1);
}

bool
cert_covers(const struct cert *cert, const struct identifier *id)
{
	for (size_t i = 0; i < cert->n_names; i++)
		if (name_covers(&cert->names[i], id))
			return true;
	return false;
}
