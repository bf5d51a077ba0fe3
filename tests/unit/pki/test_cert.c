#include <config.h>

#include "pki/cert.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/name.h"
#include "pki/gtls.h"
#include "pki/key.h"
#include "tap.h"

static const time_t now = 1800000000;

enum { DAY = 86400, FILE_CAP = 65536 };

static const size_t kib = 1024;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* -- a world of certificates ---------------------------------------------- */

enum who {
	NOBODY,
	ROOT,
	CA1,
	CA2,
	LEAF,
	DEEP,
	SHORT,
	UPPER,
	STAPLED,
	SOON,
	/* wrong leaves */
	OTHER_KEY,
	OTHER_NAME,
	EXTRA,
	MISSING,
	DOUBLE,
	NO_NAMES,
	EXPIRED,
	FUTURE,
	CA_LEAF,
	SHA1_LEAF,
	MAIL,
	NUL_NAME,
	NUL_SUBJECT,
	IP_AS_DNS,
	FINAL_DOT,
	IP_OF_FIVE,
	UNDERSCORE,
	NO_NAME,
	/* issuers and what they issued */
	STRANGER,
	FAKE_CA1,
	NOT_CA,
	BY_NOT_CA,
	NO_USAGE,
	BY_NO_USAGE,
	NARROW,
	UNDER_NARROW,
	BY_UNDER_NARROW,
	OLD_CA,
	BY_OLD_CA,
	SHA1_CA,
	BY_SHA1_CA,
	OLD_ROOT,
	BY_OLD_ROOT,
	RSA_CA,
	BY_RSA_CA,
	ED_CA,
	BY_ED_CA,
	WEAK_CA,
	BY_WEAK_CA,
	P224_CA,
	BY_P224_CA,
	LARGE_RSA,
	BY_LARGE_RSA,
	LARGE_E,
	BY_LARGE_E,
	EVEN_RSA,
	BY_EVEN_RSA,
	SELF,
	EVERYBODY
};

struct spec {
	const char *cn; /* NULL: empty subject */
	size_t cn_len;  /* 0: strlen */
	const char *names[4];
	const char *san; /* whole extension, instead of names */
	size_t san_len;
	const char *key;     /* file; NULL: a new one, or ours */
	size_t n_len, e_len; /* an absurd RSA public key */
	long from, until;    /* seconds from now; 0: a day each */
	enum who by;
	gnutls_digest_algorithm_t digest;
	int path; /* pathLenConstraint + 1; 0: none */
	bool ca, no_usage, staple, other_key, even;
};

#define NAMES .names = {"www.example.com", "192.0.2.1", "2001:db8::1"}
#define RAW(bytes) .san = (bytes), .san_len = sizeof(bytes) - 1

static const struct spec specs[EVERYBODY] = {
    [ROOT] = {.cn = "Root", .by = ROOT, .ca = true},
    [CA1] = {.cn = "CA 1", .by = ROOT, .ca = true},
    [CA2] = {.cn = "CA 2", .by = CA1, .ca = true},
    [LEAF] = {.by = CA1, NAMES},
    [DEEP] = {.by = CA2, NAMES},
    [SHORT] = {.by = CA1, .names = {"www.example.com"}},
    [UPPER] = {.by = CA1,
        .names = {"192.0.2.1", "WWW.Example.COM", "2001:db8::1"}},
    [STAPLED] = {.by = CA1, NAMES, .staple = true},
    [SOON] = {.by = CA1, NAMES, .from = 3600, .until = 3601},

    [OTHER_KEY] = {.by = CA1, NAMES, .other_key = true},
    [OTHER_NAME] = {.by = CA1, .names = {"www.example.net"}},
    [EXTRA] = {.by = CA1,
        .names = {"www.example.com", "192.0.2.1", "2001:db8::1",
            "mail.example.com"}},
    [MISSING] = {.by = CA1, .names = {"www.example.com", "192.0.2.1"}},
    [DOUBLE] = {.by = CA1,
        .names = {"www.example.com", "192.0.2.1", "2001:db8::1",
            "www.example.com"}},
    [NO_NAMES] = {.cn = "www.example.com", .by = CA1},
    [EXPIRED] = {.by = CA1, NAMES, .from = -DAY, .until = -1},
    [FUTURE] = {.by = CA1, NAMES, .from = 3601, .until = DAY},
    [CA_LEAF] = {.cn = "Leaf", .by = CA1, NAMES, .ca = true, .key = "p256.pem"},
    [SHA1_LEAF] = {.by = CA1, NAMES, .digest = GNUTLS_DIG_SHA1},
    [MAIL] = {.by = CA1,
        RAW("\x30\x17\x82\x0fwww.example.com"
            "\x81\x04"
            "a@b.")},
    [NUL_NAME] = {.by = CA1,
        RAW("\x30\x13\x82\x11"
            "www.example.com\0.")},
    [NUL_SUBJECT] = {.cn = "www\0.evil", .cn_len = 9, .by = CA1, NAMES},
    [IP_AS_DNS] = {.by = CA1,
        RAW("\x30\x0b\x82\x09"
            "192.0.2.1")},
    [FINAL_DOT] = {.by = CA1,
        RAW("\x30\x12\x82\x10"
            "www.example.com.")},
    [IP_OF_FIVE] = {.by = CA1,
        RAW("\x30\x07\x87\x05"
            "12345")},
    [UNDERSCORE] = {.by = CA1,
        RAW("\x30\x0a\x82\x08"
            "a_b.test")},
    [NO_NAME] = {.by = CA1, RAW("\x30\x02\x82\x00")},

    [STRANGER] = {.cn = "Stranger", .by = STRANGER, .ca = true},
    [FAKE_CA1] = {.cn = "CA 1", .by = ROOT, .ca = true},
    [NOT_CA] = {.cn = "Not a CA", .by = ROOT},
    [BY_NOT_CA] = {.by = NOT_CA, NAMES},
    [NO_USAGE] = {.cn = "No usage", .by = ROOT, .ca = true, .no_usage = true},
    [BY_NO_USAGE] = {.by = NO_USAGE, NAMES},
    [NARROW] = {.cn = "Narrow", .by = ROOT, .ca = true, .path = 1},
    [UNDER_NARROW] = {.cn = "Under", .by = NARROW, .ca = true, .path = 1},
    [BY_UNDER_NARROW] = {.by = UNDER_NARROW, NAMES},
    [OLD_CA] =
        {.cn = "Old CA", .by = ROOT, .ca = true, .from = -2, .until = -1},
    [BY_OLD_CA] = {.by = OLD_CA, NAMES},
    [SHA1_CA] = {.cn = "SHA-1 CA",
        .by = ROOT,
        .ca = true,
        .digest = GNUTLS_DIG_SHA1},
    [BY_SHA1_CA] = {.by = SHA1_CA, NAMES},
    [OLD_ROOT] = {.cn = "Old Root",
        .by = OLD_ROOT,
        .ca = true,
        .digest = GNUTLS_DIG_SHA1,
        .from = -2,
        .until = -1},
    [BY_OLD_ROOT] = {.by = OLD_ROOT, NAMES},
    [RSA_CA] = {.cn = "RSA CA",
        .by = ROOT,
        .ca = true,
        .key = "rsa2048-pkcs1.pem"},
    [BY_RSA_CA] = {.by = RSA_CA, NAMES},
    [ED_CA] = {.cn = "Ed25519 CA",
        .by = ROOT,
        .ca = true,
        .key = "bad-ed25519.pem"},
    [BY_ED_CA] = {.by = ED_CA, NAMES, .digest = GNUTLS_DIG_SHA512},
    [WEAK_CA] = {.cn = "Weak CA",
        .by = ROOT,
        .ca = true,
        .key = "bad-rsa1024.pem"},
    [BY_WEAK_CA] = {.by = WEAK_CA, NAMES},
    [P224_CA] = {.cn = "P-224 CA",
        .by = ROOT,
        .ca = true,
        .key = "bad-p224.pem"},
    [BY_P224_CA] = {.by = P224_CA, NAMES},
    [LARGE_RSA] =
        {.cn = "Large n", .by = ROOT, .ca = true, .n_len = 1025, .e_len = 3},
    [BY_LARGE_RSA] = {.by = LARGE_RSA, NAMES},
    [LARGE_E] =
        {.cn = "Large e", .by = ROOT, .ca = true, .n_len = 1024, .e_len = 9},
    [BY_LARGE_E] = {.by = LARGE_E, NAMES},
    [EVEN_RSA] = {.cn = "Even n",
        .by = ROOT,
        .ca = true,
        .n_len = 256,
        .e_len = 3,
        .even = true,
        .key = "rsa2048-pkcs1.pem"},
    [BY_EVEN_RSA] = {.by = EVEN_RSA, NAMES},
    [SELF] = {.cn = "Self", .by = SELF, NAMES, .from = -2, .until = -1},
};

