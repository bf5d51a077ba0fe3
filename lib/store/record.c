#include <config.h>

#include "store/record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "store/layout.h"
#include "store/store.h"

enum {
	KEY_SIZE = 64 * 1024,
	TOKEN_SIZE = 8 * 1024,
	NONCE_SIZE = 512,
	THUMBPRINT_LEN = 43	/* base64url of SHA-256 */
};

#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
    "0123456789-_"

/* -- what all records share ----------------------------------------------- */

/* Missing or damaged, in contrast to a store that fails. */
static bool
is_unusable(const struct err *err)
{
	return err->code == ERR_ABSENT || err->code == ERR_DATA;
}

/* NULL with ERR_ABSENT, ERR_DATA, or what the store says. */
static struct json *
load_json(struct store *s, const char *path, size_t max, struct err *err)
{
	struct buf text = BUF_INIT;
	struct json *o = NULL;

	if (store_get(s, path, max, &text, NULL, err) == 0)
		o = json_parse(path, buf_str(&text), text.len, err);
	buf_release(&text);
	return o;
}

static int
save_json(struct store *s, const char *path, const struct json *o,
    enum json_style style, enum store_how how, struct err *err)
{
	struct buf text = BUF_INIT;
	int rc;

	json_print(o, style, &text);
	rc = store_put(s, path, text.data, text.len, how, err);
	buf_release(&text);
	return rc;
}

static struct key *
load_key(struct store *s, const char *path, struct err *err)
{
	struct buf pem = BUF_SECRET;
	struct key *key = NULL;

	if (store_get(s, path, KEY_SIZE, &pem, NULL, err) == 0)
		key = key_load(path, buf_str(&pem), pem.len, err);
	buf_release(&pem);
	return key;
}

static int
save_key(struct store *s, const char *path, const struct key *key,
    enum store_how how, struct err *err)
{
	struct buf pem = BUF_SECRET;
	int rc = key_save(key, &pem, err);

	if (rc == 0)
		rc = store_put(s, path, pem.data, pem.len, how, err);
	buf_release(&pem);
	return rc;
}

/* -- the account ---------------------------------------------------------- */

/* The account's URL; NULL and err when the record is of no use. */
static const char *
record_url(const char *path, const struct json *record, struct err *err)
{
	const char *url = NULL, *status = NULL;

	if (json_get_string(path, record, "location", JSON_REQUIRED, &url,
	    err) == -1 ||
	    json_get_string(path, record, "status", JSON_OPTIONAL, &status,
	    err) == -1 ||
	    url_check_acme(path, url, err) == -1)
		return NULL;
	if (status && *status && strcmp(status, "valid") != 0) {
		err_set(err, ERR_DATA, "%s: the account's status is \"%s\"",
		    path, status);
		return NULL;
	}
	return url;
}

static int
load_record(struct store *s, const char *path, struct account_files *out,
    struct err *err)
{
	struct err e = ERR_INIT;
	const char *url;

	out->record = load_json(s, path, JSON_SIZE, &e);
	if (!out->record && !is_unusable(&e)) {
		*err = e;
		return -1;
	}
	url = out->record ? record_url(path, out->record, &e) : NULL;
	if (url) {
		out->url = xstrdup(url);
		return 0;
	}
	if (e.code != ERR_ABSENT)
		log_warn("account", "the record is left aside: %s", e.text);
	json_free(out->record);
	out->record = NULL;
	return 0;
}

int
account_files_load(struct store *s, const char *issuer, const char *email,
    struct account_files *out, struct err *err)
{
	char path[LAYOUT_KEY_MAX];
	struct account_files a = { .key = NULL };
	struct err e = ERR_INIT;

	if (layout_account(issuer, email, ".key", path, err) == -1)
		return -1;
	a.key = load_key(s, path, &e);
	if (!a.key && e.code != ERR_ABSENT) {
		*err = e;
		return -1;
	}
	if (layout_account(issuer, email, ".json", path, err) == -1 ||
	    load_record(s, path, &a, err) == -1) {
		account_files_release(&a);
		return -1;
	}
	*out = a;
	return 0;
}

void
account_files_release(struct account_files *a)
{
	key_free(a->key);
	free(a->url);
	json_free(a->record);
	*a = (struct account_files){ .key = NULL };
}

