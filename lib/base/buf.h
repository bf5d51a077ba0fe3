/*
 * Memory: growing bytes, lists of strings, and allocation that cannot fail.
 *
 * A struct buf grows up to the ceiling it was born with and then refuses; what
 * a peer sends is therefore never larger than we said.  data is always
 * NUL-terminated one past len (the NUL is not counted), so text can be used in
 * place.  A secret buf is wiped whenever its memory is given up, also when it
 * moves.  buf_release() of a zeroed buf is nothing.
 *
 * Running out of memory ends the program in one place, with exit status 70 and
 * one line: a batch tool cannot do better, and every second error path
 * disappears.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	unsigned char *data; /* NULL while empty and never written */
	size_t len;
	size_t cap;
	size_t max; /* ceiling in bytes; 0 means BUF_MAX */
	bool secret;
};

enum { BUF_MAX = 16 * 1024 * 1024 };

#define BUF_INIT                                                               \
	{                                                                      \
		.data = NULL                                                   \
	}
#define BUF_SECRET                                                             \
	{                                                                      \
		.secret = true                                                 \
	}

/* -1 when the ceiling would be passed; the buf is then unchanged. */
int buf_add(struct buf *b, const void *data, size_t len)
    __attribute__((warn_unused_result));

/* For what we write ourselves: passing the ceiling ends the program. */
void buf_puts(struct buf *b, const char *s);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The bytes as text; "" when empty. Borrowed until the buf changes. */
const char *buf_str(const struct buf *b);
void buf_clear(struct buf *b);   /* len 0; wipes a secret */
void buf_release(struct buf *b); /* frees; wipes a secret */

/* A list of strings that owns its members. */
struct strings {
	char **v;
	size_t n, cap;
};

void strings_add(struct strings *s, const char *text);
bool strings_have(const struct strings *s, const char *text);
void strings_sort(struct strings *s); /* bytewise */
void strings_release(struct strings *s);

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size); /* n * size, checked */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wipes and frees a NUL-terminated secret; NULL is nothing. */
void secret_free(char *s);

/* Joins at most size - 1 bytes like snprintf, but -1 if it does not fit. */
int fmt_fit(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

#endif
