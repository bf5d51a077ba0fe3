#include <config.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/log.h"
#include "base/name.h"
#include "pki/hash.h"
#include "run/listener.h"
#include "run/responder.h"
#include "run/tlsalpn01.h"
#include "store/store.h"
#include "store/token.h"
#include "tap.h"

#define TOKEN_A "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define TOKEN_B "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJyPCtcaaaaaa"
#define THUMBPRINT ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
#define PATH_A "/.well-known/acme-challenge/" TOKEN_A
#define PATH_B "/.well-known/acme-challenge/" TOKEN_B

enum {
	PATIENCE_S = 20, /* for what ought to come at once */
	MIB = 1024 * 1024,
	LOW = 64 /* the responder's descriptors of its own */
};

static struct store *store;

/* -- a responder in a process of its own --------------------------------- */

struct server {
	pid_t pid;
	int stop, hits; /* our ends of its pipes */
	struct sockaddr_in http, tls;
};

static void
fatal(const char *what)
{
	perror(what);
	exit(99);
}

static struct sockaddr_in
loopback(unsigned port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((in_port_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Serves until the pipe is closed at its other end. Sanitizers and valgrind
 * see its exit, too. */
static _Noreturn void
child(struct responder *r, int stop)
{
	struct err err = ERR_INIT;
	int rc;

	/* No number below LOW stays free: see test_no_descriptors(). */
	while ((rc = open("/dev/null", O_RDONLY | O_CLOEXEC)) < LOW)
		;
	close(rc);
	rc = responder_serve(r, stop, &err);
	if (rc == -1)
		log_err("responder", &err);
	responder_close(r);
	store_close(store);
	exit(rc == 0 ? 0 : 1);
}

static void
start(struct server *s, struct responder_config config)
{
	struct err err = ERR_INIT;
	struct responder *r;
	int stop[2], hits[2];

	if (pipe2(stop, O_CLOEXEC) == -1 ||
	    pipe2(hits, O_CLOEXEC | O_NONBLOCK) == -1)
		fatal("pipe");
	fcntl(hits[1], F_SETPIPE_SZ, 4096);
	config.store = store;
	config.hits_fd = hits[1];
	/* Long, unless a test is about them: machines can be slow. */
	if (config.http_ms == 0)
		config.http_ms = 1000 * PATIENCE_S;
	if (config.tls_ms == 0)
		config.tls_ms = 1000 * PATIENCE_S;
	if (config.n_http == 0)
		config.http[config.n_http++] = "127.0.0.1:0";
	if (config.n_tls == 0)
		config.tls[config.n_tls++] = "127.0.0.1:0";
	r = responder_open(&config, &err);
	if (!r) {
		log_err("responder_open", &err);
		exit(99);
	}
	s->http = loopback(responder_port(r, false, 0));
	s->tls = loopback(responder_port(r, true, 0));
	fflush(stdout);
	s->pid = fork();
	if (s->pid == -1)
		fatal("fork");
	if (s->pid == 0) {
		close(stop[1]);
		close(hits[0]);
		child(r, stop[0]);
	}
	responder_close(r);
	close(stop[0]);
	close(hits[1]);
	s->stop = stop[1];
	s->hits = hits[0];
}

static void
stop(struct server *s, const char *what)
{
	int status = -1;

	close(s->stop);
	close(s->hits);
	while (waitpid(s->pid, &status, 0) == -1 && errno == EINTR)
		;
	is_int(status, 0, "%s: the responder ends well", what);
}

/* Descriptors that the responder has open. */
static int
descriptors(pid_t pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		fatal(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static long
resident_kb(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		fatal(path);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* -- pending challenges -------------------------------------------------- */

static void
put(const char *issuer, const char *type, const char *name, const char *token)
{
	struct token t;
	struct err err = ERR_INIT;

	memset(&t, 0, sizeof(t));
	snprintf(t.type, sizeof(t.type), "%s", type);
	snprintf(t.token, sizeof(t.token), "%s", token);
	snprintf(t.key_authorization, sizeof(t.key_authorization), "%s%s",
	    token, THUMBPRINT);
	if (identifier_parse(name, &t.identifier, &err) == -1 ||
	    token_put(store, issuer, &t, "https://ca.example/chall/1", &err) ==
	        -1) {
		log_err(name, &err);
		exit(99);
	}
}

static void
take_away(const char *key)
{
	struct err err = ERR_INIT;

	ok_err(store_del(store, key, &err), &err, "%s is taken away", key);
}

/* -- clients ------------------------------------------------------------- */

static int
connect_to(const struct sockaddr_in *to)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) == -1)
		fatal("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
say(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

/* All until the other side closes: 0, or the errno that ended it. */
static int
hear(int fd, struct buf *out)
{
	char data[4096];
	ssize_t n;

	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		buf_put(out, data, (size_t)n);
	return n == 0 ? 0 : errno;
}

static bool
is_open(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static void
ask(const struct sockaddr_in *to, const char *request, struct buf *out)
{
	int fd = connect_to(to);

	buf_clear(out);
	say(fd, request, strlen(request));
	if (hear(fd, out) != 0)
		diag("the answer was cut off");
	close(fd);
}

/* The answer's first line begins so, and the body ends so. */
static bool
answers(const struct sockaddr_in *to, const char *request, const char *status,
    const char *end, const char *what)
{
	struct buf out = BUF_INIT;
	const char *text;
	bool pass;

	ask(to, request, &out);
	text = buf_str(&out);
	pass = strncmp(text, status, strlen(status)) == 0 &&
	    out.len >= strlen(end) &&
	    strcmp(text + out.len - strlen(end), end) == 0;
	ok(pass, "%s", what);
	if (!pass)
		diag("got: %.300s", text);
	buf_release(&out);
	return pass;
}

static bool
probe(const struct sockaddr_in *to, const char *path, const char *host,
    const char *key_authorization)
{
	struct buf out = BUF_INIT, request = BUF_INIT;
	const char *body;
	bool found;

	buf_printf(&request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
	ask(to, buf_str(&request), &out);
	body = strstr(buf_str(&out), "\r\n\r\n");
	found = strncmp(buf_str(&out), "HTTP/1.1 200 OK\r\n", 17) == 0 &&
	    body && strcmp(body + 4, key_authorization) == 0;
	buf_release(&out);
	buf_release(&request);
	return found;
}

static bool
probe_a(const struct server *s)
{
	return probe(&s->http, PATH_A, "www.example.com", TOKEN_A THUMBPRINT);
}

/* -- http-01 ------------------------------------------------------------- */

#define HOST " HTTP/1.1\r\nHost: www.example.com\r\n"
#define MOVED "\r\n\r\nmoved to https\n"
#define REFUSED "\r\n\r\nbad request\n"

static const struct {
	const char *what, *request, *status, *end;
} exchanges[] = {
    {"a probe", "GET " PATH_A HOST "\r\n", "HTTP/1.1 200 OK\r\n",
        "\r\n\r\n" TOKEN_A THUMBPRINT},
    {"HEAD", "HEAD " PATH_A HOST "\r\n", "HTTP/1.1 200 OK\r\n",
        "Content-Length: 87\r\n\r\n"},
    {"an address", "GET " PATH_B " HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
        "HTTP/1.1 200 OK\r\n", "\r\n\r\n" TOKEN_B THUMBPRINT},
    {"an IPv6 address",
        "GET " PATH_B " HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
        "HTTP/1.1 200 OK\r\n", "\r\n\r\n" TOKEN_B THUMBPRINT},
    {"pipelined: one answer", "GET " PATH_A HOST "\r\nGET " PATH_A HOST "\r\n",
        "HTTP/1.1 200 OK\r\n", "Content-Length: 87\r\n\r\n" TOKEN_A THUMBPRINT},
    {"another token", "GET " PATH_B HOST "\r\n",
        "HTTP/1.1 301 Moved Permanently\r\n", MOVED},
    {"another host", "GET " PATH_A " HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "HTTP/1.1 301 ", MOVED},
    {"a host that would leave the folder",
        "GET " PATH_A " HTTP/1.1\r\nHost: ../www.example.com\r\n\r\n",
        "HTTP/1.1 400 ", REFUSED},
    {"POST", "POST " PATH_A HOST "Content-Length: 3\r\n\r\nabc",
        "HTTP/1.1 301 ", MOVED},
    {"chunked",
        "GET " PATH_A HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 400 ", REFUSED},
    {"absolute URI", "GET http://www.example.com" PATH_A HOST "\r\n",
        "HTTP/1.1 400 ", REFUSED},
    {"HTTP/0.9", "GET " PATH_A "\r\n", "HTTP/1.1 400 ", REFUSED},
    {"a TLS hello", "\x16\x03\x01\x02", "HTTP/1.1 400 ", REFUSED},
    {"no host", "GET " PATH_A " HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", REFUSED},
};

static void
test_exchanges(const struct server *s)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++)
		answers(&s->http, exchanges[i].request, exchanges[i].status,
		    exchanges[i].end, exchanges[i].what);
}

/* The answer arrives although most of the request is never read. */
static void
test_huge(const struct server *s)
{
	struct buf request = BUF_INIT;

	buf_puts(&request, "GET /");
	while (request.len < MIB)
		buf_puts(&request, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	buf_puts(&request, HOST "\r\n");
	answers(&s->http, buf_str(&request), "HTTP/1.1 400 ", REFUSED,
	    "a target of 1 MiB");
	buf_release(&request);
}

static void
test_head_cap(const struct server *s)
{
	struct buf request = BUF_INIT;
	const size_t end = strlen("\r\n\r\n");

	buf_puts(&request, "GET " PATH_A HOST "X: ");
	while (request.len < 4096 - end)
		buf_puts(&request, "x");
	buf_puts(&request, "\r\n\r\n");
	answers(&s->http, buf_str(&request), "HTTP/1.1 200 ",
	    TOKEN_A THUMBPRINT, "a head of 4096 bytes");
	buf_clear(&request);
	buf_puts(&request, "GET " PATH_A HOST "X: ");
	while (request.len < 4097 - end)
		buf_puts(&request, "x");
	buf_puts(&request, "\r\n\r\n");
	answers(&s->http, buf_str(&request), "HTTP/1.1 400 ", REFUSED,
	    "a head of 4097 bytes");
	buf_release(&request);
}

static void
test_slow(const struct server *s)
{
	static const char request[] = "GET " PATH_A HOST "\r\n";
	struct buf out = BUF_INIT;
	int fd = connect_to(&s->http);

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		say(fd, request + i, 1);
	is_int(hear(fd, &out), 0, "byte by byte");
	ok(strstr(buf_str(&out), TOKEN_A THUMBPRINT) != NULL, "answered");
	close(fd);
	buf_clear(&out);

	fd = connect_to(&s->http);
	say(fd, request, sizeof(request) - 3);
	shutdown(fd, SHUT_WR);
	is_int(hear(fd, &out), 0, "half a request and the end");
	is_int((long long)out.len, 0, "no answer");
	close(fd);
	buf_release(&out);
}

/* Reads the pipe until so much has come. */
static void
hits_are(const struct server *s, const char *want, const char *what)
{
	struct pollfd p = {.fd = s->hits, .events = POLLIN};
	struct buf lines = BUF_INIT;
	char data[4096];
	ssize_t n;

	while (lines.len < strlen(want) &&
	    poll(&p, 1, 1000 * PATIENCE_S) == 1 &&
	    (n = read(s->hits, data, sizeof(data))) > 0)
		buf_put(&lines, data, (size_t)n);
	is(buf_str(&lines), want, "%s: reported", what);
	buf_release(&lines);
}

static void
test_hits(void)
{
	struct server s;

	start(&s, (struct responder_config){.redirect = true});
	ok(probe_a(&s), "a probe");
	ok(!probe(&s.http, PATH_B, "www.example.com", TOKEN_B THUMBPRINT),
	    "one that finds nothing");
	ok(probe(&s.http, PATH_B, "[2001:db8::1]:80", TOKEN_B THUMBPRINT),
	    "another");
	hits_are(&s, "http-01 www.example.com\nhttp-01 2001:db8::1\n",
	    "each that was answered");
	stop(&s, "hits");
}

static void
test_hits_full(const struct server *s)
{
	int good = 0;

	/* 24 bytes each into 4096 */
	for (int i = 0; i < 250; i++)
		good += probe_a(s);
	is_int(good, 250, "answered though nobody reads the pipe");
}

/* What is pending is looked for in the store each time. */
static void
test_store_changes(const struct server *s)
{
	int64_t deadline;
	struct err err = ERR_INIT;
	bool found;

	ok(probe_a(s), "pending");
	put("other-ca", "http-01", "www.example.com", TOKEN_B);
	/* No token of the new CA is found by the list from just now; it is
	 * read again well before its second is over. */
	deadline = date_mono_ms() + 600;
	do
		found = probe(
		    &s->http, PATH_B, "www.example.com", TOKEN_B THUMBPRINT);
	while (!found && date_mono_ms() < deadline);
	ok(found, "pending at a CA whose folder is new");
	ok(probe_a(s), "and still at the first one");
	take_away("acme/other-ca/challenge_tokens/www.example.com.json");
	ok(!probe(&s->http, PATH_B, "www.example.com", TOKEN_B THUMBPRINT),
	    "no longer pending");
	ok_err(store_put(store,
	           "acme/other-ca/challenge_tokens/www.example.com.json", "{",
	           1, STORE_REPLACE, &err),
	    &err, "a torn token file");
	ok(probe_a(s), "does not hide the good one");
	put("test-ca", "http-01", "www.example.com", TOKEN_B);
	ok(!probe_a(s), "replaced: the old token is not answered");
	ok(probe(&s->http, PATH_B, "www.example.com", TOKEN_B THUMBPRINT),
	    "the new one is");
	put("test-ca", "http-01", "www.example.com", TOKEN_A);
}

static void
test_http(void)
{
	struct server s;

	test_hits();
	start(&s, (struct responder_config){.redirect = true});
	test_exchanges(&s);
	test_huge(&s);
	test_head_cap(&s);
	test_slow(&s);
	test_hits_full(&s);
	test_store_changes(&s);
	stop(&s, "http-01");
	start(&s, (struct responder_config){.redirect = false});
	answers(&s.http, "GET /" HOST "\r\n", "HTTP/1.1 404 Not Found\r\n",
	    "\r\n\r\nnot found\n", "no redirect: 404");
	ok(probe_a(&s), "no redirect: a probe");
	stop(&s, "no redirect");
}

/* -- tls-alpn-01: the hello ---------------------------------------------- */

/* A ClientHello of that length, message header included, in records of at
 * most so many bytes. */
static void
make_hello(struct buf *out, size_t len, size_t record)
{
	struct buf message = BUF_INIT;
	const unsigned char header[] = {1, (unsigned char)((len - 4) >> 16),
	    (unsigned char)((len - 4) >> 8), (unsigned char)(len - 4)};

	buf_put(&message, header, sizeof(header));
	while (message.len < len)
		buf_put(&message, "h", 1);
	for (size_t at = 0; at < len; at += record) {
		size_t n = len - at < record ? len - at : record;
		const unsigned char head[] = {
		    22, 3, 1, (unsigned char)(n >> 8), (unsigned char)n};

		buf_put(out, head, sizeof(head));
		buf_put(out, message.data + at, n);
	}
	buf_release(&message);
}

static void
check_hello(size_t len, size_t record, enum hello want, const char *what)
{
	struct buf b = BUF_INIT;
	enum hello got = HELLO_MORE;
	size_t n;

	make_hello(&b, len, record);
	for (n = 0; n <= b.len && got == HELLO_MORE; n++) {
		/* exact, so that reading beyond is seen */
		unsigned char *copy = xmalloc(n);

		if (n)
			memcpy(copy, b.data, n);
		got = tlsalpn01_hello(copy, n);
		free(copy);
	}
	is_int(got, want, "hello: %s", what);
	if (want == HELLO_READY)
		is_int((long long)n - 1, (long long)b.len,
		    "hello: %s: not before its last byte", what);
	buf_release(&b);
}

static void
test_hello(void)
{
	static const struct {
		const char *what, *data;
		size_t len;
		enum hello want;
	} rows[] = {
	    {"HTTP", "GET / HTTP/1.1", 1, HELLO_BAD},
	    {"SSLv2", "\x80\x2e\x01", 3, HELLO_BAD},
	    {"an alert", "\x15\x03\x03", 3, HELLO_BAD},
	    {"another version", "\x16\x02", 2, HELLO_BAD},
	    {"an empty record", "\x16\x03\x01\x00\x00", 5, HELLO_BAD},
	    {"a record too long", "\x16\x03\x01\x40\x01", 5, HELLO_BAD},
	    {"the longest record", "\x16\x03\x01\x40\x00", 5, HELLO_MORE},
	    {"a server's hello", "\x16\x03\x01\x00\x40\x02", 6, HELLO_BAD},
	    {"a message of 16 MiB", "\x16\x03\x01\x00\x40\x01\xff\xff\xff", 9,
	        HELLO_BAD},
	    {"another record between", "\x16\x03\x01\x00\x01\x01\x17", 7,
	        HELLO_BAD},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		is_int(tlsalpn01_hello(rows[i].data, rows[i].len), rows[i].want,
		    "hello: %s", rows[i].what);
	is_int(tlsalpn01_hello(NULL, 0), HELLO_MORE, "hello: nothing yet");
	check_hello(512, 16384, HELLO_READY, "in one record");
	check_hello(4, 16384, HELLO_READY, "empty message");
	check_hello(512, 100, HELLO_READY, "in six records");
	check_hello(100, 1, HELLO_READY, "in records of one byte");
	check_hello(100, 3, HELLO_READY, "its header in two records");
	check_hello(16379, 16384, HELLO_READY, "as long as may be");
	check_hello(16380, 16384, HELLO_BAD, "one byte too long");
}

/* -- tls-alpn-01: handshakes --------------------------------------------- */

struct client {
	const char *sni, *alpn[2], *versions;
	int fd;
	bool split;       /* each byte sent by itself */
	bool two_records; /* the hello */
	bool hello_sent;
	/* what came of it */
	int rc, alert;
	char chosen[32];
	gnutls_datum_t cert; /* DER; to be freed */
};

/* The one record of a hello as two. */
static void
say_two_records(int fd, const unsigned char *p, size_t len)
{
	const size_t header = 5, first = 3, rest = len - header - first;
	const unsigned char head[] = {22, 3, 1, 0, first};
	const unsigned char second[] = {
	    22, 3, 1, (unsigned char)(rest >> 8), (unsigned char)rest};

	say(fd, head, sizeof(head));
	say(fd, p + header, first);
	say(fd, second, sizeof(second));
	say(fd, p + header + first, rest);
}

static ssize_t
client_push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	struct client *c = ptr;
	const unsigned char *p = data;

	if (c->two_records && !c->hello_sent)
		say_two_records(c->fd, p, len);
	else if (c->split)
		for (size_t i = 0; i < len; i++)
			say(c->fd, p + i, 1);
	else
		say(c->fd, p, len);
	c->hello_sent = true;
	return (ssize_t)len;
}

static ssize_t
client_pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
	struct client *c = ptr;

	return recv(c->fd, data, len, 0);
}

/* Blocking, so always ready. */
static int
client_ready(gnutls_transport_ptr_t ptr, unsigned ms)
{
	struct client *c = ptr;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};

	return poll(&p, 1, (int)ms);
}

static void
client_set_up(
    struct client *c, gnutls_session_t s, gnutls_certificate_credentials_t cred)
{
	struct buf priority = BUF_INIT;
	gnutls_datum_t alpn[2];
	unsigned n = 0;

	buf_printf(&priority, "NORMAL:-VERS-ALL:%s",
	    c->versions ? c->versions : "+VERS-TLS1.3:+VERS-TLS1.2");
	gnutls_priority_set_direct(s, buf_str(&priority), NULL);
	buf_release(&priority);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	if (c->sni)
		gnutls_server_name_set(
		    s, GNUTLS_NAME_DNS, c->sni, strlen(c->sni));
	for (; n < 2 && c->alpn[n]; n++) {
		alpn[n].data = (unsigned char *)(uintptr_t)c->alpn[n];
		alpn[n].size = (unsigned)strlen(c->alpn[n]);
	}
	if (n)
		gnutls_alpn_set_protocols(s, alpn, n, 0);
	gnutls_transport_set_ptr(s, c);
	gnutls_transport_set_push_function(s, client_push);
	gnutls_transport_set_pull_function(s, client_pull);
	gnutls_transport_set_pull_timeout_function(s, client_ready);
}

static void
client_learn(struct client *c, gnutls_session_t s)
{
	const gnutls_datum_t *certs;
	gnutls_datum_t chosen;
	unsigned n;

	if (c->rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		c->alert = (int)gnutls_alert_get(s);
	if (c->rc != 0)
		return;
	if (gnutls_alpn_get_selected_protocol(s, &chosen) == 0)
		snprintf(c->chosen, sizeof(c->chosen), "%.*s", (int)chosen.size,
		    (char *)chosen.data);
	certs = gnutls_certificate_get_peers(s, &n);
	if (certs && n == 1) {
		c->cert.data = xmalloc(certs[0].size);
		memcpy(c->cert.data, certs[0].data, certs[0].size);
		c->cert.size = certs[0].size;
	}
}

/* A whole handshake; TLS 1.3 alerts come behind the client's own success. */
static void
shake(struct client *c, const struct sockaddr_in *to)
{
	gnutls_certificate_credentials_t cred;
	gnutls_session_t s;
	char byte;
	ssize_t n;

	c->fd = connect_to(to);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_init(&s, GNUTLS_CLIENT);
	client_set_up(c, s, cred);
	c->rc = gnutls_handshake(s);
	if (c->rc == 0) {
		n = gnutls_record_recv(s, &byte, 1);
		if (n != 0)
			c->rc = n > 0 ? 1 : (int)n;
	}
	client_learn(c, s);
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cred);
	close(c->fd);
}

/* RFC 8737, 3: one name, the critical extension, the right digest. */
static void
check_cert(const struct client *c, const struct identifier *id,
    const char *key_authorization, const char *what)
{
	gnutls_x509_crt_t crt;
	unsigned char der[64], want[34] = {4, 32}, san[256];
	unsigned critical = 0;
	size_t len = sizeof(der), san_len = sizeof(san);

	if (!ok(c->cert.data != NULL, "%s: a certificate", what)) {
		diag("%d %s", c->rc, gnutls_strerror(c->rc));
		return;
	}
	gnutls_x509_crt_init(&crt);
	gnutls_x509_crt_import(crt, &c->cert, GNUTLS_X509_FMT_DER);
	hash_sha256(key_authorization, strlen(key_authorization), want + 2);
	ok(gnutls_x509_crt_get_extension_by_oid(
	       crt, "1.3.6.1.5.5.7.1.31", 0, der, &len, &critical) == 0 &&
	        len == sizeof(want) && memcmp(der, want, len) == 0,
	    "%s: acmeIdentifier", what);
	ok(critical, "%s: it is critical", what);
	is_int(
	    gnutls_x509_crt_get_subject_alt_name(crt, 0, san, &san_len, NULL),
	    id->type == IDENTIFIER_IP ? GNUTLS_SAN_IPADDRESS :
	                                GNUTLS_SAN_DNSNAME,
	    "%s: the name's type", what);
	if (id->type == IDENTIFIER_IP)
		ok(san_len == id->ip_len && memcmp(san, id->ip, san_len) == 0,
		    "%s: the address", what);
	else
		is((char *)san, id->value, "%s: the name", what);
	san_len = sizeof(san);
	is_int(
	    gnutls_x509_crt_get_subject_alt_name(crt, 1, san, &san_len, NULL),
	    GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE, "%s: one name", what);
	gnutls_x509_crt_deinit(crt);
}

#define ACME "acme-tls/1"
#define V12 "+VERS-TLS1.2"
#define V13 "+VERS-TLS1.3"

static const struct {
	const char *what;
	struct client client;
	const char *name, *token;
} good[] = {
    {"TLS 1.3", {.sni = "tls.example.com", .alpn = {ACME}, .versions = V13},
        "tls.example.com", TOKEN_A},
    {"TLS 1.2", {.sni = "tls.example.com", .alpn = {ACME}, .versions = V12},
        "tls.example.com", TOKEN_A},
    {"h2 offered too", {.sni = "tls.example.com", .alpn = {"h2", ACME}},
        "tls.example.com", TOKEN_A},
    {"upper case", {.sni = "TLS.Example.COM", .alpn = {ACME}},
        "tls.example.com", TOKEN_A},
    {"a token for http-01", {.sni = "www.example.com", .alpn = {ACME}},
        "www.example.com", TOKEN_A},
    {"IPv4", {.sni = "1.0.0.127.in-addr.arpa", .alpn = {ACME}}, "127.0.0.1",
        TOKEN_A},
    {"IPv6",
        {.sni = "1.0.0.0.0.0.0.0."
                "0.0.0.0.0.0.0.0."
                "0.0.0.0.0.0.0.0."
                "8.b.d.0.1.0.0.2.ip6.arpa",
            .alpn = {ACME}},
        "2001:db8::1", TOKEN_A},
    {"byte by byte", {.sni = "tls.example.com", .alpn = {ACME}, .split = true},
        "tls.example.com", TOKEN_A},
    {"hello in two records",
        {.sni = "tls.example.com", .alpn = {ACME}, .two_records = true},
        "tls.example.com", TOKEN_A},
    {"other key exchange first",
        {.sni = "tls.example.com",
            .alpn = {ACME},
            .versions = V13 ":-GROUP-ALL:+GROUP-SECP521R1:"
                            "+GROUP-SECP256R1"},
        "tls.example.com", TOKEN_A},
};

static void
test_good_handshakes(const struct server *s)
{
	char want[512];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct client c = good[i].client;
		struct identifier id;
		struct err err = ERR_INIT;
		struct buf authorization = BUF_INIT;

		buf_printf(&authorization, "%s%s", good[i].token, THUMBPRINT);
		identifier_parse(good[i].name, &id, &err);
		shake(&c, &s->tls);
		if (!is_int(c.rc, 0, "%s", good[i].what))
			diag("%s", gnutls_strerror(c.rc));
		is(c.chosen, ACME, "%s: protocol", good[i].what);
		check_cert(&c, &id, buf_str(&authorization), good[i].what);
		buf_release(&authorization);
		free(c.cert.data);
		snprintf(want, sizeof(want), "tls-alpn-01 %s\n", good[i].name);
		if (c.rc == 0)
			hits_are(s, want, good[i].what);
	}
}

static const struct {
	const char *what;
	struct client client;
	int alert;
} refused[] = {
    {"only h2", {.sni = "tls.example.com", .alpn = {"h2"}},
        GNUTLS_A_NO_APPLICATION_PROTOCOL},
    {"only h2, TLS 1.2",
        {.sni = "tls.example.com", .alpn = {"h2"}, .versions = V12},
        GNUTLS_A_NO_APPLICATION_PROTOCOL},
    {"no protocol", {.sni = "tls.example.com"},
        GNUTLS_A_NO_APPLICATION_PROTOCOL},
    {"no protocol, TLS 1.2", {.sni = "tls.example.com", .versions = V12},
        GNUTLS_A_NO_APPLICATION_PROTOCOL},
    {"unknown name", {.sni = "other.example.com", .alpn = {ACME}},
        GNUTLS_A_UNRECOGNIZED_NAME},
    {"unknown name, TLS 1.2",
        {.sni = "other.example.com", .alpn = {ACME}, .versions = V12},
        GNUTLS_A_UNRECOGNIZED_NAME},
    {"no name", {.alpn = {ACME}}, GNUTLS_A_UNRECOGNIZED_NAME},
    {"unknown address", {.sni = "2.0.0.127.in-addr.arpa", .alpn = {ACME}},
        GNUTLS_A_UNRECOGNIZED_NAME},
    {"address as a name", {.sni = "127.0.0.1", .alpn = {ACME}},
        GNUTLS_A_UNRECOGNIZED_NAME},
    {"TLS 1.1",
        {.sni = "tls.example.com",
            .alpn = {ACME},
            .versions = "+VERS-TLS1.1:%COMPAT"},
        GNUTLS_A_PROTOCOL_VERSION},
};

static void
test_refused_handshakes(const struct server *s)
{
	char line[512];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct client c = refused[i].client;

		shake(&c, &s->tls);
		if (!is_int(c.alert, refused[i].alert, "%s", refused[i].what))
			diag("%d %s", c.rc, gnutls_strerror(c.rc));
		free(c.cert.data);
	}
	is_int(read(s->hits, line, sizeof(line)), -1, "none was reported");
}

/* The same challenge again and again, and more of them than are kept. */
static void
test_many_handshakes(const struct server *s)
{
	char name[64];
	int done_well = 0;

	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		put("test-ca", "tls-alpn-01", name, i % 2 ? TOKEN_A : TOKEN_B);
	}
	for (int i = 0; i < 36; i++) {
		struct client c = {.sni = name, .alpn = {ACME}};
		gnutls_x509_crt_t crt;

		snprintf(name, sizeof(name), "n%d.example.com", i % 12);
		shake(&c, &s->tls);
		gnutls_x509_crt_init(&crt);
		done_well += c.rc == 0 &&
		    gnutls_x509_crt_import(crt, &c.cert, GNUTLS_X509_FMT_DER) ==
		        0 &&
		    gnutls_x509_crt_check_hostname(crt, name);
		gnutls_x509_crt_deinit(crt);
		free(c.cert.data);
	}
	is_int(done_well, 36, "more challenges than certificates are kept");
}

/* Replaced under the same name: the next probe sees the new one. */
static void
test_replaced(const struct server *s)
{
	struct client c = {.sni = "n0.example.com", .alpn = {ACME}};
	struct identifier id;
	struct err err = ERR_INIT;

	identifier_parse("n0.example.com", &id, &err);
	shake(&c, &s->tls);
	check_cert(&c, &id, TOKEN_B THUMBPRINT, "a token");
	free(c.cert.data);
	c = (struct client){.sni = "n0.example.com", .alpn = {ACME}};
	put("test-ca", "tls-alpn-01", "n0.example.com", TOKEN_A);
	shake(&c, &s->tls);
	check_cert(&c, &id, TOKEN_A THUMBPRINT, "a replaced token");
	free(c.cert.data);
	take_away("acme/test-ca/challenge_tokens/n0.example.com.json");
	c = (struct client){.sni = "n0.example.com", .alpn = {ACME}};
	shake(&c, &s->tls);
	is_int(c.alert, GNUTLS_A_UNRECOGNIZED_NAME, "a token taken away");
}

/* Two CAs: the one whose token is for this kind of probe. */
static void
test_two_issuers(const struct server *s)
{
	struct client c = {.sni = "two.example.com", .alpn = {ACME}};
	struct identifier id;
	struct err err = ERR_INIT;

	identifier_parse("two.example.com", &id, &err);
	put("test-ca", "tls-alpn-01", "two.example.com", TOKEN_B);
	shake(&c, &s->tls);
	check_cert(&c, &id, TOKEN_B THUMBPRINT, "pending at two CAs");
	free(c.cert.data);
}

/* What is no TLS gets an alert and the end. */
static void
test_not_tls(const struct server *s)
{
	static const char request[] = "GET / HTTP/1.1\r\n\r\n";
	struct buf out = BUF_INIT, hello = BUF_INIT;
	int fd = connect_to(&s->tls);

	say(fd, request, sizeof(request) - 1);
	is_int(hear(fd, &out), 0, "HTTP to the TLS port: closed");
	ok(out.len == 7 &&
	        memcmp(out.data, "\x15\x03\x03\0\x02\x02\x32", 7) == 0,
	    "after an alert");
	close(fd);

	buf_clear(&out);
	make_hello(&hello, 20000, 16384);
	fd = connect_to(&s->tls);
	say(fd, hello.data, hello.len);
	is_int(hear(fd, &out), 0, "a hello of 20000 bytes: closed");
	is_int((long long)out.len, 7, "after an alert");
	close(fd);

	/* complete, and nonsense */
	buf_clear(&out);
	buf_clear(&hello);
	make_hello(&hello, 600, 16384);
	fd = connect_to(&s->tls);
	say(fd, hello.data, hello.len);
	is_int(hear(fd, &out), 0, "a hello of rubbish: closed");
	is_int((long long)out.len, 7, "after an alert");
	close(fd);
	buf_release(&hello);
	buf_release(&out);
}

static void
test_tls(void)
{
	struct server s;

	start(&s, (struct responder_config){.redirect = true});
	test_good_handshakes(&s);
	test_refused_handshakes(&s);
	test_many_handshakes(&s);
	test_replaced(&s);
	test_two_issuers(&s);
	test_not_tls(&s);
	stop(&s, "tls-alpn-01");
}

/* -- silence ------------------------------------------------------------- */

/* Bytes of a real hello, as a client sends it. */
static ssize_t
keep_hello(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
	buf_put(ptr, data, len);
	return (ssize_t)len;
}

static ssize_t
no_answer(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
	(void)ptr, (void)data, (void)len;
	errno = EAGAIN;
	return -1;
}

static void
real_hello(struct buf *out, const char *versions)
{
	struct client c = {
	    .sni = "tls.example.com", .alpn = {ACME}, .versions = versions};
	gnutls_certificate_credentials_t cred;
	gnutls_session_t s;

	gnutls_certificate_allocate_credentials(&cred);
	gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
	client_set_up(&c, s, cred);
	gnutls_transport_set_ptr(s, out);
	gnutls_transport_set_push_function(s, keep_hello);
	gnutls_transport_set_pull_function(s, no_answer);
	gnutls_handshake(s);
	gnutls_deinit(s);
	gnutls_certificate_free_credentials(cred);
}

static void
check_deadline(const struct sockaddr_in *to, const void *data, size_t len,
    bool answered, const char *what)
{
	struct buf out = BUF_INIT;
	int fd = connect_to(to);
	int64_t began = date_mono_ms(), took;

	say(fd, data, len);
	hear(fd, &out);
	took = date_mono_ms() - began;
	ok(took >= 250 && took < 1000L * PATIENCE_S / 2,
	    "%s: closed at the deadline", what);
	diag("after %lld ms", (long long)took);
	ok((out.len > 0) == answered, "%s: %s", what,
	    answered ? "the server's part came" : "without a word");
	close(fd);
	buf_release(&out);
}

static void
test_deadlines(void)
{
	static const char half[] = "GET " PATH_A HOST;
	struct buf hello = BUF_INIT;
	struct server s;

	real_hello(&hello, V13);
	start(&s,
	    (struct responder_config){
	        .redirect = true, .http_ms = 300, .tls_ms = 300});
	check_deadline(&s.http, "", 0, false, "http: silence");
	check_deadline(
	    &s.http, half, sizeof(half) - 1, false, "http: half a request");
	check_deadline(&s.tls, "", 0, false, "tls: silence");
	check_deadline(
	    &s.tls, hello.data, hello.len / 2, false, "tls: half a hello");
	check_deadline(
	    &s.tls, hello.data, hello.len, true, "tls: a hello and no more");
	ok(probe_a(&s), "a probe after them");
	stop(&s, "deadlines");
	buf_release(&hello);
}

/* One that dribbles gets no more time than one that is silent. */
static void
test_dribble(void)
{
	struct server s;
	struct pollfd p = {.events = POLLIN};
	int64_t began;
	int ready;

	start(&s, (struct responder_config){.redirect = true, .http_ms = 300});
	p.fd = connect_to(&s.http);
	began = date_mono_ms();
	say(p.fd, "GET /", 5);
	do {
		say(p.fd, "a", 1);
		ready = poll(&p, 1, 20);
	} while (ready == 0 && date_mono_ms() - began < 1000L * PATIENCE_S);
	ok(date_mono_ms() - began < 1000L * PATIENCE_S / 2,
	    "a byte now and then does not put it off");
	close(p.fd);
	stop(&s, "dribble");
}

/* Ended long before its deadline. */
static void
check_flood(
    const struct sockaddr_in *to, const struct buf *data, const char *what)
{
	struct buf out = BUF_INIT;
	int64_t began = date_mono_ms();
	int fd = connect_to(to);

	say(fd, data->data, data->len);
	hear(fd, &out);
	ok(out.len > 0 && date_mono_ms() - began < 1000L * PATIENCE_S / 2,
	    "%s: it is ended", what);
	close(fd);
	buf_release(&out);
}

/* After the hello, what TLS passes over or puts together, without end. */
static void
test_floods(void)
{
	static const char change_cipher_spec[] = {20, 3, 3, 0, 1, 1};
	/* a ClientKeyExchange of 16000 bytes, one by one */
	static const char begin[] = {22, 3, 3, 0, 4, 16, 0, 62, -128};
	static const char piece[] = {22, 3, 3, 0, 1, 0};
	struct buf hello = BUF_INIT;
	struct server s;

	start(&s, (struct responder_config){.redirect = true});
	real_hello(&hello, V13);
	for (int i = 0; i < 5000; i++)
		buf_put(&hello, change_cipher_spec, sizeof(change_cipher_spec));
	check_flood(&s.tls, &hello, "a flood of records");
	buf_clear(&hello);
	real_hello(&hello, V12);
	buf_put(&hello, begin, sizeof(begin));
	for (int i = 0; i < 10000; i++)
		buf_put(&hello, piece, sizeof(piece));
	check_flood(&s.tls, &hello, "a flood of pieces");
	ok(probe_a(&s), "a probe after them");
	stop(&s, "floods");
	buf_release(&hello);
}

/* -- crowds -------------------------------------------------------------- */

enum {
	CROWD = 2000,
	PLAIN_KB = 24 * 1024 /* larger at rest: a tool's memory, not ours */
};

static bool
wait_for_descriptors(pid_t pid, int at_most)
{
	int64_t deadline = date_mono_ms() + 1000L * PATIENCE_S;

	while (descriptors(pid) > at_most && date_mono_ms() < deadline)
		poll(NULL, 0, 5);
	return descriptors(pid) <= at_most;
}

static bool
raise_limit(rlim_t wanted)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1 || l.rlim_max < wanted)
		return false;
	l.rlim_cur = l.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

/* A thousand silent, a thousand with half a word, and honest ones. */
static void
test_crowd(void)
{
	static int fds[CROWD];
	struct client c = {.sni = "tls.example.com", .alpn = {ACME}};
	struct server s;
	int before, good_probes = 0, still = 0;
	long kb;
	int64_t began;

	if (!raise_limit(CROWD + 200)) {
		skip("descriptor limit", "%d idle connections", CROWD);
		return;
	}
	start(&s, (struct responder_config){.redirect = true});
	/* What a first handshake allocates is not the crowd's. */
	shake(&c, &s.tls);
	free(c.cert.data);
	c.cert.data = NULL;
	ok(probe_a(&s), "a probe before the crowd");
	ok(wait_for_descriptors(s.pid, descriptors(s.pid)), "at rest");
	before = descriptors(s.pid);
	kb = resident_kb(s.pid);
	for (int i = 0; i < CROWD; i++) {
		fds[i] = connect_to(i % 2 ? &s.http : &s.tls);
		if (i % 4 < 2)
			say(fds[i], i % 2 ? "GET /" : "\x16\x03\x01", 3);
	}
	began = date_mono_ms();
	for (int i = 0; i < 20; i++)
		good_probes += probe_a(&s);
	shake(&c, &s.tls);
	diag("20 probes and a handshake: %lld ms; %ld kB more",
	    (long long)(date_mono_ms() - began), resident_kb(s.pid) - kb);
	is_int(good_probes, 20, "probes among %d idle connections", CROWD);
	is_int(c.rc, 0, "and a handshake");
	if (kb < PLAIN_KB)
		ok(resident_kb(s.pid) - kb < CROWD, "less than 1 kB for each");
	free(c.cert.data);
	for (int i = 0; i < CROWD; i++) {
		still += is_open(fds[i]);
		close(fds[i]);
	}
	is_int(still, CROWD, "none of them had to go");
	ok(wait_for_descriptors(s.pid, before), "all descriptors are back");
	stop(&s, "crowd");
}

/* With room for eight: who came first goes. */
static void
test_eviction(void)
{
	enum { ROOM = 8, COME = 20 };
	struct buf hello = BUF_INIT, out = BUF_INIT;
	struct server s;
	int fds[COME], shaking, still = 0;

	real_hello(&hello, V13);
	start(&s,
	    (struct responder_config){
	        .redirect = true, .max_connections = ROOM});
	shaking = connect_to(&s.tls);
	say(shaking, hello.data, hello.len);
	/* its handshake has begun when something comes */
	poll(&(struct pollfd){.fd = shaking, .events = POLLIN}, 1,
	    1000 * PATIENCE_S);
	for (int i = 0; i < COME; i++) {
		fds[i] = connect_to(&s.http);
		if (i % 3 == 0)
			say(fds[i], "GET", 3);
	}
	for (int i = 0; i <= COME - ROOM; i++)
		hear(fds[i], &out);
	ok(probe_a(&s), "a probe finds room");
	for (int i = COME - ROOM + 2; i < COME; i++)
		still += is_open(fds[i]);
	is_int(still, ROOM - 2, "the youngest are still there");
	is_int((long long)out.len, 0, "the others were closed unanswered");
	while (recv(shaking, (char[1024]){0}, 1024, MSG_DONTWAIT) > 0)
		;
	ok(is_open(shaking), "a handshake under way was spared");
	for (int i = 0; i < COME; i++)
		close(fds[i]);
	close(shaking);
	stop(&s, "eviction");
	buf_release(&hello);
	buf_release(&out);
}

/* Each holds 15 KiB of an endless hello. */
static void
test_held_bytes(void)
{
	enum { COME = 2400 };
	static int fds[COME];
	struct buf hello = BUF_INIT, out = BUF_INIT;
	struct server s;
	long kb;

	if (!raise_limit(COME + 200)) {
		skip("descriptor limit", "%d half hellos", COME);
		return;
	}
	make_hello(&hello, 16000, 16384);
	start(&s,
	    (struct responder_config){
	        .redirect = true, .tls_ms = 60 * 1000 * PATIENCE_S});
	ok(probe_a(&s), "a probe");
	kb = resident_kb(s.pid);
	for (int i = 0; i < COME; i++) {
		fds[i] = connect_to(&s.tls);
		say(fds[i], hello.data, 15000);
	}
	ok(hear(fds[0], &out) != EAGAIN && hear(fds[COME / 4], &out) != EAGAIN,
	    "much held: who holds longest goes");
	is_int((long long)out.len, 0, "without a word");
	ok(probe_a(&s), "a probe among them");
	ok(is_open(fds[COME - 1]), "the youngest is still there");
	diag("%ld kB, %ld before", resident_kb(s.pid), kb);
	if (kb < PLAIN_KB)
		ok(resident_kb(s.pid) < 32 * 1024L, "within 32 MiB");
	for (int i = 0; i < COME; i++)
		close(fds[i]);
	stop(&s, "held bytes");
	buf_release(&hello);
	buf_release(&out);
}

static void
limit_child(pid_t pid, rlim_t n)
{
	struct rlimit l;

	if (prlimit(pid, RLIMIT_NOFILE, NULL, &l) == -1)
		fatal("prlimit");
	l.rlim_cur = n;
	if (prlimit(pid, RLIMIT_NOFILE, &l, NULL) == -1)
		fatal("prlimit");
}

static long
cpu_ticks(pid_t pid)
{
	char path[64];
	long user = 0, kernel = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f ||
	    fscanf(f,
	        "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
	        "%*u %ld %ld",
	        &user, &kernel) != 2)
		fatal(path);
	fclose(f);
	return user + kernel;
}

/* No descriptor left, and then one that can be taken from another. */
static void
test_no_descriptors(void)
{
	struct buf out = BUF_INIT;
	struct server s;
	int held, fd;
	long ticks;

	start(&s, (struct responder_config){.redirect = true});
	ok(probe_a(&s), "a probe");
	ok(wait_for_descriptors(s.pid, descriptors(s.pid)), "at rest");
	limit_child(s.pid, LOW);
	fd = connect_to(&s.http);
	is_int(hear(fd, &out), 0, "no descriptor: turned away");
	close(fd);
	ticks = cpu_ticks(s.pid);
	poll(NULL, 0, 200);
	ok(cpu_ticks(s.pid) - ticks < 10, "and the loop is at rest");
	limit_child(s.pid, 1000);
	held = connect_to(&s.http);
	ok(probe_a(&s), "descriptors again: a probe");
	limit_child(s.pid, LOW);
	fd = connect_to(&s.http);
	is_int(hear(held, &out), 0, "none again: the oldest goes");
	close(held);
	close(fd);
	limit_child(s.pid, 1000);
	ok(probe_a(&s), "a probe");
	stop(&s, "no descriptors");
	buf_release(&out);
}

/* -- listening ----------------------------------------------------------- */

static void
test_addresses(void)
{
	static const char *const wrong[] = {"", "80", "localhost:80", ":",
	    ":65536", ":99999", ":-1", ": 80", ":80x", ":0x50", ":000080",
	    "127.0.0.1", "127.0.0.1:", "127.0.0:80", "::1:80", "[::1]",
	    "[::1]80", "[127.0.0.1]:80", "[]:80", "[::1:80", "::1]:80",
	    "1.2.3.4.5:80",
	    "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:80"};
	struct listener l;
	struct err err;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err_clear(&err);
		fails(listener_open(wrong[i], &l, &err), &err, ERR_USAGE,
		    "is not an address", "\"%s\"", wrong[i]);
	}
	err_clear(&err);
	fails(listener_open("192.0.2.1:0", &l, &err), &err, ERR_UNAVAILABLE,
	    "192.0.2.1:0", "an address of another machine");
}

/* Both protocols on one port. */
static void
test_wildcard(void)
{
	struct listener l;
	struct err err = ERR_INIT;
	struct sockaddr_in to;
	int fd;

	if (!ok_err(listener_open(":0", &l, &err), &err, "every address"))
		return;
	ok(l.n >= 1 && l.port > 0, "%zu sockets, port %u", l.n, l.port);
	to = loopback(l.port);
	fd = connect_to(&to);
	ok(fd != -1, "connected by IPv4");
	close(fd);
	listener_close(&l);
	if (listener_open("[::1]:0", &l, &err) == -1) {
		skip("no IPv6", "IPv6 loopback");
		return;
	}
	is_int((long long)l.n, 1, "IPv6 loopback");
	listener_close(&l);
}

static void
test_port_busy(void)
{
	struct responder_config config = {
	    .store = store, .hits_fd = -1, .n_http = 1};
	struct listener l;
	struct err err = ERR_INIT;
	char address[32];

	listener_open("127.0.0.1:0", &l, &err);
	snprintf(address, sizeof(address), "127.0.0.1:%u", l.port);
	config.http[0] = address;
	fails(responder_open(&config, &err) ? 0 : -1, &err, ERR_UNAVAILABLE,
	    address, "a port that is taken");
	ok(strstr(err.text, "Address already in use") != NULL, "it says why");
	err_clear(&err);
	snprintf(address, sizeof(address), ":%u", l.port);
	fails(responder_open(&config, &err) ? 0 : -1, &err, ERR_UNAVAILABLE,
	    address, "a port that is taken on one address");
	listener_close(&l);
	err_clear(&err);
	config.n_http = 5;
	fails(responder_open(&config, &err) ? 0 : -1, &err, ERR_USAGE, NULL,
	    "more addresses than it holds");
}

/* Served twice: what stopped it is left to the caller. */
static void
test_serve_again(void)
{
	struct responder_config config = {.store = store,
	    .hits_fd = -1,
	    .n_http = 1,
	    .http = {"127.0.0.1:0"}};
	struct err err = ERR_INIT;
	struct responder *r = responder_open(&config, &err);
	int ends[2];

	if (!r || pipe2(ends, O_CLOEXEC) == -1)
		fatal("responder");
	say(ends[1], "", 0);
	if (write(ends[1], "x", 1) != 1)
		fatal("write");
	ok_err(responder_serve(r, ends[0], &err), &err, "stopped");
	ok_err(responder_serve(r, ends[0], &err), &err, "stopped again");
	fails(responder_serve(r, -1, &err), &err, ERR_UNAVAILABLE, NULL,
	    "nothing to be stopped by");
	responder_close(r);
	responder_close(NULL);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	struct err err = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	log_open("test_responder", LOG_ERROR);
	store = store_open(tap_tmpdir(), true, &err);
	if (!store) {
		log_err(NULL, &err);
		return 99;
	}
	put("test-ca", "http-01", "www.example.com", TOKEN_A);
	put("test-ca", "http-01", "127.0.0.1", TOKEN_B);
	put("test-ca", "http-01", "2001:db8::1", TOKEN_B);
	put("test-ca", "tls-alpn-01", "tls.example.com", TOKEN_A);
	put("test-ca", "tls-alpn-01", "127.0.0.1", TOKEN_A);
	put("test-ca", "tls-alpn-01", "2001:db8::1", TOKEN_A);
	put("aaa-ca", "http-01", "two.example.com", TOKEN_A);
	test_http();
	test_hello();
	test_tls();
	test_deadlines();
	test_dribble();
	test_floods();
	test_crowd();
	test_eviction();
	test_held_bytes();
	test_no_descriptors();
	test_addresses();
	test_wildcard();
	test_port_busy();
	test_serve_again();
	store_close(store);
	return done();
}
