#include <config.h>

#include "store/certificate.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "store/layout.h"
#include "store/store.h"

enum { KEY_SIZE = 64 * 1024, LOAD_TRIES = 8 };

/* Keys of the three objects of a certificate. */
struct paths {
	char folder[LAYOUT_KEY_MAX];
	char *key, *chain, *meta;
};

static char *
path_of(
    const char *folder, const char *name, const char *suffix, struct err *err)
{
	char file[LAYOUT_KEY_MAX];

	if (layout_cert_file(name, suffix, file, err) == -1)
		return NULL;
	return xasprintf("%s/%s", folder, file);
}

static void
paths_release(struct paths *p)
{
	free(p->key);
	free(p->chain);
	free(p->meta);
}

static int
paths_init(
    struct paths *p, const char *issuer, const char *name, struct err *err)
{
	p->key = p->chain = p->meta = NULL;
	if (layout_cert_folder(issuer, name, p->folder, err) == -1)
		return -1;
	p->key = path_of(p->folder, name, ".key", err);
	p->chain = path_of(p->folder, name, ".crt", err);
	p->meta = path_of(p->folder, name, ".json", err);
	if (p->key && p->chain && p->meta)
		return 0;
	paths_release(p);
	return -1;
}

/* -- loading -------------------------------------------------------------- */

static int
load_meta(struct store *s, const char *path, struct json **out,
    char version[STORE_VERSION_MAX], struct err *err)
{
	struct buf text = BUF_INIT;
	int rc = store_get(s, path, JSON_SIZE, &text, version, err);

	if (rc == 0) {
		*out = json_parse(path, buf_str(&text), text.len, err);
		rc = *out ? 0 : -1;
	}
	buf_release(&text);
	return rc;
}

static int
load_key(
    struct store *s, const char *path, struct certificate *c, struct err *err)
{
	struct buf pem = BUF_SECRET;
	unsigned char id[sizeof(c->cert.key_id)];
	struct key *key = NULL;
	int rc = store_get(s, path, KEY_SIZE, &pem, NULL, err);

	if (rc == 0) {
		key = key_load(path, buf_str(&pem), pem.len, err);
		rc = key ? key_id(key, id, err) : -1;
	}
	if (rc == 0) {
		c->key_checked = true;
		c->key_matches = memcmp(id, c->cert.key_id, sizeof(id)) == 0;
	}
	key_free(key);
	buf_release(&pem);
	return rc;
}

/* That the key is there is told without reading it. */
static int
check_key_there(struct store *s, const struct paths *p, struct err *err)
{
	struct strings names = {.n = 0};
	int rc = store_list(s, p->folder, &names, err);

	if (rc == 0 && !strings_have(&names, strrchr(p->key, '/') + 1))
		rc = err_set(err, ERR_ABSENT, "%s/%s: there is none",
		    store_location(s), p->key);
	strings_release(&names);
	return rc;
}

/* What one look at the objects tells. */
enum look {
	LOOK_FAILED = -1,
	LOOK_WHOLE,
	LOOK_TORN, /* the metadata changed meanwhile */
	LOOK_UNFIT /* it did not, but the key is not the chain's */
};

static enum look
load_once(struct store *s, const struct paths *p, bool with_key,
    struct certificate *c, struct err *err)
{
	char before[STORE_VERSION_MAX], after[STORE_VERSION_MAX];
	struct buf again = BUF_INIT;
	int rc;

	if (load_meta(s, p->meta, &c->meta, before, err) == -1 ||
	    store_get(s, p->chain, CERT_SIZE, &c->chain, NULL, err) == -1 ||
	    cert_read(p->chain, buf_str(&c->chain), c->chain.len, &c->cert,
	        err) == -1)
		return LOOK_FAILED;
	rc = with_key ? load_key(s, p->key, c, err) :
	                check_key_there(s, p, err);
	if (rc == 0)
		rc = store_get(s, p->meta, JSON_SIZE, &again, after, err);
	buf_release(&again);
	if (rc == -1)
		return LOOK_FAILED;
	if (strcmp(before, after) != 0)
		return LOOK_TORN;
	return with_key && !c->key_matches ? LOOK_UNFIT : LOOK_WHOLE;
}

static void
drop_contents(struct certificate *c)
{
	buf_release(&c->chain);
	json_free(c->meta);
	cert_release(&c->cert);
	c->meta = NULL;
	memset(&c->cert, 0, sizeof(c->cert));
	c->key_checked = c->key_matches = false;
}

