/*
 * The pool of anti-replay nonces (RFC 8555, 6.5): every answer brings one,
 * every signed request takes one, none is used twice.
 */
#ifndef ACME_NONCE_H
#define ACME_NONCE_H

#include <stddef.h>

enum { NONCE_MAX = 512, NONCE_POOL = 256 };

struct nonces {
	char *
	    v[NONCE_POOL]; /* the newest last: it is the likeliest to be good */
	size_t n;
};

/* Keeps a copy; one with bytes outside base64url is ignored (RFC 8555, 6.5.1). */
void nonces_add(struct nonces *pool, const char *nonce);
/* The newest, to be freed by the caller; NULL when the pool is empty. */
char *nonces_take(struct nonces *pool);
void nonces_clear(struct nonces *pool);

#endif
