/*
 * Settings: flags over environment over file over defaults, decided in one
 * walk over one table that remembers where each value came from.
 *
 * The keys, variables, types, checks and messages of the ten autocert_*
 * settings are Pomerium's; those that Pomerium lacks also begin with
 * autocert_ and are marked as extensions in autocert.conf(5).  Secrets have no
 * flag.  After settings_load() everything is const.  This is the only file
 * that reads the environment.
 */
#ifndef CMD_SETTINGS_H
#define CMD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct err;

/* Each beats those before it. */
enum origin {
	FROM_DEFAULT,
	FROM_FILE,
	FROM_CREDENTIAL, /* systemd's, in $CREDENTIALS_DIRECTORY */
	FROM_ENVIRONMENT,
	FROM_FLAG
};

struct settings {
	bool autocert;          /* autocert */
	const char *ca;         /* autocert_ca; resolved: never "" */
	const char *email;      /* autocert_email, lower case, or "" */
	bool use_staging;       /* autocert_use_staging */
	const char *eab_key_id; /* autocert_eab_key_id, or NULL */
	struct buf eab_mac;     /* autocert_eab_mac_key, decoded */
	bool must_staple;       /* autocert_must_staple */
	const char *dir;        /* autocert_dir, resolved: never "" */
	struct buf trusted_ca;  /* PEM of autocert_trusted_ca(_file) */
	bool trusted_ca_only;   /* autocert_trusted_ca_only: ours */
	/* ours, for autocert-renew (cmd/managed.h); lists are words with
	 * blanks between them */
	const char *hosts;            /* autocert_hosts */
	const char *certificate_dirs; /* autocert_certificate_dirs */
	bool order_covered;           /* autocert_order_covered_names */
	const char *deploy_hooks;     /* autocert_deploy_hooks: a folder */
	long hook_timeout_ms;         /* autocert_hook_timeout, in seconds */
	const char *config_file;      /* before: the one of --config, or NULL;
					 * after: the one read, or NULL */

	bool keep_variables; /* before: do not remove secrets from
					 * the environment */

	/* the table's own: text and origin of each row, for settings_print() */
	struct settings_value {
		char *text;
		enum origin origin;
		unsigned line; /* of the file */
	} * values;
};

/*
 * The flags that every program shares, for getopt_long(): settings_options()
 * gives the long options with val codes from SETTINGS_OPT on, and
 * settings_flag() takes one.  The text is borrowed.
 */
enum { SETTINGS_OPT = 256 };

struct option;
const struct option *settings_options(size_t *n);
int
settings_flag(struct settings *s, int val, const char *arg, struct err *err);

/*
 * Reads environment and file, applies defaults, checks everything, reads the
 * trusted CA and the EAB key.  ERR_CONFIG (or ERR_ABSENT for a file that was
 * named and is not there) with Pomerium's messages.  The file is the one of
 * --config, else AUTOCERT_CONFIG, else /etc/autocert/config.yaml if it exists.
 * The variable of a secret is wiped and removed from the environment.
 */
void settings_init(struct settings *s);
int settings_load(struct settings *s, struct err *err);
void settings_release(struct settings *s);

/* "key\tvalue\torigin" lines, secrets as "(set)".  The origin is "default",
 * "file PATH:LINE", "credential", "environment" or "flag". */
void settings_print(const struct settings *s, struct buf *out);
/* The same as one JSON object: {"key": {"value": ..., "origin": ...}}, with
 * "file" and "line" where the origin is "file". */
void settings_print_json(const struct settings *s, struct buf *out);

/*
 * AUTOCERT_RESPONDER_FD, by which autocert-serve-challenge tells the program
 * that it runs where validations are reported: a descriptor, open for reading,
 * of a pipe or a socket.  -1 when there is none.
 */
int settings_responder_fd(void);

/* A variable of Pomerium's own; NULL when it is not set, or empty. The value of
 * one that holds a secret is to be given to settings_forget(). */
char *settings_variable(const char *name);
void settings_forget(const char *name, char *value);

/* A number in decimal digits alone, min to max. 0 or -1. */
int settings_number(const char *text, long min, long max, long *out);

#endif