/*
 * A commit may come between two reads: then look again.  A key that does not
 * fit however often one looks is what the store holds.
 */
static int
load_tries(struct store *s, const struct paths *p, bool with_key,
    struct certificate *c, struct err *err)
{
	enum look look = LOOK_TORN;
	int tries;

	for (tries = 0; look > LOOK_WHOLE && tries < LOAD_TRIES; tries++) {
		drop_contents(c);
		look = load_once(s, p, with_key, c, err);
	}
	if (look == LOOK_TORN)
		return err_set(err, ERR_LATER,
		    "%s is being replaced all the "
		    "time",
		    p->folder);
	return look == LOOK_FAILED ? -1 : 0;
}

int
certificate_load(struct store *s, const char *issuer, const char *name,
    bool with_key, struct certificate *out, struct err *err)
{
	struct certificate c = {.chain = BUF_INIT};
	struct paths p;
	int rc;

	if (paths_init(&p, issuer, name, err) == -1)
		return -1;
	rc = load_tries(s, &p, with_key, &c, err);
	paths_release(&p);
	if (rc == -1) {
		certificate_release(&c);
		return -1;
	}
	c.issuer = xstrdup(issuer);
	c.name = xstrdup(name);
	*out = c;
	return 0;
}

void
certificate_release(struct certificate *c)
{
	drop_contents(c);
	free(c->issuer);
	free(c->name);
	c->issuer = c->name = NULL;
}

/* -- committing ----------------------------------------------------------- */

/* In CertMagic's order and form (autocert-store(5)). */
static void
print_meta(const struct certificate_new *c, struct buf *out)
{
	struct json *o = json_new_object(), *issuer = json_new_object();
	struct json *sans = json_new_array();
	size_t i;

	for (i = 0; i < c->n_names; i++)
		json_append_string(sans, c->names[i].value);
	json_add(o, "sans", sans);
	json_add_string(issuer, "url", c->url);
	json_add_string(issuer, "ca", c->ca);
	json_add_string(issuer, "account", c->account);
	json_add(o, "issuer_data", issuer);
	json_print(o, JSON_TABS, out);
	json_free(o);
}

int
certificate_commit(
    struct store *s, const struct certificate_new *c, struct err *err)
{
	struct buf meta = BUF_INIT;
	struct paths p;
	int rc;

	if (paths_init(&p, c->issuer, c->name, err) == -1)
		return -1;
	print_meta(c, &meta);
	struct store_object objects[] = {
	    {strrchr(p.key, '/') + 1, c->key, c->key_len},
	    {strrchr(p.chain, '/') + 1, c->chain, c->chain_len},
	    {strrchr(p.meta, '/') + 1, buf_str(&meta), meta.len},
	};
	rc = store_commit(
	    s, p.folder, objects, sizeof(objects) / sizeof(objects[0]), err);
	buf_release(&meta);
	paths_release(&p);
	return rc;
}

/* -- listing -------------------------------------------------------------- */

/* "NAME/" without its slash; NULL for what is no folder. */
static char *
folder_name(const char *entry)
{
	size_t len = strlen(entry);

	if (len < 2 || entry[len - 1] != '/')
		return NULL;
	return xstrndup(entry, len - 1);
}

static int
list_issuer(
    struct store *s, const char *issuer, struct strings *out, struct err *err)
{
	struct strings names = {.n = 0};
	char *key = xasprintf("certificates/%s", issuer), *name, *both;
	int rc = store_list(s, key, &names, err);
	size_t i;

	for (i = 0; i < names.n; i++) {
		name = folder_name(names.v[i]);
		if (!name)
			continue;
		both = xasprintf("%s/%s", issuer, name);
		strings_add(out, both);
		free(both);
		free(name);
	}
	strings_release(&names);
	free(key);
	return rc;
}

int
certificate_list(struct store *s, struct strings *out, struct err *err)
{
	struct strings issuers = {.n = 0};
	int rc = store_list(s, "certificates", &issuers, err);
	char *issuer;
	size_t i;

	for (i = 0; rc == 0 && i < issuers.n; i++) {
		issuer = folder_name(issuers.v[i]);
		if (issuer)
			rc = list_issuer(s, issuer, out, err);
		free(issuer);
	}
	strings_release(&issuers);
	if (rc == 0)
		strings_sort(out);
	return rc;
}
