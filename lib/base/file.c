#include <config.h>

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

enum { CHUNK = 16 * 1024, DEPTH_MAX = 64, PASSES_MAX = 8, TRIES_MAX = 16 };

/* -- what went wrong -- */

/* ELOOP is a symbolic link where none may be. */
static bool
is_refusal(int sys)
{
	return sys == EACCES || sys == EPERM || sys == ELOOP;
}

/* "open PATH: why"; returns -1. */
static int
fail_read(const char *verb, const char *path, struct err *err)
{
	enum err_code code = ERR_IO;

	if (errno == ENOENT || errno == ENOTDIR)
		code = ERR_ABSENT;
	else if (is_refusal(errno))
		code = ERR_PERMISSION;
	return err_sys(err, code, "%s %s", verb, path);
}

static int
fail_write(const char *verb, const char *path, struct err *err)
{
	return err_sys(err, is_refusal(errno) ? ERR_PERMISSION : ERR_IO,
	    "%s %s", verb, path);
}

/* -- the folder that holds a path -- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A descriptor that can be synced, or -1 and errno. */
static int
open_parent(int dirfd, const char *path)
{
	size_t len = (size_t)(base_name(path) - path);
	char *parent = len ? xstrndup(path, len) : xstrdup(".");
	int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(parent);
	return fd;
}

/* Some file systems cannot sync a folder and say EINVAL: there is nothing
 * that could be done better on them. */
static int
sync_folder(int fd)
{
	return fsync(fd) == -1 && errno != EINVAL ? -1 : 0;
}

int
file_sync_parent(int dirfd, const char *path, struct err *err)
{
	int rc = 0, fd = open_parent(dirfd, path);

	if (fd == -1)
		return fail_write("open the folder of", path, err);
	if (sync_folder(fd) == -1)
		rc = fail_write("sync the folder of", path, err);
	close(fd);
	return rc;
}

/* -- reading -- */

static int
check_kind(int fd, const char *path, int flags, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fail_read("stat", path, err);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_DATA, "%s: not a regular file", path);
	if (flags & FILE_PRIVATE && st.st_mode & 077)
		return err_set(err, ERR_PERMISSION,
		    "%s: mode %04o lets others than its owner have it", path,
		    (unsigned int)st.st_mode & 07777);
	return 0;
}

static ssize_t
read_some(int fd, unsigned char *chunk)
{
	ssize_t n;

	do
		n = read(fd, chunk, CHUNK);
	while (n == -1 && errno == EINTR);
	return n;
}

/* To the end, whatever fstat() said: the file may be growing. */
static int
read_all(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
	unsigned char chunk[CHUNK];
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = read_some(fd, chunk)) != 0) {
		if (n == -1)
			rc = fail_read("read", path, err);
		else if ((size_t)n > max - out->len ||
		    buf_add(out, chunk, (size_t)n) == -1)
			rc = err_set(err, ERR_DATA, "%s: larger than %zu bytes",
			    path, max);
	}
	if (out->secret)
		explicit_bzero(chunk, sizeof(chunk));
	return rc;
}

/* Neither waits for a FIFO's other end nor takes a terminal. */
static int
open_to_read(int dirfd, const char *path, int flags, struct err *err)
{
	int follow = flags & FILE_FOLLOW ? 0 : O_NOFOLLOW;
	int fd = openat(
	    dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | follow);

	if (fd != -1)
		return fd;
	if (errno == ENXIO) /* a socket */
		return err_set(err, ERR_DATA, "%s: not a regular file", path);
	if (errno == ELOOP && follow)
		return fail_read(
		    "open, not following symbolic links,", path, err);
	return fail_read("open", path, err);
}

int
file_read(int dirfd, const char *path, size_t max, int flags, struct buf *out,
    struct err *err)
{
	int fd = open_to_read(dirfd, path, flags, err);
	struct buf b = {.max = max, .secret = out->secret};
	int rc;

	if (fd == -1)
		return -1;
	rc = check_kind(fd, path, flags, err);
	if (rc == 0)
		rc = read_all(fd, path, max, &b, err);
	if (rc == 0 && buf_add(out, b.data, b.len) == -1)
		rc = err_set(err, ERR_DATA, "%s: too large", path);
	buf_release(&b);
	close(fd);
	return rc;
}

/* -- writing -- */

