#include <config.h>

#include "pki/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/enc.h"
#include "base/err.h"
#include "pki/gtls.h"

enum {
	DER_MAX = 32 * 1024, /* one certificate; a thousand names fit, and
				   GnuTLS takes quadratic time for some */
	GRACE = 3600,        /* the CA's clock may be ahead of ours */
	SHOWN = 40,          /* bytes of a peer's text in a message */
	DN_SHOWN = 128,
	SIG_MAX = 1024, /* RSA of 8192 bits */
	EXPONENT_MAX = 8,
	DER_SEQUENCE = 0x30
};

/* -- PEM ------------------------------------------------------------------
 *
 * Every byte is looked at a fixed number of times, whatever the text.
 */

struct pem {
	const char *start, *p, *end;
	size_t n;    /* blocks found so far */
	bool strict; /* only white space between blocks */
};

#define BEGIN "-----BEGIN "
#define LABEL "CERTIFICATE-----"
#define END "-----END " LABEL

static bool
begins(const char *p, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - p) >= n && memcmp(p, with, n) == 0;
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static const char *
end_of_line(const char *p, const char *end)
{
	const char *nl = memchr(p, '\n', (size_t)(end - p));

	return nl ? nl : end;
}

/* Moves to the next BEGIN: 1, 0 when there is none, -1. */
static int
pem_seek(struct pem *pem, struct err *err)
{
	while (pem->p < pem->end) {
		const char *eol = end_of_line(pem->p, pem->end);
		const char *text = skip_blanks(pem->p, eol);

		if (begins(pem->strict ? pem->p : text, eol, BEGIN)) {
			pem->p = text + strlen(BEGIN);
			return 1;
		}
		if (pem->strict && text < eol)
			return err_set(err, ERR_PROTOCOL,
			    "byte %zu: something that is not a PEM "
			    "certificate: \"%.*s\"",
			    (size_t)(text - pem->start) + 1,
			    (int)(eol - text < SHOWN ? eol - text : SHOWN),
			    text);
		pem->p = eol < pem->end ? eol + 1 : eol;
	}
	return 0;
}

/* The label and the rest of the line.  RFC 8555, 11.4: a chain with any other
 * block, a private key above all, is refused whole. */
static int
pem_label(struct pem *pem, struct err *err)
{
	const char *eol = end_of_line(pem->p, pem->end);
	const char *dash = memchr(pem->p, '-', (size_t)(eol - pem->p));
	const char *label = pem->p;
	long len = (dash ? dash : eol) - label;

	if (!begins(label, eol, LABEL))
		return err_set(err, ERR_PROTOCOL,
		    "a block \"%.*s\": only CERTIFICATE blocks belong here",
		    (int)(len < SHOWN ? len : SHOWN), label);
	pem->p = label + strlen(LABEL);
	if (skip_blanks(pem->p, eol) != eol)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu: text behind its BEGIN", pem->n);
	pem->p = eol;
	return 0;
}

static int
pem_body(struct pem *pem, struct buf *der, struct err *err)
{
	const char *body = pem->p;
	const char *dash = memchr(body, '-', (size_t)(pem->end - body));
	const char *eol;
	size_t len;

	if (!dash || !begins(dash, pem->end, END) ||
	    (pem->strict && dash[-1] != '\n'))
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu: cut off, or its END line is missing",
		    pem->n);
	pem->p = dash + strlen(END);
	eol = end_of_line(pem->p, pem->end);
	if (skip_blanks(pem->p, eol) != eol)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu: text behind its END", pem->n);
	pem->p = eol;
	len = (size_t)(dash - body);
	if (len / 4 * 3 > DER_MAX)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu: larger than %d bytes", pem->n,
		    (int)DER_MAX);
	if (b64_decode(body, len, der) == -1 || der->len == 0)
		return err_set(
		    err, ERR_PROTOCOL, "certificate %zu: not base64", pem->n);
	return 0;
}

/* The next certificate's bytes into der, which is empty: 1, 0 at the end, or
 * -1 (ERR_PROTOCOL). */
