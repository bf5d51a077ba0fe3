/*
 * io/http against a server of our own that misbehaves on request: the path of
 * a request says how.  It runs in a child, one process per connection, and
 * counts in shared memory what it sees.
 */
#include <config.h>

#include "io/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/date.h"
#include "base/err.h"
#include "base/file.h"
#include "io/curl.h"
#include "tap.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { REQUEST_MAX = 2 * 1024 * 1024, WAIT_MS = 30 * 1000 };

/* What the server has seen. */
static struct counts {
	atomic_uint connections;
	atomic_uint requests;
	atomic_uint forbidden; /* requests that must never come */
} * seen;

static void
must(bool cond, const char *what)
{
	if (cond)
		return;
	diag("cannot go on: %s: %s", what, strerror(errno));
	_exit(99);
}

/* -- certificates --------------------------------------------------------- */

struct issued {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
};

enum leaf { LEAF_GOOD, LEAF_OTHER_NAME, LEAF_EXPIRED };

static struct issued
issue(const char *name, const struct issued *ca, enum leaf kind)
{
	static const unsigned char loopback[] = {127, 0, 0, 1};
	static unsigned char serial;
	time_t now = time(NULL);
	struct issued it;

	gnutls_x509_privkey_init(&it.key);
	gnutls_x509_privkey_generate(it.key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_crt_init(&it.crt);
	gnutls_x509_crt_set_version(it.crt, 3);
	serial++;
	gnutls_x509_crt_set_serial(it.crt, &serial, sizeof(serial));
	gnutls_x509_crt_set_key(it.crt, it.key);
	gnutls_x509_crt_set_dn_by_oid(it.crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    name, (unsigned int)strlen(name));
	gnutls_x509_crt_set_activation_time(it.crt, now - 7200);
	gnutls_x509_crt_set_expiration_time(
	    it.crt, kind == LEAF_EXPIRED ? now - 3600 : now + 86400);
	gnutls_x509_crt_set_basic_constraints(it.crt, ca == NULL, -1);
	if (!ca)
		gnutls_x509_crt_set_key_usage(it.crt, GNUTLS_KEY_KEY_CERT_SIGN);
	else if (kind == LEAF_OTHER_NAME)
		gnutls_x509_crt_set_subject_alt_name(it.crt, GNUTLS_SAN_DNSNAME,
		    "other.example", 13, GNUTLS_FSAN_SET);
	else
		gnutls_x509_crt_set_subject_alt_name(it.crt,
		    GNUTLS_SAN_IPADDRESS, loopback, sizeof(loopback),
		    GNUTLS_FSAN_SET);
	must(gnutls_x509_crt_sign2(it.crt, ca ? ca->crt : it.crt,
	         ca ? ca->key : it.key, GNUTLS_DIG_SHA256, 0) == 0,
	    "certificate");
	return it;
}

static char *
pem_of(const struct issued *it)
{
	gnutls_datum_t d;
	char *text;

	must(gnutls_x509_crt_export2(it->crt, GNUTLS_X509_FMT_PEM, &d) == 0,
	    "PEM");
	text = xstrndup((const char *)d.data, d.size);
	gnutls_free(d.data);
	return text;
}

static void
issued_free(struct issued *it)
{
	gnutls_x509_crt_deinit(it->crt);
	gnutls_x509_privkey_deinit(it->key);
}

/* -- a connection of the server ------------------------------------------- */

struct link {
	int fd;
	gnutls_session_t tls; /* or NULL */
};

static ssize_t
link_read(struct link *l, char *p, size_t n)
{
	return l->tls ? gnutls_record_recv(l->tls, p, n) : read(l->fd, p, n);
}

/* Ends the process when the client has gone away. */
static void
link_write(struct link *l, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = l->tls ? gnutls_record_send(l->tls, p, n) :
		                     write(l->fd, p, n);

		if (k <= 0)
			_exit(0);
		p += k;
		n -= (size_t)k;
	}
}

static void
link_puts(struct link *l, const char *s)
{
	link_write(l, s, strlen(s));
}

enum after { KEEP, CLOSE, RESET, HANG };

static void
link_end(struct link *l, enum after after)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	char c[512];

	if (after == HANG)
		while (link_read(l, c, sizeof(c)) > 0)
			;
	if (after == RESET)
		setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (after == CLOSE) {
		if (l->tls)
			gnutls_bye(l->tls, GNUTLS_SHUT_WR);
		shutdown(l->fd, SHUT_WR);
		while (link_read(l, c, sizeof(c)) > 0)
			;
	}
	_exit(0);
}

/* -- what it serves ------------------------------------------------------- */

#define OK "HTTP/1.1 200 OK\r\n"

static const struct page {
	const char *path, *text;
	enum after after;
} pages[] = {
    {"/good", OK "Content-Length: 5\r\n\r\nhello", KEEP},
    {"/bye", OK "Content-Length: 5\r\nConnection: close\r\n\r\nhello", CLOSE},
    /* Says nothing of it, so the next request meets a dead connection. */
    {"/bye-unsaid", OK "Content-Length: 5\r\n\r\nhello", CLOSE},
    {"/head", OK "Content-Length: 100000\r\nReplay-Nonce: n\r\n\r\n", KEEP},
    {"/fields",
        "HTTP/1.1 201 Created\r\n"
        "CONTENT-type:  Application/Problem+JSON ; charset=utf-8\r\n"
        "Replay-Nonce: first\r\n"
        "replay-nonce: \t second \t\r\n"
        "Location: https://ca.example/acct/1\r\n"
        "Retry-After: 120\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Link: <https://ca.example/dir>;rel=\"index\"\r\n"
        "Link: <https://ca.example/a>;rel=\"alternate\", <b>;rel=up\r\n"
        "X-Replay-Nonce: no\r\n"
        "Replay-Nonce-X: no\r\n"
        "A-Name-That-Is-Longer-Than-Any-That-Anybody-Looks-For: x\r\n"
        "Content-Length: 2\r\n\r\n{}",
        KEEP},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", KEEP},
    {"/problem", "HTTP/1.1 429 Slow down\r\nContent-Length: 4\r\n\r\nslow",
        KEEP},
    {"/redirect",
        "HTTP/1.1 302 Found\r\nLocation: /forbidden\r\n"
        "Content-Length: 0\r\n\r\n",
        KEEP},
    {"/forbidden", OK "Content-Length: 0\r\n\r\n", KEEP},
    {"/gzip", OK "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", KEEP},
    {"/identity",
        OK "Content-Encoding: identity\r\n"
           "Content-Length: 2\r\n\r\nxx",
        KEEP},
    {"/te-gzip",
        OK "Transfer-Encoding: gzip, chunked\r\n\r\n"
           "2\r\nxx\r\n0\r\n\r\n",
        CLOSE},
    {"/chunked",
        OK "Transfer-Encoding: chunked\r\nReplay-Nonce: head\r\n"
           "\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nReplay-Nonce: trailer\r\n"
           "Content-Encoding: gzip\r\n\r\n",
        KEEP},
    {"/length-more", OK "Content-Length: 50\r\n\r\nhello", CLOSE},
    {"/length-less", OK "Content-Length: 2\r\n\r\nhello", CLOSE},
    {"/length-huge", OK "Content-Length: 99999999999\r\n\r\nhello", HANG},
    {"/no-length", OK "\r\nhello", CLOSE},
    {"/interim",
        "HTTP/1.1 103 Early Hints\r\nLocation: /early\r\n"
        "Link: <early>\r\n\r\n" OK "Content-Length: 5\r\n\r\nhello",
        KEEP},
    {"/interim-encoded",
        "HTTP/1.1 103 Early Hints\r\n"
        "Content-Type: text/x\r\n\r\n" OK "Content-Length: 0\r\n\r\n",
        KEEP},
    {"/old", "hello, I am HTTP/0.9\n", CLOSE},
    {"/status-0", "HTTP/1.1 000 What\r\nContent-Length: 0\r\n\r\n", CLOSE},
    {"/status-999", "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", CLOSE},
    {"/bare-cr",
        OK "Location: a\rReplay-Nonce: b\r\n"
           "Content-Length: 0\r\n\r\n",
        CLOSE},
    {"/silence", "", HANG},
    {"/silence-head", OK "Content-Le", HANG},
    {"/silence-body", OK "Content-Length: 50\r\n\r\nhello", HANG},
    {"/closed", "", CLOSE},
    {"/reset", "", RESET},
    {"/reset-head", OK "Content-Length: 50\r\n", RESET},
    {"/reset-body", OK "Content-Length: 50\r\n\r\nhello", RESET},
};

