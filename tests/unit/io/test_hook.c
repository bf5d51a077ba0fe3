#include <config.h>

#include "io/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/file.h"
#include "tap.h"

enum {
	LONG_MS = 30 * 1000, /* for a hook that is to end by itself */
	SHORT_MS = 1000,     /* for one that is not */
	KEPT = 16 * 1024     /* bytes of output, if nothing else is said */
};

static char base[PATH_MAX]; /* absolute, fit for hooks */

/* -- this program as a hook: tells what it was given --------------------- */

static void
tell_descriptors(void)
{
	int fd;

	for (fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			printf("descriptor %d\n", fd);
}

static void
tell_signals(void)
{
	struct sigaction act;
	sigset_t mask;
	int i;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (i = 1; i < 32; i++) {
		if (sigismember(&mask, i))
			printf("signal %d is blocked\n", i);
		if (sigaction(i, NULL, &act) == 0 && act.sa_handler == SIG_IGN)
			printf("signal %d is ignored\n", i);
	}
}

static int
tell(int argc, char *argv[])
{
	char cwd[PATH_MAX], c, **e;
	int i;

	tell_descriptors();
	for (i = 0; i < argc; i++)
		printf("argument %s\n", argv[i]);
	for (e = environ; *e; e++)
		printf("%s\n", *e);
	printf("in %s\n", getcwd(cwd, sizeof(cwd)));
	printf("input %zd\n", read(STDIN_FILENO, &c, 1));
	tell_signals();
	fflush(stdout);
	fprintf(stderr, "group %s\n", getpgrp() == getpid() ? "own" : "ours");
	return 0;
}

/* -- what the tests are made of ------------------------------------------- */

static void
must(bool done, const char *what)
{
	if (done)
		return;
	perror(what);
	exit(99);
}

static char *
path_of(const char *name)
{
	return xasprintf("%s/%s", base, name);
}

static void
write_file(const char *path, const void *text, size_t len, mode_t mode)
{
	struct err err = ERR_INIT;

	if (file_write(AT_FDCWD, path, text, len, mode, FILE_REPLACE, &err) ==
	    -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
}

/* name below base; the caller frees. */
static char *
script(const char *name, const char *body)
{
	char *path = path_of(name), *text = xasprintf("#!/bin/sh\n%s\n", body);

	write_file(path, text, strlen(text), 0755);
	free(text);
	return path;
}

static char *
folder(const char *name, mode_t mode)
{
	char *path = path_of(name);

	must(mkdir(path, 0755) == 0 && chmod(path, mode) == 0, path);
	return path;
}

static int
run_path(const char *path, long timeout_ms, struct buf *out, struct err *err)
{
	struct hook hook = {.path = path, .timeout_ms = timeout_ms};

	return hook_run(&hook, out, err);
}

static int
run_script(const char *body, long timeout_ms, struct buf *out, struct err *err)
{
	char *path = script("hook", body);
	int rc = run_path(path, timeout_ms, out, err);

	free(path);
	return rc;
}

static void
no_children(const char *after)
{
	is_int(
	    waitpid(-1, NULL, WNOHANG), -1, "%s: no child is left over", after);
}

/* As hook_check() sees it, told without it. */
static bool
is_fit(const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	size_t i;

	for (i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (stat(part, &st) == -1 ||
		    (st.st_uid != 0 && st.st_uid != geteuid()) ||
		    (st.st_mode & 022 && !(st.st_mode & S_ISVTX)))
			return false;
	}
	return true;
}

/* Ends the process whose number is in out, and releases that. */
static bool
kill_told(struct buf *out)
{
	pid_t pid = (pid_t)strtol(buf_str(out), NULL, 10);

	buf_release(out);
	return pid > 1 && kill(pid, SIGKILL) == 0;
}

/* -- what it is given ----------------------------------------------------- */

/* A copy of this program, as a hook; the caller frees. */
static char *
copy_of_us(void)
{
	struct buf bytes = BUF_INIT;
	struct err err = ERR_INIT;
	char *path = path_of("us");

	if (file_read(AT_FDCWD, "/proc/self/exe", BUF_MAX - 1, FILE_FOLLOW,
	        &bytes, &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		exit(99);
	}
	write_file(path, bytes.data, bytes.len, 0755);
	buf_release(&bytes);
	return path;
}

static char *
expected(const char *path)
{
	const struct passwd *pw = getpwuid(geteuid());

	return xasprintf(
	    "descriptor 0\ndescriptor 1\ndescriptor 2\n"
	    "argument %s\n"
	    "TELL=a  b;$(exit 9)\nAUTOCERT_NAME=www.example.com\n"
	    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	    "\nHOME=%s\nLANG=C.UTF-8\n"
	    "in /\ninput 0\ngroup own\n",
	    path, pw ? pw->pw_dir : "/");
}

static int
run_us(const char *path, struct buf *out, struct err *err)
{
	static const char *const env[] = {
	    "TELL=a  b;$(exit 9)", "AUTOCERT_NAME=www.example.com", NULL};
	struct hook hook = {.path = path, .env = env, .timeout_ms = LONG_MS};

	return hook_run(&hook, out, err);
}

static void
test_given(const char *us)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char *want = expected(us);
	int null = open("/dev/null", O_RDONLY), rc;
	sigset_t mask, old;

	must(dup2(null, 77) == 77, "dup2"); /* not close-on-exec */
	setenv("AUTOCERT_EAB_MAC_KEY", "secret", 1);
	sigfillset(&mask);
	sigprocmask(SIG_BLOCK, &mask, &old);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	rc = run_us(us, &out, &err);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(77);
	close(null);
	ok_err(rc, &err, "a hook is run");
	is(buf_str(&out), want, "given just what it should be");
	no_children("success");
	buf_release(&out);
	free(want);
}

/* Whatever of 0, 1 and 2 is closed in us, it is not in the hook. */
static void
test_closed(const char *us)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char *want = expected(us);
	int saved[3], closed, fd, rc;

	for (closed = 1; closed < 8; closed++) {
		buf_clear(&out);
		for (fd = 0; fd < 3; fd++)
			saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
		for (fd = 0; fd < 3; fd++)
			if (closed & 1 << fd)
				close(fd);
		rc = run_us(us, &out, &err);
		for (fd = 0; fd < 3; fd++) {
			dup2(saved[fd], fd);
			close(saved[fd]);
		}
		ok_err(rc, &err, "closed in us: %s%s%s", closed & 1 ? "0" : "",
		    closed & 2 ? "1" : "", closed & 4 ? "2" : "");
		is(buf_str(&out), want, "makes no difference");
	}
	buf_release(&out);
	free(want);
}

static int
open_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
test_descriptors(void)
{
	struct err err = ERR_INIT;
	struct buf out = BUF_INIT;
	char *text = path_of("text");
	int before = open_descriptors();

	write_file(text, "exit 0\n", 7, 0755);
	run_script("exit 0", LONG_MS, NULL, &err);
	run_script("exit 1", LONG_MS, NULL, &err);
	run_script("sleep 1000 & echo $!", LONG_MS, &out, &err);
	run_path("/nonexistent", LONG_MS, NULL, &err);
	run_path(text, LONG_MS, NULL, &err);
	is_int(open_descriptors(), before, "no descriptor is left open in us");
	kill_told(&out);
	free(text);
}

/* -- how it ends ---------------------------------------------------------- */

/* Valgrind makes a fork of posix_spawn()'s vfork: that an exec failed never
 * comes back from it. */
static bool
exec_failures_are_seen(void)
{
	char path[] = "/nonexistent/program", *argv[] = {path, NULL};
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, environ) != 0)
		return true;
	waitpid(pid, NULL, 0);
	return false;
}

