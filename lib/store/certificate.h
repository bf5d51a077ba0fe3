/*
 * Certificates as the store keeps them: key, chain and metadata in one folder
 * (autocert-store(5)).  A certificate exists when all three are there and the
 * metadata parses.
 */
#ifndef STORE_CERTIFICATE_H
#define STORE_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pki/cert.h"

struct err;
struct json;
struct store;

struct certificate {
	char *issuer;      /* folder name under certificates/ */
	char *name;        /* folder name under the issuer's: sanitised */
	struct buf chain;  /* PEM */
	struct json *meta; /* the .json */
	struct cert cert;  /* read from the chain */
	bool key_matches;  /* the key file is there and fits the chain */
	bool key_checked;  /* certificate_load() was asked to look */
};

/*
 * Loads NAME of ISSUER (both as layout makes them).  with_key also reads the
 * key and compares it.  ERR_ABSENT when any of the three is missing, ERR_DATA
 * when one is unusable, ERR_LATER when it was replaced each time we looked.
 */
int certificate_load(struct store *s, const char *issuer, const char *name,
    bool with_key, struct certificate *out, struct err *err);
void certificate_release(struct certificate *c);

/* What a new generation is made of. */
struct certificate_new {
	const char *issuer;      /* folder name */
	const char *name;        /* certificate name, not yet sanitised */
	const void *chain, *key; /* PEM */
	size_t chain_len, key_len;
	const struct identifier *names;
	size_t n_names;
	const char *url, *ca,
	    *account; /* certificate, directory, account URL */
};

/* One commit: key, chain, metadata, in that order. */
int certificate_commit(
    struct store *s, const struct certificate_new *c, struct err *err);

/*
 * Every certificate folder in the store, "ISSUER/NAME", sorted; whether it
 * holds a certificate is for certificate_load() to say.
 */
int certificate_list(struct store *s, struct strings *out, struct err *err);

#endif
