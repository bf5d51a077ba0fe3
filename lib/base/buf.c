#include <config.h>

#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

/* -- the end -- */

/* Logging allocates nothing: there may be no memory left for it. */
static _Noreturn void
die(const char *why)
{
	log_error(NULL, "%s", why);
	exit(ERR_SOFTWARE);
}

static void *
must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

void *
xmalloc(size_t n)
{
	return must(malloc(n ? n : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	return must(n && size ? calloc(n, size) : calloc(1, 1));
}

void *
xrealloc(void *p, size_t n, size_t size)
{
	return must(n && size ? reallocarray(p, n, size) : realloc(p, 1));
}

char *
xstrdup(const char *s)
{
	return must(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
	return must(strndup(s, n));
}

char *
xasprintf(const char *fmt, ...)
{
	char *s;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : s);
}

void
secret_free(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

int
fmt_fit(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

/* -- bytes -- */

enum { BUF_FIRST = 64 };

/* realloc() would leave a copy of a secret behind. */
static void
move(struct buf *b, size_t cap)
{
	unsigned char *data;

	if (!b->secret) {
		b->data = xrealloc(b->data, cap, 1);
	} else {
		data = xmalloc(cap);
		if (b->data) {
			memcpy(data, b->data, b->len);
			explicit_bzero(b->data, b->cap);
			free(b->data);
		}
		b->data = data;
	}
	b->cap = cap;
}

/* Room for more bytes and the NUL, or -1. */
static int
reserve(struct buf *b, size_t more)
{
	size_t max = b->max ? b->max : BUF_MAX;
	size_t cap = b->cap ? b->cap : BUF_FIRST;
	size_t need;

	if (b->len > max || more > max - b->len || more >= SIZE_MAX - b->len)
		return -1;
	need = b->len + more + 1;
	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	move(b, cap);
	return 0;
}

int
buf_add(struct buf *b, const void *data, size_t len)
{
	if (reserve(b, len) == -1)
		return -1;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

void
buf_put(struct buf *b, const void *data, size_t len)
{
	if (buf_add(b, data, len) == -1)
		die("internal error: more text than its buffer may hold");
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

/* Formats in place, so that no copy of a secret is left elsewhere. */
void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || reserve(b, (size_t)n) == -1)
		die("internal error: more text than its buffer may hold");
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

const char *
buf_str(const struct buf *b)
{
	return b->data ? (const char *)b->data : "";
}

void
buf_clear(struct buf *b)
{
	if (!b->data)
		return;
	if (b->secret)
		explicit_bzero(b->data, b->cap);
	b->data[0] = '\0';
	b->len = 0;
}

void
buf_release(struct buf *b)
{
	if (b->data && b->secret)
		explicit_bzero(b->data, b->cap);
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

/* -- strings -- */

void
strings_add(struct strings *s, const char *text)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 8;
		s->v = xrealloc(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = xstrdup(text);
}

bool
strings_have(const struct strings *s, const char *text)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i], text) == 0)
			return true;
	return false;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
strings_sort(struct strings *s)
{
	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), compare);
}

void
strings_release(struct strings *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strings){.v = NULL};
}
