#include <config.h>

#include "io/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/date.h"
#include "base/err.h"
#include "base/file.h"
#include "base/name.h"
#include "base/url.h"
#include "io/curl.h"
#include "io/curl_api.h"

enum {
	CONNECT_MS = 10 * 1000,
	STALL_S = 15,
	TOTAL_MS = 30 * 1000,
	CONNECTIONS_PER_HOST = 8,
	CONNECTIONS_KEPT = 64,
	INTERIM_MAX = 16,		/* 1xx answers before the final one */
	POLL_MS = 60 * 1000,
	CLOCK_SLACK_MS = 50,
	FIELD_NAME_MAX = 32		/* longest name in fields[], and NUL */
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* -- types ---------------------------------------------------------------- */

/* A CA file made of bytes of ours: libcurl opens it anew for each connection,
 * and takes no bytes in memory with GnuTLS before 8.18. */
struct ca_memory {
	int fd;
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
};

struct trust {
	struct buf extra;		/* the caller's PEM; empty: none */
	bool only;
	char *system;			/* path of the bundle, once known */
	struct ca_memory narrow;	/* extra alone */
	struct ca_memory wide;		/* the system's and extra */
};

/* What this run knows of a host and port. */
struct peer {
	struct peer *next;
	char *host;			/* for messages */
	char *where;			/* "host:port" */
	bool answered;
	bool wide;			/* extra alone did not do */
};

/* The header fields whose text is kept. */
enum field { FIELD_TYPE, FIELD_LOCATION, FIELD_NONCE, FIELD_RETRY, FIELD_DATE,
	FIELDS };

enum part { PART_NONE, PART_HEAD, PART_BODY };

/* One request, and the easy handle that is used for one after another. */
struct transfer {
	struct transfer *sibling;	/* all of the same struct http */
	struct transfer *next;		/* idle or finished */
	struct http *http;
	CURL *easy;
	bool running;			/* the multi handle has it */

	http_done *done;
	void *arg;
	struct peer *peer;
	bool tls, narrow;		/* narrow: trusts extra alone */
	struct buf request_body;
	struct curl_slist *request_fields;
	int64_t started;		/* date_mono_ms() */

	enum part part;
	unsigned int blocks;		/* status lines so far */
	size_t header_bytes, header_count;	/* since the last one */
	int status;
	char *field[FIELDS];
	struct strings links;
	struct buf body;
	struct err err;			/* what our own callbacks refused */
	char curl_text[CURL_ERROR_SIZE];
};

struct http {
	const struct curl_api *curl;
	CURLM *multi;
	char *user_agent, *proxy;
	int connect_ms, stall_s, total_ms;
	struct trust trust;
	struct peer *peers;
	struct transfer *all, *idle, *finished, **finished_end;
	size_t pending;			/* begun and not yet reported */
	unsigned long connections, requests;
	bool delivering;
};

/* -- trust ---------------------------------------------------------------- */

static int
ca_memory_fill(struct ca_memory *m, const struct buf *pem, struct err *err)
{
	int fd = memfd_create("ca", MFD_CLOEXEC);

	if (fd == -1)
		return err_sys(err, ERR_SOFTWARE, "memory for CA certificates");
	if (file_write_all(fd, pem->data, pem->len) == -1 ||
	    fmt_fit(m->path, sizeof(m->path), "/proc/self/fd/%d", fd) == -1) {
		err_sys(err, ERR_SOFTWARE, "memory for CA certificates");
		close(fd);
		return -1;
	}
	m->fd = fd;
	return 0;
}

/* errno tells why not. */
static bool
file_is_readable(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1 || access(path, R_OK) == -1)
		return false;
	errno = EINVAL;
	return S_ISREG(st.st_mode);
}

/*
 * A bundle in one file, because a folder of certificates costs three times as
 * much to read.  Where libcurl was built with a bundle that is the one.
 */
static const char *
trust_system(struct http *h, CURL *easy, struct err *err)
{
	static const char *const usual[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/cert.pem",
	};
	struct trust *trust = &h->trust;
	char *built_in = NULL;
	size_t i;

	if (trust->system)
		return trust->system;
	if (h->curl->easy_getinfo(easy, CURLINFO_CAINFO, &built_in) ==
	    CURLE_OK && built_in && file_is_readable(built_in))
		trust->system = xstrdup(built_in);
	for (i = 0; !trust->system && i < LENGTH(usual); i++)
		if (file_is_readable(usual[i]))
			trust->system = xstrdup(usual[i]);
	if (!trust->system)
		err_set(err, ERR_CONFIG, "this system has no bundle of CA "
		    "certificates, not %s nor another", usual[0]);
	return trust->system;
}

