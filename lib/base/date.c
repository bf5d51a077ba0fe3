#include <config.h>

#include "base/date.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	NSEC = 1000000000,
	HOUR = 3600,
	DAY = 24 * HOUR,
	YEAR_MAX = 9999,
	DAYS_TO_1970 = 719162 /* from 0001-01-01 */
};

/* What is written: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
static const int64_t oldest = -INT64_C(62135596800);
static const int64_t latest = INT64_C(253402300799);

static const int64_t fifty_years = (50 * 365 + 13) * (int64_t)DAY;
static const int64_t retry_max = 366 * (int64_t)DAY;

struct text {
	const char *at, *end;
};

struct parts {
	int year, month, day, hour, minute, second, weekday;
};

/* -- the calendar: proleptic Gregorian, year 1 and on -------------------- */

static bool
is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 0001-01-01 to the first of January. */
static int
days_before_year(int year)
{
	int y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

static int
days_from_civil(int year, int month, int day)
{
	int m, days = days_before_year(year) + day - 1 - DAYS_TO_1970;

	for (m = 1; m < month; m++)
		days += days_in_month(year, m);
	return days;
}

/* 400 years are 146097 days; the guess is never late and at most a year early,
 * which the test shows for every day there is. */
static void
civil_from_days(int days, struct parts *p)
{
	days += DAYS_TO_1970;
	p->year = (int)((int64_t)days * 400 / 146097) + 1;
	if (days >= days_before_year(p->year + 1))
		p->year++;
	days -= days_before_year(p->year);
	for (p->month = 1; days >= days_in_month(p->year, p->month); p->month++)
		days -= days_in_month(p->year, p->month);
	p->day = days + 1;
}

/*
 * A leap second has no number of its own in a time_t: it is read as the second
 * before it, and only where one can be, at the end of a day of UTC.  offset is
 * in seconds east.
 */
static int
parts_time(const struct parts *p, int offset, time_t *sec)
{
	int second = p->hour * HOUR + p->minute * 60 + p->second;
	int64_t t;

	if (p->day > days_in_month(p->year, p->month))
		return -1;
	t = (int64_t)days_from_civil(p->year, p->month, p->day) * DAY + second -
	    offset;
	if (p->second == 60 && t-- % DAY != 0)
		return -1;
	*sec = (time_t)t;
	return *sec == t ? 0 : -1;
}

/* -- reading ------------------------------------------------------------- */

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", NULL};
static const char *const days_short[] = {
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", NULL};
static const char *const days_long[] = {"Monday", "Tuesday", "Wednesday",
    "Thursday", "Friday", "Saturday", "Sunday", NULL};

/* A field of a form: so many digits with a range, or one of a list of names. */
static const struct field {
	char letter, pad; /* pad may stand for a leading zero */
	int width, min, max;
	size_t at;
	const char *const *names;
} fields[] = {
    {'Y', 0, 4, 1, YEAR_MAX, offsetof(struct parts, year), NULL},
    {'y', 0, 2, 0, 99, offsetof(struct parts, year), NULL},
    {'m', 0, 2, 1, 12, offsetof(struct parts, month), NULL},
    {'d', 0, 2, 1, 31, offsetof(struct parts, day), NULL},
    {'e', ' ', 2, 1, 31, offsetof(struct parts, day), NULL},
    {'H', 0, 2, 0, 23, offsetof(struct parts, hour), NULL},
    {'M', 0, 2, 0, 59, offsetof(struct parts, minute), NULL},
    {'S', 0, 2, 0, 60, offsetof(struct parts, second), NULL},
    {'b', 0, 0, 0, 0, offsetof(struct parts, month), months},
    {'a', 0, 0, 0, 0, offsetof(struct parts, weekday), days_short},
    {'A', 0, 0, 0, 0, offsetof(struct parts, weekday), days_long},
    {0, 0, 0, 0, 0, 0, NULL},
};

static bool
next_is_digit(const struct text *in)
{
	return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static bool
take(struct text *in, char c)
{
	if (in->at == in->end || *in->at != c)
		return false;
	in->at++;
	return true;
}

static bool
take_number(struct text *in, const struct field *f, int *out)
{
	int i = 0, n = 0;

	if (f->pad && take(in, f->pad))
		i++;
	for (; i < f->width; i++) {
		if (!next_is_digit(in))
			return false;
		n = n * 10 + (*in->at++ - '0');
	}
	*out = n;
	return n >= f->min && n <= f->max;
}

/* Names count from one; RFC 9110, 5.6.7: their case matters. */
static bool
take_name(struct text *in, const char *const *names, int *out)
{
	size_t len;
	int i;

	for (i = 0; names[i]; i++) {
		len = strlen(names[i]);
		if ((size_t)(in->end - in->at) >= len &&
		    memcmp(in->at, names[i], len) == 0) {
			in->at += len;
			*out = i + 1;
			return true;
		}
	}
	return false;
}

static bool
take_field(struct text *in, char letter, struct parts *p)
{
	const struct field *f;
	int *out;

	for (f = fields; f->letter && f->letter != letter; f++)
		;
	out = (int *)(void *)((char *)p + f->at);
	return f->names ? take_name(in, f->names, out) :
	                  take_number(in, f, out);
}

/* Reads what form says, letters behind '%' as in strptime(3). */
static bool
take_form(struct text *in, const char *form, struct parts *p)
{
	for (; *form; form++) {
		if (*form == '%' ? !take_field(in, *++form, p) :
		                   !take(in, *form))
			return false;
	}
	return true;
}

static bool
take_fraction(struct text *in, long *nsec)
{
	long unit = NSEC / 10;

	*nsec = 0;
	if (!take(in, '.'))
		return true;
	if (!next_is_digit(in))
		return false;
	for (; next_is_digit(in); in->at++, unit /= 10)
		*nsec += (*in->at - '0') * unit;
	return true;
}

static bool
take_offset(struct text *in, int *offset)
{
	struct parts p = {.year = 0};
	bool west;

	*offset = 0;
	if (take(in, 'Z') || take(in, 'z'))
		return true;
	west = take(in, '-');
	if ((!west && !take(in, '+')) || !take_form(in, "%H:%M", &p))
		return false;
	*offset = (p.hour * HOUR + p.minute * 60) * (west ? -1 : 1);
	return true;
}

/* RFC 3339, 5.6: "T" and "Z" may be lower case. */
int
date_parse(const char *text, size_t len, time_t *sec, long *nsec)
{
	struct text in = {text, text + len};
	struct parts p = {.year = 0};
	long fraction;
	time_t t;
	int offset;

	if (!take_form(&in, "%Y-%m-%d", &p) ||
	    (!take(&in, 'T') && !take(&in, 't')) ||
	    !take_form(&in, "%H:%M:%S", &p) || !take_fraction(&in, &fraction) ||
	    !take_offset(&in, &offset) || in.at != in.end ||
	    parts_time(&p, offset, &t) == -1)
		return -1;
	*sec = t;
	if (nsec)
		*nsec = fraction;
	return 0;
}

/*
 * A year of two digits is the last one so written that lies no more than 50
 * years ahead (RFC 9110, 5.6.7).
 */
static int
two_digit_time(struct parts *p, time_t now, time_t *sec)
{
	int64_t limit = (int64_t)now + fifty_years;
	struct parts then;

	if (limit < 0 || limit > latest)
		return -1;
	civil_from_days((int)(limit / DAY), &then);
	p->year += then.year - then.year % 100;
	if (parts_time(p, 0, sec) == 0 && *sec <= limit)
		return 0;
	p->year -= 100;
	return parts_time(p, 0, sec);
}

static int
parse_http(const char *text, size_t len, time_t now, time_t *sec)
{
	static const char *const forms[] = {
	    "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
	    "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
	    "%a %b %e %H:%M:%S %Y",      /* asctime() */
	};
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct text in = {text, text + len};
		struct parts p = {.year = 0};

		if (!take_form(&in, forms[i], &p) || in.at != in.end)
			continue;
		return strstr(forms[i], "%y") ? two_digit_time(&p, now, sec) :
		                                parts_time(&p, 0, sec);
	}
	return -1;
}

int
date_parse_http(const char *text, size_t len, time_t *sec)
{
	time_t t;

	if (parse_http(text, len, time(NULL), &t) == -1)
		return -1;
	*sec = t;
	return 0;
}

/* -- Retry-After --------------------------------------------------------- */

static int64_t
clamp(int64_t n, int64_t min, int64_t max)
{
	return n < min ? min : n > max ? max : n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int64_t
date_retry_after(const char *text, size_t len, time_t now)
{
	struct text in = {text, text};
	int64_t n = 0;
	time_t then;

	if (!text)
		return -1;
	in.end += len;
	while (in.at < in.end && is_blank(*in.at))
		in.at++;
	while (in.at < in.end && is_blank(in.end[-1]))
		in.end--;
	if (!next_is_digit(&in)) {
		if (parse_http(in.at, (size_t)(in.end - in.at), now, &then))
			return -1;
		return clamp((int64_t)then - (int64_t)now, 0, retry_max);
	}
	for (; next_is_digit(&in); in.at++)
		n = clamp(n * 10 + (*in.at - '0'), 0, retry_max);
	return in.at == in.end ? n : -1;
}

/* -- writing ------------------------------------------------------------- */

/* A time that four digits of a year cannot say is written as the nearest one
 * that they can, so that what is written can be read. */
char *
date_format_nano(time_t t, long nsec, char out[DATE_MAX])
{
	int64_t sec = clamp((int64_t)t, oldest, latest) - oldest;
	int second = (int)(sec % DAY);
	char fraction[sizeof(".123456789")] = "";
	struct parts p;
	size_t n;

	civil_from_days((int)(sec / DAY) - DAYS_TO_1970, &p);
	if (nsec > 0 && nsec < NSEC) {
		n = (size_t)snprintf(
		    fraction, sizeof(fraction), ".%09ld", nsec);
		while (fraction[n - 1] == '0')
			fraction[--n] = '\0';
	}
	snprintf(out, DATE_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", p.year,
	    p.month, p.day, second / HOUR, second / 60 % 60, second % 60,
	    fraction);
	return out;
}

char *
date_format(time_t t, char out[DATE_MAX])
{
	return date_format_nano(t, 0, out);
}

int64_t
date_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
