/*
 * What every program does alike: start-up, options, usage, the last error
 * line, closing stdout, the exit status.
 *
 *	static const struct cmd cmd = { .name = "autocert-order", .usage = ... };
 *	int main(int argc, char **argv) {
 *		cmd_start(&cmd, argc, argv);	exits on bad usage
 *		...
 *		return cmd_finish(code);
 *	}
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <getopt.h>
#include <stdbool.h>

#include "base/err.h"
#include "cmd/settings.h"

struct cmd {
	const char *name;
	const char *usage;            /* SYNOPSIS of the manual page, one or
					 * more lines, without "usage: " */
	const struct option *options; /* its own, ends with zeroes, or NULL;
					 * val is the short letter or 1 .. 255,
					 * but none of c, v, q, h and V */
	const char *shorts;           /* its own short options, getopt form
					 * ("+" first: options end at the first
					 * operand), or NULL */
	bool keeps_variables;         /* it runs another of these programs:
					 * secrets stay in the environment */
	/* Takes one of its own options. -1 with err for a bad argument. */
	int (*option)(int val, const char *arg, struct err *err);
};

struct cmd_shared {
	struct settings settings;
	bool json;          /* --json */
	int exit_unchanged; /* --exit-unchanged=N, else 0 */
	long lock_wait_ms;  /* --lock-wait=SECONDS, default 60 s */
};

extern struct cmd_shared shared;

/*
 * Parses the shared options (-c --config, -v, -q, -h --help, -V --version,
 * --json, --exit-unchanged, --lock-wait and the settings' flags) and the
 * program's own, loads the settings, hardens the process (umask 077, no core
 * files, no_new_privs left to units, SIGPIPE and SIGXFSZ ignored, variables
 * dropped that would make libraries leak, descriptors 0 to 2 open).  Returns
 * the index of the first operand.  Does not return on bad usage (64), bad
 * configuration (78, or what a file's error says), --help or --version.
 */
int cmd_start(const struct cmd *cmd, int argc, char **argv);

/* Prints the error for name (or NULL) and returns its exit status. */
int cmd_fail(const char *name, const struct err *err);

/* Bad usage found later: prints, with the usage text; returns 64. */
int cmd_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Closes stdout and releases the settings; a failed write turns success (0 or
 * --exit-unchanged's status) into ERR_IO. Returns the status. */
int cmd_finish(int status);

/* The user agent, "autocert/0.1 ...". */
const char *cmd_user_agent(void);

#endif