int
file_write_all(int fd, const void *data, size_t len)
{
	const unsigned char *p = data;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* ".NAME.0123456789abcdef.tmp", NAME shortened where that is too long. */
static int
name_temp(struct file_draft *t)
{
	enum { AROUND = sizeof("..0123456789abcdef.tmp") };
	uint64_t nonce;

	if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -1;
	return fmt_fit(t->temp, sizeof(t->temp), ".%.*s.%016jx.tmp",
	    (int)(sizeof(t->temp) - AROUND), t->name, (uintmax_t)nonce);
}

/* Until the bytes are complete nobody but the owner may have them, and the
 * owner no more than the final mode says. */
static int
open_temp(struct file_draft *t, mode_t mode, struct err *err)
{
	int i, fd;

	for (i = 0; i < TRIES_MAX; i++) {
		if (name_temp(t) == -1)
			break;
		fd = openat(t->parent, t->temp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    mode & 0600);
		if (fd != -1)
			return fd;
		if (errno != EEXIST)
			break;
	}
	return fail_write("create", t->path, err);
}

/* The group first, then the mode, the owner last: nobody is let in whom the
 * final state keeps out, and a file given away could not be changed any more
 * without a further capability. */
static int
set_access(const struct file_draft *t, int fd, const struct file_access *a,
    struct err *err)
{
	const uid_t no_uid = (uid_t)-1;
	const gid_t no_gid = (gid_t)-1;

	if (a->gid != no_gid && fchown(fd, no_uid, a->gid) == -1)
		return fail_write("set the group of", t->path, err);
	if (fchmod(fd, a->mode) == -1)
		return fail_write("set the mode of", t->path, err);
	if (a->uid != no_uid && fchown(fd, a->uid, no_gid) == -1)
		return fail_write("set the owner of", t->path, err);
	return 0;
}

/* A failed fsync() is final: the kernel has dropped the bytes and a second
 * try would succeed without them.  After close() the descriptor is gone,
 * whatever it returned, and EINTR loses nothing that fsync() has written. */
static int
fill_temp(const struct file_draft *t, int fd, const void *data, size_t len,
    const struct file_access *access, struct err *err)
{
	int rc = 0;

	if (file_write_all(fd, data, len) == -1)
		rc = fail_write("write", t->path, err);
	else if (set_access(t, fd, access, err) == -1)
		rc = -1;
	else if (fsync(fd) == -1)
		rc = fail_write("sync", t->path, err);
	if (close(fd) == -1 && errno != EINTR && rc == 0)
		rc = fail_write("close", t->path, err);
	return rc;
}

/* Gives the temporary file its name if nobody has it.  Where the file system
 * (NFS) or the kernel cannot rename so, a second link can. */
static int
name_new(const struct file_draft *t)
{
	if (renameat2(
	        t->parent, t->temp, t->parent, t->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(t->parent, t->temp, t->parent, t->name, 0) == -1)
		return -1;
	/* The file is there; a left-over temporary name does no harm. */
	(void)unlinkat(t->parent, t->temp, 0);
	return 0;
}

static int
name_final(const struct file_draft *t, enum file_write_how how, struct err *err)
{
	int rc;

	if (how == FILE_NEW)
		rc = name_new(t);
	else
		rc = renameat(t->parent, t->temp, t->parent, t->name);
	if (rc == 0)
		return 0;
	if (how == FILE_NEW && errno == EEXIST)
		return err_sys(err, ERR_EXISTS, "create %s", t->path);
	return fail_write("rename to", t->path, err);
}

void
file_draft_drop(struct file_draft *draft)
{
	(void)unlinkat(draft->parent, draft->temp, 0);
	close(draft->parent);
}

int
file_draft(int dirfd, const char *path, const void *data, size_t len,
    const struct file_access *access, struct file_draft *out, struct err *err)
{
	struct file_draft t = {.path = path, .name = base_name(path)};
	int fd;

	if (!*t.name || is_dots(t.name))
		return err_set(err, ERR_IO, "write %s: not a file name", path);
	t.parent = open_parent(dirfd, path);
	if (t.parent == -1)
		return fail_write("open the folder of", path, err);
	fd = open_temp(&t, access->mode, err);
	if (fd == -1) {
		close(t.parent);
		return -1;
	}
	if (fill_temp(&t, fd, data, len, access, err) == -1) {
		file_draft_drop(&t);
		return -1;
	}
	*out = t;
	return 0;
}

int
file_draft_place(
    struct file_draft *draft, enum file_write_how how, struct err *err)
{
	int rc = 0;

	if (name_final(draft, how, err) == -1) {
		file_draft_drop(draft);
		return -1;
	}
	if (sync_folder(draft->parent) == -1)
		rc = fail_write("sync the folder of", draft->path, err);
	close(draft->parent);
	return rc;
}

int
file_write(int dirfd, const char *path, const void *data, size_t len,
    mode_t mode, enum file_write_how how, struct err *err)
{
	const struct file_access access = {
	    .mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	struct file_draft draft;

	if (file_draft(dirfd, path, data, len, &access, &draft, err) == -1)
		return -1;
	return file_draft_place(&draft, how, err);
}

/* -- folders -- */

static int
open_folder(int dirfd, const char *path)
{
	return openat(dirfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Only an umask that takes rights from the owner makes this necessary. */
static int
widen(int dirfd, const char *path)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	if ((st.st_mode & 0777) == 0700)
		return 0;
	return fchmodat(dirfd, path, 0700, AT_SYMLINK_NOFOLLOW);
}

/* Another maker may be faster; the parent is synced then, too, because he may
 * not have come to that yet. */
static int
make_folder(int dirfd, const char *path, struct err *err)
{
	if (mkdirat(dirfd, path, 0700) == 0) {
		if (widen(dirfd, path) == -1)
			return fail_write("set the mode of", path, err);
	} else if (errno != EEXIST) {
		return fail_write("create", path, err);
	}
	return file_sync_parent(dirfd, path, err);
}

/* path is an absolute path or a beginning of one, without a final slash. */
static int
need_folder(int dirfd, const char *path, struct err *err)
{
	int fd = open_folder(dirfd, path);

	if (fd == -1 && errno == ENOENT) {
		if (make_folder(dirfd, path, err) == -1)
			return -1;
		fd = open_folder(dirfd, path);
	}
	if (fd == -1)
		return fail_write("open", path, err);
	close(fd);
	return 0;
}

int
file_mkdirs(int dirfd, const char *path, struct err *err)
{
	char *part = xstrdup(path);
	size_t i = 0;
	int rc = 0;

	while (rc == 0 && part[i]) {
		i += strspn(part + i, "/");
		i += strcspn(part + i, "/");
		part[i] = '\0';
		rc = need_folder(dirfd, part, err);
		part[i] = path[i];
	}
	free(part);
	return rc;
}

/* -- removing -- */

static int remove_in(int dirfd, const char *name, int depth);

/* Removes what is in the folder, once through; the number of names seen, or
 * -1.  What others remove meanwhile is gone, too. */
static int
empty_folder(DIR *dir, int depth)
{
	const struct dirent *entry;
	int seen = 0;

	rewinddir(dir);
	while ((errno = 0, entry = readdir(dir))) {
		if (is_dots(entry->d_name))
			continue;
		if (remove_in(dirfd(dir), entry->d_name, depth + 1) == -1)
			return -1;
		seen = 1;
	}
	return errno ? -1 : seen;
}

/* Until a pass finds nothing: removing while reading may hide names from
 * readdir(), and somebody may be adding some, though not for ever. */
static int
empty_fd(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	int i, saved, seen = 1;

	if (!dir) {
		close(fd);
		return -1;
	}
	for (i = 0; i < PASSES_MAX && seen == 1; i++)
		seen = empty_folder(dir, depth);
	saved = errno;
	closedir(dir);
	errno = saved;
	return seen == -1 ? -1 : 0;
}

static int
remove_folder(int dirfd, const char *name, int depth)
{
	int fd;

	if (depth > DEPTH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || empty_fd(fd, depth) == -1)
		return -1;
	return unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* 0, also if it is not there; or -1 and errno. */
static int
remove_in(int dirfd, const char *name, int depth)
{
	int sys;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	sys = errno;
	if (sys != EISDIR && sys != EPERM) /* POSIX says EPERM */
		return -1;
	if (remove_folder(dirfd, name, depth) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR) /* an EPERM of another kind */
		errno = sys;
	return -1;
}

int
file_remove(int dirfd, const char *path, struct err *err)
{
	const char *name = base_name(path);
	struct stat st;
	int parent, rc = 0;

	if (!*name || is_dots(name))
		return err_set(err, ERR_IO, "remove %s: not a file name", path);
	/* nothing there, nothing to sync: the commonest case by far */
	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT)
		return 0;
	parent = open_parent(dirfd, path);
	if (parent == -1 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (parent == -1)
		return fail_write("open the folder of", path, err);
	if (remove_in(parent, name, 0) == -1)
		rc = fail_write("remove", path, err);
	else if (sync_folder(parent) == -1)
		rc = fail_write("sync the folder of", path, err);
	close(parent);
	return rc;
}
