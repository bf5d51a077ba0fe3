#include <config.h>

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* -- text that may go to a terminal -- */

/* UTF-8 as in RFC 3629, 4, less the C1 controls: the first byte, the second,
 * and how many there are; what follows the second is always 80 to BF. */
static const struct utf8 {
	unsigned char first, last, low, high;
	size_t len;
} utf8[] = {
    {0xc2, 0xc2, 0xa0, 0xbf, 2},
    {0xc3, 0xdf, 0x80, 0xbf, 2},
    {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4},
    {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool
continues(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the printable character at s, or 0.  The NUL at the end of s is in
 * no range, so nothing behind it is read. */
static size_t
printable_len(const unsigned char *s)
{
	const struct utf8 *u = utf8;
	const struct utf8 *end = utf8 + sizeof(utf8) / sizeof(*utf8);
	size_t i;

	if (*s < 0x80)
		return *s >= 0x20 && *s != 0x7f;
	while (u < end && (*s < u->first || *s > u->last))
		u++;
	if (u == end || s[1] < u->low || s[1] > u->high)
		return 0;
	for (i = 2; i < u->len; i++)
		if (!continues(s[i]))
			return 0;
	return u->len;
}

void
make_printable(char *text)
{
	const unsigned char *in = (const unsigned char *)text;
	char *out = text;
	size_t len;

	while (*in) {
		len = printable_len(in);
		if (len) {
			memmove(out, in, len);
			out += len;
			in += len;
			continue;
		}
		in += in[0] == 0xc2 && in[1] >= 0x80 && in[1] <= 0x9f ? 2 : 1;
		*out++ = '?';
	}
	*out = '\0';
}

/* Shortens a full buffer by as many whole characters as "..." needs. */
static void
cut(char text[ERR_TEXT_MAX])
{
	static const char dots[] = "...";
	size_t end = ERR_TEXT_MAX - sizeof(dots);
	int i;

	for (i = 0; i < 3 && continues((unsigned char)text[end]); i++)
		end--;
	memcpy(text + end, dots, sizeof(dots));
}

static void format(char text[ERR_TEXT_MAX], const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
format(char text[ERR_TEXT_MAX], const char *fmt, va_list ap)
{
	int saved = errno;
	int n = vsnprintf(text, ERR_TEXT_MAX, fmt, ap);

	if (n < 0)
		memcpy(text, "?", 2);
	else if (n >= ERR_TEXT_MAX)
		cut(text);
	make_printable(text);
	errno = saved;
}

/* -- errors -- */

/* text is complete before err is touched: the arguments that made it may
 * point into err. */
static int
fill(
    struct err *err, enum err_code code, int sys, const char text[ERR_TEXT_MAX])
{
	if (!err)
		return -1;
	*err = (struct err){.code = code, .sys = sys};
	memcpy(err->text, text, strlen(text) + 1);
	return -1;
}

int(err_set)(struct err *err, enum err_code code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	return fill(err, code, 0, text);
}

/* "a: b" behind the length limit; a and b may point into err. */
static void
join(char text[ERR_TEXT_MAX], const char *a, const char *b)
{
	struct err joined = ERR_INIT;

	err_set(&joined, ERR_NONE, "%s%s%s", a, *a && *b ? ": " : "", b);
	memcpy(text, joined.text, ERR_TEXT_MAX);
}

int(err_sys)(struct err *err, enum err_code code, const char *fmt, ...)
{
	int sys = errno;
	char what[ERR_TEXT_MAX], text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	format(what, fmt, ap);
	va_end(ap);
	join(text, what, strerror(sys));
	fill(err, code, sys, text);
	errno = sys;
	return -1;
}

int(err_wrap)(struct err *err, const char *fmt, ...)
{
	char what[ERR_TEXT_MAX], text[ERR_TEXT_MAX];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	format(what, fmt, ap);
	va_end(ap);
	join(text, what, err->text);
	memcpy(err->text, text, ERR_TEXT_MAX);
	return -1;
}

int(err_bug)(struct err *err, const char *fmt, ...)
{
	char what[ERR_TEXT_MAX], text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	format(what, fmt, ap);
	va_end(ap);
	join(text, "internal error", what);
	return fill(err, ERR_SOFTWARE, 0, text);
}

void
err_clear(struct err *err)
{
	*err = (struct err)ERR_INIT;
}

/* -- batches -- */

/* From what mends itself to what a person must mend. */
static const enum err_code severity[] = {ERR_NONE, ERR_EXISTS, ERR_LATER,
    ERR_UNAVAILABLE, ERR_HOOK, ERR_REVOKED, ERR_ABSENT, ERR_DATA, ERR_PROTOCOL,
    ERR_PERMISSION, ERR_CONFIG, ERR_USAGE, ERR_IO, ERR_SOFTWARE};

/* A code that the table lacks is a bug of ours: worse than all. */
static size_t
severity_of(enum err_code code)
{
	size_t i, n = sizeof(severity) / sizeof(*severity);

	for (i = 0; i < n && severity[i] != code; i++)
		;
	return i;
}

void
err_tally_add(struct err_tally *t, enum err_code code)
{
	if (code == ERR_NONE || code == ERR_PARTIAL)
		t->ok++;
	if (code == ERR_NONE)
		return;
	t->failed++;
	t->hooks += code == ERR_HOOK;
	if (code != ERR_PARTIAL && severity_of(code) > severity_of(t->worst))
		t->worst = code;
}

enum err_code
err_tally_result(const struct err_tally *t)
{
	if (!t->failed)
		return ERR_NONE;
	if (t->failed == t->hooks)
		return ERR_HOOK;
	return t->ok ? ERR_PARTIAL : t->worst;
}
