/*
 * A CA as the programs that talk to one see it: the store, HTTP with the
 * configured trust, and a run, opened together from the settings.
 */
#ifndef CMD_CA_H
#define CMD_CA_H

#include <stddef.h>

#include "store/layout.h"

struct err;
struct http;
struct key;
struct run;
struct settings;
struct store;

struct ca {
	const struct settings *settings;
	struct store *store;
	char issuer[LAYOUT_KEY_MAX]; /* folder name */
	struct http *http;
	struct run *run;
	char *account_url;
	struct key *account_key;
};

/* The store alone: enough to find out whether there is anything to do. */
int
ca_open_store(struct ca *ca, const struct settings *settings, struct err *err);

/* Everything else. window is how many orders may be in flight; 0: default. */
int ca_open(struct ca *ca, size_t window, struct err *err);

/*
 * The account's key and URL: from the store, or, when only the key is there,
 * from the CA.  ERR_PERMISSION when there is no account.
 */
int ca_account(struct ca *ca, long lock_wait_ms, struct err *err);

void ca_close(struct ca *ca);

#endif
