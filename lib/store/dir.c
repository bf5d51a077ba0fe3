#include <config.h>

#include "store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "pki/hash.h"
#include "store/commit.h"
#include "store/folder.h"
#include "store/redo.h"
#include "store/store.h"

enum { LOOK_TRIES = 8 };

struct dir {
	int root;
	bool journal; /* folders cannot be exchanged here */
};

/* -- for leases, and ourselves -------------------------------------------- */

int
dir_folder(struct dir *d, const char *key, struct err *err)
{
	return folder_open(d->root, key, true, err);
}

int
dir_guard(struct dir *d, enum guard what, struct err *err)
{
	return guard_take(d->root, what, GUARD_WAIT_MS, err);
}

/* -- get, put, del, list -------------------------------------------------- */

/* Whether another folder has taken the place of the one we had open. */
static bool
replaced(const struct dir *d, const char *path, size_t len, int folder)
{
	struct err ignored = ERR_INIT;
	struct stat was, is;
	bool moved;
	int fd = folder_walk(d->root, path, len, false, &ignored);

	if (fd == -1)
		return false;
	moved = fstat(folder, &was) == 0 && fstat(fd, &is) == 0 &&
	    (was.st_ino != is.st_ino || was.st_dev != is.st_dev);
	close(fd);
	return moved;
}

static int
restless(const char *what, struct err *err)
{
	return err_set(
	    err, ERR_LATER, "%s: replaced whenever it was read", what);
}

static int
get_once(const struct dir *d, const char *key, size_t max, struct buf *out,
    bool *again, struct err *err)
{
	const char *base;
	int fd = folder_open_parent(d->root, key, &base, false, err);
	int rc;

	*again = false;
	if (fd == -1)
		return -1;
	rc = file_read(fd, base, max, 0, out, err);
	if (rc == -1 && err->code == ERR_ABSENT)
		*again = replaced(d, key, (size_t)(base - key), fd);
	close(fd);
	return rc;
}

static void
version_of(const void *data, size_t len, char version[STORE_VERSION_MAX])
{
	unsigned char hash[SHA256_LEN];
	struct buf hex = BUF_INIT;

	hash_sha256(data, len, hash);
	hex_encode(hash, sizeof(hash), &hex);
	snprintf(version, STORE_VERSION_MAX, "%s", buf_str(&hex));
	buf_release(&hex);
}

/* A commit empties the old folder, perhaps just after we opened it. */
static int
dir_get(void *ctx, const char *key, size_t max, struct buf *out,
    char version[STORE_VERSION_MAX], struct err *err)
{
	struct err e = ERR_INIT;
	size_t at = out->len;
	bool again;
	int rc, tries = 0;

	do {
		rc = get_once(ctx, key, max, out, &again, &e);
	} while (again && ++tries < LOOK_TRIES);
	if (again)
		restless(key, &e);
	if (rc == -1)
		*err = e;
	else if (version)
		version_of(buf_str(out) + at, out->len - at, version);
	return rc;
}

static int
put_cache(
    int folder, const char *name, const void *data, size_t len, struct err *err)
{
	char temp[FOLDER_NAME_SIZE];

	folder_temp(name, "tmp", temp);
	if (folder_add(folder, temp, data, len, false, err) == -1)
		return -1;
	if (renameat(folder, temp, folder, name) == 0)
		return 0;
	err_sys(err, folder_code(errno), "replacing %s", name);
	unlinkat(folder, temp, 0);
	return -1;
}

/* Excludes other conditional puts only: an object that is changed by
 * store_put_if() is changed by nothing else. */
static int
put_if(struct dir *d, int folder, const char *name, const void *data,
    size_t len, const char *version, struct err *err)
{
	struct buf old = BUF_SECRET;
	char found[STORE_VERSION_MAX];
	int rc = -1, fd = dir_guard(d, GUARD_PUT_IF, err);

	if (fd == -1)
		return -1;
	if (file_read(folder, name, BUF_MAX, 0, &old, err) == -1) {
		if (err->code == ERR_ABSENT)
			err->code = ERR_EXISTS;
		goto out;
	}
	version_of(buf_str(&old), old.len, found);
	if (strcmp(found, version) != 0) {
		err_set(err, ERR_EXISTS, "changed by somebody else");
		goto out;
	}
	rc = file_write(folder, name, data, len, 0600, FILE_REPLACE, err);
out:
	buf_release(&old);
	close(fd);
	return rc;
}

static int
dir_put(void *ctx, const char *key, const void *data, size_t len,
    enum store_how how, const char *version, struct err *err)
{
	struct dir *d = ctx;
	const char *base;
	int rc, fd = folder_open_parent(d->root, key, &base, true, err);

