#include <config.h>

#include "base/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* Exactly len bytes on the heap, so that a read past them is seen. */
static char *
exact(const char *text)
{
	size_t len = strlen(text);
	char *p = malloc(len > 0 ? len : 1);

	if (!p)
		exit(99);
	while (len-- > 0)
		p[len] = text[len];
	return p;
}

static const struct {
	const char *text;
	long long sec;
	long nsec;
} rfc3339[] = {
    {"1970-01-01T00:00:00Z", 0, 0},
    {"1969-12-31T23:59:59Z", -1, 0},
    {"1969-12-31T23:59:59.5Z", -1, 500000000},
    /* RFC 3339, 5.8 */
    {"1985-04-12T23:20:50.52Z", 482196050, 520000000},
    {"1996-12-19T16:39:57-08:00", 851042397, 0},
    {"1990-12-31T23:59:60Z", 662687999, 0},
    {"1990-12-31T15:59:60-08:00", 662687999, 0},
    {"1937-01-01T12:00:27.87+00:20", -1041337173, 870000000},
    {"2016-12-31T23:59:60.25Z", 1483228799, 250000000},
    {"2027-01-20T01:46:31Z", 1800409591, 0},
    {"2026-11-22T07:46:32.481219475Z", 1795333592, 481219475},
    {"2026-11-22T07:46:32.4812194759999999Z", 1795333592, 481219475},
    {"2026-11-22T08:46:32.000000001+01:00", 1795333592, 1},
    {"2026-11-22t07:46:32z", 1795333592, 0},
    {"2026-11-22T07:46:32-00:00", 1795333592, 0},
    {"2024-02-29T12:00:00Z", 1709208000, 0},
    {"2000-02-29T00:00:00Z", 951782400, 0},
    {"2000-12-31T00:00:00Z", 978220800, 0},
    {"2100-03-01T00:00:00Z", 4107542400, 0},
    {"2038-01-19T03:14:08Z", 2147483648, 0},
    {"0001-01-01T00:00:00Z", -62135596800, 0},
    {"0001-01-01T00:00:00+23:59", -62135683140, 0},
    {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999},
};

static const char *const not_rfc3339[] = {
    "",
    "2",
    "2027",
    "2027-01-20",
    "2027-01-20T01:46:31",
    "2027-01-20T01:46Z",
    "2027-01-20 01:46:31Z",
    "2027-01-20T01:46:31 Z",
    " 2027-01-20T01:46:31Z",
    "2027-01-20T01:46:31Z ",
    "2027-01-20T01:46:31ZZ",
    "27-01-20T01:46:31Z",
    "2027-1-20T01:46:31Z",
    "12027-01-20T01:46:31Z",
    "+2027-01-20T01:46:31Z",
    "-001-01-20T01:46:31Z",
    "0000-01-01T00:00:00Z",
    "2027-00-20T01:46:31Z",
    "2027-13-20T01:46:31Z",
    "2027-01-00T01:46:31Z",
    "2027-01-32T01:46:31Z",
    "2027-04-31T01:46:31Z",
    "2027-02-29T01:46:31Z",
    "2100-02-29T01:46:31Z",
    "2027-01-20T24:00:00Z",
    "2027-01-20T01:60:31Z",
    "2027-01-20T01:46:61Z",
    "2027-01-20T01:46:60Z",
    "2027-01-20T23:58:60Z",
    "2027-01-20T23:59:60+01:00",
    "2027-01-20T01:46:31.Z",
    "2027-01-20T01:46:31,5Z",
    "2027-01-20T01:46:31.5",
    "2027-01-20T01:46:31.-5Z",
    "2027-01-20T01:46:31+0100",
    "2027-01-20T01:46:31+01",
    "2027-01-20T01:46:31+24:00",
    "2027-01-20T01:46:31+01:60",
    "2027-01-20T01:46:31+1:00",
    "2027-01-20T01:46:31+-1:00",
    "2027-01-20T01:46:31UTC",
    "2027/01/20T01:46:31Z",
    "2027-01-20T0x:46:31Z",
    "20 7-01-20T01:46:31Z",
    "2027- 1-20T01:46:31Z",
    "2027-01- 2T01:46:31Z",
};

