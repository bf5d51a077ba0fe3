#include <config.h>

#include "store/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/name.h"
#include "pki/hash.h"
#include "store/dir.h"
#include "store/store.h"

/*
 * Ours and other autocert processes take, refresh and give back under one
 * guard, so looking and acting are one step among ourselves.  Towards CertMagic
 * there is only what a file can do: it is created exclusively, kept in place,
 * and ours as long as the path leads to the very file that we made.  The
 * descriptor stays open, so its inode number is not given to another, and it
 * holds a flock: when that is free, the process is gone.
 */
enum { FILE_SIZE = 256, OWNER_SIZE = 128, HOST_SIZE = 65, BOOT_SIZE = 40 };
enum { LOCK_MAX = 4096 };

/* Go's zero time, 0001-01-01: not set. */
#define YEAR_ONE INT64_C(-62135596800)

struct moment {
	time_t sec;
	long nsec;
	bool set;
};

struct lease {
	struct dir *dir;
	int folder, fd;
	char file[FILE_SIZE];
	char owner[OWNER_SIZE];
	struct moment created;
	int64_t due_ms;
	struct lease *next;
};

/* What lease_release_all() finds in a signal handler. */
static struct lease *volatile held;

/* -- what a lock file says ------------------------------------------------ */

struct lock_text {
	struct moment created, updated;
	char owner[OWNER_SIZE];
	char boot[BOOT_SIZE];
	int64_t pid; /* 0: it does not say */
	bool readable;
};

static void
get_moment(const struct json *o, const char *member, struct moment *out)
{
	struct err ignored = ERR_INIT;
	const char *text = NULL;

	if (json_get_string(
	        "lock", o, member, JSON_OPTIONAL, &text, &ignored) == 0 &&
	    text)
		out->set = date_parse(text, strlen(text), &out->sec,
		               &out->nsec) == 0 &&
		    out->sec != YEAR_ONE;
}

static void
get_text(const struct json *o, const char *member, char *out, size_t size)
{
	struct err ignored = ERR_INIT;
	const char *text = NULL;

	if (json_get_string(
	        "lock", o, member, JSON_OPTIONAL, &text, &ignored) == -1 ||
	    !text || fmt_fit(out, size, "%s", text) == -1)
		*out = '\0';
}

static void
lock_parse(const struct buf *text, struct lock_text *out)
{
	struct err ignored = ERR_INIT;
	struct json *o;

	*out = (struct lock_text){.pid = 0};
	o = json_parse("lock", buf_str(text), text->len, &ignored);
	if (!o)
		return;
	get_moment(o, "created", &out->created);
	get_moment(o, "updated", &out->updated);
	get_text(o, "owner", out->owner, sizeof(out->owner));
	get_text(o, "boot", out->boot, sizeof(out->boot));
	if (json_get_int(
	        "lock", o, "pid", JSON_OPTIONAL, &out->pid, &ignored) == -1)
		out->pid = 0;
	out->readable = out->created.set || out->updated.set;
	json_free(o);
}

/* A file too large or of another kind counts as malformed. */
static int
lock_read(int folder, const char *file, struct lock_text *out, struct err *err)
{
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	int rc = file_read(folder, file, LOCK_MAX, 0, &text, &e);

	if (rc == 0 || e.code == ERR_DATA) {
		lock_parse(&text, out);
		rc = 0;
	} else {
		*err = e;
	}
	buf_release(&text);
	return rc;
}

/* -- whose it is ---------------------------------------------------------- */

static void
host_name(char out[HOST_SIZE])
{
	if (gethostname(out, HOST_SIZE) == -1 || !*out)
		snprintf(out, HOST_SIZE, "localhost");
	out[HOST_SIZE - 1] = '\0';
	out[strcspn(out, ":")] = '\0';
}

/* This boot of this machine, or "" where the kernel does not say. */
static void
boot_id(char out[BOOT_SIZE])
{
	struct err ignored = ERR_INIT;
	struct buf id = BUF_INIT;

	*out = '\0';
	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id",
	        BOOT_SIZE - 1, 0, &id, &ignored) == 0)
		snprintf(out, BOOT_SIZE, "%.*s",
		    (int)strcspn(buf_str(&id), "\n"), buf_str(&id));
	buf_release(&id);
}

static void
owner_name(char out[OWNER_SIZE])
{
	char host[HOST_SIZE];
	uint64_t number;

	host_name(host);
	hash_random(&number, sizeof(number));
	snprintf(out, OWNER_SIZE, "%s:%ld:%016" PRIx64, host, (long)getpid(),
	    number);
}

/*
 * An autocert process of this machine, and gone: the flock on its file is
 * free.  Boot and host are compared because on some network file systems
 * a flock is not seen by others.
 */
