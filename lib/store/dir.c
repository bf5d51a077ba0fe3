#include <config.h>

#include "store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "pki/hash.h"
#include "store/layout.h"
#include "store/store.h"

#define OWN "autocert"
#define LOCK_FILE ".lock"
#define JOURNALS OWN "/commit"
#define JOURNAL_LIST "list"

enum {
	NAME_SIZE = 256,		/* a component and its NUL */
	JOURNAL_NAME = 2 * SHA256_LEN,	/* hex of the folder's hash */
	LIST_MAX = 64 * 1024,
	SWEEP_AGE_S = 3600,
	GUARD_WAIT_MS = 5000,
	KEEP_DEPTH = 8,
	LOOK_TRIES = 8
};

struct dir {
	int root;
	bool journal;	/* folders cannot be exchanged here */
};

/* -- walking -------------------------------------------------------------- */

static enum err_code
sys_code(int e)
{
	switch (e) {
	case ENOENT:
		return ERR_ABSENT;
	case EACCES:
	case EPERM:
	case ELOOP:
		return ERR_PERMISSION;
	default:
		return ERR_IO;
	}
}

static bool
is_link(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode);
}

/* The folder `name` of dirfd; never through a symbolic link. */
static int
enter(int dirfd, const char *name, bool create, struct err *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags);

	if (fd == -1 && errno == ENOENT && create) {
		if (file_mkdirs(dirfd, name, err) == -1)
			return -1;
		fd = openat(dirfd, name, flags);
	}
	if (fd != -1)
		return fd;
	if (errno == ENOTDIR && is_link(dirfd, name))
		errno = ELOOP;
	return err_sys(err, sys_code(errno), "folder %s", name);
}

/* The folder at path, "" for the root. */
static int
walk(const struct dir *d, const char *path, size_t len, bool create,
    struct err *err)
{
	char name[NAME_SIZE];
	const char *end = path + len;
	int fd, next;
	size_t part;

	fd = fcntl(d->root, F_DUPFD_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(err, ERR_IO, "opening the root");
	for (; fd != -1 && path < end; path += part + (path[part] == '/')) {
		part = strcspn(path, "/");
		if (part > (size_t)(end - path))
			part = (size_t)(end - path);
		snprintf(name, sizeof(name), "%.*s", (int)part, path);
		next = enter(fd, name, create, err);
		close(fd);
		fd = next;
	}
	return fd;
}

static int
open_folder(const struct dir *d, const char *path, bool create,
    struct err *err)
{
	return walk(d, path, strlen(path), create, err);
}

/* The folder that holds key; *base is key's last component. */
static int
open_parent(const struct dir *d, const char *key, const char **base,
    bool create, struct err *err)
{
	const char *slash = strrchr(key, '/');

	*base = slash ? slash + 1 : key;
	return walk(d, key, slash ? (size_t)(slash - key) : 0, create, err);
}

/* Calls each() for every entry; stops at the first that returns -1. */
static int
each_entry(int folder, int (*each)(void *arg, int folder, const char *name,
    struct err *err), void *arg, struct err *err)
{
	const struct dirent *entry;
	DIR *dir;
	int fd, rc = 0;

	fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd == -1 ? NULL : fdopendir(fd);
	if (!dir) {
		rc = err_sys(err, sys_code(errno), "reading a folder");
		if (fd != -1)
			close(fd);
		return rc;
	}
	while (rc == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			rc = each(arg, folder, entry->d_name, err);
	}
	if (rc == 0 && errno != 0)
		rc = err_sys(err, ERR_IO, "reading a folder");
	closedir(dir);
	return rc;
}

static int
sync_folder(int folder, struct err *err)
{
	return file_sync_parent(folder, ".", err);
}

int
dir_folder(struct dir *d, const char *key, struct err *err)
{
	return open_folder(d, key, true, err);
}

/* -- guards --------------------------------------------------------------- */

static int
lock_file(struct dir *d, struct err *err)
{
	int own = open_folder(d, OWN, true, err);
	int fd;

	if (own == -1)
		return -1;
	fd = openat(own, LOCK_FILE,
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		err_sys(err, sys_code(errno), OWN "/" LOCK_FILE);
	close(own);
	return fd;
}

/* One byte of the lock file for each guard; -1 and errno. */
static int
lock(int fd, int type, enum guard what, int wait_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct flock range = {
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)what,
		.l_len = 1,
	};
	int64_t until = date_mono_ms() + wait_ms;

	while (fcntl(fd, F_OFD_SETLK, &range) == -1) {
		if (errno != EINTR && errno != EAGAIN && errno != EACCES)
			return -1;
		if (date_mono_ms() >= until) {
			errno = EAGAIN;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int
guard(struct dir *d, enum guard what, int wait_ms, struct err *err)
{
	int fd = lock_file(d, err);

	if (fd == -1 || lock(fd, F_WRLCK, what, wait_ms) == 0)
		return fd;
	if (errno == EAGAIN)
		err_set(err, ERR_LATER, OWN "/" LOCK_FILE ": held by another "
		    "process");
	else
		err_sys(err, ERR_IO, "locking " OWN "/" LOCK_FILE);
	close(fd);
	return -1;
}

int
dir_guard(struct dir *d, enum guard what, struct err *err)
{
	return guard(d, what, GUARD_WAIT_MS, err);
}

/* -- temporary names ------------------------------------------------------ */

/* ".NAME.RANDOM.kind": no key begins with a dot, so none can be meant. */
static void
temp_name(const char *name, const char *kind, char out[NAME_SIZE])
{
	uint64_t number;

	hash_random(&number, sizeof(number));
	snprintf(out, NAME_SIZE, ".%.200s.%016" PRIx64 ".%.8s", name, number,
	    kind);
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0;
}

static bool
is_draft(const char *name)
{
	return name[0] == '.' && ends_with(name, ".new");
}

static bool
is_temp(const char *name)
{
	return is_draft(name) || (name[0] == '.' && ends_with(name, ".tmp"));
}

struct sweep {
	time_t now;
	bool alone;	/* no draft has a living maker */
};

static int
sweep_one(void *arg, int folder, const char *name, struct err *err)
{
	const struct sweep *s = arg;
	struct err ignored = ERR_INIT;
	struct stat st;

	(void)err;
	if (!is_temp(name) ||
	    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if ((s->alone && is_draft(name)) || s->now - st.st_mtime > SWEEP_AGE_S)
		file_remove(folder, name, &ignored);
	return 0;
}

/* Removes what killed runs left; what cannot be removed does no harm. */
static void
sweep(int folder, bool alone)
{
	struct sweep s = { .now = time(NULL), .alone = alone };
	struct err ignored = ERR_INIT;

	each_entry(folder, sweep_one, &s, &ignored);
}

/* -- get, put, del, list -------------------------------------------------- */

/* Whether another folder has taken the place of the one we had open. */
static bool
replaced(const struct dir *d, const char *path, size_t len, int folder)
{
	struct err ignored = ERR_INIT;
	struct stat was, is;
	bool moved;
	int fd = walk(d, path, len, false, &ignored);

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
	return err_set(err, ERR_LATER, "%s: replaced whenever it was read",
	    what);
}

static int
get_once(const struct dir *d, const char *key, size_t max, struct buf *out,
    bool *again, struct err *err)
{
	const char *base;
	int fd = open_parent(d, key, &base, false, err);
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

/* A new file, complete and, if asked for, on disk. */
static int
write_new(int folder, const char *name, const void *data, size_t len,
    bool sync, struct err *err)
{
	int rc = 0;
	int fd = openat(folder, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return err_sys(err, sys_code(errno), "creating %s", name);
	if (fchmod(fd, 0600) == -1 || file_write_all(fd, data, len) == -1 ||
	    (sync && fsync(fd) == -1))
		rc = err_sys(err, ERR_IO, "writing %s", name);
	if (close(fd) == -1 && rc == 0)
		rc = err_sys(err, ERR_IO, "writing %s", name);
	if (rc == -1)
		unlinkat(folder, name, 0);
	return rc;
}

static int
put_cache(int folder, const char *name, const void *data, size_t len,
    struct err *err)
{
	char temp[NAME_SIZE];

	temp_name(name, "tmp", temp);
	if (write_new(folder, temp, data, len, false, err) == -1)
		return -1;
	if (renameat(folder, temp, folder, name) == 0)
		return 0;
	err_sys(err, sys_code(errno), "replacing %s", name);
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
	const char *base;
	int rc, fd = open_parent(ctx, key, &base, true, err);

	if (fd == -1)
		return -1;
	sweep(fd, false);
	if (version)
		rc = put_if(ctx, fd, base, data, len, version, err);
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
	struct err e = ERR_INIT;
	const char *base;
	int rc, fd = open_parent(ctx, key, &base, false, &e);

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
	char shown[NAME_SIZE + 1];
	struct stat st;

	(void)err;
	if (!store_name_ok(name) ||
	    fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return 0;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	snprintf(shown, sizeof(shown), "%s%s", name,
	    S_ISDIR(st.st_mode) ? "/" : "");
	strings_add(arg, shown);
	return 0;
}

static int
list_once(const struct dir *d, const char *key, struct strings *out,
    bool *again, struct err *err)
{
	int rc, fd = open_folder(d, key, false, err);

	*again = false;
	if (fd == -1)
		return err->code == ERR_ABSENT ? 0 : -1;
	rc = each_entry(fd, list_one, out, err);
	*again = rc == 0 && replaced(d, key, strlen(key), fd);
	close(fd);
	return rc;
}

static int
dir_list(void *ctx, const char *key, struct strings *out, struct err *err)
{
	struct strings names = { .n = 0 };
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

/* -- drafts: folders made aside and swapped in ---------------------------- */

struct draft {
	int parent;
	const char *name;	/* what it is to be called in parent */
	char temp[NAME_SIZE];	/* what it is called until then, or "" */
	int fd;			/* the folder, or -1 */
	int old;		/* the one it replaces, or -1 */
	const struct store_object *objects;
	size_t n;
};

static int
draft_begin(struct draft *f, struct err *err)
{
	struct err e = ERR_INIT;

	f->fd = -1;
	f->old = enter(f->parent, f->name, false, &e);
	if (f->old == -1 && e.code != ERR_ABSENT) {
		*err = e;
		return -1;
	}
	temp_name(f->name, "new", f->temp);
	if (mkdirat(f->parent, f->temp, 0700) == -1 ||
	    fchmodat(f->parent, f->temp, 0700, 0) == -1)
		return err_sys(err, sys_code(errno), "making %s", f->temp);
	f->fd = enter(f->parent, f->temp, false, err);
	return f->fd == -1 ? -1 : 0;
}

static bool
draft_names(const struct draft *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->objects[i].name, name) == 0)
			return true;
	return false;
}

static int
keep_copy(int from, int to, const char *name, struct err *err)
{
	struct buf bytes = BUF_SECRET;
	int rc = file_read(from, name, BUF_MAX, 0, &bytes, err);

	if (rc == 0)
		rc = write_new(to, name, buf_str(&bytes), bytes.len, true, err);
	buf_release(&bytes);
	return rc;
}

/* Where the new folder is, and what of the old need not come along. */
struct keep {
	const struct draft *draft;	/* NULL below the top */
	int to, depth;
};

static int keep_one(void *arg, int from, const char *name, struct err *err);

static int
keep_folder(const struct keep *k, int from, const char *name, struct err *err)
{
	struct keep below = { .depth = k->depth + 1 };
	int rc, sub;

	if (below.depth > KEEP_DEPTH)
		return err_set(err, ERR_DATA, "%s: folders nested too deep",
		    name);
	sub = enter(from, name, false, err);
	if (sub == -1)
		return -1;
	below.to = enter(k->to, name, true, err);
	rc = below.to == -1 ? -1 : each_entry(sub, keep_one, &below, err);
	if (rc == 0)
		rc = sync_folder(below.to, err);
	if (below.to != -1)
		close(below.to);
	close(sub);
	return rc;
}

static int
keep_one(void *arg, int from, const char *name, struct err *err)
{
	const struct keep *k = arg;
	struct stat st;

	if (is_temp(name) || (k->draft && draft_names(k->draft, name)))
		return 0;
	if (linkat(from, name, k->to, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return keep_folder(k, from, name, err);
		if (S_ISREG(st.st_mode))
			return keep_copy(from, k->to, name, err);
	}
	return err_set(err, ERR_DATA, "%s: not a file, and cannot be kept",
	    name);
}

static int
draft_fill(struct draft *f, struct err *err)
{
	struct keep keep = { .draft = f, .to = f->fd };
	size_t i;

	if (f->old != -1 && each_entry(f->old, keep_one, &keep, err) == -1)
		return -1;
	for (i = 0; i < f->n; i++)
		if (write_new(f->fd, f->objects[i].name, f->objects[i].data,
		    f->objects[i].len, true, err) == -1)
			return -1;
	return sync_folder(f->fd, err);
}

static int
draft_swap(const struct draft *f)
{
	if (f->old == -1)
		return renameat(f->parent, f->temp, f->parent, f->name);
	return renameat2(f->parent, f->temp, f->parent, f->name,
	    RENAME_EXCHANGE);
}

static void
draft_unswap(const struct draft *f)
{
	if (f->old == -1)
		renameat(f->parent, f->name, f->parent, f->temp);
	else
		draft_swap(f);
}

/* What a kernel or file system says that cannot exchange: no such call, no
 * such flag, a folder of an overlay's lower layer, a mount point. */
static bool
cannot_exchange(int e)
{
	return e == ENOSYS || e == EINVAL || e == EOPNOTSUPP || e == EXDEV ||
	    e == EBUSY;
}

static int
draft_publish(struct draft *f, bool *unable, struct err *err)
{
	if (draft_swap(f) == -1) {
		*unable = f->old != -1 && cannot_exchange(errno);
		return err_sys(err, sys_code(errno), "putting %s in its place",
		    f->temp);
	}
	if (sync_folder(f->parent, err) == -1) {
		draft_unswap(f);
		return -1;
	}
	if (f->old == -1)
		f->temp[0] = '\0';
	return 0;
}

/* After a swap the temporary name is the old folder's. */
static void
draft_end(const struct draft *f)
{
	struct err e = ERR_INIT;

	if (f->fd != -1)
		close(f->fd);
	if (f->old != -1)
		close(f->old);
	if (f->temp[0] && file_remove(f->parent, f->temp, &e) == -1)
		log_warn(f->temp, "left behind: %s", e.text);
}

/* *unable: folders cannot be exchanged, nothing has happened. */
static int
commit_draft(int parent, const char *name, const struct store_object *objects,
    size_t n, bool *unable, struct err *err)
{
	struct draft f = {
		.parent = parent,
		.name = name,
		.objects = objects,
		.n = n,
	};
	int rc = draft_begin(&f, err);

	if (rc == 0)
		rc = draft_fill(&f, err);
	if (rc == 0)
		rc = draft_publish(&f, unable, err);
	draft_end(&f);
	return rc;
}

/*
 * Drafts are made under a shared lock: who gets it for himself knows that
 * every draft there is is a dead run's.
 */
static int
drafting(struct dir *d, int parent, struct err *err)
{
	int fd = lock_file(d, err);

	if (fd == -1)
		return -1;
	sweep(parent, lock(fd, F_WRLCK, GUARD_DRAFT, 0) == 0);
	if (lock(fd, F_RDLCK, GUARD_DRAFT, GUARD_WAIT_MS) == 0)
		return fd;
	err_sys(err, errno == EAGAIN ? ERR_LATER : ERR_IO,
	    "locking " OWN "/" LOCK_FILE);
	close(fd);
	return -1;
}

/* -- journals: where folders cannot be exchanged -------------------------- */

/*
 * autocert/commit/HASH holds a commit that has been decided: "list" says into
 * which folder which names go, one a line, and "0", "1", ... are their bytes.
 * It is made and removed in one step like any folder, so it is whole or not
 * there; everything here happens under GUARD_COMMIT.
 */
static void
journal_name(const char *folder, char out[JOURNAL_NAME + 1])
{
	char hash[STORE_VERSION_MAX];

	version_of(folder, strlen(folder), hash);
	snprintf(out, JOURNAL_NAME + 1, "%.*s", JOURNAL_NAME, hash);
}

static int
journal_write(int journals, const char *hash, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	struct store_object *v = xcalloc(n + 1, sizeof(*v));
	struct buf list = { .max = LIST_MAX };
	bool unable = false;
	size_t i;
	int rc;

	buf_printf(&list, "%s\n", folder);
	for (i = 0; i < n; i++) {
		buf_printf(&list, "%s\n", objects[i].name);
		v[i] = objects[i];
		v[i].name = xasprintf("%zu", i);
	}
	v[n].name = JOURNAL_LIST;
	v[n].data = buf_str(&list);
	v[n].len = list.len;
	rc = commit_draft(journals, hash, v, n + 1, &unable, err);
	for (i = 0; i < n; i++)
		free((char *)v[i].name);
	buf_release(&list);
	free(v);
	return rc;
}

static int
journal_list(int journal, struct strings *lines, struct err *err)
{
	struct buf text = { .max = LIST_MAX };
	const char *line;
	char *copy;
	size_t len;
	int rc = file_read(journal, JOURNAL_LIST, LIST_MAX, 0, &text, err);

	for (line = buf_str(&text);; line += len + 1) {
		len = strcspn(line, "\n");
		if (!line[len])
			break;
		copy = xstrndup(line, len);
		strings_add(lines, copy);
		free(copy);
	}
	if (rc == 0 && (*line || lines->n == 0)) {
		err_set(err, ERR_DATA, JOURNAL_LIST ": cut short");
		rc = -1;
	}
	buf_release(&text);
	return rc == 0 ? 0 : -1;
}

static int
journal_check(const struct strings *lines, struct err *err)
{
	size_t i;

	if (!store_key_ok(lines->v[0]))
		return err_set(err, ERR_DATA, JOURNAL_LIST ": not a folder");
	for (i = 1; i < lines->n; i++)
		if (!store_name_ok(lines->v[i]))
			return err_set(err, ERR_DATA, JOURNAL_LIST ": line %zu "
			    "is not a name", i + 1);
	return 0;
}

static bool
holds(int folder, const char *name, const struct buf *bytes)
{
	struct err ignored = ERR_INIT;
	struct buf there = BUF_SECRET;
	bool same;

	same = file_read(folder, name, BUF_MAX, 0, &there, &ignored) == 0 &&
	    there.len == bytes->len &&
	    memcmp(buf_str(&there), buf_str(bytes), bytes->len) == 0;
	buf_release(&there);
	return same;
}

/* A write may fail when its bytes are already there to be seen. */
static int
journal_put(int journal, size_t i, int folder, const char *name, bool *begun,
    struct err *err)
{
	struct buf bytes = BUF_SECRET;
	char number[24];
	int rc;

	snprintf(number, sizeof(number), "%zu", i);
	rc = file_read(journal, number, BUF_MAX, 0, &bytes, err);
	if (rc == 0) {
		rc = file_write(folder, name, buf_str(&bytes), bytes.len, 0600,
		    FILE_REPLACE, err);
		*begun = *begun || rc == 0 || holds(folder, name, &bytes);
	}
	buf_release(&bytes);
	return rc;
}

/* *begun: readers may have seen some of it. */
static int
journal_apply(const struct dir *d, int journals, const char *hash,
    bool *begun, struct err *err)
{
	struct strings lines = { .n = 0 };
	int journal, folder = -1, rc = -1;
	size_t i;

	*begun = false;
	journal = enter(journals, hash, false, err);
	if (journal == -1)
		return -1;
	if (journal_list(journal, &lines, err) == -1 ||
	    journal_check(&lines, err) == -1)
		goto out;
	folder = open_folder(d, lines.v[0], true, err);
	if (folder == -1)
		goto out;
	rc = 0;
	for (i = 1; rc == 0 && i < lines.n; i++)
		rc = journal_put(journal, i - 1, folder, lines.v[i], begun,
		    err);
out:
	if (folder != -1)
		close(folder);
	close(journal);
	strings_release(&lines);
	return rc;
}

/* Gone in one step, then tidied away. */
static int
journal_drop(int journals, const char *hash, struct err *err)
{
	char temp[NAME_SIZE];

	temp_name(hash, "new", temp);
	if (renameat(journals, hash, journals, temp) == -1)
		return err_sys(err, ERR_IO, "removing the journal of a commit");
	if (sync_folder(journals, err) == -1)
		return -1;
	return file_remove(journals, temp, err);
}

/* One that cannot be read would stop every later run. */
static int
journal_set_aside(int journals, const char *hash, const struct err *why,
    struct err *err)
{
	char aside[NAME_SIZE];

	snprintf(aside, sizeof(aside), "%s.bad", hash);
	log_warn(JOURNALS, "the journal of a commit is unusable, kept as %s: "
	    "%s", aside, why->text);
	if (file_remove(journals, aside, err) == -1)
		return -1;
	if (renameat(journals, hash, journals, aside) == -1)
		return err_sys(err, ERR_IO, "setting aside %s", hash);
	return 0;
}

static int
journal_finish(const struct dir *d, int journals, const char *hash,
    struct err *err)
{
	struct err e = ERR_INIT;
	bool begun;

	if (journal_apply(d, journals, hash, &begun, &e) == 0)
		return journal_drop(journals, hash, err);
	if (e.code == ERR_DATA || e.code == ERR_ABSENT)
		return journal_set_aside(journals, hash, &e, err);
	*err = e;
	return err_wrap(err, "finishing a commit");
}

static int
journal_one(void *arg, int folder, const char *name, struct err *err)
{
	(void)folder, (void)err;
	if (strspn(name, "0123456789abcdef") == JOURNAL_NAME &&
	    strlen(name) == JOURNAL_NAME)
		strings_add(arg, name);
	return 0;
}

/* Finishes what is there; the caller holds GUARD_COMMIT. */
static int
journals_finish(const struct dir *d, int journals, struct err *err)
{
	struct strings found = { .n = 0 };
	size_t i;
	int rc;

	sweep(journals, true);
	rc = each_entry(journals, journal_one, &found, err);
	for (i = 0; rc == 0 && i < found.n; i++)
		rc = journal_finish(d, journals, found.v[i], err);
	strings_release(&found);
	return rc;
}

/*
 * Finishes the commits of runs that were killed.  Who holds the guard has done
 * so before he began his own: there is no need to wait for him, except before
 * a commit, which must come after what is being finished.
 */
static int
recover(struct dir *d, bool wait, struct err *err)
{
	struct strings found = { .n = 0 };
	struct err e = ERR_INIT;
	int rc, fd, journals = open_folder(d, JOURNALS, false, &e);

	if (journals == -1) {
		if (e.code == ERR_ABSENT)
			return 0;
		*err = e;
		return -1;
	}
	rc = each_entry(journals, journal_one, &found, err);
	if (rc == 0 && found.n > 0) {
		fd = guard(d, GUARD_COMMIT, wait ? GUARD_WAIT_MS : 0, &e);
		if (fd != -1) {
			rc = journals_finish(d, journals, err);
			close(fd);
		} else if (wait || e.code != ERR_LATER) {
			*err = e;
			rc = -1;
		}
	}
	strings_release(&found);
	close(journals);
	return rc;
}

static int
journal_perform(struct dir *d, int journals, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	struct err ignored = ERR_INIT;
	char hash[JOURNAL_NAME + 1];
	bool begun;

	journal_name(folder, hash);
	if (journals_finish(d, journals, err) == -1 ||
	    journal_write(journals, hash, folder, objects, n, err) == -1)
		return -1;
	if (journal_apply(d, journals, hash, &begun, err) == 0)
		return journal_drop(journals, hash, err);
	if (begun)
		return err_wrap(err, "half done, the next run will finish it");
	journal_drop(journals, hash, &ignored);
	return -1;
}

static int
commit_journal(struct dir *d, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	int rc, journals, fd = dir_guard(d, GUARD_COMMIT, err);

	if (fd == -1)
		return -1;
	journals = open_folder(d, JOURNALS, true, err);
	rc = journals == -1 ? -1 :
	    journal_perform(d, journals, folder, objects, n, err);
	if (journals != -1)
		close(journals);
	close(fd);
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

	if (recover(d, true, err) == -1)
		return -1;
	parent = open_parent(d, folder, &name, true, err);
	if (parent == -1)
		return -1;
	shared = drafting(d, parent, err);
	if (shared == -1)
		goto out;
	if (!unable || is_absent(parent, name)) {
		unable = false;
		rc = commit_draft(parent, name, objects, n, &unable, &e);
		if (rc == -1)
			*err = e;
	}
	if (unable)
		rc = commit_journal(d, folder, objects, n, err);
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
		err_sys(err, errno == ENOTDIR ? ERR_CONFIG : sys_code(errno),
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
		return err_set(err, ERR_PERMISSION, "store %s: others can "
		    "write it (mode %04o); chmod o-w it", path,
		    (unsigned)st.st_mode & 07777);
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
	if (flags & DIR_CREATE && recover(d, false, err) == -1) {
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