static struct {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
} world[EVERYBODY];

static struct identifier wanted[3];
static unsigned char our_id[32];

static struct buf
data(const char *name)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	char *path = xasprintf("%s/pki/%s", DATA, name);

	if (file_read(AT_FDCWD, path, FILE_CAP, FILE_FOLLOW, &b, &err) == -1)
		diag("%s", err.text);
	free(path);
	return b;
}

/* GnuTLS refused to make the world: nothing can be tested. */
static void
must(int rc, const char *what, size_t who)
{
	if (rc >= 0)
		return;
	diag("%s for certificate %zu: %s", what, who, gnutls_strerror(rc));
	exit(99);
}

static void
make_key(const struct spec *spec, gnutls_x509_privkey_t *key, size_t who)
{
	bool ours = !spec->ca && !spec->other_key;
	const char *file = spec->key ? spec->key : ours ? "p256.pem" : NULL;
	struct buf b = BUF_INIT;
	gnutls_datum_t pem;

	gnutls_x509_privkey_init(key);
	if (!file) {
		must(gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
		         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		    "key", who);
		return;
	}
	b = data(file);
	pem = gtls_datum(b.data, b.len);
	must(gnutls_x509_privkey_import2(
	         *key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0),
	    file, who);
	buf_release(&b);
}

static void
add_name(gnutls_x509_crt_t crt, const char *text, unsigned int how)
{
	struct identifier id = {.ip_len = 0};
	struct err err = ERR_INIT;

	if (identifier_parse(text, &id, &err) == -1)
		diag("%s", err.text);
	if (id.type == IDENTIFIER_IP)
		gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS,
		    id.ip, (unsigned int)id.ip_len, how);
	else
		gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
		    text, (unsigned int)strlen(text), how);
}

static void
add_names(const struct spec *spec, gnutls_x509_crt_t crt, size_t who)
{
	unsigned int how = GNUTLS_FSAN_SET;

	if (spec->san)
		must(gnutls_x509_crt_set_extension_by_oid(
		         crt, "2.5.29.17", spec->san, spec->san_len, 0),
		    "SAN", who);
	for (size_t i = 0; i < COUNT(spec->names) && spec->names[i]; i++) {
		add_name(crt, spec->names[i], how);
		how = GNUTLS_FSAN_APPEND;
	}
}

static void
add_staple(gnutls_x509_crt_t crt)
{
	gnutls_x509_tlsfeatures_t features;

	gnutls_x509_tlsfeatures_init(&features);
	gnutls_x509_tlsfeatures_add(features, 5);
	gnutls_x509_crt_set_tlsfeatures(crt, features);
	gnutls_x509_tlsfeatures_deinit(features);
}

