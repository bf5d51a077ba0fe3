/*
 * The error channel and the log.  Standard error is a datagram socket here:
 * one write(2) is one datagram, so that a line written in pieces shows.
 */
#include <config.h>

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "tap.h"

/* -- filling -- */

static void
test_set(void)
{
	struct err err = {.code = ERR_IO,
	    .sys = EIO,
	    .http = 500,
	    .retry_at = 1,
	    .type = "badNonce",
	    .text = "old"};

	is_int(err_set(&err, ERR_DATA, "%s: %d", "csr", 7), -1, "set is -1");
	is_int(err.code, ERR_DATA, "set: code");
	is(err.text, "csr: 7", "set: text");
	ok(err.sys == 0 && err.http == 0 && err.retry_at == 0 && !err.type[0],
	    "set: nothing is left of an older error");

	memcpy(err.type, "malformed", sizeof("malformed"));
	err_set(&err, ERR_PROTOCOL, "%s (%s)", err.text, err.type);
	is(err.text, "csr: 7 (malformed)", "set: arguments inside the struct");
}

static void
test_sys(void)
{
	struct err err = ERR_INIT;

	errno = ENOSPC;
	is_int(err_sys(&err, ERR_IO, "write %s", "a"), -1, "sys is -1");
	is_int(errno, ENOSPC, "sys: errno is kept");
	is_int(err.sys, ENOSPC, "sys: errno is stored");
	is_int(err.code, ERR_IO, "sys: code");
	is(err.text, "write a: No space left on device", "sys: text");

	errno = EACCES;
	err_sys(&err, ERR_PERMISSION, "%s", err.text);
	is(err.text, "write a: No space left on device: Permission denied",
	    "sys: arguments inside the struct");
	errno = EINTR;
	err_set(&err, ERR_DATA, "x");
	err_wrap(&err, "y");
	is_int(errno, EINTR, "set and wrap leave errno alone");
}

static void
test_wrap(void)
{
	struct err err = {.code = ERR_LATER,
	    .sys = EAGAIN,
	    .http = 429,
	    .retry_at = 99,
	    .type = "rateLimited",
	    .text = "too many"};

	is_int(err_wrap(&err, "order %d", 5), -1, "wrap is -1");
	is(err.text, "order 5: too many", "wrap: text");
	ok(err.code == ERR_LATER && err.sys == EAGAIN && err.http == 429 &&
	        err.retry_at == 99 && strcmp(err.type, "rateLimited") == 0,
	    "wrap: all else stays");
	err_wrap(&err, "%s, %s", err.type, err.text);
	is(err.text, "rateLimited, order 5: too many: order 5: too many",
	    "wrap: arguments inside the struct");
	err_wrap(&err, "%s", "");
	is(err.text, "rateLimited, order 5: too many: order 5: too many",
	    "wrap: by nothing");
	err_wrap(&err, "a\nb");
	ok(strncmp(err.text, "a?b: rate", 9) == 0, "wrap: is cleaned");
	err_clear(&err);
	ok(err.code == ERR_NONE && err.sys == 0 && err.http == 0 &&
	        err.retry_at == 0 && !err.type[0] && !err.text[0],
	    "clear");
	err_wrap(&err, "what");
	is(err.text, "what", "wrap: around no text");
}

static void
test_bug_and_null(void)
{
	struct err err = ERR_INIT;

	is_int(err_bug(&err, "no row %d", 3), -1, "bug is -1");
	is_int(err.code, ERR_SOFTWARE, "bug: code");
	is(err.text, "internal error: no row 3", "bug: text");
	is_int(err_set(NULL, ERR_IO, "x"), -1, "set without a struct");
	errno = EPERM;
	is_int(err_sys(NULL, ERR_IO, "x"), -1, "sys without a struct");
	is_int(errno, EPERM, "sys without a struct keeps errno");
	is_int(err_wrap(NULL, "x"), -1, "wrap without a struct");
	is_int(err_bug(NULL, "x"), -1, "bug without a struct");
}

/* -- text -- */

