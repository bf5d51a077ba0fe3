/*
 * Times: RFC 3339 as ACME and CertMagic write them, HTTP dates, Retry-After.
 * Everything is UTC and in the C locale whatever the environment says.  A
 * time is a time_t; nanoseconds are kept where CertMagic's lock files need
 * them.  Parsers take a length and never read past it.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { DATE_MAX = 40 }; /* longest text we write, NUL included */

/* RFC 3339 with optional fraction and Z or an offset; years 0001 to 9999.
 * 0 or -1. nsec may be NULL. */
int date_parse(const char *text, size_t len, time_t *sec, long *nsec);

/* "2027-01-20T01:46:31Z"; returns out. */
char *date_format(time_t t, char out[DATE_MAX]);
/* With nanoseconds, trailing zeros dropped as Go's RFC3339Nano does. */
char *date_format_nano(time_t t, long nsec, char out[DATE_MAX]);

/* The three forms of RFC 9110, 5.6.7. 0 or -1. */
int date_parse_http(const char *text, size_t len, time_t *sec);

/*
 * Retry-After (RFC 9110, 10.2.3): delta seconds or an HTTP date, now is the
 * wall clock.  Returns seconds to wait, clamped to 0 .. 366 days, or -1 when
 * absent or unreadable.
 */
int64_t date_retry_after(const char *text, size_t len, time_t now);

/* Milliseconds on CLOCK_MONOTONIC, for deadlines. */
int64_t date_mono_ms(void);

#endif
