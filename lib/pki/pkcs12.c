#include <config.h>

#include "pki/pkcs12.h"

#include <string.h>

#include <gnutls/pkcs12.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "pki/cert.h"
#include "pki/gtls.h"
#include "pki/key.h"

enum {
	CERTS_BAG, /* the bags of a file, in this order */
	KEY_BAG,
	BAGS,
	KEY_ID_SIZE = 64
};

/* -- the password --------------------------------------------------------- */

int
pkcs12_password_check(const char *password, struct err *err)
{
	size_t left = strlen(password), n;

	if (left == 0)
		return err_set(err, ERR_CONFIG, "the password is empty");
	if (left > PKCS12_PASSWORD_MAX)
		return err_set(err, ERR_CONFIG,
		    "the password is longer than %d bytes",
		    PKCS12_PASSWORD_MAX);
	for (; left > 0; password += n, left -= n) {
		n = json_utf8_len(password, left);
		if (n == 0)
			return err_set(
			    err, ERR_CONFIG, "the password is not UTF-8");
		if ((unsigned char)*password < ' ' || *password == 0x7f)
			return err_set(err, ERR_CONFIG,
			    "there is a control character in the password");
	}
	return 0;
}

/* -- what goes in --------------------------------------------------------- */

struct contents {
	gnutls_x509_crt_t *certs;
	unsigned int n;
	gnutls_x509_privkey_t key; /* borrowed */
	/* RFC 2985, 5.5.2: what ties key and certificate together */
	unsigned char id[KEY_ID_SIZE];
	size_t id_len;
	const char *name;
};

static void
contents_release(struct contents *c)
{
	for (unsigned int i = 0; i < c->n; i++)
		gnutls_x509_crt_deinit(c->certs[i]);
	gnutls_free(c->certs);
}

static int
read_certs(const void *chain, size_t len, struct contents *c, struct err *err)
{
	gnutls_datum_t pem = gtls_datum(chain, len);
	int rc;

	if (len > CERT_SIZE)
		return err_set(err, ERR_DATA,
		    "the chain is larger than %d "
		    "bytes",
		    CERT_SIZE);
	rc = gnutls_x509_crt_list_import2(
	    &c->certs, &c->n, &pem, GNUTLS_X509_FMT_PEM, 0);
	if (rc >= 0)
		return 0;
	c->certs = NULL;
	c->n = 0;
	return gtls_fail(err, ERR_DATA, "the chain", rc);
}

static int
read_ids(struct contents *c, struct err *err)
{
	unsigned char of_key[KEY_ID_SIZE];
	size_t len = sizeof(of_key);
	int rc;

	c->id_len = sizeof(c->id);
	rc = gnutls_x509_crt_get_key_id(
	    c->certs[0], GNUTLS_KEYID_USE_SHA1, c->id, &c->id_len);
	if (rc == 0)
		rc = gnutls_x509_privkey_get_key_id(
		    c->key, GNUTLS_KEYID_USE_SHA1, of_key, &len);
	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "the key's identifier", rc);
	if (len != c->id_len || memcmp(of_key, c->id, len) != 0)
		return err_set(
		    err, ERR_DATA, "the key is not the certificate's");
	return 0;
}

static int
contents_init(struct contents *c, const void *chain, size_t len,
    const struct key *key, const char *name, struct err *err)
{
	*c = (struct contents){.key = key_handle(key), .name = name};
	if (read_certs(chain, len, c, err) == 0 && read_ids(c, err) == 0)
		return 0;
	contents_release(c);
	return -1;
}

/* -- making --------------------------------------------------------------- */

/* Name and identifier of the bag's element 0: leaf or key. 0 or GnuTLS's. */
static int
label(gnutls_pkcs12_bag_t bag, struct contents *c)
{
	gnutls_datum_t id = gtls_datum(c->id, c->id_len);
	int rc = gnutls_pkcs12_bag_set_friendly_name(bag, 0, c->name);

	return rc < 0 ? rc : gnutls_pkcs12_bag_set_key_id(bag, 0, &id);
}

