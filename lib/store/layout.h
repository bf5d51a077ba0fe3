/*
 * The names of objects in a store: CertMagic's, to the byte, so that one
 * directory or bucket can be shared with Pomerium and Caddy; and our own below
 * autocert/.  autocert-store(5) is the same in prose.
 *
 * Every function writes a key into out and returns 0, or -1 with ERR_CONFIG
 * when a part is empty after sanitising or the key would not fit.
 */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include <stddef.h>

struct err;

enum { LAYOUT_KEY_MAX = 1024 };

/* The issuer's folder name for a directory URL:
 * "https://localhost:14000/dir" gives "localhost-14000-dir". */
int layout_issuer(
    const char *directory_url, char out[LAYOUT_KEY_MAX], struct err *err);

/* certificates/ISSUER/NAME, and in it NAME.crt, NAME.key, NAME.json. */
int layout_cert_folder(const char *issuer, const char *name,
    char out[LAYOUT_KEY_MAX], struct err *err);
/* A file of it; suffix is ".crt", ".key", ".json". Within the folder only. */
int layout_cert_file(const char *name, const char *suffix,
    char out[LAYOUT_KEY_MAX], struct err *err);

/* acme/ISSUER/users/ACCOUNT/USER.json or .key; email "" is "default". */
int layout_account(const char *issuer, const char *email, const char *suffix,
    char out[LAYOUT_KEY_MAX], struct err *err);

/* acme/ISSUER/challenge_tokens/NAME.json; sni is identifier_sni()'s for
 * tls-alpn-01 on an address, else the identifier's value. */
int layout_token(const char *issuer, const char *sni, char out[LAYOUT_KEY_MAX],
    struct err *err);

/* Lock names, as CertMagic spells them before its own sanitising. */
int
layout_lock_cert(const char *name, char out[LAYOUT_KEY_MAX], struct err *err);
int layout_lock_account(
    const char *email, char out[LAYOUT_KEY_MAX], struct err *err);

/* Ours: autocert/ISSUER/WHAT (directory.json, nonce). */
int layout_own(const char *issuer, const char *what, char out[LAYOUT_KEY_MAX],
    struct err *err);
/* Ours: autocert/ISSUER/orders/NAME, the journal of an order under way. */
int layout_journal(const char *issuer, const char *name,
    char out[LAYOUT_KEY_MAX], struct err *err);

#endif