static const char *
trust_wide(struct http *h, CURL *easy, struct err *err)
{
	struct trust *trust = &h->trust;
	const char *system;
	struct buf both = BUF_INIT;
	int rc = -1;

	if (trust->wide.fd != -1)
		return trust->wide.path;
	system = trust_system(h, easy, err);
	if (!system)
		return NULL;
	if (file_read(AT_FDCWD, system, BUF_MAX / 2, FILE_FOLLOW, &both,
	    err) == -1) {
		err_wrap(err, "CA certificates");
		err->code = ERR_CONFIG;
		goto out;
	}
	buf_puts(&both, "\n");
	buf_put(&both, trust->extra.data, trust->extra.len);
	rc = ca_memory_fill(&trust->wide, &both, err);
out:
	buf_release(&both);
	return rc == 0 ? trust->wide.path : NULL;
}

/* The CA file for the next connection to peer. NULL and err: there is none. */
static const char *
trust_path(struct http *h, const struct peer *peer, CURL *easy,
    struct err *err)
{
	if (h->trust.extra.len == 0)
		return trust_system(h, easy, err);
	if (h->trust.only || !peer->wide)
		return h->trust.narrow.path;
	return trust_wide(h, easy, err);
}

static int
trust_open(struct trust *trust, const struct http_config *config,
    struct err *err)
{
	trust->only = config->extra_ca_only;
	trust->extra.max = BUF_MAX / 2;
	if (config->extra_ca && config->extra_ca_len == 0)
		return err_set(err, ERR_CONFIG,
		    "the bundle of trusted CAs is empty");
	if (trust->only && !config->extra_ca)
		return err_set(err, ERR_CONFIG,
		    "no CA is to be trusted: there is no bundle");
	if (config->extra_ca) {
		if (buf_add(&trust->extra, config->extra_ca,
		    config->extra_ca_len) == -1)
			return err_set(err, ERR_CONFIG,
			    "the bundle of trusted CAs is too large");
		if (ca_memory_fill(&trust->narrow, &trust->extra, err) == -1)
			return -1;
	}
	if (config->ca_file && !trust->only) {
		if (!file_is_readable(config->ca_file))
			return err_sys(err, ERR_CONFIG, "CA certificates: %s",
			    config->ca_file);
		trust->system = xstrdup(config->ca_file);
	}
	return 0;
}

static void
trust_close(struct trust *trust)
{
	if (trust->narrow.fd != -1)
		close(trust->narrow.fd);
	if (trust->wide.fd != -1)
		close(trust->wide.fd);
	buf_release(&trust->extra);
	free(trust->system);
}

/* -- peers ---------------------------------------------------------------- */

static struct peer *
peer_of(struct http *h, const struct url *url, bool tls)
{
	const char *port = url->port[0] ? url->port : tls ? "443" : "80";
	char *where;
	struct peer *p;

	where = xasprintf(strchr(url->host, ':') ? "[%s]:%s" : "%s:%s",
	    url->host, port);
	for (p = h->peers; p; p = p->next)
		if (strcmp(p->where, where) == 0) {
			free(where);
			return p;
		}
	p = xcalloc(1, sizeof(*p));
	p->host = xstrdup(url->host);
	p->where = where;
	p->next = h->peers;
	h->peers = p;
	return p;
}

static void
peers_free(struct peer *p)
{
	struct peer *next;

	for (; p; p = next) {
		next = p->next;
		free(p->host);
		free(p->where);
		free(p);
	}
}

/* -- header fields -------------------------------------------------------- */

static int
take_text(struct transfer *t, enum field field, const char *value)
{
	free(t->field[field]);
	t->field[field] = xstrdup(value);
	return 0;
}

