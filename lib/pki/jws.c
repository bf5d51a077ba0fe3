#include <config.h>

#include "pki/jws.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "pki/hash.h"
#include "pki/key.h"

/* Adds the public key as "jwk". */
static int
add_jwk(struct json *header, const struct key *key, struct err *err)
{
	struct buf text = BUF_INIT;
	struct json *jwk = NULL;

	if (key_jwk(key, &text, err) == 0)
		jwk = json_parse("jwk", text.data, text.len, err);
	buf_release(&text);
	if (!jwk)
		return -1;
	json_add(header, "jwk", jwk);
	return 0;
}

static void
put_b64(const void *data, size_t len, const char *member, struct json *jws)
{
	struct buf text = BUF_INIT;

	b64url_encode(data, len, &text);
	json_add_string(jws, member, buf_str(&text));
	buf_release(&text);
}

/* The signing input (RFC 7515, 5.1), and its two halves into jws. */
static void
put_input(const struct json *header, const char *payload, struct json *jws,
    struct buf *input)
{
	struct buf text = BUF_INIT;

	json_print(header, JSON_COMPACT, &text);
	put_b64(text.data, text.len, "protected", jws);
	put_b64(payload, strlen(payload), "payload", jws);
	b64url_encode(text.data, text.len, input);
	buf_puts(input, ".");
	b64url_encode(payload, strlen(payload), input);
	buf_release(&text);
}

int
jws_sign(const struct key *key, const char *kid, const char *nonce,
    const char *url, const char *payload, struct buf *out, struct err *err)
{
	struct json *header = json_new_object(), *jws = json_new_object();
	struct buf input = BUF_INIT, sig = BUF_INIT;
	int rc = 0;

	json_add_string(header, "alg", key_jws_alg(key));
	if (kid)
		json_add_string(header, "kid", kid);
	else
		rc = add_jwk(header, key, err);
	json_add_string(header, "nonce", nonce);
	json_add_string(header, "url", url);
	put_input(header, payload, jws, &input);
	if (rc == 0)
		rc = key_sign_jws(key, input.data, input.len, &sig, err);
	if (rc == 0) {
		put_b64(sig.data, sig.len, "signature", jws);
		json_print(jws, JSON_COMPACT, out);
	}
	buf_release(&input);
	buf_release(&sig);
	json_free(header);
	json_free(jws);
	return rc;
}

int
jws_eab(const struct key *account_key, const char *key_id, const void *mac,
    size_t mac_len, const char *url, struct buf *out, struct err *err)
{
	struct json *header, *jws;
	struct buf payload = BUF_INIT, input = BUF_INIT;
	unsigned char sig[SHA256_LEN];

	if (mac_len == 0)
		return err_set(err, ERR_CONFIG,
		    "external account binding: the MAC key is empty");
	if (key_jwk(account_key, &payload, err) == -1)
		return -1;
	header = json_new_object();
	jws = json_new_object();
	json_add_string(header, "alg", "HS256");
	json_add_string(header, "kid", key_id);
	json_add_string(header, "url", url);
	put_input(header, buf_str(&payload), jws, &input);
	hash_hmac_sha256(mac, mac_len, input.data, input.len, sig);
	put_b64(sig, sizeof(sig), "signature", jws);
	json_print(jws, JSON_COMPACT, out);
	buf_release(&payload);
	buf_release(&input);
	json_free(header);
	json_free(jws);
	return 0;
}
