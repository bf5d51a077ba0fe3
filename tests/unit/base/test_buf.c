/*
 * Memory.  That a secret is wiped is shown by looking for it in the heap
 * through /proc/self/mem, next to the same bytes that were not secret and are
 * still found: where they are not (another allocator), nothing is shown and
 * the test is skipped.
 */
#include <config.h>

#include "base/buf.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "tap.h"

/* -- bytes -- */

static void
test_grow(void)
{
	struct buf b = BUF_INIT;
	size_t i, bad = 0;

	is(buf_str(&b), "", "an empty buf is the empty text");
	ok(!b.data, "an empty buf has no memory");
	for (i = 0; i < 5000; i++) {
		bad += buf_add(&b, &(char){(char)('a' + i % 26)}, 1) == -1;
		bad += b.data[b.len] != '\0';
	}
	is_int((long long)bad, 0, "grow: always ends in NUL");
	is_int((long long)b.len, 5000, "grow: length");
	for (i = 0; i < 5000; i++)
		bad += b.data[i] != 'a' + i % 26;
	is_int((long long)bad, 0, "grow: bytes");
	buf_clear(&b);
	ok(b.len == 0 && strcmp(buf_str(&b), "") == 0, "clear");
	buf_puts(&b, "one ");
	buf_put(&b, "two\0three", 9);
	buf_printf(&b, " %d %s", 4, "five");
	is_int((long long)b.len, 20, "puts, put, printf: length");
	ok(memcmp(b.data, "one two\0three 4 five", 21) == 0,
	    "puts, put, printf: bytes");
	buf_release(&b);
	ok(!b.data && !b.len && !b.cap, "release");
	buf_release(&b);
	buf_clear(&b);
	is(buf_str(&b), "", "release and clear of a released buf");
}

static void
test_printf(void)
{
	struct buf b = BUF_INIT;
	int i;

	buf_printf(&b, "%s", "");
	ok(b.data && b.len == 0, "printf: nothing");
	for (i = 0; i < 300; i++)
		buf_printf(&b, "%03d", i);
	is_int((long long)b.len, 900, "printf: length");
	is(buf_str(&b) + 894, "298299", "printf: over the edge of the memory");
	buf_printf(&b, "%5000s", "x");
	is_int((long long)b.len, 5900, "printf: far over it");
	buf_release(&b);
}

static void
test_ceiling(void)
{
	struct buf b = {.max = 10}, huge = BUF_INIT;

	is_int(buf_add(&b, "0123456789", 10), 0, "ceiling: reached");
	is_int(buf_add(&b, "x", 1), -1, "ceiling: not passed");
	is(buf_str(&b), "0123456789", "ceiling: unchanged");
	is_int(buf_add(&b, "", 0), 0, "ceiling: nothing always fits");
	is_int(buf_add(&b, "x", SIZE_MAX), -1, "ceiling: no overflow");
	is_int(buf_add(&b, "x", SIZE_MAX - 9), -1, "ceiling: no wrapping");
	buf_release(&b);
	is_int((long long)b.max, 10, "release keeps the ceiling");
	is_int(buf_add(&b, "0123456789a", 11), -1, "ceiling: at once");
	ok(!b.data, "ceiling: no memory for what does not fit");
	buf_puts(&b, "0123456789");
	b.max = 5;
	is_int(buf_add(&b, "", 0), -1, "ceiling: lowered");
	buf_release(&b);

	is_int(buf_add(&huge, "x", (size_t)BUF_MAX + 1), -1,
	    "ceiling: one without is BUF_MAX");
	huge.max = SIZE_MAX;
	buf_puts(&huge, "x");
	is_int(buf_add(&huge, "x", SIZE_MAX - 1), -1,
	    "ceiling: the NUL counts at the end of the world");
	buf_release(&huge);
}

/* -- secrets -- */

enum { PATTERN = 48 };

/* Not in the heap, but for the copies to be found. */
static char pattern[PATTERN + 1];

static void
make_pattern(void)
{
	unsigned int i, x = 12345;

	for (i = 0; i < PATTERN; i++) {
		x = x * 1103515245 + 12345;
		pattern[i] = (char)('a' + (x >> 16) % 26);
	}
}

