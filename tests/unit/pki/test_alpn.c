#include <config.h>

#include "pki/alpn.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/hash.h"
#include "tap.h"

#define OID "1.3.6.1.5.5.7.1.31"
#define AUTHORIZATION "token.thumbprint"

static const time_t now = 1800000000;

static struct identifier
name(const char *text)
{
	struct identifier id = {.ip_len = 0};
	struct err err = ERR_INIT;

	if (identifier_parse(text, &id, &err) == -1)
		diag("%s", err.text);
	return id;
}

static struct alpn_cert *
make(const char *text, gnutls_x509_crt_t *crt)
{
	struct identifier id = name(text);
	struct err err = ERR_INIT;
	struct alpn_cert *cert = alpn_cert_new(&id, AUTHORIZATION, now, &err);
	gnutls_pcert_st *pcert;

	if (!ok_err(cert ? 0 : -1, &err, "a certificate for %s", text))
		exit(99);
	pcert = alpn_cert_pcert(cert);
	gnutls_x509_crt_init(crt);
	is_int(gnutls_x509_crt_import(*crt, &pcert->cert, GNUTLS_X509_FMT_DER),
	    0, "... can be read");
	return cert;
}

static void
test_san(const char *text, int type, const void *want, size_t len)
{
	char bytes[256];
	size_t size = sizeof(bytes);
	gnutls_x509_crt_t crt;
	struct alpn_cert *cert = make(text, &crt);
	int rc = gnutls_x509_crt_get_subject_alt_name(
	    crt, 0, bytes, &size, NULL);

	ok(rc == type && size == len && memcmp(bytes, want, len) == 0,
	    "... it is named");
	size = sizeof(bytes);
	is_int(gnutls_x509_crt_get_subject_alt_name(crt, 1, bytes, &size, NULL),
	    GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE, "... only so");
	gnutls_x509_crt_deinit(crt);
	alpn_cert_free(cert);
}

/* RFC 8737, 3 */
static void
test_extension(void)
{
	unsigned char der[64], want[34] = {0x04, 0x20};
	size_t size = sizeof(der);
	unsigned int critical = 0;
	gnutls_x509_crt_t crt;
	struct alpn_cert *cert = make("www.example.com", &crt);

	is_int(gnutls_x509_crt_get_extension_by_oid(
	           crt, OID, 0, der, &size, &critical),
	    0, "acmeIdentifier");
	hash_sha256(AUTHORIZATION, strlen(AUTHORIZATION), want + 2);
	ok(size == sizeof(want) && memcmp(der, want, size) == 0,
	    "... holds the key authorization's hash");
	ok(critical == 1, "... and is critical");
	size = sizeof(der);
	ok(gnutls_x509_crt_get_extension_by_oid(
	       crt, OID, 1, der, &size, &critical) < 0,
	    "... and is there once");
	gnutls_x509_crt_deinit(crt);
	alpn_cert_free(cert);
}

static void
test_frame(void)
{
	unsigned char serial[40], subject[64], issuer[64];
	size_t size = sizeof(serial), subject_len = sizeof(subject);
	size_t issuer_len = sizeof(issuer);
	gnutls_x509_crt_t crt;
	struct alpn_cert *cert = make("www.example.com", &crt);

	is_int(gnutls_x509_crt_get_version(crt), 3, "version 3");
	ok(gnutls_x509_crt_get_activation_time(crt) == now - 3600 &&
	        gnutls_x509_crt_get_expiration_time(crt) == now + 86400,
	    "from an hour ago until tomorrow");
	ok(gnutls_x509_crt_get_serial(crt, serial, &size) == 0 && size == 16 &&
	        !(serial[0] & 0x80),
	    "a positive serial number");
	ok(gnutls_x509_crt_get_dn(crt, (char *)subject, &subject_len) == 0 &&
	        gnutls_x509_crt_get_issuer_dn(
	            crt, (char *)issuer, &issuer_len) == 0 &&
	        subject_len == issuer_len && subject_len > 0 &&
	        memcmp(subject, issuer, issuer_len) == 0,
	    "its own issuer");
	gnutls_x509_crt_deinit(crt);
	alpn_cert_free(cert);
}

/* The private key is the certificate's, and each certificate has its own. */
static void
test_keys(void)
{
	gnutls_x509_crt_t crt[2];
	struct alpn_cert *cert[2] = {
	    make("www.example.com", &crt[0]), make("www.example.com", &crt[1])};
	gnutls_datum_t in = gtls_datum("text", 4), sig = {NULL, 0};
	gnutls_pcert_st *pcert = alpn_cert_pcert(cert[0]);
	unsigned char id[2][32];
	size_t size = 32;
	unsigned int verdict = 0;

	is_int(gnutls_privkey_sign_data2(alpn_cert_privkey(cert[0]),
	           GNUTLS_SIGN_ECDSA_SHA256, 0, &in, &sig),
	    0, "its key signs");
	is_int(gnutls_pubkey_verify_data2(
	           pcert->pubkey, GNUTLS_SIGN_ECDSA_SHA256, 0, &in, &sig),
	    0, "... for it");
	is_int(gnutls_x509_crt_verify(crt[0], &crt[0], 1,
	           GNUTLS_VERIFY_ALLOW_X509_V1_CA_CRT |
	               GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
	           &verdict),
	    0, "self-signed");
	gnutls_x509_crt_get_key_id(
	    crt[0], GNUTLS_KEYID_USE_SHA256, id[0], &size);
	size = 32;
	gnutls_x509_crt_get_key_id(
	    crt[1], GNUTLS_KEYID_USE_SHA256, id[1], &size);
	ok(memcmp(id[0], id[1], 32) != 0, "another has another key");
	gtls_free(&sig);
	for (int i = 0; i < 2; i++) {
		gnutls_x509_crt_deinit(crt[i]);
		alpn_cert_free(cert[i]);
	}
	alpn_cert_free(NULL);
}

int
main(void)
{
	static const unsigned char v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	test_san("www.example.com", GNUTLS_SAN_DNSNAME, "www.example.com", 15);
	test_san("192.0.2.1", GNUTLS_SAN_IPADDRESS, "\xc0\x00\x02\x01", 4);
	test_san("2001:db8::1", GNUTLS_SAN_IPADDRESS, v6, 16);
	test_extension();
	test_frame();
	test_keys();
	return done();
}
