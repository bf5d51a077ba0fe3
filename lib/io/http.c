#include <config.h>

#include "io/http.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/err.h"
#include "base/url.h"
#include "io/curl.h"
#include "io/curl_api.h"
#include "io/peer.h"
#include "io/transfer.h"
#include "io/trust.h"

enum {
	CONNECT_MS = 10 * 1000,
	STALL_S = 15,
	TOTAL_MS = 30 * 1000,
	CONNECTIONS_PER_HOST = 8,
	CONNECTIONS_KEPT = 64,
	POLL_MS = 60 * 1000
};

struct http {
	struct session session;
	struct peer *peers;
	struct transfer *all, *idle, *finished, **finished_end;
	size_t pending; /* begun and not yet reported */
	unsigned long requests;
	bool delivering;
};

/* -- the handle ----------------------------------------------------------- */

static int
multi_open(struct session *s, int max_connections, struct err *err)
{
	const struct curl_api *curl = s->curl;
	long per_host = max_connections > 0 ? max_connections :
	                                      CONNECTIONS_PER_HOST;
	CURLMcode rc;

	s->multi = curl->multi_init();
	if (!s->multi)
		return err_bug(err, "libcurl makes no multi handle");
	rc = curl->multi_setopt(
	    s->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
	if (rc == CURLM_OK)
		rc = curl->multi_setopt(
		    s->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl refuses a limit: %s",
		    curl->multi_strerror(rc));
	return 0;
}

static int
session_open(
    struct session *s, const struct http_config *config, struct err *err)
{
	s->user_agent = xstrdup(
	    config->user_agent ? config->user_agent : PACKAGE "/" VERSION);
	s->proxy = config->proxy ? xstrdup(config->proxy) : NULL;
	s->connect_ms = config->connect_ms ? config->connect_ms : CONNECT_MS;
	s->stall_s = config->stall_s ? config->stall_s : STALL_S;
	s->total_ms = config->total_ms ? config->total_ms : TOTAL_MS;
	if (trust_open(&s->trust, config, err) == -1)
		return -1;
	return multi_open(s, config->max_connections, err);
}

/* Also what session_open() left half made. */
static void
session_close(struct session *s)
{
	if (s->multi)
		s->curl->multi_cleanup(s->multi);
	trust_close(&s->trust);
	free(s->user_agent);
	free(s->proxy);
}

struct http *
http_open(const struct http_config *config, struct err *err)
{
	const struct curl_api *curl = curl_load(err);
	struct http *h;

	if (!curl)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->session.curl = curl;
	h->finished_end = &h->finished;
	if (session_open(&h->session, config, err) == -1) {
		http_close(h);
		return NULL;
	}
	return h;
}

void
http_close(struct http *h)
{
	struct transfer *t, *next;

	if (!h)
		return;
	for (t = h->all; t; t = next) {
		next = t->sibling;
		transfer_free(t);
	}
	session_close(&h->session);
	peers_free(h->peers);
	free(h);
}

void
http_counts(
    const struct http *h, unsigned long *connections, unsigned long *requests)
{
	*connections = h->session.connections;
	*requests = h->requests;
}

/* -- requests ------------------------------------------------------------- */

static struct transfer *
take_idle(struct http *h, struct err *err)
{
	struct transfer *t = h->idle;

	if (t) {
		h->idle = t->next;
		t->next = NULL;
		return t;
	}
	t = transfer_new(&h->session, err);
	if (!t)
		return NULL;
	t->sibling = h->all;
	h->all = t;
	return t;
}

static void
put_idle(struct http *h, struct transfer *t)
{
	transfer_clear(t);
	t->next = h->idle;
	h->idle = t;
}

static int
check_url(const struct http_request *request, struct url *url, bool *tls,
    struct err *err)
{
	if (url_parse("URL", request->url, url, err) == -1)
		return -1;
	*tls = strcmp(url->scheme, "https") == 0;
	if (!*tls && (strcmp(url->scheme, "http") != 0 || !request->plain_ok))
		return err_set(
		    err, ERR_PROTOCOL, "%s: only https:// will do", url->text);
	if (url->userinfo)
		return err_set(err, ERR_PROTOCOL,
		    "%s: a user name in a URL is not allowed", url->host);
	return 0;
}

int
http_start(struct http *h, const struct http_request *request, http_done *done,
    void *arg, struct err *err)
{
	struct transfer *t;
	struct url url;
	bool tls;

	if (check_url(request, &url, &tls, err) == -1)
		return -1;
	t = take_idle(h, err);
	if (!t)
		return -1;
	t->done = done;
	t->arg = arg;
	t->peer = peer_find(&h->peers, &url, tls);
	t->tls = tls;
	if (transfer_start(t, request) == -1) {
		*err = t->err;
		put_idle(h, t);
		return -1;
	}
	h->pending++;
	h->requests++;
	return 0;
}

size_t
http_running(const struct http *h)
{
	return h->pending;
}

/* -- the loop ------------------------------------------------------------- */

static void
append_finished(struct http *h, struct transfer *t)
{
	t->next = NULL;
	*h->finished_end = t;
	h->finished_end = &t->next;
}

/* Moves everything; what has ended waits in h->finished. */
static int
perform(struct http *h, struct err *err)
{
	const struct curl_api *curl = h->session.curl;
	CURLM *multi = h->session.multi;
	struct transfer *t;
	CURLMsg *msg;
	CURLMcode rc;
	CURLcode ended;
	int n;

	rc = curl->multi_perform(multi, &n);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl: %s", curl->multi_strerror(rc));
	while ((msg = curl->multi_info_read(multi, &n)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		/* The message dies when its handle is removed. */
		ended = msg->data.result;
		if (curl->easy_getinfo(
		        msg->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK &&
		    transfer_end(t, ended))
			append_finished(h, t);
	}
	return 0;
}

/* Callbacks may start requests and push them: what ends meanwhile is left for
 * the next call, so that this one comes to an end. */
static size_t
deliver(struct http *h)
{
	struct transfer *t = h->finished, *next;
	size_t n = 0;

	h->finished = NULL;
	h->finished_end = &h->finished;
	h->delivering = true;
	for (; t; t = next, n++) {
		next = t->next;
		h->pending--;
		transfer_report(t);
		put_idle(h, t);
	}
	h->delivering = false;
	return n;
}

/* Not curl_multi_poll()'s verdict: it says nothing of a hang-up. */
static bool
fd_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd != -1 && poll(&p, 1, 0) == 1;
}

static int
pause_for(struct http *h, int fd, int64_t ms, struct err *err)
{
	struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
	const struct curl_api *curl = h->session.curl;
	CURLMcode rc;

	rc = curl->multi_poll(h->session.multi, fd == -1 ? NULL : &extra,
	    fd == -1 ? 0 : 1, ms < POLL_MS ? (int)ms : POLL_MS, NULL);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl: %s", curl->multi_strerror(rc));
	return 0;
}

int
http_wait(
    struct http *h, int fd, int timeout_ms, bool *readable, struct err *err)
{
	int64_t left,
	    end = timeout_ms < 0 ? INT64_MAX : date_mono_ms() + timeout_ms;
	bool ready;

	if (h->delivering)
		return err_bug(err, "http_wait() from a callback");
	if (timeout_ms < 0 && fd == -1 && h->pending == 0)
		return err_bug(err, "http_wait() for nothing, for ever");
	for (;;) {
		size_t delivered;

		if (perform(h, err) == -1)
			return -1;
		delivered = deliver(h);
		ready = fd_readable(fd);
		left = end - date_mono_ms();
		if (delivered > 0 || ready || left <= 0)
			break;
		if (pause_for(h, fd, left, err) == -1)
			return -1;
	}
	if (readable)
		*readable = ready;
	return 0;
}

void
http_push(struct http *h)
{
	struct err ignored = ERR_INIT; /* http_wait() meets it again */

	perform(h, &ignored);
}