static void
test_status(void)
{
	struct err err = ERR_INIT;

	ok_err(run_script("exit 0", LONG_MS, NULL, &err), &err, "exit 0");
	fails(run_script("exit 7", LONG_MS, NULL, &err), &err, ERR_HOOK,
	    "/hook: exit status 7", "exit 7");
	ok(strstr(err.text, "7") && !strstr(err.text, "7:"),
	    "no output, none in the message");
	fails(run_script(
	          "echo one; echo two >&2; echo; exit 1", LONG_MS, NULL, &err),
	    &err, ERR_HOOK, "/hook: exit status 1: two",
	    "the last line it printed");
	fails(run_script("kill -TERM $$", LONG_MS, NULL, &err), &err, ERR_HOOK,
	    "ended by signal 15 (Terminated)", "SIGTERM");
	fails(run_script("echo why; kill -KILL $$", LONG_MS, NULL, &err), &err,
	    ERR_HOOK, "ended by signal 9 (Killed): why", "SIGKILL");
	is_int(run_script("exit 7", LONG_MS, NULL, NULL), -1,
	    "nobody need be told why");
	no_children("failures");
}

static void
test_no_exec(void)
{
	char *path = path_of("text");
	struct err err = ERR_INIT;

	write_file(path, "exit 0\n", 7, 0755);
	fails(run_path(path, LONG_MS, NULL, &err), &err, ERR_HOOK, NULL,
	    "text without #! is not given to a shell");
	if (exec_failures_are_seen())
		is(strstr(err.text, "cannot"),
		    "cannot be run: Exec format "
		    "error",
		    "and why is told");
	else
		skip("posix_spawn() hides that exec failed", "why is told");
	no_children("no exec");
	free(path);
}

