#include <config.h>

#include "acme/nonce.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static bool
is_base64url(const char *s)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return *s && s[strspn(s, alphabet)] == '\0';
}

void
nonces_add(struct nonces *pool, const char *nonce)
{
	if (pool->n == NONCE_POOL || strlen(nonce) > NONCE_MAX ||
	    !is_base64url(nonce))
		return;
	pool->v[pool->n++] = xstrdup(nonce);
}

char *
nonces_take(struct nonces *pool)
{
	return pool->n ? pool->v[--pool->n] : NULL;
}

void
nonces_clear(struct nonces *pool)
{
	while (pool->n)
		free(pool->v[--pool->n]);
}