static void
serve_endless(struct link *l, const char *arg)
{
	static const char junk[4096];

	(void)arg;
	link_puts(l, OK "Content-Type: text/plain\r\n\r\n");
	for (;;)
		link_write(l, junk, sizeof(junk));
}

static void
serve_endless_chunks(struct link *l, const char *arg)
{
	(void)arg;
	link_puts(l, OK "Transfer-Encoding: chunked\r\n\r\n");
	for (;;)
		link_puts(l, "5\r\nhello\r\n");
}

static void
serve_endless_trailers(struct link *l, const char *arg)
{
	(void)arg;
	link_puts(l, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n");
	for (;;)
		link_puts(l, "X: y\r\n");
}

static void
serve_interim(struct link *l, const char *arg)
{
	(void)arg;
	for (;;)
		link_puts(l, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n");
}

/* Status lines amid the fields, as if each began another answer. */
static void
serve_status_lines(struct link *l, const char *arg)
{
	(void)arg;
	link_puts(l, OK);
	for (;;)
		link_puts(l, "HTTP/1.1 200 OK\r\n");
}

static void
serve_one_field(struct link *l, const char *arg)
{
	size_t n = strtoul(arg, NULL, 10);
	char *text = xmalloc(n);

	memset(text, 'x', n);
	link_puts(l, OK "Content-Length: 0\r\nX: ");
	link_write(l, text, n);
	link_puts(l, "\r\n\r\n");
	free(text);
}

static void
serve_fields(struct link *l, const char *arg)
{
	unsigned long i, n = strtoul(arg, NULL, 10);

	link_puts(l, OK "Content-Length: 0\r\n");
	for (i = 1; i < n; i++)
		link_puts(l, "X-Filler: y\r\n");
	link_puts(l, "\r\n");
}

static void
serve_body(struct link *l, const char *arg)
{
	unsigned long i, n = strtoul(arg, NULL, 10);

	link_puts(l, OK "Connection: close\r\n\r\n");
	for (i = 0; i < n; i++)
		link_puts(l, "x");
	link_end(l, CLOSE);
}

static void
serve_text(struct link *l, const char *text)
{
	char *head = xasprintf(OK "Content-Length: %zu\r\n\r\n", strlen(text));

	link_puts(l, head);
	link_puts(l, text);
	free(head);
}

static const struct {
	const char *prefix;
	void (*serve)(struct link *l, const char *arg);
} makers[] = {
    {"/n/", serve_text},
    {"/body/", serve_body},
    {"/field/", serve_one_field},
    {"/fields/", serve_fields},
    {"/endless", serve_endless},
    {"/chunks", serve_endless_chunks},
    {"/trailers", serve_endless_trailers},
    {"/interims", serve_interim},
    {"/statuses", serve_status_lines},
};

/* -- the server ----------------------------------------------------------- */

struct server {
	pid_t pid;
	unsigned short port;
};

enum role { ROLE_PLAIN, ROLE_TLS, ROLE_OLD_TLS, ROLE_GREETER };

/* Head and body; false at the end of the connection. */
static bool
read_request(struct link *l, struct buf *request)
{
	const char *end, *length;
	size_t want = 0;
	char p[4096];

	buf_clear(request);
	for (;;) {
		ssize_t k;

		end = strstr(buf_str(request), "\r\n\r\n");
		if (end) {
			length = strstr(buf_str(request), "Content-Length: ");
			want = (size_t)(end - buf_str(request)) + 4 +
			    (length ? strtoul(length + 16, NULL, 10) : 0);
		}
		if (end && request->len >= want)
			return true;
		k = link_read(l, p, sizeof(p));
		if (k <= 0 || buf_add(request, p, (size_t)k) == -1)
			return false;
	}
}

static void
serve_page(struct link *l, const char *path)
{
	size_t i;

	for (i = 0; i < LENGTH(pages); i++)
		if (strcmp(path, pages[i].path) == 0) {
			link_puts(l, pages[i].text);
			if (pages[i].after != KEEP)
				link_end(l, pages[i].after);
			return;
		}
	for (i = 0; i < LENGTH(makers); i++)
		if (strncmp(path, makers[i].prefix, strlen(makers[i].prefix)) ==
		    0) {
			makers[i].serve(l, path + strlen(makers[i].prefix));
			return;
		}
	link_puts(l, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
}

static void
start_tls(
    struct link *l, gnutls_certificate_credentials_t cred, const char *priority)
{
	int rc;

	gnutls_init(&l->tls, GNUTLS_SERVER);
	gnutls_priority_set_direct(l->tls, priority, NULL);
	gnutls_credentials_set(l->tls, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_transport_set_int(l->tls, l->fd);
	do
		rc = gnutls_handshake(l->tls);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc < 0)
		_exit(0);
}

/* A tunnel to ourselves, or a refusal. */
static void
serve_connect(
    struct link *l, const char *target, gnutls_certificate_credentials_t cred)
{
	if (strncmp(target, "refuse.example:", 15) == 0) {
		link_puts(l,
		    "HTTP/1.1 403 Forbidden\r\n"
		    "Content-Length: 0\r\n\r\n");
		return;
	}
	link_puts(l, "HTTP/1.1 200 Go\r\nReplay-Nonce: proxy\r\n\r\n");
	start_tls(l, cred, "NORMAL");
}

static void
serve_link(struct link *l, gnutls_certificate_credentials_t cred)
{
	struct buf request = {.max = REQUEST_MAX};
	char *text, *method, *path, *save;

	while (read_request(l, &request)) {
		seen->requests++;
		text = xstrdup(buf_str(&request));
		method = strtok_r(text, " ", &save);
		path = strtok_r(NULL, " ", &save);
		must(method && path, "request line");
		if (strcmp(path, "/forbidden") == 0)
			seen->forbidden++;
		if (strcmp(method, "CONNECT") == 0)
			serve_connect(l, path, cred);
		else if (strcmp(path, "/echo") == 0 ||
		    strncmp(path, "http://", 7) == 0)
			serve_text(l, buf_str(&request));
		else
			serve_page(l, path);
		free(text);
	}
	_exit(0);
}

static int
listen_on(unsigned short *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd != -1 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	        listen(fd, 256) == 0 &&
	        getsockname(fd, (struct sockaddr *)&a, &len) == 0,
	    "listen");
	*port = ntohs(a.sin_port);
	return fd;
}

static gnutls_certificate_credentials_t
credentials(const struct issued *leaf)
{
	gnutls_certificate_credentials_t cred = NULL;
	struct issued it = *leaf;

	gnutls_certificate_allocate_credentials(&cred);
	gnutls_certificate_set_x509_key(cred, &it.crt, 1, it.key);
	return cred;
}

/* later, if given, is shown from the third connection on. */
static void
serve(int listener, enum role role, const struct issued *leaf,
    const struct issued *later)
{
	gnutls_certificate_credentials_t cred = leaf ? credentials(leaf) : NULL;
	int n = 0;

	for (;;) {
		struct link l = {.fd = accept(listener, NULL, NULL)};

		if (++n == 3 && later)
			cred = credentials(later);
		must(l.fd != -1, "accept");
		seen->connections++;
		if (fork() != 0) {
			close(l.fd);
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(listener);
		if (role == ROLE_GREETER) {
			link_puts(&l, "220 mail.example ready\r\n");
			link_end(&l, CLOSE);
		}
		if (role != ROLE_PLAIN)
			start_tls(&l, cred,
			    role == ROLE_TLS ? "NORMAL" :
			                       "NORMAL:-VERS-ALL:+VERS-TLS1.1");
		serve_link(&l, cred);
	}
}

static struct server
server_start_turning(
    enum role role, const struct issued *leaf, const struct issued *later)
{
	struct server s;
	int listener = listen_on(&s.port);

	s.pid = fork();
	must(s.pid != -1, "fork");
	if (s.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		signal(SIGCHLD, SIG_IGN);
		serve(listener, role, leaf, later);
	}
	close(listener);
	return s;
}

static struct server
server_start(enum role role, const struct issued *leaf)
{
	return server_start_turning(role, leaf, NULL);
}

static void
server_stop(const struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* -- a client ------------------------------------------------------------- */

struct got {
	unsigned int calls;
	bool failed;
	struct err err;
	int status;
	char type[64], location[64], nonce[32], retry[32], date[64];
	char links[2][80];
	size_t n_links, body_len;
	char body[2048];
};

static void
copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
}

static void
on_done(void *arg, const struct http_response *r, const struct err *err)
{
	struct got *g = arg;
	size_t i;

	g->calls++;
	if (!r || err) {
		g->failed = true;
		if (!r && err)
			g->err = *err;
		else
			err_set(&g->err, ERR_SOFTWARE, "both or neither");
		return;
	}
	g->status = r->status;
	copy(g->type, sizeof(g->type), r->content_type);
	copy(g->location, sizeof(g->location), r->location);
	copy(g->nonce, sizeof(g->nonce), r->replay_nonce);
	copy(g->retry, sizeof(g->retry), r->retry_after);
	copy(g->date, sizeof(g->date), r->date);
	g->n_links = r->links->n;
	for (i = 0; i < r->links->n && i < LENGTH(g->links); i++)
		copy(g->links[i], sizeof(g->links[i]), r->links->v[i]);
	g->body_len = r->body.len;
	copy(g->body, sizeof(g->body), buf_str(&r->body));
}

static struct http *
client(const struct http_config *config)
{
	static const struct http_config plain = {.proxy = ""};
	struct err err = ERR_INIT;
	struct http *h = http_open(config ? config : &plain, &err);

	if (!h) {
		diag("http_open: %s", err.text);
		exit(99);
	}
	return h;
}

/* Waits for every request begun; -1 and err if the loop fails or hangs. */
static int
settle(struct http *h, struct err *err)
{
	int64_t end = date_mono_ms() + WAIT_MS;

	while (http_running(h) > 0) {
		if (date_mono_ms() > end)
			return err_set(err, ERR_SOFTWARE, "it hangs");
		if (http_wait(h, -1, WAIT_MS, NULL, err) == -1)
			return -1;
	}
	return 0;
}

static int
perform(struct http *h, const struct http_request *request, struct got *g)
{
	memset(g, 0, sizeof(*g));
	if (http_start(h, request, on_done, g, &g->err) == -1 ||
	    settle(h, &g->err) == -1)
		return -1;
	if (g->calls != 1)
		return err_set(&g->err, ERR_SOFTWARE, "%u calls", g->calls);
	return g->failed ? -1 : 0;
}

static int
fetch_with(struct http *h, const char *method, const char *scheme,
    const struct server *s, const char *path, struct got *g)
{
	char *url = xasprintf("%s://127.0.0.1:%d%s", scheme, s->port, path);
	struct http_request request = {
	    .method = method,
	    .url = url,
	    .plain_ok = strcmp(scheme, "http") == 0,
	};
	int rc = perform(h, &request, g);

	free(url);
	return rc;
}

static int
fetch(struct http *h, const struct server *s, const char *path, struct got *g)
{
	return fetch_with(h, "GET", "http", s, path, g);
}

static int
fetch_tls(struct http *h, const struct server *s, struct got *g)
{
	return fetch_with(h, "GET", "https", s, "/good", g);
}

/* -- answers -------------------------------------------------------------- */

static void
test_good(const struct server *s)
{
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, s, "/good", &g), &g.err, "a good answer");
	is_int(g.status, 200, "its status");
	is(g.body, "hello", "its body");
	is(g.type, "", "an absent field is empty");
	is_int((long long)g.n_links, 0, "no links");
	ok_err(fetch(h, s, "/empty", &g), &g.err, "an answer without body");
	is_int(g.status, 204, "its status");
	ok_err(fetch(h, s, "/problem", &g), &g.err, "an error status answers");
	is_int(g.status, 429, "with its status");
	is(g.body, "slow", "and its body");
	ok_err(fetch(h, s, "/chunked", &g), &g.err, "a chunked answer");
	is(g.body, "hello", "its body");
	is(g.nonce, "head", "a trailer field does not count");
	ok_err(fetch(h, s, "/no-length", &g), &g.err, "an answer up to EOF");
	is(g.body, "hello", "its body");
	ok_err(fetch_with(h, "HEAD", "http", s, "/head", &g), &g.err,
	    "HEAD, with the length of a large body");
	is(g.nonce, "n", "its nonce");
	http_close(h);
}

static void
test_fields(const struct server *s)
{
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, s, "/fields", &g), &g.err, "header fields");
	is_int(g.status, 201, "status");
	is(g.type, "application/problem+json", "content type, bare and lower");
	is(g.nonce, "second", "the last of two, trimmed");
	is(g.location, "https://ca.example/acct/1", "location");
	is(g.retry, "120", "retry-after");
	is(g.date, "Sun, 06 Nov 1994 08:49:37 GMT", "date");
	is_int((long long)g.n_links, 2, "two links");
	is(g.links[0], "<https://ca.example/dir>;rel=\"index\"", "the first");
	is(g.links[1], "<https://ca.example/a>;rel=\"alternate\", <b>;rel=up",
	    "the second, unparsed");
	ok_err(fetch(h, s, "/good", &g), &g.err, "then another answer");
	is(g.nonce, "", "knows nothing of the first");
	http_close(h);
}