static void
test_ignored_sigchld(void)
{
	struct err err = ERR_INIT;

	signal(SIGCHLD, SIG_IGN);
	fails(run_script("exit 6", LONG_MS, NULL, &err), &err, ERR_HOOK,
	    "exit status 6", "a status is not lost where SIGCHLD was ignored");
	signal(SIGCHLD, SIG_DFL);
}

/* -- what it prints ------------------------------------------------------- */

static void
prints(const char *body, const char *want, const char *what)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	ok_err(run_script(body, LONG_MS, &out, &err), &err, "%s", what);
	is(buf_str(&out), want, "%s: what is kept", what);
	buf_release(&out);
}

static void
test_printed(void)
{
	prints("echo out; echo err >&2; echo out", "out\nerr\nout\n",
	    "both streams, in order");
	prints(":", "", "nothing");
	prints("printf 'no newline'", "no newline\n", "no newline at the end");
	prints("printf 'one\\r\\n\\n\\ntwo\\r50%%\\r60%%\\n'",
	    "one\ntwo\n50%\n60%\n", "carriage returns, empty lines");
	prints("printf 'a\\033[31m\\007\\tb\\000c\\302\\233d\\377e\\177'",
	    "a?[31m??b?c?d?e?\n", "control characters, NUL, bad UTF-8");
	prints("printf 'gr\\303\\274n\\n'", "gr\303\274n\n", "UTF-8");
}

/* 80 bytes a line, 13200 lines, and a last one with the reason. */
#define MEGABYTE                                                               \
	"i=0; l=$(printf '%79s' x); b=; "                                      \
	"while [ $i -lt 100 ]; do b=\"$b$l\n\"; i=$((i + 1)); done; i=0; "     \
	"while [ $i -lt 132 ]; do printf %s \"$b\"; i=$((i + 1)); done; "      \
	"echo why; exit 3"

static void
test_megabyte(void)
{
	struct buf out = BUF_INIT, small = {.max = 100};
	struct err err = ERR_INIT;

	fails(run_script(MEGABYTE, LONG_MS, &out, &err), &err, ERR_HOOK,
	    "exit status 3: why", "a megabyte: the last line is the last");
	is_int((long long)out.len, KEPT / 80 * 80LL, "whole lines are kept");
	fails(run_script(MEGABYTE, LONG_MS, &small, &err), &err, ERR_HOOK,
	    "why", "into a buf with a lower ceiling");
	is_int((long long)small.len, 80, "which holds");
	buf_release(&out);
	buf_release(&small);
}

