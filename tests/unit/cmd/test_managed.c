#include <config.h>

#include "cmd/managed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/settings.h"
#include "tap.h"

static char *path;
static struct settings settings;
static struct managed managed;

/* -- a configuration -- */

static void
release(void)
{
	managed_release(&managed);
	settings_release(&settings);
}

static int
load_file(const char *file, struct err *err)
{
	release();
	settings_init(&settings);
	settings.config_file = file;
	*err = (struct err)ERR_INIT;
	if (settings_load(&settings, err) == -1)
		return -1;
	return managed_load(&settings, &managed, err);
}

static int
load(const char *text, struct err *err)
{
	*err = (struct err)ERR_INIT;
	if (file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE,
	        err) == -1)
		return -1;
	return load_file(path, err);
}

/* The names of the certificates, a blank behind each. */
static const char *
all(void)
{
	static struct buf joined;

	buf_release(&joined);
	joined = (struct buf)BUF_INIT;
	for (size_t i = 0; i < managed.n; i++)
		buf_printf(&joined, "%s ", managed.v[i].name);
	return buf_str(&joined);
}

/* -- what is wanted -- */

static void
test_real(void)
{
	static const char want[] =
	    "127.0.0.1 api.corp.example.com "
	    "authenticate.corp.example.com ci.corp.example.com "
	    "docs.corp.example.com game.corp.example.com git.corp.example.com "
	    "grafana.corp.example.com legacy.corp.example.com "
	    "old.corp.example.com proxy.corp.example.com "
	    "registry.corp.example.com ssh.corp.example.com "
	    "status.corp.example.com wiki.corp.example.com "
	    "xn--bro-hoa.corp.example.com ";
	struct err err;

	ok_err(load_file(DATA "/pomerium/config.yaml", &err), &err,
	    "a file of Pomerium's with twenty routes");
	is(all(), want, "its host names");
	for (size_t i = 0; i < managed.n; i++)
		if (managed.v[i].n_names != 1 ||
		    managed.v[i].key_type != KEY_P256 ||
		    managed.v[i].must_staple || managed.v[i].deploy_hook ||
		    managed.v[i].n_challenges != 2)
			ok(false, "%s has options", managed.v[i].name);
	is_int((long long)managed.manual.n, 0, "no certificates of its own");
	is(managed.hooks_dir, "/etc/autocert/deploy.d", "the folder of hooks");
	is_int(managed.hook_timeout_ms, 120000, "and their time");
}

static void
test_hosts(void)
{
	struct err err;

	ok_err(
	    load("autocert_hosts: [b.test, A.test, b.test, b\xc3\xbc.test]\n",
	        &err),
	    &err, "hosts as a list");
	is(all(), "b.test a.test xn--b-eha.test ", "each once");
	ok_err(load("autocert_hosts: 'b.test, a.test  ::1'\n", &err), &err,
	    "hosts as words");
	is(all(), "b.test a.test ::1 ", "and an address");
	ok_err(load("autocert_hosts: []\n", &err), &err, "none");
	is(all(), "", "at all");
	fails(load("autocert_hosts: '*.test'\n", &err), &err, ERR_CONFIG,
	    "autocert_hosts: ", "a wildcard, which nobody can prove");
	fails(load("autocert_hosts: a..test\n", &err), &err, ERR_CONFIG,
	    "autocert_hosts: ", "what is no name");
	setenv("AUTOCERT_HOSTS", "env.test other.test", 1);
	ok_err(load("autocert_hosts: a.test\n", &err), &err, "the variable");
	is(all(), "env.test other.test ", "beats the file");
	unsetenv("AUTOCERT_HOSTS");
	ok_err(load_file("", &err), &err, "no file");
	is(all(), "", "wants nothing");
}

