#include <config.h>

#include "acme/authz.h"

#include <stdlib.h>
#include <string.h>

#include "acme/problem.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/url.h"

enum { TOKEN_MIN = 22 }; /* 128 bits in base64url (RFC 8555, 8.1) */

static const char *const status_names[] = {[STATUS_PENDING] = "pending",
    [STATUS_READY] = "ready",
    [STATUS_PROCESSING] = "processing",
    [STATUS_VALID] = "valid",
    [STATUS_INVALID] = "invalid",
    [STATUS_DEACTIVATED] = "deactivated",
    [STATUS_EXPIRED] = "expired",
    [STATUS_REVOKED] = "revoked"};

static const char *const type_names[] = {[CHALLENGE_HTTP01] = "http-01",
    [CHALLENGE_TLSALPN01] = "tls-alpn-01",
    [CHALLENGE_DNS01] = "dns-01"};

static int
find(const char *const *names, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return (int)i;
	return -1;
}

int
status_parse(const char *word, enum status *out)
{
	int i = find(
	    status_names, sizeof(status_names) / sizeof(*status_names), word);

	if (i == -1)
		return -1;
	*out = (enum status)i;
	return 0;
}

const char *
status_name(enum status status)
{
	return status_names[status];
}

int
challenge_type_parse(const char *name, enum challenge_type *out)
{
	int i = find(
	    type_names, sizeof(type_names) / sizeof(*type_names), name);

	if (i == -1)
		return -1;
	*out = (enum challenge_type)i;
	return 0;
}

const char *
challenge_type_name(enum challenge_type type)
{
	return type_names[type];
}

/* -- reading -- */

static bool
token_ok(const char *token)
{
	size_t len = strlen(token);

	return len >= TOKEN_MIN && len <= TOKEN_MAX &&
	    len ==
	    strspn(token,
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	        "-_");
}

static int
read_status(
    const char *what, const struct json *o, enum status *out, struct err *err)
{
	const char *word;

	if (json_get_string(what, o, "status", JSON_REQUIRED, &word, err) == -1)
		return -1;
	if (status_parse(word, out) == -1)
		return err_set(err, ERR_PROTOCOL,
		    "%s: status \"%.32s\" is none of RFC 8555's", what, word);
	return 0;
}

/* 1: read, 0: a type that nobody here knows, -1. */
static int
read_challenge(const struct json *o, struct challenge *out, struct err *err)
{
	struct challenge c = {.url = NULL};
	const char *type, *url, *token;

	if (json_get_string(
	        "challenge", o, "type", JSON_REQUIRED, &type, err) == -1)
		return -1;
	if (challenge_type_parse(type, &c.type) == -1)
		return 0;
	if (read_status("challenge", o, &c.status, err) == -1 ||
	    json_get_string("challenge", o, "url", JSON_REQUIRED, &url, err) ==
	        -1 ||
	    json_get_string(
	        "challenge", o, "token", JSON_REQUIRED, &token, err) == -1 ||
	    url_check_acme("challenge", url, err) == -1)
		return -1;
	if (!token_ok(token))
		return err_set(err, ERR_PROTOCOL,
		    "challenge: the token is not "
		    "base64url of %d to %d characters",
		    TOKEN_MIN, TOKEN_MAX);
	c.url = xstrdup(url);
	c.token = xstrdup(token);
	*out = c;
	return 1;
}

static int
read_challenges(const struct json *o, struct authz *a, struct err *err)
{
	const struct json *list, *c;
	int rc;

	if (json_get_array("authorization", o, "challenges", JSON_REQUIRED,
	        &list, err) == -1)
		return -1;
	for (size_t i = 0; i < json_len(list); i++) {
		if (!(c = json_object_at(list, i)))
			return err_set(err, ERR_PROTOCOL,
			    "authorization: a challenge is no object");
		if (a->n_challenges == CHALLENGES_MAX)
			break;
		rc = read_challenge(c, &a->challenges[a->n_challenges], err);
		if (rc == -1)
			return err_wrap(err, "authorization");
		a->n_challenges += (size_t)rc;
	}
	return 0;
}

static int
read_identifier(const struct json *o, struct authz *a, struct err *err)
{
	const struct json *id;
	const char *type, *value;

	if (json_get_object("authorization", o, "identifier", JSON_REQUIRED,
	        &id, err) == -1 ||
	    json_get_string(
	        "identifier", id, "type", JSON_REQUIRED, &type, err) == -1 ||
	    json_get_string(
	        "identifier", id, "value", JSON_REQUIRED, &value, err) == -1 ||
	    identifier_parse(value, &a->identifier, err) == -1)
		return -1;
	if (strcmp(type, identifier_type_name(a->identifier.type)) != 0)
		return err_set(err, ERR_PROTOCOL,
		    "authorization: %s is no identifier of type %.32s",
		    a->identifier.value, type);
	return json_get_bool(
	    "authorization", o, "wildcard", JSON_OPTIONAL, &a->wildcard, err);
}

int
authz_read(const void *body, size_t len, struct authz *out, struct err *err)
{
	struct authz a = {.wildcard = false};
	struct json *doc = json_parse("authorization", body, len, err);
	int rc = -1;

	if (doc && read_identifier(doc, &a, err) == 0 &&
	    read_status("authorization", doc, &a.status, err) == 0 &&
	    read_challenges(doc, &a, err) == 0) {
		*out = a;
		rc = 0;
	} else {
		authz_release(&a);
		/* what a CA sends is its protocol, whoever noticed */
		if (err)
			err->code = ERR_PROTOCOL;
	}
	json_free(doc);
	return rc;
}

void
authz_release(struct authz *a)
{
	for (size_t i = 0; i < a->n_challenges; i++) {
		free(a->challenges[i].url);
		free(a->challenges[i].token);
	}
	a->n_challenges = 0;
}

int
authz_error(
    const void *body, size_t len, const struct authz *authz, struct err *err)
{
	struct json *doc = json_parse("authorization", body, len, NULL);
	const struct json *list = NULL, *c, *problem = NULL;
	const char *name = authz->identifier.value, *type = "";
	char what[NAME_MAX_LEN + 64];

	if (doc)
		(void)json_get_array("authorization", doc, "challenges",
		    JSON_OPTIONAL, &list, NULL);
	for (size_t i = 0; list && !problem && i < json_len(list); i++) {
		if (!(c = json_object_at(list, i)))
			continue;
		(void)json_get_object(
		    "challenge", c, "error", JSON_OPTIONAL, &problem, NULL);
		(void)json_get_string(
		    "challenge", c, "type", JSON_OPTIONAL, &type, NULL);
	}
	if (problem &&
	    fmt_fit(what, sizeof(what), "validation of %s by %.32s", name,
	        type) == 0)
		problem_read(what, problem, err);
	else
		err_set(err, ERR_PROTOCOL,
		    "the authorization for %s is %s, "
		    "and the CA does not say why",
		    name, status_name(authz->status));
	json_free(doc);
	return -1;
}

const struct challenge *
authz_challenge(const struct authz *a, enum challenge_type type)
{
	for (size_t i = 0; i < a->n_challenges; i++)
		if (a->challenges[i].type == type)
			return &a->challenges[i];
	return NULL;
}

void
key_authorization(
    const char *token, const char *thumbprint, char out[KEY_AUTHORIZATION_MAX])
{
	/* cannot be too long: token_ok() and 43 characters of SHA-256 */
	if (fmt_fit(out, KEY_AUTHORIZATION_MAX, "%s.%s", token, thumbprint) ==
	    -1)
		abort();
}
