/*
 * The responder: answers http-01 (RFC 8555, 8.3) and tls-alpn-01 (RFC 8737)
 * probes from the store's challenge tokens.
 *
 * One thread, one epoll set.  It holds as many connections as it is allowed
 * descriptors for, gives each a few hundred bytes until it has proved to be a
 * TLS client with a complete hello, and each a short total deadline; when it
 * runs short, the oldest idle connection goes.  A request that is not exactly
 * a pending challenge gets a constant answer (a redirect to https, or 404);
 * nothing a client sends becomes part of a path but a name that passed
 * identifier_parse().
 */
#ifndef RUN_RESPONDER_H
#define RUN_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct responder;
struct store;

struct responder_config {
	struct store *store;
	const char *http[4], *tls[4]; /* as lib/run/listener.h reads them */
	size_t n_http, n_tls;
	bool redirect;          /* 301 to https, else 404 */
	size_t max_connections; /* 0: as the descriptor limit allows */
	int http_ms, tls_ms;    /* a connection's whole life; 0: 5 s */
	int hits_fd;            /* a line for each answer; or -1 */
};

/* Binds and listens; ERR_UNAVAILABLE or ERR_PERMISSION naming the address. */
struct responder *
responder_open(const struct responder_config *config, struct err *err);
void responder_close(struct responder *r);

/*
 * Serves until stop_fd (a signalfd or a pidfd) is readable; the caller reads
 * it and may call again.  -1 only when the loop itself failed.
 */
int responder_serve(struct responder *r, int stop_fd, struct err *err);

/* The port a listener of index i got (for port 0). */
unsigned responder_port(const struct responder *r, bool tls, size_t i);

#endif
