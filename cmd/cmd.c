#include <config.h>

#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

enum {
	LOCK_WAIT_DEFAULT_S = 60,
	LOCK_WAIT_MAX_S = 24 * 60 * 60,
	EXIT_UNCHANGED_MAX = 125 /* what is above is the shell's */
};

struct cmd_shared shared;

static const struct cmd *self;

/* -- the process -- */

/*
 * A file that we open must never become standard output.  What stands in for
 * a missing stream is opened the wrong way round, so that using it fails
 * instead of seeming to work.
 */
static void
open_standard_streams(void)
{
	static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};

	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
		    open("/dev/null", modes[fd]) != fd)
			_exit(ERR_SOFTWARE);
}

static bool
is_leaky(const char *variable)
{
	static const char *const names[] = {"HOSTALIASES", "LOCALDOMAIN",
	    "NETRC", "RES_OPTIONS", "SSLKEYLOGFILE"};
	static const char *const prefixes[] = {
	    "CURL_", "GNUTLS_", "MALLOC_", "P11_KIT_"};
	size_t len = strcspn(variable, "=");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) &&
		    strncmp(variable, names[i], len) == 0)
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Variables by which libraries write keys to files, read passwords, ask other
 * resolvers or load modules; proxies are the configuration's and stay. */
static void
drop_variables(void)
{
	size_t kept = 0;

	if (environ == NULL)
		return;
	for (size_t i = 0; environ[i] != NULL; i++)
		if (!is_leaky(environ[i]))
			environ[kept++] = environ[i];
	environ[kept] = NULL;
}

static void
harden(void)
{
	struct rlimit core = {0, 0};

	umask(077);
	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &core);
	}
#ifndef WITH_SANITIZERS
	/* Keys are in memory: no core, and no tracing by others of our user.
	 * (LeakSanitizer traces.) */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	setlocale(LC_ALL, "C");
}

/* -- options -- */

enum { OPT_JSON = 1024, OPT_EXIT_UNCHANGED, OPT_LOCK_WAIT };

static const char shared_shorts[] = "c:vqhV";

static const struct option shared_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"exit-unchanged", required_argument, NULL, OPT_EXIT_UNCHANGED},
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, OPT_JSON},
    {"lock-wait", required_argument, NULL, OPT_LOCK_WAIT},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"version", no_argument, NULL, 'V'},
};

static void
print_usage(FILE *to)
{
	const char *line = self->usage;
	const char *lead = "usage: ";

	while (*line != '\0') {
		size_t len = strcspn(line, "\n");

		fprintf(to, "%s%.*s\n", lead, (int)len, line);
		lead = "       ";
		line += len + (line[len] == '\n');
	}
}

