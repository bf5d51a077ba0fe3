/*
 * TAP, version 13, for unit tests: ok() and is() count, done() prints the plan
 * and gives main() its exit status.  A failed test says what it saw.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>

struct err;

/* Returns cond, so that a test can stop when going on makes no sense. */
bool ok(bool cond, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* got and want compared as text; NULL is a value. */
bool is(const char *got, const char *want, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool is_int(long long got, long long want, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* rc must be 0 (prints err otherwise), or -1 with this code and with this text
 * somewhere in the message (NULL: any). */
bool ok_err(int rc, const struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool fails(int rc, const struct err *err, int code, const char *text,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

void skip(const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A fresh folder below the current one, removed by done(). */
const char *tap_tmpdir(void);

int done(void);

#endif
