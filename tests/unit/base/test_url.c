#include <config.h>

#include "base/url.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *text, *scheme, *host, *port, *path;
	bool userinfo;
} good[] = {
    {"https://acme.example/dir", "https", "acme.example", "", "/dir", false},
    {"HTTPS://ACME.Example:14000/Dir?A=b/c", "https", "acme.example", "14000",
        "/Dir?A=b/c", false},
    {"https://acme.example", "https", "acme.example", "", "", false},
    {"https://acme.example:1", "https", "acme.example", "1", "", false},
    {"https://acme.example:65535/", "https", "acme.example", "65535", "/",
        false},
    {"https://acme.example?a=/b", "https", "acme.example", "", "", false},
    {"https://acme.example/a#b", "https", "acme.example", "", "/a#b", false},
    {"http://[2001:DB8::1]:8080/x", "http", "2001:db8::1", "8080", "/x", false},
    {"http://[::1]", "http", "::1", "", "", false},
    {"http://192.0.2.1/", "http", "192.0.2.1", "", "/", false},
    {"http://acme_ca:80/", "http", "acme_ca", "80", "/", false},
    {"s3://key:secret@minio:9000/bucket/p", "s3", "minio", "9000", "/bucket/p",
        true},
    {"gs://bucket/a@b", "gs", "bucket", "", "/a@b", false},
    {"https://@host/", "https", "host", "", "/", true},
};

static const struct {
	const char *text, *why;
} bad[] = {
    {"", "no scheme"},
    {"acme.example/dir", "no scheme"},
    {"//acme.example/dir", "no scheme"},
    {"mailto:me@example.com", "no scheme"},
    {"https:/acme.example", "no scheme"},
    {"://acme.example", "scheme"},
    {"1http://acme.example", "scheme"},
    {"ht_tp://acme.example", "scheme"},
    {"gopherxx://acme.example", "scheme"},
    {"/x://y", "scheme"},
    {"https://", "no host"},
    {"https:///dir", "no host"},
    {"https://:443/dir", "no host"},
    {"https://?x", "no host"},
    {"https://user@/dir", "no host"},
    {"https://a%2fb/", "neither a name"},
    {"https://a!b/", "neither a name"},
    {"https://a@b@c/", "more than one"},
    {"https://2001:db8::1/", "port"},
    {"https://[2001:db8::1/", "not closed"},
    {"https://[]/", "no IPv6"},
    {"https://[1.2.3.4]/", "no IPv6"},
    {"https://[fe80::1%25eth0]/", "no IPv6"},
    {"https://[::1]x:80/", "between"},
    {"https://a:/", "port"},
    {"https://a:0/", "port"},
    {"https://a:080/", "port"},
    {"https://a:65536/", "port"},
    {"https://a:100000/", "port"},
    {"https://a:+80/", "port"},
    {"https://a:8o/", "port"},
    {"https://a:80:80/", "port"},
    {"https://a/b c", "no URL holds"},
    {" https://a/b", "no URL holds"},
    {"https://a/b\n", "no URL holds"},
    {"https://a/\"", "no URL holds"},
    {"https://a/'", "no URL holds"},
    {"https://a/<b>", "no URL holds"},
    {"https://a\\b/", "no URL holds"},
    {"https://m\xc3\xbcnchen.de/", "no URL holds"},
    {"https://a/\x7f", "no URL holds"},
    {"https://a/\x1b[31m", "no URL holds"},
};

static void
test_parse(void)
{
	struct err err = ERR_INIT;
	struct url u;
	size_t i;

	for (i = 0; i < N(good); i++) {
		memset(&u, 0xa5, sizeof(u));
		if (!ok_err(url_parse("finalize", good[i].text, &u, &err), &err,
		        "%s is a URL", good[i].text))
			continue;
		is(u.text, good[i].text, "text as given");
		is(u.scheme, good[i].scheme, "scheme");
		is(u.host, good[i].host, "host");
		is(u.port, good[i].port, "port");
		is(u.path, good[i].path, "path");
		ok(u.userinfo == good[i].userinfo, "userinfo");
		ok(u.path >= u.text && u.path < u.text + sizeof(u.text),
		    "path lies in text");
	}
	memset(&u, 0xa5, sizeof(u));
	for (i = 0; i < N(bad); i++) {
		err_clear(&err);
		fails(url_parse("finalize", bad[i].text, &u, &err), &err,
		    ERR_DATA, bad[i].why, "refused, number %zu: %s", i,
		    bad[i].why);
		ok(strncmp(err.text, "finalize: ", 10) == 0, "for finalize");
	}
	ok((unsigned char)u.text[0] == 0xa5, "nothing was written meanwhile");
}

