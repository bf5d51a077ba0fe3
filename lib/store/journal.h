/*
 * The journal of an order under way, autocert/ISSUER/orders/NAME/: what was
 * asked for, where the order is and its key, so that a killed run is resumed
 * and not repeated.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/name.h"
#include "pki/key.h"

struct err;
struct store;

struct journal {
	struct identifier *names;
	size_t n_names;
	enum key_type key_type;
	bool must_staple;
	char *order_url; /* NULL before newOrder was answered */
	struct key *key; /* NULL before it was made */
};

/* Nothing there, or not readable: success and *found false (unreadable
 * warns). */
int journal_load(struct store *s, const char *issuer, const char *name,
    struct journal *out, bool *found, struct err *err);
int journal_save(struct store *s, const char *issuer, const char *name,
    const struct journal *j, struct err *err); /* without the key */
int journal_save_key(struct store *s, const char *issuer, const char *name,
    const struct key *key, struct err *err);
int journal_remove(
    struct store *s, const char *issuer, const char *name, struct err *err);
void journal_release(struct journal *j);

#endif
