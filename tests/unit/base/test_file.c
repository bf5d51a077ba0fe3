/*
 * Files.  The system calls of lib/base/file.c go through the functions of the
 * same names here: they note what is called in which order and can fail on
 * request, as a full or a failing disk would.
 */
#include <config.h>

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

static int dir = -1; /* where everything happens */

/* -- system calls -- */

static struct {
	bool on;
	char trace[1024]; /* "write chmod sync rename sync-dir " */
	const char *fail; /* this call fails ... */
	int sys;          /* ... with this errno, or returns 0 */
	bool once;        /* ... the first time only */
	size_t at_most;   /* bytes a write may take; 0: all */
	mode_t mode;      /* the final mode */
	bool wider;       /* a file being written was open to more */
} calls;

static void
calls_start(const char *fail, int sys, bool once)
{
	memset(&calls, 0, sizeof(calls));
	calls.fail = fail;
	calls.sys = sys;
	calls.once = once;
	calls.mode = 0600;
	calls.on = true;
}

/* Whether it is this call's turn to fail. */
static bool
called(const char *name)
{
	size_t used = strlen(calls.trace);

	if (!calls.on)
		return false;
	if (fmt_fit(calls.trace + used, sizeof(calls.trace) - used, "%s ",
	        name) == -1)
		calls.trace[used] = '\0';
	if (!calls.fail || strcmp(calls.fail, name) != 0)
		return false;
	if (calls.once)
		calls.fail = NULL;
	errno = calls.sys;
	return true;
}

static int
result(long rc)
{
	return rc == -1 ? -1 : 0;
}

ssize_t
write(int fd, const void *data, size_t len)
{
	struct stat st;

	if (calls.on && fstat(fd, &st) == 0 && st.st_mode & 0777 & ~calls.mode)
		calls.wider = true;
	if (called("write"))
		return calls.sys ? -1 : 0;
	if (calls.on && calls.at_most && len > calls.at_most)
		len = calls.at_most;
	return syscall(SYS_write, fd, data, len);
}

int
fchmod(int fd, mode_t mode)
{
	return called("chmod") ? -1 : result(syscall(SYS_fchmod, fd, mode));
}

int
fchown(int fd, uid_t uid, gid_t gid)
{
	return called(uid == (uid_t)-1 ? "group" : "owner") ?
	    -1 :
	    result(syscall(SYS_fchown, fd, uid, gid));
}

int
fsync(int fd)
{
	struct stat st;
	bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	if (called(folder ? "sync-dir" : "sync"))
		return -1;
	return result(syscall(SYS_fsync, fd));
}

