#include <config.h>

#include "pki/jws.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "pki/gtls.h"
#include "pki/hash.h"
#include "pki/key.h"
#include "tap.h"

#define URL "https://ca.example/acme/new-order"
#define KID "https://ca.example/acme/acct/1"

/* A JWS taken apart again. */
struct parts {
	struct json *json;
	const char *protected, *payload, *signature;
	struct buf header, body, sig; /* decoded */
};

static void
get(struct parts *p, const char *member, const char **text, struct buf *bytes)
{
	struct err err = ERR_INIT;

	*text = "";
	ok_err(
	    json_get_string("jws", p->json, member, JSON_REQUIRED, text, &err),
	    &err, "it has %s", member);
	ok(b64url_decode(*text, strlen(*text), bytes) == 0, "... in base64url");
}

static void
take_apart(const struct buf *jws, struct parts *p)
{
	struct err err = ERR_INIT;

	memset(p, 0, sizeof(*p));
	p->json = json_parse("jws", jws->data, jws->len, &err);
	ok_err(p->json ? 0 : -1, &err, "a JWS is an object");
	get(p, "protected", &p->protected, &p->header);
	get(p, "payload", &p->payload, &p->body);
	get(p, "signature", &p->signature, &p->sig);
	ok(!json_member_at(p->json, 3), "... with nothing else in it");
}

static void
put_away(struct parts *p)
{
	json_free(p->json);
	buf_release(&p->header);
	buf_release(&p->body);
	buf_release(&p->sig);
}

static bool
verifies(const struct key *key, const struct parts *p)
{
	gnutls_datum_t r = gtls_datum(p->sig.data, 32), der = {NULL, 0};
	gnutls_datum_t s = gtls_datum(p->sig.data + 32, 32), in;
	char *text = xasprintf("%s.%s", p->protected, p->payload);
	gnutls_privkey_t priv;
	gnutls_pubkey_t pub;
	bool good;

	gnutls_privkey_init(&priv);
	gnutls_pubkey_init(&pub);
	gnutls_privkey_import_x509(priv, key_handle(key), 0);
	gnutls_pubkey_import_privkey(pub, priv, 0, 0);
	in = gtls_datum(text, strlen(text));
	good = p->sig.len == 64 && gnutls_encode_rs_value(&der, &r, &s) == 0 &&
	    gnutls_pubkey_verify_data2(
	        pub, GNUTLS_SIGN_ECDSA_SHA256, 0, &in, &der) == 0;
	gnutls_privkey_deinit(priv);
	gnutls_pubkey_deinit(pub);
	gtls_free(&der);
	free(text);
	return good;
}

static void
test_kid(const struct key *key)
{
	static const char payload[] = "{\"identifiers\":[]}";
	struct buf jws = BUF_INIT;
	struct err err = ERR_INIT;
	struct parts p;

	ok_err(jws_sign(key, KID, "no-NCE_1", URL, payload, &jws, &err), &err,
	    "signed by kid");
	take_apart(&jws, &p);
	is(buf_str(&p.header),
	    "{\"alg\":\"ES256\",\"kid\":\"" KID
	    "\",\"nonce\":\"no-NCE_1\",\"url\":\"" URL "\"}",
	    "its header");
	is(buf_str(&p.body), payload, "its payload");
	ok(verifies(key, &p), "its signature");
	put_away(&p);
	buf_release(&jws);
}

static void
test_jwk(const struct key *key)
{
	struct buf jws = BUF_INIT, jwk = BUF_INIT;
	struct err err = ERR_INIT;
	struct parts p;
	char *want;

	ok_err(jws_sign(key, NULL, "n", URL, "{}", &jws, &err), &err,
	    "signed with the key itself");
	take_apart(&jws, &p);
	ok_err(key_jwk(key, &jwk, &err), &err, "the key");
	want = xasprintf("{\"alg\":\"ES256\",\"jwk\":%s,\"nonce\":\"n\","
	                 "\"url\":\"%s\"}",
	    buf_str(&jwk), URL);
	is(buf_str(&p.header), want, "its header");
	ok(verifies(key, &p), "its signature");
	free(want);
	put_away(&p);
	buf_release(&jwk);
	buf_release(&jws);
}

