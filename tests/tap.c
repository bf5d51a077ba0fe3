#include <config.h>

#include "tap.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static int count, failed;
static char tmpdir[64];

static void say(bool pass, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
say(bool pass, const char *fmt, va_list ap)
{
	printf("%sok %d - ", pass ? "" : "not ", ++count);
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	failed += !pass;
}

bool
ok(bool cond, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cond, fmt, ap);
	va_end(ap);
	return cond;
}

bool
is(const char *got, const char *want, const char *fmt, ...)
{
	bool pass = got == want || (got && want && strcmp(got, want) == 0);
	va_list ap;

	va_start(ap, fmt);
	say(pass, fmt, ap);
	va_end(ap);
	if (!pass)
		diag("got:  %s\n# want: %s", got ? got : "(null)",
		    want ? want : "(null)");
	return pass;
}

bool
is_int(long long got, long long want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		diag("got:  %lld\n# want: %lld", got, want);
	return got == want;
}

bool
ok_err(int rc, const struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(rc == 0, fmt, ap);
	va_end(ap);
	if (rc != 0)
		diag("error %d: %s", (int)err->code, err->text);
	return rc == 0;
}

bool
fails(int rc, const struct err *err, int code, const char *text,
    const char *fmt, ...)
{
	bool pass = rc == -1 && (int)err->code == code &&
	    (!text || strstr(err->text, text));
	va_list ap;

	va_start(ap, fmt);
	say(pass, fmt, ap);
	va_end(ap);
	if (!pass)
		diag("got:  %d, code %d: %s\n# want: -1, code %d: ...%s...", rc,
		    (int)err->code, err->text, code, text ? text : "");
	return pass;
}

void
skip(const char *reason, const char *fmt, ...)
{
	va_list ap;

	printf("ok %d - ", ++count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" # SKIP %s\n", reason);
	fflush(stdout);
}

void
diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

const char *
tap_tmpdir(void)
{
	if (!tmpdir[0]) {
		strcpy(tmpdir, "tap.XXXXXX");
		if (!mkdtemp(tmpdir)) {
			perror("mkdtemp");
			exit(99);
		}
	}
	return tmpdir;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int
done(void)
{
	if (tmpdir[0])
		nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	printf("1..%d\n", count);
	return failed != 0;
}
