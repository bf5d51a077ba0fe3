/*
 * Small records in the store: the account, the challenge token, the journal of
 * an order under way, and what a run remembers of a CA.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/buf.h"
#include "base/name.h"
#include "pki/key.h"

struct err;
struct json;
struct store;

/* -- the account: acme/ISSUER/users/... -- */

struct account_files {
	struct key *key;	/* NULL when there is none */
	char *url;		/* NULL when the record is missing or unusable */
	struct json *record;	/* the .json, or NULL */
};

/*
 * Loads what there is for this e-mail; nothing there is success with all NULL.
 * A key that is there but unusable is ERR_DATA: it is never replaced silently.
 * A record that is there but unusable counts as missing, with a warning.
 */
int account_files_load(struct store *s, const char *issuer, const char *email,
    struct account_files *out, struct err *err);
void account_files_release(struct account_files *a);
/* Durable before the CA hears of it; ERR_EXISTS if another run was first. */
int account_key_save(struct store *s, const char *issuer, const char *email,
    const struct key *key, struct err *err);
int account_record_save(struct store *s, const char *issuer, const char *email,
    const struct json *record, struct err *err);

/* -- the challenge token: acme/ISSUER/challenge_tokens/NAME.json -- */

struct token {
	char type[32];
	char token[513];
	char key_authorization[600];
	struct identifier identifier;
};

/* name is the identifier as layout_token() takes it. */
int token_put(struct store *s, const char *issuer, const struct token *t,
    const char *url, struct err *err);
int token_get(struct store *s, const char *issuer, const char *name,
    struct token *out, struct err *err);
int token_del(struct store *s, const char *issuer, const struct token *t,
    struct err *err);

/* -- the journal of an order: autocert/ISSUER/orders/NAME/ -- */

struct journal {
	struct identifier *names;
	size_t n_names;
	enum key_type key_type;
	bool must_staple;
	char *order_url;	/* NULL before newOrder was answered */
	struct key *key;	/* NULL before it was made */
};

/* Nothing there, or not readable: success and *found false (unreadable warns). */
int journal_load(struct store *s, const char *issuer, const char *name,
    struct journal *out, bool *found, struct err *err);
int journal_save(struct store *s, const char *issuer, const char *name,
    const struct journal *j, struct err *err);	/* without the key */
int journal_save_key(struct store *s, const char *issuer, const char *name,
    const struct key *key, struct err *err);
int journal_remove(struct store *s, const char *issuer, const char *name,
    struct err *err);
void journal_release(struct journal *j);

/* -- what a run remembers of a CA: autocert/ISSUER/ -- */

/* The directory document fetched at *when; absent or unusable: out empty. */
void directory_cache_load(struct store *s, const char *issuer,
    const char *directory_url, struct buf *out, time_t *when);
void directory_cache_save(struct store *s, const char *issuer,
    const char *directory_url, const struct buf *body, time_t now);
void directory_cache_forget(struct store *s, const char *issuer);

/* A nonce saved by the last run; taking it removes it. NULL when none. */
char *nonce_cache_take(struct store *s, const char *issuer);
void nonce_cache_save(struct store *s, const char *issuer, const char *nonce);

#endif
