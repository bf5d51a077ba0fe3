#include <config.h>

#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "pki/hash.h"
#include "store/dir.h"
#include "store/layout.h"

enum { COMPONENT_MAX = 255, PROBE_SIZE = 10 * 1024 };

struct store {
	const struct store_ops *ops;
	void *ctx;
	char *location;
};

/* -- keys ---------------------------------------------------------------- */

static bool
component_ok(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > COMPONENT_MAX || s[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] > '~' || s[i] == '/')
			return false;
	return true;
}

bool
store_name_ok(const char *name)
{
	return component_ok(name, strlen(name));
}

bool
store_key_ok(const char *key)
{
	const char *s = key;
	size_t len;

	for (;; s += len + 1) {
		len = strcspn(s, "/");
		if (!component_ok(s, len))
			return false;
		if (!s[len])
			return (size_t)(s + len - key) < LAYOUT_KEY_MAX;
	}
}

static int
check_key(const char *key, struct err *err)
{
	if (store_key_ok(key))
		return 0;
	return err_set(err, ERR_DATA,
	    "not a key: it or a component of it is "
	    "empty, too long, begins with a dot or is not plain text");
}

/* -- opening ------------------------------------------------------------- */

static struct store *
store_new(const struct store_ops *ops, void *ctx, const char *location)
{
	struct store *s = xcalloc(1, sizeof(*s));

	s->ops = ops;
	s->ctx = ctx;
	s->location = xstrdup(location);
	return s;
}

static int
refuse_url(const char *location, struct err *err)
{
	static const char *const buckets[] = {"s3", "gs"};
	size_t i, len = strcspn(location, ":");

	for (i = 0; i < sizeof(buckets) / sizeof(buckets[0]); i++)
		if (len == strlen(buckets[i]) &&
		    strncmp(location, buckets[i], len) == 0)
			return err_set(err, ERR_CONFIG,
			    "%s:// stores cannot "
			    "be used yet: give a directory",
			    buckets[i]);
	return err_set(err, ERR_CONFIG,
	    "unknown storage provider \"%.*s\": "
	    "give a directory",
	    (int)(len > 32 ? 32 : len), location);
}

struct store *
store_open(const char *location, bool create, struct err *err)
{
	const struct store_ops *ops;
	void *ctx;

	if (strstr(location, "://")) {
		refuse_url(location, err);
		return NULL;
	}
	ops = store_dir_open(location, create, &ctx, err);
	return ops ? store_new(ops, ctx, location) : NULL;
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	s->ops->close(s->ctx);
	free(s->location);
	free(s);
}

const char *
store_location(const struct store *s)
{
	return s->location;
}

/* -- the verbs ----------------------------------------------------------- */

/* Where it happened goes in front of what happened. */
static int
placed(const struct store *s, const char *key, int rc, struct err *err)
{
	if (rc == -1)
		err_wrap(err, *key ? "%s/%s" : "%s%s", s->location, key);
	return rc;
}

int
store_get(struct store *s, const char *key, size_t max, struct buf *out,
    char version[STORE_VERSION_MAX], struct err *err)
{
	int rc = check_key(key, err);

	if (rc == 0)
		rc = s->ops->get(s->ctx, key, max, out, version, err);
	return placed(s, key, rc, err);
}

static int
put(struct store *s, const char *key, const void *data, size_t len,
    enum store_how how, const char *version, struct err *err)
{
	int rc = check_key(key, err);

	if (rc == 0)
		rc = s->ops->put(s->ctx, key, data, len, how, version, err);
	return placed(s, key, rc, err);
}

int
store_put(struct store *s, const char *key, const void *data, size_t len,
    enum store_how how, struct err *err)
{
	return put(s, key, data, len, how, NULL, err);
}

int
store_put_if(struct store *s, const char *key, const void *data, size_t len,
    const char *version, struct err *err)
{
	return put(s, key, data, len, STORE_REPLACE, version, err);
}

int
store_del(struct store *s, const char *key, struct err *err)
{
	int rc = check_key(key, err);

	if (rc == 0)
		rc = s->ops->del(s->ctx, key, err);
	return placed(s, key, rc, err);
}

int
store_list(
    struct store *s, const char *key, struct strings *out, struct err *err)
{
	int rc = *key ? check_key(key, err) : 0; /* "" is the root */

	if (rc == 0)
		rc = s->ops->list(s->ctx, key, out, err);
	if (rc == 0)
		strings_sort(out);
	return placed(s, key, rc, err);
}

int
store_commit(struct store *s, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	int rc = check_key(folder, err);
	size_t i;

	for (i = 0; rc == 0 && i < n; i++)
		if (!store_name_ok(objects[i].name))
			rc = err_set(err, ERR_DATA,
			    "\"%.255s\" cannot be the "
			    "name of an object",
			    objects[i].name);
	if (rc == 0)
		rc = s->ops->commit(s->ctx, folder, objects, n, err);
	return placed(s, folder, rc, err);
}

/* -- the probe ----------------------------------------------------------- */

static int
probe(struct store *s, const char *key, const unsigned char *data,
    struct err *err)
{
	struct buf back = BUF_INIT;
	int rc;

	rc = store_put(s, key, data, PROBE_SIZE, STORE_NEW, err);
	if (rc == 0)
		rc = store_get(s, key, PROBE_SIZE, &back, NULL, err);
	if (rc == 0 &&
	    (back.len != PROBE_SIZE ||
	        memcmp(back.data, data, PROBE_SIZE) != 0))
		rc = err_set(err, ERR_IO,
		    "%s/%s: what was read is not what "
		    "was written",
		    s->location, key);
	buf_release(&back);
	return rc;
}

int
store_probe(struct store *s, struct err *err)
{
	struct err removal = ERR_INIT;
	unsigned char *data = xmalloc(PROBE_SIZE);
	char key[64];
	uint64_t number;
	int rc;

	hash_random(data, PROBE_SIZE);
	memcpy(&number, data, sizeof(number));
	rc = fmt_fit(key, sizeof(key), "rw_test_%" PRIu64, number);
	if (rc == 0)
		rc = probe(s, key, data, err);
	if (store_del(s, key, &removal) == -1 && rc == 0) {
		*err = removal;
		rc = -1;
	}
	if (rc == -1 && err->code != ERR_PERMISSION)
		err->code = ERR_IO;
	free(data);
	return rc;
}

/* -- for lib/store alone -------------------------------------------------- */

struct store *
store_open_dir(const char *path, int flags, struct err *err)
{
	struct dir *d = dir_open(path, flags, err);

	return d ? store_new(&dir_ops, d, path) : NULL;
}

struct dir *
store_dir(struct store *s)
{
	return s->ops == &dir_ops ? s->ctx : NULL;
}
