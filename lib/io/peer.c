#include <config.h>

#include "io/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/url.h"

struct peer *
peer_find(struct peer **peers, const struct url *url, bool tls)
{
	const char *port = url->port[0] ? url->port : tls ? "443" : "80";
	char *where;
	struct peer *p;

	where = xasprintf(
	    strchr(url->host, ':') ? "[%s]:%s" : "%s:%s", url->host, port);
	for (p = *peers; p; p = p->next)
		if (strcmp(p->where, where) == 0) {
			free(where);
			return p;
		}
	p = xcalloc(1, sizeof(*p));
	p->host = xstrdup(url->host);
	p->where = where;
	p->next = *peers;
	*peers = p;
	return p;
}

void
peers_free(struct peer *peers)
{
	struct peer *next;

	for (; peers; peers = next) {
		next = peers->next;
		free(peers->host);
		free(peers->where);
		free(peers);
	}
}
