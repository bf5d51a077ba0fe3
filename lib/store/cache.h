/*
 * What a run remembers of a CA for the next one, in autocert/ISSUER/: its
 * directory and a nonce.  Nothing here is missed when it is gone, so nothing
 * fails.
 */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include <time.h>

struct buf;
struct store;

/* The directory document fetched at *when; absent or unusable: out empty. */
void directory_cache_load(struct store *s, const char *issuer,
    const char *directory_url, struct buf *out, time_t *when);
void directory_cache_save(struct store *s, const char *issuer,
    const char *directory_url, const struct buf *body, time_t now);
void directory_cache_forget(struct store *s, const char *issuer);

/* A nonce saved by the last run; taking it removes it. NULL when none. */
char *nonce_cache_take(struct store *s, const char *issuer);
void nonce_cache_save(struct store *s, const char *issuer, const char *nonce);

#endif
