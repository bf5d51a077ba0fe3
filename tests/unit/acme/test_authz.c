#include <config.h>

#include "tap.h"

#include <string.h>

#include "acme/authz.h"
#include "base/err.h"

#define TOKEN "DGyRejmCefe7v4NfDGDKfA"
#define CHALLENGE(type, token)                                                 \
	"{\"type\":\"" type "\",\"status\":\"pending\","                       \
	"\"url\":\"https://ca.test/c\",\"token\":\"" token "\"}"
#define AUTHZ(id, challenges)                                                  \
	"{\"identifier\":" id ",\"status\":\"pending\","                       \
	"\"challenges\":[" challenges "]}"
#define NAME "{\"type\":\"dns\",\"value\":\"www.example.test\"}"

static int
parse(const char *text, struct authz *a, struct err *err)
{
	*err = (struct err)ERR_INIT;
	return authz_read(text, strlen(text), a, err);
}

static void
test_good(void)
{
	struct authz a = {.wildcard = false};
	struct err err;
	char ka[KEY_AUTHORIZATION_MAX];

	if (!ok_err(parse(AUTHZ(NAME,
	                      "{\"type\":\"dns-account-01\"}," CHALLENGE(
	                          "tls-alpn-01", TOKEN) "," CHALLENGE("http-01",
	                          TOKEN)),
	                &a, &err),
	        &err, "an authorization is read"))
		return;
	is(a.identifier.value, "www.example.test", "its identifier");
	is_int((long long)a.n_challenges, 2,
	    "unknown challenge types are passed over");
	ok(authz_challenge(&a, CHALLENGE_HTTP01) == &a.challenges[1],
	    "found by type");
	ok(!authz_challenge(&a, CHALLENGE_DNS01), "or not");
	is(a.challenges[0].token, TOKEN, "token");
	key_authorization(TOKEN, "thumb", ka);
	is(ka, TOKEN ".thumb", "key authorization (RFC 8555, 8.1)");
	authz_release(&a);

	ok_err(
	    parse("{\"identifier\":{\"type\":\"ip\",\"value\":\"::1\"},"
	          "\"wildcard\":true,\"status\":\"valid\",\"challenges\":[]}",
	        &a, &err),
	    &err, "a valid one for an address needs no challenge");
	is_int(a.status, STATUS_VALID, "status");
	ok(a.wildcard, "wildcard");
	authz_release(&a);
}

static void
test_hostile(void)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
	    {AUTHZ(NAME, CHALLENGE("http-01", "../../../../etc/cron.d/x")),
	        "token"},
	    {AUTHZ(NAME, CHALLENGE("http-01", "short")), "token"},
	    {AUTHZ(NAME,
	         CHALLENGE("tls-alpn-01", "$(id)AAAAAAAAAAAAAAAAAAAAAAAA")),
	        "token"},
	    {AUTHZ(NAME, CHALLENGE("http-01", TOKEN "\\n")), ""},
	    {AUTHZ(NAME,
	         "{\"type\":\"http-01\",\"status\":\"pending\","
	         "\"token\":\"" TOKEN "\",\"url\":\"file:///etc/passwd\"}"),
	        "challenge"},
	    {AUTHZ(NAME,
	         "{\"type\":\"http-01\",\"status\":5,"
	         "\"token\":\"" TOKEN "\",\"url\":\"https://a/\"}"),
	        "status"},
	    {AUTHZ(NAME, "5"), "no object"},
	    {AUTHZ("{\"type\":\"dns\",\"value\":\"../../x\"}", ""), ""},
	    {AUTHZ("{\"type\":\"dns\",\"value\":\"192.0.2.1\"}", ""),
	        "type dns"},
	    {AUTHZ("5", ""), "identifier"},
	    {"{\"identifier\":" NAME ",\"status\":\"Pending\","
	     "\"challenges\":[]}",
	        "status"},
	    {"{\"identifier\":" NAME ",\"status\":\"pending\"}", "challenges"},
	    {"null", ""}};
	struct authz a = {.wildcard = false};
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		fails(parse(bad[i].text, &a, &err), &err, ERR_PROTOCOL,
		    bad[i].want, "refused: %.70s", bad[i].text);
}

static void
test_error(void)
{
	static const char failed[] =
	    "{\"identifier\":" NAME
	    ",\"status\":\"invalid\",\"challenges\":[{\"type\":\"http-01\","
	    "\"status\":\"invalid\",\"url\":\"https://ca.test/"
	    "c\",\"token\":\"" TOKEN "\",\"error\":{\"type\":"
	    "\"urn:ietf:params:acme:error:connection\",\"detail\":"
	    "\"refused\"}}]}";
	struct authz a = {.wildcard = false};
	struct err err;
	enum status status;

	parse(failed, &a, &err);
	fails(authz_error(failed, strlen(failed), &a, &err), &err, ERR_PROTOCOL,
	    "www.example.test by http-01", "the failed challenge speaks");
	ok(strcmp(err.type, "connection") == 0, "with its type");
	authz_release(&a);
	parse(AUTHZ(NAME, ""), &a, &err);
	fails(authz_error("{}", 2, &a, &err), &err, ERR_PROTOCOL,
	    "does not say", "or nobody does");
	authz_release(&a);
	is_int(status_parse("invalid", &status), 0, "\"invalid\" is a status");
	is_int(status, STATUS_INVALID, "and not \"valid\"");
	is_int(status_parse("inval", &status), -1, "a prefix is none");
}

int
main(void)
{
	test_good();
	test_hostile();
	test_error();
	return done();
}
