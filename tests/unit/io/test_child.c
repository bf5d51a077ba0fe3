#include <config.h>

#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "tap.h"

/* Waits as a caller does, through the descriptor; -1 if it cannot be run. */
static int
run(char *const argv[], int keep_fd, struct err *err)
{
	struct child c;
	struct pollfd p;

	if (child_start(argv, keep_fd, &c, err) == -1)
		return -1;
	p = (struct pollfd){.fd = c.fd, .events = POLLIN};
	if (poll(&p, 1, 30 * 1000) != 1)
		kill(c.pid, SIGKILL);
	return child_wait(&c);
}

static int
run_shell(const char *script, int keep_fd)
{
	char *copy = xstrdup(script), sh[] = "sh", dash_c[] = "-c";
	char *argv[] = {sh, dash_c, copy, NULL};
	struct err err = ERR_INIT;
	int status = run(argv, keep_fd, &err);

	free(copy);
	return status;
}

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
is_refused(char *const argv[], int code, const char *text, const char *what)
{
	struct err err = ERR_INIT;

	if (exec_failures_are_seen())
		fails(run(argv, -1, &err), &err, code, text, "%s", what);
	else
		skip("posix_spawn() hides that exec failed (valgrind)", "%s",
		    what);
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	struct err err = ERR_INIT;

	if (file_write(AT_FDCWD, path, text, strlen(text), mode, FILE_REPLACE,
	        &err) == -1)
		diag("%s", err.text);
}

static void
test_status(void)
{
	is_int(run_shell("exit 0", -1), 0, "success");
	is_int(run_shell("exit 7", -1), 7, "its exit status");
	is_int(run_shell("kill -TERM $$", -1), 128 + SIGTERM, "SIGTERM");
	is_int(run_shell("kill -KILL $$", -1), 128 + SIGKILL, "SIGKILL");
}

static void
test_arguments(void)
{
	char sh[] = "sh", dash_c[] = "-c";
	char script[] = "test $# = 3 && test \"$1\" = 'a  b' && "
	                "test \"$2\" = '$(exit 9)' && test \"$3\" = ''";
	char zero[] = "zero", one[] = "a  b", two[] = "$(exit 9)", three[] = "";
	char *argv[] = {sh, dash_c, script, zero, one, two, three, NULL};
	struct err err = ERR_INIT;

	is_int(run(argv, -1, &err), 0, "arguments arrive as they are");
}

static void
test_missing(void)
{
	char name[] = "autocert-no-such-program";
	char path[] = "/nonexistent/program", under[] = "/dev/null/program";
	char empty[] = "";
	char *by_name[] = {name, NULL}, *by_path[] = {path, NULL};
	char *in_file[] = {under, NULL}, *nameless[] = {empty, NULL};
	char *none[] = {NULL};
	struct err err = ERR_INIT;

	is_refused(by_name, ERR_ABSENT, name, "a name that PATH does not have");
	is_refused(
	    by_path, ERR_ABSENT, "no such program", "a path that is not there");
	is_refused(in_file, ERR_ABSENT, NULL, "a path through a file");
	is_refused(nameless, ERR_ABSENT, NULL, "no name");
	fails(run(none, -1, &err), &err, ERR_SOFTWARE, NULL, "no argv[0]");
	is_int(waitpid(-1, NULL, WNOHANG), -1, "no child is left over");
}

static void
test_not_executable(void)
{
	char *script = xasprintf("%s/script", tap_tmpdir());
	char *dir = xstrdup(tap_tmpdir());
	char *path = xasprintf("./%s", dir);
	char *argv[] = {script, NULL}, *folder[] = {path, NULL};
	struct err err = ERR_INIT;

	write_file(script, "#!/bin/sh\nexit 3\n", 0600);
	is_refused(
	    argv, ERR_PERMISSION, "cannot be run", "a file without the x bit");
	write_file(script, "#!/bin/sh\nexit 3\n", 0700);
	is_int(run(argv, -1, &err), 3, "the same with it");
	write_file(script, "exit 4\n", 0700);
	is_refused(argv, ERR_PERMISSION, NULL,
	    "text without #! is not given to a shell");
	is_refused(folder, ERR_PERMISSION, NULL, "a folder");
	free(script);
	free(dir);
	free(path);
}