static void
test_post_as_get(const struct key *key)
{
	struct buf jws = BUF_INIT;
	struct err err = ERR_INIT;
	struct parts p;

	ok_err(
	    jws_sign(key, KID, "n", URL, "", &jws, &err), &err, "POST-as-GET");
	take_apart(&jws, &p);
	is(p.payload, "", "its payload is empty, not an empty object");
	ok(verifies(key, &p), "its signature");
	put_away(&p);
	buf_release(&jws);
}

/* A URL or a nonce is written by a library: quotes stay quotes. */
static void
test_escapes(const struct key *key)
{
	struct buf jws = BUF_INIT;
	struct err err = ERR_INIT;
	struct parts p;

	ok_err(jws_sign(key, KID, "\",\"x\":\"", URL "/a\"b", "", &jws, &err),
	    &err, "quotes in what a CA sent");
	take_apart(&jws, &p);
	is(buf_str(&p.header),
	    "{\"alg\":\"ES256\",\"kid\":\"" KID
	    "\",\"nonce\":\"\\\",\\\"x\\\":\\\"\",\"url\":\"" URL "/a\\\"b\"}",
	    "are escaped, slashes are not");
	put_away(&p);
	buf_release(&jws);
}

static void
test_rsa(void)
{
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_RSA2048, &err);
	static const char begin[] = "{\"alg\":\"RS256\",\"jwk\":"
	                            "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"";
	struct buf jws = BUF_INIT;
	struct parts p;

	ok_err(jws_sign(key, NULL, "n", URL, "{}", &jws, &err), &err,
	    "signed by RSA");
	take_apart(&jws, &p);
	ok(strncmp(buf_str(&p.header), begin, strlen(begin)) == 0,
	    "its header");
	is_int((long long)p.sig.len, 256, "its signature's length");
	put_away(&p);
	buf_release(&jws);
	key_free(key);
}

static void
test_eab(const struct key *key)
{
	static const char mac[] = "\x00\x01key";
	struct buf jws = BUF_INIT, jwk = BUF_INIT;
	unsigned char want[SHA256_LEN];
	struct err err = ERR_INIT;
	struct parts p;
	char *input;

	ok_err(jws_eab(key, "kid-1", mac, 5, URL, &jws, &err), &err,
	    "external account binding");
	take_apart(&jws, &p);
	is(buf_str(&p.header),
	    "{\"alg\":\"HS256\",\"kid\":\"kid-1\","
	    "\"url\":\"" URL "\"}",
	    "its header has no nonce");
	ok_err(key_jwk(key, &jwk, &err), &err, "the key");
	is(buf_str(&p.body), buf_str(&jwk), "its payload is the account's key");
	input = xasprintf("%s.%s", p.protected, p.payload);
	hash_hmac_sha256(mac, 5, input, strlen(input), want);
	ok(p.sig.len == SHA256_LEN && memcmp(p.sig.data, want, SHA256_LEN) == 0,
	    "its MAC");
	buf_clear(&jws);
	fails(jws_eab(key, "kid-1", mac, 0, URL, &jws, &err), &err, ERR_CONFIG,
	    "MAC key is empty", "an empty MAC key is refused");
	ok(jws.len == 0, "... and nothing written");
	free(input);
	put_away(&p);
	buf_release(&jwk);
	buf_release(&jws);
}

int
main(void)
{
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);

	test_kid(key);
	test_jwk(key);
	test_post_as_get(key);
	test_escapes(key);
	test_rsa();
	test_eab(key);
	key_free(key);
	return done();
}