static void
test_sent(const struct server *s)
{
	struct http_config config = {.proxy = "", .user_agent = "tests/1"};
	struct http *h = client(&config);
	char *url = xasprintf("http://127.0.0.1:%d/echo", s->port);
	char body[] = "{\"a\":1}";
	struct http_request r = {.method = "POST",
	    .url = url,
	    .body = body,
	    .body_len = 7,
	    .content_type = "application/jose+json",
	    .accept = "application/pem-certificate-chain",
	    .plain_ok = true};
	struct got g = {.calls = 0};
	struct err err = ERR_INIT;

	ok_err(http_start(h, &r, on_done, &g, &err), &err, "a POST begins");
	memset(body, 'x', strlen(body));
	ok_err(settle(h, &err), &err, "and ends");
	ok(strstr(g.body, "POST /echo HTTP/1.1\r\n") != NULL, "method");
	ok(strstr(g.body, "\r\nUser-Agent: tests/1\r\n") != NULL, "agent");
	ok(strstr(g.body, "\r\nContent-Type: application/jose+json\r\n") !=
	        NULL,
	    "content type");
	ok(strstr(g.body,
	       "\r\nAccept: application/pem-certificate-chain\r\n") != NULL,
	    "accept");
	ok(strstr(g.body, "\r\nContent-Length: 7\r\n") != NULL, "length");
	ok(strstr(g.body, "\r\n\r\n{\"a\":1}") != NULL, "body, copied");
	ok(!strstr(g.body, "Accept-Encoding"), "no encoding is asked for");
	ok(!strstr(g.body, "Cookie") && !strstr(g.body, "Authorization"),
	    "nothing of whoever runs it");
	free(url);

	url = xasprintf("http://127.0.0.1:%d/echo", s->port);
	r = (struct http_request){
	    .method = "POST", .url = url, .plain_ok = true};
	ok_err(perform(h, &r, &g), &g.err, "a POST of nothing");
	ok(strstr(g.body, "\r\nContent-Length: 0\r\n") != NULL, "length 0");
	ok(!strstr(g.body, "form-urlencoded"), "without a type of curl's");
	free(url);
	http_close(h);
}