static void
add_extensions(const struct spec *spec, gnutls_x509_crt_t crt, size_t who)
{
	add_names(spec, crt, who);
	if (spec->ca && spec->path)
		gnutls_x509_crt_set_basic_constraints(crt, 1, spec->path - 1);
	else
		gnutls_x509_crt_set_basic_constraints(crt, spec->ca, -1);
	if (spec->ca)
		gnutls_x509_crt_set_key_usage(crt,
		    spec->no_usage ? GNUTLS_KEY_CRL_SIGN :
		                     GNUTLS_KEY_KEY_CERT_SIGN);
	if (spec->staple)
		add_staple(crt);
}

/* Numbers that no key generator makes, in place of the certificate's key. What
 * it issued has been signed by then, or GnuTLS would refuse to. */
static void
set_absurd_key(const struct spec *spec, gnutls_x509_crt_t crt, size_t who)
{
	unsigned char n[1100], e[16];
	gnutls_datum_t nd = gtls_datum(n, spec->n_len);
	gnutls_datum_t ed = gtls_datum(e, spec->e_len);
	gnutls_pubkey_t pub;

	memset(n, 0x7f, sizeof(n));
	memset(e, 0x7f, sizeof(e));
	n[0] = 0xff;
	n[spec->n_len - 1] = spec->even ? 0x7e : 0x7f;
	gnutls_pubkey_init(&pub);
	must(gnutls_pubkey_import_rsa_raw(pub, &nd, &ed), "numbers", who);
	must(gnutls_x509_crt_set_pubkey(crt, pub), "public key", who);
	gnutls_pubkey_deinit(pub);
	must(gnutls_x509_crt_sign2(
	         crt, world[ROOT].crt, world[ROOT].key, GNUTLS_DIG_SHA256, 0),
	    "signing again", who);
}

static void
make(const struct spec *spec, size_t who, gnutls_x509_crt_t issuer,
    gnutls_x509_privkey_t issuer_key)
{
	gnutls_x509_crt_t crt = world[who].crt;
	unsigned char serial[2] = {1, (unsigned char)who};
	size_t len = spec->cn_len;

	if (spec->cn && len == 0)
		len = strlen(spec->cn);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	gnutls_x509_crt_set_key(crt, world[who].key);
	if (spec->cn)
		must(gnutls_x509_crt_set_dn_by_oid(crt,
		         GNUTLS_OID_X520_COMMON_NAME, 0, spec->cn,
		         (unsigned int)len),
		    "subject", who);
	gnutls_x509_crt_set_activation_time(
	    crt, now + (spec->from ? spec->from : -DAY));
	gnutls_x509_crt_set_expiration_time(
	    crt, now + (spec->until ? spec->until : DAY));
	add_extensions(spec, crt, who);
	must(gnutls_x509_crt_sign2(crt, issuer, issuer_key,
	         spec->digest ? spec->digest : GNUTLS_DIG_SHA256, 0),
	    "signing", who);
}

static void
make_world(void)
{
	static const char *const names[] = {
	    "www.example.com", "192.0.2.1", "2001:db8::1"};
	struct buf b = data("p256.pem");
	struct err err = ERR_INIT;
	struct key *key = key_load("ours", b.data, b.len, &err);

	ok_err(key_id(key, our_id, &err), &err, "our key");
	for (size_t i = 0; i < COUNT(names); i++)
		ok_err(identifier_parse(names[i], &wanted[i], &err), &err,
		    "%s is wanted", names[i]);
	key_free(key);
	buf_release(&b);
	for (size_t i = ROOT; i < EVERYBODY; i++) {
		gnutls_x509_crt_init(&world[i].crt);
		make_key(&specs[i], &world[i].key, i);
	}
	for (size_t i = ROOT; i < EVERYBODY; i++) {
		enum who by = specs[i].by;

		make(&specs[i], i, world[by].crt, world[by].key);
	}
	for (size_t i = ROOT; i < EVERYBODY; i++)
		if (specs[i].n_len)
			set_absurd_key(&specs[i], world[i].crt, i);
}

static void
end_world(void)
{
	for (size_t i = ROOT; i < EVERYBODY; i++) {
		gnutls_x509_crt_deinit(world[i].crt);
		gnutls_x509_privkey_deinit(world[i].key);
	}
}

static void
put_crt(struct buf *b, gnutls_x509_crt_t crt)
{
	gnutls_datum_t pem = {NULL, 0};

	gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem);
	buf_put(b, pem.data, pem.size);
	gtls_free(&pem);
}

static struct cert_want
want(void)
{
	return (struct cert_want){.key_id = our_id,
	    .names = wanted,
	    .n_names = COUNT(wanted),
	    .now = now};
}

/* -- chains --------------------------------------------------------------- */

