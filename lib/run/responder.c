#include <config.h>

#include "run/responder.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/name.h"
#include "run/conn.h"
#include "run/http01.h"
#include "run/listener.h"
#include "run/pending.h"
#include "run/tlsalpn01.h"
#include "store/token.h"

enum {
	TEXTS_MAX = 4, /* as many as a configuration holds */
	LIFE_MS = 5000,
	BATCH = 128 /* events, or connections of one listener */
};

struct port {
	struct listener listener;
	struct watch watch[LISTENER_MAX];
};

struct responder {
	struct crowd crowd;
	struct port ports[CONN_KINDS][TEXTS_MAX];
	size_t n_ports[CONN_KINDS];
	struct pending *pending;
	struct tlsalpn01 *tls;
	bool redirect, stopped;
	int hits;
};

static const char *const challenges[CONN_KINDS] = {"http-01", "tls-alpn-01"};

/* -- telling ------------------------------------------------------------- */

/* The line for whoever waits for a validation is lost when the pipe is full:
 * it only makes the next look at the order come earlier. */
static void
report(struct responder *r, const struct conn *c, const char *name)
{
	char line[sizeof("tls-alpn-01 \n") + NAME_MAX_LEN], from[CONN_PEER_MAX];

	if (log_level() >= LOG_INFO)
		log_info(name, "answered %s for %s", challenges[c->kind],
		    conn_peer(c, from));
	if (r->hits == -1 ||
	    fmt_fit(line, sizeof(line), "%s %s\n", challenges[c->kind], name) ==
	        -1)
		return;
	if (write(r->hits, line, strlen(line)) == -1 && errno == EPIPE)
		r->hits = -1;
}

static void
report_refused(const struct conn *c, const char *why)
{
	char from[CONN_PEER_MAX];

	if (log_level() >= LOG_DEBUG)
		log_debug(NULL, "refused %s for %s: %s", challenges[c->kind],
		    conn_peer(c, from), why);
}

/* -- http-01 ------------------------------------------------------------- */

static void
ready_send(struct watch *w)
{
	struct conn *c = (struct conn *)(void *)w;
	ssize_t n = send(
	    w->fd, c->buf.data + c->done, c->buf.len - c->done, MSG_NOSIGNAL);

	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		conn_close(c);
		return;
	}
	if (n > 0)
		c->done += (size_t)n;
	if (c->done < c->buf.len) {
		conn_wait(c, EPOLLOUT, ready_send);
		return;
	}
	if (c->hit)
		report(w->owner, c, c->hit);
	conn_drain(c);
}

static enum fit
token_fits(const struct token *token, const void *probe)
{
	const struct http01_challenge *asked = probe;

	return identifier_equal(&token->identifier, &asked->identifier) &&
	        http01_same_token(token->token, asked->token) ?
	    FIT_BEST :
	    FIT_NOT;
}

/* head_len 0: what came is no request. */
static void
answer(struct responder *r, struct conn *c, size_t head_len)
{
	struct http01_request request;
	struct http01_challenge asked;
	struct token token;
	struct buf out = BUF_INIT;
	const char *found = NULL;
	bool good = head_len > 0 &&
	    http01_parse(buf_str(&c->buf), head_len, &request) == 0;

	if (good && http01_challenge(&request, &asked) &&
	    pending_find(r->pending, asked.identifier.value, token_fits, &asked,
	        &token)) {
		found = token.key_authorization;
		c->hit = xstrdup(asked.identifier.value);
	}
	if (!found)
		report_refused(c, good ? "nothing pending" : "bad request");
	http01_answer(good ? &request : NULL, found, r->redirect, &out);
	buf_release(&c->buf);
	c->buf = out;
	c->done = 0;
	conn_hold(c, c->buf.cap);
	ready_send(&c->watch);
}

static void
ready_request(struct watch *w)
{
	struct conn *c = (struct conn *)(void *)w;
	size_t head = 0;

	if (!conn_read(c, HTTP01_HEAD_MAX))
		return;
	if (http01_scan(buf_str(&c->buf), c->buf.len, c->done, &head) ==
	        HTTP01_MORE &&
	    c->buf.len < HTTP01_HEAD_MAX)
		c->done = c->buf.len;
	else
		answer(w->owner, c, head);
}

/* -- tls-alpn-01 --------------------------------------------------------- */

static void
ready_handshake(struct watch *w)
{
	struct conn *c = (struct conn *)(void *)w;

	switch (handshake_step(c->handshake)) {
	case HANDSHAKE_READ:
		conn_wait(c, EPOLLIN, ready_handshake);
		return;
	case HANDSHAKE_WRITE:
		conn_wait(c, EPOLLOUT, ready_handshake);
		return;
	case HANDSHAKE_DONE:
		report(w->owner, c, handshake_name(c->handshake));
		break;
	case HANDSHAKE_REFUSED:
		report_refused(c, handshake_reason(c->handshake));
		break;
	}
	conn_drain(c);
}

static void
start_handshake(struct responder *r, struct conn *c)
{
	c->handshake = handshake_start(r->tls, c->watch.fd, &c->buf);
	if (!c->handshake) {
		conn_close(c);
		return;
	}
	conn_hold(c, HANDSHAKE_COST);
	ready_handshake(&c->watch);
}

