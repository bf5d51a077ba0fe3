/*
 * Certificate signing requests (RFC 2986) with an empty subject: names go into
 * subjectAltName, must-staple into the TLS feature extension (RFC 7633).
 */
#ifndef PKI_CSR_H
#define PKI_CSR_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct identifier;
struct key;

/* DER into out. */
int csr_make(const struct key *key, const struct identifier *names, size_t n,
    bool must_staple, struct buf *out, struct err *err);

#endif