static int
take_type(struct transfer *t, enum field field, const char *value)
{
	size_t len = strcspn(value, "; \t");
	char *s;

	free(t->field[field]);
	t->field[field] = xstrndup(value, len);
	for (s = t->field[field]; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
	return 0;
}

static int
take_link(struct transfer *t, enum field field, const char *value)
{
	(void)field;
	strings_add(&t->links, value);
	return 0;
}

/* We ask for none, so nothing here can be made to inflate. */
static int
refuse_content_coding(struct transfer *t, enum field field, const char *value)
{
	(void)field;
	return err_set(&t->err, ERR_PROTOCOL,
	    "%s: the answer is encoded (%s), which was not asked for",
	    t->peer->host, value);
}

/* libcurl 7.88 undoes gzip here too, asked or not. */
static int
refuse_transfer_coding(struct transfer *t, enum field field, const char *value)
{
	(void)field;
	if (name_equal(value, "chunked"))
		return 0;
	return err_set(&t->err, ERR_PROTOCOL,
	    "%s: transfer coding %s was not asked for", t->peer->host, value);
}

static const struct {
	const char *name;
	int (*take)(struct transfer *t, enum field field, const char *value);
	enum field field;
} fields[] = {
	{ "content-encoding", refuse_content_coding, FIELDS },
	{ "content-type", take_type, FIELD_TYPE },
	{ "date", take_text, FIELD_DATE },
	{ "link", take_link, FIELDS },
	{ "location", take_text, FIELD_LOCATION },
	{ "replay-nonce", take_text, FIELD_NONCE },
	{ "retry-after", take_text, FIELD_RETRY },
	{ "transfer-encoding", refuse_transfer_coding, FIELDS },
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A line without its end.  What is no field of ours is passed over. */
static int
field_line(struct transfer *t, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t i, name_len = colon ? (size_t)(colon - line) : 0;
	char name[FIELD_NAME_MAX], *value;
	int rc = 0;

	if (name_len == 0 || name_len >= sizeof(name))
		return 0;
	memcpy(name, line, name_len);
	name[name_len] = '\0';
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && is_blank(line[0]))
		line++, len--;
	while (len > 0 && is_blank(line[len - 1]))
		len--;

	for (i = 0; i < LENGTH(fields); i++)
		if (name_equal(name, fields[i].name)) {
			value = xstrndup(line, len);
			rc = fields[i].take(t, fields[i].field, value);
			free(value);
			break;
		}
	return rc;
}

static void
fields_forget(struct transfer *t)
{
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		free(t->field[i]);
		t->field[i] = NULL;
	}
	strings_release(&t->links);
}

/* A status line: what an interim answer (1xx) said is forgotten. */
static int
block_begin(struct transfer *t, size_t len)
{
	if (t->blocks++ > INTERIM_MAX)
		return err_set(&t->err, ERR_PROTOCOL,
		    "%s: interim answers without end", t->peer->host);
	t->part = PART_HEAD;
	t->header_bytes = len;
	t->header_count = 0;
	fields_forget(t);
	return 0;
}

/*
 * Status lines, header fields, the empty line, and the trailer fields of a
 * chunked body, which are counted and otherwise ignored (RFC 9110, 6.5.1).
 */
static int
header_line(struct transfer *t, const char *line, size_t len)
{
	static const char status[] = "HTTP/";

	t->header_bytes += len;
	if (t->part != PART_HEAD && len >= strlen(status) &&
	    memcmp(line, status, strlen(status)) == 0)
		return block_begin(t, len);
	if (t->header_bytes > HTTP_HEADERS_MAX)
		return err_set(&t->err, ERR_PROTOCOL,
		    "%s: more than %d bytes of header", t->peer->host,
		    HTTP_HEADERS_MAX);
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len == 0) {
		t->part = PART_BODY;
		return 0;
	}
	if (++t->header_count > HTTP_HEADER_COUNT)
		return err_set(&t->err, ERR_PROTOCOL,
		    "%s: more than %d header fields", t->peer->host,
		    HTTP_HEADER_COUNT);
	if (memchr(line, '\0', len) || memchr(line, '\r', len))
		return err_set(&t->err, ERR_PROTOCOL,
		    "%s: a header field holds a control character",
		    t->peer->host);
	return t->part == PART_HEAD ? field_line(t, line, len) : 0;
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	return header_line(arg, line, size * n) == 0 ? size * n : 0;
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (buf_add(&t->body, data, size * n) == 0)
		return size * n;
	err_set(&t->err, ERR_PROTOCOL,
	    "%s: the answer is larger than %zu bytes", t->peer->host,
	    t->body.max);
	return 0;
}

/* -- options -------------------------------------------------------------- */

/*
 * Thin coats over the variadic setopt, one per type, because the compiler
 * checks nothing there.  A refusal is remembered in t->err and looked at once:
 * a setting that did not take must never go unnoticed.
 */
static void
note(struct transfer *t, CURLoption option, CURLcode rc)
{
	if (rc != CURLE_OK && t->err.code == ERR_NONE)
		err_bug(&t->err, "libcurl refuses option %d: %s", (int)option,
		    t->http->curl->easy_strerror(rc));
}

static void
set_long(struct transfer *t, CURLoption option, long value)
{
	note(t, option, t->http->curl->easy_setopt(t->easy, option, value));
}

static void
set_size(struct transfer *t, CURLoption option, size_t value)
{
	note(t, option,
	    t->http->curl->easy_setopt(t->easy, option, (curl_off_t)value));
}

static void
set_text(struct transfer *t, CURLoption option, const char *value)
{
	note(t, option, t->http->curl->easy_setopt(t->easy, option, value));
}

static void
set_pointer(struct transfer *t, CURLoption option, void *value)
{
	note(t, option, t->http->curl->easy_setopt(t->easy, option, value));
}

