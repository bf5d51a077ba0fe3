#include <config.h>

#include "store/journal.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "store/layout.h"
#include "store/object.h"
#include "store/store.h"

static char *
journal_path(
    const char *issuer, const char *name, const char *file, struct err *err)
{
	char folder[LAYOUT_KEY_MAX];

	if (layout_journal(issuer, name, folder, err) == -1)
		return NULL;
	return xasprintf("%s%s%s", folder, *file ? "/" : "", file);
}

static int
read_names(
    const char *what, const struct json *o, struct journal *j, struct err *err)
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
			return err_set(
			    err, ERR_DATA, "%s: names: not text", what);
		if (identifier_parse(text, &j->names[i], err) == -1)
			return err_wrap(err, "%s: names", what);
	}
	j->n_names = n;
	return 0;
}

static int
read_journal(
    const char *what, const struct json *o, struct journal *j, struct err *err)
{
	const char *type = NULL, *url = NULL;

	if (read_names(what, o, j, err) == -1 ||
	    json_get_string(what, o, "key_type", JSON_REQUIRED, &type, err) ==
	        -1 ||
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
	struct json *o = object_load_json(s, order, JSON_SIZE, err);
	int rc;

	*lost = !o && object_is_unusable(err);
	if (!o)
		return -1;
	rc = read_journal(order, o, j, err);
	json_free(o);
	*lost = rc == -1;
	if (rc == -1)
		return -1;
	j->key = object_load_key(s, pem, err);
	*lost = !j->key && err->code == ERR_DATA;
	return j->key || err->code == ERR_ABSENT ? 0 : -1;
}

int
journal_load(struct store *s, const char *issuer, const char *name,
    struct journal *out, bool *found, struct err *err)
{
	char *order = journal_path(issuer, name, "order.json", err);
	char *pem = order ? journal_path(issuer, name, "key.pem", err) : NULL;
	struct journal j = {.names = NULL};
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
			log_warn(name,
			    "the journal of its order is left "
			    "aside: %s",
			    e.text);
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
	rc = object_save_json(s, path, o, JSON_TABS, STORE_REPLACE, err);
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
	rc = object_save_key(s, path, key, STORE_REPLACE, err);
	free(path);
	return rc;
}

int
journal_remove(
    struct store *s, const char *issuer, const char *name, struct err *err)
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
	*j = (struct journal){.names = NULL};
}