static void
test_parse(void)
{
	time_t sec;
	long nsec;
	size_t i;
	char *p;

	for (i = 0; i < N(rfc3339); i++) {
		p = exact(rfc3339[i].text);
		is_int(date_parse(p, strlen(rfc3339[i].text), &sec, &nsec), 0,
		    "%s", rfc3339[i].text);
		is_int(sec, rfc3339[i].sec, "seconds");
		is_int(nsec, rfc3339[i].nsec, "nanoseconds");
		free(p);
	}
	sec = 7, nsec = 8;
	for (i = 0; i < N(not_rfc3339); i++) {
		p = exact(not_rfc3339[i]);
		is_int(date_parse(p, strlen(not_rfc3339[i]), &sec, &nsec), -1,
		    "\"%s\" is refused", not_rfc3339[i]);
		free(p);
	}
	ok(sec == 7 && nsec == 8, "nothing was written meanwhile");
	is_int(date_parse("1970-01-01T00:00:00\0Z", 21, &sec, NULL), -1,
	    "a NUL is no end");
	is_int(date_parse("1970-01-01T00:00:09.5Z...", 22, &sec, NULL), 0,
	    "reads as far as it is told, nanoseconds not wanted");
	is_int(sec, 9, "seconds");
}

/* Every prefix of a date is none. */
static void
test_cut(void)
{
	static const char text[] = "2026-11-22T08:46:32.481219475+01:00";
	time_t sec;
	size_t i, wrong = 0;

	for (i = 0; i < sizeof(text) - 1; i++)
		wrong += date_parse(text, i, &sec, NULL) != -1;
	is_int((long long)wrong, 0, "no prefix is read");
}

static const struct {
	const char *text;
	long long sec;
} http[] = {
    /* RFC 9110, 5.6.7 */
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228799},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
};

static const char *const not_http[] = {
    "",
    "Sun",
    "06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun,06 Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "SUN, 06 Nov 1994 08:49:37 GMT",
    "Sonn, 06 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 29 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:60 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMTx",
    "Sun, 06 Nov 1994 08:49:37 GM",
    "Sun,  6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994  8:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 0000 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 29-Feb-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 94",
    "Sun Nov   08:49:37 1994",
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "1994-11-06T08:49:37Z",
};

static void
test_http(void)
{
	time_t sec;
	size_t i;
	char *p;

	for (i = 0; i < N(http); i++) {
		p = exact(http[i].text);
		is_int(date_parse_http(p, strlen(http[i].text), &sec), 0, "%s",
		    http[i].text);
		is_int(sec, http[i].sec, "seconds");
		free(p);
	}
	sec = 7;
	for (i = 0; i < N(not_http); i++) {
		p = exact(not_http[i]);
		is_int(date_parse_http(p, strlen(not_http[i]), &sec), -1,
		    "\"%s\" is refused", not_http[i]);
		free(p);
	}
	is_int(sec, 7, "nothing was written meanwhile");
}