static void
test_large_post(const struct server *s)
{
	struct http *h = client(NULL);
	char *url = xasprintf("http://127.0.0.1:%d/echo", s->port);
	const size_t len = 1200000; /* where curl would say Expect */
	char *body = xcalloc(1, len);
	struct http_request r = {.method = "POST",
	    .url = url,
	    .body = body,
	    .body_len = len,
	    .body_max = REQUEST_MAX,
	    .plain_ok = true};
	struct got g;

	memset(body, 'b', len);
	ok_err(perform(h, &r, &g), &g.err, "a large POST");
	ok(g.body_len > len, "came whole");
	ok(!strstr(g.body, "Expect"), "without Expect");
	free(body);
	free(url);
	http_close(h);
}

static void
test_interim(const struct server *s)
{
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, s, "/interim", &g), &g.err, "an interim answer first");
	is_int(g.status, 200, "the final status");
	is(g.location, "", "fields of the interim answer are forgotten");
	is_int((long long)g.n_links, 0, "links too");
	ok_err(fetch(h, s, "/interim-encoded", &g), &g.err, "with a type");
	is(g.type, "", "which is forgotten");
	fails(fetch(h, s, "/interims", &g), &g.err, ERR_PROTOCOL,
	    "interim answers", "interim answers without end");
	is_int(g.err.sys, 0, "not to be repeated");
	http_close(h);
}

static void
test_redirect(const struct server *s)
{
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, s, "/redirect", &g), &g.err, "a redirect");
	is_int(g.status, 302, "is an answer");
	is(g.location, "/forbidden", "with a location");
	is_int(seen->forbidden, 0, "and never followed");
	http_close(h);
}

/* -- caps ----------------------------------------------------------------- */

static void
test_body_cap(const struct server *s)
{
	struct http *h = client(NULL);
	char *url = xasprintf("http://127.0.0.1:%d/body/1000", s->port);
	struct http_request r = {
	    .method = "GET", .url = url, .body_max = 1000, .plain_ok = true};
	struct got g;

	ok_err(perform(h, &r, &g), &g.err, "a body of just the cap");
	is_int((long long)g.body_len, 1000, "comes whole");
	r.body_max = 999;
	fails(perform(h, &r, &g), &g.err, ERR_PROTOCOL, "larger than 999 bytes",
	    "one byte more");
	is_int(g.err.sys, 0, "is not to be repeated");
	fails(fetch(h, s, "/endless", &g), &g.err, ERR_PROTOCOL,
	    "larger than 65536 bytes", "a body without end");
	fails(fetch(h, s, "/chunks", &g), &g.err, ERR_PROTOCOL, "larger than",
	    "chunks without end");
	fails(fetch(h, s, "/length-huge", &g), &g.err, ERR_PROTOCOL,
	    "too large", "a Content-Length beyond the cap");
	free(url);
	http_close(h);
}

static void
test_header_caps(const struct server *s)
{
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, s, "/fields/100", &g), &g.err, "100 fields");
	fails(fetch(h, s, "/fields/101", &g), &g.err, ERR_PROTOCOL,
	    "more than 100 header fields", "101 fields");
	fails(fetch(h, s, "/fields/100000", &g), &g.err, ERR_PROTOCOL,
	    "more than 100 header fields", "fields without end");
	ok_err(fetch(h, s, "/field/32000", &g), &g.err, "a field of 32,000");
	fails(fetch(h, s, "/field/90000", &g), &g.err, ERR_PROTOCOL,
	    "more than 32768 bytes of header", "a field of 90,000 bytes");
	fails(fetch(h, s, "/trailers", &g), &g.err, ERR_PROTOCOL,
	    "more than 100 header fields", "trailers without end");
	fails(fetch(h, s, "/statuses", &g), &g.err, ERR_PROTOCOL, NULL,
	    "status lines amid the fields");
	http_close(h);
}

/* -- broken and hostile answers ------------------------------------------- */

