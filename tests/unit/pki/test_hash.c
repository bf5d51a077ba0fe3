#include <config.h>

#include "pki/hash.h"

#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "tap.h"

static void
is_hex(const unsigned char hash[SHA256_LEN], const char *want, const char *what)
{
	struct buf hex = BUF_INIT;

	hex_encode(hash, SHA256_LEN, &hex);
	is(buf_str(&hex), want, "%s", what);
	buf_release(&hex);
}

/* FIPS 180-4's examples. */
static void
test_sha256(void)
{
	unsigned char hash[SHA256_LEN];

	hash_sha256("abc", 3, hash);
	is_hex(hash,
	    "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad",
	    "SHA-256 of abc");
	hash_sha256("", 0, hash);
	is_hex(hash,
	    "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855",
	    "SHA-256 of nothing");
}

/* RFC 4231, 4.3 and 4.7; RFC 7515, A.1. */
static void
test_hmac(void)
{
	static const char input[] =
	    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
	    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
	    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const char key[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"
	                          "-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
	unsigned char hash[SHA256_LEN], long_key[131];
	struct buf bytes = BUF_INIT, text = BUF_INIT;

	hash_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, hash);
	is_hex(hash,
	    "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843",
	    "HMAC, a short key");
	memset(long_key, 0xaa, sizeof(long_key));
	hash_hmac_sha256(long_key, sizeof(long_key),
	    "Test Using Larger Than Block-Size Key - Hash Key First", 54, hash);
	is_hex(hash,
	    "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54",
	    "HMAC, a long key");

	ok(b64url_decode(key, strlen(key), &bytes) == 0, "RFC 7515's key");
	hash_hmac_sha256(bytes.data, bytes.len, input, strlen(input), hash);
	b64url_encode(hash, sizeof(hash), &text);
	is(buf_str(&text), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
	    "HS256, RFC 7515 A.1");
	buf_release(&bytes);
	buf_release(&text);
}

static void
test_random(void)
{
	unsigned char a[32] = {0}, b[32] = {0};

	hash_random(a, sizeof(a));
	hash_random(b, sizeof(b));
	ok(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
}

int
main(void)
{
	test_sha256();
	test_hmac();
	test_random();
	return done();
}