static void
test_cap(void)
{
	char *path = script("hook", "echo 1234; echo 12345678; echo 1");
	struct hook hook = {
	    .path = path, .timeout_ms = LONG_MS, .output_max = 10};
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	buf_puts(&out, "before\n");
	ok_err(hook_run(&hook, &out, &err), &err, "a cap of ten bytes");
	is(buf_str(&out), "before\n1234\n",
	    "added behind what was there; nothing behind a line left out");
	buf_release(&out);
	free(path);
}

static void
test_long_line(void)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	fails(run_script("printf '%9999s\\n' x; printf '%9999s' y; exit 1",
	          LONG_MS, &out, &err),
	    &err, ERR_HOOK, "exit status 1: ", "lines of ten thousand bytes");
	is_int((long long)out.len, 2LL * 512, "are cut");
	buf_release(&out);
}

/* -- its time ------------------------------------------------------------- */

/* A pipe with a name: whoever holds its other end lives. */
static int
life_line(char **path)
{
	int fd;

	*path = path_of("life");
	must(mkfifo(*path, 0600) == 0, "mkfifo");
	fd = open(*path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	must(fd != -1, *path);
	return fd;
}

static bool
all_dead(int fd)
{
	struct pollfd p = {.fd = fd}; /* POLLHUP alone */

	return poll(&p, 1, 10 * 1000) == 1 && p.revents & POLLHUP;
}

static void
test_killed(const char *body, const char *what)
{
	struct err err = ERR_INIT;
	char *life, *text;
	int fd = life_line(&life);

	text = xasprintf("exec 9>%s\n%s", life, body);
	fails(run_script(text, SHORT_MS, NULL, &err), &err, ERR_HOOK,
	    "not done after 1 seconds, killed", "%s: too late", what);
	ok(all_dead(fd), "%s: nothing of it lives", what);
	no_children(what);
	close(fd);
	unlink(life);
	free(life);
	free(text);
}

static void
test_late(void)
{
	test_killed("(trap '' TERM; sleep 1000) >/dev/null 2>&1 & sleep 1000",
	    "a grandchild that ignores SIGTERM");
	test_killed("trap '' TERM; while :; do sleep 1000; done",
	    "a hook that ignores it");
	test_killed("(trap '' TERM; sleep 1000) & sleep 1000",
	    "a grandchild that ignores it and could print");
	test_killed("while :; do echo yes; done",
	    "a hook that never stops "
	    "printing");
	test_killed("trap 'exit 0' TERM; sleep 1000 & wait",
	    "a hook that exits with 0 then");
}

/* That it would have cleaned up is why SIGTERM comes first. */
static void
test_grace(void)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	fails(run_script("trap 'echo bye; exit 1' TERM; echo hello;"
	                 "sleep 1000 & wait",
	          SHORT_MS, &out, &err),
	    &err, ERR_HOOK, "killed: bye", "SIGTERM comes first");
	is(buf_str(&out), "hello\nbye\n", "what it prints then is read");
	buf_release(&out);
}

/* The whole group has that time, not only its leader. */
static void
test_grace_of_group(void)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	fails(run_script("(trap 'sleep 0.2; echo done; exit' TERM; echo ready;"
	                 "sleep 1000 & wait) & sleep 1000",
	          SHORT_MS, &out, &err),
	    &err, ERR_HOOK, "killed: done", "a grandchild cleans up");
	is(buf_str(&out), "ready\ndone\n", "after its parent has gone");
	buf_release(&out);
}

/* A daemon that it has started may live, and may hold the pipe. */
static void
test_background(void)
{
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	int64_t begin = date_mono_ms();

	ok_err(run_script("sleep 1000 & echo $!", LONG_MS, &out, &err), &err,
	    "a hook that leaves something in the background");
	ok(date_mono_ms() - begin < LONG_MS / 2, "which is not waited for");
	ok(kill_told(&out), "and lives");
}