static void
set_callback(struct transfer *t, CURLoption option, curl_write_callback value)
{
	note(t, option, t->http->curl->easy_setopt(t->easy, option, value));
}

/*
 * The same for every request.  Not set, and so off: cookies, HSTS and alt-svc
 * caches, content decoding, server push.  libcurl's built-in CA folder must be
 * switched off by name, it is trusted besides CAINFO otherwise.
 */
static const struct {
	CURLoption option;
	long value;
} numbers[] = {
	{ CURLOPT_NOSIGNAL, 1 },
	{ CURLOPT_FOLLOWLOCATION, 0 },
	{ CURLOPT_HTTP09_ALLOWED, 0 },
	{ CURLOPT_NETRC, CURL_NETRC_IGNORED },
	{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
	{ CURLOPT_SSL_VERIFYPEER, 1 },
	{ CURLOPT_SSL_VERIFYHOST, 2 },
	{ CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
	{ CURLOPT_PROXY_SSL_VERIFYPEER, 1 },
	{ CURLOPT_PROXY_SSL_VERIFYHOST, 2 },
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS },
	{ CURLOPT_PIPEWAIT, 1 },	/* many streams, not many connections */
	{ CURLOPT_TCP_KEEPALIVE, 1 },
	{ CURLOPT_PATH_AS_IS, 1 },	/* a JWS carries the URL as it is */
	{ CURLOPT_LOW_SPEED_LIMIT, 1 },
#if LIBCURL_VERSION_NUM >= 0x075700
	{ CURLOPT_QUICK_EXIT, 1 },	/* never wait for a resolver thread */
#endif
};

static void
set_constants(struct transfer *t)
{
	size_t i;

	for (i = 0; i < LENGTH(numbers); i++)
		set_long(t, numbers[i].option, numbers[i].value);
	set_text(t, CURLOPT_USERAGENT, t->http->user_agent);
	set_text(t, CURLOPT_PROXY, t->http->proxy);
	set_pointer(t, CURLOPT_PRIVATE, t);
	set_pointer(t, CURLOPT_ERRORBUFFER, t->curl_text);
	set_callback(t, CURLOPT_HEADERFUNCTION, on_header);
	set_pointer(t, CURLOPT_HEADERDATA, t);
	set_callback(t, CURLOPT_WRITEFUNCTION, on_body);
	set_pointer(t, CURLOPT_WRITEDATA, t);
}

static void
set_trust(struct transfer *t, const char *ca_file)
{
	set_text(t, CURLOPT_CAINFO, ca_file);
	set_text(t, CURLOPT_CAPATH, NULL);
	set_text(t, CURLOPT_PROXY_CAINFO, ca_file);
	set_text(t, CURLOPT_PROXY_CAPATH, NULL);
}

/* The total is one for a request and its repetition with wider trust. */
static void
set_deadlines(struct transfer *t)
{
	int64_t left = t->started + t->http->total_ms - date_mono_ms();

	set_long(t, CURLOPT_CONNECTTIMEOUT_MS, t->http->connect_ms);
	set_long(t, CURLOPT_LOW_SPEED_TIME, t->http->stall_s);
	set_long(t, CURLOPT_TIMEOUT_MS, left > 1 ? (long)left : 1);
}

static void
add_field(struct transfer *t, const char *name, const char *value)
{
	const struct curl_api *curl = t->http->curl;
	char *line = xasprintf("%s:%s%s", name, value ? " " : "",
	    value ? value : "");
	struct curl_slist *list = curl->slist_append(t->request_fields, line);

	free(line);
	if (list)
		t->request_fields = list;
	else
		note(t, CURLOPT_HTTPHEADER, CURLE_OUT_OF_MEMORY);
}

static void
set_method(struct transfer *t, const struct http_request *request)
{
	/* Our own count is what holds; this sees a Content-Length at once. */
	set_size(t, CURLOPT_MAXFILESIZE_LARGE, t->body.max);
	if (strcmp(request->method, "GET") == 0) {
		set_long(t, CURLOPT_HTTPGET, 1);
	} else if (strcmp(request->method, "HEAD") == 0) {
		set_long(t, CURLOPT_NOBODY, 1);
		set_size(t, CURLOPT_MAXFILESIZE_LARGE, 0);
	} else if (strcmp(request->method, "POST") == 0) {
		if (request->body_len > 0)
			buf_put(&t->request_body, request->body,
			    request->body_len);
		set_long(t, CURLOPT_POST, 1);
		set_size(t, CURLOPT_POSTFIELDSIZE_LARGE, t->request_body.len);
		set_text(t, CURLOPT_POSTFIELDS, buf_str(&t->request_body));
	} else {
		err_bug(&t->err, "HTTP method %s", request->method);
	}
}

static void
set_request(struct transfer *t, const struct http_request *request)
{
	set_text(t, CURLOPT_URL, request->url);
	set_text(t, CURLOPT_PROTOCOLS_STR,
	    request->plain_ok ? "http,https" : "https");
	set_method(t, request);
	if (request->accept)
		add_field(t, "Accept", request->accept);
	/* A name without a value takes curl's own field away. */
	add_field(t, "Content-Type", request->content_type);
	add_field(t, "Expect", NULL);
	set_pointer(t, CURLOPT_HTTPHEADER, t->request_fields);
}

/* -- transfers ------------------------------------------------------------ */

static void
answer_forget(struct transfer *t)
{
	t->part = PART_NONE;
	t->blocks = 0;
	t->header_bytes = t->header_count = 0;
	t->status = 0;
	t->curl_text[0] = '\0';
	fields_forget(t);
	buf_clear(&t->body);
	err_clear(&t->err);
}

/* Off to the list of idle ones, with nothing left of its request. */
static void
transfer_recycle(struct transfer *t)
{
	struct http *h = t->http;

	answer_forget(t);
	buf_release(&t->body);
	buf_release(&t->request_body);
	h->curl->easy_reset(t->easy);
	h->curl->slist_free_all(t->request_fields);
	t->request_fields = NULL;
	t->next = h->idle;
	h->idle = t;
}

static void
transfer_free(struct transfer *t)
{
	const struct curl_api *curl = t->http->curl;

	if (t->running)
		curl->multi_remove_handle(t->http->multi, t->easy);
	curl->easy_cleanup(t->easy);
	curl->slist_free_all(t->request_fields);
	fields_forget(t);
	buf_release(&t->body);
	buf_release(&t->request_body);
	free(t);
}

static struct transfer *
transfer_take(struct http *h, struct err *err)
{
	struct transfer *t = h->idle;

	if (t) {
		h->idle = t->next;
		t->next = NULL;
		return t;
	}
	t = xcalloc(1, sizeof(*t));
	t->http = h;
	t->request_body.secret = true;
	t->easy = h->curl->easy_init();
	if (!t->easy) {
		err_bug(err, "libcurl makes no handle");
		free(t);
		return NULL;
	}
	t->sibling = h->all;
	h->all = t;
	return t;
}

/* Sends a request that is set up; t->err says why not. */
static int
transfer_launch(struct transfer *t)
{
	struct http *h = t->http;
	struct err none = ERR_INIT;
	const char *ca_file;
	CURLMcode rc;

	ca_file = trust_path(h, t->peer, t->easy, t->tls ? &t->err : &none);
	if (ca_file)
		set_trust(t, ca_file);
	set_deadlines(t);
	if (t->err.code != ERR_NONE)
		return -1;
	rc = h->curl->multi_add_handle(h->multi, t->easy);
	if (rc != CURLM_OK)
		return err_bug(&t->err, "libcurl takes no request: %s",
		    h->curl->multi_strerror(rc));
	t->narrow = ca_file == h->trust.narrow.path;
	t->running = true;
	return 0;
}

/* -- failures ------------------------------------------------------------- */

enum tail { TAIL_NONE, TAIL_CURL, TAIL_ERRNO };
enum repeat { REPEAT_NO, REPEAT_SILENT, REPEAT_KNOWN };

/*
 * What libcurl's codes mean to a person: before HOST after: tail.  The request
 * may be repeated if no byte of an answer came (REPEAT_SILENT), or if the host
 * refuses a connection now but has answered before (REPEAT_KNOWN).
 */
static const struct failure {
	CURLcode rc;
	enum err_code code;
	const char *before;
	bool port;
	const char *after;
	enum tail tail;
	enum repeat repeat;
} failures[] = {
	{ CURLE_COULDNT_RESOLVE_PROXY, ERR_UNAVAILABLE,
	    "cannot find the address of the proxy for ", false, "",
	    TAIL_CURL, REPEAT_NO },
	{ CURLE_COULDNT_RESOLVE_HOST, ERR_UNAVAILABLE,
	    "cannot find the address of ", false, "", TAIL_CURL, REPEAT_NO },
	{ CURLE_COULDNT_CONNECT, ERR_UNAVAILABLE,
	    "cannot connect to ", true, "", TAIL_ERRNO, REPEAT_KNOWN },
	{ CURLE_GOT_NOTHING, ERR_UNAVAILABLE,
	    "", false, " closed the connection without an answer",
	    TAIL_NONE, REPEAT_SILENT },
	{ CURLE_SEND_ERROR, ERR_UNAVAILABLE,
	    "the connection to ", false, " broke", TAIL_CURL, REPEAT_SILENT },
	{ CURLE_RECV_ERROR, ERR_UNAVAILABLE,
	    "the connection to ", false, " broke", TAIL_CURL, REPEAT_SILENT },
	{ CURLE_HTTP2, ERR_UNAVAILABLE,
	    "the connection to ", false, " broke", TAIL_CURL, REPEAT_SILENT },
	{ CURLE_HTTP2_STREAM, ERR_UNAVAILABLE,
	    "the connection to ", false, " broke", TAIL_CURL, REPEAT_SILENT },
	{ CURLE_PARTIAL_FILE, ERR_UNAVAILABLE,
	    "the answer of ", false, " broke off", TAIL_CURL, REPEAT_SILENT },
	{ CURLE_SSL_CONNECT_ERROR, ERR_UNAVAILABLE,
	    "", true, ": no TLS connection", TAIL_CURL, REPEAT_NO },
	{ CURLE_PROXY, ERR_UNAVAILABLE,
	    "", false, ": the proxy failed", TAIL_CURL, REPEAT_NO },
	{ CURLE_PEER_FAILED_VERIFICATION, ERR_CONFIG,
	    "", false, ": its certificate is not trusted", TAIL_CURL,
	    REPEAT_NO },
	{ CURLE_SSL_ISSUER_ERROR, ERR_CONFIG,
	    "", false, ": its certificate is not trusted", TAIL_CURL,
	    REPEAT_NO },
	{ CURLE_SSL_CACERT_BADFILE, ERR_CONFIG,
	    "", false, ": the file of CA certificates is unusable", TAIL_CURL,
	    REPEAT_NO },
	/* Schemes are checked before: what is left is HTTP/0.9. */
	{ CURLE_UNSUPPORTED_PROTOCOL, ERR_PROTOCOL,
	    "", false, ": the answer is not HTTP/1.1 or HTTP/2", TAIL_CURL,
	    REPEAT_NO },
	{ CURLE_WEIRD_SERVER_REPLY, ERR_PROTOCOL,
	    "", false, ": the answer is not HTTP", TAIL_CURL, REPEAT_NO },
	{ CURLE_BAD_CONTENT_ENCODING, ERR_PROTOCOL,
	    "", false, ": the answer is badly encoded", TAIL_CURL, REPEAT_NO },
	{ CURLE_FILESIZE_EXCEEDED, ERR_PROTOCOL,
	    "", false, ": the answer is too large", TAIL_CURL, REPEAT_NO },
#if LIBCURL_VERSION_NUM >= 0x080600
	{ CURLE_TOO_LARGE, ERR_PROTOCOL,
	    "", false, ": the answer is too large", TAIL_CURL, REPEAT_NO },
#endif
	{ CURLE_URL_MALFORMAT, ERR_DATA,
	    "", false, ": libcurl does not understand the URL", TAIL_CURL,
	    REPEAT_NO },
	{ CURLE_OUT_OF_MEMORY, ERR_SOFTWARE,
	    "", false, ": out of memory", TAIL_NONE, REPEAT_NO },
	{ CURLE_OK, ERR_UNAVAILABLE,	/* any other */
	    "", false, ": the request failed", TAIL_CURL, REPEAT_NO },
};

static const struct failure *
failure_of(CURLcode rc)
{
	const struct failure *f = failures;

	while (f->rc != rc && f->rc != CURLE_OK)
		f++;
	return f;
}

static long
info_long(const struct transfer *t, CURLINFO info)
{
	long value = 0;

	if (t->http->curl->easy_getinfo(t->easy, info, &value) != CURLE_OK)
		return 0;
	return value;
}

/* libcurl's own words, or the code's if it had none; never the names of our
 * files in memory, with which some releases end. */
static const char *
curl_words(struct transfer *t, CURLcode rc)
{
	size_t len;
	char *cut;

	if (!t->curl_text[0])
		return t->http->curl->easy_strerror(rc);
	cut = strstr(t->curl_text, "CAfile");
	if (cut)
		*cut = '\0';
	for (len = strlen(t->curl_text); len > 0; len--)
		if (!strchr(" .(", t->curl_text[len - 1]))
			break;
	t->curl_text[len] = '\0';
	return t->curl_text;
}

static const char *
tail_words(struct transfer *t, enum tail tail, CURLcode rc)
{
	long number = 0;

	if (tail == TAIL_NONE)
		return "";
	if (tail == TAIL_ERRNO)
		number = info_long(t, CURLINFO_OS_ERRNO);
	return number > 0 ? strerror((int)number) : curl_words(t, rc);
}

static bool
may_repeat(const struct transfer *t, enum repeat repeat)
{
	if (repeat == REPEAT_SILENT)
		return t->blocks == 0;
	return repeat == REPEAT_KNOWN && t->peer->answered;
}

/* libcurl has one code for three deadlines: which one it was is a matter of
 * time, and its clock is not quite ours. */
static int
fail_timeout(struct transfer *t)
{
	const struct http *h = t->http;
	int64_t passed = date_mono_ms() - t->started;
	bool total = passed + CLOCK_SLACK_MS >= h->total_ms;
	curl_off_t sent_at = 0;

	h->curl->easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_at);
	if (sent_at == 0)
		return err_set(&t->err, ERR_UNAVAILABLE,
		    "no connection to %s within %g s", t->peer->where,
		    (total ? h->total_ms : h->connect_ms) / 1000.0);
	if (!total)
		return err_set(&t->err, ERR_UNAVAILABLE,
		    "nothing came from %s for %d s", t->peer->host,
		    h->stall_s);
	return err_set(&t->err, ERR_UNAVAILABLE, "no %sanswer from %s within "
	    "%g s", t->blocks > 0 ? "complete " : "", t->peer->host,
	    h->total_ms / 1000.0);
}

