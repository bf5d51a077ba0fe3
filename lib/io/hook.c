#include <config.h>

#include "io/hook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"

enum {
	TIMEOUT_MS = 120 * 1000,
	GRACE_MS = 2000, /* between SIGTERM and SIGKILL */
	TICK_MS = 20,    /* between looks without a pidfd */
	OUTPUT_MAX = 16 * 1024,
	LINE_SIZE = 512, /* a longer line is cut */
	CHUNK = 4096,
	DRAIN_MAX = 64, /* chunks that a pipe may hold */
	LINKS_MAX = 40  /* the kernel's own limit */
};

/* -- whether it may be run ------------------------------------------------ */

static int
fail_look(const char *path, struct err *err)
{
	enum err_code code = ERR_CONFIG;

	if (errno == ENOENT || errno == ENOTDIR)
		code = ERR_ABSENT;
	else if (errno == EACCES)
		code = ERR_PERMISSION;
	return err_sys(err, code, "%s", path);
}

/*
 * Nobody but root and us can change it.  A link has no mode of its own, and in
 * a sticky folder nobody can replace what is not his.
 */
static int
check_owner(const char *path, const struct stat *st, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, ERR_PERMISSION,
		    "%s: belongs to user %u, neither root nor us", path,
		    (unsigned int)st->st_uid);
	if (S_ISLNK(st->st_mode) ||
	    (S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX))
		return 0;
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_PERMISSION,
		    "%s: mode %04o lets others than its owner write it", path,
		    (unsigned int)st->st_mode & 07777);
	return 0;
}

static int check_folders(const char *path, int links, struct err *err);

/* Where it leads, and how one comes there. */
static int
check_link(const char *path, int links, struct err *err)
{
	char target[PATH_MAX], *full;
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	int folder, rc;

	if (links == 0) {
		errno = ELOOP;
		n = -1;
	}
	if (n == -1)
		return fail_look(path, err);
	target[n] = '\0';
	folder = *target == '/' ? 0 : (int)(strrchr(path, '/') - path) + 1;
	full = xasprintf("%.*s%s/", folder, path, target);
	rc = check_folders(full, links - 1, err);
	free(full);
	return rc;
}

static int
check_folder(const char *path, int links, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return fail_look(path, err);
	if (check_owner(path, &st, err) == -1)
		return -1;
	if (S_ISLNK(st.st_mode))
		return check_link(path, links, err);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_ABSENT, "%s: not a folder", path);
	return 0;
}

/* All that path, which is absolute, goes through before its last slash. */
static int
check_folders(const char *path, int links, struct err *err)
{
	int rc = check_folder("/", links, err);
	char *folder;
	size_t i;

	for (i = 1; rc == 0 && path[i]; i++) {
		if (path[i] != '/' || path[i - 1] == '/')
			continue;
		folder = xstrndup(path, i);
		rc = check_folder(folder, links, err);
		free(folder);
	}
	return rc;
}

static int
check_program(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return fail_look(path, err);
	if (S_ISLNK(st.st_mode))
		return err_set(err, ERR_CONFIG,
		    "%s: a symbolic link; name the "
		    "program itself",
		    path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "%s: not a regular file", path);
	if (check_owner(path, &st, err) == -1)
		return -1;
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		return err_sys(err, ERR_PERMISSION, "%s: cannot be run", path);
	return 0;
}

int
hook_check(const char *path, struct err *err)
{
	if (*path != '/')
		return err_set(
		    err, ERR_CONFIG, "\"%s\": not an absolute path", path);
	if (check_folders(path, LINKS_MAX, err) == -1)
		return err_wrap(err, "%s", path);
	return check_program(path, err);
}

/* -- the programs in a folder --------------------------------------------- */

static bool
is_hook_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789_-.";
	static const char dpkg[] = ".dpkg-";
	const char *dot = strrchr(name, '.');

	/* An editor's "~" is not among what is allowed. */
	if (*name == '.' || name[strspn(name, allowed)] != '\0')
		return false;
	return !dot ||
	    (strcmp(dot, ".bak") != 0 &&
	        strncmp(dot, dpkg, sizeof(dpkg) - 1) != 0);
}

/* A link to a program counts: that it is a link is hook_check()'s to say,
 * aloud. */
static bool
is_program(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	    faccessat(dirfd, name, X_OK, AT_EACCESS) == 0;
}

