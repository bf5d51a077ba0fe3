/*
 * A host and port that requests go to, and what this run has learned of it.
 * Peers are few and live as long as their list.
 */
#ifndef IO_PEER_H
#define IO_PEER_H

#include <stdbool.h>

struct url;

struct peer {
	struct peer *next;
	char *host;    /* for messages */
	char *where;   /* "host:port" */
	bool answered; /* at least once */
	bool wide;     /* needs more than narrow trust */
};

/* The one of the URL, made when it is new. */
struct peer *peer_find(struct peer **peers, const struct url *url, bool tls);
void peers_free(struct peer *peers);

#endif