/* Fills t->err for a request that libcurl gave up. */
static void
fail(struct transfer *t, CURLcode rc)
{
	const struct failure *f = failure_of(rc);
	long proxy_status = info_long(t, CURLINFO_HTTP_CONNECTCODE);
	const char *tail;

	if (rc == CURLE_OPERATION_TIMEDOUT) {
		fail_timeout(t);
		return;
	}
	if (t->blocks == 0 && proxy_status >= 300) {
		err_set(&t->err, ERR_UNAVAILABLE,
		    "cannot connect to %s: the proxy answers %ld",
		    t->peer->where, proxy_status);
		return;
	}
	tail = tail_words(t, f->tail, rc);
	err_set(&t->err, f->code, "%s%s%s%s%s%s", f->before,
	    f->port ? t->peer->where : t->peer->host, f->after,
	    tail[0] ? ": " : "", tail,
	    rc == CURLE_PEER_FAILED_VERIFICATION && !t->http->trust.only ?
	    " (autocert_trusted_ca_file adds a private CA)" : "");
	if (may_repeat(t, f->repeat))
		t->err.sys = HTTP_REPEATABLE;
}

/* -- the loop ------------------------------------------------------------- */

static void
append_finished(struct http *h, struct transfer *t)
{
	t->next = NULL;
	*h->finished_end = t;
	h->finished_end = &t->next;
}