static void
test_path(void)
{
	char *script = xasprintf("%s/autocert-found", tap_tmpdir());
	char *path = xasprintf("/nonexistent:%s:/bin", tap_tmpdir());
	const char *old = getenv("PATH");
	char *saved = xstrdup(old ? old : "/bin:/usr/bin");
	char name[] = "autocert-found";
	char *argv[] = {name, NULL};
	struct err err = ERR_INIT;

	write_file(script, "#!/bin/sh\nexit 5\n", 0700);
	setenv("PATH", path, 1);
	is_int(run(argv, -1, &err), 5, "found in PATH");
	setenv("PATH", saved, 1);
	free(script);
	free(path);
	free(saved);
}

static void
test_descriptors(void)
{
	int low = open("/dev/null", O_RDWR), kept, high;
	char *script;

	/* Up to 9 can be named in every sh. */
	kept = fcntl(low, F_DUPFD_CLOEXEC, 6);
	high = fcntl(low, F_DUPFD, kept + 1);
	script = xasprintf("(: <&%d) 2>/dev/null", kept);
	is_int(run_shell(script, kept), 0,
	    "keep_fd is open though it was close-on-exec");
	ok(run_shell(script, -1) != 0, "and closed when not kept");
	ok(fcntl(kept, F_GETFD) == FD_CLOEXEC, "ours is as it was");
	free(script);

	script = xasprintf("(: <&%d) 2>/dev/null", low);
	ok(run_shell(script, kept) != 0, "one below keep_fd is closed");
	ok(run_shell(script, -1) != 0, "also without keep_fd");
	free(script);
	script = xasprintf("(: <&%d) 2>/dev/null", high);
	ok(run_shell(script, kept) != 0, "one above keep_fd is closed");
	free(script);
	is_int(run_shell("(: <&0) && (: >&1) && (: >&2)", kept), 0,
	    "the standard streams are open");
	is_int(run_shell("(: >&2)", STDERR_FILENO), 0,
	    "keep_fd may be one of them");
	close(low);
	close(kept);
	close(high);
}

static void
test_signals(void)
{
	sigset_t term, old;
	void (*old_pipe)(int), (*old_term)(int);

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &old);
	is_int(run_shell("kill -TERM $$; exit 1", -1), 128 + SIGTERM,
	    "a blocked signal is not blocked in the program");
	sigprocmask(SIG_SETMASK, &old, NULL);

	old_pipe = signal(SIGPIPE, SIG_IGN);
	old_term = signal(SIGTERM, SIG_IGN);
	is_int(run_shell("kill -PIPE $$; exit 1", -1), 128 + SIGPIPE,
	    "an ignored SIGPIPE is not ignored in the program");
	is_int(run_shell("kill -TERM $$; exit 1", -1), 128 + SIGTERM,
	    "nor is SIGTERM");
	signal(SIGPIPE, old_pipe);
	signal(SIGTERM, old_term);

	signal(SIGCHLD, SIG_IGN);
	is_int(run_shell("exit 6", -1), 6,
	    "the status is not lost where SIGCHLD was ignored");
}

/* What a caller does with the SIGTERM of its signalfd. */
static void
test_forwarding(void)
{
	char sh[] = "sh", dash_c[] = "-c", script[] = "read line; exit 1";
	char *argv[] = {sh, dash_c, script, NULL};
	struct err err = ERR_INIT;
	struct pollfd p = {.events = POLLIN};
	struct child c;
	int ends[2] = {-1, -1}, in = dup(STDIN_FILENO);

	/* A standard input on which nothing ever comes. */
	ok(in != -1 && pipe2(ends, O_CLOEXEC) == 0 &&
	        dup2(ends[0], STDIN_FILENO) == STDIN_FILENO,
	    "an empty input");
	if (ok_err(child_start(argv, -1, &c, &err), &err, "a program waits")) {
		p.fd = c.fd;
		is_int(poll(&p, 1, 0), 0, "not readable while it runs");
		kill(c.pid, SIGTERM);
		is_int(poll(&p, 1, 30 * 1000), 1, "readable once it ended");
		is_int(child_wait(&c), 128 + SIGTERM, "ended by the signal");
		is_int(c.fd, -1, "and its descriptor is closed");
	}
	dup2(in, STDIN_FILENO);
	close(in);
	close(ends[0]);
	close(ends[1]);
}

static void
test_stolen(void)
{
	char sh[] = "sh", dash_c[] = "-c", script[] = "exit 0";
	char *argv[] = {sh, dash_c, script, NULL};
	struct err err = ERR_INIT;
	struct child c;

	if (ok_err(child_start(argv, -1, &c, &err), &err, "a program")) {
		waitpid(c.pid, NULL, 0);
		is_int(child_wait(&c), 255, "that somebody else reaped");
	}
}