static void
on_alarm(int number)
{
	(void)number;
}

/* A signal that we handle is not the hook's end. */
static void
test_interrupted(void)
{
	struct sigaction act = {.sa_handler = on_alarm}, old;
	struct err err = ERR_INIT;
	char *body = xasprintf("kill -ALRM %ld; kill -ALRM %ld; exit 5",
	    (long)getpid(), (long)getpid());

	sigaction(SIGALRM, &act, &old);
	fails(run_script(body, LONG_MS, NULL, &err), &err, ERR_HOOK,
	    "exit status 5", "signals of ours do not end the waiting");
	sigaction(SIGALRM, &old, NULL);
	free(body);
}

/* -- whether it may be run ------------------------------------------------ */

/* Refused by both, and not run. */
static void
refuses(const char *path, int code, const char *text, const char *what)
{
	struct err err = ERR_INIT;
	char *mark = path_of("ran");

	fails(hook_check(path, &err), &err, code, text, "%s: checked", what);
	fails(run_path(path, LONG_MS, NULL, &err), &err, ERR_HOOK, text,
	    "%s: asked to run", what);
	ok(access(mark, F_OK) == -1, "%s: not run", what);
	unlink(mark);
	free(mark);
}

static void
accepts(const char *path, const char *what)
{
	struct err err = ERR_INIT;
	char *mark = path_of("ran");

	ok_err(hook_check(path, &err), &err, "%s: checked", what);
	ok_err(run_path(path, LONG_MS, NULL, &err), &err, "%s: run", what);
	ok(unlink(mark) == 0, "%s: it was", what);
	free(mark);
}

/* A hook that leaves a mark; the caller frees. */
static char *
marker(const char *name)
{
	char *body = xasprintf(": >%s/ran", base), *path = script(name, body);

	free(body);
	return path;
}

static void
with_mode(const char *path, mode_t mode)
{
	must(chmod(path, mode) == 0, path);
}

static void
test_path(void)
{
	char *path = marker("good"), *below = xasprintf("%s/x", path);
	char *twice = xasprintf("/%s//good", base), *deep;
	char *dots = xasprintf("%s/./../%s/good", base, strrchr(base, '/') + 1);

	refuses("", ERR_CONFIG, "not an absolute path", "no path");
	refuses("true", ERR_CONFIG, "not an absolute path", "a bare name");
	deep = xasprintf("%s/good", tap_tmpdir());
	refuses(deep, ERR_CONFIG, "not an absolute path", "a relative path");
	free(deep);
	deep = path_of("nothing/here");
	refuses(deep, ERR_ABSENT, "nothing: No such", "a folder missing");
	free(deep);
	deep = path_of("nothing");
	refuses(deep, ERR_ABSENT, "nothing: No such", "a program missing");
	refuses(below, ERR_ABSENT, "good: not a folder", "a file as a folder");
	accepts(path, "the hook itself");
	accepts(twice, "slashes doubled");
	accepts(dots, "dots");
	free(path);
	free(below);
	free(twice);
	free(dots);
	free(deep);
}

static void
test_kind(void)
{
	char *path = marker("kind"), *link = path_of("kind-link");
	char *pipe = path_of("kind-pipe"), *dir = folder("kind-dir", 0755);

	must(symlink("kind", link) == 0 && mkfifo(pipe, 0700) == 0, "kinds");
	refuses(link, ERR_CONFIG, "kind-link: a symbolic link", "a link");
	refuses(pipe, ERR_CONFIG, "not a regular file", "a FIFO");
	refuses(dir, ERR_CONFIG, "not a regular file", "a folder");
	with_mode(path, 0644);
	refuses(path, ERR_PERMISSION, "cannot be run", "no x bit");
	free(path);
	free(link);
	free(pipe);
	free(dir);
}

