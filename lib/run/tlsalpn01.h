/*
 * tls-alpn-01 (RFC 8737; RFC 8738 for addresses): the handshake that proves a
 * name, and no byte more.
 *
 * A TLS session is dear, so one is begun only for a client that has sent a
 * whole ClientHello: tlsalpn01_hello() looks at the bytes that came and tells.
 * handshake_start() takes those bytes and reads the rest from the descriptor.
 * TLS 1.2 or later; no tickets, no resumption, no early data; a client that
 * does not offer the protocol acme-tls/1, or asks for a name for which nothing
 * is pending, is refused by the alert that says so (RFC 8737, 4; RFC 7301)
 * before any key has been used.
 *
 *	h = handshake_start(t, fd, &hello);
 *	while handshake_step(h) wants to read or write: wait for that
 *	if it is done: handshake_name(h) has been proved
 *	handshake_free(h);	closes nothing
 */
#ifndef RUN_TLSALPN01_H
#define RUN_TLSALPN01_H

#include <stddef.h>

struct buf;
struct err;
struct handshake;
struct pending;
struct tlsalpn01;

enum {
	HELLO_MAX = 16 * 1024,     /* bytes of records */
	HANDSHAKE_COST = 64 * 1024 /* memory to reckon with for each */
};

enum hello { HELLO_MORE, HELLO_READY, HELLO_BAD };

/* Whether these bytes begin with a whole ClientHello; bad as soon as they can
 * no longer become one. */
enum hello tlsalpn01_hello(const void *data, size_t len);

/* What a client is told that sent something else: a fatal decode_error. */
enum { HELLO_ALERT_LEN = 7 };
extern const unsigned char tlsalpn01_alert[HELLO_ALERT_LEN];

/* What all handshakes share: parameters, and the last few certificates. */
struct tlsalpn01 *tlsalpn01_open(struct pending *pending, struct err *err);
void tlsalpn01_close(struct tlsalpn01 *t);

enum handshake_step {
	HANDSHAKE_READ,
	HANDSHAKE_WRITE,  /* wait for the descriptor */
	HANDSHAKE_DONE,   /* the probe has been answered */
	HANDSHAKE_REFUSED /* the client has been told why */
};

/* Takes the bytes of hello, which is empty then. NULL: no memory. */
struct handshake *
handshake_start(struct tlsalpn01 *t, int fd, struct buf *hello);
enum handshake_step handshake_step(struct handshake *h);

/* The identifier that was proved, as text; "" while none has been chosen. */
const char *handshake_name(const struct handshake *h);

/* Why it was refused, in GnuTLS's words. */
const char *handshake_reason(const struct handshake *h);

void handshake_free(struct handshake *h);

#endif
