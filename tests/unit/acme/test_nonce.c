#include <config.h>

#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "acme/nonce.h"

int
main(void)
{
	struct nonces pool = {.n = 0};
	char longest[NONCE_MAX + 2], *got;

	ok(nonces_take(&pool) == NULL, "an empty pool has none");
	nonces_add(&pool, "one");
	nonces_add(&pool, "Two_-2");
	is(got = nonces_take(&pool), "Two_-2", "the newest comes first");
	free(got);
	is(got = nonces_take(&pool), "one", "then the older");
	free(got);
	ok(nonces_take(&pool) == NULL, "and each only once");

	nonces_add(&pool, "");
	nonces_add(&pool, "a b");
	nonces_add(&pool, "a=");
	nonces_add(&pool, "a\r\nX: y");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	nonces_add(&pool, longest);
	is_int((long long)pool.n, 0, "what is not base64url is ignored");
	nonces_add(&pool, longest + 1);
	is_int((long long)pool.n, 1, "the longest allowed is kept");
	for (int i = 0; i < 2 * NONCE_POOL; i++)
		nonces_add(&pool, "x");
	is_int((long long)pool.n, NONCE_POOL, "the pool has a ceiling");
	nonces_clear(&pool);
	is_int((long long)pool.n, 0, "and can be emptied");
	return done();
}