static int
pem_next(struct pem *pem, struct buf *der, struct err *err)
{
	int rc = pem_seek(pem, err);

	if (rc != 1)
		return rc;
	pem->n++;
	if (pem_label(pem, err) == -1 || pem_body(pem, der, err) == -1)
		return -1;
	return 1;
}

/* -- the chain ----------------------------------------------------------- */

enum { ROOM = CERT_CHAIN_MAX + 1 }; /* for the one too many */

struct chain {
	gnutls_x509_crt_t crt[ROOM];
	struct buf der[ROOM];
	size_t n;
};

static void
chain_release(struct chain *chain)
{
	for (size_t i = 0; i < ROOM; i++) {
		if (chain->crt[i])
			gnutls_x509_crt_deinit(chain->crt[i]);
		buf_release(&chain->der[i]);
	}
}

/* All blocks before any certificate: nothing is parsed of a text that is
 * refused for its form. */
static int
chain_split(struct chain *chain, const void *text, size_t len, struct err *err)
{
	struct pem pem = {.start = text, .p = text, .strict = true};
	int rc;

	pem.end = pem.p + len;
	while ((rc = pem_next(&pem, &chain->der[chain->n], err)) == 1)
		if (++chain->n > CERT_CHAIN_MAX)
			return err_set(err, ERR_PROTOCOL,
			    "more than %d certificates", (int)CERT_CHAIN_MAX);
	if (rc == 0 && chain->n == 0)
		return err_set(err, ERR_PROTOCOL, "no certificate in it");
	return rc;
}

static int
import_der(const struct buf *der, size_t number, gnutls_x509_crt_t *out,
    struct err *err)
{
	gnutls_datum_t d = gtls_datum(der->data, der->len);
	int rc = gnutls_x509_crt_init(out);

	if (rc < 0)
		return gtls_fail(err, ERR_SOFTWARE, "certificate", rc);
	rc = gnutls_x509_crt_import(*out, &d, GNUTLS_X509_FMT_DER);
	if (rc < 0)
		return err_set(err, ERR_PROTOCOL, "certificate %zu: %s", number,
		    gnutls_strerror(rc));
	return 0;
}

static int
chain_import(struct chain *chain, struct err *err)
{
	for (size_t i = 0; i < chain->n; i++) {
		const struct buf *der = &chain->der[i];

		for (size_t j = 0; j < i; j++)
			if (chain->der[j].len == der->len &&
			    memcmp(chain->der[j].data, der->data, der->len) ==
			        0)
				return err_set(err, ERR_PROTOCOL,
				    "certificate %zu is number %zu again",
				    i + 1, j + 1);
		if (import_der(der, i + 1, &chain->crt[i], err) == -1)
			return -1;
	}
	return 0;
}

static int
chain_read(struct chain *chain, const void *text, size_t len, struct err *err)
{
	if (len > CERT_SIZE)
		return err_set(err, ERR_PROTOCOL,
		    "%zu bytes: no more than %d are read", len, (int)CERT_SIZE);
	if (len == 0)
		return err_set(err, ERR_PROTOCOL, "empty");
	if (*(const unsigned char *)text == DER_SEQUENCE)
		return err_set(err, ERR_PROTOCOL, "DER, where PEM was wanted");
	if (chain_split(chain, text, len, err) == -1)
		return -1;
	return chain_import(chain, err);
}

/* -- names of people and CAs, for comparing and for messages -- */