static void
test_limits(void)
{
	char text[URL_MAX + 2];
	struct err err = ERR_INIT;
	struct url u;

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://a/", 10);
	text[URL_MAX - 1] = '\0';
	ok_err(url_parse("x", text, &u, &err), &err, "the longest URL");
	is(u.text, text, "whole");
	text[URL_MAX - 1] = 'a';
	text[URL_MAX] = '\0';
	fails(url_parse("x", text, &u, &err), &err, ERR_DATA, "too long",
	    "one more");
	memcpy(text, "https://aa", 10);
	text[8 + 255] = '\0';
	ok_err(url_parse("x", text, &u, &err), &err, "the longest host");
	text[8 + 255] = 'a';
	text[8 + 256] = '\0';
	fails(
	    url_parse("x", text, &u, &err), &err, ERR_DATA, "host", "one more");
}

/* A URL may hold a storage secret; it must not reach a message. */
static void
test_secret(void)
{
	static const char *const texts[] = {
	    "s3://key:HUSH@host:99999/b",
	    "s3://key:HU/SH@host/b",
	    "s3://key:HUSH@/b",
	    "nonsense:key:HUSH@host",
	    "HUSH@ ",
	};
	struct err err = ERR_INIT;
	struct url u;
	size_t i;

	for (i = 0; i < N(texts); i++) {
		fails(url_parse("store", texts[i], &u, &err), &err, ERR_DATA,
		    NULL, "a URL with a secret is refused");
		ok(!strstr(err.text, "HU"), "and not repeated");
	}
	fails(url_check_acme("dir", "https://u:HUSH@acme.example/", &err), &err,
	    ERR_PROTOCOL, "user", "ACME refuses one");
	ok(!strstr(err.text, "HUSH"), "and does not repeat it");
}

static void
test_acme(void)
{
	static const char *const yes[] = {
	    "https://acme.example/dir?x=1",
	    "https://192.0.2.1:14000/",
	    "http://localhost:4001/directory",
	    "http://[::1]:4001/d",
	    "http://CA.Internal/acme",
	    "http://10.1.2.3/",
	};
	static const char *const no[][2] = {
	    {"http://acme.example/", "not https and"},
	    {"http://localhost.example/", "not https and"},
	    {"http://192.0.2.1/", "not https and"},
	    {"file://localhost/etc/passwd", "not https"},
	    {"ftp://acme.example/", "not https"},
	    {"s3://bucket/", "not https"},
	    {"https://acme.example/#x", "fragment"},
	    {"https://acme.example#", "fragment"},
	    {"http://localhost:x/", "port"},
	    {"/relative", "no scheme"},
	};
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < N(yes); i++)
		ok_err(url_check_acme("newOrder", yes[i], &err), &err, "%s",
		    yes[i]);
	for (i = 0; i < N(no); i++)
		fails(url_check_acme("newOrder", no[i][0], &err), &err,
		    ERR_PROTOCOL, no[i][1], "not %s", no[i][0]);
}

static void
test_internal(void)
{
	static const char *const yes[] = {
	    "localhost",
	    "LOCALHOST",
	    "localhost.",
	    "a.localhost",
	    "printer.local",
	    "a.b.Internal",
	    "nas.home.arpa.",
	    "127.0.0.1",
	    "127.255.255.255",
	    "10.0.0.0",
	    "10.255.255.255",
	    "172.16.0.0",
	    "172.31.255.255",
	    "192.168.0.0",
	    "192.168.255.255",
	    "169.254.0.0",
	    "169.254.255.255",
	    "::1",
	    "fc00::",
	    "fdff:ffff::1",
	    "fe80::1",
	    "febf::1",
	    "FE80::1",
	    "::ffff:10.0.0.1",
	};
	static const char *const no[] = {
	    "",
	    ".",
	    "example.com",
	    "local",
	    "internal",
	    ".local",
	    "notlocalhost",
	    "xlocal",
	    "a.local.example",
	    "home.arpa",
	    "a.arpa",
	    "126.255.255.255",
	    "128.0.0.0",
	    "9.255.255.255",
	    "11.0.0.0",
	    "172.15.255.255",
	    "172.32.0.0",
	    "192.167.255.255",
	    "192.169.0.0",
	    "169.253.255.255",
	    "169.255.0.0",
	    "0.0.0.0",
	    "8.8.8.8",
	    "::",
	    "::2",
	    "fbff::1",
	    "fe00::1",
	    "fe7f::1",
	    "fec0::1",
	    "2001:db8::1",
	    "::ffff:8.8.8.8",
	    "1::1",
	    "10.0.0.1.example",
	    "127.1",
	};
	size_t i;

	for (i = 0; i < N(yes); i++)
		ok(url_host_internal(yes[i]), "%s is internal", yes[i]);
	for (i = 0; i < N(no); i++)
		ok(!url_host_internal(no[i]), "\"%s\" is not", no[i]);
}

int
main(void)
{
	test_parse();
	test_limits();
	test_secret();
	test_acme();
	test_internal();
	return done();
}
