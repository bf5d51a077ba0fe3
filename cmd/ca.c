#include <config.h>

#include "cmd/ca.h"

#include <signal.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/settings.h"
#include "io/http.h"
#include "pki/key.h"
#include "run/enroll.h"
#include "run/run.h"
#include "store/account.h"
#include "store/store.h"

int
ca_open_store(struct ca *ca, const struct settings *settings, struct err *err)
{
	*ca = (struct ca){.settings = settings};
	if (layout_issuer(settings->ca, ca->issuer, err) == -1)
		return -1;
	ca->store = store_open(settings->dir, true, err);
	return ca->store ? 0 : -1;
}

static void
interrupt(int sig)
{
	(void)sig;
	run_interrupt();
}

/* What was begun is withdrawn and journalled before the program ends. */
static void
catch_signals(void)
{
	struct sigaction sa = {.sa_handler = interrupt};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int
ca_open(struct ca *ca, size_t window, struct err *err)
{
	const struct settings *s = ca->settings;
	const struct http_config http = {.user_agent = cmd_user_agent(),
	    .extra_ca = s->trusted_ca.len ? s->trusted_ca.data : NULL,
	    .extra_ca_len = s->trusted_ca.len,
	    .extra_ca_only = s->trusted_ca_only};
	struct run_config run = {.store = ca->store,
	    .issuer = ca->issuer,
	    .directory_url = s->ca,
	    .window = window,
	    .hits_fd = settings_responder_fd()};

	if (!(ca->http = http_open(&http, err)))
		return -1;
	run.http = ca->http;
	if (!(ca->run = run_open(&run, err)))
		return -1;
	catch_signals();
	return 0;
}

static int
look_up(struct ca *ca, long lock_wait_ms, struct err *err)
{
	struct enroll e = {.issuer = ca->issuer,
	    .email = ca->settings->email,
	    .only_existing = true,
	    .lock_wait_ms = lock_wait_ms};

	if (enroll(ca->run, ca->store, &e, err) == -1)
		return -1;
	ca->account_url = e.url;
	return 0;
}

int
ca_account(struct ca *ca, long lock_wait_ms, struct err *err)
{
	struct account_files files;

	if (account_files_load(
	        ca->store, ca->issuer, ca->settings->email, &files, err) == -1)
		return -1;
	ca->account_key = files.key;
	files.key = NULL;
	if (files.url)
		ca->account_url = xstrdup(files.url);
	account_files_release(&files);
	if (!ca->account_key)
		return err_set(err, ERR_PERMISSION,
		    "there is no account with "
		    "%s for %s yet: run autocert-register",
		    ca->settings->ca,
		    *ca->settings->email ? ca->settings->email :
		                           "no e-mail address");
	if (!ca->account_url)
		return look_up(ca, lock_wait_ms, err);
	return 0;
}

void
ca_close(struct ca *ca)
{
	unsigned long connections, requests;

	run_close(ca->run);
	if (ca->http) {
		http_counts(ca->http, &connections, &requests);
		log_debug(NULL, "%lu requests on %lu connections", requests,
		    connections);
	}
	http_close(ca->http);
	key_free(ca->account_key);
	free(ca->account_url);
	store_close(ca->store);
	*ca = (struct ca){.store = NULL};
}
