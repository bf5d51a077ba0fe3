/*
 * HTTP requests, many at once, over one libcurl multi handle.
 *
 * http_start() begins a request and returns at once; http_wait() moves all of
 * them and waits for the first event, for a descriptor of the caller's, or for
 * a time; finished requests are handed to their callback from within
 * http_wait().  Redirects are never followed, content is never decoded,
 * cookies, netrc and every scheme but https (and http where a request allows
 * it) are off, every transfer has a connect, a stall and a total deadline, and
 * bodies and headers have caps.  Nothing here knows ACME.
 *
 * Trust: the system's roots, plus an extra bundle, or that bundle alone.  When
 * there is an extra bundle, a connection is tried with it alone first (parsing
 * the system's bundle is the dearest part of a short run) and with both when
 * that fails: the set trusted is the same.
 */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;
struct http;

struct http_config {
	const char *user_agent;
	const char *ca_file;  /* system bundle; NULL: curl's default */
	const void *extra_ca; /* PEM, checked by the caller; or NULL */
	size_t extra_ca_len;
	bool extra_ca_only; /* trust extra_ca and nothing else */
	const char *proxy;  /* NULL: as the environment says; "": none */
	int connect_ms, stall_s, total_ms; /* 0: 10 s, 15 s, 30 s */
	int max_connections;               /* per host; 0: 8 */
};

enum {
	HTTP_HEADERS_MAX = 32 * 1024,
	HTTP_HEADER_COUNT = 100,
	HTTP_BODY_MAX = 64 * 1024
};

struct http_request {
	const char *method; /* "GET", "HEAD", "POST" */
	const char *url;
	const char *content_type; /* with a body, else NULL */
	const char *accept;       /* or NULL */
	const void *body;         /* copied */
	size_t body_len;
	size_t body_max; /* cap on the answer; 0: HTTP_BODY_MAX */
	bool plain_ok;   /* http:// is allowed for this request */
};

/* What came back. Strings are "" when the header was absent, never NULL; they
 * live until the callback returns. A header given twice keeps its last value. */
struct http_response {
	int status;
	const char *content_type; /* without parameters, lower case */
	const char *location;
	const char *replay_nonce;
	const char *retry_after;
	const char *date;
	const struct strings *links; /* every Link value, in order, unparsed */
	struct buf body;
};

/*
 * Exactly one of response and err is non-NULL.  err codes: ERR_UNAVAILABLE
 * (name, connection, TLS handshake, timeout, broken transfer), ERR_CONFIG
 * (the peer's certificate is not trusted, or the trust input is unusable),
 * ERR_PROTOCOL (over a cap, a redirect where none may be, bad framing).
 * err->sys is 1 (HTTP_REPEATABLE) when the connection broke before a byte of
 * an answer had come, so that the request may be sent again.
 */
enum { HTTP_REPEATABLE = 1 };
typedef void http_done(
    void *arg, const struct http_response *response, const struct err *err);

struct http *http_open(const struct http_config *config, struct err *err);
void http_close(struct http *h); /* running requests are dropped unheard */

int http_start(struct http *h, const struct http_request *request,
    http_done *done, void *arg, struct err *err);

/* Requests begun and not yet reported. */
size_t http_running(const struct http *h);

/*
 * Performs what can be performed, then waits up to timeout_ms (-1: for ever)
 * for network activity or for fd (-1: none) to become readable.  *readable
 * tells whether fd was.  Returns after at least one callback, at once when fd
 * is readable, else at the timeout.
 */
int http_wait(
    struct http *h, int fd, int timeout_ms, bool *readable, struct err *err);

/* Sends what has been started without waiting. */
void http_push(struct http *h);

/* Connections opened and requests sent so far, for -vv and the bench. */
void http_counts(
    const struct http *h, unsigned long *connections, unsigned long *requests);

#endif