static bool
owner_gone(int folder, const char *file, const struct lock_text *t)
{
	char host[HOST_SIZE], boot[BOOT_SIZE];
	size_t len;
	bool gone;
	int fd;

	host_name(host);
	boot_id(boot);
	len = strlen(host);
	if (!*boot || strcmp(t->boot, boot) != 0 ||
	    strncmp(t->owner, host, len) != 0 || t->owner[len] != ':')
		return false;
	fd = openat(folder, file,
	    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1)
		return false;
	gone = flock(fd, LOCK_EX | LOCK_NB) == 0;
	close(fd);
	return gone;
}

static int64_t
age_ms(const struct timespec *now, time_t sec, long nsec)
{
	return ((int64_t)now->tv_sec - (int64_t)sec) * 1000 +
	    (now->tv_nsec - nsec) / 1000000;
}

/*
 * CertMagic's rule.  The file's own time is a hint for what it cannot judge: a
 * malformed file, and a time so far ahead that one of the clocks is wrong.
 */
static bool
lock_stale(const struct lock_text *t, const struct stat *st)
{
	const struct moment *m = t->updated.set ? &t->updated : &t->created;
	const int64_t limit = INT64_C(1000) * LEASE_STALE_S;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t->readable && age_ms(&now, m->sec, m->nsec) >= -limit)
		return age_ms(&now, m->sec, m->nsec) > limit;
	return age_ms(&now, st->st_mtim.tv_sec, st->st_mtim.tv_nsec) > limit;
}

static int
held_by(const struct lock_text *t, struct err *err)
{
	char since[DATE_MAX] = "", who[OWNER_SIZE + 32] = "another program";

	if (!t->readable)
		return err_set(err, ERR_LATER,
		    "held by another program, which "
		    "is just writing it");
	if (*t->owner)
		snprintf(who, sizeof(who), "%.*s pid %" PRId64,
		    (int)strcspn(t->owner, ":"), t->owner, t->pid);
	date_format(t->created.set ? t->created.sec : t->updated.sec, since);
	return err_set(err, ERR_LATER, "held by %s since %s", who, since);
}

/* -- our file ------------------------------------------------------------- */

/* Nine digits that do not end in 0, so that every text we write is as long as
 * the last and can be written over it. */
static struct moment
moment_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (struct moment){
	    .sec = now.tv_sec,
	    .nsec = now.tv_nsec - now.tv_nsec % 10 + 1,
	    .set = true,
	};
}

static void
lock_print(const struct lease *l, const struct moment *updated, struct buf *out)
{
	struct json *o = json_new_object();
	char text[DATE_MAX], boot[BOOT_SIZE];

	json_add_string(o, "created",
	    date_format_nano(l->created.sec, l->created.nsec, text));
	json_add_string(
	    o, "updated", date_format_nano(updated->sec, updated->nsec, text));
	json_add_string(o, "owner", l->owner);
	json_add_int(o, "pid", getpid());
	boot_id(boot);
	if (*boot)
		json_add_string(o, "boot", boot);
	json_print(o, JSON_COMPACT, out);
	buf_puts(out, "\n");
	json_free(o);
}

/* One write over what is there, never a moment of an empty file. */
static int
lock_write(const struct lease *l, const struct moment *updated, struct err *err)
{
	struct buf text = BUF_INIT;
	ssize_t n;
	int rc = 0;

	lock_print(l, updated, &text);
	n = pwrite(l->fd, text.data, text.len, 0);
	if (n >= 0 && (size_t)n != text.len) {
		errno = ENOSPC;
		n = -1;
	}
	/* not synced: a lock need not outlive the machine that holds it */
	if (n == -1 || ftruncate(l->fd, (off_t)text.len) == -1)
		rc = err_sys(err, ERR_IO, "writing %s", l->file);
	buf_release(&text);
	return rc;
}