int
cmd_usage(const char *fmt, ...)
{
	char line[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_error(NULL, "%s", line);
	print_usage(stderr);
	return ERR_USAGE;
}

static void
help(void)
{
	print_usage(stdout);
	printf("The manual page is %s(1).\n", self->name);
	exit(cmd_finish(0));
}

static void
version(void)
{
	printf("%s (%s) %s\n", self->name, PACKAGE, PACKAGE_VERSION);
	exit(cmd_finish(0));
}

static int
number(
    const char *option, const char *arg, long max, long *out, struct err *err)
{
	if (settings_number(arg, 0, max, out) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "%s: not a number from 0 to %ld: %s",
	    option, max, arg);
}

static void
verbosity(bool more)
{
	static enum log_level level = LOG_WARN;

	if (!more)
		level = LOG_ERROR;
	else if (level < LOG_WARN)
		level = LOG_WARN;
	else if (level < LOG_DEBUG)
		level++;
	log_open(self->name, level);
}

/* Takes an option that all programs have. *taken tells whether it was one. */
static int
take_shared(int val, const char *arg, bool *taken, struct err *err)
{
	long n;

	*taken = true;
	switch (val) {
	case 'c':
		shared.settings.config_file = arg;
		return 0;
	case 'h':
		help();
		return 0;
	case 'V':
		version();
		return 0;
	case 'v':
	case 'q':
		verbosity(val == 'v');
		return 0;
	case OPT_JSON:
		shared.json = true;
		return 0;
	case OPT_EXIT_UNCHANGED:
		if (number("--exit-unchanged", arg, EXIT_UNCHANGED_MAX, &n,
		        err) == -1)
			return -1;
		shared.exit_unchanged = (int)n;
		return 0;
	case OPT_LOCK_WAIT:
		if (number("--lock-wait", arg, LOCK_WAIT_MAX_S, &n, err) == -1)
			return -1;
		shared.lock_wait_ms = 1000 * n;
		return 0;
	default:
		*taken = false;
		return 0;
	}
}

static int
take_option(int val, const char *arg, struct err *err)
{
	bool taken;

	if (take_shared(val, arg, &taken, err) == -1)
		return -1;
	if (taken)
		return 0;
	if (val >= SETTINGS_OPT)
		return settings_flag(&shared.settings, val, arg, err);
	return self->option(val, arg, err);
}

static size_t
count(const struct option *options)
{
	size_t n = 0;

	while (options != NULL && options[n].name != NULL)
		n++;
	return n;
}

/* The program's, the settings' and the shared ones, ended by zeroes. */
static struct option *
all_options(void)
{
	size_t own = count(self->options), common, n = 0;
	const struct option *settings = settings_options(&common);
	size_t all = sizeof(shared_options) / sizeof(shared_options[0]);
	struct option *out = xcalloc(own + common + all + 1, sizeof(*out));

	for (size_t i = 0; i < own; i++)
		out[n++] = self->options[i];
	for (size_t i = 0; i < common; i++)
		out[n++] = settings[i];
	for (size_t i = 0; i < all; i++)
		out[n++] = shared_options[i];
	return out;
}

static int
parse(int argc, char **argv)
{
	const char *own = self->shorts == NULL ? "" : self->shorts;
	bool ordered = *own == '+';
	char *shorts = xasprintf("%s%s%s", ordered ? "+" : "",
	    ordered ? own + 1 : own, shared_shorts);
	struct option *options = all_options();
	struct err err = ERR_INIT;
	int val;

	while ((val = getopt_long(argc, argv, shorts, options, NULL)) != -1) {
		if (val == '?') {
			/* getopt has said why */
			print_usage(stderr);
			exit(ERR_USAGE);
		}
		if (take_option(val, optarg, &err) == -1)
			exit(err.code == ERR_USAGE ? cmd_usage("%s", err.text) :
			                             cmd_fail(NULL, &err));
	}
	free(options);
	free(shorts);
	return optind;
}

/* -- beginning and end -- */

int
cmd_start(const struct cmd *cmd, int argc, char **argv)
{
	struct err err = ERR_INIT;
	char *slash;
	int first;

	open_standard_streams();
	drop_variables();
	harden();
	self = cmd;
	log_open(cmd->name, LOG_WARN);
	/* getopt's messages begin with it. */
	slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	if (slash != NULL)
		argv[0] = slash + 1;
	shared.lock_wait_ms = 1000L * LOCK_WAIT_DEFAULT_S;
	settings_init(&shared.settings);
	shared.settings.keep_variables = cmd->keeps_variables;
	first = parse(argc, argv);
	if (settings_load(&shared.settings, &err) == -1)
		exit(cmd_fail(NULL, &err));
	return first;
}

int
cmd_fail(const char *name, const struct err *err)
{
	log_err(name, err);
	/* No outcome of its own: these are the library's, and were not
	 * handled where they should have been. */
	if (err->code == ERR_NONE || err->code == ERR_EXISTS)
		return ERR_SOFTWARE;
	return (int)err->code;
}

int
cmd_finish(int status)
{
	bool failed = ferror(stdout) != 0;
	const char *why = "a write failed";

	if (fclose(stdout) != 0) {
		failed = true;
		why = strerror(errno);
	}
	settings_release(&shared.settings);
	if (!failed)
		return status;
	log_error(NULL, "standard output: %s", why);
	return status == 0 || status == shared.exit_unchanged ? ERR_IO : status;
}

const char *
cmd_user_agent(void)
{
	static char agent[128];

	if (fmt_fit(agent, sizeof(agent), "%s/%s (%s)", PACKAGE,
	        PACKAGE_VERSION, self->name) == -1)
		return PACKAGE "/" PACKAGE_VERSION;
	return agent;
}