static const struct {
	const char *in, *out;
} texts[] = {{"plain ~", "plain ~"}, {"\x01\x1f\x7f\t\r\n", "??????"},
    {"\x1b[31mred\x1b[0m", "?[31mred?[0m"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\xc2\xa0|\xdf\xbf|\xe0\xa0\x80|\xed\x9f\xbf|\xee\x80\x80",
        "\xc2\xa0|\xdf\xbf|\xe0\xa0\x80|\xed\x9f\xbf|\xee\x80\x80"},
    {"\xf0\x90\x80\x80|\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80|\xf4\x8f\xbf\xbf"},
    {"csi \xc2\x9b"
     "31m \xc2\x80\xc2\x9f.",
        "csi ?31m ??."},
    {"raw \x9b"
     "31m",
        "raw ?31m"},
    {"\xc0\xaf \xc1\xbf", "?? ??"}, /* overlong */
    {"\xe0\x82\x9b", "???"},        /* overlong C1 */
    {"\xe0\x9f\xbf \xf0\x8f\xbf\xbf", "??? ????"},
    {"\xed\xa0\x80", "???"}, /* a surrogate */
    {"\xf4\x90\x80\x80 \xf5\x80\x80\x80", "???? ????"}, {"\xfe\xff", "??"},
    {"\xe2\x82", "??"}, /* ends too early */
    {"\xe2\x82z", "??z"}, {"\xf0\x9f\x98", "???"},
    {"\xe2\x1b\x5b", "??["}, /* hides nothing behind a lead byte */
    {"\xc2", "?"}, {"", ""}};

static void
test_printable(void)
{
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		err_set(&err, ERR_DATA, "%s", texts[i].in);
		is(err.text, texts[i].out, "printable, row %zu", i);
	}
}

/* A text of n bytes "x" and then tail. */
static void
set_long(struct err *err, size_t n, const char *tail)
{
	char text[2 * ERR_TEXT_MAX];

	memset(text, 'x', n);
	memcpy(text + n, tail, strlen(tail) + 1);
	err_set(err, ERR_DATA, "%s", text);
}

