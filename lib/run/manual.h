/*
 * Manual certificates: what the operator brings himself comes first.
 *
 * They are named by Pomerium's settings (certificate and certificate_key in
 * base64, certificates[], certificate_file and certificate_key_file) or are
 * PEM pairs in folders (autocert_certificate_dirs: NAME.crt or NAME.pem beside
 * NAME.key, fullchain.pem beside privkey.pem, also one level down).  A name
 * that is covered, exactly or by a wildcard of one label, by one that is valid
 * now, whose key matches and that allows serverAuth, is not ordered.
 */
#ifndef RUN_MANUAL_H
#define RUN_MANUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "pki/cert.h"

struct err;
struct identifier;

struct manual {
	struct manual_cert {
		char *where; /* path or setting, for messages */
		struct cert cert;
	} * v;
	size_t n;
};

/* Adds a pair of PEM texts. ERR_DATA, ERR_CONFIG when they do not match. */
int manual_add(struct manual *m, const char *where, const void *chain,
    size_t chain_len, const void *key, size_t key_len, struct err *err);
/* Adds a pair of files. */
int manual_add_files(struct manual *m, const char *cert_path,
    const char *key_path, struct err *err);
/* Adds every pair in a folder; one that is no good is skipped with a warning.
 * ERR_CONFIG when the folder cannot be read. */
int manual_add_dir(struct manual *m, const char *dir, struct err *err);

/*
 * The one that covers id and is valid at now, preferring the exact name and
 * then the longest life; NULL when there is none.  *expired is set to one that
 * covers it but is no longer valid, for a warning, or NULL.
 */
const struct manual_cert *
manual_find(const struct manual *m, const struct identifier *id, time_t now,
    const struct manual_cert **expired);

void manual_release(struct manual *m);

#endif