static bool
same_dn(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
	return a->size == b->size &&
	    (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* The issuer that below names is above's subject. */
static bool
is_issued_by(gnutls_x509_crt_t below, gnutls_x509_crt_t above)
{
	gnutls_datum_t issuer = {NULL, 0}, subject = {NULL, 0};
	bool same;

	same = gnutls_x509_crt_get_raw_issuer_dn(below, &issuer) == 0 &&
	    gnutls_x509_crt_get_raw_dn(above, &subject) == 0 &&
	    same_dn(&issuer, &subject);
	gtls_free(&issuer);
	gtls_free(&subject);
	return same;
}

/*
 * A root at the end is decoration: who trusts it has a copy, and believes
 * neither its signature nor its dates because of this one.
 */
static bool
is_root(const struct chain *chain, size_t i)
{
	gnutls_x509_crt_t crt = chain->crt[i];

	return i > 0 && i == chain->n - 1 && is_issued_by(crt, crt);
}

/* -- every certificate -- */

static int
check_time(gnutls_x509_crt_t crt, size_t number, time_t now, struct err *err)
{
	time_t from = gnutls_x509_crt_get_activation_time(crt);
	time_t until = gnutls_x509_crt_get_expiration_time(crt);
	char then[DATE_MAX], today[DATE_MAX];

	if (from > now + GRACE)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu is not valid before %s, and now is %s",
		    number, date_format(from, then), date_format(now, today));
	if (until <= now)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu expired at %s, and now is %s", number,
		    date_format(until, then), date_format(now, today));
	return 0;
}

static int
check_algorithm(gnutls_x509_crt_t crt, size_t number, struct err *err)
{
	int rc = gnutls_x509_crt_get_signature_algorithm(crt);
	gnutls_sign_algorithm_t sign = rc > 0 ? (gnutls_sign_algorithm_t)rc :
	                                        GNUTLS_SIGN_UNKNOWN;
	const char *name = gnutls_sign_get_name(sign);

	if (rc > 0 &&
	    gnutls_sign_is_secure2(sign, GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS))
		return 0;
	return err_set(err, ERR_PROTOCOL,
	    "certificate %zu is signed with %s: SHA-256 or better is wanted",
	    number, name ? name : "an unknown algorithm");
}

/* Bounds on what a public key may be: below, it is weak; above, checking a
 * signature takes long enough to be an attack. */
static const struct {
	gnutls_pk_algorithm_t pk;
	unsigned int min, max; /* bits */
} strengths[] = {
    {GNUTLS_PK_RSA, 2048, 8 * SIG_MAX},
    {GNUTLS_PK_RSA_PSS, 2048, 8 * SIG_MAX},
    {GNUTLS_PK_ECDSA, 256, 528},
    {GNUTLS_PK_EDDSA_ED25519, 256, 256},
    {GNUTLS_PK_EDDSA_ED448, 448, 456},
};

static bool
is_strong(int pk, unsigned int bits)
{
	for (size_t i = 0; i < sizeof(strengths) / sizeof(strengths[0]); i++)
		if ((int)strengths[i].pk == pk)
			return bits >= strengths[i].min &&
			    bits <= strengths[i].max;
	return false;
}

static int
check_exponent(gnutls_pubkey_t pub, size_t number, struct err *err)
{
	gnutls_datum_t n = {NULL, 0}, e = {NULL, 0};
	unsigned int bytes;

	if (gnutls_pubkey_export_rsa_raw2(
	        pub, &n, &e, GNUTLS_EXPORT_FLAG_NO_LZ) < 0)
		return 0; /* not RSA */
	bytes = e.size;
	gtls_free(&n);
	gtls_free(&e);
	if (bytes > EXPONENT_MAX)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu has an RSA exponent of %u bytes", number,
		    bytes);
	return 0;
}

static int
check_pubkey(gnutls_pubkey_t pub, size_t number, struct err *err)
{
	unsigned int bits = 0;
	int pk = gnutls_pubkey_get_pk_algorithm(pub, &bits);
	const char *name = NULL;

	if (is_strong(pk, bits))
		return check_exponent(pub, number, err);
	if (pk > 0)
		name = gnutls_pk_get_name((gnutls_pk_algorithm_t)pk);
	return err_set(err, ERR_PROTOCOL,
	    "certificate %zu has a public key that is not acceptable: %s, "
	    "%u bits",
	    number, name ? name : "unknown kind", bits);
}