static void
check_status(struct transfer *t)
{
	t->status = (int)info_long(t, CURLINFO_RESPONSE_CODE);
	if (t->status < 200 || t->status > 599)
		err_set(&t->err, ERR_PROTOCOL, "%s: HTTP status %d",
		    t->peer->host, t->status);
}

/*
 * Extra alone is only where we begin.  Nothing of the request was sent when a
 * handshake fails, so it begins again with both.
 */
static bool
begin_again(struct transfer *t)
{
	t->peer->wide = true;
	answer_forget(t);
	if (transfer_launch(t) == 0)
		return true;
	err_wrap(&t->err, "%s", t->peer->host);
	return false;
}

/* libcurl is done with t. */
static void
transfer_end(struct transfer *t, CURLcode rc)
{
	struct http *h = t->http;

	h->connections += (unsigned long)info_long(t, CURLINFO_NUM_CONNECTS);
	h->curl->multi_remove_handle(h->multi, t->easy);
	t->running = false;
	if (t->blocks > 0)
		t->peer->answered = true;

	if (rc == CURLE_PEER_FAILED_VERIFICATION && t->narrow &&
	    !h->trust.only) {
		if (begin_again(t))
			return;
	} else if (t->err.code == ERR_NONE) {
		if (rc != CURLE_OK)
			fail(t, rc);
		else
			check_status(t);
	}
	append_finished(h, t);
}