int
close(int fd)
{
	struct stat st;
	bool file = calls.on && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	bool fails = file && called("close");
	int rc = result(syscall(SYS_close, fd));

	if (!fails)
		return rc;
	errno = calls.sys;
	return -1;
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if (called("rename"))
		return -1;
	return result(syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int
renameat2(int from_dir, const char *from, int to_dir, const char *to,
    unsigned int flags)
{
	if (called("rename2"))
		return -1;
	return result(
	    syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (called("link"))
		return -1;
	return result(syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int
unlinkat(int at, const char *path, int flags)
{
	if (called(flags & AT_REMOVEDIR ? "rmdir" : "unlink"))
		return -1;
	return result(syscall(SYS_unlinkat, at, path, flags));
}

/* To fail with EEXIST is to find that another has just made it. */
int
mkdirat(int at, const char *path, mode_t mode)
{
	bool fails = called("mkdir");
	int rc = 0;

	if (!fails || calls.sys == EEXIST)
		rc = result(syscall(SYS_mkdirat, at, path, mode));
	if (!fails)
		return rc;
	errno = calls.sys;
	return -1;
}

/* -- help -- */

static void
must(bool cond, const char *what)
{
	if (cond)
		return;
	perror(what);
	exit(99);
}

static void
make(const char *path, const char *text, mode_t mode)
{
	int fd = openat(
	    dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd != -1 && file_write_all(fd, text, strlen(text)) == 0 &&
	        fchmod(fd, mode) == 0 && close(fd) == 0,
	    path);
}

/* The text of a file, or NULL; good until the next. */
static const char *
text_of(const char *path)
{
	static char text[64 * 1024];
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

/* The mode of a file, links not followed; -1 if there is none. */
static int
mode_of(const char *path)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	return (int)(st.st_mode & 07777);
}

static bool
exists(const char *path)
{
	return mode_of(path) != -1;
}

static int
count_names(const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	must(d, path);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* Another user for a moment, because root may do anything.  false where we
 * cannot be one. */
enum { NOBODY = 65534 };

static bool
become_nobody(void)
{
	return geteuid() != 0 || seteuid(NOBODY) == 0;
}

static void
become_ourselves(void)
{
	if (geteuid() == NOBODY && getuid() == 0)
		must(seteuid(0) == 0, "seteuid");
}

/* A folder that the other user owns and may not write to, with a file that he
 * may not read. */
static int
make_refused(void)
{
	int fd;

	must(mkdirat(dir, "refused", 0700) == 0, "refused");
	make("refused/file", "x", 0000);
	fd = openat(dir, "refused", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd != -1 && fchmod(fd, 0500) == 0, "refused");
	if (geteuid() == 0)
		must(fchown(fd, NOBODY, (gid_t)-1) == 0, "refused");
	return fd;
}

/* -- reading -- */

static void
read_fails(const char *path, size_t max, int flags, int code, const char *text,
    const char *name)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	buf_puts(&b, "before");
	fails(file_read(dir, path, max, flags, &b, &err), &err, code, text,
	    "read: %s", name);
	is(buf_str(&b), "before", "read: %s: nothing is added", name);
	buf_release(&b);
}

static void
test_read(void)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	make("r10", "0123456789", 0600);
	make("r0", "", 0600);
	must(symlinkat("r10", dir, "r-link") == 0, "r-link");
	buf_puts(&b, "x");
	ok_err(file_read(dir, "r10", 10, 0, &b, &err), &err,
	    "read: as large as may be");
	is(buf_str(&b), "x0123456789", "read: appends");
	ok(err.code == ERR_NONE && !err.text[0], "read: err is untouched");
	ok_err(file_read(dir, "r0", 0, 0, &b, &err), &err, "read: nothing");
	ok_err(file_read(dir, "r-link", 10, FILE_FOLLOW, &b, &err), &err,
	    "read: a link to follow");
	is(buf_str(&b), "x01234567890123456789", "read: through the link");
	buf_release(&b);

	b.max = 9;
	fails(file_read(dir, "r10", 100, 0, &b, &err), &err, ERR_DATA, "r10",
	    "read: more than the buf may hold");
	ok(b.len == 0, "read: more than the buf may hold: nothing is added");
	buf_release(&b);
}

static void
test_read_much(void)
{
	enum { MUCH = 50000 };
	struct buf much = BUF_INIT, b = BUF_INIT;
	struct err err = ERR_INIT;
	int i;

	for (i = 0; i < MUCH / 10; i++)
		buf_printf(&much, "%09d\n", i);
	make("much", buf_str(&much), 0600);
	ok_err(file_read(dir, "much", MUCH, 0, &b, &err), &err, "read: much");
	is(buf_str(&b), buf_str(&much), "read: all of it");
	buf_release(&b);
	buf_release(&much);
	read_fails("much", MUCH - 1, 0, ERR_DATA, "much: larger than 49999",
	    "one byte too many");
	read_fails("r10", 0, 0, ERR_DATA, "r10", "any byte is too many");
	read_fails("/proc/self/status", 20, 0, ERR_DATA, "larger than 20",
	    "larger than fstat() says");
}

static void
make_socket(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fmt_fit(a.sun_path, sizeof(a.sun_path), "%s/%s", tap_tmpdir(),
	         name) == 0,
	    name);
	must(fd != -1 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, name);
	close(fd);
}

/* The alarm of main() ends what waits. */
static void
test_read_odd(void)
{
	must(mkfifoat(dir, "fifo", 0600) == 0, "fifo");
	must(mkdirat(dir, "folder", 0700) == 0, "folder");
	must(symlinkat("nowhere", dir, "dangling") == 0, "dangling");
	must(symlinkat("loop", dir, "loop") == 0, "loop");
	must(symlinkat("fifo", dir, "to-fifo") == 0, "to-fifo");
	make_socket("socket");
	read_fails("none", 9, 0, ERR_ABSENT, "none: No such file", "absent");
	read_fails("none/x", 9, 0, ERR_ABSENT, "none/x", "absent folder");
	read_fails("r10/x", 9, 0, ERR_ABSENT, "r10/x", "a file as folder");
	read_fails(
	    "r-link", 99, 0, ERR_PERMISSION, "r-link", "a link not to follow");
	read_fails("dangling", 99, 0, ERR_PERMISSION, "dangling",
	    "a dangling link not to follow");
	read_fails("dangling", 99, FILE_FOLLOW, ERR_ABSENT, "dangling",
	    "a dangling link");
	read_fails("loop", 99, FILE_FOLLOW, ERR_PERMISSION, "loop", "a loop");
	read_fails(
	    "folder", 9, 0, ERR_DATA, "folder: not a regular file", "a folder");
	read_fails(
	    "fifo", 9, 0, ERR_DATA, "fifo: not a regular file", "a FIFO");
	read_fails("to-fifo", 9, FILE_FOLLOW, ERR_DATA, "not a regular file",
	    "a link to a FIFO");
	read_fails("socket", 9, 0, ERR_DATA, "not a regular file", "a socket");
	read_fails(
	    "/dev/zero", 9, 0, ERR_DATA, "not a regular file", "a device");
}

static void
test_read_private(void)
{
	static const mode_t open[] = {0640, 0620, 0610, 0604, 0602, 0601};
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	size_t i;

	make("p", "key", 0600);
	ok_err(file_read(dir, "p", 9, FILE_PRIVATE, &b, &err), &err,
	    "private: 0600");
	make("p4", "key", 0400);
	ok_err(file_read(dir, "p4", 9, FILE_PRIVATE, &b, &err), &err,
	    "private: 0400");
	for (i = 0; i < sizeof(open) / sizeof(*open); i++) {
		make("p", "key", open[i]);
		read_fails("p", 9, FILE_PRIVATE, ERR_PERMISSION, "p: mode 06",
		    "not private");
	}
	must(symlinkat("p", dir, "p-link") == 0, "p-link");
	read_fails("p-link", 9, FILE_PRIVATE | FILE_FOLLOW, ERR_PERMISSION,
	    "mode", "not private behind a link");
	buf_clear(&b);
	ok_err(file_read(dir, "p", 9, 0, &b, &err), &err,
	    "private only where that is asked");
	buf_release(&b);
}

static void
check_refused(int fd)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	fails(file_read(fd, "file", 9, 0, &b, &err), &err, ERR_PERMISSION,
	    "open file: Permission denied", "refused: reading");
	fails(file_write(fd, "new", "x", 1, 0600, FILE_REPLACE, &err), &err,
	    ERR_PERMISSION, "create new: Permission", "refused: writing");
	fails(file_mkdirs(fd, "a/b", &err), &err, ERR_PERMISSION,
	    "create a: ", "refused: a folder");
	fails(file_remove(fd, "file", &err), &err, ERR_PERMISSION,
	    "remove file: ", "refused: removing");
}

static void
test_refused(void)
{
	int fd = make_refused();

	if (become_nobody())
		check_refused(fd);
	else
		skip("cannot be another user", "what another may not");
	become_ourselves();
	ok(exists("refused/file"), "refused: is still there");
	must(fchmod(fd, 0700) == 0, "refused");
	close(fd);
}

/* -- writing -- */

static int
put(const char *path, const char *text, mode_t mode, enum file_write_how how,
    struct err *err)
{
	calls.mode = mode;
	return file_write(dir, path, text, strlen(text), mode, how, err);
}

static void
test_write(void)
{
	struct err err = ERR_INIT;

	must(mkdirat(dir, "w", 0700) == 0, "w");
	calls_start(NULL, 0, false);
	ok_err(put("w/f", "one", 0600, FILE_REPLACE, &err), &err, "write");
	calls.on = false;
	is(calls.trace, "write chmod sync close rename sync-dir ",
	    "write: synced before the name, the folder after");
	is(text_of("w/f"), "one", "write: bytes");
	calls_start(NULL, 0, false);
	ok_err(put("w/f", "", 0400, FILE_REPLACE, &err), &err, "write: again");
	calls.on = false;
	is(text_of("w/f"), "", "write: no bytes");
	is_int(mode_of("w/f"), 0400, "write: the new mode");
	is_int(count_names("w"), 1, "write: nothing else is left");
	ok(err.code == ERR_NONE && !err.text[0], "write: err is untouched");
}

static void
test_write_modes(void)
{
	static const mode_t modes[] = {0600, 0400, 0640, 0644, 0664, 0000};
	static const mode_t masks[] = {0022, 0000, 0077, 0777};
	struct err err = ERR_INIT;
	size_t i, j, bad = 0;

	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		for (j = 0; j < sizeof(masks) / sizeof(*masks); j++) {
			umask(masks[j]);
			calls_start(NULL, 0, false);
			bad += put("w/m", "x", modes[i], FILE_REPLACE, &err) ==
			    -1;
			calls.on = false;
			bad += calls.wider;
			bad += mode_of("w/m") != (int)modes[i];
		}
		is_int((long long)bad, 0,
		    "mode %04o under any umask, never "
		    "wider",
		    (unsigned int)modes[i]);
	}
	umask(022);
}

static void
test_write_names(void)
{
	char name[260];
	struct err err = ERR_INIT;

	must(mkdirat(dir, "n", 0700) == 0, "n");
	memset(name, 'n', sizeof(name));
	memcpy(name, "n/", 2);
	name[2 + 255] = '\0';
	ok_err(put(name, "x", 0600, FILE_REPLACE, &err), &err,
	    "names: the longest");
	memcpy(name + 2 + 255, "n", 2);
	fails(put(name, "x", 0600, FILE_REPLACE, &err), &err, ERR_IO, "nnn",
	    "names: longer");
	is_int(count_names("n"), 1, "names: longer: nothing is left");
	fails(put("n/", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    "n/: not a file name", "names: a folder's");
	fails(put("n/..", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    "n/..: not a file name", "names: ..");
	fails(put(".", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    ".: not a file name", "names: .");
	fails(put("", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    "not a file name", "names: none");
	fails(put("absent/x", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    "absent/x: No such file", "names: in no folder");
	fails(put("folder", "x", 0600, FILE_REPLACE, &err), &err, ERR_IO,
	    "folder", "names: a folder is in the way");
}

static void
test_write_links(void)
{
	struct err err = ERR_INIT;

	make("target", "old", 0600);
	must(symlinkat("target", dir, "w/l") == 0, "w/l");
	must(symlinkat("w", dir, "w-link") == 0, "w-link");
	ok_err(put("w/l", "new", 0600, FILE_REPLACE, &err), &err,
	    "links: one is replaced");
	is(text_of("target"), "old", "links: not written through");
	is(text_of("w/l"), "new", "links: a file in its place");
	must(symlinkat("nowhere", dir, "w/d") == 0, "w/d");
	fails(put("w/d", "new", 0600, FILE_NEW, &err), &err, ERR_EXISTS, "w/d",
	    "links: a dangling one is there");
	ok(!exists("nowhere"), "links: nor written through");
	ok_err(put("w-link/x", "x", 0600, FILE_REPLACE, &err), &err,
	    "links: to a folder");
	is(text_of("w/x"), "x", "links: through the folder's");
}

/* What fails, how, and what it is then; the old file must still be whole. */
static const struct fault {
	const char *call;
	int sys;
	int code;
	const char *text, *trace;
} faults[] = {{"write", ENOSPC, ERR_IO, "write f/x: No space left",
                  "write close unlink "},
    {"write", EDQUOT, ERR_IO, "write f/x: Disk quota", "write close unlink "},
    {"write", EIO, ERR_IO, "write f/x: Input/output", "write close unlink "},
    {"write", 0, ERR_IO, "write f/x: Input/output", "write close unlink "},
    {"chmod", EPERM, ERR_PERMISSION, "f/x: Operation not permitted",
        "write chmod close unlink "},
    {"chmod", EROFS, ERR_IO, "f/x: Read-only", "write chmod close unlink "},
    {"sync", EIO, ERR_IO, "sync f/x: Input/output",
        "write chmod sync close unlink "},
    {"sync", EINTR, ERR_IO, "sync f/x", "write chmod sync close unlink "},
    {"close", EIO, ERR_IO, "close f/x", "write chmod sync close unlink "},
    {"rename", EACCES, ERR_PERMISSION, "f/x: Permission",
        "write chmod sync close rename unlink "},
    {"rename", EIO, ERR_IO, "rename to f/x",
        "write chmod sync close rename unlink "}};

static void
test_faults(void)
{
	const struct fault *f;
	struct err err = ERR_INIT;
	size_t i;
	int rc;

	must(mkdirat(dir, "f", 0700) == 0, "f");
	make("f/x", "old", 0640);
	for (i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		f = &faults[i];
		calls_start(f->call, f->sys, false);
		rc = put("f/x", "new", 0600, FILE_REPLACE, &err);
		calls.on = false;
		fails(rc, &err, f->code, f->text, "%s fails: %d", f->call,
		    f->sys);
		is(calls.trace, f->trace,
		    "%s fails: not tried again, nothing "
		    "after it",
		    f->call);
		is(text_of("f/x"), "old", "%s fails: the old bytes", f->call);
		is_int(mode_of("f/x"), 0640, "%s fails: and mode", f->call);
		is_int(count_names("f"), 1, "%s fails: nothing else is left",
		    f->call);
	}
}

/* Several made ready before the first is seen; whose they are. */
static void
test_drafts(void)
{
	static const char *const failing[] = {"group", "chmod", "owner"};
	const struct file_access ours = {0640, geteuid(), getegid()};
	struct file_draft one, two;
	struct err err = ERR_INIT;
	size_t i;
	int rc;

	must(mkdirat(dir, "t", 0700) == 0, "t");
	make("t/1", "old", 0600);
	calls_start(NULL, 0, false);
	calls.mode = 0640;
	ok_err(file_draft(dir, "t/1", "new", 3, &ours, &one, &err), &err,
	    "draft: one");
	is(calls.trace, "write group chmod owner sync close ",
	    "draft: the owner comes last, and nothing has a name");
	ok(!calls.wider, "draft: never open to more");
	ok_err(file_draft(dir, "t/2", "new", 3, &ours, &two, &err), &err,
	    "draft: another");
	calls.on = false;
	is(text_of("t/1"), "old", "draft: the old bytes");
	ok(!exists("t/2"), "draft: no new file");
	ok_err(
	    file_draft_place(&one, FILE_REPLACE, &err), &err, "draft: placed");
	is(text_of("t/1"), "new", "draft: is seen");
	is_int(mode_of("t/1"), 0640, "draft: with its mode");
	file_draft_drop(&two);
	is_int(count_names("t"), 1, "draft: one dropped leaves nothing");
	for (i = 0; i < sizeof(failing) / sizeof(*failing); i++) {
		calls_start(failing[i], EPERM, false);
		rc = file_draft(dir, "t/2", "new", 3, &ours, &two, &err);
		calls.on = false;
		fails(rc, &err, ERR_PERMISSION, "t/2: Op", "draft: %s fails",
		    failing[i]);
		is_int(count_names("t"), 1, "draft: nothing is left");
	}
	rc = file_draft(dir, "t/2", "new", 3, &ours, &two, &err);
	ok_err(rc, &err, "draft: one more");
	make("t/2", "first", 0600);
	fails(file_draft_place(&two, FILE_NEW, &err), &err, ERR_EXISTS, "t/2",
	    "draft: somebody was first");
	is_int(count_names("t"), 2, "draft: which ends it, too");
}

static void
test_small_faults(void)
{
	struct err err = ERR_INIT;
	int rc;

	calls_start("sync-dir", EIO, false);
	rc = put("f/x", "new", 0600, FILE_REPLACE, &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "sync the folder of f/x",
	    "sync-dir fails: not a success");
	calls_start("sync-dir", EINVAL, false);
	rc = put("f/x", "new", 0600, FILE_REPLACE, &err);
	calls.on = false;
	ok_err(rc, &err, "a file system that cannot sync folders");

	calls_start("write", EINTR, true);
	calls.at_most = 2;
	rc = put("f/x", "seven..", 0600, FILE_REPLACE, &err);
	calls.on = false;
	ok_err(rc, &err, "short and interrupted writes");
	is(text_of("f/x"), "seven..", "short and interrupted writes: bytes");
	is(calls.trace,
	    "write write write write write chmod sync close "
	    "rename sync-dir ",
	    "short and interrupted writes: calls");
	calls_start("close", EINTR, false);
	rc = put("f/x", "y", 0600, FILE_REPLACE, &err);
	calls.on = false;
	ok_err(rc, &err, "an interrupted close");
	is(calls.trace, "write chmod sync close rename sync-dir ",
	    "an interrupted close is not tried again");
}

/* -- only if absent -- */

/* sys is what renameat2() fails with; 0: it works. */
static void
check_new(int sys, const char *trace)
{
	struct err err = ERR_INIT;
	int rc;

	must(file_remove(dir, "new", &err) == 0 &&
	        mkdirat(dir, "new", 0700) == 0,
	    "new");
	calls_start(sys ? "rename2" : NULL, sys, false);
	rc = put("new/x", "one", 0640, FILE_NEW, &err);
	calls.on = false;
	ok_err(rc, &err, "new, rename2 %d", sys);
	is(calls.trace, trace, "new, rename2 %d: calls", sys);
	is(text_of("new/x"), "one", "new, rename2 %d: bytes", sys);
	is_int(mode_of("new/x"), 0640, "new, rename2 %d: mode", sys);
	calls_start(sys ? "rename2" : NULL, sys, false);
	rc = put("new/x", "two", 0600, FILE_NEW, &err);
	calls.on = false;
	fails(rc, &err, ERR_EXISTS, "new/x", "new, rename2 %d: is there", sys);
	is(text_of("new/x"), "one", "new, rename2 %d: is untouched", sys);
	is_int(count_names("new"), 1, "new, rename2 %d: nothing is left", sys);
}

static void
test_new(void)
{
	static const char by_link[] =
	    "write chmod sync close rename2 link unlink sync-dir ";
	struct err err = ERR_INIT;
	int rc;

	check_new(0, "write chmod sync close rename2 sync-dir ");
	check_new(EINVAL, by_link);
	check_new(ENOSYS, by_link);
	calls_start("rename2", EIO, false);
	rc = put("new/y", "x", 0600, FILE_NEW, &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "new/y", "new: another failure");
	is(calls.trace, "write chmod sync close rename2 unlink ",
	    "new: does not go on then");
	is_int(count_names("new"), 1, "new: nothing is left");
}

/* Of many at once exactly one may win. */
static void
test_new_race(void)
{
	enum { RACERS = 6 };
	struct err err = ERR_INIT;
	int i, status, won = 0, lost = 0, go[2];
	char c;

	must(pipe(go) == 0, "pipe");
	for (i = 0; i < RACERS; i++)
		if (fork() == 0) {
			close(go[1]);
			(void)!read(go[0], &c, 1);
			if (put("new/race", "x", 0600, FILE_NEW, &err) == 0)
				_exit(0);
			_exit(err.code == ERR_EXISTS ? 1 : 2);
		}
	close(go[0]);
	close(go[1]);
	for (i = 0; i < RACERS && wait(&status) != -1; i++) {
		won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
		lost += WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	is_int(won, 1, "race: one makes the file");
	is_int(lost, RACERS - 1, "race: the others learn of it");
}

/* A reader beside a writer sees the one text or the other. */
static void
test_readers(void)
{
	enum { TIMES = 40, SIZE = 20000 };
	static char text[2][SIZE + 1];
	struct err err = ERR_INIT;
	const char *seen;
	int i, bad = 0, status = -1;
	pid_t pid;

	memset(text[0], 'a', SIZE);
	memset(text[1], 'b', SIZE / 2);
	must(put("new/whole", text[0], 0600, FILE_REPLACE, &err) == 0, "whole");
	pid = fork();
	if (pid == 0) {
		for (i = 1; i <= TIMES; i++)
			if (put("new/whole", text[i % 2], 0600, FILE_REPLACE,
			        &err) == -1)
				_exit(1);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		seen = text_of("new/whole");
		bad += !seen ||
		    (strcmp(seen, text[0]) != 0 && strcmp(seen, text[1]) != 0);
	}
	is_int(status, 0, "readers: the writer");
	is_int(bad, 0, "readers: see whole files only");
}

/* -- folders -- */

static void
test_mkdirs(void)
{
	struct err err = ERR_INIT;
	int rc;

	calls_start(NULL, 0, false);
	rc = file_mkdirs(dir, "d/e//f/", &err);
	calls.on = false;
	ok_err(rc, &err, "mkdirs");
	is(calls.trace, "mkdir sync-dir mkdir sync-dir mkdir sync-dir ",
	    "mkdirs: each parent is synced");
	ok(mode_of("d") == 0700 && mode_of("d/e") == 0700 &&
	        mode_of("d/e/f") == 0700,
	    "mkdirs: modes");
	calls_start(NULL, 0, false);
	rc = file_mkdirs(dir, "d/e/f", &err);
	calls.on = false;
	ok_err(rc, &err, "mkdirs: there");
	is(calls.trace, "", "mkdirs: there: nothing is done");
	make("d/file", "x", 0600);
	fails(file_mkdirs(dir, "d/file", &err), &err, ERR_IO,
	    "d/file: Not a directory", "mkdirs: a file is there");
	fails(file_mkdirs(dir, "d/file/g", &err), &err, ERR_IO, "d/file",
	    "mkdirs: a file is in the way");
	must(symlinkat("e", dir, "d/link") == 0, "d/link");
	ok_err(file_mkdirs(dir, "d/link/g", &err), &err,
	    "mkdirs: through a link to a folder");
	ok(exists("d/e/g"), "mkdirs: behind the link");
	must(symlinkat("gone", dir, "d/dangling") == 0, "d/dangling");
	fails(file_mkdirs(dir, "d/dangling/g", &err), &err, ERR_IO,
	    "d/dangling", "mkdirs: a dangling link is in the way");
	ok(!exists("d/gone"), "mkdirs: nothing is made behind it");
	ok_err(file_mkdirs(dir, "", &err), &err, "mkdirs: nothing");
	ok_err(file_mkdirs(dir, "/", &err), &err, "mkdirs: the root");
	ok_err(file_mkdirs(dir, "./d/../d/h", &err), &err, "mkdirs: dots");
	ok(exists("d/h"), "mkdirs: dots: is there");
	calls_start("sync-dir", EIO, false);
	rc = file_mkdirs(dir, "d/i", &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "d/i", "mkdirs: the parent cannot be synced");
	calls_start("mkdir", ENOSPC, false);
	rc = file_mkdirs(dir, "d/j/k", &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "create d/j: No space", "mkdirs: no space");
	calls_start("mkdir", EEXIST, false);
	rc = file_mkdirs(dir, "d/j/k", &err);
	calls.on = false;
	ok_err(rc, &err, "mkdirs: another is faster");
	is(calls.trace, "mkdir sync-dir mkdir sync-dir ",
	    "mkdirs: another is faster: parents are synced");
}

static void
test_mkdirs_modes(void)
{
	static const mode_t masks[] = {0000, 0022, 0277, 0777};
	struct err err = ERR_INIT;
	char cwd[4096];
	struct buf path = BUF_INIT;
	size_t i;

	for (i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		must(file_remove(dir, "masked", &err) == 0, "masked");
		umask(masks[i]);
		ok_err(file_mkdirs(dir, "masked/a", &err), &err,
		    "mkdirs: umask %04o", (unsigned int)masks[i]);
		umask(022);
		ok(mode_of("masked") == 0700 && mode_of("masked/a") == 0700,
		    "mkdirs: umask %04o: modes", (unsigned int)masks[i]);
	}
	must(getcwd(cwd, sizeof(cwd)), "getcwd");
	buf_printf(&path, "%s/%s/absolute/a", cwd, tap_tmpdir());
	ok_err(file_mkdirs(-1, buf_str(&path), &err), &err,
	    "mkdirs: an absolute path");
	ok(exists("absolute/a"), "mkdirs: an absolute path: is there");
	buf_release(&path);
}

static void
test_mkdirs_race(void)
{
	enum { RACERS = 4 };
	struct err err = ERR_INIT;
	int i, status, good = 0, go[2];
	char c;

	must(pipe(go) == 0, "pipe");
	for (i = 0; i < RACERS; i++)
		if (fork() == 0) {
			close(go[1]);
			(void)!read(go[0], &c, 1);
			_exit(file_mkdirs(dir, "q/w/e/r/t/y/u", &err) != 0);
		}
	close(go[0]);
	close(go[1]);
	for (i = 0; i < RACERS && wait(&status) != -1; i++)
		good += status == 0;
	is_int(good, RACERS, "mkdirs: many makers of the same folders");
}

/* -- removing -- */

static void
test_remove(void)
{
	struct err err = ERR_INIT;
	int rc;

	make("gone", "x", 0000);
	calls_start(NULL, 0, false);
	rc = file_remove(dir, "gone", &err);
	calls.on = false;
	ok_err(rc, &err, "remove: a file");
	ok(!exists("gone"), "remove: is gone");
	is(calls.trace, "unlink sync-dir ", "remove: the parent is synced");
	ok_err(file_remove(dir, "gone", &err), &err, "remove: is not there");
	ok_err(file_remove(dir, "gone/a", &err), &err, "remove: no folder");
	make("file", "x", 0600);
	ok_err(file_remove(dir, "file/a", &err), &err, "remove: in a file");
	calls_start("sync-dir", EIO, false);
	rc = file_remove(dir, "file", &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "file", "remove: the parent cannot be synced");
	must(mkdirat(dir, "keep", 0700) == 0, "keep");
	make("keep/x", "x", 0600);
	fails(file_remove(dir, "keep/.", &err), &err, ERR_IO, "keep/.",
	    "remove: not .");
	fails(file_remove(dir, "keep/..", &err), &err, ERR_IO, "keep/..",
	    "remove: not ..");
	fails(file_remove(dir, "", &err), &err, ERR_IO, NULL,
	    "remove: not nothing");
	is(text_of("keep/x"), "x", "remove: nothing was removed");
}

static void
test_remove_tree(void)
{
	struct err err = ERR_INIT;
	char name[32];
	int i;

	must(file_mkdirs(dir, "tree/a/b/c", &err) == 0, err.text);
	for (i = 0; i < 300; i++) {
		must(fmt_fit(name, sizeof(name), "tree/a/%d", i) == 0, name);
		make(name, "", 0600);
	}
	make("tree/.hidden", "x", 0600);
	must(mkfifoat(dir, "tree/a/b/fifo", 0600) == 0, "fifo");
	must(symlinkat("../../../keep", dir, "tree/a/b/out") == 0, "out");
	must(symlinkat("../keep/x", dir, "tree/out") == 0, "out");
	ok_err(file_remove(dir, "tree", &err), &err, "remove: a tree");
	ok(!exists("tree"), "remove: all of it");
	is(text_of("keep/x"), "x", "remove: nothing behind a link");
	must(symlinkat("keep", dir, "to-keep") == 0, "to-keep");
	ok_err(file_remove(dir, "to-keep", &err), &err, "remove: a link");
	ok(!exists("to-keep"), "remove: the link itself");
	is(text_of("keep/x"), "x", "remove: not the folder it names");
}

static void
test_remove_deep(void)
{
	struct buf path = BUF_INIT;
	struct err err = ERR_INIT;
	int i;

	buf_puts(&path, "deep");
	for (i = 0; i < 60; i++)
		buf_puts(&path, "/d");
	must(file_mkdirs(dir, buf_str(&path), &err) == 0, err.text);
	ok_err(file_remove(dir, "deep", &err), &err, "remove: deep");
	for (i = 0; i < 10; i++)
		buf_puts(&path, "/d");
	must(file_mkdirs(dir, buf_str(&path), &err) == 0, err.text);
	fails(file_remove(dir, "deep", &err), &err, ERR_IO, "remove deep",
	    "remove: deeper than we make folders");
	buf_release(&path);
}

/* A folder that turns into a link just when it is to be opened. */
static void
test_remove_swapped(void)
{
	struct err err = ERR_INIT;
	int rc;

	must(symlinkat("keep", dir, "swapped") == 0, "swapped");
	calls_start("unlink", EISDIR, true);
	rc = file_remove(dir, "swapped", &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "remove swapped", "remove: swapped");
	is(text_of("keep/x"), "x", "remove: swapped: nothing behind it");
	calls_start("rmdir", EBUSY, false);
	rc = file_remove(dir, "folder", &err);
	calls.on = false;
	fails(rc, &err, ERR_IO, "remove folder: Device or resource busy",
	    "remove: a folder in use");
	calls_start("unlink", EPERM, false);
	rc = file_remove(dir, "keep/x", &err);
	calls.on = false;
	fails(rc, &err, ERR_PERMISSION, "keep/x: Operation not permitted",
	    "remove: a file that may not be");
}

/* Two at once: what the other has removed is no failure. */
static void
test_remove_race(void)
{
	struct err err = ERR_INIT;
	char name[32];
	int i, rc, status = -1;
	pid_t pid;

	must(file_mkdirs(dir, "race/a/b", &err) == 0, err.text);
	for (i = 0; i < 200; i++) {
		must(fmt_fit(name, sizeof(name), "race/a/%d", i) == 0, name);
		make(name, "", 0600);
	}
	pid = fork();
	if (pid == 0)
		_exit(file_remove(dir, "race", &err) != 0);
	rc = file_remove(dir, "race", &err);
	waitpid(pid, &status, 0);
	ok_err(rc, &err, "remove: beside another");
	is_int(status, 0, "remove: the other");
	ok(!exists("race"), "remove: both: is gone");
}

int
main(void)
{
	int before;

	alarm(60);
	dir = open(tap_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir != -1, tap_tmpdir());
	umask(022);
	before = count_names("/proc/self/fd");
	test_read();
	test_read_much();
	test_read_odd();
	test_read_private();
	test_refused();
	test_write();
	test_write_modes();
	test_write_names();
	test_write_links();
	test_faults();
	test_drafts();
	test_small_faults();
	test_new();
	test_new_race();
	test_readers();
	test_mkdirs();
	test_mkdirs_modes();
	test_mkdirs_race();
	test_remove();
	test_remove_tree();
	test_remove_deep();
	test_remove_swapped();
	test_remove_race();
	is_int(count_names("/proc/self/fd"), before, "no descriptor is left");
	close(dir);
	return done();
}