/* The certificate's public key if it is acceptable, else NULL. */
static gnutls_pubkey_t
take_pubkey(gnutls_x509_crt_t crt, size_t number, struct err *err)
{
	gnutls_pubkey_t pub;
	int rc = gnutls_pubkey_init(&pub);

	if (rc < 0) {
		gtls_fail(err, ERR_SOFTWARE, "public key", rc);
		return NULL;
	}
	rc = gnutls_pubkey_import_x509(pub, crt, 0);
	if (rc < 0)
		err_set(err, ERR_PROTOCOL, "certificate %zu: public key: %s",
		    number, gnutls_strerror(rc));
	else if (check_pubkey(pub, number, err) == 0)
		return pub;
	gnutls_pubkey_deinit(pub);
	return NULL;
}

/* -- the leaf -- */

static bool
has_key(gnutls_x509_crt_t crt, const unsigned char *key_id)
{
	unsigned char id[32];
	size_t size = sizeof(id);

	return gnutls_x509_crt_get_key_id(
	           crt, GNUTLS_KEYID_USE_SHA256, id, &size) == 0 &&
	    memcmp(id, key_id, sizeof(id)) == 0;
}

static int
check_leaf_key(
    const struct chain *chain, const struct cert_want *want, struct err *err)
{
	if (has_key(chain->crt[0], want->key_id))
		return 0;
	for (size_t i = 1; i < chain->n; i++)
		if (has_key(chain->crt[i], want->key_id))
			return err_set(err, ERR_PROTOCOL,
			    "certificate %zu is for our key, but it has to be "
			    "the first",
			    i + 1);
	return err_set(err, ERR_PROTOCOL,
	    "the certificate is for another key than the CSR's");
}

/* A BMPString or UniversalString has zero bytes in every Latin letter. */
static bool
has_nul(const gnutls_x509_ava_st *ava)
{
	enum { UNIVERSAL_STRING = 28, BMP_STRING = 30 };

	return ava->value_tag != UNIVERSAL_STRING &&
	    ava->value_tag != BMP_STRING && ava->value.size > 0 &&
	    memchr(ava->value.data, '\0', ava->value.size);
}

static int
check_subject(gnutls_x509_crt_t leaf, struct err *err)
{
	gnutls_x509_ava_st ava;
	gnutls_x509_dn_t dn;

	if (gnutls_x509_crt_get_subject(leaf, &dn) < 0)
		return err_set(err, ERR_PROTOCOL, "its subject is unreadable");
	for (int rdn = 0; gnutls_x509_dn_get_rdn_ava(dn, rdn, 0, &ava) == 0;
	     rdn++)
		for (int i = 0;
		     gnutls_x509_dn_get_rdn_ava(dn, rdn, i, &ava) == 0; i++)
			if (has_nul(&ava))
				return err_set(err, ERR_PROTOCOL,
				    "its subject has a NUL byte in it");
	return 0;
}

/* Marks id in seen[]: 0, or -1 when it is not wanted or was marked before. */
static int
mark(const struct identifier *id, const struct cert_want *want, bool *seen,
    struct err *err)
{
	bool wanted = false, before = false;

	for (size_t i = 0; i < want->n_names; i++) {
		if (!identifier_equal(id, &want->names[i]))
			continue;
		wanted = true;
		before = before || seen[i];
		seen[i] = true;
	}
	if (!wanted)
		return err_set(err, ERR_PROTOCOL,
		    "it names %s, which was not ordered", id->value);
	if (before)
		return err_set(
		    err, ERR_PROTOCOL, "it names %s twice", id->value);
	return 0;
}

/* Stops at the first name too many, so it never takes more steps than names
 * were wanted. */
static int
mark_all(gnutls_x509_crt_t leaf, const struct cert_want *want, bool *seen,
    struct err *err)
{
	struct identifier id;
	int rc;

	for (unsigned int i = 0;; i++) {
		rc = gtls_san(leaf, i, &id, err);
		if (rc == 0)
			return 0;
		if (rc == -1) {
			err->code = ERR_PROTOCOL;
			return err_wrap(err, "it names what was not ordered");
		}
		if (mark(&id, want, seen, err) == -1)
			return -1;
	}
}