int
account_key_save(struct store *s, const char *issuer, const char *email,
    const struct key *key, struct err *err)
{
	char path[LAYOUT_KEY_MAX];

	if (layout_account(issuer, email, ".key", path, err) == -1)
		return -1;
	return save_key(s, path, key, STORE_NEW, err);
}

int
account_record_save(struct store *s, const char *issuer, const char *email,
    const struct json *record, struct err *err)
{
	char path[LAYOUT_KEY_MAX];

	if (layout_account(issuer, email, ".json", path, err) == -1)
		return -1;
	return save_json(s, path, record, JSON_TABS, STORE_REPLACE, err);
}

/* -- the challenge token -------------------------------------------------- */

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
	return *type && type[strspn(type, "abcdefghijklmnopqrstuvwxyz"
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

	if (json_get_object(what, o, "identifier", JSON_REQUIRED, &id,
	    err) == -1 ||
	    json_get_string(what, id, "type", JSON_REQUIRED, &type,
	    err) == -1 ||
	    json_get_string(what, id, "value", JSON_REQUIRED, &value,
	    err) == -1)
		return -1;
	if (identifier_parse(value, out, err) == -1) {
		err->code = ERR_DATA;
		return err_wrap(err, "%s: identifier", what);
	}
	if (strcmp(type, identifier_type_name(out->type)) != 0)
		return err_set(err, ERR_DATA, "%s: identifier: \"%s\" is not "
		    "of the type it says", what, out->value);
	return 0;
}

/* Foreign programs write these files: nothing in them is taken on trust. */
static int
token_read(const char *what, const struct json *o, struct token *t,
    struct err *err)
{
	if (copy_string(what, o, "type", t->type, sizeof(t->type),
	    err) == -1 ||
	    copy_string(what, o, "token", t->token, sizeof(t->token),
	    err) == -1 ||
	    copy_string(what, o, "keyAuthorization", t->key_authorization,
	    sizeof(t->key_authorization), err) == -1 ||
	    read_identifier(what, o, &t->identifier, err) == -1)
		return -1;
	if (!type_ok(t->type))
		return err_set(err, ERR_DATA, "%s: type: not a challenge's",
		    what);
	if (!authorization_ok(t->token, t->key_authorization))
		return err_set(err, ERR_DATA, "%s: token and keyAuthorization "
		    "do not fit or are not base64url", what);
	return 0;
}

int
token_get(struct store *s, const char *issuer, const char *name,
    struct token *out, struct err *err)
{
	char path[LAYOUT_KEY_MAX], own[NAME_MAX_LEN + 1];
	struct token t = { .type = "" };
	struct json *o;
	int rc;

	if (layout_token(issuer, name, path, err) == -1)
		return -1;
	o = load_json(s, path, TOKEN_SIZE, err);
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
		return err_set(err, ERR_DATA, "challenge token of %s: not "
		    "base64url, or its key authorization does not fit",
		    t->identifier.value);
	token_name(t, name);
	if (layout_token(issuer, name, path, err) == -1)
		return -1;
	o = token_print(t, url);
	rc = save_json(s, path, o, JSON_COMPACT, STORE_CACHE, err);
	json_free(o);
	return rc;
}

/* Whoever has put another one there in the meantime still needs it. */
int
token_del(struct store *s, const char *issuer, const struct token *t,
    struct err *err)
{
	char path[LAYOUT_KEY_MAX], name[NAME_MAX_LEN + 1];
	struct token there = { .type = "" };
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

/* -- the journal of an order ---------------------------------------------- */

static char *
journal_path(const char *issuer, const char *name, const char *file,
    struct err *err)
{
	char folder[LAYOUT_KEY_MAX];

	if (layout_journal(issuer, name, folder, err) == -1)
		return NULL;
	return xasprintf("%s%s%s", folder, *file ? "/" : "", file);
}

static int
read_names(const char *what, const struct json *o, struct journal *j,
    struct err *err)
{
	const struct json *names = NULL;
	const char *text;
	size_t i, n;

	if (json_get_array(what, o, "names", JSON_REQUIRED, &names, err) == -1)
		return -1;
	n = json_len(names);
	if (n == 0)
		return err_set(err, ERR_DATA, "%s: names: none", what);
	j->names = xcalloc(n, sizeof(*j->names));
	for (i = 0; i < n; i++) {
		text = json_string_at(names, i);
		if (!text)
			return err_set(err, ERR_DATA, "%s: names: not text",
			    what);
		if (identifier_parse(text, &j->names[i], err) == -1)
			return err_wrap(err, "%s: names", what);
	}
	j->n_names = n;
	return 0;
}

static int
read_journal(const char *what, const struct json *o, struct journal *j,
    struct err *err)
{
	const char *type = NULL, *url = NULL;

	if (read_names(what, o, j, err) == -1 ||
	    json_get_string(what, o, "key_type", JSON_REQUIRED, &type,
	    err) == -1 ||
	    json_get_bool(what, o, "must_staple", JSON_REQUIRED,
	    &j->must_staple, err) == -1 ||
	    json_get_string(what, o, "order", JSON_OPTIONAL, &url, err) == -1)
		return -1;
	if (key_type_parse(type, &j->key_type) == -1)
		return err_set(err, ERR_DATA, "%s: key_type: unknown", what);
	if (url && url_check_acme(what, url, err) == -1)
		return -1;
	j->order_url = url ? xstrdup(url) : NULL;
	return 0;
}

/* *lost: something is there, but of no use. */
static int
load_journal(struct store *s, const char *order, const char *pem,
    struct journal *j, bool *lost, struct err *err)
{
	struct json *o = load_json(s, order, JSON_SIZE, err);
	int rc;

	*lost = !o && is_unusable(err);
	if (!o)
		return -1;
	rc = read_journal(order, o, j, err);
	json_free(o);
	*lost = rc == -1;
	if (rc == -1)
		return -1;
	j->key = load_key(s, pem, err);
	*lost = !j->key && err->code == ERR_DATA;
	return j->key || err->code == ERR_ABSENT ? 0 : -1;
}

int
journal_load(struct store *s, const char *issuer, const char *name,
    struct journal *out, bool *found, struct err *err)
{
	char *order = journal_path(issuer, name, "order.json", err);
	char *pem = order ? journal_path(issuer, name, "key.pem", err) : NULL;
	struct journal j = { .names = NULL };
	struct err e = ERR_INIT;
	bool lost = false;
	int rc = -1;

	*found = false;
	if (!pem)
		goto out;
	rc = load_journal(s, order, pem, &j, &lost, &e);
	if (rc == 0) {
		*out = j;
		*found = true;
		goto out;
	}
	journal_release(&j);
	if (lost) {
		rc = 0;
		if (e.code != ERR_ABSENT)
			log_warn(name, "the journal of its order is left "
			    "aside: %s", e.text);
	} else {
		*err = e;
	}
out:
	free(order);
	free(pem);
	return rc;
}

static struct json *
print_journal(const struct journal *j)
{
	struct json *o = json_new_object(), *names = json_new_array();
	size_t i;

	for (i = 0; i < j->n_names; i++)
		json_append_string(names, j->names[i].value);
	json_add(o, "names", names);
	json_add_string(o, "key_type", key_type_name(j->key_type));
	json_add_bool(o, "must_staple", j->must_staple);
	if (j->order_url)
		json_add_string(o, "order", j->order_url);
	return o;
}

int
journal_save(struct store *s, const char *issuer, const char *name,
    const struct journal *j, struct err *err)
{
	char *path = journal_path(issuer, name, "order.json", err);
	struct json *o;
	int rc;

	if (!path)
		return -1;
	o = print_journal(j);
	rc = save_json(s, path, o, JSON_TABS, STORE_REPLACE, err);
	json_free(o);
	free(path);
	return rc;
}

int
journal_save_key(struct store *s, const char *issuer, const char *name,
    const struct key *key, struct err *err)
{
	char *path = journal_path(issuer, name, "key.pem", err);
	int rc;

	if (!path)
		return -1;
	rc = save_key(s, path, key, STORE_REPLACE, err);
	free(path);
	return rc;
}

int
journal_remove(struct store *s, const char *issuer, const char *name,
    struct err *err)
{
	char *path = journal_path(issuer, name, "", err);
	int rc;

	if (!path)
		return -1;
	rc = store_del(s, path, err);
	free(path);
	return rc;
}

void
journal_release(struct journal *j)
{
	free(j->names);
	free(j->order_url);
	key_free(j->key);
	*j = (struct journal){ .names = NULL };
}

/* -- what a run remembers of a CA ----------------------------------------- */

/* Nothing here is missed when it is gone, so nothing fails. */
static void
not_remembered(const char *what, const struct err *err)
{
	log_debug(what, "not remembered: %s", err->text);
}

static int
read_directory(const char *what, const struct json *o,
    const char *directory_url, struct buf *out, time_t *when, struct err *err)
{
	const char *url = NULL, *fetched = NULL;
	const struct json *body = NULL;

	if (json_get_string(what, o, "url", JSON_REQUIRED, &url, err) == -1 ||
	    json_get_string(what, o, "fetched", JSON_REQUIRED, &fetched,
	    err) == -1 ||
	    json_get_object(what, o, "directory", JSON_REQUIRED, &body,
	    err) == -1)
		return -1;
	if (strcmp(url, directory_url) != 0 ||
	    date_parse(fetched, strlen(fetched), when, NULL) == -1)
		return -1;
	json_print(body, JSON_COMPACT, out);
	return 0;
}

void
directory_cache_load(struct store *s, const char *issuer,
    const char *directory_url, struct buf *out, time_t *when)
{
	char path[LAYOUT_KEY_MAX];
	struct err ignored = ERR_INIT;
	struct json *o;

	buf_clear(out);
	*when = 0;
	if (layout_own(issuer, "directory.json", path, &ignored) == -1)
		return;
	o = load_json(s, path, JSON_SIZE, &ignored);
	if (o && read_directory(path, o, directory_url, out, when,
	    &ignored) == -1)
		*when = 0;
	json_free(o);
}

void
directory_cache_save(struct store *s, const char *issuer,
    const char *directory_url, const struct buf *body, time_t now)
{
	char path[LAYOUT_KEY_MAX], fetched[DATE_MAX];
	struct err err = ERR_INIT;
	struct json *o, *directory;

	directory = json_parse("directory", buf_str(body), body->len, &err);
	if (!directory || layout_own(issuer, "directory.json", path,
	    &err) == -1) {
		json_free(directory);
		not_remembered("directory", &err);
		return;
	}
	o = json_new_object();
	json_add_string(o, "url", directory_url);
	json_add_string(o, "fetched", date_format(now, fetched));
	json_add(o, "directory", directory);
	if (save_json(s, path, o, JSON_COMPACT, STORE_CACHE, &err) == -1)
		not_remembered("directory", &err);
	json_free(o);
}

static void
forget(struct store *s, const char *issuer, const char *what)
{
	char path[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;

	if (layout_own(issuer, what, path, &err) == -1 ||
	    store_del(s, path, &err) == -1)
		log_debug(what, "not forgotten: %s", err.text);
}

void
directory_cache_forget(struct store *s, const char *issuer)
{
	forget(s, issuer, "directory.json");
}

/* RFC 8555, 6.5.1: base64url */
static bool
nonce_ok(const char *nonce)
{
	return *nonce && nonce[strspn(nonce, BASE64URL)] == '\0';
}

char *
nonce_cache_take(struct store *s, const char *issuer)
{
	char path[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;
	struct buf text = BUF_INIT;
	char *nonce = NULL;

	if (layout_own(issuer, "nonce", path, &err) == 0 &&
	    store_get(s, path, NONCE_SIZE, &text, NULL, &err) == 0 &&
	    store_del(s, path, &err) == 0 &&
	    strlen(buf_str(&text)) == text.len && nonce_ok(buf_str(&text)))
		nonce = xstrdup(buf_str(&text));
	buf_release(&text);
	return nonce;
}

void
nonce_cache_save(struct store *s, const char *issuer, const char *nonce)
{
	char path[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;

	if (!nonce_ok(nonce))
		return;
	if (layout_own(issuer, "nonce", path, &err) == -1 ||
	    store_put(s, path, nonce, strlen(nonce), STORE_CACHE, &err) == -1)
		not_remembered("nonce", &err);
}
