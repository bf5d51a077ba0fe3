#include <config.h>

#include "run/http01.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"

static const char well_known[] = "/.well-known/acme-challenge/";
static const char version_1_0[] = "HTTP/1.0", version_1_1[] = "HTTP/1.1";

/* A piece of the head. */
struct text {
	const char *p;
	size_t n;
};

/* -- is it complete? ----------------------------------------------------- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
ends_with(struct text t, const char *end)
{
	size_t n = strlen(end);

	return t.n >= n && memcmp(t.p + t.n - n, end, n) == 0;
}

/* HTTP/0.9 has no version, and its client would wait for an answer. */
static bool
has_version(struct text line)
{
	return ends_with(line, version_1_1) || ends_with(line, version_1_0);
}

/*
 * CR and LF only as a pair (RFC 9112, 2.2 allows to be lenient; two readers of
 * one stream that differ in leniency are how requests get smuggled), and of
 * the other controls HTAB alone.
 */
static bool
byte_ok(char c, char before)
{
	if (c == '\n' || before == '\r')
		return c == '\n' && before == '\r';
	return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t' ||
	    c == '\r';
}

enum http01_scan
http01_scan(const char *data, size_t len, size_t seen, size_t *head)
{
	bool first = !seen || !memchr(data, '\n', seen);
	char before = '\0';

	if (seen > 0)
		before = data[seen - 1];
	for (size_t i = seen; i < len; i++) {
		if (!byte_ok(data[i], before))
			return HTTP01_BAD;
		before = data[i];
		if (data[i] != '\n')
			continue;
		if (first && !has_version((struct text){data, i - 1}))
			return HTTP01_BAD;
		first = false;
		if (data[i - 2] == '\n') {
			*head = i + 1;
			return HTTP01_READY;
		}
	}
	return HTTP01_MORE;
}

/* -- what does it say? --------------------------------------------------- */

/* Cuts the part before a separator off *rest. */
static bool
cut(struct text *rest, const char *separator, struct text *part)
{
	size_t n = strlen(separator);
	const char *end = memmem(rest->p, rest->n, separator, n);

	if (!end)
		return false;
	*part = (struct text){rest->p, (size_t)(end - rest->p)};
	rest->p = end + n;
	rest->n -= part->n + n;
	return true;
}