static const struct {
	const char *what;
	enum who chain[5];
	const char *why; /* NULL: accepted */
} chains[] = {
    {"leaf and issuer", {LEAF, CA1}, NULL},
    {"root included", {LEAF, CA1, ROOT}, NULL},
    {"two intermediates", {DEEP, CA2, CA1}, NULL},
    {"two intermediates and root", {DEEP, CA2, CA1, ROOT}, NULL},
    {"a leaf alone", {LEAF}, NULL},
    {"names in upper case and another order", {UPPER, CA1}, NULL},
    {"must-staple though not ordered", {STAPLED, CA1}, NULL},
    {"valid in an hour", {SOON, CA1}, NULL},
    {"an RSA issuer", {BY_RSA_CA, RSA_CA}, NULL},
    {"an Ed25519 issuer", {BY_ED_CA, ED_CA}, NULL},
    {"an expired SHA-1 root at the end", {BY_OLD_ROOT, OLD_ROOT}, NULL},

    {"another key", {OTHER_KEY, CA1}, "for another key"},
    {"another name", {OTHER_NAME, CA1},
        "names www.example.net, which was not ordered"},
    {"a name too many", {EXTRA, CA1},
        "names mail.example.com, which was not ordered"},
    {"a name too few", {MISSING, CA1},
        "does not name 2001:db8::1, which was ordered"},
    {"a name twice", {DOUBLE, CA1}, "names www.example.com twice"},
    {"a name only in the subject", {NO_NAMES, CA1},
        "does not name www.example.com"},
    {"expired", {EXPIRED, CA1},
        "certificate 1 expired at 2027-01-15T07:59:59Z, and now is "
        "2027-01-15T08:00:00Z"},
    {"from the future", {FUTURE, CA1},
        "certificate 1 is not valid before 2027-01-15T09:00:01Z, and now "
        "is 2027-01-15T08:00:00Z"},
    {"a CA's certificate", {CA_LEAF, CA1}, "it is a CA's certificate"},
    {"signed with SHA-1", {SHA1_LEAF, CA1},
        "certificate 1 is signed with ECDSA-SHA1"},
    {"an e-mail address", {MAIL, CA1}, "neither a DNS name nor an IP address"},
    {"a NUL in a name", {NUL_NAME, CA1},
        "a DNS name with a NUL byte in it (\"www.example.com\" and more"},
    {"a NUL in the subject", {NUL_SUBJECT, CA1}, "its subject has a NUL byte"},
    {"an address as a DNS name", {IP_AS_DNS, CA1},
        "the DNS name \"192.0.2.1\" is none"},
    {"a dot at the end of a name", {FINAL_DOT, CA1},
        "the DNS name \"www.example.com.\" is none"},
    {"an address of five bytes", {IP_OF_FIVE, CA1}, "an IP address of 5 bytes"},

    {"an underscore in a name", {UNDERSCORE, CA1},
        "it names what was not ordered: \"a_b.test\""},
    {"a name of no bytes", {NO_NAME, CA1},
        "certificate 1: Unknown Subject Alternative name"},

    {"issuer before leaf", {CA1, LEAF},
        "certificate 2 is for our key, but it has to be the first"},
    {"intermediates in wrong order", {DEEP, CA1, CA2},
        "certificate 1 was issued by \"CN=CA 2\", but number 2 is "
        "\"CN=CA 1\""},
    {"an intermediate is missing", {DEEP, CA1, ROOT},
        "certificate 1 was issued by \"CN=CA 2\""},
    {"an intermediate twice", {LEAF, CA1, CA1},
        "certificate 3 is number 2 again"},
    {"a leaf twice", {LEAF, LEAF, CA1}, "certificate 2 is number 1 again"},
    {"a root twice", {LEAF, CA1, ROOT, ROOT},
        "certificate 4 is number 3 again"},
    {"a stranger at the end", {LEAF, CA1, STRANGER},
        "certificate 2 was issued by \"CN=Root\", but number 3 is "
        "\"CN=Stranger\""},
    {"something behind the root", {LEAF, CA1, ROOT, CA2},
        "certificate 3 was issued by \"CN=Root\", but number 4 is"},
    {"an issuer of the same name", {LEAF, FAKE_CA1},
        "certificate 1 was not signed by the key of number 2"},
    {"an issuer that is no CA", {BY_NOT_CA, NOT_CA},
        "certificate 2 issued number 1 but is not a CA's"},
    {"an issuer that may not sign", {BY_NO_USAGE, NO_USAGE},
        "certificate 2 may not sign certificates"},
    {"a path too long", {BY_UNDER_NARROW, UNDER_NARROW, NARROW},
        "certificate 3 may have 0 CAs below it, not 1"},
    {"an expired intermediate", {BY_OLD_CA, OLD_CA},
        "certificate 2 expired at"},
    {"an intermediate signed with SHA-1", {BY_SHA1_CA, SHA1_CA},
        "certificate 2 is signed with ECDSA-SHA1"},
    {"an issuer with a weak RSA key", {BY_WEAK_CA, WEAK_CA},
        "certificate 2 has a public key that is not acceptable: RSA, "
        "1024 bits"},
    {"an issuer with a weak curve", {BY_P224_CA, P224_CA},
        "certificate 2 has a public key that is not acceptable"},
    {"a leaf that is its own issuer is no root", {SELF},
        "certificate 1 expired at"},
    {"an issuer with an RSA key that takes long", {BY_LARGE_RSA, LARGE_RSA},
        "not acceptable: RSA, 8200 bits"},
    {"an issuer with an exponent that takes long", {BY_LARGE_E, LARGE_E},
        "certificate 2 has an RSA exponent of 9 bytes"},
    {"an issuer with an even modulus", {BY_EVEN_RSA, EVEN_RSA},
        "certificate 1 was not signed by the key of number 2"},
};

static void
judge(const struct buf *b, const struct cert_want *w, const char *why,
    const char *what)
{
	struct err err = ERR_INIT;
	int rc = cert_chain_check(b->data, b->len, w, &err);

	if (!why) {
		ok_err(rc, &err, "%s", what);
		return;
	}
	fails(rc, &err, ERR_PROTOCOL, why, "%s", what);
	ok(strncmp(err.text, "certificate chain: ", 19) == 0,
	    "... of the chain");
}

static void
test_chains(void)
{
	struct cert_want w = want();

	for (size_t i = 0; i < COUNT(chains); i++) {
		struct buf b = BUF_INIT;

		for (size_t j = 0; chains[i].chain[j] != NOBODY; j++)
			put_crt(&b, world[chains[i].chain[j]].crt);
		judge(&b, &w, chains[i].why, chains[i].what);
		buf_release(&b);
	}
}

