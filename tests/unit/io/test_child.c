#include <config.h>

#include "io/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	if (poll(&p, 1, 30 * 1000) != 1)
		kill(c.pid, SIGKILL);
	return child_wait(&c);
}

static int
run_shell(const char *script, int keep_fd)
{
	char *copy = xstrdup(script), sh[] = "sh", dash_c[] = "-c";
	char *argv[] = { sh, dash_c, copy, NULL };
	struct err err = ERR_INIT;
	int status = run(argv, keep_fd, &err);

	free(copy);
	return status;
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
	char *argv[] = { sh, dash_c, script, zero, one, two, three, NULL };
	struct err err = ERR_INIT;

	is_int(run(argv, -1, &err), 0, "arguments arrive as they are");
}

static void
test_missing(void)
{
	char name[] = "autocert-no-such-program";
	char path[] = "/nonexistent/program", under[] = "/dev/null/program";
	char empty[] = "";
	char *by_name[] = { name, NULL }, *by_path[] = { path, NULL };
	char *in_file[] = { under, NULL }, *nameless[] = { empty, NULL };
	char *none[] = { NULL };
	struct err err = ERR_INIT;

	fails(run(by_name, -1, &err), &err, ERR_ABSENT, name,
	    "a name that PATH does not have");
	fails(run(by_path, -1, &err), &err, ERR_ABSENT, "no such program",
	    "a path that is not there");
	fails(run(in_file, -1, &err), &err, ERR_ABSENT, NULL,
	    "a path through a file");
	fails(run(nameless, -1, &err), &err, ERR_ABSENT, NULL, "no name");
	fails(run(none, -1, &err), &err, ERR_SOFTWARE, NULL, "no argv[0]");
	is_int(waitpid(-1, NULL, WNOHANG), -1, "no child is left over");
}

static void
test_not_executable(void)
{
	char *script = xasprintf("%s/script", tap_tmpdir());
	char *dir = xstrdup(tap_tmpdir());
	char *path = xasprintf("./%s", dir);
	char *argv[] = { script, NULL }, *folder[] = { path, NULL };
	struct err err = ERR_INIT;

	write_file(script, "#!/bin/sh\nexit 3\n", 0600);
	fails(run(argv, -1, &err), &err, ERR_PERMISSION, "cannot be run",
	    "a file without the x bit");
	write_file(script, "#!/bin/sh\nexit 3\n", 0700);
	is_int(run(argv, -1, &err), 3, "the same with it");
	write_file(script, "exit 4\n", 0700);
	fails(run(argv, -1, &err), &err, ERR_PERMISSION, NULL,
	    "text without #! is not given to a shell");
	fails(run(folder, -1, &err), &err, ERR_PERMISSION, NULL, "a folder");
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
	char *argv[] = { name, NULL };
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
	char *argv[] = { sh, dash_c, script, NULL };
	struct err err = ERR_INIT;
	struct pollfd p = { .events = POLLIN };
	struct child c;
	int ends[2] = { -1, -1 }, in = dup(STDIN_FILENO);

	/* A standard input on which nothing ever comes. */
	ok(in != -1 && pipe2(ends, O_CLOEXEC) == 0 &&
	    dup2(ends[0], STDIN_FILENO) == STDIN_FILENO, "an empty input");
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
	char *argv[] = { sh, dash_c, script, NULL };
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
	char *argv[] = { sleep, long_time, NULL };
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
	test_unwatched();
	return done();
}