static void
test_entry(void)
{
	const struct managed_cert *c;
	struct err err;
	char *where;

	ok_err(load("autocert_certificates:\n"
	            "  - names: [www.test, 192.0.2.1]\n"
	            "    cert_name: Web Server\n"
	            "    key_type: rsa3072\n"
	            "    must_staple: true\n"
	            "    challenge: tls-alpn-01\n"
	            "    deploy_hook: /usr/local/sbin/reload\n"
	            "  - names: b.test a.test\n",
	           &err),
	    &err, "an entry with it all");
	is(all(), "web_server b.test ", "named as it says, or by its first");
	if (managed.n != 2)
		return;
	c = &managed.v[0];
	is_int((long long)c->n_names, 2, "two names");
	is(c->names[1].value, "192.0.2.1", "also an address");
	is_int(c->key_type, KEY_RSA3072, "key_type");
	ok(c->must_staple, "must_staple");
	is_int((long long)c->n_challenges, 1, "one challenge");
	is_int(c->challenges[0], CHALLENGE_TLSALPN01, "of that type");
	is(c->deploy_hook, "/usr/local/sbin/reload", "deploy_hook");
	where = xasprintf("%s:2", path);
	is(c->where, where, "and where it stands");
	free(where);
	c = &managed.v[1];
	is_int((long long)c->n_names, 2, "names as words");
	ok(!c->must_staple && !c->deploy_hook && c->key_type == KEY_P256 &&
	        c->n_challenges == 2,
	    "and nothing else");

	ok_err(load("autocert_must_staple: true\n"
	            "autocert_hosts: h.test\n"
	            "autocert_certificates:\n"
	            "  - names: a.test\n"
	            "  - {names: b.test, must_staple: false}\n",
	           &err),
	    &err, "autocert_must_staple");
	ok(managed.n == 3 && managed.v[0].must_staple &&
	        managed.v[1].must_staple && !managed.v[2].must_staple,
	    "holds where an entry says nothing else");
}

/* The last one of the same name counts. */
static void
test_same(void)
{
	struct err err;

	ok_err(load("routes: [{from: https://a.test}]\n"
	            "autocert_hosts: [a.test, '2001:db8::1']\n"
	            "autocert_certificates:\n"
	            "  - {names: [a.test, b.test], key_type: p384}\n"
	            "  - {names: c.test, cert_name: 2001-db8--1}\n",
	           &err),
	    &err, "one name by three ways");
	is(all(), "a.test 2001-db8--1 ", "is one certificate");
	ok(managed.n == 2 && managed.v[0].n_names == 2 &&
	        managed.v[0].key_type == KEY_P384,
	    "the entry's");
	ok(managed.n == 2 && strcmp(managed.v[1].names[0].value, "c.test") == 0,
	    "also where only the folders are the same");
}

static void
test_refused(void)
{
	static const struct {
		const char *entry, *why;
	} rows[] = {{"a.test", "a map of options is wanted"},
	    {"{}", "names: there are none"},
	    {"{names: []}", "names: there are none"},
	    {"{names: ''}", "names: "},
	    {"{names: {a: b}}", "names: a list is wanted"},
	    {"{names: [[a.test]]}", "names: a name is wanted"},
	    {"{names: [a.test, b_c!]}", "names: "},
	    {"{names: '*.a.test'}", "names: "},
	    {"{names: a.test, keytype: p256}", "no such option: keytype"},
	    {"{names: a.test, key_type: ed25519}", "key_type: ed25519"},
	    {"{names: a.test, key_type: [p256]}", "key_type: a single"},
	    {"{names: a.test, must_staple: x}", "must_staple: neither"},
	    {"{names: a.test, must_staple: [1]}", "must_staple: neither"},
	    {"{names: a.test, challenge: dns-01}", "challenge: "},
	    {"{names: a.test, challenge: ''}", "challenge: "},
	    {"{names: a.test, deploy_hook: x}", "deploy_hook: x: an abs"},
	    {"{names: a.test, deploy_hook: [/x]}", "deploy_hook: a single"},
	    {"{names: a.test, cert_name: ..}", "cert_name: .. cannot"},
	    {"{names: a.test, cert_name: [x]}", "cert_name: a single"}};
	struct err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = xasprintf("autocert_certificates:\n"
		                       "- {names: good.test}\n- %s\n",
		    rows[i].entry);
		char *want = xasprintf(
		    "%s:3: autocert_certificates: %s", path, rows[i].why);

		fails(load(text, &err), &err, ERR_CONFIG, want, "%s",
		    rows[i].entry);
		free(want);
		free(text);
	}
}