static void
test_wants(void)
{
	struct cert_want w = want();
	struct buf b = BUF_INIT, md5 = data("bad-md5.pem");
	struct buf file = data("chain.pem");
	struct err err = ERR_INIT;
	struct cert cert;

	put_crt(&b, world[LEAF].crt);
	w.must_staple = true;
	judge(&b, &w, "it lacks must-staple, which was ordered",
	    "no must-staple though ordered");
	buf_clear(&b);
	put_crt(&b, world[STAPLED].crt);
	judge(&b, &w, NULL, "must-staple as ordered");

	w = want();
	w.now = now + DAY;
	judge(&b, &w, "expired at", "the very second of the end");
	w.now = now + DAY - 1;
	judge(&b, &w, NULL, "a second before");

	/* openssl's idea of a chain, and its MD5 */
	ok_err(cert_read("file", file.data, file.len, &cert, &err), &err,
	    "chain.pem");
	w = (struct cert_want){.key_id = our_id,
	    .names = wanted,
	    .n_names = 2,
	    .now = cert.not_before};
	judge(&file, &w, NULL, "a chain made by openssl");
	w.now++;
	judge(&md5, &w, "signed with RSA-MD5", "MD5");
	cert_release(&cert);
	buf_release(&b);
	buf_release(&md5);
	buf_release(&file);
}

/* A leaf and n - 1 CAs, each issued by the next; the last is no root. */
static void
put_long(struct buf *b, size_t n)
{
	struct spec spec = {.ca = true};
	gnutls_x509_crt_t above = world[ROOT].crt;
	gnutls_x509_privkey_t key = world[ROOT].key;
	struct buf *pem = xcalloc(n, sizeof(*pem));
	char cn[20];

	for (size_t i = n; i-- > 0;) {
		gnutls_x509_crt_init(&world[NOBODY].crt);
		spec = i == 0 ? specs[LEAF] : spec;
		make_key(&spec, &world[NOBODY].key, i);
		if (i > 0 && fmt_fit(cn, sizeof(cn), "CA %zu", i) == 0)
			spec.cn = cn;
		make(&spec, NOBODY, above, key);
		put_crt(&pem[i], world[NOBODY].crt);
		if (above != world[ROOT].crt) {
			gnutls_x509_crt_deinit(above);
			gnutls_x509_privkey_deinit(key);
		}
		above = world[NOBODY].crt;
		key = world[NOBODY].key;
	}
	gnutls_x509_crt_deinit(above);
	gnutls_x509_privkey_deinit(key);
	for (size_t i = 0; i < n; i++) {
		buf_put(b, pem[i].data, pem[i].len);
		buf_release(&pem[i]);
	}
	free(pem);
}

static void
test_length(void)
{
	static const struct {
		size_t n;
		const char *why;
	} lengths[] = {
	    {10, NULL},
	    {11, "more than 10 certificates"},
	    {17, "more than 10 certificates"},
	};
	struct cert_want w = want();

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct buf b = BUF_INIT;

		put_long(&b, lengths[i].n);
		judge(&b, &w, lengths[i].why, "a long chain");
		buf_release(&b);
	}
}

/* -- texts ---------------------------------------------------------------- */

/* Before, between and behind two certificates. */
static const struct {
	const char *what, *a, *b, *c, *why;
} texts[] = {
    {"nothing", "", "", "", NULL},
    {"blank lines", "\n\r\n \t\n", "\n\n", "\n\t\n", NULL},
    {"text before", "text\n", "", "",
        "byte 1: something that is not a PEM certificate: \"text\""},
    {"text between", "", "\n  subject=/CN=x\n", "",
        "something that is not a PEM certificate: \"subject=/CN=x\""},
    {"text behind", "", "", "end", "certificate: \"end\""},
    {"a blank before BEGIN", " ", "", "", "byte 2: something"},
    {"a terminal's escapes", "\x1b[2J\n", "", "", "\"?[2J\""},
    {"a private key first", "-----BEGIN PRIVATE KEY-----\n", "", "",
        "a block \"PRIVATE KEY\": only CERTIFICATE blocks"},
    {"a private key behind", "", "",
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n"
        "-----END EC PRIVATE KEY-----\n",
        "a block \"EC PRIVATE KEY\""},
    {"an old label", "", "-----BEGIN X509 CERTIFICATE-----\n", "",
        "a block \"X509 CERTIFICATE\""},
    {"a trusted certificate", "", "-----BEGIN TRUSTED CERTIFICATE-----\n", "",
        "a block \"TRUSTED CERTIFICATE\""},
    {"a longer label", "-----BEGIN CERTIFICATE REQUEST-----\n", "", "",
        "a block \"CERTIFICATE REQUEST\""},
    {"no label", "-----BEGIN \n", "", "", "a block \"\""},
    {"a label without an end", "-----BEGIN CERTIFICATE\n", "", "",
        "a block \"CERTIFICATE\""},
    {"text behind BEGIN", "-----BEGIN CERTIFICATE-----AAAA\n", "", "",
        "certificate 1: text behind its BEGIN"},
    {"an empty block",
        "-----BEGIN CERTIFICATE-----\n"
        "-----END CERTIFICATE-----\n",
        "", "", "certificate 1: not base64"},
    {"a block without END", "-----BEGIN CERTIFICATE-----\nAAAA\n", "", "",
        "certificate 1: cut off, or its END line is missing"},
    {"END in the middle of a line",
        "-----BEGIN CERTIFICATE-----\n"
        "AAAA-----END CERTIFICATE-----\n",
        "", "", "certificate 1: cut"},
    {"text behind END",
        "-----BEGIN CERTIFICATE-----\nAAAA\n"
        "-----END CERTIFICATE-----x\n",
        "", "", "certificate 1: text behind its END"},
    {"another block's END",
        "-----BEGIN CERTIFICATE-----\nAAAA\n"
        "-----END PRIVATE KEY-----\n",
        "", "", "certificate 1: cut"},
    {"base64url",
        "-----BEGIN CERTIFICATE-----\n__8A\n"
        "-----END CERTIFICATE-----\n",
        "", "", "certificate 1: not base64"},
    {"headers",
        "-----BEGIN CERTIFICATE-----\nProc: 4\n\nAAAA\n"
        "-----END CERTIFICATE-----\n",
        "", "", "certificate 1: not base64"},
    {"no DER in it",
        "-----BEGIN CERTIFICATE-----\nAAAA\n"
        "-----END CERTIFICATE-----\n",
        "", "", "certificate 1: ASN1"},
    {"a block of BEGINs",
        "-----BEGIN CERTIFICATE-----\n"
        "-----BEGIN CERTIFICATE-----\n",
        "", "", "certificate 1: cut off"},
};

