#include <config.h>

#include "store/journal.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"
#include "scratch.h"
#include "tap.h"

#define JOURNAL "autocert/" ISSUER "/orders/www.example.com"

static struct store *s;
static struct err err;

static bool
load_journal(struct journal *j)
{
	bool found = true;

	ok_err(journal_load(s, ISSUER, "www.example.com", j, &found, &err),
	    &err, "the journal is looked for");
	return found;
}

static void
test_journal(void)
{
	struct identifier names[2];
	struct journal j = {.names = names,
	                   .n_names = 2,
	                   .key_type = KEY_P384,
	                   .must_staple = true},
	               got;
	struct key *key = key_new(KEY_P384, &err);

	identifier_parse("www.example.com", &names[0], &err);
	identifier_parse("*.example.com", &names[1], &err);
	ok(!load_journal(&got), "there is none");
	ok_err(journal_save(s, ISSUER, "www.example.com", &j, &err), &err,
	    "one is saved before the order is made");
	if (ok(load_journal(&got), "and found")) {
		ok(identifiers_equal(names, 2, got.names, got.n_names) &&
		        got.key_type == KEY_P384 && got.must_staple &&
		        !got.order_url && !got.key,
		    "as it was");
		journal_release(&got);
	}
	j.order_url = xstrdup("https://localhost:14000/order/1");
	ok_err(journal_save(s, ISSUER, "www.example.com", &j, &err), &err,
	    "then the order's URL");
	ok_err(journal_save_key(s, ISSUER, "www.example.com", key, &err), &err,
	    "then the key");
	is_int(mode_of(JOURNAL "/key.pem"), 0600, "for us alone");
	if (ok(load_journal(&got), "all is found")) {
		is(got.order_url, j.order_url, "the URL");
		ok(same_key(got.key, key), "and the key");
		journal_release(&got);
		journal_release(&got);
	}
	ok_err(journal_remove(s, ISSUER, "www.example.com", &err), &err,
	    "removed");
	ok(!load_journal(&got), "it is gone");
	ok_err(journal_remove(s, ISSUER, "www.example.com", &err), &err,
	    "twice is no error");
	free(j.order_url);
	key_free(key);
}

#define NAMES "\"names\":[\"www.example.com\"]"
#define REST "\"key_type\":\"p256\",\"must_staple\":false"

static void
test_journal_damaged(void)
{
	static const char *const bad[] = {"", "{}", "{" NAMES "}", "{" REST "}",
	    "{\"names\":[]," REST "}", "{\"names\":[1]," REST "}",
	    "{\"names\":[\"..\"]," REST "}",
	    "{\"names\":[\"a.example\",\"/\"]," REST "}",
	    "{" NAMES ",\"key_type\":\"dsa\",\"must_staple\":false}",
	    "{" NAMES ",\"key_type\":\"p256\",\"must_staple\":0}",
	    "{" NAMES "," REST ",\"order\":\"ftp://x/\"}",
	    "{" NAMES "," REST ",\"order\":7}"};
	struct journal got;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(JOURNAL "/order.json", bad[i]);
		ok(!load_journal(&got), "damaged %zu is none", i);
	}
	put(JOURNAL "/order.json", "{" NAMES "," REST "}");
	ok(load_journal(&got), "the least that is a journal");
	journal_release(&got);
	put(JOURNAL "/key.pem", "garbage");
	ok(!load_journal(&got), "with a damaged key it is none");
	journal_remove(s, ISSUER, "www.example.com", &err);
	put(JOURNAL "/key.pem", "garbage");
	ok(!load_journal(&got), "a key alone is none either");
	journal_remove(s, ISSUER, "www.example.com", &err);
}

int
main(void)
{
	s = scratch_open();
	if (!s)
		return done();
	test_journal();
	test_journal_damaged();
	store_close(s);
	return done();
}