static int
check_names(
    gnutls_x509_crt_t leaf, const struct cert_want *want, struct err *err)
{
	bool *seen = xcalloc(want->n_names + 1, sizeof(*seen));
	int rc = mark_all(leaf, want, seen, err);

	for (size_t i = 0; rc == 0 && i < want->n_names; i++)
		if (!seen[i])
			rc = err_set(err, ERR_PROTOCOL,
			    "it does not name %s, which was ordered",
			    want->names[i].value);
	free(seen);
	return rc;
}

static int
check_leaf(
    const struct chain *chain, const struct cert_want *want, struct err *err)
{
	gnutls_x509_crt_t leaf = chain->crt[0];

	if (check_leaf_key(chain, want, err) == -1 ||
	    check_subject(leaf, err) == -1 ||
	    check_names(leaf, want, err) == -1)
		return -1;
	if (gnutls_x509_crt_get_ca_status(leaf, NULL) > 0)
		return err_set(err, ERR_PROTOCOL,
		    "it is a CA's certificate, not a server's");
	if (want->must_staple && !gtls_must_staple(leaf))
		return err_set(err, ERR_PROTOCOL,
		    "it lacks must-staple, which was ordered");
	return 0;
}

/* -- links -- */

/* A DER element's header: how long it and its contents are. */
static int
der_header(const unsigned char *p, size_t n, size_t *head, size_t *body)
{
	size_t count;

	if (n < 2)
		return -1;
	*head = 2;
	*body = p[1];
	if (p[1] >= 0x80) {
		count = p[1] & 0x7f;
		if (count == 0 || count > 4 || n < 2 + count)
			return -1;
		*head += count;
		*body = 0;
		for (size_t i = 0; i < count; i++)
			*body = *body << 8 | p[2 + i];
	}
	return *body <= n - *head ? 0 : -1;
}

/* What was signed: the first element of a certificate, tbsCertificate (RFC
 * 5280, 4.1).  GnuTLS keeps it to itself. */
static int
signed_part(const struct buf *der, gnutls_datum_t *out)
{
	size_t head, body, inner_head, inner_body;

	if (der_header(der->data, der->len, &head, &body) == -1 ||
	    der_header(der->data + head, body, &inner_head, &inner_body) == -1)
		return -1;
	*out = gtls_datum(der->data + head, inner_head + inner_body);
	return 0;
}

/* One signature and nothing else: GnuTLS's own chain verification also walks
 * name constraints, where hostile certificates have made it slow before. */
static int
check_signature(
    const struct chain *chain, size_t i, gnutls_pubkey_t by, struct err *err)
{
	unsigned char bytes[SIG_MAX];
	size_t size = sizeof(bytes);
	gnutls_datum_t sig, tbs;
	int rc = gnutls_x509_crt_get_signature(
	    chain->crt[i], (char *)bytes, &size);

	if (rc == 0 && signed_part(&chain->der[i], &tbs) == -1)
		rc = GNUTLS_E_ASN1_DER_ERROR;
	if (rc == 0) {
		sig = gtls_datum(bytes, size);
		rc = gnutls_x509_crt_get_signature_algorithm(chain->crt[i]);
	}
	if (rc >= 0)
		rc = gnutls_pubkey_verify_data2(
		    by, (gnutls_sign_algorithm_t)rc, 0, &tbs, &sig);
	if (rc < 0)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu was not signed by the key of number %zu: "
		    "%s",
		    i + 1, i + 2, gnutls_strerror(rc));
	return 0;
}

/* That certificate i may issue what is below it (RFC 5280, 6.1.4 k to n). */
static int
check_ca(const struct chain *chain, size_t i, struct err *err)
{
	unsigned int usage, ca = 0;
	int path = -1, rc;

	rc = gnutls_x509_crt_get_basic_constraints(
	    chain->crt[i], NULL, &ca, &path);
	if (rc < 0 || !ca)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu issued number %zu but is not a CA's",
		    i + 1, i);
	if (path >= 0 && (size_t)path < i - 1)
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu may have %d CAs below it, not %zu", i + 1,
		    path, i - 1);
	rc = gnutls_x509_crt_get_key_usage(chain->crt[i], &usage, NULL);
	if (rc == 0 && !(usage & GNUTLS_KEY_KEY_CERT_SIGN))
		return err_set(err, ERR_PROTOCOL,
		    "certificate %zu may not sign certificates", i + 1);
	return 0;
}

