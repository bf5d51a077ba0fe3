#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/file.h"

static const char *program_name = "autocert";
static enum log_level threshold = LOG_WARN;

void
log_open(const char *program, enum log_level level)
{
	program_name = program;
	threshold = level;
}

const char *
log_program(void)
{
	return program_name;
}

enum log_level
log_level(void)
{
	return threshold;
}

/*
 * err_set() makes the line printable and cuts it before the tail.  One
 * write(2): lines of processes that share a standard error do not mix.  When
 * even that fails there is nobody to tell.
 */
static void
put_line(const char *name, const char *text, const char *tail)
{
	struct err line = ERR_INIT;
	char out[ERR_TEXT_MAX + DATE_MAX + 32];
	int n, saved = errno;

	err_set(&line, ERR_NONE, "%s: %s%s%s", program_name, name ? name : "",
	    name ? ": " : "", text);
	n = snprintf(out, sizeof(out), "%s%s\n", line.text, tail);
	if (n > 0 && (size_t)n < sizeof(out))
		(void)file_write_all(STDERR_FILENO, out, (size_t)n);
	errno = saved;
}

static void put(enum log_level level, const char *name, const char *fmt,
    va_list ap) __attribute__((format(printf, 3, 0)));

static void
put(enum log_level level, const char *name, const char *fmt, va_list ap)
{
	char text[2 * ERR_TEXT_MAX];
	int saved = errno;

	if (level > threshold)
		return;
	if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
		put_line(name, text, "");
	errno = saved;
}

void
log_error(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_ERROR, name, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_WARN, name, fmt, ap);
	va_end(ap);
}

void
log_info(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_INFO, name, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(LOG_DEBUG, name, fmt, ap);
	va_end(ap);
}

void
log_err(const char *name, const struct err *err)
{
	char date[DATE_MAX], tail[DATE_MAX + 24] = "";
	const char *text = err->text[0] ? err->text : "failed, reason unknown";

	if (err->retry_at &&
	    fmt_fit(tail, sizeof(tail), " (try again after %s)",
	        date_format(err->retry_at, date)) == -1)
		tail[0] = '\0';
	put_line(name, text, tail);
}
