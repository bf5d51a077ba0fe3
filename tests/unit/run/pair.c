#include <config.h>

#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/key.h"

static void
must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	printf("Bail out! %s: %s\n", what, gnutls_strerror(rc));
	exit(99);
}

static void
add_name(gnutls_x509_crt_t crt, const char *text)
{
	struct identifier id;
	struct err err = ERR_INIT;

	must(identifier_parse(text, &id, &err), text);
	if (id.type == IDENTIFIER_IP)
		must(gnutls_x509_crt_set_subject_alt_name(crt,
		         GNUTLS_SAN_IPADDRESS, id.ip, (unsigned int)id.ip_len,
		         GNUTLS_FSAN_APPEND),
		    text);
	else
		must(gnutls_x509_crt_set_subject_alt_name(crt,
		         GNUTLS_SAN_DNSNAME, text, (unsigned int)strlen(text),
		         GNUTLS_FSAN_APPEND),
		    text);
}

/* RFC 9773's CertID wants a serial number and an authority key identifier. */
static void
identify(gnutls_x509_crt_t crt)
{
	static unsigned char serial[] = {1, 0};
	static const unsigned char issuer[] = {'i', 's', 's', 'u', 'e', 'r'};

	serial[1]++;
	must(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)), "serial");
	must(gnutls_x509_crt_set_authority_key_id(crt, issuer, sizeof(issuer)),
	    "authority key identifier");
}

static void
describe(const struct pair_spec *spec, gnutls_x509_crt_t crt)
{
	must(gnutls_x509_crt_set_version(crt, 3), "version");
	identify(crt);
	must(gnutls_x509_crt_set_activation_time(crt, spec->from), "from");
	must(gnutls_x509_crt_set_expiration_time(crt, spec->until), "until");
	for (size_t i = 0; i < 4 && spec->names[i]; i++)
		add_name(crt, spec->names[i]);
	for (size_t i = 0; i < 2 && spec->purposes[i]; i++)
		must(gnutls_x509_crt_set_key_purpose_oid(
		         crt, spec->purposes[i], 0),
		    "purpose");
}

void
pair_make(const struct pair_spec *spec, struct pair *out)
{
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	gnutls_x509_privkey_t handle;
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem;

	*out = (struct pair){.chain = BUF_INIT, .key = BUF_SECRET};
	must(key ? key_save(key, &out->key, &err) : -1, "key");
	handle = key_handle(key);
	must(gnutls_x509_crt_init(&crt), "certificate");
	describe(spec, crt);
	must(gnutls_x509_crt_set_key(crt, handle), "its key");
	must(gnutls_x509_crt_sign2(crt, crt, handle, GNUTLS_DIG_SHA256, 0),
	    "signature");
	must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), "PEM");
	buf_put(&out->chain, pem.data, pem.size);
	gtls_free(&pem);
	gnutls_x509_crt_deinit(crt);
	key_free(key);
}

void
pair_release(struct pair *pair)
{
	buf_release(&pair->chain);
	buf_release(&pair->key);
}