static int
fill_certs(gnutls_pkcs12_bag_t bag, struct contents *c, const char *password)
{
	int rc = 0;

	for (unsigned int i = 0; rc >= 0 && i < c->n; i++)
		rc = gnutls_pkcs12_bag_set_crt(bag, c->certs[i]);
	if (rc >= 0)
		rc = label(bag, c);
	return rc < 0 ?
	    rc :
	    gnutls_pkcs12_bag_encrypt(bag, password, GNUTLS_PKCS_PBES2_AES_256);
}

static int
fill_key(gnutls_pkcs12_bag_t bag, struct contents *c, const char *password)
{
	gnutls_datum_t der = {NULL, 0};
	int rc = gnutls_x509_privkey_export2_pkcs8(c->key, GNUTLS_X509_FMT_DER,
	    password, GNUTLS_PKCS_PBES2_AES_256, &der);

	if (rc >= 0)
		rc = gnutls_pkcs12_bag_set_data(
		    bag, GNUTLS_BAG_PKCS8_ENCRYPTED_KEY, &der);
	gtls_free(&der);
	return rc < 0 ? rc : label(bag, c);
}

/* A bag of that kind, made and put in. */
static int
add_bag(gnutls_pkcs12_t p12, struct contents *c, const char *password,
    int (*fill)(gnutls_pkcs12_bag_t, struct contents *, const char *))
{
	gnutls_pkcs12_bag_t bag;
	int rc = gnutls_pkcs12_bag_init(&bag);

	if (rc < 0)
		return rc;
	rc = fill(bag, c, password);
	if (rc >= 0)
		rc = gnutls_pkcs12_set_bag(p12, bag);
	gnutls_pkcs12_bag_deinit(bag);
	return rc;
}

static int
build(struct contents *c, const char *password, gnutls_datum_t *out)
{
	gnutls_pkcs12_t p12;
	int rc = gnutls_pkcs12_init(&p12);

	if (rc < 0)
		return rc;
	rc = add_bag(p12, c, password, fill_certs);
	if (rc >= 0)
		rc = add_bag(p12, c, password, fill_key);
	if (rc >= 0)
		rc = gnutls_pkcs12_generate_mac2(
		    p12, GNUTLS_MAC_SHA256, password);
	if (rc >= 0)
		rc = gnutls_pkcs12_export2(p12, GNUTLS_X509_FMT_DER, out);
	gnutls_pkcs12_deinit(p12);
	return rc;
}

int
pkcs12_make(const void *chain, size_t len, const struct key *key,
    const char *name, const char *password, struct buf *out, struct err *err)
{
	gnutls_datum_t der = {NULL, 0};
	struct contents c;
	int rc;

	if (pkcs12_password_check(password, err) == -1 ||
	    contents_init(&c, chain, len, key, name, err) == -1)
		return -1;
	rc = build(&c, password, &der);
	contents_release(&c);
	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "making PKCS #12", rc);
	out->secret = true;
	buf_put(out, der.data, der.size);
	gtls_wipe(&der);
	return 0;
}

/* -- comparing ------------------------------------------------------------ */

static bool
has_label(gnutls_pkcs12_bag_t bag, const struct contents *c)
{
	gnutls_datum_t id = {NULL, 0};
	char *name = NULL;

	return gnutls_pkcs12_bag_get_friendly_name(bag, 0, &name) == 0 &&
	    name && strcmp(name, c->name) == 0 &&
	    gnutls_pkcs12_bag_get_key_id(bag, 0, &id) == 0 &&
	    id.size == c->id_len && memcmp(id.data, c->id, id.size) == 0;
}

static bool
is_cert(gnutls_pkcs12_bag_t bag, unsigned int i, gnutls_x509_crt_t cert)
{
	gnutls_datum_t there, ours;
	bool same;

	if (gnutls_pkcs12_bag_get_type(bag, i) != GNUTLS_BAG_CERTIFICATE ||
	    gnutls_pkcs12_bag_get_data(bag, i, &there) < 0 ||
	    gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_DER, &ours) < 0)
		return false;
	same = there.size == ours.size &&
	    memcmp(there.data, ours.data, ours.size) == 0;
	gtls_free(&ours);
	return same;
}