static void
test_writable(void)
{
	char *path = marker("loose");

	with_mode(path, 0757);
	refuses(path, ERR_PERMISSION, "loose: mode 0757", "others can write");
	with_mode(path, 0775);
	refuses(path, ERR_PERMISSION, "loose: mode 0775", "a group can write");
	with_mode(path, 01777);
	refuses(path, ERR_PERMISSION, "loose: mode 1777",
	    "a sticky file is no better");
	with_mode(path, 0700);
	accepts(path, "only we can");
	free(path);
}

static void
test_folder(void)
{
	char *outer = folder("outer", 0755), *inner = folder("outer/in", 0755);
	char *path = marker("outer/in/hook");

	with_mode(inner, 0777);
	refuses(path, ERR_PERMISSION, "in: mode 0777", "its folder is open");
	with_mode(inner, 0770);
	refuses(path, ERR_PERMISSION, "in: mode 0770", "open to a group");
	with_mode(inner, 01777);
	accepts(path, "a sticky folder");
	with_mode(inner, 0755);
	with_mode(outer, 0777);
	refuses(path, ERR_PERMISSION, "outer: mode 0777", "one further up is");
	with_mode(outer, 01777);
	accepts(path, "a sticky one further up");
	free(outer);
	free(inner);
	free(path);
}

/* link at name below base, to the folder at target. */
static void
linked(const char *name, const char *target, int code, const char *text,
    const char *what)
{
	char *link = path_of(name), *path = xasprintf("%s/hook", link);

	unlink(link);
	must(symlink(target, link) == 0, link);
	if (code)
		refuses(path, code, text, what);
	else
		accepts(path, what);
	free(link);
	free(path);
}

/* Every folder on the way counts, also of the way that a link takes. */
static void
test_links(void)
{
	char *safe = folder("safe", 0755), *open = folder("open", 0755);
	char *sub = folder("open/sub", 0755);
	char *mine = marker("safe/hook"), *theirs = marker("open/sub/hook");

	linked("to", "safe", 0, NULL, "a link to a folder");
	linked("to", safe, 0, NULL, "an absolute one");
	linked("to2", "to", 0, NULL, "a link to a link");
	linked("to", "../safe", ERR_ABSENT, "safe: No such", "a wrong link");
	linked("loop", "loop", ERR_CONFIG, "loop", "a link to itself");
	linked("to", "good", ERR_ABSENT, "good: not a folder", "to a file");
	linked("to", "open/sub", 0, NULL, "a longer way");
	with_mode(open, 0777);
	linked("to", "open/sub", ERR_PERMISSION, "open: mode 0777",
	    "a link through a folder that is open");
	linked("to", "open/../safe", ERR_PERMISSION, "open: mode 0777",
	    "also if it leads out again");
	linked("open/to", "../safe", ERR_PERMISSION, "open: mode 0777",
	    "a link in a folder that is open");
	free(safe);
	free(open);
	free(sub);
	free(mine);
	free(theirs);
}

static void
test_owner(void)
{
	char *dir = folder("foreign", 0755), *path = marker("foreign/hook");
	char *link = path_of("foreign-link");
	char *by_link = xasprintf("%s/hook", link);

	must(symlink("foreign", link) == 0, link);
	if (geteuid() != 0) {
		skip("only root can give files away", "foreign owners");
		goto out;
	}
	accepts(path, "our own");
	must(chown(path, 4711, 0) == 0, path);
	refuses(path, ERR_PERMISSION, "hook: belongs to user 4711",
	    "a foreign hook");
	must(chown(path, 0, 4711) == 0, path);
	with_mode(path, 0755);
	accepts(path, "a foreign group that cannot write");
	must(chown(dir, 4711, 0) == 0, dir);
	refuses(path, ERR_PERMISSION, "foreign: belongs to user 4711",
	    "a foreign folder");
	with_mode(dir, 01777);
	refuses(path, ERR_PERMISSION, "foreign: belongs to user 4711",
	    "its owner can rename in it, sticky or not");
	must(chown(dir, 0, 0) == 0, dir);
	accepts(by_link, "a link of ours");
	must(lchown(link, 4711, 0) == 0, link);
	refuses(by_link, ERR_PERMISSION, "foreign-link: belongs to user 4711",
	    "a foreign link");
out:
	free(dir);
	free(path);
	free(link);
	free(by_link);
}