static void
test_protocol(const struct server *s)
{
	static const struct {
		const char *path, *text;
	} bad[] = {
	    {"/gzip", "encoded (gzip)"},
	    {"/identity", "encoded (identity)"},
	    {"/te-gzip", "transfer coding gzip, chunked"},
	    {"/old", "not HTTP/1.1"},
	    {"/status-0", NULL},
	    {"/status-999", NULL},
	    {"/bare-cr", "control character"},
	};
	struct http *h = client(NULL);
	struct got g;
	size_t i;

	for (i = 0; i < LENGTH(bad); i++) {
		fails(fetch(h, s, bad[i].path, &g), &g.err, ERR_PROTOCOL,
		    bad[i].text, "%s", bad[i].path);
		is_int(g.err.sys, 0, "%s is not to be repeated", bad[i].path);
	}
	http_close(h);
}

static void
test_broken(const struct server *s)
{
	static const struct {
		const char *path, *text;
		bool repeatable;
	} broken[] = {
	    {"/closed", "closed the connection without an answer", true},
	    {"/reset", "127.0.0.1 broke: ", true},
	    {"/reset-head", "127.0.0.1", false},
	    {"/reset-body", "127.0.0.1", false},
	    {"/length-more", "the answer of 127.0.0.1 broke off", false},
	};
	struct http *h = client(NULL);
	struct got g;
	size_t i;

	for (i = 0; i < LENGTH(broken); i++) {
		fails(fetch(h, s, broken[i].path, &g), &g.err, ERR_UNAVAILABLE,
		    broken[i].text, "%s", broken[i].path);
		is_int(g.err.sys, broken[i].repeatable ? HTTP_REPEATABLE : 0,
		    "%s: repeatable", broken[i].path);
	}
	ok_err(fetch(h, s, "/length-less", &g), &g.err,
	    "more bytes than announced");
	is(g.body, "he", "are not taken");
	ok_err(fetch(h, s, "/good", &g), &g.err, "and belong to nobody");
	is(g.body, "hello", "the next answer is itself");
	http_close(h);
}

static void
test_deadlines(const struct server *s)
{
	struct http_config total = {.proxy = "", .total_ms = 300};
	struct http_config stall = {.proxy = "", .stall_s = 1};
	struct http_config connect = {.proxy = "", .connect_ms = 200};
	struct server mute;
	struct got g;
	int listener = listen_on(&mute.port);
	struct http *h = client(&total);
	int64_t began = date_mono_ms();

	fails(fetch(h, s, "/silence", &g), &g.err, ERR_UNAVAILABLE,
	    "no answer from 127.0.0.1 within 0.3 s", "total: silence");
	is_int(g.err.sys, 0, "is not to be repeated");
	fails(fetch(h, s, "/silence-head", &g), &g.err, ERR_UNAVAILABLE,
	    "answer from 127.0.0.1 within 0.3 s", "total: in the header");
	fails(fetch(h, s, "/silence-body", &g), &g.err, ERR_UNAVAILABLE,
	    "no complete answer from 127.0.0.1 within 0.3 s",
	    "total: in the body");
	ok(date_mono_ms() - began < 10000, "and not much later");
	http_close(h);

	h = client(&stall);
	fails(fetch(h, s, "/silence", &g), &g.err, ERR_UNAVAILABLE,
	    "nothing came from 127.0.0.1 for 1 s", "stall: silence");
	http_close(h);

	/* The kernel takes the connection; nobody answers the ClientHello. */
	h = client(&connect);
	fails(fetch_tls(h, &mute, &g), &g.err, ERR_UNAVAILABLE, "within 0.2 s",
	    "connect: no TLS");
	ok(strstr(g.err.text, "no connection to 127.0.0.1:") != NULL,
	    "says to whom");
	http_close(h);
	close(listener);
}

static void
test_refused(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	struct server nobody;
	struct http *h = client(NULL);
	struct got g;
	char *text;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Bound, so that nobody else listens there, and not listening. */
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	        getsockname(fd, (struct sockaddr *)&a, &len) == 0,
	    "bind");
	nobody.port = ntohs(a.sin_port);
	text = xasprintf(
	    "cannot connect to 127.0.0.1:%d: Connection refused", nobody.port);
	fails(fetch(h, &nobody, "/good", &g), &g.err, ERR_UNAVAILABLE, text,
	    "nobody listens");
	is_int(g.err.sys, 0, "not to be repeated: it was never there");
	free(text);
	http_close(h);
	close(fd);
}

static void
test_gone(void)
{
	struct server s = server_start(ROLE_PLAIN, NULL);
	struct http *h = client(NULL);
	struct got g;

	ok_err(fetch(h, &s, "/bye", &g), &g.err, "a server");
	server_stop(&s);
	fails(fetch(h, &s, "/good", &g), &g.err, ERR_UNAVAILABLE,
	    "Connection refused", "that goes away");
	is_int(g.err.sys, HTTP_REPEATABLE, "may come back");
	http_close(h);
}

static void
test_urls(const struct server *s)
{
	static const struct {
		const char *url;
		bool plain_ok;
		int code;
		const char *text;
	} bad[] = {
	    {"http://127.0.0.1/good", false, ERR_PROTOCOL, "https"},
	    {"file:///etc/hostname", true, 0, NULL},
	    {"ftp://127.0.0.1/x", true, ERR_PROTOCOL, "https"},
	    {"/relative", true, ERR_DATA, NULL},
	    {"", true, ERR_DATA, NULL},
	    {"https://user@127.0.0.1/", true, ERR_PROTOCOL, "user name"},
	};
	struct http *h = client(NULL);
	struct http_request r = {.method = "GET"};
	struct err err = ERR_INIT;
	struct got g = {.calls = 0};
	size_t i;
	char *url;

	for (i = 0; i < LENGTH(bad); i++) {
		r.url = bad[i].url;
		r.plain_ok = bad[i].plain_ok;
		if (http_start(h, &r, on_done, &g, &err) == 0)
			ok(false, "'%s' is refused", r.url);
		else if (bad[i].code)
			fails(-1, &err, bad[i].code, bad[i].text,
			    "'%s' is refused", r.url);
		else
			ok(err.code != ERR_NONE, "'%s' is refused", r.url);
	}
	url = xasprintf("http://127.0.0.1:%d/good", s->port);
	r = (struct http_request){
	    .method = "BREW", .url = url, .plain_ok = true};
	fails(http_start(h, &r, on_done, &g, &err), &err, ERR_SOFTWARE, "BREW",
	    "a method that we do not have");
	free(url);
	url = xasprintf("http://127.0.0.1:%d/a/../good", s->port);
	r = (struct http_request){
	    .method = "GET", .url = url, .plain_ok = true};
	ok_err(perform(h, &r, &g), &g.err, "dots in a path");
	is_int(g.status, 404, "are sent as they are");
	free(url);
	is_int((long long)http_running(h), 0, "nothing is left running");
	http_close(h);
}

/* -- connections and the loop --------------------------------------------- */

