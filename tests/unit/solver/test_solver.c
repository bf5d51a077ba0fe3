#include <config.h>

#include "tap.h"

#include <string.h>

#include "acme/order.h"
#include "base/err.h"
#include "solver/solver.h"
#include "store/store.h"
#include "store/token.h"

#define TOKEN "DGyRejmCefe7v4NfDGDKfA"
#define THUMB "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

static struct identifier
name(const char *text)
{
	struct identifier id;
	struct err err = ERR_INIT;

	if (identifier_parse(text, &id, &err) == -1)
		diag("%s", err.text);
	return id;
}

static void
test_choice(void)
{
	static const enum challenge_type both[] = {
	    CHALLENGE_HTTP01, CHALLENGE_TLSALPN01};
	static const enum challenge_type dns[] = {CHALLENGE_DNS01};
	struct identifier id = name("www.example.test");
	enum challenge_type types[SOLVER_TYPES];
	struct err err = ERR_INIT;
	size_t n;

	ok(solver_find(CHALLENGE_HTTP01) != NULL, "http-01 has a solver");
	ok(!solver_find(CHALLENGE_DNS01), "dns-01 has none yet");
	ok_err(solver_check(&id, both, 2, &err), &err, "a name can be proved");
	id = name("192.0.2.1");
	ok_err(solver_check(&id, both, 2, &err), &err, "an address too");
	id = name("*.example.test");
	fails(solver_check(&id, both, 2, &err), &err, ERR_USAGE, "dns-01",
	    "a wildcard says that it needs dns-01");
	id = name("www.example.test");
	fails(solver_check(&id, dns, 1, &err), &err, ERR_USAGE, "none",
	    "no solver, no order");
	ok_err(solver_parse("tls-alpn-01,http-01", types, &n, &err), &err,
	    "a list of types");
	ok(n == 2 && types[0] == CHALLENGE_TLSALPN01, "in its order");
	fails(solver_parse("http-01,", types, &n, &err), &err, ERR_USAGE, NULL,
	    "an empty one is none");
	fails(solver_parse("dns-01", types, &n, &err), &err, ERR_USAGE,
	    "dns-01", "nor one without a solver");
	fails(solver_parse(
	          "http-01,http-01,http-01,http-01,http-01", types, &n, &err),
	    &err, ERR_USAGE, NULL, "nor five");
}

static void
test_stored(struct store *store, enum challenge_type type, const char *text,
    const char *file)
{
	const struct solver_env env = {.store = store, .issuer = "ca.test-dir"};
	struct identifier id = name(text);
	struct order_challenge c = {.type = type,
	    .identifier = &id,
	    .token = TOKEN,
	    .url = "https://ca.test/c",
	    .key_authorization = TOKEN "." THUMB};
	const struct solver *solver = solver_find(type);
	struct token t;
	struct err err = ERR_INIT;

	ok_err(solver->present(&env, &c, &err), &err, "%s is presented", text);
	if (ok_err(token_get(store, "ca.test-dir", file, &t, &err), &err,
	        "where a responder looks: %s", file)) {
		is(t.key_authorization, TOKEN "." THUMB, "key authorization");
		is(t.type, challenge_type_name(type), "type");
		ok(identifier_equal(&t.identifier, &id), "identifier");
	}
	ok_err(solver->cleanup(&env, &c, &err), &err, "and withdrawn");
	fails(token_get(store, "ca.test-dir", file, &t, &err), &err, ERR_ABSENT,
	    NULL, "it is gone");
	ok_err(solver->cleanup(&env, &c, &err), &err,
	    "withdrawing again is no error");
}

static void
test_withdraw(struct store *store)
{
	const struct solver_env env = {.store = store, .issuer = "ca.test-dir"};
	struct identifier id = name("192.0.2.1");
	struct order_challenge c = {.type = CHALLENGE_TLSALPN01,
	    .identifier = &id,
	    .token = TOKEN,
	    .url = "https://ca.test/c",
	    .key_authorization = TOKEN "." THUMB};
	struct token t;
	struct err err = ERR_INIT;

	ok_err(solver_withdraw(&env, &id, THUMB, &err), &err,
	    "nothing was left: nothing is withdrawn");
	solver_find(c.type)->present(&env, &c, &err);
	ok_err(solver_withdraw(&env, &id,
	           "0zbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", &err),
	    &err, "another account's token");
	ok_err(
	    token_get(store, "ca.test-dir", "1.2.0.192.in-addr.arpa", &t, &err),
	    &err, "stays");
	ok_err(solver_withdraw(&env, &id, THUMB, &err), &err, "our own");
	fails(
	    token_get(store, "ca.test-dir", "1.2.0.192.in-addr.arpa", &t, &err),
	    &err, ERR_ABSENT, NULL, "goes");
}

int
main(void)
{
	struct err err = ERR_INIT;
	struct store *store = store_open(tap_tmpdir(), true, &err);

	if (!store) {
		diag("%s", err.text);
		return 99;
	}
	test_choice();
	test_stored(
	    store, CHALLENGE_HTTP01, "www.example.test", "www.example.test");
	test_stored(
	    store, CHALLENGE_TLSALPN01, "www.example.test", "www.example.test");
	test_stored(store, CHALLENGE_HTTP01, "192.0.2.1", "192.0.2.1");
	test_stored(
	    store, CHALLENGE_TLSALPN01, "192.0.2.1", "1.2.0.192.in-addr.arpa");
	test_withdraw(store);
	store_close(store);
	return done();
}
