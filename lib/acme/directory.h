/*
 * The directory (RFC 8555, 7.1.1): where a CA's resources are and what it says
 * of itself.
 */
#ifndef ACME_DIRECTORY_H
#define ACME_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/flow.h"

struct err;

struct directory {
	char *url; /* its own, as configured */
	char *new_nonce, *new_account, *new_order;
	char *revoke_cert, *key_change, *renewal_info; /* or NULL */
	char *terms; /* termsOfService, or NULL */
	bool eab_required;
	struct strings profiles; /* names offered; empty when none */
	struct strings caa;      /* caaIdentities */
};

/* Every URL passes url_check_acme(). ERR_PROTOCOL naming the member. */
int directory_read(const char *url, const void *body, size_t len,
    struct directory *out, struct err *err);
void directory_release(struct directory *d);

/*
 * The flow of one row that fetches it.  body receives the document (to be
 * cached) and directory what it says.
 */
struct directory_fetch {
	const char *url;
	struct directory *directory;
	struct buf body;
	struct flow flow;
};

void directory_fetch_init(
    struct directory_fetch *f, const char *url, struct directory *directory);
void directory_fetch_release(struct directory_fetch *f);

#endif