/* -- the programs in a folder --------------------------------------------- */

static char *
listed(const char *dir, struct err *err)
{
	struct strings names = {.n = 0};
	struct buf all = BUF_INIT;
	char *text;
	size_t i;

	if (hook_list(dir, &names, err) == -1)
		return NULL;
	for (i = 0; i < names.n; i++)
		buf_printf(&all, "%s ", names.v[i]);
	text = xstrdup(buf_str(&all));
	strings_release(&names);
	buf_release(&all);
	return text;
}

static void
test_list(void)
{
	static const char *const names[] = {"zz", "10-nginx", "2", "A_b.sh",
	    ".hidden", "copy~", "x.bak", "x.bak.sh", "bak", "x.dpkg-old",
	    "x.dpkg-new", "x.dpkg-", "dpkg-x", "x.dpkg-old.sh", "a b", "a+b",
	    "#a#", "gr\303\274n", "-dash", "README"};
	char *dir = folder("list", 0755), *text, *path, *link;
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path = xasprintf("%s/%s", dir, names[i]);
		write_file(path, "#!/bin/sh\n", 10, 0755);
		with_mode(path, strcmp(names[i], "README") == 0 ? 0644 : 0755);
		free(path);
	}
	free(folder("list/folder", 0755));
	link = path_of("list/link");
	must(symlink("zz", link) == 0, link);
	text = listed(dir, &err);
	is(text,
	    "-dash 10-nginx 2 A_b.sh bak dpkg-x link x.bak.sh "
	    "x.dpkg-old.sh zz ",
	    "what run-parts would run, sorted");
	free(text);
	free(link);
	free(dir);
}

static void
test_list_none(void)
{
	char *none = path_of("no-such-folder"), *file = marker("no-folder");
	char *text, *empty = folder("empty", 0755);
	struct strings names = {.n = 0};
	struct err err = ERR_INIT;

	text = listed(none, &err);
	is(text, "", "no such folder: none");
	free(text);
	text = listed(empty, &err);
	is(text, "", "an empty one: none");
	free(text);
	fails(hook_list(file, &names, &err), &err, ERR_ABSENT,
	    "no-folder: Not a directory", "a file is no folder");
	is_int((long long)names.n, 0, "with nothing in it");
	free(none);
	free(file);
	free(empty);
}

/* -- where there is no pidfd_open() --------------------------------------- */

/* From here on it fails. */
static bool
deny_pidfd(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(
	        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
	    .len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	    syscall(SYS_pidfd_open, getpid(), 0) == -1;
}

static void
test_without_pidfd(void)
{
	if (!deny_pidfd()) {
		skip("no filter of system calls here", "no pidfd_open()");
		return;
	}
	test_status();
	test_printed();
	test_megabyte();
	test_background();
	test_grace();
	test_killed("(trap '' TERM; sleep 1000) & sleep 1000",
	    "a grandchild, without pidfd_open()");
}

static void
test_running(void)
{
	char *us = copy_of_us();

	test_given(us);
	test_closed(us);
	test_descriptors();
	test_status();
	test_no_exec();
	test_ignored_sigchld();
	test_printed();
	test_megabyte();
	test_cap();
	test_long_line();
	test_late();
	test_grace();
	test_grace_of_group();
	test_background();
	test_interrupted();
	free(us);
}

int
main(int argc, char *argv[])
{
	if (getenv("TELL"))
		return tell(argc, argv);
	must(realpath(tap_tmpdir(), base) != NULL, "realpath");
	if (!is_fit(base)) {
		skip("others can write a folder above this one", "all");
		return done();
	}
	test_running();
	test_path();
	test_kind();
	test_writable();
	test_folder();
	test_links();
	test_owner();
	test_list();
	test_list_none();
	test_without_pidfd(); /* last: there is no way back */
	return done();
}