/* Moves everything; what has ended waits in h->finished. */
static int
perform(struct http *h, struct err *err)
{
	struct transfer *t;
	CURLMsg *msg;
	CURLMcode rc;
	CURLcode ended;
	int n;

	rc = h->curl->multi_perform(h->multi, &n);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl: %s", h->curl->multi_strerror(rc));
	while ((msg = h->curl->multi_info_read(h->multi, &n)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		/* The message dies when its handle is removed. */
		ended = msg->data.result;
		if (h->curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
		    &t) == CURLE_OK)
			transfer_end(t, ended);
	}
	return 0;
}

static const char *
text_of(const struct transfer *t, enum field field)
{
	return t->field[field] ? t->field[field] : "";
}

static void
report(struct transfer *t)
{
	struct http_response response = {
		.status = t->status,
		.content_type = text_of(t, FIELD_TYPE),
		.location = text_of(t, FIELD_LOCATION),
		.replay_nonce = text_of(t, FIELD_NONCE),
		.retry_after = text_of(t, FIELD_RETRY),
		.date = text_of(t, FIELD_DATE),
		.links = &t->links,
		.body = t->body,
	};

	if (t->err.code == ERR_NONE)
		t->done(t->arg, &response, NULL);
	else
		t->done(t->arg, NULL, &t->err);
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
		report(t);
		transfer_recycle(t);
	}
	h->delivering = false;
	return n;
}