/* As much of a distinguished name as a message repeats. */
static void
show_dn(int rc, gnutls_datum_t *dn, char out[DN_SHOWN])
{
	(void)snprintf(out, DN_SHOWN, "%.*s", rc == 0 ? (int)dn->size : 1,
	    rc == 0 ? (const char *)dn->data : "?");
	gtls_free(dn);
}

static int
wrong_issuer(const struct chain *chain, size_t i, struct err *err)
{
	gnutls_datum_t dn = {NULL, 0};
	char issuer[DN_SHOWN], subject[DN_SHOWN];
	int rc = gnutls_x509_crt_get_issuer_dn3(chain->crt[i], &dn, 0);

	show_dn(rc, &dn, issuer);
	rc = gnutls_x509_crt_get_dn3(chain->crt[i + 1], &dn, 0);
	show_dn(rc, &dn, subject);
	return err_set(err, ERR_PROTOCOL,
	    "certificate %zu was issued by \"%s\", but number %zu is \"%s\"",
	    i + 1, issuer, i + 2, subject);
}

/* Certificate i by itself, and its bond with the one below. */
static int
check_one(const struct chain *chain, size_t i, const struct cert_want *want,
    struct err *err)
{
	gnutls_x509_crt_t crt = chain->crt[i];
	gnutls_pubkey_t pub;
	int rc = 0;

	if (!is_root(chain, i) &&
	    (check_time(crt, i + 1, want->now, err) == -1 ||
	        check_algorithm(crt, i + 1, err) == -1))
		return -1;
	if (i > 0 && !is_issued_by(chain->crt[i - 1], crt))
		return wrong_issuer(chain, i - 1, err);
	if (i > 0 && check_ca(chain, i, err) == -1)
		return -1;
	pub = take_pubkey(crt, i + 1, err);
	if (!pub)
		return -1;
	if (i > 0)
		rc = check_signature(chain, i - 1, pub, err);
	gnutls_pubkey_deinit(pub);
	return rc;
}

int
cert_chain_check(
    const void *pem, size_t len, const struct cert_want *want, struct err *err)
{
	struct chain chain = {.n = 0};
	int rc = chain_read(&chain, pem, len, err);

	if (rc == 0)
		rc = check_leaf(&chain, want, err);
	for (size_t i = 0; rc == 0 && i < chain.n; i++)
		rc = check_one(&chain, i, want, err);
	chain_release(&chain);
	return rc == 0 ? 0 : err_wrap(err, "certificate chain");
}

/* -- trust inputs -------------------------------------------------------- */

static int
check_trusted(const struct buf *der, size_t number, struct err *err)
{
	gnutls_x509_crt_t crt = NULL;
	int rc = import_der(der, number, &crt, err);

	if (crt)
		gnutls_x509_crt_deinit(crt);
	return rc;
}

static int
trust_read(const void *text, size_t len, size_t *n, struct err *err)
{
	struct pem pem = {.start = text, .p = text};
	struct buf der = BUF_INIT;
	int rc = 1;

	pem.end = pem.p + len;
	while (rc == 1) {
		buf_clear(&der);
		rc = pem_next(&pem, &der, err);
		if (rc == 1 && check_trusted(&der, pem.n, err) == -1)
			rc = -1;
	}
	buf_release(&der);
	*n = pem.n;
	return rc;
}

int
cert_trust_check(
    const char *what, const void *pem, size_t len, size_t *n, struct err *err)
{
	size_t found = 0;
	int rc = len > 0 ? trust_read(pem, len, &found, err) : 0;

	if (rc == 0 && found == 0)
		rc = err_set(err, ERR_CONFIG, "no certificate in it");
	if (rc == -1) {
		err->code = ERR_CONFIG;
		return err_wrap(err, "%s", what);
	}
	*n = found;
	return 0;
}