static void
test_cut(void)
{
	enum { FULL = ERR_TEXT_MAX - 1, KEPT = FULL - 3 };
	static const char *const wide[] = {
	    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
	struct err err = ERR_INIT;
	size_t i, before;

	set_long(&err, FULL, "");
	is_int((long long)strlen(err.text), FULL, "cut: not if it just fits");
	ok(err.text[FULL - 1] == 'x', "cut: nothing is lost if it just fits");
	set_long(&err, FULL + 1, "");
	is(err.text + KEPT, "...", "cut: one byte too long");
	for (i = 0; i < sizeof(wide) / sizeof(*wide); i++)
		for (before = 1; before < strlen(wide[i]); before++) {
			set_long(&err, KEPT - before, wide[i]);
			err_set(&err, ERR_DATA, "%sxxxxx", err.text);
			is(err.text + KEPT - before, "...",
			    "cut: not inside a character, %zu.%zu", i, before);
		}
	set_long(&err, KEPT - 2, "\xc3\xa9xxxxx");
	is(err.text + KEPT - 2, "\xc3\xa9...", "cut: right after a character");
	set_long(&err, FULL, "");
	err_wrap(&err, "order");
	ok(strncmp(err.text, "order: x", 8) == 0 &&
	        strcmp(err.text + KEPT, "...") == 0,
	    "cut: when wrapped");
}

/* -- batches -- */

static enum err_code
tally(const enum err_code *codes, size_t n)
{
	struct err_tally t = {.ok = 0};
	size_t i;

	for (i = 0; i < n; i++)
		err_tally_add(&t, codes[i]);
	return err_tally_result(&t);
}

static const struct {
	const char *name;
	size_t n;
	enum err_code codes[4], result;
} tallies[] = {{"nothing", 0, {ERR_NONE}, ERR_NONE},
    {"all well", 2, {ERR_NONE, ERR_NONE}, ERR_NONE},
    {"one fails", 1, {ERR_LATER}, ERR_LATER},
    {"some fail", 2, {ERR_NONE, ERR_IO}, ERR_PARTIAL},
    {"some fail, first", 2, {ERR_IO, ERR_NONE}, ERR_PARTIAL},
    {"worst last", 3, {ERR_LATER, ERR_UNAVAILABLE, ERR_IO}, ERR_IO},
    {"worst first", 3, {ERR_IO, ERR_UNAVAILABLE, ERR_LATER}, ERR_IO},
    {"a number is not a rank", 2, {ERR_CONFIG, ERR_HOOK}, ERR_CONFIG},
    {"only hooks", 3, {ERR_NONE, ERR_HOOK, ERR_HOOK}, ERR_HOOK},
    {"hooks and others", 3, {ERR_NONE, ERR_HOOK, ERR_IO}, ERR_PARTIAL},
    {"our bug", 2, {ERR_CONFIG, ERR_SOFTWARE}, ERR_SOFTWARE},
    {"a partial batch in one", 1, {ERR_PARTIAL}, ERR_PARTIAL},
    {"a partial batch among failures", 2, {ERR_IO, ERR_PARTIAL}, ERR_PARTIAL},
    {"a partial batch among successes", 2, {ERR_NONE, ERR_PARTIAL},
        ERR_PARTIAL}};

static void
test_tally(void)
{
	size_t i;

	for (i = 0; i < sizeof(tallies) / sizeof(*tallies); i++)
		is_int(tally(tallies[i].codes, tallies[i].n), tallies[i].result,
		    "tally: %s", tallies[i].name);
}

/* -- log -- */

static int log_end;

/* The next line on standard error, "" if there is none. */
static const char *
logged(void)
{
	static char line[8192];
	ssize_t n = recv(log_end, line, sizeof(line) - 1, MSG_DONTWAIT);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

static void
say_all(void)
{
	log_error("n", "%d", 0);
	log_warn("n", "%d", 1);
	log_info("n", "%d", 2);
	log_debug("n", "%d", 3);
}

static void
test_levels(void)
{
	static const char *const lines[] = {
	    "prog: n: 0\n", "prog: n: 1\n", "prog: n: 2\n", "prog: n: 3\n"};
	int level, i;

	is(log_program(), "autocert", "log: a name before log_open()");
	is_int(log_level(), LOG_WARN, "log: quiet before log_open()");
	for (level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		log_open("prog", (enum log_level)level);
		is_int(log_level(), level, "log: level %d", level);
		say_all();
		for (i = LOG_ERROR; i <= LOG_DEBUG; i++)
			is(logged(), i <= level ? lines[i] : "",
			    "log: line %d at level %d", i, level);
	}
	is(log_program(), "prog", "log: the name");
}

static void
test_lines(void)
{
	char text[3000];

	log_warn(NULL, "alone");
	is(logged(), "prog: alone\n", "log: about nothing");
	log_warn("a\nb", "c\nd\x1b[2J\xc2\x9b");
	is(logged(), "prog: a?b: c?d?[2J?\n", "log: a line stays a line");
	is(logged(), "", "log: one write");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_warn(text, "lost");
	is(logged() + ERR_TEXT_MAX - 4, "...\n", "log: a long name is cut");
	log_warn("n", "%s", text);
	is(logged() + ERR_TEXT_MAX - 4, "...\n", "log: a long text is cut");
	errno = ENOTTY;
	log_warn("n", "x");
	is_int(errno, ENOTTY, "log: errno is kept");
	logged();
}

static void
test_log_err(void)
{
	struct err err = {.code = ERR_IO, .text = "write: full"};

	log_open("prog", LOG_ERROR);
	log_err("www.example.com", &err);
	is(logged(), "prog: www.example.com: write: full\n", "log_err");
	log_err(NULL, &err);
	is(logged(), "prog: write: full\n", "log_err: about nothing");
	err.retry_at = 1800409591;
	log_err("n", &err);
	is(logged(),
	    "prog: n: write: full (try again after "
	    "2027-01-20T01:46:31Z)\n",
	    "log_err: with a time");
	set_long(&err, ERR_TEXT_MAX - 1, "");
	err.retry_at = 1800409591;
	log_err("n", &err);
	is(logged() + ERR_TEXT_MAX - 4,
	    "... (try again after 2027-01-20T01:46:31Z)\n",
	    "log_err: a long text does not push the time out");
	err_clear(&err);
	log_err("n", &err);
	is(logged(), "prog: n: failed, reason unknown\n",
	    "log_err: without a text");
}

static void
test_log(void)
{
	int ends[2], saved = dup(STDERR_FILENO);

	if (saved == -1 ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == -1 ||
	    dup2(ends[0], STDERR_FILENO) == -1) {
		perror("standard error");
		exit(99);
	}
	log_end = ends[1];
	test_levels();
	test_lines();
	test_log_err();
	/* Standard error gone: no line, no signal, no loop. */
	close(ends[0]);
	close(STDERR_FILENO);
	errno = 0;
	log_error("n", "x");
	is_int(errno, 0, "log: no standard error");
	if (dup2(saved, STDERR_FILENO) == -1)
		exit(99);
	close(saved);
	close(log_end);
}

int
main(void)
{
	test_set();
	test_sys();
	test_wrap();
	test_bug_and_null();
	test_printable();
	test_cut();
	test_tally();
	test_log();
	return done();
}
