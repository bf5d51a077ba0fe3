#include <config.h>

#include "tap.h"

#include <string.h>

#include "acme/directory.h"
#include "base/err.h"

#define URLS                                                                   \
	"\"newNonce\":\"https://ca.test/n\","                                  \
	"\"newAccount\":\"https://ca.test/a\",\"newOrder\":\"https://ca.test/" \
	"o\""

static int
parse(const char *text, struct directory *d, struct err *err)
{
	*err = (struct err)ERR_INIT;
	return directory_read(
	    "https://ca.test/dir", text, strlen(text), d, err);
}

static void
test_good(void)
{
	struct directory d = {.url = NULL};
	struct err err;

	if (!ok_err(
	        parse("{" URLS ",\"renewalInfo\":\"https://ca.test/r\","
	              "\"keyChange\":null,\"x9\":{\"deep\":[1,2]},\"meta\":{"
	              "\"termsOfService\":\"https://ca.test/terms\","
	              "\"externalAccountRequired\":true,"
	              "\"caaIdentities\":[\"ca.test\",5],"
	              "\"profiles\":{\"classic\":\"x\",\"short\":\"y\"}}}",
	            &d, &err),
	        &err, "a directory is read"))
		return;
	is(d.new_order, "https://ca.test/o", "newOrder");
	is(d.renewal_info, "https://ca.test/r", "renewalInfo");
	ok(!d.key_change, "null is absent");
	ok(d.eab_required, "externalAccountRequired");
	is(d.terms, "https://ca.test/terms", "termsOfService");
	is_int((long long)d.profiles.n, 2, "profiles by name");
	is(d.profiles.v[1], "short", "in their order");
	is_int(
	    (long long)d.caa.n, 1, "a caaIdentity of another type is no name");
	directory_release(&d);

	ok_err(parse("{" URLS ",\"meta\":{\"profiles\":3}}", &d, &err), &err,
	    "what is optional and odd is not there");
	is_int((long long)d.profiles.n, 0, "no profiles");
	directory_release(&d);
}

static void
test_bad(void)
{
	static const struct {
		const char *text, *want;
	} bad[] = {{"", "no ACME directory"},
	    {"<html>captive portal</html>", "no ACME directory"},
	    {"[]", "no ACME directory"},
	    {"{\"newNonce\":\"https://ca.test/n\"}", "newAccount"},
	    {"{" URLS ",\"revokeCert\":\"http://ca.test/r\"}", "revokeCert"},
	    {"{" URLS ",\"keyChange\":\"/relative\"}", "keyChange"},
	    {"{" URLS ",\"keyChange\":5}", "keyChange"},
	    {"{" URLS ",\"newOrder\":\"https://evil.test/\"}", "twice"},
	    {"{" URLS ",\"renewalInfo\":\"https://u@ca.test/\"}",
	        "renewalInfo"}};
	struct directory d = {.url = NULL};
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		fails(parse(bad[i].text, &d, &err), &err, ERR_PROTOCOL,
		    bad[i].want, "refused: %.60s", bad[i].text);
		ok(!d.url && !d.new_nonce, "and nothing handed over");
	}
}

static void
test_fetch(void)
{
	struct directory d = {.url = NULL};
	struct directory_fetch f;
	const char *text = "{" URLS "}";
	struct answer answer = {
	    .status = 200, .body = text, .body_len = strlen(text)};

	directory_fetch_init(&f, "https://ca.test/dir", &d);
	is_int(flow_next(&f.flow), FLOW_ASKING, "the fetch asks");
	is(f.flow.asks.v[0].url, "https://ca.test/dir", "for the directory");
	is_int(f.flow.asks.v[0].kind, ASK_GET, "unsigned");
	flow_answer(&f.flow, 0, &answer);
	is_int(flow_next(&f.flow), FLOW_DONE, "and is done");
	is(buf_str(&f.body), text, "the document is kept for the cache");
	directory_fetch_release(&f);
	directory_release(&d);

	directory_fetch_init(&f, "https://ca.test/dir", &d);
	flow_next(&f.flow);
	answer = (struct answer){.status = 302, .location = "http://evil/"};
	flow_answer(&f.flow, 0, &answer);
	is_int(flow_next(&f.flow), FLOW_FAILED, "a redirect is refused");
	ok(strstr(f.flow.err.text, "http://evil/") != NULL, "by name");
	directory_fetch_release(&f);
}

int
main(void)
{
	test_good();
	test_bad();
	test_fetch();
	return done();
}
