/*
 * Where things are kept: bytes under slash-separated keys.
 *
 * A store is a directory (and, behind the same verbs, a bucket).  Keys are
 * relative paths of components that name_safe() or lib/store/layout made; ".",
 * ".." and empty components are refused.  A put is whole and durable when it
 * returns; a commit makes a set of objects in one folder visible together.
 * The layout of keys is CertMagic's and lives in layout.h.
 *
 * A version is an opaque text naming the bytes that a get returned (their hash
 * for a directory, an ETag or a generation for a bucket).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct err;
struct store;

enum { STORE_VERSION_MAX = 128, STORE_OBJECT_MAX = 1024 * 1024 };

enum store_how {
	STORE_REPLACE,
	STORE_NEW,  /* ERR_EXISTS if it is there */
	STORE_CACHE /* replace; may be lost in a power cut */
};

struct store_object {
	const char *name; /* within the commit's folder, no slash */
	const void *data;
	size_t len;
};

/*
 * location is a path, or a URL of a scheme that has a back end (none yet:
 * "s3" and "gs" are refused by name).  With create the root is made, mode
 * 0700; without, ERR_ABSENT when it is missing.  A root that others can write
 * is ERR_PERMISSION.
 */
struct store *store_open(const char *location, bool create, struct err *err);
void store_close(struct store *s);
const char *store_location(const struct store *s);

/* Appends to out, at most max bytes. version may be NULL. ERR_ABSENT, ERR_IO,
 * ERR_DATA when larger. */
int store_get(struct store *s, const char *key, size_t max, struct buf *out,
    char version[STORE_VERSION_MAX], struct err *err);
int store_put(struct store *s, const char *key, const void *data, size_t len,
    enum store_how how, struct err *err);
/* Only if the version is still the one read: else ERR_EXISTS.  In a directory
 * other conditional puts are excluded, plain ones are not: keep to one kind for
 * an object. */
int store_put_if(struct store *s, const char *key, const void *data, size_t len,
    const char *version, struct err *err);
int store_del(struct store *s, const char *key,
    struct err *err); /* absence is success; a folder goes with all below it */

/* Names directly below a key ("": the root), sorted; folders end in "/".
 * Nothing there: none. */
int store_list(
    struct store *s, const char *key, struct strings *out, struct err *err);

/*
 * Makes folder hold these objects, beside what it held and is not named, in
 * one step: a reader sees all of the old or all of the new.  In a directory: a
 * complete new folder, synced and exchanged for the old one; where the file
 * system cannot, the objects in the order given, under a journal that the next
 * store_open() of a writer finishes.
 */
int store_commit(struct store *s, const char *folder,
    const struct store_object *objects, size_t n, struct err *err);

/* CertMagic's probe before an order: writes, reads back, compares and removes
 * rw_test_<number>. ERR_IO, or ERR_PERMISSION. */
int store_probe(struct store *s, struct err *err);

/* A back end: the verbs above on its own context. */
struct store_ops {
	int (*get)(void *ctx, const char *key, size_t max, struct buf *out,
	    char version[STORE_VERSION_MAX], struct err *err);
	int (*put)(void *ctx, const char *key, const void *data, size_t len,
	    enum store_how how, const char *version, struct err *err);
	int (*del)(void *ctx, const char *key, struct err *err);
	int (*list)(
	    void *ctx, const char *key, struct strings *out, struct err *err);
	int (*commit)(void *ctx, const char *folder,
	    const struct store_object *objects, size_t n, struct err *err);
	void (*close)(void *ctx);
};

/* dir.c. *ctx is for the ops. */
const struct store_ops *
store_dir_open(const char *path, bool create, void **ctx, struct err *err);

#endif