int
hook_list(const char *dir, struct strings *out, struct err *err)
{
	const struct dirent *entry;
	DIR *d = opendir(dir);
	int rc = 0;

	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return fail_look(dir, err);
	while ((errno = 0, entry = readdir(d)))
		if (is_hook_name(entry->d_name) &&
		    is_program(dirfd(d), entry->d_name))
			strings_add(out, entry->d_name);
	if (errno)
		rc = err_sys(err, ERR_IO, "%s", dir);
	closedir(d);
	strings_sort(out);
	return rc;
}

/* -- what it prints ------------------------------------------------------- */

struct lines {
	struct buf *out; /* or NULL */
	size_t room;     /* left in out */
	size_t len;
	char line[LINE_SIZE + 1]; /* with its newline */
	char last[LINE_SIZE];
};

static void
end_line(struct lines *l)
{
	size_t n;

	if (l->len == 0)
		return;
	l->line[l->len] = '\0';
	make_printable(l->line);
	n = strlen(l->line);
	memcpy(l->last, l->line, n + 1);
	l->line[n++] = '\n';
	/* Nothing more once a line did not fit: no gaps. */
	if (!l->out || n > l->room || buf_add(l->out, l->line, n) == -1)
		l->room = 0;
	else
		l->room -= n;
	l->len = 0;
}

static void
add_text(struct lines *l, const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (text[i] == '\n' || text[i] == '\r') {
			end_line(l);
			continue;
		}
		if (l->len == LINE_SIZE - 1)
			continue;
		l->line[l->len] = text[i];
		if (!text[i])
			l->line[l->len] = '?';
		l->len++;
	}
}

/* -- its beginning -------------------------------------------------------- */

struct running {
	pid_t pid; /* its group's too, so not reaped before all is over */
	int end;   /* a pidfd, or -1 where there are none */
	int out;   /* what it prints; -1 when nobody can any more */
	bool ended, late;
	struct lines lines;
};

/* What cron would give it, wherever we were started from. */
static char **
environment(const char *const *given)
{
	const struct passwd *user = getpwuid(geteuid());
	char **env;
	size_t n = 0, i;

	while (given && given[n])
		n++;
	env = xcalloc(n + 4, sizeof(*env));
	for (i = 0; i < n; i++)
		env[i] = xstrdup(given[i]);
	env[n] = xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
	                 "/usr/bin:/sbin:/bin");
	env[n + 1] = xasprintf(
	    "HOME=%s", user && *user->pw_dir == '/' ? user->pw_dir : "/");
	env[n + 2] = xstrdup("LANG=C.UTF-8");
	return env;
}

static void
environment_free(char **env)
{
	size_t i;

	for (i = 0; env[i]; i++)
		free(env[i]);
	free(env);
}

