#include <config.h>

#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "store/dir.h"
#include "tap.h"

#define FOLDER "certificates/ca/www"

enum { KILLS = 200, PATH_SIZE = 512 };

static char root[PATH_SIZE];

/* -- a disk that fails ---------------------------------------------------- */

/* These stand before the C library's own.  0: all is well; n: the nth call
 * from now fails. */
static int fsync_fails, swap_fails;
static bool no_links;
/* SIGKILL loses nothing that was written: killing needs no slow disk. */
static bool no_sync;

static bool
strikes(int *countdown)
{
	return *countdown > 0 && --*countdown == 0;
}

int
fsync(int fd)
{
	if (strikes(&fsync_fails)) {
		errno = EIO;
		return -1;
	}
	return no_sync ? 0 : (int)syscall(SYS_fsync, fd);
}

int
renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (flags & RENAME_EXCHANGE && swap_fails) {
		errno = swap_fails;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int
linkat(int from, const char *old, int to, const char *new, int flags)
{
	if (no_links) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

/* -- help ----------------------------------------------------------------- */

static const char *
in_root(const char *path)
{
	static char full[4][2 * PATH_SIZE];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(full[turn], sizeof(full[turn]), "%s%s%s", root,
	    *path ? "/" : "", path);
	return full[turn];
}

static void
write_raw(const char *path, const char *text)
{
	FILE *f = fopen(in_root(path), "w");

	if (!f || fputs(text, f) == EOF || fclose(f) == EOF) {
		perror(path);
		exit(99);
	}
}

static void
make_folder(const char *path)
{
	struct err err = ERR_INIT;

	if (file_mkdirs(AT_FDCWD, in_root(path), &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
}

static void
make_old(const char *path)
{
	const struct timespec times[2] = {
	    {.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

	utimensat(AT_FDCWD, in_root(path), times, AT_SYMLINK_NOFOLLOW);
}

static unsigned
mode_of(const char *path)
{
	struct stat st;

	return lstat(in_root(path), &st) == -1 ? 0 : st.st_mode & 07777;
}

static bool
is_there(const char *path)
{
	struct stat st;

	return lstat(in_root(path), &st) == 0;
}

/* A new store under the test's folder. */
static struct store *
fresh(const char *name, int flags)
{
	struct err err = ERR_INIT;
	struct store *s;

	snprintf(root, sizeof(root), "%s/%s", tap_tmpdir(), name);
	s = store_open_dir(root, flags | DIR_CREATE, &err);
	if (!s) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	return s;
}

static struct store *
reopen(struct store *s, int flags)
{
	struct err err = ERR_INIT;

	store_close(s);
	s = store_open_dir(root, flags | DIR_CREATE, &err);
	if (!s) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	return s;
}

static const char *
get_text(struct store *s, const char *key)
{
	static char text[PATH_SIZE];
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	if (store_get(s, key, sizeof(text) - 1, &b, NULL, &err) == -1)
		snprintf(text, sizeof(text), "error %d", (int)err.code);
	else
		snprintf(text, sizeof(text), "%s", buf_str(&b));
	buf_release(&b);
	return text;
}

static int
put_text(struct store *s, const char *key, const char *text, struct err *err)
{
	return store_put(s, key, text, strlen(text), STORE_REPLACE, err);
}

static const char *
listing(struct store *s, const char *key)
{
	static char text[PATH_SIZE];
	struct strings names = {.n = 0};
	struct err err = ERR_INIT;
	size_t i, n = 0;

	text[0] = '\0';
	if (store_list(s, key, &names, &err) == -1)
		snprintf(text, sizeof(text), "error %d", (int)err.code);
	for (i = 0; i < names.n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
		    i ? " " : "", names.v[i]);
	strings_release(&names);
	return text;
}

/* -- generations: three objects that must always say the same number ------- */

static int
commit_gen(struct store *s, int gen, struct err *err)
{
	char text[3][32];
	struct store_object objects[3] = {
	    {.name = "www.key"},
	    {.name = "www.crt"},
	    {.name = "www.json"},
	};
	size_t i;

	for (i = 0; i < 3; i++) {
		snprintf(text[i], sizeof(text[i]), "%d\n", gen);
		objects[i].data = text[i];
		objects[i].len = strlen(text[i]);
	}
	return store_commit(s, FOLDER, objects, 3, err);
}

static void
must_commit(struct store *s, int gen)
{
	struct err err = ERR_INIT;

	if (commit_gen(s, gen, &err) == -1)
		ok(false, "commit of generation %d: %s", gen, err.text);
}

/* The number in one file; -1 when it is not there. */
static int
read_number(int folder, const char *name)
{
	char text[32] = "";
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = '\0';
	close(fd);
	return text[0] ? (int)strtol(text, NULL, 10) : -2;
}

enum { TORN = -3 };

/*
 * The generation a reader sees who opens the folder once; TORN when the files
 * do not belong together.  A folder that was emptied under the reader is no
 * longer the one in place, so it looks again.
 */
static int
generation(void)
{
	int tries, fd, key, crt, json;

	for (tries = 0; tries < 100; tries++) {
		fd = open(in_root(FOLDER), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1)
			return -1;
		key = read_number(fd, "www.key");
		crt = read_number(fd, "www.crt");
		json = read_number(fd, "www.json");
		close(fd);
		if (key != -1 && crt != -1 && json != -1)
			return key == crt && crt == json ? key : TORN;
	}
	return TORN;
}

/* Temporary names below certificates/ca and autocert/commit. */
static int
leftovers(void)
{
	static const char *const folders[] = {
	    "certificates/ca", "autocert/commit", FOLDER};
	char command[4 * PATH_SIZE];
	size_t i;
	int n = 0, c;
	FILE *f;

	for (i = 0; i < 3; i++) {
		snprintf(command, sizeof(command), "ls -A '%s' 2>/dev/null",
		    in_root(folders[i]));
		f = popen(command, "r");
		while (f && (c = getc(f)) != EOF) {
			n += c == '.' && i < 2;
			while (c != '\n' && c != EOF)
				c = getc(f);
		}
		if (f)
			pclose(f);
	}
	return n;
}

/* -- opening -------------------------------------------------------------- */

static void
test_open(void)
{
	static const struct {
		const char *location;
		enum err_code code;
		const char *text;
	} bad[] = {
	    {"s3://bucket/prefix", ERR_CONFIG, "s3://"},
	    {"gs://bucket", ERR_CONFIG, "gs://"},
	    {"ftp://host/x", ERR_CONFIG, "unknown storage provider"},
	    {"://", ERR_CONFIG, "unknown storage provider"},
	};
	struct err err;
	struct store *s;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		s = store_open(bad[i].location, true, &err);
		fails(s ? 0 : -1, &err, (int)bad[i].code, bad[i].text,
		    "%s is refused", bad[i].location);
	}
	snprintf(root, sizeof(root), "%s/open/a/b", tap_tmpdir());
	err_clear(&err);
	s = store_open(root, false, &err);
	fails(s ? 0 : -1, &err, ERR_ABSENT, "open/a/b",
	    "a missing store is not made for a reader");
	umask(0);
	s = store_open(root, true, &err);
	umask(022);
	if (!ok(s != NULL, "a writer makes it"))
		return;
	is(store_location(s), root, "and knows where it is");
	is_int(mode_of(""), 0700, "mode 0700 under any umask");
	store_close(s);
	chmod(root, 0707);
	s = store_open(root, true, &err);
	fails(s ? 0 : -1, &err, ERR_PERMISSION, "0707",
	    "a root that others can write is refused");
	chmod(root, 01777);
	s = store_open(root, false, &err);
	fails(s ? 0 : -1, &err, ERR_PERMISSION, NULL,
	    "for readers and with the sticky bit, too");
	chmod(root, 0755);
	s = store_open(root, false, &err);
	ok(s != NULL, "one that others can read is not");
	store_close(s);
	store_close(NULL);
	write_raw("file", "x");
	s = store_open(in_root("file"), true, &err);
	fails(s ? 0 : -1, &err, ERR_CONFIG, "file", "a file is no store");
}

/* -- keys ----------------------------------------------------------------- */

static void
test_keys(void)
{
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".",
	    "..", "a/../b", "a/./b", ".hidden", "a/.b.tmp", "a\nb", "a\x7f",
	    "a/\x1b[1m", "m\xc3\xbcnchen"};
	char longest[300];
	struct store *s = fresh("keys", 0);
	struct store_object object = {"../x", "x", 1};
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fails(store_put(s, bad[i], "x", 1, STORE_REPLACE, &err), &err,
		    ERR_DATA, NULL, "put: key %zu is refused", i);
		ok(store_get(s, bad[i], 9, &b, NULL, &err) == -1 &&
		        store_del(s, bad[i], &err) == -1 &&
		        store_commit(s, bad[i], &object, 0, &err) == -1,
		    "by get, del and commit, too");
	}
	fails(store_commit(s, "a", &object, 1, &err), &err, ERR_DATA, NULL,
	    "an object's name is one component");
	memset(longest, 'a', sizeof(longest));
	longest[255] = '\0';
	ok_err(store_put(s, longest, "x", 1, STORE_CACHE, &err), &err,
	    "255 bytes are a name");
	ok_err(store_put(s, longest, "y", 1, STORE_REPLACE, &err), &err,
	    "whichever way it is written");
	memset(longest, 'a', 256);
	longest[256] = '\0';
	fails(store_put(s, longest, "x", 1, STORE_REPLACE, &err), &err,
	    ERR_DATA, NULL, "256 are not");
	ok(!is_there("../x"), "nothing was written outside");
	buf_release(&b);
	store_close(s);
}

/* -- get, put, del, list -------------------------------------------------- */

static void
test_objects(void)
{
	struct store *s = fresh("objects", 0);
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	umask(0777);
	ok_err(put_text(s, "a/b/c", "one", &err), &err, "put makes folders");
	ok_err(store_put(s, "a/b/d", "cache", 5, STORE_CACHE, &err), &err,
	    "a cached object");
	umask(022);
	is_int(mode_of("a/b/c"), 0600, "an object has mode 0600");
	is_int(mode_of("a/b/d"), 0600, "a cached one, too");
	is_int(mode_of("a/b"), 0700, "a folder 0700");
	buf_puts(&b, "before ");
	ok_err(store_get(s, "a/b/c", 3, &b, NULL, &err), &err, "get");
	is(buf_str(&b), "before one", "appends");
	fails(store_get(s, "a/b/c", 2, &b, NULL, &err), &err, ERR_DATA,
	    "objects/a/b/c", "larger than asked for is refused");
	is(buf_str(&b), "before one", "and nothing is appended");
	fails(store_get(s, "a/x/c", 9, &b, NULL, &err), &err, ERR_ABSENT,
	    "objects/a/x/c", "a missing folder is absence");
	fails(store_get(s, "a/b/x", 9, &b, NULL, &err), &err, ERR_ABSENT, NULL,
	    "a missing object, too");
	fails(store_get(s, "a/b", 9, &b, NULL, &err), &err, ERR_DATA, NULL,
	    "a folder is no object");
	fails(store_put(s, "a/b/c", "two", 3, STORE_NEW, &err), &err,
	    ERR_EXISTS, NULL, "STORE_NEW does not replace");
	is(get_text(s, "a/b/c"), "one", "and leaves what is there");
	ok_err(store_put(s, "a/b/n", "new", 3, STORE_NEW, &err), &err,
	    "STORE_NEW makes");
	ok_err(store_put(s, "a/b/d", "again", 5, STORE_CACHE, &err), &err,
	    "STORE_CACHE replaces");
	is(get_text(s, "a/b/d"), "again", "with the new bytes");
	is(listing(s, "a/b"), "c d n", "a listing is sorted");
	is(listing(s, ""), "a/", "folders have a slash, the root is one");
	is(listing(s, "none/at/all"), "", "nothing there lists nothing");
	is(listing(s, "../x"), "error 65", "a bad key is refused");
	write_raw("a/b/.c.0123456789abcdef.tmp", "x");
	write_raw("a/b/m\xc3\xbc", "x");
	ok(mkfifo(in_root("a/b/fifo"), 0600) == 0, "a FIFO is made");
	is(listing(s, "a/b"), "c d n", "what is no object is not listed");
	fails(store_get(s, "a/b/fifo", 9, &b, NULL, &err), &err, ERR_DATA, NULL,
	    "a FIFO is not read");
	ok_err(store_del(s, "a/b/c", &err), &err, "del");
	ok_err(store_del(s, "a/b/c", &err), &err, "del of nothing");
	ok_err(store_del(s, "x/y/z", &err), &err, "del below nothing");
	is(get_text(s, "a/b/c"), "error 66", "it is gone");
	ok_err(store_del(s, "a", &err), &err, "del of a folder");
	is(listing(s, ""), "", "takes all below it");
	buf_release(&b);
	store_close(s);
}

static void
test_put_if(void)
{
	struct store *s = fresh("putif", 0);
	char version[STORE_VERSION_MAX], other[STORE_VERSION_MAX];
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	put_text(s, "x", "one", &err);
	ok_err(store_get(s, "x", 9, &b, version, &err), &err, "get a version");
	ok_err(store_put_if(s, "x", "two", 3, version, &err), &err,
	    "put_if the version is the one read");
	is(get_text(s, "x"), "two", "replaces");
	fails(store_put_if(s, "x", "six", 3, version, &err), &err, ERR_EXISTS,
	    NULL, "once");
	is(get_text(s, "x"), "two", "and changes nothing then");
	buf_puts(&b, "not of the object");
	store_get(s, "x", 9, &b, other, &err);
	ok(strcmp(version, other) != 0, "other bytes have another version");
	ok_err(store_put_if(s, "x", "six", 3, other, &err), &err,
	    "what was in the buf is not part of it");
	store_del(s, "x", &err);
	fails(store_put_if(s, "x", "ten", 3, other, &err), &err, ERR_EXISTS,
	    NULL, "an object that is gone was changed");
	is(get_text(s, "x"), "error 66", "and is not made");
	buf_release(&b);
	store_close(s);
}

static _Noreturn void
count_up(struct store *s, int times)
{
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	char version[STORE_VERSION_MAX], text[32];

	while (times > 0) {
		buf_clear(&b);
		if (store_get(s, "n", 9, &b, version, &err) == -1)
			_exit(1);
		snprintf(text, sizeof(text), "%ld",
		    strtol(buf_str(&b), NULL, 10) + 1);
		if (store_put_if(s, "n", text, strlen(text), version, &err) ==
		    0)
			times--;
		else if (err.code != ERR_EXISTS)
			_exit(1);
	}
	store_close(s);
	buf_release(&b);
	_exit(0);
}

static void
test_put_if_race(void)
{
	enum { PROCESSES = 6, TIMES = 15 };
	struct store *s = fresh("race", 0);
	struct err err = ERR_INIT;
	int i, status, bad = 0;

	put_text(s, "n", "0", &err);
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			count_up(s, TIMES);
	for (i = 0; i < PROCESSES; i++)
		if (wait(&status) == -1 || status != 0)
			bad++;
	is_int(bad, 0, "%d processes count by put_if", PROCESSES);
	is(get_text(s, "n"), "90", "and not one step is lost");
	store_close(s);
}

static void
test_links(void)
{
	struct store *s = fresh("links", 0);
	struct store_object object = {"www.key", "new", 3};
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;

	make_folder("outside/folder");
	make_folder("certificates");
	write_raw("outside/secret", "secret");
	ok(symlink("../outside", in_root("certificates/ca")) == 0 &&
	        symlink("outside/secret", in_root("file")) == 0 &&
	        symlink("nowhere", in_root("dangling")) == 0,
	    "links are made");
	fails(store_get(s, "file", 99, &b, NULL, &err), &err, ERR_PERMISSION,
	    NULL, "a linked object is not read");
	fails(store_get(s, "certificates/ca/secret", 99, &b, NULL, &err), &err,
	    ERR_PERMISSION, NULL, "nor one in a linked folder");
	fails(put_text(s, "certificates/ca/x", "x", &err), &err, ERR_PERMISSION,
	    NULL, "a linked folder is not written");
	fails(put_text(s, "dangling/x", "x", &err), &err, ERR_PERMISSION, NULL,
	    "nor one that is not there");
	fails(store_commit(s, "certificates/ca/www", &object, 1, &err), &err,
	    ERR_PERMISSION, NULL, "nor committed into");
	fails(store_commit(s, "certificates/ca", &object, 1, &err), &err,
	    ERR_PERMISSION, NULL, "nor exchanged");
	fails(store_del(s, "certificates/ca/secret", &err), &err,
	    ERR_PERMISSION, NULL, "nor deleted from");
	is(listing(s, "certificates/ca"), "error 77", "nor listed");
	is(listing(s, "certificates"), "", "the link itself is not listed");
	ok_err(put_text(s, "file", "mine", &err), &err,
	    "a put takes the link's place");
	is(get_text(s, "file"), "mine", "with the new bytes");
	is(get_text(s, "outside/secret"), "secret",
	    "and what it pointed to is as it was");
	ok_err(store_del(s, "certificates/ca", &err), &err, "del of a link");
	is(listing(s, "outside"), "folder/ secret", "removes only the link");
	buf_release(&b);
	store_close(s);
}

/* -- commit --------------------------------------------------------------- */

static void
check_commit(const char *name, int flags)
{
	struct store *s = fresh(name, flags);
	struct store_object object = {"www.key", "other", 5};
	struct err err = ERR_INIT;

	ok_err(commit_gen(s, 1, &err), &err, "%s: the first", name);
	is_int(generation(), 1, "%s: is there", name);
	is_int(mode_of(FOLDER), 0700, "%s: folder mode", name);
	is_int(mode_of(FOLDER "/www.key"), 0600, "%s: file mode", name);
	write_raw(FOLDER "/www.key.compromised", "kept");
	make_folder(FOLDER "/sub/sub");
	write_raw(FOLDER "/sub/sub/file", "deep");
	write_raw(FOLDER "/.www.key.0123456789abcdef.tmp", "left");
	umask(0777);
	ok_err(commit_gen(s, 2, &err), &err, "%s: the second", name);
	umask(022);
	is_int(generation(), 2, "%s: replaces it", name);
	is_int(mode_of(FOLDER), 0700, "%s: folder mode under a umask", name);
	is_int(mode_of(FOLDER "/www.crt"), 0600, "%s: file mode, too", name);
	is(get_text(s, FOLDER "/www.key.compromised"), "kept",
	    "%s: a file it does not name is kept", name);
	is(get_text(s, FOLDER "/sub/sub/file"), "deep",
	    "%s: and so is a folder", name);
	ok_err(store_commit(s, FOLDER, &object, 1, &err), &err,
	    "%s: of one object", name);
	is(get_text(s, FOLDER "/www.key"), "other", "%s: replaces it", name);
	is(get_text(s, FOLDER "/www.crt"), "2\n", "%s: and no other", name);
	if (!flags)
		ok(!is_there(FOLDER "/.www.key.0123456789abcdef.tmp"),
		    "%s: but not what a killed run left", name);
	is(listing(s, "certificates/ca"), "www/", "%s: nothing is left over",
	    name);
	is_int(leftovers(), 0, "%s: nor hidden", name);
	ok_err(store_commit(s, "top", &object, 1, &err), &err,
	    "%s: a folder at the top", name);
	is(get_text(s, "top/www.key"), "other", "%s: is one, too", name);
	store_close(s);
}

static void
test_commit(void)
{
	static const int unable[] = {EINVAL, ENOSYS, EOPNOTSUPP, EXDEV, EBUSY};
	struct err err = ERR_INIT;
	struct store *s;
	size_t i;

	check_commit("exchange", 0);
	check_commit("journal", DIR_JOURNAL);
	no_links = true;
	check_commit("nolinks", 0);
	no_links = false;
	s = fresh("unable", 0);
	must_commit(s, 0);
	for (i = 0; i < sizeof(unable) / sizeof(unable[0]); i++) {
		swap_fails = unable[i];
		ok_err(commit_gen(s, (int)i + 1, &err), &err,
		    "errno %d of the exchange takes the other way", unable[i]);
		is_int(generation(), (int)i + 1, "which leads there");
		is_int(leftovers(), 0, "and leaves nothing");
	}
	swap_fails = EIO;
	fails(commit_gen(s, 99, &err), &err, ERR_IO, FOLDER,
	    "another one fails the commit");
	swap_fails = 0;
	is_int(generation(), 5, "and all is as it was");
	is_int(leftovers(), 0, "and nothing is left");
	store_close(s);
}

/* -- a disk that fails ---------------------------------------------------- */

/* Commits with the kth fsync failing; *struck says whether there was one. */
static int
commit_struck(struct store *s, int gen, int k, bool *struck)
{
	struct err err = ERR_INIT;
	int rc;

	fsync_fails = k;
	rc = commit_gen(s, gen, &err);
	*struck = fsync_fails == 0;
	fsync_fails = 0;
	return rc;
}

static void
test_fsync(void)
{
	struct store *s = fresh("fsync", 0);
	int k, wrong = 0, failed = 0, gen = 1, rc;
	bool struck = true;

	must_commit(s, gen);
	for (k = 1; struck; k++) {
		rc = commit_struck(s, gen + 1, k, &struck);
		gen += rc == 0;
		failed += rc == -1;
		wrong += generation() != gen;
	}
	/* The last comes when the new generation is in its place: it is that
	 * of tidying up, and no failure. */
	is_int(failed, k - 3, "every fsync but the last fails the commit");
	ok(failed >= 5, "three files and two folders at least (%d)", failed);
	is_int(wrong, 0, "a failed commit leaves the old generation");
	is_int(leftovers(), 0, "and no draft");
	store_close(s);
}

static void
test_fsync_first(void)
{
	struct store *s = fresh("first", 0);
	int k, seen = 0;
	bool struck = true;

	for (k = 1; struck; k++) {
		if (commit_struck(s, 1, k, &struck) == -1)
			seen += is_there(FOLDER);
	}
	is_int(seen, 0, "a first commit that fails leaves no folder");
	is_int(generation(), 1, "and in the end it is there");
	is_int(leftovers(), 0, "alone");
	store_close(s);
}

static void
test_fsync_journal(void)
{
	struct store *s = fresh("fsyncj", DIR_JOURNAL);
	int k, wrong = 0, back = 0, on = 0, gen = 1, now, rc;
	bool struck = true;

	must_commit(s, gen);
	for (k = 1; struck; k++) {
		rc = commit_struck(s, gen + 1, k, &struck);
		s = reopen(s, DIR_JOURNAL);
		now = generation();
		wrong += now != gen + 1 && (rc == 0 || now != gen);
		back += now == gen;
		on += rc == -1 && now == gen + 1;
		gen = now;
	}
	is_int(wrong, 0, "after the next opening the set is whole");
	ok(back > 5 && on > 3, "the old (%d) or the new (%d)", back, on);
	is_int(leftovers(), 0, "and nothing is left");
	store_close(s);
}

/* A full disk, as far as one process can have one. */
static void
test_full(void)
{
	struct store *s = fresh("full", 0);
	struct rlimit old, small;
	char big[8192];
	struct store_object objects[] = {
	    {"www.key", "2\n", 2},
	    {"www.crt", big, sizeof(big)},
	};
	struct err err[3] = {ERR_INIT, ERR_INIT, ERR_INIT};
	int rc[3];

	memset(big, 'x', sizeof(big));
	must_commit(s, 1);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 4096;
	setrlimit(RLIMIT_FSIZE, &small); /* of our output, too */
	rc[0] = store_commit(s, FOLDER, objects, 2, &err[0]);
	rc[1] = store_put(
	    s, FOLDER "/www.crt", big, sizeof(big), STORE_CACHE, &err[1]);
	rc[2] = store_probe(s, &err[2]);
	setrlimit(RLIMIT_FSIZE, &old);
	fails(rc[0], &err[0], ERR_IO, "www.crt", "a commit that does not fit");
	fails(rc[1], &err[1], ERR_IO, "www.crt", "and a put");
	fails(
	    rc[2], &err[2], ERR_IO, "rw_test_", "the probe would have said so");
	is_int(generation(), 1, "leave what was there");
	is_int(leftovers(), 0, "and nothing else");
	is(listing(s, ""), "autocert/ certificates/", "nor of the probe");
	store_close(s);
}

/* -- killed --------------------------------------------------------------- */

static _Noreturn void
commit_for_ever(int flags, int gen)
{
	struct err err = ERR_INIT;
	struct store *s = store_open_dir(root, flags | DIR_CREATE, &err);

	while (s && commit_gen(s, gen, &err) == 0)
		gen++;
	_exit(1);
}

/* Reads while a child commits; kills it so many looks after it was seen to
 * have committed once. */
static int
watch_and_kill(int flags, int gen, int looks, bool strict)
{
	pid_t pid = fork();
	int torn = 0, status = 0, now;
	bool started = false;

	if (pid == 0)
		commit_for_ever(flags, gen);
	while (looks > 0 && waitpid(pid, &status, WNOHANG) == 0) {
		now = generation();
		torn += now == TORN && strict;
		started = started || now >= gen;
		looks -= started;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return torn + !WIFSIGNALED(status);
}

static void
check_random_kills(const char *name, int flags)
{
	struct store *s = fresh(name, flags);
	unsigned seed = 20261122;
	int i, torn = 0, backwards = 0, last = 1, now;

	must_commit(s, 1);
	for (i = 0; i < KILLS; i++) {
		seed = seed * 1103515245u + 12345u;
		torn += watch_and_kill(
		    flags, last + 1, (int)(seed >> 16) % 100 + 1, flags == 0);
		if (flags) /* whole after recovery */
			s = reopen(s, flags);
		now = generation();
		torn += now < 1;
		backwards += now < last;
		last = now;
	}
	is_int(torn, 0, "%s: never torn in %d kills", name, KILLS);
	is_int(backwards, 0, "%s: never older than before", name);
	ok(last > KILLS, "%s: the children got somewhere (%d)", name, last);
	must_commit(s, last + 1);
	is_int(generation(), last + 1, "%s: the next commit works", name);
	is_int(leftovers(), 0, "%s: and sweeps what they left", name);
	store_close(s);
}

static _Noreturn void
traced_commit(int flags, int gen)
{
	struct err err = ERR_INIT;
	struct store *s = store_open_dir(root, flags | DIR_CREATE, &err);

	if (!s || ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
		_exit(9);
	raise(SIGSTOP);
	_exit(commit_gen(s, gen, &err) == 0 ? 0 : 1);
}

/*
 * Runs a commit until its nth entry into or return from a system call and
 * kills it there.  Returns false when it ended before; *torn counts the torn
 * sets seen on the way.
 */
static bool
kill_at(int flags, int gen, int n, int *torn, int *status)
{
	pid_t pid = fork();

	if (pid == 0)
		traced_commit(flags, gen);
	if (waitpid(pid, status, 0) == -1)
		return false;
	while (WIFSTOPPED(*status) && n-- > 0) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == -1 ||
		    waitpid(pid, status, 0) == -1)
			break;
		if (torn && flags == 0)
			*torn += generation() == TORN;
	}
	if (!WIFSTOPPED(*status))
		return false;
	kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	return true;
}

static void
check_every_kill(const char *name, int flags)
{
	struct store *s = fresh(name, flags);
	int n, torn = 0, wrong = 0, gen = 1, now, status = 0;
	bool more = true;

	must_commit(s, gen);
	/* Stops are entries and returns in turn; between a return and the next
	 * entry nothing happens on disk. */
	for (n = 1; more; n += 2) {
		more = kill_at(flags, gen + 1, n, NULL, &status);
		s = reopen(s, flags);
		now = generation();
		wrong += now != gen && now != gen + 1;
		gen = now > 0 ? now : gen;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 9) {
		skip("no ptrace here", "%s: every system call", name);
		store_close(s);
		return;
	}
	ok(n > 100, "%s: killed at each of %d system calls", name, n / 2);
	is_int(wrong, 0, "%s: old or new, and whole, afterwards", name);
	must_commit(s, ++gen);
	is_int(leftovers(), 0, "%s: what is left is swept", name);
	if (flags == 0) {
		kill_at(flags, gen + 1, 100000, &torn, &status);
		is_int(torn, 0, "%s: whole at every point of a commit", name);
	}
	store_close(s);
}

/* -- sweeping ------------------------------------------------------------- */

/* As a living commit in another process would. */
static int
share_drafts(void)
{
	struct flock range = {.l_type = F_RDLCK,
	    .l_whence = SEEK_SET,
	    .l_start = GUARD_DRAFT,
	    .l_len = 1};
	int fd = open(in_root("autocert/.lock"), O_RDWR | O_CLOEXEC);

	if (fd == -1 || fcntl(fd, F_OFD_SETLK, &range) == -1)
		exit(99);
	return fd;
}

static void
test_sweep(void)
{
	static const char draft[] = "certificates/ca/.www.0123456789abcdef.new";
	static const char temp[] = "certificates/ca/.x.0123456789abcdef.tmp";
	static const char *const foreign[] = {"certificates/ca/.nfs0123",
	    "certificates/ca/31415926", "certificates/ca/x.new"};
	struct store *s = fresh("sweep", 0);
	struct err err = ERR_INIT;
	size_t i;
	int fd;

	must_commit(s, 1);
	make_folder(draft);
	write_raw("certificates/ca/.www.0123456789abcdef.new/www.key", "x");
	write_raw(temp, "x");
	for (i = 0; i < 3; i++) {
		write_raw(foreign[i], "x");
		make_old(foreign[i]);
	}
	fd = share_drafts();
	must_commit(s, 2);
	ok(is_there(draft), "a draft that may have a living maker stays");
	make_old(draft);
	must_commit(s, 3);
	ok(!is_there(draft), "unless it is old");
	make_folder(draft);
	close(fd);
	must_commit(s, 4);
	ok(!is_there(draft), "with nobody at work it goes");
	ok(is_there(temp), "a young temporary file stays");
	make_old(temp);
	ok_err(put_text(s, "certificates/ca/put", "x", &err), &err, "a put");
	ok(!is_there(temp), "sweeps an old one");
	write_raw(temp, "x");
	make_old(temp);
	must_commit(s, 5);
	ok(!is_there(temp), "and so does a commit");
	for (i = 0; i < 3; i++)
		ok(is_there(foreign[i]), "%s is not ours", foreign[i]);
	store_close(s);
}

/* -- journals ------------------------------------------------------------- */

/* The hash of certificates/ca/www, and of nothing. */
#define HASH "36213f1f2b5ecbb1a4b5a0ffb0dbd4e1c7f2a80e16ae1a1c6d4c2f0d7a9e5b3c"
#define JOURNAL "autocert/commit/" HASH

static void
write_journal(const char *list)
{
	make_folder(JOURNAL);
	write_raw(JOURNAL "/0", "2\n");
	write_raw(JOURNAL "/1", "2\n");
	write_raw(JOURNAL "/2", "2\n");
	if (list)
		write_raw(JOURNAL "/list", list);
}

static void
test_recovery(void)
{
	static const char *const bad[] = {
	    "",
	    "\n",
	    FOLDER,
	    FOLDER "\nwww.key",
	    "../../outside\nwww.key\nwww.crt\nwww.json\n",
	    FOLDER "\n../../../x\nwww.crt\nwww.json\n",
	    FOLDER "\nwww.key\nwww.crt\nwww.json\nfourth\n",
	    FOLDER "\n.lock\n",
	    "/tmp\nx\n",
	    NULL,
	};
	struct store *s = fresh("recovery", 0);
	struct err err = ERR_INIT;
	size_t i;

	must_commit(s, 1);
	write_journal(FOLDER "\nwww.key\nwww.crt\nwww.json\n");
	store_close(s);
	s = store_open(root, false, &err);
	is_int(generation(), 1, "a reader finishes nothing");
	store_close(s);
	s = store_open(root, true, &err);
	is_int(generation(), 2, "a writer finishes what it finds");
	is(listing(s, "autocert/commit"), "", "and the journal is gone");
	must_commit(s, 1);
	write_journal(FOLDER "\nwww.key\nwww.crt\nwww.json\n");
	must_commit(s, 3);
	is_int(generation(), 3, "a commit finishes it before its own");
	is(listing(s, "autocert/commit"), "", "and not after");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_journal(bad[i]);
		store_close(s);
		s = store_open(root, true, &err);
		if (!ok(s != NULL, "bad journal %zu does not stop us", i))
			exit(1);
		is(listing(s, "autocert/commit"), HASH ".bad/",
		    "it is set aside");
		ok_err(store_del(s, "autocert/commit/" HASH ".bad", &err), &err,
		    "for a person to see");
	}
	ok(!is_there("../outside") && !is_there("x") && !is_there("../x"),
	    "nothing is written elsewhere");
	make_folder("autocert/commit/orders");
	store_close(s);
	s = store_open(root, true, &err);
	ok(is_there("autocert/commit/orders"), "other names are not journals");
	store_close(s);
}

/* -- the probe ------------------------------------------------------------ */

static void
test_probe(void)
{
	struct store *s = fresh("probe", 0);
	struct err err = ERR_INIT;

	ok_err(store_probe(s, &err), &err, "the probe");
	is(listing(s, ""), "", "leaves nothing");
	fsync_fails = 1;
	fails(store_probe(s, &err), &err, ERR_IO, "rw_test_",
	    "a failed fsync fails it");
	fsync_fails = 0;
	is(listing(s, ""), "", "and leaves nothing either");
	rmdir(root);
	fails(store_probe(s, &err), &err, ERR_IO, NULL,
	    "a store that has vanished fails it");
	store_close(s);
}

int
main(void)
{
	test_open();
	test_keys();
	test_objects();
	test_put_if();
	test_put_if_race();
	test_links();
	test_commit();
	test_fsync();
	test_fsync_first();
	test_fsync_journal();
	test_full();
	no_sync = true;
	check_random_kills("kill", 0);
	check_random_kills("killj", DIR_JOURNAL);
	check_every_kill("every", 0);
	check_every_kill("everyj", DIR_JOURNAL);
	no_sync = false;
	test_sweep();
	test_recovery();
	test_probe();
	return done();
}
