#include <config.h>

#include "tap.h"

#include <string.h>

#include "acme/renewal.h"
#include "base/err.h"
#include "base/json.h"

#define WINDOW(start, end)                                                     \
	"{\"suggestedWindow\":{\"start\":\"" start "\",\"end\":\"" end "\"}}"

enum { NOW = 1800000000, HOUR = 3600, DAY = 24 * HOUR };

static int
parse(const char *text, int64_t retry_after, uint32_t random, struct renewal *r,
    struct err *err)
{
	*err = (struct err)ERR_INIT;
	return renewal_read(
	    text, strlen(text), retry_after, NOW, random, r, err);
}

static void
test_choice(void)
{
	static const char text[] = WINDOW(
	    "2027-02-01T00:00:00Z", "2027-02-03T00:00:00Z");
	struct renewal r = {.known = false};
	struct err err;
	time_t chosen;

	ok_err(parse(text, 21600, 0, &r, &err), &err, "a window is read");
	is_int(r.end - r.start, 2 * DAY, "its length");
	is_int(r.selected, r.start, "the least random number: its start");
	is_int(r.retry_at, NOW + 21600, "ask again as told");
	ok_err(parse(text, -1, UINT32_MAX, &r, &err), &err, "the same again");
	is_int(r.selected, r.start, "the instant stays");
	is_int(r.retry_at, NOW + 6 * HOUR, "six hours without a word");
	r.selected = 0;
	parse(text, 1, UINT32_MAX, &r, &err);
	ok(r.selected < r.end && r.selected >= r.end - 1,
	    "the greatest: just before its end");
	is_int(r.retry_at, NOW + 60, "no sooner than a minute");
	chosen = r.selected;
	parse(WINDOW("2027-02-01T00:00:00.5Z", "2027-02-02T00:00:00+00:00"),
	    1000000, 1u << 31, &r, &err);
	ok(r.selected != chosen, "another window: another instant");
	is_int(r.selected, r.start + DAY / 2, "half of it");
	is_int(r.retry_at, NOW + DAY, "no later than a day");
}

static void
test_bad(void)
{
	static const char *const bad[] = {"", "[]", "{}",
	    "{\"suggestedWindow\":5}", "{\"suggestedWindow\":{}}",
	    WINDOW("2027-02-01T00:00:00Z", "2027-02-01T00:00:00Z"),
	    WINDOW("2027-02-02T00:00:00Z", "2027-02-01T00:00:00Z"),
	    WINDOW("yesterday", "2027-02-01T00:00:00Z"),
	    WINDOW("0001-01-01T00:00:00Z", "2027-02-01T00:00:00Z")};
	struct renewal r;
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		r = (struct renewal){
		    .known = true, .start = 5, .end = 9, .selected = 7};
		fails(parse(bad[i], -1, 0, &r, &err), &err, ERR_PROTOCOL, NULL,
		    "refused: %.50s", bad[i]);
		is_int(r.selected, 7, "what was known stays");
		ok(r.retry_at > NOW, "and it is not asked again at once");
	}
	r = (struct renewal){.known = false};
	parse("{\"suggestedWindow\":{\"start\":\"0001-06-01T00:00:00Z\","
	      "\"end\":\"9999-12-31T23:59:59Z\"}}",
	    -1, UINT32_MAX, &r, &err);
	ok(r.selected <= r.end, "ten thousand years do not overflow");
	ok_err(parse(WINDOW("2027-02-01T00:00:00Z", "2027-02-01T00:00:01Z"), -1,
	           0, &r, &err),
	    &err, "a second is a window: Pebble's for revoked");
	parse("{\"explanationURL\":\"javascript:alert(1)\",\"suggestedWindow\":"
	      "{\"start\":\"2027-02-01T00:00:00Z\",\"end\":"
	      "\"2027-02-02T00:00:00Z\"}}",
	    -1, 0, &r, &err);
	is(r.explanation, "", "an explanation that is no web page is none");
}

/* {"issuer_data":{"renewal_info":O}} */
static struct json *
meta(struct json *o)
{
	struct json *doc = json_new_object(), *data = json_new_object();

	json_add(data, "renewal_info", o);
	json_add(doc, "issuer_data", data);
	return doc;
}

static void
test_members(void)
{
	struct renewal r = {.known = true,
	    .start = NOW,
	    .end = NOW + DAY,
	    .selected = NOW + HOUR,
	    .retry_at = NOW + 5,
	    .cert_id = "aki.serial",
	    .explanation = "https://ca.test/why"};
	struct renewal again;
	struct json *doc = meta(renewal_save(&r));

	renewal_load(doc, &again);
	ok(again.known && again.start == r.start && again.end == r.end &&
	        again.selected == r.selected && again.retry_at == r.retry_at,
	    "what is saved is loaded");
	is(again.cert_id, "aki.serial", "with its identifier");
	is(again.explanation, "https://ca.test/why", "and its explanation");
	json_free(doc);
	renewal_load(NULL, &again);
	ok(!again.known && !again.selected, "nothing there, nothing known");
	doc = meta(json_parse(
	    "x", "{\"_selectedTime\":\"0001-01-01T00:00:00Z\"}", 40, NULL));
	renewal_load(doc, &again);
	is_int(again.selected, 0, "Go's zero time is none");
	json_free(doc);
}

static void
test_fetch(void)
{
	struct renewal_fetch f;
	const struct answer answer = {
	    .status = 200, .retry_after = 77, .body = "{}", .body_len = 2};

	renewal_fetch_init(&f, "x", "https://ca.test/ari/", "a.b");
	is_int(flow_next(&f.flow), FLOW_ASKING, "it asks");
	is(f.flow.asks.v[0].url, "https://ca.test/ari/a.b",
	    "for the certificate's (RFC 9773, 4.1)");
	is_int(f.flow.asks.v[0].kind, ASK_GET, "unsigned");
	flow_answer(&f.flow, 0, &answer);
	is_int(flow_next(&f.flow), FLOW_DONE, "and is done");
	is_int(f.retry_after, 77, "Retry-After is kept");
	renewal_fetch_release(&f);
}

int
main(void)
{
	test_choice();
	test_bad();
	test_members();
	test_fetch();
	return done();
}
