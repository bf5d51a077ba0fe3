#include <config.h>

#include "acme/directory.h"

#include <stdint.h>
#include <stdlib.h>

#include "acme/problem.h"
#include "base/err.h"
#include "base/json.h"
#include "base/url.h"

static int
read_url(const struct json *o, const char *member, enum json_need need,
    char **out, struct err *err)
{
	const char *text = NULL;

	if (json_get_string("directory", o, member, need, &text, err) == -1) {
		if (err)
			err->code = ERR_PROTOCOL;
		return -1;
	}
	if (!text)
		return 0;
	if (url_check_acme(member, text, err) == -1)
		return err_wrap(err, "directory");
	*out = xstrdup(text);
	return 0;
}

/* What the CA says of itself. All of it is optional (RFC 8555, 7.1.1). */
static void
read_meta(const struct json *meta, struct directory *d)
{
	const struct json *list = NULL, *profiles = NULL;
	const char *terms = NULL, *text;

	(void)json_get_string(
	    "meta", meta, "termsOfService", JSON_OPTIONAL, &terms, NULL);
	if (terms)
		d->terms = xstrdup(terms);
	(void)json_get_bool("meta", meta, "externalAccountRequired",
	    JSON_OPTIONAL, &d->eab_required, NULL);
	(void)json_get_array(
	    "meta", meta, "caaIdentities", JSON_OPTIONAL, &list, NULL);
	for (size_t i = 0; list && i < json_len(list); i++)
		if ((text = json_string_at(list, i)))
			strings_add(&d->caa, text);
	(void)json_get_object(
	    "meta", meta, "profiles", JSON_OPTIONAL, &profiles, NULL);
	for (size_t i = 0; profiles && (text = json_member_at(profiles, i));
	     i++)
		strings_add(&d->profiles, text);
}

int
directory_read(const char *url, const void *body, size_t len,
    struct directory *out, struct err *err)
{
	struct directory d = {.url = NULL};
	const struct json *meta = NULL;
	struct json *doc;
	int rc = -1;

	if (!(doc = json_parse("directory", body, len, err))) {
		if (err)
			err->code = ERR_PROTOCOL;
		return err_wrap(err, "%s is no ACME directory", url);
	}
	if (read_url(doc, "newNonce", JSON_REQUIRED, &d.new_nonce, err) == -1 ||
	    read_url(doc, "newAccount", JSON_REQUIRED, &d.new_account, err) ==
	        -1 ||
	    read_url(doc, "newOrder", JSON_REQUIRED, &d.new_order, err) == -1 ||
	    read_url(doc, "revokeCert", JSON_OPTIONAL, &d.revoke_cert, err) ==
	        -1 ||
	    read_url(doc, "keyChange", JSON_OPTIONAL, &d.key_change, err) ==
	        -1 ||
	    read_url(doc, "renewalInfo", JSON_OPTIONAL, &d.renewal_info, err) ==
	        -1)
		goto out;
	(void)json_get_object(
	    "directory", doc, "meta", JSON_OPTIONAL, &meta, NULL);
	if (meta)
		read_meta(meta, &d);
	d.url = xstrdup(url);
	*out = d;
	d = (struct directory){.url = NULL};
	rc = 0;
out:
	directory_release(&d);
	json_free(doc);
	return rc;
}

void
directory_release(struct directory *d)
{
	free(d->url);
	free(d->new_nonce);
	free(d->new_account);
	free(d->new_order);
	free(d->revoke_cert);
	free(d->key_change);
	free(d->renewal_info);
	free(d->terms);
	strings_release(&d->profiles);
	strings_release(&d->caa);
	*d = (struct directory){.url = NULL};
}

/* -- the flow that fetches it -- */

static int
ask_directory(void *self, struct asks *asks, struct err *err)
{
	struct directory_fetch *f = self;

	(void)err;
	asks_add(asks, ASK_GET, "directory")->url = f->url;
	return 0;
}

static int
got_directory(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct directory_fetch *f = self;

	if (problem_check(ask->what, answer, err) == -1 ||
	    directory_read(f->url, answer->body, answer->body_len, f->directory,
	        err) == -1)
		return FLOW_FAIL;
	buf_put(&f->body, answer->body, answer->body_len);
	return FLOW_NEXT;
}

void
directory_fetch_init(
    struct directory_fetch *f, const char *url, struct directory *directory)
{
	static const struct step steps[] = {
	    {"directory", ask_directory, got_directory},
	    {NULL, NULL, NULL},
	};

	*f = (struct directory_fetch){.url = url, .directory = directory};
	flow_init(&f->flow, url, steps, SIZE_MAX, f);
}

void
directory_fetch_release(struct directory_fetch *f)
{
	buf_release(&f->body);
	flow_release(&f->flow);
}
