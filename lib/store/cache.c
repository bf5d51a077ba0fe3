#include <config.h>

#include "store/cache.h"

#include <string.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "store/layout.h"
#include "store/object.h"
#include "store/store.h"

enum { NONCE_SIZE = 512 };

#define BASE64URL                                                              \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"                 \
	"0123456789-_"

static void
not_remembered(const char *what, const struct err *err)
{
	log_debug(what, "not remembered: %s", err->text);
}

/* -- the directory -------------------------------------------------------- */

static int
read_directory(const char *what, const struct json *o,
    const char *directory_url, struct buf *out, time_t *when, struct err *err)
{
	const char *url = NULL, *fetched = NULL;
	const struct json *body = NULL;

	if (json_get_string(what, o, "url", JSON_REQUIRED, &url, err) == -1 ||
	    json_get_string(what, o, "fetched", JSON_REQUIRED, &fetched, err) ==
	        -1 ||
	    json_get_object(what, o, "directory", JSON_REQUIRED, &body, err) ==
	        -1)
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
	o = object_load_json(s, path, JSON_SIZE, &ignored);
	if (o &&
	    read_directory(path, o, directory_url, out, when, &ignored) == -1)
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
	if (!directory ||
	    layout_own(issuer, "directory.json", path, &err) == -1) {
		json_free(directory);
		not_remembered("directory", &err);
		return;
	}
	o = json_new_object();
	json_add_string(o, "url", directory_url);
	json_add_string(o, "fetched", date_format(now, fetched));
	json_add(o, "directory", directory);
	if (object_save_json(s, path, o, JSON_COMPACT, STORE_CACHE, &err) == -1)
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

/* -- a nonce -------------------------------------------------------------- */

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
