/*
 * A hook: a program of the operator's, run to its end.
 *
 * No shell: the path is absolute, a regular file that belongs to root or to
 * us and that others cannot write, as are the folders above it; its arguments
 * are none.  It gets an environment made of nothing but what is given here and
 * PATH, HOME, LANG (as cron would set them, whatever ours are); its folder is
 * "/", standard input is /dev/null; what it prints is kept up to a cap, line
 * by line, for the log; it leads a process group of its own, which is killed
 * when its time is up.
 */
#ifndef IO_HOOK_H
#define IO_HOOK_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

struct hook {
	const char *path;
	const char *const *env; /* "NAME=value" ..., NULL at the end */
	long timeout_ms;        /* 0: two minutes */
	size_t output_max;      /* 0: 16 KiB; the rest is dropped */
};

/* Whether path may be run: 0, or -1 with ERR_ABSENT, ERR_PERMISSION or
 * ERR_CONFIG saying what is wrong with which file or folder. */
int hook_check(const char *path, struct err *err);

/*
 * Checks and runs it.  0 when it exits with 0.  ERR_HOOK otherwise, saying the
 * status, the signal or the timeout, with its last line of output.  output may
 * be NULL.
 */
int hook_run(const struct hook *hook, struct buf *output, struct err *err);

/* The names in dir that run-parts would run (letters, digits, "_", "-", "."
 * but none that begins with "." or ends in "~", ".bak", ".dpkg-*"), executable
 * files only, sorted; no such folder: none. */
struct strings;
int hook_list(const char *dir, struct strings *out, struct err *err);

#endif
