#include <config.h>

#include "pki/csr.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/key.h"
#include "tap.h"

static struct identifier
name(const char *text)
{
	struct identifier id = {.ip_len = 0};
	struct err err = ERR_INIT;

	if (identifier_parse(text, &id, &err) == -1)
		diag("%s", err.text);
	return id;
}

static gnutls_x509_crq_t
read_back(const struct buf *der)
{
	gnutls_datum_t d = gtls_datum(der->data, der->len);
	gnutls_x509_crq_t crq;

	gnutls_x509_crq_init(&crq);
	is_int(gnutls_x509_crq_import(crq, &d, GNUTLS_X509_FMT_DER), 0,
	    "a CSR in DER");
	is_int(gnutls_x509_crq_verify(crq, 0), 0, "... signed by its key");
	return crq;
}

static void
is_san(gnutls_x509_crq_t crq, unsigned int i, int type, const void *want,
    size_t len)
{
	char bytes[256];
	size_t size = sizeof(bytes);
	unsigned int got = 0;
	int rc = gnutls_x509_crq_get_subject_alt_name(
	    crq, i, bytes, &size, &got, NULL);

	ok(rc == type &&
	        (rc < 0 || (size == len && memcmp(bytes, want, len) == 0)),
	    "name %u", i + 1);
}

static void
test_names(enum key_type type, int algorithm)
{
	struct identifier names[] = {name("www.example.com"),
	    name("*.example.com"), name("192.0.2.1"), name("2001:db8::1")};
	struct err err = ERR_INIT;
	struct key *key = key_new(type, &err);
	unsigned char id[32], same[32];
	size_t size = sizeof(same);
	struct buf der = BUF_INIT;
	gnutls_x509_crq_t crq;

	ok_err(csr_make(key, names, 4, false, &der, &err), &err,
	    "a CSR for a %s key", key_type_name(type));
	crq = read_back(&der);
	is_san(crq, 0, GNUTLS_SAN_DNSNAME, "www.example.com", 15);
	is_san(crq, 1, GNUTLS_SAN_DNSNAME, "*.example.com", 13);
	is_san(crq, 2, GNUTLS_SAN_IPADDRESS, "\xc0\x00\x02\x01", 4);
	is_san(crq, 3, GNUTLS_SAN_IPADDRESS, names[3].ip, 16);
	is_san(crq, 4, GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE, "", 0);
	is_int(gnutls_x509_crq_get_version(crq), 1, "version 1");
	is_int(gnutls_x509_crq_get_signature_algorithm(crq), algorithm,
	    "the hash fits the key");
	size = 0;
	is_int(gnutls_x509_crq_get_dn(crq, NULL, &size),
	    GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE, "no subject");
	size = sizeof(same);
	ok(key_id(key, id, &err) == 0 &&
	        gnutls_x509_crq_get_key_id(
	            crq, GNUTLS_KEYID_USE_SHA256, same, &size) == 0 &&
	        memcmp(id, same, 32) == 0,
	    "the key");
	gnutls_x509_crq_deinit(crq);
	buf_release(&der);
	key_free(key);
}

static void
test_must_staple(bool wanted)
{
	struct identifier id = name("www.example.com");
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	gnutls_x509_tlsfeatures_t features;
	struct buf der = BUF_INIT;
	unsigned int feature = 0;
	gnutls_x509_crq_t crq;
	int rc;

	ok_err(csr_make(key, &id, 1, wanted, &der, &err), &err,
	    "a CSR %s must-staple", wanted ? "with" : "without");
	crq = read_back(&der);
	gnutls_x509_tlsfeatures_init(&features);
	rc = gnutls_x509_crq_get_tlsfeatures(crq, features, 0, NULL);
	if (wanted) {
		ok(rc == 0 &&
		        gnutls_x509_tlsfeatures_get(features, 0, &feature) ==
		            0 &&
		        feature == 5,
		    "status_request");
		ok(gnutls_x509_tlsfeatures_get(features, 1, &feature) < 0,
		    "... alone");
	} else {
		is_int(rc, GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE,
		    "no TLS feature");
	}
	gnutls_x509_tlsfeatures_deinit(features);
	gnutls_x509_crq_deinit(crq);
	buf_release(&der);
	key_free(key);
}

/* RFC 7633, 4: a SEQUENCE with the INTEGER 5, in an extension request. */
static void
test_bytes(void)
{
	static const unsigned char want[] = {0x06, 0x08, 0x2b, 0x06, 0x01, 0x05,
	    0x05, 0x07, 0x01, 0x18, 0x04, 0x05, 0x30, 0x03, 0x02, 0x01, 0x05};
	struct identifier id = name("www.example.com");
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	struct buf der = BUF_INIT;

	ok_err(csr_make(key, &id, 1, true, &der, &err), &err, "a CSR");
	ok(memmem(der.data, der.len, want, sizeof(want)),
	    "holds must-staple to the byte");
	buf_clear(&der);
	fails(csr_make(key, &id, 0, false, &der, &err), &err, ERR_SOFTWARE,
	    "without names", "a CSR for nothing is our mistake");
	ok(der.len == 0, "... and writes nothing");
	buf_release(&der);
	key_free(key);
}

static void
test_many(void)
{
	enum { MANY = 100 };
	struct identifier names[MANY];
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	struct buf der = BUF_INIT;
	gnutls_x509_crq_t crq;
	char text[32];

	for (int i = 0; i < MANY; i++) {
		if (fmt_fit(text, sizeof(text), "h%d.example.com", i) == -1)
			diag("too long");
		names[i] = name(text);
	}
	ok_err(csr_make(key, names, MANY, false, &der, &err), &err,
	    "a hundred names");
	crq = read_back(&der);
	is_san(crq, 0, GNUTLS_SAN_DNSNAME, "h0.example.com", 14);
	is_san(crq, MANY - 1, GNUTLS_SAN_DNSNAME, "h99.example.com", 15);
	gnutls_x509_crq_deinit(crq);
	buf_release(&der);
	key_free(key);
}

int
main(void)
{
	test_names(KEY_P256, GNUTLS_SIGN_ECDSA_SHA256);
	test_names(KEY_P384, GNUTLS_SIGN_ECDSA_SHA384);
	test_names(KEY_RSA2048, GNUTLS_SIGN_RSA_SHA256);
	test_must_staple(true);
	test_must_staple(false);
	test_bytes();
	test_many();
	return done();
}