/* 1 when there is one already. */
static int
lock_create(struct lease *l, struct err *err)
{
	l->fd = openat(l->folder, l->file,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (l->fd == -1)
		return errno == EEXIST ?
		    1 :
		    err_sys(err, ERR_IO, "creating %s", l->file);
	flock(l->fd, LOCK_EX | LOCK_NB);
	l->created = moment_now();
	if (lock_write(l, &l->created, err) == 0)
		return 0;
	unlinkat(l->folder, l->file, 0);
	return -1;
}

/* Whether the path still leads to the file we made; calls nothing that a
 * signal handler may not. */
static bool
lock_is_ours(const struct lease *l)
{
	struct stat path, fd;

	return fstatat(l->folder, l->file, &path, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstat(l->fd, &fd) == 0 && path.st_ino == fd.st_ino &&
	    path.st_dev == fd.st_dev;
}

static int
lock_verify(const struct lease *l, struct err *err)
{
	struct lock_text t = {.pid = 0};

	if (!lock_is_ours(l))
		return err_set(err, ERR_LATER,
		    "%s was lost: another has "
		    "removed or replaced it",
		    l->file);
	if (lock_read(l->folder, l->file, &t, err) == -1)
		return -1;
	if ((*t.owner && strcmp(t.owner, l->owner) != 0) ||
	    (t.created.set &&
	        (t.created.sec != l->created.sec ||
	            t.created.nsec != l->created.nsec)))
		return err_set(err, ERR_LATER,
		    "%s was lost: another has "
		    "taken it over",
		    l->file);
	return 0;
}

/* -- taking --------------------------------------------------------------- */

/* Makes way if the holder is stale or gone: 0, or -1 with who has it. */
static int
make_way(const struct lease *l, struct err *err)
{
	struct lock_text t = {.pid = 0};
	struct stat st;

	if (fstatat(l->folder, l->file, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ?
		    0 :
		    err_sys(err, ERR_IO, "looking at %s", l->file);
	if (lock_read(l->folder, l->file, &t, err) == -1)
		return err->code == ERR_ABSENT ? 0 : -1;
	if (!lock_stale(&t, &st) && !owner_gone(l->folder, l->file, &t))
		return held_by(&t, err);
	if (unlinkat(l->folder, l->file, 0) == -1 && errno != ENOENT)
		return err_sys(err, ERR_IO, "removing the stale %s", l->file);
	return 0;
}

/* Another program may be quicker than we with the place that we made. */
static int
lock_take(struct lease *l, struct err *err)
{
	int rc, tries;

	for (tries = 0; tries < 4; tries++) {
		rc = lock_create(l, err);
		if (rc != 1)
			return rc;
		if (make_way(l, err) == -1)
			return -1;
	}
	return err_set(err, ERR_LATER, "held by another program");
}

static void
lease_free(struct lease *l)
{
	if (l->fd != -1)
		close(l->fd);
	if (l->folder != -1)
		close(l->folder);
	free(l);
}

static int
lease_open(struct lease *l, const char *name, struct err *err)
{
	char safe[FILE_SIZE];
	int guard, rc;

	if (name_safe(name, safe, sizeof(safe)) == -1 || !*safe ||
	    fmt_fit(l->file, sizeof(l->file), "%s.lock", safe) == -1)
		return err_set(err, ERR_CONFIG,
		    "no file name can be made of "
		    "it");
	if (!l->dir)
		return err_bug(err, "leases are a directory's");
	l->folder = dir_folder(l->dir, "locks", err);
	if (l->folder == -1)
		return -1;
	guard = dir_guard(l->dir, GUARD_LEASE, err);
	if (guard == -1)
		return -1;
	rc = lock_take(l, err);
	close(guard);
	return rc;
}

struct lease *
lease_try(struct store *s, const char *name, struct err *err)
{
	struct lease *l = xcalloc(1, sizeof(*l));
	struct err e = ERR_INIT;

	l->dir = store_dir(s);
	l->fd = -1;
	l->folder = -1;
	owner_name(l->owner);
	if (lease_open(l, name, &e) == -1) {
		*err = e;
		err_wrap(err, "lock %s", name);
		lease_free(l);
		return NULL;
	}
	l->due_ms = date_mono_ms() + LEASE_REFRESH_MS;
	l->next = held;
	held = l;
	return l;
}

/* -- keeping -------------------------------------------------------------- */

static int
check(struct lease *l, bool refresh, struct err *err)
{
	struct moment now = moment_now();
	int rc, guard = dir_guard(l->dir, GUARD_LEASE, err);

	if (guard == -1)
		return -1;
	rc = lock_verify(l, err);
	if (rc == 0 && refresh)
		rc = lock_write(l, &now, err);
	close(guard);
	return rc;
}

int
lease_refresh(struct lease *l, int64_t now_ms, struct err *err)
{
	if (now_ms < l->due_ms)
		return 0;
	if (check(l, true, err) == -1)
		return -1;
	l->due_ms = now_ms + LEASE_REFRESH_MS;
	return 0;
}

int64_t
lease_due_ms(const struct lease *l)
{
	return l->due_ms;
}

int
lease_check(struct lease *l, struct err *err)
{
	return check(l, false, err);
}

/* -- giving back ---------------------------------------------------------- */

static void
forget(const struct lease *l)
{
	struct lease *p = held;

	if (p == l) {
		held = l->next;
		return;
	}
	while (p->next != l)
		p = p->next;
	p->next = l->next;
}

/* What cannot be removed goes stale by itself. */
void
lease_release(struct lease *l)
{
	struct err ignored = ERR_INIT;
	int guard;

	if (!l)
		return;
	forget(l);
	guard = dir_guard(l->dir, GUARD_LEASE, &ignored);
	if (guard != -1) {
		if (lock_verify(l, &ignored) == 0)
			unlinkat(l->folder, l->file, 0);
		close(guard);
	}
	lease_free(l);
}

void
lease_release_all(void)
{
	const struct lease *l;

	for (l = held; l; l = l->next)
		if (lock_is_ours(l))
			unlinkat(l->folder, l->file, 0);
}