static void
test_texts(void)
{
	struct cert_want w = want();

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct buf b = BUF_INIT;

		buf_puts(&b, texts[i].a);
		put_crt(&b, world[LEAF].crt);
		buf_puts(&b, texts[i].b);
		put_crt(&b, world[CA1].crt);
		buf_puts(&b, texts[i].c);
		judge(&b, &w, texts[i].why, texts[i].what);
		buf_release(&b);
	}
}

static void
test_bytes(void)
{
	struct cert_want w = want();
	struct buf b = BUF_INIT, crlf = BUF_INIT;
	gnutls_datum_t der = {NULL, 0};

	judge(&b, &w, "chain: empty", "nothing at all");
	buf_puts(&b, " \n\n");
	judge(&b, &w, "no certificate in it", "white space alone");
	buf_clear(&b);

	put_crt(&b, world[LEAF].crt);
	put_crt(&b, world[CA1].crt);
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] == '\n')
			buf_put(&crlf, "\r", 1);
		buf_put(&crlf, &b.data[i], 1);
	}
	judge(&crlf, &w, NULL, "CRLF line ends");
	b.len--;
	judge(&b, &w, NULL, "no newline at the end");
	b.len--;
	judge(&b, &w, "certificate 2: cut off", "cut by a byte");
	b.len = 900;
	judge(&b, &w, "certificate 2: cut off", "cut in the second");
	b.data[100] = '\0';
	judge(&b, &w, "certificate 1: not base64", "a NUL inside");
	buf_clear(&b);
	put_crt(&b, world[LEAF].crt);
	buf_put(&b, "\0", 1);
	judge(&b, &w, "something that is not a PEM", "a NUL behind");

	gnutls_x509_crt_export2(world[LEAF].crt, GNUTLS_X509_FMT_DER, &der);
	buf_clear(&b);
	buf_put(&b, der.data, der.size);
	judge(&b, &w, "DER, where PEM was wanted", "DER");
	gtls_free(&der);
	buf_release(&b);
	buf_release(&crlf);
}

