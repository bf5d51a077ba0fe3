#include <config.h>

#include "store/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tap.h"

static char out[LAYOUT_KEY_MAX];
static struct err err;

static void
test_issuer(void)
{
	static const char *const vectors[][2] = {
	    {"https://acme-v02.api.letsencrypt.org/directory",
	        "acme-v02.api.letsencrypt.org-directory"},
	    {"https://acme-staging-v02.api.letsencrypt.org/directory",
	        "acme-staging-v02.api.letsencrypt.org-directory"},
	    {"https://acme.zerossl.com/v2/DV90", "acme.zerossl.com-v2-dv90"},
	    {"https://dv.acme-v02.api.pki.goog/directory",
	        "dv.acme-v02.api.pki.goog-directory"},
	    {"https://localhost:14000/dir", "localhost-14000-dir"},
	    {"https://ca.internal:9000/acme/acme/directory",
	        "ca.internal-9000-acme-acme-directory"},
	    {"https://CA.Example/", "ca.example"},
	    {"https://ca.example", "ca.example"},
	    {"https://ca.example//a//", "ca.example-a"},
	    {"https://ca.example/-a-/?q=1/2#f", "ca.example-a"},
	    {"https://ca.example:443/dir", "ca.example-443-dir"},
	    {"https://u:p@ca.example/dir", "ca.example-dir"},
	    {"https://[2001:db8::1]:14000/dir", "2001-db8--1-14000-dir"},
	    {"https://ca.example/a%20b%2Fc", "ca.example-a_b-c"},
	    {"https://ca.example/a/../b", "ca.example-a--b"},
	};
	static const char *const bad[] = {"", "ca.example/dir", "https://",
	    "https:///dir", "https://ca.example/%zz", "https://ca.example/%4",
	    "https://ca.example/%00"};
	char url[400];
	size_t i;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		out[0] = '\0';
		layout_issuer(vectors[i][0], out, &err);
		is(out, vectors[i][1], "%s", vectors[i][0]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		fails(layout_issuer(bad[i], out, &err), &err, ERR_CONFIG, NULL,
		    "\"%s\" is no directory", bad[i]);
	}
	snprintf(url, sizeof(url), "https://ca.example/%0300d", 0);
	fails(layout_issuer(url, out, &err), &err, ERR_CONFIG, "too long",
	    "a URL of which no folder can be made");
	err_clear(&err);
	layout_issuer("https://u:secret@ca.example/%", out, &err);
	ok(err.code == ERR_CONFIG && !strstr(err.text, "secret"),
	    "a password is not repeated");
}

static void
test_certificates(void)
{
	char name[300];

	layout_cert_folder("localhost-14000-dir", "Example.COM", out, &err);
	is(out, "certificates/localhost-14000-dir/example.com", "a folder");
	layout_cert_file("Example.COM", ".crt", out, &err);
	is(out, "example.com.crt", "its chain");
	layout_cert_folder("ca", "*.example.com", out, &err);
	is(out, "certificates/ca/wildcard_.example.com", "a wildcard");
	layout_cert_file("*.example.com", ".key", out, &err);
	is(out, "wildcard_.example.com.key", "its key");
	layout_cert_file("2001:db8::1", ".json", out, &err);
	is(out, "2001-db8--1.json", "an address");
	layout_cert_file("192.0.2.1", ".json", out, &err);
	is(out, "192.0.2.1.json", "another");
	layout_cert_folder("ca", "a/../../../foo", out, &err);
	is(out, "certificates/ca/afoo", "a path cannot get out");
	layout_cert_folder("../..", "x", out, &err);
	fails(layout_cert_folder("..", "x", out, &err), &err, ERR_CONFIG,
	    "issuer", "nothing is left of an issuer");
	fails(layout_cert_folder("ca", " ", out, &err), &err, ERR_CONFIG,
	    "certificate name", "or of a name");
	fails(layout_cert_folder("ca", ".\xc3\xbc.", out, &err), &err,
	    ERR_CONFIG, "dot", "nor does a name become \"..\"");
	fails(layout_cert_file(".hidden", ".crt", out, &err), &err, ERR_CONFIG,
	    "dot", "or hide");
	memset(name, 'a', sizeof(name));
	name[251] = '\0';
	fails(layout_cert_file(name, ".json", out, &err), &err, ERR_CONFIG,
	    "too long", "a file name of 256 bytes");
	name[250] = '\0';
	ok_err(layout_cert_file(name, ".json", out, &err), &err, "of 255");
	is_int((long long)strlen(out), 255, "is the longest");
}

