#include <config.h>

#include "store/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "store/folder.h"
#include "store/guard.h"
#include "store/store.h"

enum { KEEP_DEPTH = 8 };

/* A folder made aside, to be swapped in. */
struct draft {
	int parent;
	const char *name;            /* what it is to be called in parent */
	char temp[FOLDER_NAME_SIZE]; /* its name until then, or "" */
	int fd;                      /* the folder, or -1 */
	int old;                     /* the one it replaces, or -1 */
	const struct store_object *objects;
	size_t n;
};

static int
draft_begin(struct draft *f, struct err *err)
{
	struct err e = ERR_INIT;

	f->fd = -1;
	f->old = folder_enter(f->parent, f->name, false, &e);
	if (f->old == -1 && e.code != ERR_ABSENT) {
		*err = e;
		return -1;
	}
	folder_temp(f->name, "new", f->temp);
	if (mkdirat(f->parent, f->temp, 0700) == -1 ||
	    fchmodat(f->parent, f->temp, 0700, 0) == -1)
		return err_sys(err, folder_code(errno), "making %s", f->temp);
	f->fd = folder_enter(f->parent, f->temp, false, err);
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

/* -- what comes along ----------------------------------------------------- */

static int
keep_copy(int from, int to, const char *name, struct err *err)
{
	struct buf bytes = BUF_SECRET;
	int rc = file_read(from, name, BUF_MAX, 0, &bytes, err);

	if (rc == 0)
		rc = folder_add(
		    to, name, buf_str(&bytes), bytes.len, true, err);
	buf_release(&bytes);
	return rc;
}

/* Where the new folder is, and what of the old need not come along. */
struct keep {
	const struct draft *draft; /* NULL below the top */
	int to, depth;
};

static int keep_one(void *arg, int from, const char *name, struct err *err);

static int
keep_folder(const struct keep *k, int from, const char *name, struct err *err)
{
	struct keep below = {.depth = k->depth + 1};
	int rc, sub;

	if (below.depth > KEEP_DEPTH)
		return err_set(
		    err, ERR_DATA, "%s: folders nested too deep", name);
	sub = folder_enter(from, name, false, err);
	if (sub == -1)
		return -1;
	below.to = folder_enter(k->to, name, true, err);
	rc = below.to == -1 ? -1 : folder_each(sub, keep_one, &below, err);
	if (rc == 0)
		rc = folder_sync(below.to, err);
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

	if (folder_is_temp(name) || (k->draft && draft_names(k->draft, name)))
		return 0;
	if (linkat(from, name, k->to, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return keep_folder(k, from, name, err);
		if (S_ISREG(st.st_mode))
			return keep_copy(from, k->to, name, err);
	}
	return err_set(
	    err, ERR_DATA, "%s: not a file, and cannot be kept", name);
}

static int
draft_fill(struct draft *f, struct err *err)
{
	struct keep keep = {.draft = f, .to = f->fd};
	size_t i;

	if (f->old != -1 && folder_each(f->old, keep_one, &keep, err) == -1)
		return -1;
	for (i = 0; i < f->n; i++)
		if (folder_add(f->fd, f->objects[i].name, f->objects[i].data,
		        f->objects[i].len, true, err) == -1)
			return -1;
	return folder_sync(f->fd, err);
}

/* -- swapping ------------------------------------------------------------- */

static int
draft_swap(const struct draft *f)
{
	if (f->old == -1)
		return renameat(f->parent, f->temp, f->parent, f->name);
	return renameat2(
	    f->parent, f->temp, f->parent, f->name, RENAME_EXCHANGE);
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
		return err_sys(err, folder_code(errno),
		    "putting %s in its "
		    "place",
		    f->temp);
	}
	if (folder_sync(f->parent, err) == -1) {
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

/* -- committing ----------------------------------------------------------- */

int
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

int
commit_lock(int root, int parent, struct err *err)
{
	int fd = guard_open(root, err);

	if (fd == -1)
		return -1;
	folder_sweep(parent, guard_lock(fd, F_WRLCK, GUARD_DRAFT, 0) == 0);
	if (guard_lock(fd, F_RDLCK, GUARD_DRAFT, GUARD_WAIT_MS) == 0)
		return fd;
	err_sys(
	    err, errno == EAGAIN ? ERR_LATER : ERR_IO, "locking " GUARD_FILE);
	close(fd);
	return -1;
}
