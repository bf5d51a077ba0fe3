#include <config.h>

#include "io/child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

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
		rc = posix_spawnattr_setflags(attr,
		    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
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
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

int
child_start(char *const argv[], int keep_fd, struct child *out,
    struct err *err)
{
	pid_t pid;
	int rc, fd;

	if (!argv[0])
		return err_bug(err, "no program to run");
	keep_statuses();
	rc = spawn(argv, keep_fd, &pid);
	if (rc == ENOENT || rc == ENOTDIR)
		return err_set(err, ERR_ABSENT, "%s: no such program", argv[0]);
	if (rc != 0)
		return err_set(err, ERR_PERMISSION, "%s: cannot be run: %s",
		    argv[0], strerror(rc));

	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd == -1) {
		err_sys(err, ERR_PERMISSION, "%s: cannot be waited for",
		    argv[0]);
		kill(pid, SIGKILL);
		reap(pid);
		return -1;
	}
	out->pid = pid;
	out->fd = fd;
	return 0;
}

int
child_wait(struct child *child)
{
	int status = reap(child->pid);

	close(child->fd);
	child->pid = -1;
	child->fd = -1;
	return status == -1 ? 255 : status;
}
