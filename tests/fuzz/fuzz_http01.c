/*
 * Fuzzes the responder's reading of requests (lib/run/http01.h), whole and in
 * two pieces, and checks of every answer what must hold whatever was asked.
 *
 *	clang -fsanitize=fuzzer,address,undefined ... fuzz_http01.c
 *	./fuzz_http01 corpus/http01
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "run/http01.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static bool
begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* One head of at most six lines and no control bytes but their ends, then a
 * body as long as it says. */
static void
check_form(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n"), *length;
	size_t lines = 0;

	must(begins(answer, "HTTP/1.1 ") && end);
	for (const char *c = answer; c < end; c++) {
		must((*c >= ' ' && *c <= '~') || *c == '\r' || *c == '\n');
		must((*c == '\r') == (c[1] == '\n'));
		lines += *c == '\n';
	}
	must(lines <= 5);
	length = strstr(answer, "\r\nContent-Length: ");
	must(length && length < end);
	end += 4;
	must(!*end || strlen(end) == strtoul(length + 18, NULL, 10));
}

static void
check(const struct http01_request *request, const char *found, bool redirect)
{
	struct buf out = BUF_INIT;
	const char *answer, *location;

	http01_answer(request, found, redirect, &out);
	answer = buf_str(&out);
	must(strlen(answer) == out.len);
	check_form(answer);
	location = strstr(answer, "\r\nLocation: ");
	must(!location ||
	    (redirect && request && !found &&
	        begins(location, "\r\nLocation: https://")));
	must(begins(answer, "HTTP/1.1 200 ") == (request && found));
	buf_release(&out);
}

static void
read_request(const char *data, size_t len)
{
	struct http01_request request;
	struct http01_challenge asked;
	const char *found = NULL;

	if (http01_parse(data, len, &request) == -1) {
		check(NULL, NULL, true);
		return;
	}
	must(request.target >= data &&
	    request.target + request.target_len <= data + len);
	must(strlen(request.host) < sizeof(request.host));
	if (http01_challenge(&request, &asked)) {
		must(request.method != HTTP01_OTHER);
		must(asked.token[0] && !strpbrk(asked.token, "./\r\n%"));
		must(!strpbrk(asked.identifier.value, "/\r\n%"));
		found = asked.token;
	}
	check(&request, found, true);
	check(&request, NULL, true);
	check(&request, NULL, false);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;
	size_t head = 0, again = 0;
	enum http01_scan whole, half;

	if (size > HTTP01_HEAD_MAX)
		return 0;
	copy = malloc(size ? size : 1); /* exact: reads beyond are seen */
	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	whole = http01_scan(copy, size, 0, &head);
	half = http01_scan(copy, size / 2, 0, &again);
	if (half == HTTP01_MORE)
		half = http01_scan(copy, size, size / 2, &again);
	must(half == whole && head == again && head <= size);
	if (whole == HTTP01_READY)
		read_request(copy, head);
	/* Whoever calls it without having scanned is as safe. */
	read_request(copy, size);
	free(copy);
	return 0;
}
