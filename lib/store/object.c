#include <config.h>

#include "store/object.h"

#include "base/buf.h"
#include "base/err.h"
#include "pki/key.h"

enum { KEY_SIZE = 64 * 1024 };

bool
object_is_unusable(const struct err *err)
{
	return err->code == ERR_ABSENT || err->code == ERR_DATA;
}

struct json *
object_load_json(struct store *s, const char *path, size_t max, struct err *err)
{
	struct buf text = BUF_INIT;
	struct json *o = NULL;

	if (store_get(s, path, max, &text, NULL, err) == 0)
		o = json_parse(path, buf_str(&text), text.len, err);
	buf_release(&text);
	return o;
}

int
object_save_json(struct store *s, const char *path, const struct json *o,
    enum json_style style, enum store_how how, struct err *err)
{
	struct buf text = BUF_INIT;
	int rc;

	json_print(o, style, &text);
	rc = store_put(s, path, text.data, text.len, how, err);
	buf_release(&text);
	return rc;
}

struct key *
object_load_key(struct store *s, const char *path, struct err *err)
{
	struct buf pem = BUF_SECRET;
	struct key *key = NULL;

	if (store_get(s, path, KEY_SIZE, &pem, NULL, err) == 0)
		key = key_load(path, buf_str(&pem), pem.len, err);
	buf_release(&pem);
	return key;
}

int
object_save_key(struct store *s, const char *path, const struct key *key,
    enum store_how how, struct err *err)
{
	struct buf pem = BUF_SECRET;
	int rc = key_save(key, &pem, err);

	if (rc == 0)
		rc = store_put(s, path, pem.data, pem.len, how, err);
	buf_release(&pem);
	return rc;
}