static void
test_accounts(void)
{
	static const char *const vectors[][2] = {
	    {"", "default/default"},
	    {" ", "default/default"},
	    {"Me+Tag@Example.org", "me_plus_tag@example.org/me_plus_tag"},
	    {" me@example.com ", "me@example.com/me"},
	    {"@x", "@x/x"},
	    {"noat", "noat/noat"},
	};
	char want[200];
	size_t i;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		snprintf(
		    want, sizeof(want), "acme/ca/users/%s.json", vectors[i][1]);
		out[0] = '\0';
		layout_account("ca", vectors[i][0], ".json", out, &err);
		is(out, want, "account \"%s\"", vectors[i][0]);
	}
	layout_account("ca", "me@example.com", ".key", out, &err);
	is(out, "acme/ca/users/me@example.com/me.key", "its key");
	fails(layout_account("ca", "@", ".key", out, &err), &err, ERR_CONFIG,
	    "e-mail", "an address that is none");
	fails(layout_account("ca", ".x@y", ".key", out, &err), &err, ERR_CONFIG,
	    "dot", "or would hide");
	fails(layout_account("", "a@b", ".key", out, &err), &err, ERR_CONFIG,
	    "issuer", "or has no issuer");
}

static void
test_the_rest(void)
{
	char name[1100];

	layout_token("ca", "Example.com", out, &err);
	is(out, "acme/ca/challenge_tokens/example.com.json", "a token");
	layout_token("ca", "1.2.0.192.in-addr.arpa", out, &err);
	is(out, "acme/ca/challenge_tokens/1.2.0.192.in-addr.arpa.json",
	    "an address's for tls-alpn-01");
	fails(layout_token("ca", "/", out, &err), &err, ERR_CONFIG,
	    "identifier", "a token for nothing");
	layout_lock_cert("*.example.com", out, &err);
	is(out, "issue_cert_*.example.com", "a certificate's lock, raw");
	layout_lock_account("", out, &err);
	is(out, "register_acme_account", "the account's lock");
	layout_lock_account(" ", out, &err);
	is(out, "register_acme_account", "blanks are no address");
	layout_lock_account("me@example.com", out, &err);
	is(out, "register_acme_account_me@example.com", "with an address");
	layout_own("ca", "directory.json", out, &err);
	is(out, "autocert/ca/directory.json", "ours");
	layout_journal("ca", "*.Example.com", out, &err);
	is(out, "autocert/ca/orders/wildcard_.example.com", "a journal");
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fails(layout_lock_cert(name, out, &err), &err, ERR_CONFIG, NULL,
	    "a lock name too long");
	fails(layout_lock_account(name, out, &err), &err, ERR_CONFIG, NULL,
	    "another");
	fails(layout_token("ca", name, out, &err), &err, ERR_CONFIG, "too long",
	    "a token's name too long");
	fails(layout_own("", "nonce", out, &err), &err, ERR_CONFIG, NULL,
	    "ours without an issuer");
	fails(layout_journal("ca", "", out, &err), &err, ERR_CONFIG, NULL,
	    "a journal without a name");
}

int
main(void)
{
	test_issuer();
	test_certificates();
	test_accounts();
	test_the_rest();
	return done();
}
