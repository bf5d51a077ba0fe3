#include <config.h>

#include "store/account.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "pki/key.h"
#include "store/layout.h"
#include "store/object.h"
#include "store/store.h"

/* The account's URL; NULL and err when the record is of no use. */
static const char *
record_url(const char *path, const struct json *record, struct err *err)
{
	const char *url = NULL, *status = NULL;

	if (json_get_string(
	        path, record, "location", JSON_REQUIRED, &url, err) == -1 ||
	    json_get_string(
	        path, record, "status", JSON_OPTIONAL, &status, err) == -1 ||
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

	out->record = object_load_json(s, path, JSON_SIZE, &e);
	if (!out->record && !object_is_unusable(&e)) {
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
	struct account_files a = {.key = NULL};
	struct err e = ERR_INIT;

	if (layout_account(issuer, email, ".key", path, err) == -1)
		return -1;
	a.key = object_load_key(s, path, &e);
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
	*a = (struct account_files){.key = NULL};
}

int
account_key_save(struct store *s, const char *issuer, const char *email,
    const struct key *key, struct err *err)
{
	char path[LAYOUT_KEY_MAX];

	if (layout_account(issuer, email, ".key", path, err) == -1)
		return -1;
	return object_save_key(s, path, key, STORE_NEW, err);
}

int
account_record_save(struct store *s, const char *issuer, const char *email,
    const struct json *record, struct err *err)
{
	char path[LAYOUT_KEY_MAX];

	if (layout_account(issuer, email, ".json", path, err) == -1)
		return -1;
	return object_save_json(s, path, record, JSON_TABS, STORE_REPLACE, err);
}
