#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "run/http01.h"
#include "tap.h"

#define TOKEN "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define PATH "/.well-known/acme-challenge/" TOKEN
#define KEY_AUTH TOKEN ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

/* What the responder does, with one pending challenge. */
static void
converse(const char *data, size_t len, bool redirect, struct buf *out)
{
	struct http01_request request;
	struct http01_challenge asked;
	const char *found = NULL;
	size_t head = 0;
	bool good = http01_scan(data, len, 0, &head) == HTTP01_READY &&
	    http01_parse(data, head, &request) == 0;

	if (good && http01_challenge(&request, &asked) &&
	    strcmp(asked.identifier.value, "www.example.com") == 0 &&
	    http01_same_token(asked.token, TOKEN))
		found = KEY_AUTH;
	http01_answer(good ? &request : NULL, found, redirect, out);
}

static const char good_answer[] =
    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
    "Content-Type: application/octet-stream\r\nContent-Length: "
    "87\r\n\r\n" KEY_AUTH;

static const char bad_answer[] =
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
    "Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nbad request\n";

static const char not_found[] =
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n"
    "Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nnot found\n";

static void
test_good(void)
{
	static const char *const requests[] = {
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	    "GET " PATH " HTTP/1.0\r\nHost: www.example.com\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com:80\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com:5002\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com:\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nhOsT:\t WWW.Example.COM \t\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com.\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
	    "User-Agent: Mozilla/5.0 (compatible; Let's Encrypt "
	    "validation server; +https://www.letsencrypt.org)\r\n"
	    "Accept: */*\r\nAccept-Encoding: gzip\r\n"
	    "Connection: close\r\nX-Empty:\r\nX-Latin: \xe9\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
	    "Content-Length: 0\r\n\r\n",
	    "GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
	    "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct buf out = BUF_INIT;

		converse(requests[i], strlen(requests[i]), true, &out);
		is(buf_str(&out), good_answer, "good request %zu", i);
		buf_release(&out);
	}
}

static void
test_head(void)
{
	static const char request[] =
	    "HEAD " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
	struct buf out = BUF_INIT;

	converse(request, strlen(request), true, &out);
	is(buf_str(&out),
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Content-Length: 87\r\n\r\n",
	    "HEAD: the same without the body");
	buf_release(&out);
}

/* Not that challenge: what the redirect leads to, and 404 without it. */
static const struct {
	const char *request, *location;
} others[] = {
    {"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com/"},
    {"GET /a/b?c=d&e HTTP/1.1\r\nHost: WWW.example.com:8080\r\n\r\n",
        "https://www.example.com/a/b?c=d&e"},
    {"GET " PATH " HTTP/1.1\r\nHost: other.example.com\r\n\r\n",
        "https://other.example.com" PATH},
    {"GET " PATH "x HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com" PATH "x"},
    {"GET " PATH "/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com" PATH "/"},
    {"GET " PATH "? HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com" PATH "?"},
    {"GET " PATH "%30 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com" PATH "%30"},
    {"GET /" PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com/" PATH},
    {"GET /%2ewell-known/acme-challenge/" TOKEN
     " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com/%2ewell-known/acme-challenge/" TOKEN},
    {"GET /.well-known/acme-challenge/../acme-challenge/" TOKEN
     " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com/.well-known/acme-challenge/../"
        "acme-challenge/" TOKEN},
    {"GET /.well-known/acme-challenge/ HTTP/1.1\r\n"
     "Host: www.example.com\r\n\r\n",
        "https://www.example.com/.well-known/acme-challenge/"},
    {"GET /.WELL-KNOWN/acme-challenge/" TOKEN " HTTP/1.1\r\n"
     "Host: www.example.com\r\n\r\n",
        "https://www.example.com/.WELL-KNOWN/acme-challenge/" TOKEN},
    {"POST " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
     "Content-Length: 3\r\n\r\nabc",
        "https://www.example.com" PATH},
    {"get " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        "https://www.example.com" PATH},
    {"GET / HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n", "https://192.0.2.1/"},
    {"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n",
        "https://[2001:db8::1]/"},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "https://[2001:db8::1]/"},
    {"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "https://localhost/x"},
    {"GET //evil.example/ HTTP/1.1\r\nHost: a_b.example.com\r\n\r\n",
        "https://a_b.example.com//evil.example/"},
};

static void
test_others(void)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const char *request = others[i].request;
		struct buf out = BUF_INIT, want = BUF_INIT;

		buf_printf(&want,
		    "HTTP/1.1 301 Moved Permanently\r\n"
		    "Connection: close\r\nLocation: %s\r\n"
		    "Content-Type: text/plain\r\nContent-Length: 15\r\n\r\n"
		    "moved to https\n",
		    others[i].location);
		converse(request, strlen(request), true, &out);
		is(buf_str(&out), buf_str(&want), "redirect %zu", i);
		buf_clear(&out);
		converse(request, strlen(request), false, &out);
		is(buf_str(&out), not_found, "404 %zu", i);
		buf_release(&out);
		buf_release(&want);
	}
}