/* The flood: as much of it as is read at all, and more. */
static void
test_floods(void)
{
	struct cert_want w = want();
	struct buf begins = BUF_INIT, pairs = BUF_INIT, one = BUF_INIT;

	while (begins.len < 1024 * kib)
		buf_puts(&begins, "-----BEGIN CERTIFICATE-----\n");
	judge(&begins, &w, "no more than 262144 are read", "a MiB of BEGINs");
	begins.len = 256 * kib;
	judge(&begins, &w, "certificate 1: cut off", "256 KiB of BEGINs");

	while (pairs.len < 255 * kib)
		buf_puts(&pairs,
		    "-----BEGIN CERTIFICATE-----\nAAAA\n"
		    "-----END CERTIFICATE-----\n");
	judge(&pairs, &w, "more than 10 certificates", "255 KiB of blocks");

	buf_puts(&one, "-----BEGIN CERTIFICATE-----\n");
	while (one.len < 90 * kib)
		buf_puts(&one, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	buf_puts(&one, "-----END CERTIFICATE-----\n");
	judge(&one, &w, "certificate 1: larger than 32768 bytes",
	    "a certificate too large");
	buf_release(&begins);
	buf_release(&pairs);
	buf_release(&one);
}

/* -- reading -------------------------------------------------------------- */

static void
test_fields(const struct cert *c)
{
	static const char *const names[] = {"www.example.com", "*.example.com",
	    "192.0.2.1", "2001:db8::1", "xn--bcher-kva.example"};

	is_int((long long)c->n_names, 5, "five names; e-mail is passed over");
	for (size_t i = 0; i < COUNT(names) && i < c->n_names; i++)
		is(c->names[i].value, names[i], "name %zu", i + 1);
	ok(c->serial_len == 6 &&
	        memcmp(c->serial, "\x00\x87\x65\x43\x21\x01", 6) == 0,
	    "the serial number keeps its zero");
	is_int((long long)c->aki_len, 20, "authority key identifier");
	is(c->issuer, "Example CA", "issuer");
	is(c->ocsp_url, "http://ocsp.example/first", "the first OCSP URL");
	ok(c->must_staple, "must-staple");
	ok(!c->is_ca, "not a CA");
	ok(c->key_type == KEY_P256, "key type");
	ok(memcmp(c->key_id, our_id, 32) == 0, "key id");
	is_int(c->not_after - c->not_before, 36500LL * DAY, "a century");
}

static void
test_read(void)
{
	struct buf pem = data("leaf.pem"), b = data("p256.pem");
	struct buf ari = BUF_INIT;
	struct err err = ERR_INIT;
	gnutls_datum_t der = {NULL, 0};
	struct cert c;

	ok_err(
	    cert_read("leaf", pem.data, pem.len, &c, &err), &err, "leaf.pem");
	test_fields(&c);
	cert_release(&c);
	ok(!c.names && c.n_names == 0, "a released one is empty");
	cert_release(&c);

	buf_puts(&b, "some text\n");
	buf_put(&b, pem.data, pem.len);
	ok_err(cert_read("both", b.data, b.len, &c, &err), &err,
	    "behind a key and text");
	cert_release(&c);

	gnutls_x509_crt_export2(world[CA1].crt, GNUTLS_X509_FMT_DER, &der);
	ok_err(cert_read("der", der.data, der.size, &c, &err), &err, "DER");
	ok(c.is_ca && c.n_names == 0 && !c.must_staple && c.aki_len == 0 &&
	        !c.ocsp_url[0],
	    "a CA without anything");
	is(c.issuer, "Root", "issuer");
	fails(cert_ari_id(&c, &ari, &err), &err, ERR_DATA,
	    "no authority key identifier", "no ARI without one");
	ok(ari.len == 0, "... and nothing is written");
	cert_release(&c);
	gtls_free(&der);
	buf_release(&pem);
	buf_release(&b);
}

static void
test_not_read(void)
{
	static const char empty[] = "-----BEGIN CERTIFICATE-----\nAAAA\n"
	                            "-----END CERTIFICATE-----\n";
	struct buf key = data("p256.pem"), cut = data("leaf.pem");
	char *large = xcalloc(1, CERT_SIZE + 1);
	struct cert c = {.n_names = 42};
	struct err err = ERR_INIT;

	fails(cert_read("x", NULL, 0, &c, &err), &err, ERR_DATA,
	    "x: no certificate", "nothing");
	fails(cert_read("x", key.data, key.len, &c, &err), &err, ERR_DATA,
	    "x: no certificate", "a key");
	fails(cert_read("x", cut.data, 300, &c, &err), &err, ERR_DATA,
	    "x: no certificate", "half a certificate");
	fails(cert_read("x", empty, strlen(empty), &c, &err), &err, ERR_DATA,
	    "x: no certificate", "rubbish");
	fails(cert_read("x", "0\x82", 2, &c, &err), &err, ERR_DATA,
	    "x: no certificate", "two bytes of DER");
	fails(cert_read("x", large, CERT_SIZE + 1, &c, &err), &err, ERR_DATA,
	    "x: 262145 bytes", "too much");
	ok(c.n_names == 42, "a refusal leaves the certificate alone");
	free(large);
	buf_release(&key);
	buf_release(&cut);
}

/* RFC 9773, appendix A and 4.1. */
static void
test_ari(void)
{
	static const char pem[] =
	    "-----BEGIN CERTIFICATE-----\n"
	    "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
	    "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
	    "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
	    "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
	    "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
	    "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
	    "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
	    "-----END CERTIFICATE-----\n";
	struct buf id = BUF_INIT;
	struct err err = ERR_INIT;
	struct cert c;

	if (!ok_err(cert_read("vector", pem, strlen(pem), &c, &err), &err,
	        "RFC 9773's certificate"))
		return;
	ok_err(cert_ari_id(&c, &id, &err), &err, "its CertID");
	is(buf_str(&id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "... is right");
	ok(c.not_after < 1, "a date before 1970 is past");
	buf_release(&id);
	cert_release(&c);
}

/* Reads a certificate that is its own issuer and has this name, and perhaps
 * this authority information access. */
static struct cert
self_issued(const char *cn, size_t len, const char *aia, size_t aia_len)
{
	struct spec spec = {.cn = cn, .cn_len = len, .ca = true};
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	struct cert c = {.n_names = 0};

	gnutls_x509_crt_init(&world[NOBODY].crt);
	make_key(&spec, &world[NOBODY].key, NOBODY);
	if (aia)
		gnutls_x509_crt_set_extension_by_oid(
		    world[NOBODY].crt, "1.3.6.1.5.5.7.1.1", aia, aia_len, 0);
	make(&spec, NOBODY, world[NOBODY].crt, world[NOBODY].key);
	put_crt(&b, world[NOBODY].crt);
	ok_err(cert_read("x", b.data, b.len, &c, &err), &err, "reading");
	buf_release(&b);
	gnutls_x509_crt_deinit(world[NOBODY].crt);
	gnutls_x509_privkey_deinit(world[NOBODY].key);
	return c;
}

static void
test_issuer(void)
{
	char cn[301] = "a";
	struct cert c;

	for (size_t i = 1; i + 1 < sizeof(cn); i += 2) {
		cn[i] = '\xc3';
		cn[i + 1] = '\xbc';
	}
	c = self_issued("\xc3\xbc", 2, NULL, 0);
	is(c.issuer, "\xc3\xbc", "an issuer's name as it is");
	c = self_issued("A\0B", 3, NULL, 0);
	is(c.issuer, "#0c03410042", "with a NUL in it");
	c = self_issued(cn, sizeof(cn), NULL, 0);
	ok(strncmp(c.issuer, "CN=a\xc3\xbc", 6) == 0, "too long");
	is_int((long long)strlen(c.issuer), 254, "... cut between characters");
}

#define OCSP "\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x01"

static void
test_ocsp(void)
{
	struct cert c;

	c = self_issued("x", 1, "\x30\x15\x30\x13" OCSP "\x86\x07http://", 23);
	is(c.ocsp_url, "http://", "an OCSP URL");
	c = self_issued("x", 1, "\x30\x15\x30\x13" OCSP "\x86\x07htt\0://", 23);
	is(c.ocsp_url, "", "none with a NUL");
}

#define TEN_ARCS                                                               \
	".1000000000.1000000000.1000000000.1000000000.1000000000"              \
	".1000000000.1000000000.1000000000.1000000000.1000000000"
#define LONG_OID "1.3" TEN_ARCS TEN_ARCS

/* Whether a certificate with these purposes, separated by blanks, may be a
 * server's. */
static bool
for_servers(const char *purposes)
{
	struct spec spec = {.cn = "x"};
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	struct cert c = {.n_names = 0};
	char *copy = xstrdup(purposes), *rest = copy, *oid;

	gnutls_x509_crt_init(&world[NOBODY].crt);
	make_key(&spec, &world[NOBODY].key, NOBODY);
	while ((oid = strsep(&rest, " ")))
		if (*oid)
			must(gnutls_x509_crt_set_key_purpose_oid(
			         world[NOBODY].crt, oid, 0),
			    "purpose", NOBODY);
	make(&spec, NOBODY, world[NOBODY].crt, world[NOBODY].key);
	put_crt(&b, world[NOBODY].crt);
	ok_err(cert_read("x", b.data, b.len, &c, &err), &err, "reading");
	buf_release(&b);
	free(copy);
	gnutls_x509_crt_deinit(world[NOBODY].crt);
	gnutls_x509_privkey_deinit(world[NOBODY].key);
	return c.server_auth;
}

static void
test_purposes(void)
{
	static const struct {
		const char *purposes;
		bool want;
	} rows[] = {{"", true}, {GNUTLS_KP_TLS_WWW_SERVER, true},
	    {GNUTLS_KP_ANY, true},
	    {GNUTLS_KP_TLS_WWW_CLIENT " " GNUTLS_KP_TLS_WWW_SERVER, true},
	    {GNUTLS_KP_TLS_WWW_CLIENT, false},
	    {GNUTLS_KP_CODE_SIGNING " " GNUTLS_KP_EMAIL_PROTECTION, false},
	    {"1.3.6.1.5.5.7.3.11", false},
	    /* longer than GnuTLS reads them */
	    {LONG_OID, false}, {LONG_OID " " GNUTLS_KP_TLS_WWW_SERVER, true}};

	for (size_t i = 0; i < COUNT(rows); i++)
		ok(for_servers(rows[i].purposes) == rows[i].want,
		    "%s for servers: purposes %zu",
		    rows[i].want ? "is" : "is not", i);
}

static void
test_covers(void)
{
	static const struct {
		const char *name, *id;
		bool covers;
	} rows[] = {
	    {"www.example.com", "www.example.com", true},
	    {"www.example.com", "example.com", false},
	    {"*.example.com", "www.example.com", true},
	    {"*.example.com", "*.example.com", true},
	    {"*.example.com", "example.com", false},
	    {"*.example.com", "a.b.example.com", false},
	    {"*.example.com", "*.b.example.com", false},
	    {"www.example.com", "*.example.com", false},
	    {"*.example.com", "www.example.net", false},
	    {"x.example.com", "y.example.com", false},
	    {"*.0.2.1", "192.0.2.1", false},
	    {"192.0.2.1", "192.0.2.1", true},
	    {"192.0.2.1", "192.0.2.2", false},
	    {"2001:db8::1", "2001:db8:0:0::1", true},
	};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identifier name = {.wildcard = true, .value = "*.0.2.1"};
		struct identifier id = {.ip_len = 0};
		struct cert c = {.names = &name, .n_names = 1};

		if (strcmp(rows[i].name, "*.0.2.1") != 0)
			(void)identifier_parse(rows[i].name, &name, &err);
		(void)identifier_parse(rows[i].id, &id, &err);
		ok(cert_covers(&c, &id) == rows[i].covers, "%s %s %s",
		    rows[i].name, rows[i].covers ? "covers" : "leaves out",
		    rows[i].id);
	}
}

/* -- trust ---------------------------------------------------------------- */

static void
test_trusted(void)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	size_t n = 0;

	put_crt(&b, world[ROOT].crt);
	ok_err(
	    cert_trust_check("ca", b.data, b.len, &n, &err), &err, "one root");
	is_int((long long)n, 1, "... is one");
	buf_puts(&b, "# a comment\n\nStranger\n========\n  ");
	put_crt(&b, world[STRANGER].crt);
	for (size_t i = 0; i < 20; i++)
		put_crt(&b, world[OLD_ROOT].crt);
	ok_err(cert_trust_check("ca", b.data, b.len, &n, &err), &err,
	    "a bundle with comments");
	is_int((long long)n, 22, "... counted");
	buf_release(&b);
}

