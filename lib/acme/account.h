/*
 * The account (RFC 8555, 7.3): found or made, bound to an external one,
 * brought up to date.
 *
 *	find		newAccount with onlyReturnExisting, when a key is there
 *			but its URL is not
 *	new		newAccount with contact, terms and EAB, unless it was
 *			found
 *	update		the account, when its URL was known or its contact
 *			differs: a look, or the new contact
 *	save		the machine: make the record durable
 *
 * The key was made durable by the caller before the flow begins.
 */
#ifndef ACME_ACCOUNT_H
#define ACME_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

struct directory;
struct err;
struct flow;
struct key;

struct account_spec {
	const struct directory *directory;
	const struct key *key;
	const char *email;      /* "" for no contact */
	const char *url;        /* known account URL, or NULL */
	bool key_is_new;        /* made just now: nobody can know it */
	bool only_existing;     /* never make one */
	const char *eab_key_id; /* NULL without EAB */
	const void *eab_mac;
	size_t eab_mac_len;
};

struct account;

/* Borrows the spec and what it points to until account_free(). */
struct account *account_new(const struct account_spec *spec, struct err *err);
struct flow *account_flow(struct account *a);
const char *account_url(const struct account *a); /* NULL until known */
bool account_created(const struct account *a);    /* made, not found */
/* What the server said the account is, in CertMagic's members and order: the
 * record to be kept.  For LOCAL_SAVE. */
struct json *account_record(const struct account *a); /* caller frees */
void account_free(struct account *a);

#endif
