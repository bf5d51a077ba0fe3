/*
 * An order (RFC 8555, 7.4), from newOrder to an installed certificate: the
 * table above all tables.
 *
 *	row		asks					reads
 *	new-order	newOrder, or the journalled order	order, its URL
 *	journal		the machine: keep the order's URL
 *	authorizations	every authorization, while pending	challenges; picks one each
 *	present		the machine: make each challenge true
 *	respond		{} to each challenge; the machine:	challenge; CSR
 *			make the leaf key durable
 *	until-ready	the order				order; why it is invalid
 *	cleanup		the machine: withdraw each challenge
 *	key		the machine, if nothing was pending	CSR
 *	finalize	the CSR					order
 *	until-valid	the order				order
 *	certificate	the certificate				chain, checked
 *	install		the machine: one commit
 *
 * An order opens no socket and no file: it says what it wants and is told what
 * came.  The server's status is the state.
 */
#ifndef ACME_ORDER_H
#define ACME_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "acme/authz.h"
#include "base/name.h"

struct buf;
struct directory;
struct err;
struct flow;

enum { ORDER_NAMES_MAX = 100 };

struct order_spec {
	const char *name; /* for messages */
	const struct directory *directory;
	const struct identifier *names;
	size_t n_names;
	const char *thumbprint;                /* of the account key */
	const enum challenge_type *challenges; /* wanted, best first */
	size_t n_challenges;
	const char *resume_url; /* journalled order, or NULL */
	bool resume_key;        /* ... and its key is there too */
	bool must_staple;       /* what the CSR will ask for */
	const char *replaces;   /* CertID of the predecessor (RFC 9773,
					 * 5), or NULL */
};

struct order;

/* Borrows the spec and what it points to until order_free(). */
struct order *order_new(const struct order_spec *spec, struct err *err);
struct flow *order_flow(struct order *o);
void order_free(struct order *o);

/* The order's URL once known, else NULL. */
const char *order_url(const struct order *o);
/* The certificate's URL once known, else NULL. */
const char *order_certificate_url(const struct order *o);
/* The chain as downloaded; empty before.  The machine's install row checks it
 * with cert_chain_check() before it commits: the order cannot know the clock. */
const struct buf *order_chain(const struct order *o);

/* What LOCAL_PRESENT and LOCAL_CLEANUP of ask.index are about. */
struct order_challenge {
	enum challenge_type type;
	const struct identifier *identifier;
	const char *token;
	const char *url;
	char key_authorization[KEY_AUTHORIZATION_MAX];
};

void order_challenge(
    const struct order *o, size_t index, struct order_challenge *out);

/* Which challenge types were tried, as a bit set of 1 << type. */
unsigned order_tried(const struct order *o);

/* It failed because an authorization did, not for any other reason. */
bool order_validation_failed(const struct order *o);

/* The order was resumed, not made anew. */
bool order_resumed(const struct order *o);

#endif