/* The program runs already when there is no descriptor left to watch it by. */
static void
test_unwatched(void)
{
	char sleep[] = "sleep", long_time[] = "1000";
	char *argv[] = {sleep, long_time, NULL};
	struct rlimit old, none;
	struct err err = ERR_INIT;
	struct child c;
	int one = open("/dev/null", O_RDONLY | O_CLOEXEC), next = dup(one);

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = (rlim_t)next;
	close(next);
	setrlimit(RLIMIT_NOFILE, &none);
	fails(child_start(argv, -1, &c, &err), &err, ERR_PERMISSION,
	    "cannot be waited for", "no descriptor left");
	setrlimit(RLIMIT_NOFILE, &old);
	close(one);
	is_int(waitpid(-1, NULL, WNOHANG), -1, "the program is not left over");
}

/* Those that the caller blocks later wait for the caller's signalfd. */
static void
test_own_signals(void)
{
	char sh[] = "sh", dash_c[] = "-c", script[] = "read line; exit 1";
	char *argv[] = {sh, dash_c, script, NULL};
	struct err err = ERR_INIT;
	struct child c;
	sigset_t term, old;
	int ends[2] = {-1, -1}, in = dup(STDIN_FILENO), got = 0, i;

	ok(in != -1 && pipe2(ends, O_CLOEXEC) == 0 &&
	        dup2(ends[0], STDIN_FILENO) == STDIN_FILENO,
	    "an empty input");
	if (ok_err(child_start(argv, -1, &c, &err), &err, "a program waits")) {
		sigemptyset(&term);
		sigaddset(&term, SIGTERM);
		sigprocmask(SIG_BLOCK, &term, &old);
		/* Often: a thread that might take it has to begin first. */
		for (i = 0; i < 20000; i++)
			if (kill(getpid(), SIGTERM) == -1 ||
			    sigwait(&term, &got) != 0)
				break;
		is_int(i, 20000, "a signal to ourselves is ours to take");
		sigprocmask(SIG_SETMASK, &old, NULL);
		close(ends[1]);
		ends[1] = -1;
		is_int(child_wait(&c), 1, "the program went on");
	}
	dup2(in, STDIN_FILENO);
	close(in);
	close(ends[0]);
	if (ends[1] != -1)
		close(ends[1]);
}

/* What a program leaves running does not hold up the report of its end. */
static void
test_background(void)
{
	char sh[] = "sh", dash_c[] = "-c", *script;
	char *argv[] = {sh, dash_c, NULL, NULL};
	struct err err = ERR_INIT;
	struct pollfd p = {.events = POLLIN};
	struct child c;
	int ends[2] = {-1, -1}, kept;

	ok(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
	kept = fcntl(ends[0], F_DUPFD_CLOEXEC, 6);
	script = xasprintf("cat <&%d & exit 4", kept);
	argv[2] = script;
	if (ok_err(child_start(argv, kept, &c, &err), &err,
	        "a program that leaves another one behind")) {
		p.fd = c.fd;
		is_int(poll(&p, 1, 30 * 1000), 1, "its end is seen");
		is_int(child_wait(&c), 4, "and its status");
	}
	free(script);
	close(kept);
	close(ends[0]);
	close(ends[1]); /* ends the other one */
}

/* From here on pidfd_open() fails with this errno. */
static bool
deny_pidfd(unsigned int number)
{
	struct sock_filter code[] = {
	    BPF_STMT(
	        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | number),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
	    .len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	    syscall(SYS_pidfd_open, getpid(), 0) == -1 && errno == (int)number;
}

static void
test_without_pidfd(void)
{
	if (!deny_pidfd(EPERM))
		skip("no filter of system calls here", "pidfd_open: EPERM");
	else
		is_int(run_shell("exit 7", -1), 7, "pidfd_open: EPERM");
	if (!deny_pidfd(ENOSYS)) {
		skip("no filter of system calls here", "pidfd_open: ENOSYS");
		return;
	}
	test_status();
	test_signals();
	test_forwarding();
	test_stolen();
	test_own_signals();
	test_background();
	test_unwatched();
}

int
main(void)
{
	test_status();
	test_arguments();
	test_missing();
	test_not_executable();
	test_path();
	test_descriptors();
	test_signals();
	test_forwarding();
	test_stolen();
	test_own_signals();
	test_background();
	test_unwatched();
	test_without_pidfd(); /* last: there is no way back */
	return done();
}
