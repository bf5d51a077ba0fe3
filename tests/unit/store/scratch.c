#include <config.h>

#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "pki/key.h"
#include "store/store.h"
#include "tap.h"

enum { PATH_SIZE = 512 };

static char root[PATH_SIZE];
static struct store *store;

struct store *
scratch_open(void)
{
	struct err e = ERR_INIT;

	snprintf(root, sizeof(root), "%s/store", tap_tmpdir());
	store = store_open(root, true, &e);
	ok_err(store ? 0 : -1, &e, "a store");
	return store;
}

void
put(const char *key, const char *text)
{
	struct err e = ERR_INIT;

	if (store_put(store, key, text, strlen(text), STORE_CACHE, &e) == -1) {
		fprintf(stderr, "%s\n", e.text);
		exit(99);
	}
}

const char *
get(const char *key)
{
	static char text[4096];
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;

	if (store_get(store, key, sizeof(text) - 1, &b, NULL, &e) == -1)
		snprintf(text, sizeof(text), "error %d", (int)e.code);
	else
		snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_release(&b);
	return text;
}

unsigned
mode_of(const char *key)
{
	char path[2 * PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", root, key);
	return stat(path, &st) == -1 ? 0 : st.st_mode & 07777;
}

bool
same_key(const struct key *a, const struct key *b)
{
	unsigned char x[32], y[32];
	struct err e = ERR_INIT;

	return a && b && key_id(a, x, &e) == 0 && key_id(b, y, &e) == 0 &&
	    memcmp(x, y, sizeof(x)) == 0;
}