static void
test_reuse(const struct server *s)
{
	struct http *h = client(NULL);
	unsigned long connections, requests;
	unsigned int before = seen->connections;
	struct got g;
	int i;

	for (i = 0; i < 5; i++)
		if (fetch(h, s, "/good", &g) == -1)
			break;
	is_int(i, 5, "five requests");
	is_int(seen->connections - before, 1, "on one connection");
	http_counts(h, &connections, &requests);
	is_int((long long)connections, 1, "counted here too");
	is_int((long long)requests, 5, "with its requests");
	ok_err(fetch(h, s, "/bye-unsaid", &g), &g.err, "closed behind us");
	ok_err(fetch(h, s, "/good", &g), &g.err, "the next one comes through");
	http_close(h);
}

static void
test_many(const struct server *s)
{
	enum { MANY = 50 };
	struct http_config config = {.proxy = "", .max_connections = 3};
	struct http *h = client(&config);
	struct got *g = xcalloc(MANY, sizeof(*g));
	struct err err = ERR_INIT;
	unsigned int before = seen->connections, right = 0;
	char want[16];
	int i;

	for (i = 0; i < MANY; i++) {
		char *url = xasprintf("http://127.0.0.1:%d/n/%d", s->port, i);
		struct http_request r = {
		    .method = "GET", .url = url, .plain_ok = true};

		if (http_start(h, &r, on_done, &g[i], &err) == -1)
			diag("%s", err.text);
		free(url);
	}
	is_int((long long)http_running(h), MANY, "fifty are running");
	http_push(h);
	is_int((long long)http_running(h), MANY, "http_push() reports none");
	ok_err(settle(h, &err), &err, "fifty requests");
	for (i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "%d", i);
		right += g[i].calls == 1 && !g[i].failed &&
		    strcmp(g[i].body, want) == 0;
	}
	is_int(right, MANY, "each got its own answer, once");
	ok(seen->connections - before <= 3, "on three connections at most");
	free(g);
	http_close(h);
}

struct chain {
	struct http *h;
	char *url;
	int left;
	struct err err;
	bool nested_refused;
};

static void
on_link(void *arg, const struct http_response *response, const struct err *err)
{
	struct chain *c = arg;
	struct http_request r = {
	    .method = "GET", .url = c->url, .plain_ok = true};
	struct err nested = ERR_INIT;

	if (!response)
		c->err = *err;
	if (http_wait(c->h, -1, 0, NULL, &nested) == -1)
		c->nested_refused = true;
	if (response && --c->left > 0) {
		http_start(c->h, &r, on_link, c, &c->err);
		http_push(c->h);
	}
}

static void
test_callback(const struct server *s)
{
	struct chain c = {.h = client(NULL), .left = 4};
	struct http_request r = {.method = "GET", .plain_ok = true};
	struct err err = ERR_INIT;

	c.url = xasprintf("http://127.0.0.1:%d/good", s->port);
	r.url = c.url;
	ok_err(http_start(c.h, &r, on_link, &c, &err), &err, "a request");
	ok_err(settle(c.h, &err), &err, "whose callback starts the next");
	is_int(c.left, 0, "and so on");
	ok(c.nested_refused, "but does not wait for it");
	free(c.url);
	http_close(c.h);
}

static void
test_close(const struct server *s)
{
	struct http *h = client(NULL);
	char *url = xasprintf("http://127.0.0.1:%d/silence", s->port);
	struct http_request r = {.method = "GET", .url = url, .plain_ok = true};
	struct err err = ERR_INIT;
	struct got g = {.calls = 0};

	http_start(h, &r, on_done, &g, &err);
	http_start(h, &r, on_done, &g, &err);
	ok_err(http_wait(h, -1, 20, NULL, &err), &err, "two requests");
	is_int((long long)http_running(h), 2, "are running");
	http_close(h);
	is_int(g.calls, 0, "and are dropped unheard");
	http_close(NULL);
	free(url);
}

static void
test_wait(const struct server *s)
{
	struct http *h = client(NULL);
	char *url = xasprintf("http://127.0.0.1:%d/silence", s->port);
	struct http_request r = {.method = "GET", .url = url, .plain_ok = true};
	struct got g = {.calls = 0};
	struct err err = ERR_INIT;
	bool readable = true;
	int64_t began;
	int ends[2];

	must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
	fails(http_wait(h, -1, -1, &readable, &err), &err, ERR_SOFTWARE, NULL,
	    "nothing to wait for");
	began = date_mono_ms();
	ok_err(http_wait(h, ends[0], 50, &readable, &err), &err, "a time");
	ok(!readable && date_mono_ms() - began >= 50, "is waited for");
	ok_err(http_wait(h, -1, 0, NULL, &err), &err, "no time is waited");

	http_start(h, &r, on_done, &g, &err);
	must(write(ends[1], "x", 1) == 1, "write");
	ok_err(
	    http_wait(h, ends[0], -1, &readable, &err), &err, "a descriptor");
	ok(readable && g.calls == 0, "is readable while a request runs");
	must(read(ends[0], &(char){0}, 1) == 1, "read");
	close(ends[1]);
	readable = false;
	ok_err(http_wait(h, ends[0], -1, &readable, &err), &err, "a hang-up");
	ok(readable, "counts as readable");
	close(ends[0]);
	free(url);
	http_close(h);
}

/* -- trust ---------------------------------------------------------------- */

/* Two CAs that know nothing of each other; servers are certified by good. */
struct world {
	struct issued good, evil, leaf, other_name, expired;
	char *good_pem, *evil_pem;
	char *good_file, *evil_file;
	struct server tls, misnamed, late;
};

static void
write_file(const char *path, const char *text)
{
	struct err err = ERR_INIT;

	must(file_write(AT_FDCWD, path, text, strlen(text), 0644, FILE_REPLACE,
	         &err) == 0,
	    path);
}

static void
world_open(struct world *w)
{
	w->good = issue("Good Root", NULL, LEAF_GOOD);
	w->evil = issue("Evil Root", NULL, LEAF_GOOD);
	w->leaf = issue("127.0.0.1", &w->good, LEAF_GOOD);
	w->other_name = issue("other.example", &w->good, LEAF_OTHER_NAME);
	w->expired = issue("127.0.0.1", &w->good, LEAF_EXPIRED);
	w->good_pem = pem_of(&w->good);
	w->evil_pem = pem_of(&w->evil);
	w->good_file = xasprintf("%s/good.pem", tap_tmpdir());
	w->evil_file = xasprintf("%s/evil.pem", tap_tmpdir());
	write_file(w->good_file, w->good_pem);
	write_file(w->evil_file, w->evil_pem);
	w->tls = server_start(ROLE_TLS, &w->leaf);
	w->misnamed = server_start(ROLE_TLS, &w->other_name);
	w->late = server_start(ROLE_TLS, &w->expired);
}