static void
test_retry_after(void)
{
	static const time_t now = 784111777;
	static const struct {
		const char *text;
		int64_t want;
	} vectors[] = {
	    {"0", 0},
	    {"1", 1},
	    {"120", 120},
	    {"000120", 120},
	    {" 3\t", 3},
	    {"86400", 86400},
	    {"31622400", 31622400},
	    {"31622401", 31622400},
	    {"1000000000", 31622400},
	    {"18446744073709551617", 31622400},
	    {"99999999999999999999999999999999999999", 31622400},
	    {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
	    {"Sun, 06 Nov 1994 08:49:38 GMT", 1},
	    {" Sun, 06 Nov 1994 08:50:37 GMT ", 60},
	    {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
	    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	    {"Mon, 01 Jan 0001 00:00:00 GMT", 0},
	    {"Fri, 31 Dec 9999 23:59:59 GMT", 31622400},
	    {"Sunday, 06-Nov-94 08:49:47 GMT", 10},
	    {"Sun Nov  6 08:49:47 1994", 10},
	    {"", -1},
	    {" ", -1},
	    {"-1", -1},
	    {"+1", -1},
	    {"1.5", -1},
	    {"1e9", -1},
	    {"0x10", -1},
	    {"12 s", -1},
	    {"12, 13", -1},
	    {"soon", -1},
	    {"1\n", -1},
	    {"1994-11-06T08:49:47Z", -1},
	    {"Sun, 06 Nov 1994", -1},
	};
	size_t i;
	char *p;

	for (i = 0; i < N(vectors); i++) {
		p = exact(vectors[i].text);
		is_int(date_retry_after(p, strlen(vectors[i].text), now),
		    vectors[i].want, "Retry-After, number %zu", i);
		free(p);
	}
	is_int(date_retry_after(NULL, 0, now), -1, "absent");
	is_int(date_retry_after("123", 2, now), 12, "as far as it is told");
}

/* RFC 9110, 5.6.7: no more than 50 years ahead, else a century back. */
static void
test_two_digits(void)
{
	static const char text[] = "Monday, 01-Jul-76 00:00:00 GMT";
	static const char leap[] = "Tuesday, 29-Feb-00 00:00:00 GMT";
	size_t len = sizeof(text) - 1;

	is_int(date_retry_after(text, len, 1782864000), 31622400,
	    "from 1 July 2026, 76 is 2076");
	is_int(date_retry_after(text, len, 1782691200), 0,
	    "two days earlier, 76 is 1976");
	is_int(date_retry_after(text, len, 1751328000), 0,
	    "from 1 July 2025, 76 is 1976");
	is_int(date_retry_after(text, len, 3360787200 - 10), 10,
	    "from 2076, 76 is 2076");
	is_int(date_retry_after(text, len, 205027200 - 10), 10,
	    "from 1976, 76 is 1976");
	is_int(date_retry_after(text, len, 4102444800), 0,
	    "from 2100, 76 is 2076");
	is_int(date_retry_after(leap, sizeof(leap) - 1, 4070908800), 0,
	    "from 2099, 29 February 00 is not in 2100, which has none");
	is_int(date_retry_after(
	           "Saturday, 01-Jan-00 00:00:00 GMT", 32, 946684800 - 7),
	    7, "from 1999, 00 is 2000");
	is_int(date_retry_after(text, len, -5000000000), -1,
	    "a clock far before 1970 tells no century");
}

static void
test_format(void)
{
	static const struct {
		long long sec;
		long nsec;
		const char *want;
	} vectors[] = {
	    {1800409591, 0, "2027-01-20T01:46:31Z"},
	    {1795333592, 481219475, "2026-11-22T07:46:32.481219475Z"},
	    {1795333592, 500000000, "2026-11-22T07:46:32.5Z"},
	    {1795333592, 1000, "2026-11-22T07:46:32.000001Z"},
	    {1795333592, 1, "2026-11-22T07:46:32.000000001Z"},
	    {1795333592, -1, "2026-11-22T07:46:32Z"},
	    {1795333592, 1000000000, "2026-11-22T07:46:32Z"},
	    {0, 0, "1970-01-01T00:00:00Z"},
	    {-1, 0, "1969-12-31T23:59:59Z"},
	    {951782400, 0, "2000-02-29T00:00:00Z"},
	    {-62135596800, 0, "0001-01-01T00:00:00Z"},
	    {253402300799, 999999999, "9999-12-31T23:59:59.999999999Z"},
	    {-62135596801, 0, "0001-01-01T00:00:00Z"},
	    {253402300800, 0, "9999-12-31T23:59:59Z"},
	    {INT64_MIN, 0, "0001-01-01T00:00:00Z"},
	    {INT64_MAX, 5, "9999-12-31T23:59:59.000000005Z"},
	};
	char out[DATE_MAX];
	size_t i;

	for (i = 0; i < N(vectors); i++)
		is(date_format_nano(
		       (time_t)vectors[i].sec, vectors[i].nsec, out),
		    vectors[i].want, "vector %zu", i);
	is(date_format(1800409591, out), "2027-01-20T01:46:31Z", "no fraction");
	ok(date_format(0, out) == out, "returns its buffer");
}

/* Days from year 1 to 9999, each the one after the last, there and back. */
static void
test_every_day(void)
{
	char out[DATE_MAX], before[DATE_MAX] = "0000";
	int64_t t = -INT64_C(62135596800);
	long days = 0, wrong = 0;
	time_t back;

	for (; t <= INT64_C(253402300799); t += 86400, days++) {
		date_format((time_t)t, out);
		wrong += date_parse(out, strlen(out), &back, NULL) == -1 ||
		    back != (time_t)t || strcmp(out, before) <= 0;
		memcpy(before, out, sizeof(out));
	}
	is_int(days, 3652059, "days in 9999 years");
	is_int(wrong, 0, "each follows the last and reads back");
}

/* The environment has no say. */
static void
test_environment(void)
{
	char out[DATE_MAX];
	time_t sec;

	setenv("TZ", "America/St_Johns", 1);
	setenv("LC_ALL", "tr_TR.UTF-8", 1);
	tzset();
	is(date_format(0, out), "1970-01-01T00:00:00Z", "UTC");
	is_int(date_parse_http("Thu, 01 Jan 1970 00:00:01 GMT", 29, &sec), 0,
	    "English");
	is_int(sec, 1, "and GMT");
}

static void
test_mono(void)
{
	int64_t a = date_mono_ms(), b = date_mono_ms();

	ok(a >= 0 && b >= a && b - a < 60000, "the clock goes on");
}

int
main(void)
{
	test_parse();
	test_cut();
	test_http();
	test_retry_after();
	test_two_digits();
	test_format();
	test_every_day();
	test_environment();
	test_mono();
	return done();
}
