#include <config.h>

#include "io/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "io/transfer.h"

/* -- one option ----------------------------------------------------------- */

/* Thin coats over the variadic setopt, one per type, because the compiler
 * checks nothing there. */
static void
note(struct transfer *t, CURLoption option, CURLcode rc)
{
	if (rc != CURLE_OK && t->err.code == ERR_NONE)
		err_bug(&t->err, "libcurl refuses option %d: %s", (int)option,
		    t->session->curl->easy_strerror(rc));
}

static void
set_long(struct transfer *t, CURLoption option, long value)
{
	note(t, option, t->session->curl->easy_setopt(t->easy, option, value));
}

static void
set_size(struct transfer *t, CURLoption option, size_t value)
{
	note(t, option,
	    t->session->curl->easy_setopt(t->easy, option, (curl_off_t)value));
}

static void
set_text(struct transfer *t, CURLoption option, const char *value)
{
	note(t, option, t->session->curl->easy_setopt(t->easy, option, value));
}

static void
set_pointer(struct transfer *t, CURLoption option, void *value)
{
	note(t, option, t->session->curl->easy_setopt(t->easy, option, value));
}

static void
set_callback(struct transfer *t, CURLoption option, curl_write_callback value)
{
	note(t, option, t->session->curl->easy_setopt(t->easy, option, value));
}

/* -- every request -------------------------------------------------------- */

/*
 * Not set, and so off: cookies, HSTS and alt-svc caches, content decoding,
 * server push.
 */
static const struct {
	CURLoption option;
	long value;
} numbers[] = {
    {CURLOPT_NOSIGNAL, 1}, {CURLOPT_FOLLOWLOCATION, 0},
    {CURLOPT_HTTP09_ALLOWED, 0}, {CURLOPT_NETRC, CURL_NETRC_IGNORED},
    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2}, {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
    {CURLOPT_PROXY_SSL_VERIFYPEER, 1}, {CURLOPT_PROXY_SSL_VERIFYHOST, 2},
    {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS},
    {CURLOPT_PIPEWAIT, 1}, /* many streams, not many connections */
    {CURLOPT_TCP_KEEPALIVE, 1},
    {CURLOPT_PATH_AS_IS, 1}, /* a JWS carries the URL as it is */
    {CURLOPT_LOW_SPEED_LIMIT, 1},
#if LIBCURL_VERSION_NUM >= 0x075700
    {CURLOPT_QUICK_EXIT, 1}, /* never wait for a resolver thread */
#endif
};

static void
set_constants(struct transfer *t)
{
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		set_long(t, numbers[i].option, numbers[i].value);
	set_text(t, CURLOPT_USERAGENT, t->session->user_agent);
	set_text(t, CURLOPT_PROXY, t->session->proxy);
	set_pointer(t, CURLOPT_PRIVATE, t);
	set_pointer(t, CURLOPT_ERRORBUFFER, t->curl_text);
	set_callback(t, CURLOPT_HEADERFUNCTION, transfer_on_header);
	set_pointer(t, CURLOPT_HEADERDATA, t);
	set_callback(t, CURLOPT_WRITEFUNCTION, transfer_on_body);
	set_pointer(t, CURLOPT_WRITEDATA, t);
}

/* -- one request ---------------------------------------------------------- */

static void
add_field(struct transfer *t, const char *name, const char *value)
{
	const struct curl_api *curl = t->session->curl;
	char *line = xasprintf(
	    "%s:%s%s", name, value ? " " : "", value ? value : "");
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
			buf_put(
			    &t->request_body, request->body, request->body_len);
		set_long(t, CURLOPT_POST, 1);
		set_size(t, CURLOPT_POSTFIELDSIZE_LARGE, t->request_body.len);
		set_text(t, CURLOPT_POSTFIELDS, buf_str(&t->request_body));
	} else {
		err_bug(&t->err, "HTTP method %s", request->method);
	}
}

void
options_set(struct transfer *t, const struct http_request *request)
{
	set_constants(t);
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

/* -- one attempt ---------------------------------------------------------- */

/* libcurl's built-in CA folder must be switched off by name, it is trusted
 * besides CAINFO otherwise. */
void
options_set_trust(struct transfer *t, const char *ca_file)
{
	set_text(t, CURLOPT_CAINFO, ca_file);
	set_text(t, CURLOPT_CAPATH, NULL);
	set_text(t, CURLOPT_PROXY_CAINFO, ca_file);
	set_text(t, CURLOPT_PROXY_CAPATH, NULL);
}

/* The total is one for a request and its repetition with wider trust. */
void
options_set_deadlines(struct transfer *t)
{
	int64_t left = t->started + t->session->total_ms - date_mono_ms();

	set_long(t, CURLOPT_CONNECTTIMEOUT_MS, t->session->connect_ms);
	set_long(t, CURLOPT_LOW_SPEED_TIME, t->session->stall_s);
	set_long(t, CURLOPT_TIMEOUT_MS, left > 1 ? (long)left : 1);
}
