#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/cmd.h"
#include "io/child.h"
#include "run/responder.h"
#include "store/store.h"

enum { OPT_HTTP = 1, OPT_NO_REDIRECT, OPT_TLS };

static struct {
	struct responder_config config;
	bool http_given, tls_given;
} opt = {
    .config = {.redirect = true, .hits_fd = -1},
};

/* What there is to wait for beside connections. */
struct waiting {
	struct child child; /* pid -1: there is no command */
	int signals;        /* signalfd */
	int any;            /* epoll of both */
};

/* -- options ------------------------------------------------------------- */

static int
add_address(const char **list, size_t *n, const char *option, const char *arg,
    struct err *err)
{
	const size_t max = sizeof(opt.config.http) / sizeof(opt.config.http[0]);

	if (strcmp(arg, "none") == 0) {
		*n = 0;
		return 0;
	}
	if (*n == max)
		return err_set(err, ERR_USAGE,
		    "%s is given more than %zu times", option, max);
	list[(*n)++] = arg;
	return 0;
}

static int
option(int val, const char *arg, struct err *err)
{
	struct responder_config *c = &opt.config;

	switch (val) {
	case OPT_HTTP:
		opt.http_given = true;
		return add_address(c->http, &c->n_http, "--http", arg, err);
	case OPT_TLS:
		opt.tls_given = true;
		return add_address(c->tls, &c->n_tls, "--tls", arg, err);
	default:
		c->redirect = false;
		return 0;
	}
}

static const struct option options[] = {
    {"http", required_argument, NULL, OPT_HTTP},
    {"no-redirect", no_argument, NULL, OPT_NO_REDIRECT},
    {"tls", required_argument, NULL, OPT_TLS},
    {NULL, 0, NULL, 0},
};

static const struct cmd cmd = {.name = "autocert-serve-challenge",
    .usage = "autocert-serve-challenge [-qv] [-c file] [--dir dir] "
             "[--http address]\n"
             "    [--no-redirect] [--tls address] [--] "
             "[command [argument ...]]",
    .options = options,
    .shorts = "+",
    .option = option,
    .keeps_variables = true};

static void
defaults(struct responder_config *c)
{
	if (!opt.http_given)
		c->http[c->n_http++] = ":80";
	if (!opt.tls_given)
		c->tls[c->n_tls++] = ":443";
}

/* -- the command --------------------------------------------------------- */

/*
 * A pipe by which the command hears of each probe that was answered; and the
 * store that is answered from, lest it should present its challenges in
 * another one.
 */
static int
open_hits(int hits[2], const struct store *store, struct err *err)
{
	char number[16];

	if (pipe2(hits, O_CLOEXEC | O_NONBLOCK) == -1)
		return err_sys(err, ERR_SOFTWARE, "pipe");
	if (fmt_fit(number, sizeof(number), "%d", hits[0]) == -1 ||
	    setenv("AUTOCERT_RESPONDER_FD", number, 1) == -1 ||
	    setenv("AUTOCERT_DIR", store_location(store), 1) == -1)
		return err_sys(err, ERR_SOFTWARE, "the command's environment");
	opt.config.hits_fd = hits[1];
	return 0;
}

static int
start(char **command, int hits, mode_t mask, struct waiting *w, struct err *err)
{
	int rc;

	umask(mask); /* the command's files are its own affair */
	rc = child_start(command, hits, &w->child, err);
	umask(077);
	return rc;
}

/* -- signals ------------------------------------------------------------- */

/* Until this is called, they end the program as they always do. */
static int
open_waiting(struct waiting *w, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return err_sys(err, ERR_SOFTWARE, "signals");
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w->any = epoll_create1(EPOLL_CLOEXEC);
	if (w->signals == -1 || w->any == -1 ||
	    epoll_ctl(w->any, EPOLL_CTL_ADD, w->signals, &ev) == -1)
		return err_sys(err, ERR_SOFTWARE, "signals");
	return 0;
}

/* The command's end is a thing to wait for too. */
static int
watch_child(struct waiting *w, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = 1};

	if (epoll_ctl(w->any, EPOLL_CTL_ADD, w->child.fd, &ev) == -1)
		return err_sys(err, ERR_SOFTWARE, "the command");
	return 0;
}

static bool
child_ended(const struct waiting *w)
{
	struct epoll_event ev[2];
	int n = epoll_wait(w->any, ev, 2, 0);

	for (int i = 0; i < n; i++)
		if (ev[i].data.u32 == 1)
			return true;
	return false;
}

/*
 * The signal that came, or 0.  The command gets it as well, but for one that
 * the terminal has sent (to it, then, already: it is of our process group).
 */
static int
take_signal(const struct waiting *w)
{
	struct signalfd_siginfo info;

	if (read(w->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	if (w->child.pid != -1 && info.ssi_code != SI_KERNEL)
		kill(w->child.pid, (int)info.ssi_signo);
	return (int)info.ssi_signo;
}

static void
close_waiting(struct waiting *w)
{
	if (w->child.pid != -1) {
		kill(w->child.pid, SIGTERM);
		child_wait(&w->child);
	}
	if (w->signals != -1)
		close(w->signals);
	if (w->any != -1)
		close(w->any);
}

/* -- serving ------------------------------------------------------------- */

/* The exit status: the command's, or 0 after a signal; -1 with err. */
static int
serve(struct responder *r, struct waiting *w, struct err *err)
{
	for (;;) {
		int signo;

		if (responder_serve(r, w->any, err) == -1)
			return -1;
		signo = take_signal(w);
		if (signo != 0 && w->child.pid == -1)
			return 0;
		if (w->child.pid != -1 && child_ended(w))
			return child_wait(&w->child);
	}
}

static int
run(struct store *store, char **command, mode_t mask, struct err *err)
{
	struct waiting w = {.child.pid = -1, .signals = -1, .any = -1};
	struct responder *r = NULL;
	int hits[2] = {-1, -1}, status = -1;

	if (*command && open_hits(hits, store, err) == -1)
		goto out;
	opt.config.store = store;
	r = responder_open(&opt.config, err);
	if (!r || open_waiting(&w, err) == -1)
		goto out;
	if (*command &&
	    (start(command, hits[0], mask, &w, err) == -1 ||
	        watch_child(&w, err) == -1))
		goto out;
	if (hits[0] != -1)
		close(hits[0]);
	hits[0] = -1;
	status = serve(r, &w, err);
out:
	close_waiting(&w);
	responder_close(r);
	for (int i = 0; i < 2; i++)
		if (hits[i] != -1)
			close(hits[i]);
	return status;
}

int
main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct store *store;
	mode_t mask = umask(077);
	int first = cmd_start(&cmd, argc, argv), status = -1;

	defaults(&opt.config);
	if (opt.config.n_http + opt.config.n_tls == 0)
		return cmd_usage("there is nothing to listen on");
	store = store_open(shared.settings.dir, true, &err);
	if (store)
		status = run(store, argv + first, mask, &err);
	if (status == -1)
		status = cmd_fail(NULL, &err);
	store_close(store);
	return cmd_finish(status);
}
