/*
 * Files, whole and durable.
 *
 * Reading takes a cap and accepts regular files only (a FIFO or a device named
 * by mistake never blocks or floods).  Writing makes a temporary file beside
 * the target with its final mode, writes and syncs it, renames it and syncs
 * the folder: a reader sees the old bytes or the new, and success means that
 * the new ones survive a power cut.  A failed fsync is never retried on the
 * same descriptor.  Paths are relative to a directory descriptor that the
 * caller opened (AT_FDCWD will do); symbolic links are followed for reading
 * only where the caller says so.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;

enum file_read_flags {
	FILE_FOLLOW = 1, /* the last component may be a symbolic link */
	FILE_PRIVATE = 2 /* ERR_PERMISSION if group or others can read it */
};

/*
 * Appends the whole file to out.  ERR_ABSENT when there is none, ERR_DATA when
 * it is larger than max or not a regular file, else ERR_IO or ERR_PERMISSION.
 */
int file_read(int dirfd, const char *path, size_t max, int flags,
    struct buf *out, struct err *err);

enum file_write_how {
	FILE_REPLACE, /* there or not */
	FILE_NEW      /* only if absent, else ERR_EXISTS */
};

/* Atomic and durable as above.  mode is the final mode, umask or not. */
int file_write(int dirfd, const char *path, const void *data, size_t len,
    mode_t mode, enum file_write_how how, struct err *err);

/* Whose a file is and who may have it; -1 for uid or gid: as it comes. */
struct file_access {
	mode_t mode; /* final, umask or not */
	uid_t uid;
	gid_t gid;
};

/*
 * A new file, complete, owned and synced, that lacks only its name: so that
 * several can be made ready before the first of them is seen.  The data is
 * never readable by anybody whom access does not let have it.  path is
 * borrowed.  A draft ends by being placed or dropped.
 */
struct file_draft {
	int parent;              /* the folder */
	const char *path;        /* for messages */
	const char *name;        /* the final name in it */
	char temp[NAME_MAX + 1]; /* the name until then */
};

int file_draft(int dirfd, const char *path, const void *data, size_t len,
    const struct file_access *access, struct file_draft *out, struct err *err);
/* Gives it its name, durably.  The draft has ended also when this fails. */
int file_draft_place(
    struct file_draft *draft, enum file_write_how how, struct err *err);
void file_draft_drop(struct file_draft *draft);

/* write(2) until all is written; -1 and errno. */
int file_write_all(int fd, const void *data, size_t len);

/* Makes every missing folder of path (mode 0700, parents synced). */
int file_mkdirs(int dirfd, const char *path, struct err *err);

/* fsync of the folder that holds path ("." if it has no slash). */
int file_sync_parent(int dirfd, const char *path, struct err *err);

/* unlink or recursive removal; absence is success, and otherwise the parent is
 * synced. */
int file_remove(int dirfd, const char *path, struct err *err);

#endif
