/*
 * Progress, for people, on standard error: one line per event,
 *
 *	autocert-order: www.example.com: waiting for the order to become ready
 *
 * Errors do not come through here: they travel in struct err and are printed
 * once, by log_err(), in cmd or run.  Quiet unless -v.  Never given a key, a
 * MAC, a key authorization or a bearer token; control characters in whatever
 * is given are replaced, so that a line stays a line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

struct err;

enum log_level {
	LOG_ERROR, /* printed always */
	LOG_WARN,  /* printed always, unless -q */
	LOG_INFO,  /* -v: what happens to an identifier */
	LOG_DEBUG  /* -vv: what crosses the wire, without secrets */
};

/* program is borrowed for the life of the process (argv[0]'s last component). */
void log_open(const char *program, enum log_level level);
const char *log_program(void);
enum log_level log_level(void);

/* name is what the line is about ("www.example.com", a file), or NULL. */
void log_error(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_warn(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_info(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_debug(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints err as "program: name: text", plus " (try again after TIME)" when it
 * carries a time. */
void log_err(const char *name, const struct err *err);

#endif