static void
test_many(void)
{
	struct buf text = BUF_INIT;
	struct err err;

	buf_puts(&text, "autocert_certificates: [{names: [");
	for (int i = 0; i < 100; i++)
		buf_printf(&text, "%sn%d.test", i ? ", " : "", i);
	buf_puts(&text, "]}]\n");
	ok_err(load(buf_str(&text), &err), &err, "100 names");
	text.len -= 4;
	buf_puts(&text, ", more.test]}]\n");
	fails(load(buf_str(&text), &err), &err, ERR_CONFIG,
	    "more than 100 names", "one more");
	buf_release(&text);
}

/* -- what the operator brings -- */

static char *
encoded(const char *name)
{
	char *file = xasprintf("%s/%s", DATA, name), *out;
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct err err = ERR_INIT;

	if (file_read(AT_FDCWD, file, 65536, 0, &b, &err) == -1)
		diag("%s", err.text);
	b64_encode(b.data, b.len, &text);
	out = xstrdup(buf_str(&text));
	buf_release(&text);
	buf_release(&b);
	free(file);
	return out;
}

static void
test_manual(void)
{
	static const char crt[] = DATA "/pki/chain.pem";
	static const char key[] = DATA "/pki/p256.pem";
	char *cert = encoded("pki/chain.pem"),
	     *secret = encoded("pki/p256.pem");
	char *text;
	struct err err;

	text = xasprintf("certificate_file: %s\ncertificate_key_file: %s\n"
	                 "certificates:\n- cert: %s\n  key: %s\n- cert: %s\n"
	                 "- {cert: [x], key: y}\n- word\n",
	    crt, key, crt, key, crt);
	ok_err(load(text, &err), &err, "certificate files");
	is_int((long long)managed.manual.n, 2, "those with a key are taken");
	if (managed.manual.n)
		is(managed.manual.v[0].where, crt, "and where they are");
	free(text);
	text = xasprintf(
	    "certificate: %s\ncertificate_key: %s\n", cert, secret);
	ok_err(load(text, &err), &err, "a certificate in base64");
	is_int((long long)managed.manual.n, 1, "is taken");
	free(text);

	ok_err(load("certificate: '%%'\ncertificate_key: '%%'\n"
	            "certificate_file: /none\ncertificate_key_file: /none\n",
	           &err),
	    &err, "those that are no good");
	is_int((long long)managed.manual.n, 0, "are passed over");

	setenv("CERTIFICATE", cert, 1);
	setenv("CERTIFICATE_KEY", secret, 1);
	ok_err(load("", &err), &err, "variables");
	is_int((long long)managed.manual.n, 1, "are read");
	ok(getenv("CERTIFICATE_KEY") == NULL, "and the key's is removed");
	unsetenv("CERTIFICATE");

	fails(load("autocert_certificate_dirs: /nonexistent\n", &err), &err,
	    ERR_CONFIG,
	    "autocert_certificate_dirs: ", "a folder that is not there");
	ok_err(load("autocert_certificate_dirs: [" DATA "/pki, " DATA "]\n"
	            "autocert_order_covered_names: true\n",
	           &err),
	    &err, "folders");
	ok(managed.order_covered, "autocert_order_covered_names");
	free(secret);
	free(cert);
}

static void
test_environment(void)
{
	/* base64 of "- from: https://env.example.com" */
	static const char policy[] =
	    "LSBmcm9tOiBodHRwczovL2Vudi5leGFtcGxlLmNvbQ==";
	struct err err;

	setenv("POLICY", policy, 1);
	setenv("AUTHENTICATE_SERVICE_URL", "https://auth.test", 1);
	ok_err(load("policy: [{from: https://file.test}]\n"
	            "routes: [{from: https://r.test}]\n",
	           &err),
	    &err, "POLICY");
	is(all(), "auth.test env.example.com r.test ",
	    "replaces the file's policy, not its routes");
	setenv("POLICY", "%%", 1);
	fails(load("", &err), &err, ERR_CONFIG, "POLICY", "one that is none");
	unsetenv("POLICY");
	unsetenv("AUTHENTICATE_SERVICE_URL");
}

int
main(void)
{
	path = xasprintf("%s/config.yaml", tap_tmpdir());
	log_open("test", LOG_ERROR);
	settings_init(&settings);
	test_real();
	test_hosts();
	test_entry();
	test_same();
	test_refused();
	test_many();
	test_manual();
	test_environment();
	release();
	free(path);
	return done();
}
