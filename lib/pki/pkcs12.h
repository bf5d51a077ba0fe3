/*
 * PKCS #12 (RFC 7292): key and chain in one encrypted file, as Java and
 * Windows want them.
 *
 * What is made is what OpenSSL 3 and all that is current read without asking
 * for old algorithms: PBES2 with AES-256, and HMAC-SHA-256 over all.  Salts
 * make every file another; pkcs12_holds() tells whether one says the same.
 */
#ifndef PKI_PKCS12_H
#define PKI_PKCS12_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct key;

enum {
	PKCS12_SIZE = 512 * 1024, /* cap on what is read back */
	PKCS12_PASSWORD_MAX = 256 /* bytes, without NUL */
};

/*
 * ERR_CONFIG for what cannot be a password: empty, too long, not UTF-8, or
 * with control characters in it.
 */
int pkcs12_password_check(const char *password, struct err *err);

/*
 * chain is PEM, the leaf first, whose key it is; name is what the file calls
 * them (friendlyName; Java's alias).  out is made secret and set last.
 * ERR_DATA for a chain that cannot be read or is not the key's, ERR_SOFTWARE.
 */
int pkcs12_make(const void *chain, size_t len, const struct key *key,
    const char *name, const char *password, struct buf *out, struct err *err);

/* Whether this file opens with the password and holds exactly this key and
 * these certificates, as pkcs12_make() would put them, under this name. */
bool pkcs12_holds(const void *data, size_t data_len, const char *password,
    const void *chain, size_t len, const struct key *key, const char *name);

#endif
