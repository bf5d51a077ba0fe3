#include <config.h>

#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "store/state.h"
#include "store/store.h"

static void
test_round(struct store *s)
{
	struct identifier names[2];
	struct state st = {.names = names,
	    .n_names = 2,
	    .key_type = KEY_RSA3072,
	    .must_staple = true,
	    .challenges = "tls-alpn-01",
	    .failures = 3,
	    .failed_at = 1800000000,
	    .next_try = 1800006000,
	    .code = ERR_LATER,
	    .type = "rateLimited",
	    .config = "0a1b"};
	struct state got;
	struct strings list = {.v = NULL};
	struct err err = ERR_INIT;

	identifier_parse("a.example.test", &names[0], &err);
	identifier_parse("192.0.2.1", &names[1], &err);
	st.text = xstrdup("too many");
	st.deploy_hook = xstrdup("/usr/lib/x");
	memcpy(st.deployed, "0fa0", 5);
	ok_err(state_save(s, "ca", "a.example.test", &st, &err), &err, "saved");
	state_load(s, "ca", "a.example.test", &got);
	ok(identifiers_equal(got.names, got.n_names, names, 2), "names");
	is_int(got.key_type, KEY_RSA3072, "key type");
	ok(got.must_staple, "must-staple");
	is(got.challenges, "tls-alpn-01", "challenges");
	is(got.deploy_hook, "/usr/lib/x", "hook");
	is_int(got.failures, 3, "failures");
	is_int(got.next_try, 1800006000, "next try");
	is_int(got.code, ERR_LATER, "status");
	is(got.type, "rateLimited", "problem type");
	is(got.text, "too many", "its words");
	is(got.config, "0a1b", "configuration");
	is(got.deployed, "0fa0", "deployed");
	state_clear_failures(&got);
	ok_err(state_save(s, "ca", "a.example.test", &got, &err), &err,
	    "saved without failures");
	state_release(&got);
	state_load(s, "ca", "a.example.test", &got);
	is_int(got.failures, 0, "they are forgotten");
	is_int((long long)got.n_names, 2, "the request is not");
	state_release(&got);
	ok_err(state_list(s, "ca", &list, &err), &err, "listed");
	is_int((long long)list.n, 1, "one");
	is(list.v[0], "a.example.test", "by name");
	strings_release(&list);
	free(st.text);
	free(st.deploy_hook);
}

static void
test_bad(struct store *s)
{
	static const char *const bad[] = {"", "[]", "{\"failure\":5}",
	    "{\"failure\":{\"failures\":-1}}", "{\"request\":{\"names\":[5]}}",
	    "{\"request\":{\"names\":[\"../x\"]}}",
	    "{\"failure\":{\"failures\":99999999999999}}"};
	struct state got;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		store_put(s, "autocert/ca/state/bad.json", bad[i],
		    strlen(bad[i]), STORE_REPLACE, &err);
		state_load(s, "ca", "bad", &got);
		ok(got.failures == 0 && got.n_names == 0,
		    "nothing is made of %s", bad[i]);
		state_release(&got);
	}
	state_load(s, "ca", "absent", &got);
	ok(!got.names && !got.failures, "nor of nothing");
	state_release(&got);
}

int
main(void)
{
	struct err err = ERR_INIT;
	struct store *s = store_open(tap_tmpdir(), true, &err);

	if (!s)
		return 99;
	log_open("test_state", LOG_ERROR);
	test_round(s);
	test_bad(s);
	store_close(s);
	return done();
}
