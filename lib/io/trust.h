/*
 * Which file of CA certificates the next connection is checked against.
 *
 * What is trusted is the system's bundle, or a bundle of the caller's, or both.
 * Reading the system's is the dearest part of a short run; where both count,
 * the caller's alone (narrow) is tried first, and the two in one file (wide)
 * with a peer for whom that did not do.  The set trusted is the same.
 */
#ifndef IO_TRUST_H
#define IO_TRUST_H

#include <stdbool.h>

#include "base/buf.h"

struct err;
struct http_config;

/* A CA file made of bytes of ours: libcurl opens it anew for each connection,
 * and takes no bytes in memory with GnuTLS before 8.18. */
struct ca_memory {
	int fd;
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
};

struct trust {
	struct buf extra;        /* the caller's PEM; empty: none */
	bool only;               /* extra and nothing else */
	char *system;            /* path of the bundle, once known */
	struct ca_memory narrow; /* extra alone */
	struct ca_memory wide;   /* the system's and extra */
};

/* ERR_CONFIG when the trust input is unusable. */
int trust_open(
    struct trust *trust, const struct http_config *config, struct err *err);
void trust_close(struct trust *trust); /* after a failed trust_open() too */

/*
 * The CA file for a connection, valid until trust_close(); NULL and err when
 * there is none.  wide: narrow trust was not enough for this peer.  built_in:
 * the bundle that libcurl was built with, or NULL.
 */
const char *trust_file(
    struct trust *trust, bool wide, const char *built_in, struct err *err);

/* More is trusted than file holds: ask for the wide one before giving up. */
bool trust_is_narrow(const struct trust *trust, const char *file);

#endif