static void
test_not_trusted(void)
{
	static const struct {
		const char *what, *text, *why;
	} bad[] = {
	    {"nothing", "", "ca: no certificate in it"},
	    {"text", "no PEM here\n", "ca: no certificate in it"},
	    {"a key",
	        "-----BEGIN PRIVATE KEY-----\nAAAA\n"
	        "-----END PRIVATE KEY-----\n",
	        "ca: a block \"PRIVATE KEY\""},
	    {"rubbish",
	        "-----BEGIN CERTIFICATE-----\nAAAA\n"
	        "-----END CERTIFICATE-----\n",
	        "ca: certificate 1: ASN1"},
	    {"half a block", "-----BEGIN CERTIFICATE-----\nAAAA\n",
	        "ca: certificate 1: cut off"},
	};
	struct err err = ERR_INIT;
	size_t n = 42;

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct buf b = BUF_INIT;

		fails(cert_trust_check(
		          "ca", bad[i].text, strlen(bad[i].text), &n, &err),
		    &err, ERR_CONFIG, bad[i].why, "%s is refused", bad[i].what);
		if (i < 2)
			continue;
		put_crt(&b, world[ROOT].crt);
		buf_puts(&b, bad[i].text);
		fails(cert_trust_check("ca", b.data, b.len, &n, &err), &err,
		    ERR_CONFIG, NULL, "... behind a good one, too");
		buf_release(&b);
	}
	fails(cert_trust_check("ca", NULL, 0, &n, &err), &err, ERR_CONFIG,
	    "ca: no certificate", "NULL");
	is_int((long long)n, 42, "a refusal counts nothing");
}

int
main(void)
{
	make_world();
	test_chains();
	test_wants();
	test_length();
	test_texts();
	test_bytes();
	test_floods();
	test_read();
	test_not_read();
	test_ari();
	test_issuer();
	test_ocsp();
	test_purposes();
	test_covers();
	test_trusted();
	test_not_trusted();
	end_world();
	return done();
}