/* Not curl_multi_poll()'s verdict: it says nothing of a hang-up. */
static bool
fd_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd != -1 && poll(&p, 1, 0) == 1;
}

static int
pause_for(struct http *h, int fd, int64_t ms, struct err *err)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	CURLMcode rc;

	rc = h->curl->multi_poll(h->multi, fd == -1 ? NULL : &extra,
	    fd == -1 ? 0 : 1, ms < POLL_MS ? (int)ms : POLL_MS, NULL);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl: %s", h->curl->multi_strerror(rc));
	return 0;
}

/* -- the interface -------------------------------------------------------- */

static int
multi_open(struct http *h, int max_connections, struct err *err)
{
	long per_host = max_connections > 0 ? max_connections
					    : CONNECTIONS_PER_HOST;
	CURLMcode rc;

	h->multi = h->curl->multi_init();
	if (!h->multi)
		return err_bug(err, "libcurl makes no multi handle");
	rc = h->curl->multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
	    per_host);
	if (rc == CURLM_OK)
		rc = h->curl->multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
		    (long)CONNECTIONS_KEPT);
	if (rc != CURLM_OK)
		return err_bug(err, "libcurl refuses a limit: %s",
		    h->curl->multi_strerror(rc));
	return 0;
}

struct http *
http_open(const struct http_config *config, struct err *err)
{
	const struct curl_api *curl = curl_load(err);
	struct http *h;

	if (!curl)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->curl = curl;
	h->finished_end = &h->finished;
	h->trust.narrow.fd = h->trust.wide.fd = -1;
	h->user_agent = xstrdup(config->user_agent ? config->user_agent
						   : PACKAGE "/" VERSION);
	h->proxy = config->proxy ? xstrdup(config->proxy) : NULL;
	h->connect_ms = config->connect_ms ? config->connect_ms : CONNECT_MS;
	h->stall_s = config->stall_s ? config->stall_s : STALL_S;
	h->total_ms = config->total_ms ? config->total_ms : TOTAL_MS;
	if (trust_open(&h->trust, config, err) == -1 ||
	    multi_open(h, config->max_connections, err) == -1) {
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
	if (h->multi)
		h->curl->multi_cleanup(h->multi);
	trust_close(&h->trust);
	peers_free(h->peers);
	free(h->user_agent);
	free(h->proxy);
	free(h);
}

static int
check_url(const struct http_request *request, struct url *url, bool *tls,
    struct err *err)
{
	if (url_parse("URL", request->url, url, err) == -1)
		return -1;
	*tls = strcmp(url->scheme, "https") == 0;
	if (!*tls && (strcmp(url->scheme, "http") != 0 || !request->plain_ok))
		return err_set(err, ERR_PROTOCOL, "%s: only https:// will do",
		    url->text);
	if (url->userinfo)
		return err_set(err, ERR_PROTOCOL,
		    "%s: a user name in a URL is not allowed", url->host);
	return 0;
}

int
http_start(struct http *h, const struct http_request *request,
    http_done *done, void *arg, struct err *err)
{
	struct transfer *t;
	struct url url;
	bool tls;

	if (check_url(request, &url, &tls, err) == -1)
		return -1;
	t = transfer_take(h, err);
	if (!t)
		return -1;
	t->done = done;
	t->arg = arg;
	t->tls = tls;
	t->peer = peer_of(h, &url, tls);
	t->started = date_mono_ms();
	t->body.max = request->body_max ? request->body_max : HTTP_BODY_MAX;
	set_constants(t);
	set_request(t, request);
	if (transfer_launch(t) == -1) {
		*err = t->err;
		transfer_recycle(t);
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

int
http_wait(struct http *h, int fd, int timeout_ms, bool *readable,
    struct err *err)
{
	int64_t left, end = timeout_ms < 0 ? INT64_MAX
					   : date_mono_ms() + timeout_ms;
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
	struct err ignored = ERR_INIT;	/* http_wait() meets it again */

	perform(h, &ignored);
}

void
http_counts(const struct http *h, unsigned long *connections,
    unsigned long *requests)
{
	*connections = h->connections;
	*requests = h->requests;
}
