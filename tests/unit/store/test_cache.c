#include <config.h>

#include "store/cache.h"

#include <stdlib.h>

#include "base/buf.h"
#include "store/store.h"
#include "scratch.h"
#include "tap.h"

static struct store *s;

static void
test_directory(void)
{
	static const char url[] = "https://localhost:14000/dir";
	struct buf body = BUF_INIT, out = BUF_INIT;
	time_t when = 5;

	directory_cache_load(s, ISSUER, url, &out, &when);
	ok(out.len == 0 && when == 0, "no directory is remembered");
	buf_puts(&body, "{ \"newNonce\": \"https://localhost:14000/n\" }");
	directory_cache_save(s, ISSUER, url, &body, 1800000000);
	directory_cache_load(s, ISSUER, url, &out, &when);
	is(buf_str(&out), "{\"newNonce\":\"https://localhost:14000/n\"}",
	    "now it is");
	is_int(when, 1800000000, "with its time");
	directory_cache_load(
	    s, ISSUER, "https://localhost:14000/DIR", &out, &when);
	ok(out.len == 0 && when == 0, "but not for another URL");
	put("autocert/" ISSUER "/directory.json", "{\"url\":\"x");
	directory_cache_load(s, ISSUER, url, &out, &when);
	ok(out.len == 0 && when == 0, "a damaged one is none");
	buf_clear(&body);
	buf_puts(&body, "<html>");
	directory_cache_save(s, ISSUER, url, &body, 1800000000);
	is(get("autocert/" ISSUER "/directory.json"), "{\"url\":\"x",
	    "what is no directory is not remembered");
	directory_cache_forget(s, ISSUER);
	is(get("autocert/" ISSUER "/directory.json"), "error 66", "forgotten");
	directory_cache_forget(s, ISSUER);
	buf_release(&body);
	buf_release(&out);
}

static void
test_nonce(void)
{
	static const char *const bad[] = {"", "a b", "a\n", "a+b", "\xff"};
	char *nonce = nonce_cache_take(s, ISSUER);
	size_t i;

	is(nonce, NULL, "no nonce is remembered");
	nonce_cache_save(s, ISSUER, "abc-_123");
	nonce = nonce_cache_take(s, ISSUER);
	is(nonce, "abc-_123", "one is");
	free(nonce);
	is(nonce_cache_take(s, ISSUER), NULL, "and is taken once");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nonce_cache_save(s, ISSUER, bad[i]);
		is(get("autocert/" ISSUER "/nonce"), "error 66",
		    "bad nonce %zu is not saved", i);
		put("autocert/" ISSUER "/nonce", bad[i]);
		is(nonce_cache_take(s, ISSUER), NULL, "and not believed");
	}
}

int
main(void)
{
	s = scratch_open();
	if (!s)
		return done();
	test_directory();
	test_nonce();
	store_close(s);
	return done();
}
