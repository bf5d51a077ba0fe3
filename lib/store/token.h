/*
 * The token of a challenge under way, acme/ISSUER/challenge_tokens/NAME.json:
 * the solver puts it there, and whoever is asked by the CA looks for it, be it
 * our responder, Pomerium or Caddy.
 */
#ifndef STORE_TOKEN_H
#define STORE_TOKEN_H

#include "base/name.h"

struct err;
struct store;

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

#endif