static bool
holds_certs(
    gnutls_pkcs12_bag_t bag, const struct contents *c, const char *password)
{
	if (gnutls_pkcs12_bag_get_type(bag, 0) != GNUTLS_BAG_ENCRYPTED ||
	    gnutls_pkcs12_bag_decrypt(bag, password) < 0 ||
	    gnutls_pkcs12_bag_get_count(bag) != (int)c->n)
		return false;
	for (unsigned int i = 0; i < c->n; i++)
		if (!is_cert(bag, i, c->certs[i]))
			return false;
	return has_label(bag, c);
}

static bool
is_key(
    const gnutls_datum_t *der, const struct contents *c, const char *password)
{
	unsigned char id[KEY_ID_SIZE];
	size_t len = sizeof(id);
	gnutls_x509_privkey_t key;
	bool same;

	if (gnutls_x509_privkey_init(&key) < 0)
		return false;
	same = gnutls_x509_privkey_import_pkcs8(
	           key, der, GNUTLS_X509_FMT_DER, password, 0) == 0 &&
	    gnutls_x509_privkey_get_key_id(
	        key, GNUTLS_KEYID_USE_SHA1, id, &len) == 0 &&
	    len == c->id_len && memcmp(id, c->id, len) == 0;
	gnutls_x509_privkey_deinit(key);
	return same;
}

static bool
holds_key(
    gnutls_pkcs12_bag_t bag, const struct contents *c, const char *password)
{
	gnutls_datum_t der;

	return gnutls_pkcs12_bag_get_type(bag, 0) ==
	    GNUTLS_BAG_PKCS8_ENCRYPTED_KEY &&
	    gnutls_pkcs12_bag_get_count(bag) == 1 &&
	    gnutls_pkcs12_bag_get_data(bag, 0, &der) == 0 &&
	    is_key(&der, c, password) && has_label(bag, c);
}

static bool
check_bag(gnutls_pkcs12_t p12, int i, const struct contents *c,
    const char *password,
    bool (*holds)(gnutls_pkcs12_bag_t, const struct contents *, const char *))
{
	gnutls_pkcs12_bag_t bag;
	bool same;

	if (gnutls_pkcs12_bag_init(&bag) < 0)
		return false;
	same = gnutls_pkcs12_get_bag(p12, i, bag) == 0 &&
	    holds(bag, c, password);
	gnutls_pkcs12_bag_deinit(bag);
	return same;
}

static bool
has_more_bags(gnutls_pkcs12_t p12)
{
	gnutls_pkcs12_bag_t bag;
	int rc;

	if (gnutls_pkcs12_bag_init(&bag) < 0)
		return true;
	rc = gnutls_pkcs12_get_bag(p12, BAGS, bag);
	gnutls_pkcs12_bag_deinit(bag);
	return rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

bool
pkcs12_holds(const void *data, size_t data_len, const char *password,
    const void *chain, size_t len, const struct key *key, const char *name)
{
	gnutls_datum_t der = gtls_datum(data, data_len);
	struct err ignored = ERR_INIT;
	gnutls_pkcs12_t p12;
	struct contents c;
	bool same = false;

	if (data_len > PKCS12_SIZE ||
	    contents_init(&c, chain, len, key, name, &ignored) == -1)
		return false;
	if (gnutls_pkcs12_init(&p12) == 0) {
		same = gnutls_pkcs12_import(
		           p12, &der, GNUTLS_X509_FMT_DER, 0) == 0 &&
		    gnutls_pkcs12_verify_mac(p12, password) == 0 &&
		    check_bag(p12, CERTS_BAG, &c, password, holds_certs) &&
		    check_bag(p12, KEY_BAG, &c, password, holds_key) &&
		    !has_more_bags(p12);
		gnutls_pkcs12_deinit(p12);
	}
	contents_release(&c);
	return same;
}
