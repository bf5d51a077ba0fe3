/*
 * SHA-256 and HMAC-SHA-256, over bytes in memory.
 */
#ifndef PKI_HASH_H
#define PKI_HASH_H

#include <stddef.h>

enum { SHA256_LEN = 32 };

void hash_sha256(const void *data, size_t len, unsigned char out[SHA256_LEN]);
void hash_hmac_sha256(const void *key, size_t key_len, const void *data,
    size_t len, unsigned char out[SHA256_LEN]);

/* len bytes from the generator meant for nonces and jitter. */
void hash_random(void *out, size_t len);

#endif