static void
ready_hello(struct watch *w)
{
	struct conn *c = (struct conn *)(void *)w;

	if (!conn_read(c, HELLO_MAX))
		return;
	switch (tlsalpn01_hello(c->buf.data, c->buf.len)) {
	case HELLO_MORE:
		if (c->buf.len < HELLO_MAX)
			return;
		break;
	case HELLO_READY:
		start_handshake(w->owner, c);
		return;
	case HELLO_BAD:
		break;
	}
	report_refused(c, "not a TLS client hello");
	if (send(w->fd, tlsalpn01_alert, HELLO_ALERT_LEN, MSG_NOSIGNAL) == -1)
		conn_close(c);
	else
		conn_drain(c);
}

/* -- opening ------------------------------------------------------------- */

static void
ready_http_listener(struct watch *w)
{
	struct responder *r = w->owner;

	for (int i = 0; i < BATCH; i++)
		if (!crowd_accept(
		        &r->crowd, w->fd, CONN_HTTP, ready_request, r))
			return;
}

static void
ready_tls_listener(struct watch *w)
{
	struct responder *r = w->owner;

	for (int i = 0; i < BATCH; i++)
		if (!crowd_accept(&r->crowd, w->fd, CONN_TLS, ready_hello, r))
			return;
}

static int
open_port(
    struct responder *r, enum conn_kind kind, const char *text, struct err *err)
{
	struct port *p = &r->ports[kind][r->n_ports[kind]];

	if (listener_open(text, &p->listener, err) == -1)
		return -1;
	r->n_ports[kind]++;
	for (size_t i = 0; i < p->listener.n; i++) {
		p->watch[i] = (struct watch){kind == CONN_HTTP ?
		        ready_http_listener :
		        ready_tls_listener,
		    r, p->listener.fd[i]};
		if (crowd_watch(&r->crowd, &p->watch[i], err) == -1)
			return -1;
	}
	log_info(NULL, "listening for %s on %s", challenges[kind], text);
	return 0;
}

static int
open_ports(struct responder *r, enum conn_kind kind, const char *const *texts,
    size_t n, struct err *err)
{
	if (n > TEXTS_MAX)
		return err_set(err, ERR_USAGE, "%s: more than %d addresses",
		    challenges[kind], TEXTS_MAX);
	for (size_t i = 0; i < n; i++)
		if (open_port(r, kind, texts[i], err) == -1)
			return -1;
	return 0;
}

struct responder *
responder_open(const struct responder_config *config, struct err *err)
{
	struct responder *r = xcalloc(1, sizeof(*r));
	const int life_ms[CONN_KINDS] = {
	    [CONN_HTTP] = config->http_ms > 0 ? config->http_ms : LIFE_MS,
	    [CONN_TLS] = config->tls_ms > 0 ? config->tls_ms : LIFE_MS};

	r->redirect = config->redirect;
	r->hits = config->hits_fd;
	if (crowd_open(&r->crowd, config->max_connections, life_ms, err) ==
	    -1) {
		free(r);
		return NULL;
	}
	r->pending = pending_new(config->store);
	r->tls = tlsalpn01_open(r->pending, err);
	if (!r->tls ||
	    open_ports(r, CONN_HTTP, config->http, config->n_http, err) == -1 ||
	    open_ports(r, CONN_TLS, config->tls, config->n_tls, err) == -1) {
		responder_close(r);
		return NULL;
	}
	return r;
}

void
responder_close(struct responder *r)
{
	if (!r)
		return;
	crowd_close(&r->crowd);
	for (int kind = 0; kind < CONN_KINDS; kind++)
		for (size_t i = 0; i < r->n_ports[kind]; i++)
			listener_close(&r->ports[kind][i].listener);
	tlsalpn01_close(r->tls);
	pending_free(r->pending);
	free(r);
}

unsigned
responder_port(const struct responder *r, bool tls, size_t i)
{
	return r->ports[tls ? CONN_TLS : CONN_HTTP][i].listener.port;
}

/* -- the loop ------------------------------------------------------------ */

static void
ready_stop(struct watch *w)
{
	struct responder *r = w->owner;

	r->stopped = true;
}

static int
serve_round(struct responder *r, struct err *err)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(
	    r->crowd.epoll, events, BATCH, crowd_timeout(&r->crowd));

	if (n == -1 && errno != EINTR)
		return err_sys(err, ERR_SOFTWARE, "waiting for connections");
	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		w->ready(w);
	}
	crowd_expire(&r->crowd);
	crowd_reap(&r->crowd);
	return 0;
}

int
responder_serve(struct responder *r, int stop_fd, struct err *err)
{
	struct watch stop = {ready_stop, r, stop_fd};
	int rc = 0;

	/* Only now: a command started meanwhile shall have the old limit. */
	crowd_raise_limit(&r->crowd);
	r->stopped = false;
	if (crowd_watch(&r->crowd, &stop, err) == -1)
		return -1;
	while (rc == 0 && !r->stopped)
		rc = serve_round(r, err);
	epoll_ctl(r->crowd.epoll, EPOLL_CTL_DEL, stop_fd, NULL);
	return rc;
}