	if (fd == -1)
		return -1;
	folder_sweep(fd, false);
	if (version)
		rc = put_if(d, fd, base, data, len, version, err);
	else if (how == STORE_CACHE)
		rc = put_cache(fd, base, data, len, err);
	else
		rc = file_write(fd, base, data, len, 0600,
		    how == STORE_NEW ? FILE_NEW : FILE_REPLACE, err);
	close(fd);
	return rc;
}

static int
dir_del(void *ctx, const char *key, struct err *err)
{
	const struct dir *d = ctx;
	struct err e = ERR_INIT;
	const char *base;
	int rc, fd = folder_open_parent(d->root, key, &base, false, &e);

	if (fd == -1) {
		if (e.code == ERR_ABSENT)
			return 0;
		*err = e;
		return -1;
	}
	rc = file_remove(fd, base, err);
	close(fd);
	return rc;
}

static int
list_one(void *arg, int folder, const char *name, struct err *err)
{
	char shown[FOLDER_NAME_SIZE + 1];
	struct stat st;

	(void)err;
	if (!store_name_ok(name) ||
	    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	snprintf(
	    shown, sizeof(shown), "%s%s", name, S_ISDIR(st.st_mode) ? "/" : "");
	strings_add(arg, shown);
	return 0;
}

static int
list_once(const struct dir *d, const char *key, struct strings *out,
    bool *again, struct err *err)
{
	int rc, fd = folder_open(d->root, key, false, err);

	*again = false;
	if (fd == -1)
		return err->code == ERR_ABSENT ? 0 : -1;
	rc = folder_each(fd, list_one, out, err);
	*again = rc == 0 && replaced(d, key, strlen(key), fd);
	close(fd);
	return rc;
}

static int
dir_list(void *ctx, const char *key, struct strings *out, struct err *err)
{
	struct strings names = {.n = 0};
	struct err e = ERR_INIT;
	bool again;
	size_t i;
	int rc, tries = 0;

	do {
		strings_release(&names);
		rc = list_once(ctx, key, &names, &again, &e);
	} while (again && ++tries < LOOK_TRIES);
	if (again)
		rc = restless(key, &e);
	if (rc == -1)
		*err = e;
	for (i = 0; rc == 0 && i < names.n; i++)
		strings_add(out, names.v[i]);
	strings_release(&names);
	return rc;
}

/* -- commit --------------------------------------------------------------- */

static bool
is_absent(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT;
}

static int
dir_commit(void *ctx, const char *folder, const struct store_object *objects,
    size_t n, struct err *err)
{
	struct dir *d = ctx;
	struct err e = ERR_INIT;
	bool unable = d->journal;
	const char *name;
	int parent, shared, rc = -1;

	if (redo_recover(d->root, true, err) == -1)
		return -1;
	parent = folder_open_parent(d->root, folder, &name, true, err);
	if (parent == -1)
		return -1;
	shared = commit_lock(d->root, parent, err);
	if (shared == -1)
		goto out;
	if (!unable || is_absent(parent, name)) {
		unable = false;
		rc = commit_draft(parent, name, objects, n, &unable, &e);
		if (rc == -1)
			*err = e;
	}
	if (unable)
		rc = redo_commit(d->root, folder, objects, n, err);
	close(shared);
out:
	close(parent);
	return rc;
}

/* -- opening -------------------------------------------------------------- */

static int
open_root(const char *path, bool create, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT && create) {
		if (file_mkdirs(AT_FDCWD, path, err) == -1)
			return -1;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd == -1)
		err_sys(err, errno == ENOTDIR ? ERR_CONFIG : folder_code(errno),
		    "store %s", path);
	return fd;
}

static int
check_root(const char *path, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, ERR_IO, "store %s", path);
	if (st.st_mode & S_IWOTH)
		return err_set(err, ERR_PERMISSION,
		    "store %s: others can "
		    "write it (mode %04o); chmod o-w it",
		    path, (unsigned)st.st_mode & 07777);
	return 0;
}

static void
dir_close(void *ctx)
{
	struct dir *d = ctx;

	close(d->root);
	free(d);
}

struct dir *
dir_open(const char *path, int flags, struct err *err)
{
	struct dir *d;
	int root = open_root(path, flags & DIR_CREATE, err);

	if (root == -1)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->root = root;
	d->journal = flags & DIR_JOURNAL;
	if (check_root(path, root, err) == -1)
		goto fail;
	if (flags & DIR_CREATE && redo_recover(d->root, false, err) == -1) {
		err_wrap(err, "store %s", path);
		goto fail;
	}
	return d;
fail:
	dir_close(d);
	return NULL;
}

const struct store_ops *
store_dir_open(const char *path, bool create, void **ctx, struct err *err)
{
	*ctx = dir_open(path, create ? DIR_CREATE : 0, err);
	return *ctx ? &dir_ops : NULL;
}

const struct store_ops dir_ops = {
    .get = dir_get,
    .put = dir_put,
    .del = dir_del,
    .list = dir_list,
    .commit = dir_commit,
    .close = dir_close,
};
