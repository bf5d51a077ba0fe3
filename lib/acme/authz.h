/*
 * Authorizations and their challenges (RFC 8555, 7.1.4, 7.5, 8), read into
 * structs that cannot be wrong: a token is base64url of 22 to 512 characters
 * or the challenge is not there, a URL passed url_check_acme(), the identifier
 * is one that was ordered.  Challenge types nobody here knows are ignored.
 */
#ifndef ACME_AUTHZ_H
#define ACME_AUTHZ_H

#include <stdbool.h>
#include <stddef.h>

#include "base/name.h"

struct err;

enum {
	TOKEN_MAX = 512,
	CHALLENGES_MAX = 8,
	KEY_AUTHORIZATION_MAX = TOKEN_MAX + 1 + 43 + 1
};

enum status {
	STATUS_PENDING,
	STATUS_READY,
	STATUS_PROCESSING,
	STATUS_VALID,
	STATUS_INVALID,
	STATUS_DEACTIVATED,
	STATUS_EXPIRED,
	STATUS_REVOKED
};

/* Exact, case-sensitive. 0, or -1 for a word that is none of them. */
int status_parse(const char *word, enum status *out);
const char *status_name(enum status status);

enum challenge_type { CHALLENGE_HTTP01, CHALLENGE_TLSALPN01, CHALLENGE_DNS01 };

const char *challenge_type_name(enum challenge_type type);
int challenge_type_parse(const char *name, enum challenge_type *out);

struct challenge {
	enum challenge_type type;
	enum status status;
	char *url;
	char *token;
};

struct authz {
	struct identifier identifier; /* without "*." (RFC 8555, 7.1.4) */
	bool wildcard;
	enum status status;
	struct challenge challenges[CHALLENGES_MAX];
	size_t n_challenges;
};

/*
 * Reads an authorization object into *out, which the caller releases.  A
 * challenge of a known type whose token or URL is malformed makes the whole
 * answer ERR_PROTOCOL.
 */
int
authz_read(const void *body, size_t len, struct authz *out, struct err *err);
void authz_release(struct authz *a);

/* The problem of an invalid authorization: the failed challenge's error, or a
 * sentence saying that there was none.  Always -1. */
int authz_error(
    const void *body, size_t len, const struct authz *authz, struct err *err);

/* The challenge of that type, or NULL. */
const struct challenge *
authz_challenge(const struct authz *a, enum challenge_type type);

/* token "." thumbprint (RFC 8555, 8.1). */
void key_authorization(
    const char *token, const char *thumbprint, char out[KEY_AUTHORIZATION_MAX]);

#endif
