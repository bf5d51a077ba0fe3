#include <config.h>

#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

/* -- the program ---------------------------------------------------------- */

/*
 * The descriptors of the child, made in the child: three streams, keep_fd, no
 * other.  What is not open is closed without complaint.
 */
static int
descriptors(posix_spawn_file_actions_t *files, int keep_fd)
{
	int fd, rc = 0;

	for (fd = STDERR_FILENO + 1; fd < keep_fd && rc == 0; fd++)
		rc = posix_spawn_file_actions_addclose(files, fd);
	/* dup2() onto itself takes close-on-exec away. */
	if (rc == 0 && keep_fd >= 0)
		rc = posix_spawn_file_actions_adddup2(files, keep_fd, keep_fd);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(files,
		    keep_fd > STDERR_FILENO ? keep_fd + 1 : STDERR_FILENO + 1);
	return rc;
}

static int
signals(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	rc = posix_spawnattr_setsigdefault(attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setflags(
		    attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	return rc;
}

/* 0 or an errno.  posix_spawnp() waits for the exec, and unlike execvp() it
 * never hands a file that is no program to a shell. */
static int
spawn(char *const argv[], int keep_fd, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int rc;

	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0)
		goto out;
	rc = descriptors(&files, keep_fd);
	if (rc == 0)
		rc = signals(&attr);
	if (rc == 0)
		rc = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
out:
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

/* Where SIGCHLD is ignored (some parents leave it so) children are reaped
 * unseen and their status is lost. */
static void
keep_statuses(void)
{
	struct sigaction act;

	if (sigaction(SIGCHLD, NULL, &act) == 0 && act.sa_handler == SIG_IGN) {
		act.sa_handler = SIG_DFL;
		sigaction(SIGCHLD, &act, NULL);
	}
}

/* The status, or -1 when there is no such child. */
static int
reap(pid_t pid)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, 0);
	while (got == -1 && errno == EINTR);
	if (got == -1)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
	                             WEXITSTATUS(status);
}

/* -- its end -------------------------------------------------------------- */

/*
 * Where there is no pidfd_open() (Linux before 5.3, some sandboxes, valgrind),
 * a thread waits, and closes the end of a pipe.  A pipe that the program itself
 * holds would not do: what it leaves running in the background holds it too.
 */
struct child_watch {
	pthread_t thread;
	pid_t pid;
	int end;
};

static void *
watch(void *arg)
{
	const struct child_watch *w = arg;
	siginfo_t info;
	int rc;

	/* The status is left for child_wait(). */
	do
		rc = waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOWAIT);
	while (rc == -1 && errno == EINTR);
	close(w->end);
	return NULL;
}

/* 0 or an errno.  Signals stay with the thread that is there for them. */
static int
start_watch(struct child_watch *w)
{
	pthread_attr_t attr;
	sigset_t all;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	sigfillset(&all);
	rc = pthread_attr_setsigmask_np(&attr, &all);
	if (rc == 0)
		rc = pthread_create(&w->thread, &attr, watch, w);
	pthread_attr_destroy(&attr);
	return rc;
}

/* -1 and errno. */
static int
open_watch(struct child *c)
{
	struct child_watch *w;
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	w = xcalloc(1, sizeof(*w));
	w->pid = c->pid;
	w->end = ends[1];
	rc = start_watch(w);
	if (rc != 0) {
		close(ends[0]);
		close(ends[1]);
		free(w);
		errno = rc;
		return -1;
	}
	c->fd = ends[0];
	c->watch = w;
	return 0;
}

/* -1 and errno.  EPERM is what filters of system calls say of those they have
 * never heard of. */
static int
open_end(struct child *c)
{
	c->watch = NULL;
	c->fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->fd == -1 && (errno == ENOSYS || errno == EPERM))
		return open_watch(c);
	return c->fd == -1 ? -1 : 0;
}

/* -- both ----------------------------------------------------------------- */

int
child_start(char *const argv[], int keep_fd, struct child *out, struct err *err)
{
	struct child c = {.pid = -1};
	int rc;

	if (!argv[0])
		return err_bug(err, "no program to run");
	keep_statuses();
	rc = spawn(argv, keep_fd, &c.pid);
	if (rc == ENOENT || rc == ENOTDIR)
		return err_set(err, ERR_ABSENT, "%s: no such program", argv[0]);
	if (rc != 0)
		return err_set(err, ERR_PERMISSION, "%s: cannot be run: %s",
		    argv[0], strerror(rc));

	if (open_end(&c) == -1) {
		err_sys(
		    err, ERR_PERMISSION, "%s: cannot be waited for", argv[0]);
		kill(c.pid, SIGKILL);
		reap(c.pid);
		return -1;
	}
	*out = c;
	return 0;
}

int
child_wait(struct child *child)
{
	int status = reap(child->pid);

	if (child->watch) {
		pthread_join(child->watch->thread, NULL);
		free(child->watch);
	}
	close(child->fd);
	*child = (struct child){.pid = -1, .fd = -1};
	return status == -1 ? 255 : status;
}
