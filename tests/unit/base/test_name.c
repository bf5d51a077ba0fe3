#include <config.h>

#include "base/name.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define L63 "a23456789b123456789c123456789d123456789e123456789f123456789g123"

static const struct {
	const char *text, *value;
	enum identifier_type type;
	bool wildcard;
} good[] = {
    {"www.example.com", "www.example.com", IDENTIFIER_DNS, false},
    {"WWW.Example.COM", "www.example.com", IDENTIFIER_DNS, false},
    {"example.com.", "example.com", IDENTIFIER_DNS, false},
    {"*.Example.com", "*.example.com", IDENTIFIER_DNS, true},
    {"*.example.com.", "*.example.com", IDENTIFIER_DNS, true},
    {"localhost", "localhost", IDENTIFIER_DNS, false},
    {"XN--MNCHEN-3YA.de", "xn--mnchen-3ya.de", IDENTIFIER_DNS, false},
    {"1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpa", IDENTIFIER_DNS, false},
    {"3com.1and1", "3com.1and1", IDENTIFIER_DNS, false},
    {L63 ".de", L63 ".de", IDENTIFIER_DNS, false},
    {"192.0.2.1", "192.0.2.1", IDENTIFIER_IP, false},
    /* RFC 5952, 4 and 5 */
    {"2001:DB8::1", "2001:db8::1", IDENTIFIER_IP, false},
    {"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1", IDENTIFIER_IP,
        false},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", IDENTIFIER_IP, false},
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1", IDENTIFIER_IP, false},
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", IDENTIFIER_IP, false},
    {"0:0:0:0:0:0:0:1", "::1", IDENTIFIER_IP, false},
    {"::ffff:c000:201", "::ffff:192.0.2.1", IDENTIFIER_IP, false},
};

static const struct {
	const char *text, *why;
} bad[] = {
    {"", "empty"},
    {".", "empty label"},
    {"a..b", "empty label"},
    {".example.com", "empty label"},
    {"example.com..", "empty label"},
    {"*.", "empty label"},
    {"*", "whole first label"},
    {"a.*.com", "whole first label"},
    {"*.*.com", "whole first label"},
    {"w*.example.com", "whole first label"},
    {"-a.com", "hyphen"},
    {"a-.com", "hyphen"},
    {L63 "4.de", "63"},
    {"a_b.com", "underscore"},
    {"_acme-challenge.example.com", "underscore"},
    {"a b.com", "blank"},
    {" a.com", "blank"},
    {"a.com,b.com", "comma"},
    {"a.com;b", "only letters"},
    {"a.com\n", "only letters"},
    {"a.com\x7f", "only letters"},
    {"..", "empty label"},
    {"../../etc/passwd", "path"},
    {"example.com/", "path"},
    {"10.0.0.0/8", "prefix"},
    {"https://example.com/", "URL"},
    {"me@example.com", "e-mail"},
    {"example.com:443", "port"},
    {"192.0.2.1:443", "port"},
    {"[::1]", "brackets"},
    {"[::1", "brackets"},
    {"::1]", "brackets"},
    {"[2001:db8::1]:443", "brackets"},
    {"fe80::1%eth0", "zone"},
    {"2001:db8::1::2", "not an IPv6 address"},
    {"1:2:3:4:5:6:7:8:9", "not an IPv6 address"},
    {"::ffff:192.0.2.256", "not an IPv6 address"},
    {"*.2001:db8::1", "not an IPv6 address"},
    {"192.0.2.256", "last label is a number"},
    {"192.0.2.01", "last label is a number"},
    {"192.0.2.1.", "last label is a number"},
    {"192.0.2", "last label is a number"},
    {"*.192.0.2.1", "last label is a number"},
    {"3221225985", "last label is a number"},
    {"m\xc3\xbcnchen.de", "U-label"},
    {"example\xe3\x80\x82"
     "com",
        "U-label"},
    {"a\xff.com", "U-label"},
};

static void
test_parse(void)
{
	struct identifier id;
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < N(good); i++) {
		memset(&id, 0xa5, sizeof(id));
		if (!ok_err(identifier_parse(good[i].text, &id, &err), &err,
		        "%s is an identifier", good[i].text))
			continue;
		is(id.value, good[i].value, "its canonical text");
		ok(id.type == good[i].type && id.wildcard == good[i].wildcard,
		    "its type");
	}
	memset(&id, 0xa5, sizeof(id));
	for (i = 0; i < N(bad); i++) {
		err_clear(&err);
		fails(identifier_parse(bad[i].text, &id, &err), &err, ERR_USAGE,
		    bad[i].why, "refused, number %zu: %s", i, bad[i].why);
		if (bad[i].text[0] && !strpbrk(bad[i].text, "\n\x7f\xff"))
			ok(strstr(err.text, bad[i].text) != NULL,
			    "and the message names it");
	}
	ok((unsigned char)id.value[0] == 0xa5, "nothing was written meanwhile");
}

static void
test_lengths(void)
{
	char text[4000];
	struct identifier id;
	struct err err = ERR_INIT;
	int n;

	n = snprintf(
	    text, sizeof(text), "*.%s.%s.%s.%.61s", L63, L63, L63, L63);
	is_int(n, 255, "a wildcard over the longest name");
	ok_err(identifier_parse(text, &id, &err), &err, "is taken");
	is_int((long long)strlen(id.value), 255, "whole");
	snprintf(text, sizeof(text), "*.%s.%s.%s.%.61s.", L63, L63, L63, L63);
	ok_err(identifier_parse(text, &id, &err), &err, "also with its dot");
	snprintf(text, sizeof(text), "%s.%s.%s.%.62s", L63, L63, L63, L63);
	fails(identifier_parse(text, &id, &err), &err, ERR_USAGE, "253",
	    "one more is refused");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fails(identifier_parse(text, &id, &err), &err, ERR_USAGE, "253",
	    "much more is refused, and the message still says why");
}

