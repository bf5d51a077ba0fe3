/*
 * Connections: very many, each for a short and fixed time.
 *
 * A crowd of them shares one epoll set.  A connection is a struct conn and
 * nothing more until its client has sent something, and lives until a time
 * counted from its acceptance, whatever it does.  Three things have a ceiling,
 * and who has been there longest goes when one is reached: the connections
 * (those with a TLS handshake under way are spared while there are others),
 * the bytes held for them all, and the descriptors of the process.
 *
 * What epoll reports is a struct watch; its ready() is what to do then, and so
 * the state of a connection.  A closed connection stays in memory until
 * crowd_reap(), which the loop calls when it has gone through the events of a
 * round.
 */
#ifndef RUN_CONN_H
#define RUN_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;
struct handshake;

struct watch {
	void (*ready)(struct watch *w);
	void *owner;
	int fd;
};

enum { CONN_PEER_MAX = 46 }; /* longest address as text, with its NUL */

enum conn_kind { CONN_HTTP, CONN_TLS, CONN_KINDS };

/* A ring of neighbours; its head is one of them. */
struct link {
	struct link *prev, *next;
};

struct crowd {
	int epoll;
	int spare; /* given up to refuse when there is no other */
	size_t max, n;
	int life_ms[CONN_KINDS];
	struct link age[CONN_KINDS]; /* all, by birth */
	struct link held;            /* those that hold memory, by first byte */
	struct link dead;
	size_t held_bytes;
};

struct conn {
	struct watch watch; /* first: a watch is a conn by a cast */
	struct crowd *crowd;
	struct link age, held;
	int64_t born_ms;
	enum conn_kind kind;
	unsigned char peer[16]; /* address, IPv4 as IPv6-mapped */
	uint32_t events;        /* that epoll has been told of */
	struct buf buf;         /* what came; then what goes */
	size_t done;            /* bytes of buf scanned or sent, or drained */
	size_t cost;            /* bytes held for it */
	struct handshake *handshake; /* owned, or NULL */
	char *hit; /* owned: what to report at the end, or NULL */
};

/* max 0: what the descriptor limit allows. life_ms is each kind's. */
int crowd_open(struct crowd *crowd, size_t max, const int life_ms[CONN_KINDS],
    struct err *err);
void crowd_close(struct crowd *crowd);

/* Adds w to the epoll set, for reading. */
int crowd_watch(struct crowd *crowd, struct watch *w, struct err *err);

/* Raises the descriptor limit; max is then no more than it allows. */
void crowd_raise_limit(struct crowd *crowd);

/*
 * Accepts one connection from a listening descriptor, making room for it if
 * need be; ready is called when its client has sent something.  False when
 * there is none to accept now.
 */
bool crowd_accept(struct crowd *crowd, int fd, enum conn_kind kind,
    void (*ready)(struct watch *w), void *owner);

/* Milliseconds until the next connection's time is over; -1: there is none. */
int crowd_timeout(const struct crowd *crowd);
void crowd_expire(struct crowd *crowd);
void crowd_reap(struct crowd *crowd);

/* The client's address as text; returns out. */
const char *conn_peer(const struct conn *c, char out[CONN_PEER_MAX]);

void conn_close(struct conn *c);

/* All that follows may close the connection, or others to make room. */

/* Waits for EPOLLIN or EPOLLOUT, then calls ready. */
void conn_wait(struct conn *c, uint32_t events, void (*ready)(struct watch *w));

/* Appends to buf what has come, up to max bytes in all; false if nothing. */
bool conn_read(struct conn *c, size_t max);

/* Counts cost bytes as held for c, instead of what was counted before. */
void conn_hold(struct conn *c, size_t cost);

/*
 * After the last answer.  To close while something is unread would reset the
 * connection, and the answer might be lost with it: what still comes is passed
 * over until the client closes too (RFC 9112, 9.6).
 */
void conn_drain(struct conn *c);

#endif