static bool
text_is(struct text t, const char *s)
{
	return t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

/* RFC 9110, 5.6.2 */
static bool
is_token(struct text t)
{
	for (size_t i = 0; i < t.n; i++) {
		char c = name_lower(t.p[i]);

		if (!is_lower(c) && !is_digit(c) &&
		    (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return t.n > 0;
}

/* Only the origin form (RFC 9112, 3.2.1): a path, perhaps with a query. */
static bool
is_target(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if (t.p[i] <= ' ' || t.p[i] > '~')
			return false;
	return t.n > 0 && t.p[0] == '/';
}

static int
parse_request_line(struct text line, struct http01_request *out)
{
	struct text method, target;

	if (!cut(&line, " ", &method) || !cut(&line, " ", &target))
		return -1;
	if (!text_is(line, version_1_1) && !text_is(line, version_1_0))
		return -1;
	if (!is_token(method) || !is_target(target))
		return -1;
	out->method = HTTP01_OTHER;
	if (text_is(method, "GET"))
		out->method = HTTP01_GET;
	if (text_is(method, "HEAD"))
		out->method = HTTP01_HEAD;
	out->target = target.p;
	out->target_len = target.n;
	return 0;
}

static struct text
trim(struct text t)
{
	while (t.n && (t.p[0] == ' ' || t.p[0] == '\t'))
		t.p++, t.n--;
	while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t'))
		t.n--;
	return t;
}

/* In brackets there is an IPv6 address, and nothing else that is a name. */
static int
parse_host(const char *host, struct identifier *out)
{
	struct err err = ERR_INIT;
	char inside[NAME_MAX_LEN + 1];
	size_t n = strlen(host);

	if (host[0] != '[')
		return identifier_parse(host, out, &err);
	if (n < 4 || host[n - 1] != ']')
		return -1;
	memcpy(inside, host + 1, n - 2);
	inside[n - 2] = '\0';
	if (identifier_parse(inside, out, &err) == -1 || out->ip_len != 16)
		return -1;
	return 0;
}

/* What may stand in a Location: more than a certificate can be for, as hosts
 * of one label and underscores are redirected too. */
static bool
is_host(const char *host)
{
	struct identifier id;

	if (host[0] == '[')
		return parse_host(host, &id) == 0;
	for (const char *c = host; *c; c++)
		if (!is_lower(*c) && !is_digit(*c) && !strchr("-._", *c))
			return false;
	return host[0] != '\0' && host[0] != '.';
}

/* The part before the port, which is digits or nothing (RFC 3986, 3.2.3). */
static struct text
without_port(struct text value)
{
	size_t n = value.n;

	while (n && is_digit(value.p[n - 1]))
		n--;
	if (n && value.p[n - 1] == ':' && value.n - n <= 5)
		value.n = n - 1;
	return value;
}

static int
take_host(struct text value, struct http01_request *out)
{
	struct text host = without_port(value);

	if (out->host[0] || host.n >= sizeof(out->host))
		return -1;
	for (size_t i = 0; i < host.n; i++)
		out->host[i] = name_lower(host.p[i]);
	out->host[host.n] = '\0';
	return is_host(out->host) ? 0 : -1;
}

/*
 * A challenge is asked for without a body; one that is announced makes the
 * request something else, and one announced by Transfer-Encoding could hide
 * anything.
 */
static int
take_content_length(struct text value, struct http01_request *out)
{
	if (out->method == HTTP01_OTHER)
		return 0;
	return text_is(value, "0") ? 0 : -1;
}

static int
take_transfer_encoding(struct text value, struct http01_request *out)
{
	(void)value, (void)out;
	return -1;
}

static const struct {
	const char *name;
	int (*take)(struct text value, struct http01_request *out);
} fields[] = {
    {"host", take_host},
    {"content-length", take_content_length},
    {"transfer-encoding", take_transfer_encoding},
};

static bool
field_is(struct text t, const char *name)
{
	for (size_t i = 0; i < t.n; i++)
		if (name_lower(t.p[i]) != name[i])
			return false;
	return name[t.n] == '\0';
}

/* RFC 9112, 5: no space before the colon, no folded lines. */
static int
parse_field(struct text line, struct http01_request *out)
{
	struct text name;

	if (!cut(&line, ":", &name) || !is_token(name))
		return -1;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (field_is(name, fields[i].name))
			return fields[i].take(trim(line), out);
	return 0;
}

int
http01_parse(const char *head, size_t len, struct http01_request *out)
{
	struct http01_request request = {.method = HTTP01_OTHER};
	struct text rest = {head, len}, first, line;

	if (!cut(&rest, "\r\n", &first) ||
	    parse_request_line(first, &request) == -1)
		return -1;
	while (cut(&rest, "\r\n", &line) && line.n)
		if (parse_field(line, &request) == -1)
			return -1;
	if (!request.host[0] && ends_with(first, version_1_1))
		return -1; /* RFC 9112, 3.2 */
	*out = request;
	return 0;
}

/* -- does it ask for a challenge? ---------------------------------------- */

/* RFC 8555, 8.3: the base64url alphabet. */
static bool
is_challenge_token(struct text t)
{
	for (size_t i = 0; i < t.n; i++) {
		char c = t.p[i];

		if (!is_lower(name_lower(c)) && !is_digit(c) && c != '-' &&
		    c != '_')
			return false;
	}
	return t.n > 0 && t.n <= HTTP01_TOKEN_MAX;
}

bool
http01_challenge(
    const struct http01_request *request, struct http01_challenge *out)
{
	const size_t prefix = sizeof(well_known) - 1;
	struct text token;

	if (request->method == HTTP01_OTHER || request->target_len <= prefix ||
	    memcmp(request->target, well_known, prefix) != 0)
		return false;
	token.p = request->target + prefix;
	token.n = request->target_len - prefix;
	if (!is_challenge_token(token) || !request->host[0] ||
	    parse_host(request->host, &out->identifier) == -1)
		return false;
	memcpy(out->token, token.p, token.n);
	out->token[token.n] = '\0';
	return true;
}

bool
http01_same_token(const char *a, const char *b)
{
	size_t n = strlen(a);
	unsigned char differ = 0;

	if (n != strlen(b))
		return false;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return differ == 0;
}

/* -- the answer ---------------------------------------------------------- */

static void
put_status(struct buf *out, const char *line)
{
	buf_printf(out, "HTTP/1.1 %s\r\nConnection: close\r\n", line);
}

static void
put_body(struct buf *out, const struct http01_request *request,
    const char *type, const char *text)
{
	buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n", type,
	    strlen(text));
	if (!request || request->method != HTTP01_HEAD)
		buf_puts(out, text);
}

void
http01_answer(const struct http01_request *request,
    const char *key_authorization, bool redirect, struct buf *out)
{
	if (request && key_authorization) {
		put_status(out, "200 OK");
		put_body(out, request, "application/octet-stream",
		    key_authorization);
	} else if (request && !redirect) {
		put_status(out, "404 Not Found");
		put_body(out, request, "text/plain", "not found\n");
	} else if (request && request->host[0]) {
		put_status(out, "301 Moved Permanently");
		buf_printf(out, "Location: https://%s%.*s\r\n", request->host,
		    (int)request->target_len, request->target);
		put_body(out, request, "text/plain", "moved to https\n");
	} else {
		put_status(out, "400 Bad Request");
		put_body(out, request, "text/plain", "bad request\n");
	}
}