static int
heap_bounds(uintmax_t *from, uintmax_t *to)
{
	static char maps[256 * 1024];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char *line, *next;
	size_t len = 0;
	ssize_t n = 0;

	while (fd != -1 && len < sizeof(maps) - 1 &&
	    (n = read(fd, maps + len, sizeof(maps) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	maps[len] = '\0';
	for (line = maps; (next = strchr(line, '\n')); line = next + 1) {
		*next = '\0';
		if (strstr(line, "[heap]"))
			break;
	}
	if (!next)
		return -1;
	*from = strtoumax(line, &next, 16);
	*to = strtoumax(next + 1, NULL, 16);
	return 0;
}

/* The pattern's second half: free() writes over the first bytes. */
static bool
heap_has_pattern(void)
{
	static char heap[4 * 1024 * 1024];
	uintmax_t from, to;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd != -1 && heap_bounds(&from, &to) == 0)
		n = pread(fd, heap,
		    to - from < sizeof(heap) ? (size_t)(to - from) :
		                               sizeof(heap),
		    (off_t)from);
	close(fd);
	return n > 0 &&
	    memmem(heap, (size_t)n, pattern + PATTERN / 2, PATTERN / 2);
}

/* Each handles the pattern in a buf of the kind given, and gives it up. */

static void
by_release(bool secret)
{
	struct buf b = {.secret = secret};

	buf_puts(&b, pattern);
	buf_release(&b);
}

static void
by_clear(bool secret)
{
	static struct buf b;

	b.secret = secret;
	buf_puts(&b, pattern);
	buf_clear(&b);
}

/* With something behind it, so that it cannot grow where it is. */
static void
by_growing(bool secret)
{
	struct buf b = {.secret = secret};
	char *behind;
	int i;

	buf_printf(&b, "%s", pattern);
	behind = xstrdup("behind");
	for (i = 0; i < 4000; i++)
		buf_puts(&b, "0123456789");
	if (secret)
		explicit_bzero(b.data, PATTERN);
	free(behind);
	free(b.data);
}

static void
by_decoding(bool secret)
{
	struct buf text = {.secret = true}, b = {.secret = secret};

	b64_encode(pattern, PATTERN, &text);
	if (b64_decode(buf_str(&text), text.len, &b) == -1)
		ok(false, "decode");
	buf_release(&text);
	buf_release(&b);
}

static void
by_failed_decoding(bool secret)
{
	struct buf text = {.secret = true}, b = {.secret = secret};

	b64_encode(pattern, PATTERN, &text);
	buf_puts(&text, "!");
	if (b64_decode(buf_str(&text), text.len, &b) == 0)
		ok(false, "decode");
	buf_release(&text);
}

static void
by_reading(bool secret)
{
	struct buf path = BUF_INIT, b = {.secret = secret};
	struct err err = ERR_INIT;

	buf_printf(&path, "%s/secret", tap_tmpdir());
	if (file_write(AT_FDCWD, buf_str(&path), pattern, PATTERN, 0600,
	        FILE_REPLACE, &err) == -1 ||
	    file_read(AT_FDCWD, buf_str(&path), 100, FILE_PRIVATE, &b, &err))
		ok(false, "%s", err.text);
	buf_release(&path);
	buf_release(&b);
}

static void
by_free(bool secret)
{
	char *s = xstrdup(pattern);

	if (secret)
		secret_free(s);
	else
		free(s);
}

static const struct {
	const char *name;
	void (*handle)(bool secret);
} handlers[] = {{"release", by_release}, {"clear", by_clear},
    {"growing", by_growing}, {"decoding", by_decoding},
    {"failed decoding", by_failed_decoding}, {"reading a file", by_reading},
    {"secret_free()", by_free}};

/* In a child each, so that every heap begins without the pattern. 0: as it
 * should be; 1: a secret is left; 2: what is no secret is not found. */
static int
handle_in_child(void (*handle)(bool secret))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		handle(true);
		if (heap_has_pattern())
			_exit(1);
		handle(false);
		_exit(heap_has_pattern() ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_secrets(void)
{
	size_t i;
	int rc;

	make_pattern();
	tap_tmpdir();
	secret_free(NULL);
	for (i = 0; i < sizeof(handlers) / sizeof(*handlers); i++) {
		rc = handle_in_child(handlers[i].handle);
		if (rc == 2)
			skip("the heap cannot be searched here", "wiped: %s",
			    handlers[i].name);
		else
			is_int(rc, 0, "wiped: %s", handlers[i].name);
	}
}

/* -- strings -- */

static void
test_strings(void)
{
	struct strings s = {.v = NULL};
	char text[] = "b";
	int i;

	strings_sort(&s);
	ok(!strings_have(&s, ""), "strings: none");
	strings_add(&s, text);
	text[0] = 'x';
	ok(strings_have(&s, "b") && !strings_have(&s, "x"),
	    "strings: owns a copy");
	for (i = 0; i < 20; i++)
		strings_add(&s, "c");
	strings_add(&s, "\xc3\xa9");
	strings_add(&s, "B");
	strings_add(&s, "");
	strings_sort(&s);
	is_int((long long)s.n, 24, "strings: count");
	is(s.v[0], "", "strings: sorted, the empty one");
	is(s.v[1], "B", "strings: sorted by bytes");
	is(s.v[2], "b", "strings: sorted");
	is(s.v[23], "\xc3\xa9", "strings: bytes have no sign");
	ok(strings_have(&s, "") && !strings_have(&s, "cc"), "strings: have");
	strings_release(&s);
	ok(!s.v && !s.n && !s.cap, "strings: release");
	strings_release(&s);
}

/* -- allocation -- */

static void
test_alloc(void)
{
	unsigned char *p;
	char *s, out[6];

	free(xmalloc(0));
	free(xcalloc(0, 8));
	p = xcalloc(7, 3);
	ok(p[0] == 0 && p[20] == 0, "xcalloc: zeros");
	memcpy(p, "0123456789abcdefghijk", 21);
	p = xrealloc(p, 100, 3);
	ok(memcmp(p, "0123456789abcdefghijk", 21) == 0, "xrealloc: keeps");
	p = xrealloc(p, 0, 3);
	ok(p, "xrealloc: never NULL");
	free(p);
	s = xstrndup("abcdef", 3);
	is(s, "abc", "xstrndup");
	free(s);
	s = xstrndup("ab", 3);
	is(s, "ab", "xstrndup: shorter");
	free(s);
	s = xasprintf("%s-%d", "x", 5);
	is(s, "x-5", "xasprintf");
	free(s);

	is_int(fmt_fit(out, sizeof(out), "%s", "12345"), 0, "fmt_fit: fits");
	is(out, "12345", "fmt_fit: text");
	is_int(fmt_fit(out, sizeof(out), "%s", "123456"), -1, "fmt_fit: not");
	ok(strlen(out) < sizeof(out), "fmt_fit: still a text");
	is_int(fmt_fit(out, 0, "%s", ""), -1, "fmt_fit: no room at all");
}

/* -- the end -- */

static volatile size_t enormous = SIZE_MAX / 2 + 1; /* twice that is 0 */

static void
over_put(void)
{
	struct buf b = {.max = 3};

	buf_put(&b, "1234", 4);
}

static void
over_puts(void)
{
	struct buf b = {.max = 3};

	buf_puts(&b, "1234");
}

static void
over_printf(void)
{
	struct buf b = {.max = 3};

	buf_printf(&b, "%d", 1234);
}

static void
no_malloc(void)
{
	free(xmalloc(enormous / 4));
}

static void
no_calloc(void)
{
	free(xcalloc(enormous, 2));
}

static void
no_realloc(void)
{
	free(xrealloc(NULL, enormous, 2));
}

static const struct {
	const char *name;
	void (*run)(void);
	bool memory;
} deaths[] = {{"buf_put() over the ceiling", over_put, false},
    {"buf_puts() over the ceiling", over_puts, false},
    {"buf_printf() over the ceiling", over_printf, false},
    {"xmalloc() of too much", no_malloc, true},
    {"xcalloc() of a product too large", no_calloc, true},
    {"xrealloc() of a product too large", no_realloc, true}};

/* Runs it in a child: its exit status, and what it said. */
static int
status_of(void (*run)(void), char *said, size_t size)
{
	int ends[2], status = -1;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) == -1 || (pid = fork()) == -1)
		exit(99);
	if (pid == 0) {
		if (dup2(ends[1], STDERR_FILENO) == -1)
			_exit(99);
		run();
		_exit(0);
	}
	close(ends[1]);
	n = read(ends[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_deaths(void)
{
	static const char no_memory[] = "prog: out of memory\n";
	static const char too_long[] =
	    "prog: internal error: more text than its buffer may hold\n";
	char said[4096];
	size_t i;

	log_open("prog", LOG_ERROR);
	for (i = 0; i < sizeof(deaths) / sizeof(*deaths); i++) {
#ifdef WITH_SANITIZERS
		if (deaths[i].memory) {
			skip("the sanitizer ends it first", "%s",
			    deaths[i].name);
			continue;
		}
#endif
		is_int(status_of(deaths[i].run, said, sizeof(said)),
		    ERR_SOFTWARE, "%s: exit status", deaths[i].name);
		is(said, deaths[i].memory ? no_memory : too_long,
		    "%s: one line", deaths[i].name);
	}
}

int
main(void)
{
	test_grow();
	test_printf();
	test_ceiling();
	test_secrets();
	test_strings();
	test_alloc();
	test_deaths();
	return done();
}
