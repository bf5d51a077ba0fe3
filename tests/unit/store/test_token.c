#include <config.h>

#include "store/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/store.h"
#include "scratch.h"
#include "tap.h"

#define TOKEN "acme/" ISSUER "/challenge_tokens/www.example.com.json"
#define THUMB "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"

static struct store *s;
static struct err err;

static struct token
make_token(const char *type, const char *name, const char *token)
{
	struct token t = {.type = ""};

	snprintf(t.type, sizeof(t.type), "%s", type);
	snprintf(t.token, sizeof(t.token), "%s", token);
	snprintf(t.key_authorization, sizeof(t.key_authorization), "%s." THUMB,
	    token);
	if (identifier_parse(name, &t.identifier, &err) == -1)
		exit(99);
	return t;
}

static void
test_token(void)
{
	struct token t = make_token("http-01", "www.example.com", "abc-_09");
	struct token got, other;

	ok_err(token_put(s, ISSUER, &t, "https://ca/chall/1", &err), &err,
	    "a token is put");
	is(get(TOKEN),
	    "{\"type\":\"http-01\",\"url\":\"https://ca/chall/1\","
	    "\"status\":\"pending\",\"token\":\"abc-_09\","
	    "\"keyAuthorization\":\"abc-_09." THUMB "\","
	    "\"identifier\":{\"type\":\"dns\",\"value\":\"www.example.com\"}}",
	    "as CertMagic does, to the byte");
	is_int(mode_of(TOKEN), 0600, "for us alone");
	ok_err(token_get(s, ISSUER, "WWW.example.com", &got, &err), &err,
	    "and got");
	is(got.type, t.type, "type");
	is(got.token, t.token, "token");
	is(got.key_authorization, t.key_authorization, "key authorization");
	ok(identifier_equal(&got.identifier, &t.identifier), "identifier");
	fails(token_get(s, ISSUER, "other.example.com", &got, &err), &err,
	    ERR_ABSENT, NULL, "no other name has one");
	fails(token_get(s, ISSUER, "../../x", &got, &err), &err, ERR_ABSENT,
	    NULL, "nor a path");
	other = make_token("http-01", "www.example.com", "other");
	ok_err(token_del(s, ISSUER, &other, &err), &err, "another's removal");
	ok_err(token_get(s, ISSUER, "www.example.com", &got, &err), &err,
	    "does not remove it");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "its own");
	is(get(TOKEN), "error 66", "does");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "twice is no error");
	put(TOKEN, "");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "a damaged file");
	is(get(TOKEN), "error 66", "goes, too");
	t.token[0] = '/';
	fails(token_put(s, ISSUER, &t, "u", &err), &err, ERR_DATA, NULL,
	    "a token that is none is not put");
}

static void
test_token_ip(void)
{
	struct token t = make_token("tls-alpn-01", "192.0.2.1", "abc");
	struct token h = make_token("http-01", "2001:db8::1", "abc"), got;

	ok_err(token_put(s, ISSUER, &t, "u", &err), &err, "an address");
	ok_err(token_get(s, ISSUER, "1.2.0.192.in-addr.arpa", &got, &err), &err,
	    "is filed for tls-alpn-01 under its reverse name");
	is(got.identifier.value, "192.0.2.1", "and is itself inside");
	ok(strncmp(get("acme/" ISSUER "/challenge_tokens/"
	               "1.2.0.192.in-addr.arpa.json"),
	       "{\"type\"", 7) == 0,
	    "there");
	ok_err(token_del(s, ISSUER, &t, &err), &err, "and removed");
	ok_err(token_put(s, ISSUER, &h, "u", &err), &err, "for http-01");
	ok_err(token_get(s, ISSUER, "2001:db8::1", &got, &err), &err,
	    "under itself");
	ok(strncmp(get("acme/" ISSUER "/challenge_tokens/2001-db8--1.json"),
	       "{\"type\"", 7) == 0,
	    "made safe");
	token_del(s, ISSUER, &h, &err);
}

#define KA "\"keyAuthorization\":\"abc." THUMB "\""
#define ID "\"identifier\":{\"type\":\"dns\",\"value\":\"www.example.com\"}"
#define TYPE "\"type\":\"http-01\""
#define TOK "\"token\":\"abc\""

/* Other programs write these, and whoever can write there. */
static void
test_token_hostile(void)
{
	static const char *const bad[] = {
	    "",
	    "[]",
	    "{",
	    "{}",
	    "{" TOK "," KA "," ID "}",
	    "{" TYPE "," KA "," ID "}",
	    "{" TYPE "," TOK "," ID "}",
	    "{" TYPE "," TOK "," KA "}",
	    "{\"type\":\"\"," TOK "," KA "," ID "}",
	    "{\"type\":\"HTTP 01\"," TOK "," KA "," ID "}",
	    "{\"type\":\"http-01-http-01-http-01-http-01-\"," TOK "," KA "," ID
	    "}",
	    "{\"type\":1," TOK "," KA "," ID "}",
	    "{" TYPE ",\"token\":\"\",\"keyAuthorization\":\"." THUMB "\"," ID
	    "}",
	    "{" TYPE ",\"token\":\"../x\",\"keyAuthorization\":\"../x." THUMB
	    "\"," ID "}",
	    "{" TYPE ",\"token\":\"a=\",\"keyAuthorization\":\"a=." THUMB
	    "\"," ID "}",
	    "{" TYPE ",\"token\":\"abd\"," KA "," ID "}",
	    "{" TYPE ",\"token\":\"abc." THUMB "\"," KA "," ID "}",
	    "{" TYPE "," TOK ",\"keyAuthorization\":\"abc\"," ID "}",
	    "{" TYPE "," TOK ",\"keyAuthorization\":\"abc." THUMB "x\"," ID "}",
	    "{" TYPE "," TOK ",\"keyAuthorization\":\"abc.9jg46WB3rR_AHD-"
	    "EBXdN7cBkH1WOu0tA3M9fm21mqT\\n\"," ID "}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":\"www.example.com\"}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\"}}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"ip\","
	    "\"value\":\"www.example.com\"}}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"192.0.2.1\"}}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"../www.example.com\"}}",
	    "{" TYPE "," TOK "," KA ",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"evil.example.com\"}}",
	    "{" TYPE "," TYPE "," TOK "," KA "," ID "}",
	};
	struct token got = {.type = "kept"};
	char token[514], text[2048];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(TOKEN, bad[i]);
		err_clear(&err);
		fails(token_get(s, ISSUER, "www.example.com", &got, &err), &err,
		    ERR_DATA, NULL, "hostile token %zu", i);
	}
	is(got.type, "kept", "nothing is handed over");
	put(TOKEN, "{" TYPE "," TOK "," KA "," ID "}");
	ok_err(token_get(s, ISSUER, "www.example.com", &got, &err), &err,
	    "the least that is a token");
	memset(token, 'a', 513);
	for (i = 512; i <= 513; i++) {
		token[i] = '\0';
		snprintf(text, sizeof(text),
		    "{" TYPE ",\"token\":\"%s\","
		    "\"keyAuthorization\":\"%s." THUMB "\"," ID "}",
		    token, token);
		put(TOKEN, text);
		is_int(token_get(s, ISSUER, "www.example.com", &got, &err),
		    i == 512 ? 0 : -1, "a token of %zu bytes", i);
		token[i] = 'a';
	}
	store_del(s, TOKEN, &err);
}

int
main(void)
{
	s = scratch_open();
	if (!s)
		return done();
	test_token();
	test_token_ip();
	test_token_hostile();
	store_close(s);
	return done();
}
