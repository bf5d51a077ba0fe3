/*
 * Enrolling: the account, as far as this machine is concerned.
 *
 * The key is made durable before the CA hears of it, under CertMagic's
 * registration lock; the account is looked up when the key is there and its
 * URL is not; the record is kept where Pomerium and Caddy look for it.
 */
#ifndef RUN_ENROLL_H
#define RUN_ENROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct run;
struct store;

struct enroll {
	const char *issuer;     /* folder name */
	const char *email;      /* "" for none */
	bool only_existing;     /* look it up by its key, never make one */
	const char *eab_key_id; /* NULL without EAB */
	const void *eab_mac;
	size_t eab_mac_len;
	int64_t lock_wait_ms;
	/* results */
	char *url; /* caller frees */
	bool created;
};

/* Finds or makes the account and fills the results. */
int
enroll(struct run *run, struct store *store, struct enroll *e, struct err *err);

#endif
