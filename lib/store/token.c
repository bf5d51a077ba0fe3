#include <config.h>

#include "store/token.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "store/layout.h"
#include "store/object.h"
#include "store/store.h"

enum {
	TOKEN_SIZE = 8 * 1024,
	THUMBPRINT_LEN = 43 /* base64url of SHA-256 */
};

#define BASE64URL                                                              \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"                 \
	"0123456789-_"

/* The name its file has: what a probe asks for (RFC 8738, 6 for addresses). */
static void
token_name(const struct token *t, char out[NAME_MAX_LEN + 1])
{
	if (strcmp(t->type, "tls-alpn-01") == 0)
		identifier_sni(&t->identifier, out);
	else
		memcpy(out, t->identifier.value, NAME_MAX_LEN + 1);
}

/* RFC 8555, 8.1 and 8.3: base64url, and the same before a thumbprint. */
static bool
authorization_ok(const char *token, const char *authorization)
{
	size_t len = strlen(token);

	return len >= 1 && strspn(token, BASE64URL) == len &&
	    strncmp(authorization, token, len) == 0 &&
	    authorization[len] == '.' &&
	    strlen(authorization + len + 1) == THUMBPRINT_LEN &&
	    strspn(authorization + len + 1, BASE64URL) == THUMBPRINT_LEN;
}

static bool
type_ok(const char *type)
{
	return *type &&
	    type[strspn(type,
	        "abcdefghijklmnopqrstuvwxyz"
	        "0123456789-")] == '\0';
}

static int
copy_string(const char *what, const struct json *o, const char *member,
    char *out, size_t size, struct err *err)
{
	const char *text = NULL;

	if (json_get_string(what, o, member, JSON_REQUIRED, &text, err) == -1)
		return -1;
	if (fmt_fit(out, size, "%s", text) == -1)
		return err_set(err, ERR_DATA, "%s: %s: too long", what, member);
	return 0;
}

static int
read_identifier(const char *what, const struct json *o, struct identifier *out,
    struct err *err)
{
	const struct json *id = NULL;
	const char *type = NULL, *value = NULL;

	if (json_get_object(what, o, "identifier", JSON_REQUIRED, &id, err) ==
	        -1 ||
	    json_get_string(what, id, "type", JSON_REQUIRED, &type, err) ==
	        -1 ||
	    json_get_string(what, id, "value", JSON_REQUIRED, &value, err) ==
	        -1)
		return -1;
	if (identifier_parse(value, out, err) == -1) {
		err->code = ERR_DATA;
		return err_wrap(err, "%s: identifier", what);
	}
	if (strcmp(type, identifier_type_name(out->type)) != 0)
		return err_set(err, ERR_DATA,
		    "%s: identifier: \"%s\" is not "
		    "of the type it says",
		    what, out->value);
	return 0;
}

/* Foreign programs write these files: nothing in them is taken on trust. */
static int
token_read(
    const char *what, const struct json *o, struct token *t, struct err *err)
{
	if (copy_string(what, o, "type", t->type, sizeof(t->type), err) == -1 ||
	    copy_string(what, o, "token", t->token, sizeof(t->token), err) ==
	        -1 ||
	    copy_string(what, o, "keyAuthorization", t->key_authorization,
	        sizeof(t->key_authorization), err) == -1 ||
	    read_identifier(what, o, &t->identifier, err) == -1)
		return -1;
	if (!type_ok(t->type))
		return err_set(
		    err, ERR_DATA, "%s: type: not a challenge's", what);
	if (!authorization_ok(t->token, t->key_authorization))
		return err_set(err, ERR_DATA,
		    "%s: token and keyAuthorization "
		    "do not fit or are not base64url",
		    what);
	return 0;
}

int
token_get(struct store *s, const char *issuer, const char *name,
    struct token *out, struct err *err)
{
	char path[LAYOUT_KEY_MAX], own[NAME_MAX_LEN + 1];
	struct token t = {.type = ""};
	struct json *o;
	int rc;

	if (layout_token(issuer, name, path, err) == -1)
		return -1;
	o = object_load_json(s, path, TOKEN_SIZE, err);
	if (!o)
		return -1;
	rc = token_read(path, o, &t, err);
	json_free(o);
	if (rc == -1)
		return -1;
	token_name(&t, own);
	if (!name_equal(own, name) && !name_equal(t.identifier.value, name))
		return err_set(err, ERR_DATA, "%s: is for \"%s\"", path,
		    t.identifier.value);
	*out = t;
	return 0;
}

static struct json *
token_print(const struct token *t, const char *url)
{
	struct json *o = json_new_object(), *id = json_new_object();

	json_add_string(o, "type", t->type);
	json_add_string(o, "url", url);
	json_add_string(o, "status", "pending");
	json_add_string(o, "token", t->token);
	json_add_string(o, "keyAuthorization", t->key_authorization);
	json_add_string(id, "type", identifier_type_name(t->identifier.type));
	json_add_string(id, "value", t->identifier.value);
	json_add(o, "identifier", id);
	return o;
}

/* After a power cut the order is resumed and presents again: no fsync. */
int
token_put(struct store *s, const char *issuer, const struct token *t,
    const char *url, struct err *err)
{
	char path[LAYOUT_KEY_MAX], name[NAME_MAX_LEN + 1];
	struct json *o;
	int rc;

	if (!type_ok(t->type) ||
	    !authorization_ok(t->token, t->key_authorization))
		return err_set(err, ERR_DATA,
		    "challenge token of %s: not "
		    "base64url, or its key authorization does not fit",
		    t->identifier.value);
	token_name(t, name);
	if (layout_token(issuer, name, path, err) == -1)
		return -1;
	o = token_print(t, url);
	rc = object_save_json(s, path, o, JSON_COMPACT, STORE_CACHE, err);
	json_free(o);
	return rc;
}

/* Whoever has put another one there in the meantime still needs it. */
int
token_del(
    struct store *s, const char *issuer, const struct token *t, struct err *err)
{
	char path[LAYOUT_KEY_MAX], name[NAME_MAX_LEN + 1];
	struct token there = {.type = ""};
	struct err e = ERR_INIT;

	token_name(t, name);
	if (layout_token(issuer, name, path, err) == -1)
		return -1;
	if (token_get(s, issuer, name, &there, &e) == 0) {
		if (strcmp(there.token, t->token) != 0)
			return 0;
	} else if (e.code == ERR_ABSENT) {
		return 0;
	} else if (e.code != ERR_DATA) {
		*err = e;
		return -1;
	}
	return store_del(s, path, err);
}
