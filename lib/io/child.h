/*
 * A program run by us: no shell, its arguments as they are, its end reported
 * through a descriptor that can be waited for.  Signals are the caller's: it
 * owns the signalfd, and passes SIGINT and SIGTERM on with kill(2).
 */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child_watch;
struct err;

struct child {
	pid_t pid;
	int fd;                    /* readable once the program has ended */
	struct child_watch *watch; /* NULL: fd is a pidfd */
};

/*
 * Runs argv[0], found in PATH, with our own standard streams.  keep_fd (or -1)
 * stays open in it under the same number; every other descriptor above 2 is
 * closed.  Signal masks and dispositions are the defaults.  ERR_ABSENT when
 * there is no such program, ERR_PERMISSION when it cannot be run.
 */
int child_start(
    char *const argv[], int keep_fd, struct child *out, struct err *err);

/*
 * The exit status as a shell would give it (128 + signal); 255 if somebody
 * else has reaped the program.  Call once, when fd is readable.
 */
int child_wait(struct child *child);

#endif
