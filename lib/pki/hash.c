#include <config.h>

#include "pki/hash.h"

#include <stdlib.h>

#include "base/log.h"
#include "pki/gtls.h"

/*
 * These fail only when the library is broken or the kernel gives no entropy:
 * like running out of memory, that is the end of the program.
 */
static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	log_error(NULL, "%s: %s", what, gnutls_strerror(rc));
	exit(ERR_SOFTWARE);
}

void
hash_sha256(const void *data, size_t len, unsigned char out[SHA256_LEN])
{
	must(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, out), "SHA-256");
}

void
hash_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    unsigned char out[SHA256_LEN])
{
	must(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_len, data, len, out),
	    "HMAC-SHA-256");
}

void
hash_random(void *out, size_t len)
{
	must(gnutls_rnd(GNUTLS_RND_NONCE, out, len), "random bytes");
}