static void
test_address_bytes(void)
{
	static const unsigned char mapped[16] = {
	    [10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
	struct identifier id;
	struct err err = ERR_INIT;

	ok_err(identifier_parse("192.0.2.1", &id, &err), &err, "IPv4");
	ok(id.ip_len == 4 && memcmp(id.ip, mapped + 12, 4) == 0, "four bytes");
	ok_err(identifier_parse("::ffff:192.0.2.1", &id, &err), &err, "IPv6");
	ok(id.ip_len == 16 && memcmp(id.ip, mapped, 16) == 0, "sixteen bytes");
	ok_err(identifier_parse("example.com", &id, &err), &err, "a name");
	is_int((long long)id.ip_len, 0, "none");
}

static void
test_sni(void)
{
	static const char *const vectors[][2] = {
	    {"www.Example.com", "www.example.com"},
	    {"*.example.com", "example.com"},
	    {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
	    {"127.0.0.1", "1.0.0.127.in-addr.arpa"},
	    {"::1",
	        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	        "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"},
	    /* RFC 3596, 2.5 */
	    {"4321:0:1:2:3:4:567:89ab",
	        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0."
	        "2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"},
	};
	char sni[NAME_MAX_LEN + 1];
	struct identifier id;
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < N(vectors); i++) {
		ok_err(identifier_parse(vectors[i][0], &id, &err), &err, "%s",
		    vectors[i][0]);
		identifier_sni(&id, sni);
		is(sni, vectors[i][1], "its name in SNI");
	}
	is(identifier_type_name(IDENTIFIER_DNS), "dns", "type dns");
	is(identifier_type_name(IDENTIFIER_IP), "ip", "type ip");
}

static void
test_equal(void)
{
	struct identifier a[3], b[3];
	struct err err = ERR_INIT;
	int rc = 0;

	rc |= identifier_parse("a.example", &a[0], &err);
	rc |= identifier_parse("*.b.example", &a[1], &err);
	rc |= identifier_parse("2001:db8::1", &a[2], &err);
	rc |= identifier_parse("2001:DB8:0::1", &b[0], &err);
	rc |= identifier_parse("A.example.", &b[1], &err);
	rc |= identifier_parse("*.b.example", &b[2], &err);
	ok_err(rc, &err, "two ways to write three identifiers");
	ok(identifier_equal(&a[0], &b[1]), "the same name");
	ok(!identifier_equal(&a[0], &a[1]), "another");
	ok(identifiers_equal(a, 3, b, 3), "the same set");
	ok(!identifiers_equal(a, 2, b, 3), "one is missing");
	ok(!identifiers_equal(a, 3, b, 2), "one too many");
	ok(identifiers_equal(NULL, 0, NULL, 0), "two empty sets");
	ok(!identifiers_equal(a, 1, NULL, 0), "one empty set");
	b[2] = b[0];
	ok(!identifiers_equal(a, 3, b, 3), "one twice, another not at all");
	ok(identifiers_equal(a + 2, 1, b, 1), "a set of one");
	a[1] = a[0];
	ok(identifiers_equal(a, 2, a, 1), "twice is once");
}

/* CertMagic's own vectors, then what its rules make of worse. */
static void
test_safe(void)
{
	static const char *const vectors[][2] = {
	    {"Example.COM", "example.com"},
	    {"*.example.com", "wildcard_.example.com"},
	    {"2001:db8::1", "2001-db8--1"},
	    {"192.0.2.1", "192.0.2.1"},
	    {" ", ""},
	    {"", ""},
	    {"me+tag@Example.com", "me_plus_tag@example.com"},
	    {"a/../../../foo", "afoo"},
	    {"a...b", "a.b"},
	    {"m\xc3\xbcnchen.de", "mnchen.de"},
	    {"x,y", "xy"},
	    {" \t a b \r\n", "a_b"},
	    {"....", ""},
	    {"~#!$\\'\"`|;\x7f\x01", ""},
	    {"A-Z_0@9.", "a-z_0@9."},
	};
	char out[64];
	size_t i;

	for (i = 0; i < N(vectors); i++) {
		memset(out, 'x', sizeof(out));
		is_int(name_safe(vectors[i][0], out, sizeof(out)), 0,
		    "vector %zu fits", i);
		is(out, vectors[i][1], "and comes out safe");
	}
	is_int(name_safe("abc", out, 4), 0, "fits exactly");
	is_int(name_safe("abc", out, 3), -1, "one byte short");
	memset(out, 'x', sizeof(out));
	is_int(name_safe("abcdef", out, 3), -1, "many bytes short");
	ok(out[3] == 'x', "and none was written behind the end");
	is_int(name_safe("*", out, 9), -1, "short within a replacement");
	is_int(name_safe("*", out, 10), 0, "which fits exactly");
	is_int(name_safe("", out, 0), -1, "no room at all");
	is_int(name_safe("a", out, 0), -1, "no room for a letter");
}

static void
test_name_equal(void)
{
	ok(name_equal("Content-Type", "content-tYPE"), "case does not matter");
	ok(name_equal("", ""), "nothing is nothing");
	ok(!name_equal("abc", "abcd") && !name_equal("abcd", "abc"), "length");
	ok(!name_equal("a[", "a{"), "only letters have case");
	ok(!name_equal("\xc3\x84", "\xc3\xa4"), "only ASCII letters");
}

int
main(void)
{
	test_parse();
	test_lengths();
	test_address_bytes();
	test_sni();
	test_equal();
	test_safe();
	test_name_equal();
	return done();
}