static void
world_close(struct world *w)
{
	server_stop(&w->tls);
	server_stop(&w->misnamed);
	server_stop(&w->late);
	issued_free(&w->good);
	issued_free(&w->evil);
	issued_free(&w->leaf);
	issued_free(&w->other_name);
	issued_free(&w->expired);
	free(w->good_pem);
	free(w->evil_pem);
	free(w->good_file);
	free(w->evil_file);
}

static struct http_config
trusting(const char *file, const char *extra, bool only)
{
	return (struct http_config){.proxy = "",
	    .ca_file = file,
	    .extra_ca = extra,
	    .extra_ca_len = extra ? strlen(extra) : 0,
	    .extra_ca_only = only};
}

static void
test_trust(const struct world *w)
{
	const struct {
		const char *file, *extra;
		bool only, good;
		const char *name;
	} cases[] = {
	    {w->good_file, NULL, false, true, "the system's"},
	    {w->evil_file, NULL, false, false, "another system's"},
	    {w->evil_file, w->good_pem, true, true, "extra only"},
	    {NULL, w->good_pem, true, true, "extra only, no bundle"},
	    {w->good_file, w->evil_pem, true, false,
	        "extra only, the system's would do"},
	    {w->evil_file, w->good_pem, false, true, "extra"},
	    {w->good_file, w->evil_pem, false, true,
	        "extra does not do, the system's does"},
	    {w->evil_file, w->evil_pem, false, false, "neither"},
	};
	struct got g;
	size_t i;

	for (i = 0; i < LENGTH(cases); i++) {
		struct http_config config = trusting(
		    cases[i].file, cases[i].extra, cases[i].only);
		struct http *h = client(&config);
		int rc = fetch_tls(h, &w->tls, &g);

		if (cases[i].good)
			ok_err(rc, &g.err, "trust: %s", cases[i].name);
		else
			fails(rc, &g.err, ERR_CONFIG, "is not trusted",
			    "trust: %s", cases[i].name);
		ok(cases[i].good ||
		        cases[i].only ==
		            !strstr(g.err.text, "autocert_trusted_ca_file"),
		    "the advice fits");
		ok(cases[i].good || !strstr(g.err.text, "/proc/"),
		    "no file of ours is named");
		http_close(h);
	}
}

/* The first connection shows that extra does not do, and never again. */
static void
test_trust_remembered(const struct world *w)
{
	struct http_config config = trusting(w->good_file, w->evil_pem, false);
	struct http *h = client(&config);
	unsigned int before = seen->connections;
	struct got g;

	ok_err(fetch_with(h, "GET", "https", &w->tls, "/bye", &g), &g.err,
	    "tried with extra, then with both");
	is_int(seen->connections - before, 2, "on two connections");
	before = seen->connections;
	ok_err(fetch_with(h, "GET", "https", &w->tls, "/bye", &g), &g.err,
	    "the next request");
	is_int(seen->connections - before, 1, "begins with both");
	http_close(h);
}

/* Both means both: a CA of the system's, then one of the extra bundle. */
static void
test_trust_both(const struct world *w)
{
	struct http_config config = trusting(w->good_file, w->evil_pem, false);
	struct issued leaf = issue("127.0.0.1", &w->evil, LEAF_GOOD);
	struct server s = server_start_turning(ROLE_TLS, &w->leaf, &leaf);
	struct http *h = client(&config);
	struct got g;

	ok_err(fetch_with(h, "GET", "https", &s, "/bye", &g), &g.err,
	    "a host that needs both");
	ok_err(fetch_with(h, "GET", "https", &s, "/bye", &g), &g.err,
	    "shows a certificate of the extra CA next");
	http_close(h);
	server_stop(&s);
	issued_free(&leaf);
}

static void
test_trust_many(const struct world *w)
{
	enum { MANY = 12 };
	struct http_config config = trusting(w->good_file, w->evil_pem, false);
	struct http *h = client(&config);
	char *url = xasprintf("https://127.0.0.1:%d/good", w->tls.port);
	struct http_request r = {.method = "GET", .url = url};
	struct got *g = xcalloc(MANY, sizeof(*g));
	struct err err = ERR_INIT;
	int i, good = 0;

	for (i = 0; i < MANY; i++)
		http_start(h, &r, on_done, &g[i], &err);
	ok_err(settle(h, &err), &err, "many at once before it is known");
	for (i = 0; i < MANY; i++)
		good += g[i].calls == 1 && g[i].status == 200;
	is_int(good, MANY, "all come through");
	free(g);
	free(url);
	http_close(h);
}

static void
test_bad_certificates(const struct world *w)
{
	struct http_config config = trusting(NULL, w->good_pem, true);
	struct server old = server_start(ROLE_OLD_TLS, &w->leaf);
	struct server plain = server_start(ROLE_GREETER, NULL);
	struct http *h = client(&config);
	struct got g;

	fails(fetch_tls(h, &w->misnamed, &g), &g.err, ERR_CONFIG,
	    "127.0.0.1: its certificate is not trusted", "another name");
	fails(fetch_tls(h, &w->late, &g), &g.err, ERR_CONFIG,
	    "127.0.0.1: its certificate is not trusted", "expired");
	fails(fetch_tls(h, &old, &g), &g.err, ERR_UNAVAILABLE,
	    "no TLS connection", "TLS 1.1");
	fails(fetch_tls(h, &plain, &g), &g.err, ERR_UNAVAILABLE,
	    "no TLS connection", "no TLS at all");
	server_stop(&old);
	server_stop(&plain);
	http_close(h);
}

static void
test_trust_input(const struct world *w)
{
	struct http_config empty = trusting(NULL, "", false);
	struct http_config nothing = trusting(NULL, NULL, true);
	struct http_config missing = trusting("/nonexistent.pem", NULL, false);
	struct http_config folder = trusting("/", NULL, false);
	struct http_config behind = trusting(
	    "/nonexistent.pem", w->good_pem, false);
	struct err err = ERR_INIT;
	struct got g;
	struct http *h;
	char *rubbish = xasprintf("%s/rubbish.pem", tap_tmpdir());
	struct http_config config = trusting(rubbish, NULL, false);

	fails(http_open(&empty, &err) ? 0 : -1, &err, ERR_CONFIG, "is empty",
	    "an empty extra bundle is not no bundle");
	fails(http_open(&nothing, &err) ? 0 : -1, &err, ERR_CONFIG, NULL,
	    "extra only, without extra");
	fails(http_open(&missing, &err) ? 0 : -1, &err, ERR_CONFIG,
	    "/nonexistent.pem: No such file", "a bundle that is not there");
	fails(http_open(&folder, &err) ? 0 : -1, &err, ERR_CONFIG,
	    "/:", "a folder");
	fails(http_open(&behind, &err) ? 0 : -1, &err, ERR_CONFIG, NULL,
	    "missing, even if extra would do");
	write_file(rubbish, "no certificate\n");
	h = client(&config);
	fails(fetch_tls(h, &w->tls, &g), &g.err, ERR_CONFIG, NULL,
	    "a bundle without a certificate trusts nobody");
	unlink(rubbish);
	fails(fetch_tls(h, &w->tls, &g), &g.err, ERR_CONFIG, NULL,
	    "a bundle that goes away trusts nobody");
	http_close(h);

	config = trusting(rubbish, w->evil_pem, false);
	write_file(rubbish, w->good_pem);
	h = client(&config);
	unlink(rubbish);
	fails(fetch_tls(h, &w->tls, &g), &g.err, ERR_CONFIG, "rubbish.pem",
	    "also where extra is tried first");
	http_close(h);
	free(rubbish);
}