/* In the child, and nothing else open; 0 or an errno. */
static int
descriptors(posix_spawn_file_actions_t *files, int out)
{
	int rc = posix_spawn_file_actions_addopen(
	    files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(
		    files, out, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(
		    files, out, STDERR_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(
		    files, STDERR_FILENO + 1);
	if (rc == 0)
		rc = posix_spawn_file_actions_addchdir_np(files, "/");
	return rc;
}

static int
attributes(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	rc = posix_spawnattr_setsigdefault(attr, &all);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(attr, &none);
	if (rc == 0)
		rc = posix_spawnattr_setpgroup(attr, 0);
	if (rc == 0)
		rc = posix_spawnattr_setflags(attr,
		    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
		        POSIX_SPAWN_SETPGROUP);
	return rc;
}

/* 0 or an errno, that of the exec among them. */
static int
spawn(const struct hook *hook, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char *path = xstrdup(hook->path), *argv[] = {path, NULL};
	char **env = environment(hook->env);
	int rc = posix_spawn_file_actions_init(&files);

	if (rc != 0)
		goto out;
	rc = posix_spawnattr_init(&attr);
	if (rc == 0) {
		rc = descriptors(&files, out);
		if (rc == 0)
			rc = attributes(&attr);
		if (rc == 0)
			rc = posix_spawn(pid, path, &files, &attr, argv, env);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&files);
out:
	environment_free(env);
	free(path);
	return rc;
}

/* Where SIGCHLD is ignored (some parents leave it so) children are reaped
 * unseen, and how they ended is lost. */
static void
keep_statuses(void)
{
	struct sigaction act;

	if (sigaction(SIGCHLD, NULL, &act) == 0 && act.sa_handler == SIG_IGN) {
		act.sa_handler = SIG_DFL;
		sigaction(SIGCHLD, &act, NULL);
	}
}

static int
start(const struct hook *hook, struct running *r, struct err *err)
{
	int ends[2], rc;

	keep_statuses();
	if (pipe2(ends, O_CLOEXEC) == -1)
		return err_sys(err, ERR_HOOK, "%s: no pipe", hook->path);
	rc = fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1 ?
	    errno :
	    spawn(hook, ends[1], &r->pid);
	close(ends[1]);
	if (rc != 0) {
		close(ends[0]);
		errno = rc;
		return err_sys(err, ERR_HOOK, "%s: cannot be run", hook->path);
	}
	r->out = ends[0];
	r->end = (int)syscall(SYS_pidfd_open, r->pid, 0);
	return 0;
}

/* -- its life ------------------------------------------------------------- */

/* Bytes read; 0 when there are none now. */
static size_t
read_some(struct running *r)
{
	char chunk[CHUNK];
	ssize_t n;

	if (r->out == -1)
		return 0;
	n = read(r->out, chunk, sizeof(chunk));
	if (n > 0) {
		add_text(&r->lines, chunk, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(r->out);
		r->out = -1;
	}
	return 0;
}

/* ECHILD: somebody else has reaped it. */
static bool
has_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
		return errno == ECHILD;
	return info.si_pid == pid;
}

/*
 * Reads what it prints until it has ended, and with all until nothing holds
 * the pipe any more; in any case until the deadline.  What a hook leaves
 * running in the background may hold the pipe for ever.
 */
static void
attend(struct running *r, int64_t deadline, bool all)
{
	struct pollfd fds[2];
	int64_t left;

	for (;;) {
		r->ended = r->ended || has_ended(r->pid);
		left = deadline - date_mono_ms();
		if (left <= 0 || (r->ended && (!all || r->out == -1)))
			return;
		if (!r->ended && r->end == -1 && left > TICK_MS)
			left = TICK_MS;
		fds[0] = (struct pollfd){.fd = r->out, .events = POLLIN};
		fds[1] = (struct pollfd){
		    .fd = r->ended ? -1 : r->end, .events = POLLIN};
		if (poll(fds, 2, (int)left) > 0 && fds[0].revents)
			read_some(r);
	}
}

static void
stop(struct running *r)
{
	kill(-r->pid, SIGTERM);
	attend(r, date_mono_ms() + GRACE_MS, true);
	kill(-r->pid, SIGKILL);
	attend(r, date_mono_ms() + GRACE_MS, false);
}

static void
live(struct running *r, int timeout_ms)
{
	int i;

	attend(r, date_mono_ms() + timeout_ms, false);
	if (!r->ended) {
		r->late = true;
		stop(r);
	}
	for (i = 0; i < DRAIN_MAX && read_some(r) > 0; i++)
		;
	end_line(&r->lines);
	if (r->out != -1)
		close(r->out);
	if (r->end != -1)
		close(r->end);
}

/* -- its end -------------------------------------------------------------- */

/* How it ended.  Never waits: what SIGKILL has not ended may never end. */
static int
judge(const struct running *r, int timeout_ms, struct err *err)
{
	int status = 0;
	pid_t got = waitpid(r->pid, &status, WNOHANG);

	if (r->late)
		err_set(err, ERR_HOOK, "not done after %g seconds, %s",
		    timeout_ms / 1000.0,
		    r->ended ? "killed" : "and cannot be killed");
	else if (got != r->pid)
		err_set(err, ERR_HOOK, "how it ended is not known");
	else if (WIFSIGNALED(status))
		err_set(err, ERR_HOOK, "ended by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		err_set(err, ERR_HOOK, "exit status %d", WEXITSTATUS(status));
	else
		return 0;
	if (*r->lines.last)
		err_set(err, ERR_HOOK, "%s: %s", err->text, r->lines.last);
	return -1;
}

int
hook_run(const struct hook *hook, struct buf *output, struct err *err)
{
	struct running r = {.pid = -1, .end = -1, .out = -1};
	int timeout_ms = TIMEOUT_MS, rc;
	struct err why = ERR_INIT;

	r.lines.out = output;
	r.lines.room = hook->output_max ? hook->output_max : OUTPUT_MAX;
	if (hook->timeout_ms > 0)
		timeout_ms = hook->timeout_ms < INT_MAX ?
		    (int)hook->timeout_ms :
		    INT_MAX;
	rc = hook_check(hook->path, &why);
	if (rc == 0)
		rc = start(hook, &r, &why);
	if (rc == 0) {
		live(&r, timeout_ms);
		rc = judge(&r, timeout_ms, &why);
		if (rc == -1)
			err_wrap(&why, "%s", hook->path);
	}
	return rc == 0 ? 0 : err_set(err, ERR_HOOK, "%s", why.text);
}