#define REQUEST(text)                                                          \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

static const struct {
	const char *data;
	size_t len;
} bad[] = {
    REQUEST("GET " PATH "\r\n"),
    REQUEST("GET " PATH "\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/0.9\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.2\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/2.0\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " http/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET  " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH "  HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET\t" PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST(" GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " x HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("G@T " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST(" HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("\r\nGET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET http://www.example.com" PATH
            " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET www.example.com" PATH
            " HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("OPTIONS * HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    REQUEST("GET /\x80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET /\x7f HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH "\0 HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\0\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\nHost: www.example.com\n\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\rX: y\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost:\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "Host: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost : www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\n Host: www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            " folded\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "nocolon\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            ": value\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.exa mple.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com/x\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: x@www.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com:80x\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com:123456\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: .example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: *.example.com\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: [www.example.com]\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: [192.0.2.1]\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: [2001:db8::1\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: [fe80::1%lo]\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: []\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: [\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: 2001:db8::1\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: w\xc3\xbc.example\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "Content-Length: 1\r\n\r\nx"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "Content-Length: +0\r\n\r\n"),
    REQUEST("GET " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    REQUEST("POST " PATH " HTTP/1.1\r\nHost: www.example.com\r\n"
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
};

static void
test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf out = BUF_INIT;

		converse(bad[i].data, bad[i].len, true, &out);
		is(buf_str(&out), bad_answer, "400 %zu", i);
		buf_release(&out);
	}
}

/* Longer than any name: refused, not cut. */
static void
test_long_host(void)
{
	struct buf request = BUF_INIT, out = BUF_INIT;

	buf_puts(&request, "GET / HTTP/1.1\r\nHost: ");
	for (int i = 0; i < NAME_MAX_LEN + 1; i++)
		buf_puts(&request, "a");
	buf_puts(&request, "\r\n\r\n");
	converse(buf_str(&request), request.len, true, &out);
	is(buf_str(&out), bad_answer, "a host of 256 bytes");
	buf_release(&request);
	buf_release(&out);
}

static void
test_no_host(void)
{
	static const char request[] = "GET " PATH " HTTP/1.0\r\n\r\n";
	struct buf out = BUF_INIT;

	converse(request, strlen(request), true, &out);
	is(buf_str(&out), bad_answer, "1.0 without a host: nowhere to go");
	buf_clear(&out);
	converse(request, strlen(request), false, &out);
	is(buf_str(&out), not_found, "1.0 without a host, no redirect");
	buf_release(&out);
}

/* Byte by byte comes to the same, and is found as early as can be. */
static void
test_scan(void)
{
	static const char request[] =
	    "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\nrest";
	const size_t whole = sizeof(request) - 1 - 4;
	size_t head = 0, n;

	for (n = 1; n < whole; n++)
		if (http01_scan(request, n, n - 1, &head) != HTTP01_MORE)
			break;
	is_int((long long)n, (long long)whole, "no end before the empty line");
	is_int(http01_scan(request, whole, whole - 1, &head), HTTP01_READY,
	    "the end, with its last byte");
	is_int((long long)head, (long long)whole, "the head's length");
	is_int(http01_scan("GET / HTTP/1.1\r\nX: \1", 20, 19, &head),
	    HTTP01_BAD, "a control byte, at once");
	is_int(http01_scan("GET /\r\n", 7, 6, &head), HTTP01_BAD,
	    "no version, at once");
	is_int(http01_scan("GET / HTTP/1.1\r\nX: y\r", 21, 20, &head),
	    HTTP01_MORE, "CR may still be followed by LF");
	is_int(http01_scan("GET / HTTP/1.1\r\nX: y\rz", 22, 21, &head),
	    HTTP01_BAD, "CR was not followed by LF");
	is_int(http01_scan("\n", 1, 0, &head), HTTP01_BAD, "LF alone");
	is_int(http01_scan("\r\n", 2, 0, &head), HTTP01_BAD, "an empty line");
	is_int(http01_scan("", 0, 0, &head), HTTP01_MORE, "nothing");
}

static bool
asks(const char *host, const char *token, struct http01_challenge *out)
{
	struct http01_request request;
	struct buf text = BUF_INIT;
	bool yes;

	buf_printf(&text,
	    "GET /.well-known/acme-challenge/%s HTTP/1.1\r\n"
	    "Host: %s\r\n\r\n",
	    token, host);
	yes = http01_parse(buf_str(&text), text.len, &request) == 0 &&
	    http01_challenge(&request, out);
	buf_release(&text);
	return yes;
}

static void
test_challenge(void)
{
	struct http01_challenge c = {.token = ""};
	char token[HTTP01_TOKEN_MAX + 2];

	ok(asks("192.0.2.1:80", TOKEN, &c), "for an IPv4 address");
	is(c.identifier.value, "192.0.2.1", "which is");
	is_int(c.identifier.type, IDENTIFIER_IP, "an address");
	is(c.token, TOKEN, "its token");
	ok(asks("[2001:DB8:0::1]:80", TOKEN, &c), "for an IPv6 address");
	is(c.identifier.value, "2001:db8::1", "in its canonical text");
	ok(!asks("a..example.com", TOKEN, &c), "not for an empty label");
	ok(!asks("-a.example.com", TOKEN, &c), "not for what is no name");
	ok(!asks("1.2.3.4.5", TOKEN, &c), "nor what is no address");
	ok(!asks("www.example.com", "a.b", &c), "token: base64url only");
	ok(!asks("www.example.com", "a=", &c), "token: no padding");
	ok(!asks("www.example.com", "..", &c), "token: no dots");
	memset(token, 'a', sizeof(token));
	token[HTTP01_TOKEN_MAX] = '\0';
	ok(asks("www.example.com", token, &c), "token of 512");
	is(c.token, token, "whole");
	token[HTTP01_TOKEN_MAX] = 'a';
	token[HTTP01_TOKEN_MAX + 1] = '\0';
	ok(!asks("www.example.com", token, &c), "token of 513");
}

static void
test_same_token(void)
{
	ok(http01_same_token("abc", "abc"), "same");
	ok(!http01_same_token("abc", "abd"), "last byte");
	ok(!http01_same_token("xbc", "abc"), "first byte");
	ok(!http01_same_token("abc", "abcd"), "longer");
	ok(!http01_same_token("abc", ""), "empty");
}

int
main(void)
{
	test_good();
	test_head();
	test_others();
	test_bad();
	test_long_host();
	test_no_host();
	test_scan();
	test_challenge();
	test_same_token();
	return done();
}
