/*
 * The directory back end, for lib/store alone.
 *
 * store.h is what the tree knows of a store.  Leases are files that programs
 * not ours read and rewrite in place, so lease.c needs the folder itself and a
 * lock around what it does there; tests need a directory that cannot exchange
 * folders.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include <stdbool.h>

#include "store/guard.h"

struct dir;
struct err;
struct store;
struct store_ops;

enum dir_flags {
	DIR_CREATE = 1,
	DIR_JOURNAL = 2 /* as if exchanging were impossible */
};

extern const struct store_ops dir_ops;

/* NULL and err as store_open() says. */
struct dir *dir_open(const char *path, int flags, struct err *err);
struct store *store_open_dir(const char *path, int flags, struct err *err);

/* The store's directory; NULL when it is none. */
struct dir *store_dir(struct store *s);

/* A component of a key: printable ASCII, 1 to 255 bytes, no slash, no dot at
 * its beginning (those names are the back end's own). */
bool store_name_ok(const char *name);
/* Such components with slashes between, fewer than LAYOUT_KEY_MAX bytes. */
bool store_key_ok(const char *key);

/* Opens the folder at key, making it if need be; never through a symbolic
 * link. */
int dir_folder(struct dir *d, const char *key, struct err *err);

/* A guard until the descriptor returned is closed; ERR_LATER when it cannot be
 * had within seconds. */
int dir_guard(struct dir *d, enum guard what, struct err *err);

#endif
