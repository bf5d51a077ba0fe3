/*
 * struct err: the one error channel.
 *
 * A function that can fail returns 0 or -1 (or a pointer or NULL) and takes a
 * struct err * as its last argument.  It leaves the struct untouched on
 * success and fills it where the failure is understood; callers on the way up
 * put what they were doing in front with err_wrap().  cmd/ and lib/run print
 * it once.  The struct is plain data of fixed size: it lives on the stack or
 * inside another struct, is copied by assignment and never freed.
 *
 *	if (file_read(path, FILE_MAX, &b, err) == -1)
 *		return err_wrap(err, "account key");
 *
 * Codes are the exit statuses that every manual page lists (sysexits where
 * sysexits has a word for it), so nothing translates them at the top.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <time.h>

enum err_code {
	ERR_NONE = 0,
	ERR_PARTIAL = 3,      /* some of a batch failed, others did not */
	ERR_EXISTS = 60,      /* internal: an if-absent or if-match put lost */
	ERR_USAGE = 64,       /* command line */
	ERR_DATA = 65,        /* a CSR, certificate or answer is unusable */
	ERR_ABSENT = 66,      /* no such file, object or account */
	ERR_UNAVAILABLE = 69, /* CA or network down */
	ERR_SOFTWARE = 70,    /* our bug, or a library's */
	ERR_IO = 74,          /* reading or writing the store failed */
	ERR_LATER = 75,       /* rate limit, back-off, lock held */
	ERR_PROTOCOL = 76,    /* the CA refused, or broke the protocol */
	ERR_PERMISSION = 77,  /* file modes, terms of service, EAB, account */
	ERR_CONFIG = 78,      /* configuration or a trust input */
	ERR_HOOK = 81,        /* files are safe, a hook failed */
	ERR_REVOKED = 82      /* revoked */
};

enum { ERR_TEXT_MAX = 1024, ERR_TYPE_MAX = 64 };

struct err {
	enum err_code code;
	int sys;         /* errno, or 0 */
	int http;        /* HTTP status of the answer, or 0 */
	time_t retry_at; /* wall clock; with ERR_LATER, or 0 */
	char type
	    [ERR_TYPE_MAX]; /* ACME problem type without its URN prefix, or "" */
	char text[ERR_TEXT_MAX]; /* one line, no newline, printable */
};

#define ERR_INIT                                                               \
	{                                                                      \
		.code = ERR_NONE                                               \
	}

/*
 * Fills err with a code and a sentence.  Always returns -1, so that a caller
 * can write "return err_set(...)".  Bytes below 0x20, 0x7f and C1 controls are
 * replaced by '?' here, once, so that no peer's text can reach a terminal; a
 * text too long is cut and ends in "...".
 */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* err_set() with ": " and strerror(errno) behind the text; keeps errno. */
int err_sys(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "what: " in front of the text.  Always returns -1. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A bug of ours was met: ERR_SOFTWARE.  Always returns -1. */
int err_bug(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

/*
 * Makes text fit for a line of a message, in place: a '?' for each control
 * character (C0, DEL, C1) and each byte that is not UTF-8.
 */
void make_printable(char *text);

/* What they return, for an analyser that cannot see into err.c. */
#ifdef __clang_analyzer__
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
#define err_bug(...) (err_bug(__VA_ARGS__), -1)
#endif

/*
 * Folds one outcome into a batch's: worst of what failed while nothing
 * succeeded, ERR_PARTIAL once some succeeded and some failed; ERR_HOOK when
 * nothing but hooks failed.
 */
struct err_tally {
	size_t ok, failed, hooks;
	enum err_code worst;
};

void err_tally_add(struct err_tally *t, enum err_code code);
enum err_code err_tally_result(const struct err_tally *t);

#endif
