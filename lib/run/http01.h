/*
 * http-01 (RFC 8555, 8.3) as text: a request read strictly, and the answer to
 * it.  Nothing here opens, waits or looks anything up; the responder does.
 *
 * One request per connection.  What is not a request by the letter of RFC 9112
 * is answered with 400 and nothing of it is used.  An answer's body is
 * constant but for a key authorization; of what the client sent only a host
 * and a target that hold nothing but harmless characters come back to it, in
 * the Location of a redirect.
 *
 *	switch (http01_scan(data, len, seen, &head))
 *	case HTTP01_READY:
 *		if (http01_parse(data, head, &request) == 0 &&
 *		    http01_challenge(&request, &challenge))
 *			look for challenge.identifier and challenge.token
 *		http01_answer(&request, key_authorization, redirect, out);
 */
#ifndef RUN_HTTP01_H
#define RUN_HTTP01_H

#include <stdbool.h>
#include <stddef.h>

#include "base/name.h"

struct buf;

enum {
	HTTP01_HEAD_MAX = 4096, /* request line and headers */
	HTTP01_TOKEN_MAX = 512
};

enum http01_scan { HTTP01_MORE, HTTP01_READY, HTTP01_BAD };

/*
 * Whether the head of a request is complete: *head is then its length, the
 * empty line included.  seen is how many bytes an earlier call has looked at.
 * Bad as soon as a byte is met that no request can hold, or a first line that
 * is not HTTP/1.0 or 1.1.
 */
enum http01_scan
http01_scan(const char *data, size_t len, size_t seen, size_t *head);

enum http01_method { HTTP01_GET, HTTP01_HEAD, HTTP01_OTHER };

struct http01_request {
	enum http01_method method;
	const char *target; /* into the head, printable ASCII */
	size_t target_len;
	char host[NAME_MAX_LEN + 1]; /* lower case, no port, IPv6 in
					 * brackets; "" when it named none */
};

/* Reads a complete head. 0, or -1 when it is not a request. */
int http01_parse(const char *head, size_t len, struct http01_request *out);

struct http01_challenge {
	struct identifier identifier;
	char token[HTTP01_TOKEN_MAX + 1];
};

/* Whether the request asks for a challenge, and for which. */
bool http01_challenge(
    const struct http01_request *request, struct http01_challenge *out);

/* Equal, found out in a time that depends on the lengths alone. */
bool http01_same_token(const char *a, const char *b);

/*
 * Appends the whole answer: the key authorization, if there is one; else the
 * redirect to https or 404.  400 for a NULL request, and where a redirect has
 * no host to lead to.
 */
void http01_answer(const struct http01_request *request,
    const char *key_authorization, bool redirect, struct buf *out);

#endif