/* -- trust: the folder that libcurl has built in -------------------------- */

enum { CHILD_TRUSTED = 1, CHILD_REFUSED = 0, CHILD_SKIP = 77 };

static int
trusts(const struct world *w, const char *file, const char *extra)
{
	struct http_config config = trusting(file, extra, extra != NULL);
	struct err err = ERR_INIT;
	struct http *h = http_open(&config, &err);
	struct got g;
	int rc;

	if (!h)
		return CHILD_SKIP;
	rc = fetch_tls(h, &w->tls, &g);
	http_close(h);
	return rc == 0 ? CHILD_TRUSTED : CHILD_REFUSED;
}

/*
 * With the good root in the system's folder, in a mount name space of our own,
 * a bundle that does not hold it must not trust it.
 */
static int
with_system_folder(const struct world *w, const char *file, const char *extra)
{
	char folder[64], root[80];
	int status;
	pid_t pid;

	snprintf(folder, sizeof(folder), "%s/certs", tap_tmpdir());
	snprintf(root, sizeof(root), "%s/root.pem", folder);
	mkdir(folder, 0755);
	write_file(root, w->good_pem);
	pid = fork();
	must(pid != -1, "fork");
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1 ||
		    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) ==
		        -1 ||
		    mount(folder, "/etc/ssl/certs", "none", MS_BIND, NULL) ==
		        -1)
			_exit(CHILD_SKIP);
		_exit(trusts(w, file, extra));
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_system_folder(const struct world *w)
{
	static const char only[] = "extra only: the built-in folder is off";
	static const char file[] = "own bundle: the built-in folder is off";
	int rc = with_system_folder(w, NULL, w->evil_pem);

	if (rc == CHILD_SKIP) {
		skip("no user name spaces", only);
		skip("no user name spaces", file);
		return;
	}
	is_int(rc, CHILD_REFUSED, only);
	is_int(with_system_folder(w, w->evil_file, NULL), CHILD_REFUSED, file);
}

/* No bundle in any of the usual places: an error, and not a quiet default. */
static void
test_no_system(const struct world *w)
{
	int rc = with_system_folder(w, NULL, NULL);

	if (rc == CHILD_SKIP ||
	    access("/etc/pki/tls/certs/ca-bundle.crt", F_OK) == 0 ||
	    access("/etc/ssl/cert.pem", F_OK) == 0)
		skip("not possible here", "no bundle on this system");
	else
		is_int(rc, CHILD_REFUSED, "no bundle on this system");
}

/* -- proxies -------------------------------------------------------------- */

static void
test_proxy(const struct world *w)
{
	struct server proxy = server_start(ROLE_PLAIN, &w->leaf);
	struct http_config config = trusting(NULL, w->good_pem, true);
	char *text = xasprintf("http://127.0.0.1:%d", proxy.port);
	struct http_request r = {
	    .method = "GET", .url = "http://a.example/x", .plain_ok = true};
	struct http *h;
	struct got g;

	config.proxy = text;
	h = client(&config);
	ok_err(perform(h, &r, &g), &g.err, "http:// through a proxy");
	ok(strstr(g.body, "GET http://a.example/x ") != NULL, "which saw it");
	r.url = "https://127.0.0.1:1/good";
	ok_err(perform(h, &r, &g), &g.err, "https:// through a tunnel");
	is(g.nonce, "", "the proxy's own fields are not the answer's");
	r.url = "https://refuse.example/good";
	fails(perform(h, &r, &g), &g.err, ERR_UNAVAILABLE,
	    "refuse.example:443: the proxy answers 403", "a refusal");
	is_int(g.err.sys, 0, "is not to be repeated");
	http_close(h);
	server_stop(&proxy);
	free(text);

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	proxy = server_start(ROLE_PLAIN, NULL);
	h = client(NULL);
	ok_err(fetch(h, &proxy, "/good", &g), &g.err,
	    "\"\" switches the environment's proxy off");
	http_close(h);
	config = (struct http_config){.proxy = NULL};
	h = client(&config);
	fails(fetch(h, &proxy, "/good", &g), &g.err, ERR_UNAVAILABLE,
	    "cannot connect", "NULL does not");
	http_close(h);
	unsetenv("http_proxy");
	server_stop(&proxy);
}

/* -- the library ---------------------------------------------------------- */

static void
test_library(void)
{
	struct err err = ERR_INIT;
	const struct curl_api *api = curl_load(&err);

	ok(api != NULL, "libcurl is found");
	ok(curl_load(&err) == api, "once");
	fails(curl_load_from("libno-such-curl.so.4", &err) ? 0 : -1, &err,
	    ERR_SOFTWARE, "cannot load libcurl", "a library that is missing");
	fails(curl_load_from("libc.so.6", &err) ? 0 : -1, &err, ERR_SOFTWARE,
	    "has no function curl_", "a library that is another");
	if (access("/usr/lib/x86_64-linux-gnu/libcurl.so.4", F_OK) == 0)
		fails(curl_load_from("libcurl.so.4", &err) ? 0 : -1, &err,
		    ERR_SOFTWARE, "a libcurl with GnuTLS is needed",
		    "a libcurl with another TLS library");
	else
		skip("there is none", "a libcurl with another TLS library");
}

static void
test_plain(void)
{
	struct server s = server_start(ROLE_PLAIN, NULL);

	test_good(&s);
	test_fields(&s);
	test_sent(&s);
	test_large_post(&s);
	test_interim(&s);
	test_redirect(&s);
	test_body_cap(&s);
	test_header_caps(&s);
	test_protocol(&s);
	test_broken(&s);
	test_deadlines(&s);
	test_urls(&s);
	test_reuse(&s);
	test_many(&s);
	test_callback(&s);
	test_close(&s);
	test_wait(&s);
	server_stop(&s);
	test_refused();
	test_gone();
}

static void
test_tls(void)
{
	struct world w;

	world_open(&w);
	test_trust(&w);
	test_trust_remembered(&w);
	test_trust_both(&w);
	test_trust_many(&w);
	test_bad_certificates(&w);
	test_trust_input(&w);
	test_system_folder(&w);
	test_no_system(&w);
	test_proxy(&w);
	world_close(&w);
}

int
main(void)
{
	static const char *const leaking[] = {"http_proxy", "https_proxy",
	    "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
	size_t i;

	for (i = 0; i < LENGTH(leaking); i++)
		unsetenv(leaking[i]);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(seen != MAP_FAILED, "mmap");
	test_library();
	test_plain();
	test_tls();
	munmap(seen, sizeof(*seen));
	return done();
}
