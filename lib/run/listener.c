#include <config.h>

#include "run/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

enum { PORT_0_TRIES = 16 };

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "[ADDR]:PORT" taken apart. */
struct where {
	union address v[LISTENER_MAX]; /* IPv6 before IPv4 */
	size_t n;
	bool wildcard;
	in_port_t port; /* network order */
};

/* -- the text ------------------------------------------------------------ */

static int
parse_port(const char *text, in_port_t *out)
{
	unsigned port = 0;
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 5 || text[n] != '\0')
		return -1;
	for (; *text; text++)
		port = port * 10 + (unsigned)(*text - '0');
	if (port > 65535)
		return -1;
	*out = htons((in_port_t)port);
	return 0;
}

static union address *
add_address(struct where *w, sa_family_t family)
{
	union address *a = &w->v[w->n++];

	a->any.sa_family = family;
	if (family == AF_INET)
		a->in.sin_port = w->port;
	else
		a->in6.sin6_port = w->port;
	return a;
}

static int
parse_address(const char *text, size_t len, struct where *w)
{
	char addr[INET6_ADDRSTRLEN + 1];
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (len == 0) {
		w->wildcard = true;
		add_address(w, AF_INET6)->in6.sin6_addr = in6addr_any;
		add_address(w, AF_INET)->in.sin_addr.s_addr = INADDR_ANY;
		return 0;
	}
	if (bracketed)
		text++, len -= 2;
	if (len >= sizeof(addr))
		return -1;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (bracketed)
		return inet_pton(AF_INET6, addr,
		           &add_address(w, AF_INET6)->in6.sin6_addr) == 1 ?
		    0 :
		    -1;
	return inet_pton(
	           AF_INET, addr, &add_address(w, AF_INET)->in.sin_addr) == 1 ?
	    0 :
	    -1;
}

static int
parse(const char *text, struct where *w, struct err *err)
{
	const char *colon = strrchr(text, ':');

	*w = (struct where){.n = 0};
	if (!colon || parse_port(colon + 1, &w->port) == -1 ||
	    parse_address(text, (size_t)(colon - text), w) == -1)
		return err_set(err, ERR_USAGE,
		    "'%s' is not an address to "
		    "listen on (\":PORT\", \"192.0.2.1:PORT\" or "
		    "\"[2001:db8::1]:PORT\")",
		    text);
	return 0;
}

/* -- the sockets --------------------------------------------------------- */

static socklen_t
address_len(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static unsigned
address_port(const union address *a)
{
	return ntohs(
	    a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

/* Keeps errno. */
static int
try_listen(const union address *a)
{
	const int on = 1;
	int e,
	    fd = socket(a->any.sa_family,
	        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	/* Accepted sockets inherit TCP_NODELAY. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (a->any.sa_family == AF_INET ||
	        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) ==
	            0) &&
	    bind(fd, &a->any, address_len(a)) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

/* With port 0 both sockets of a wildcard get the port that the first got. */
static void
learn_port(struct where *w, struct listener *l)
{
	union address a = {
	    .any = {.sa_family = AF_UNSPEC},
	};
	socklen_t len = sizeof(a);

	if (getsockname(l->fd[l->n - 1], &a.any, &len) == -1)
		return;
	l->port = address_port(&a);
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].any.sa_family == AF_INET)
			w->v[i].in.sin_port = htons((in_port_t)l->port);
		else
			w->v[i].in6.sin6_port = htons((in_port_t)l->port);
}

/* This machine does not speak that protocol. */
static bool
is_missing_protocol(int e)
{
	return e == EAFNOSUPPORT || e == EADDRNOTAVAIL;
}

/* -1 and errno when one that ought to work does not. */
static int
open_all(struct where w, struct listener *l)
{
	int e = 0;

	for (size_t i = 0; i < w.n; i++) {
		int fd = try_listen(&w.v[i]);

		if (fd != -1) {
			l->fd[l->n++] = fd;
			learn_port(&w, l);
			continue;
		}
		e = errno;
		if (!w.wildcard || !is_missing_protocol(e))
			break;
		e = 0;
	}
	if (e == 0 && l->n > 0)
		return 0;
	listener_close(l);
	errno = e ? e : EAFNOSUPPORT;
	return -1;
}

static const struct {
	int e;
	enum err_code code;
	const char *advice;
} known[] = {
    {EACCES, ERR_PERMISSION,
        "; a port below "
        "net.ipv4.ip_unprivileged_port_start takes root or "
        "CAP_NET_BIND_SERVICE"},
    {EADDRINUSE, ERR_UNAVAILABLE,
        "; \"ss -ltnp\" tells which program "
        "has the port: stop it, let it forward probes to another port, or "
        "let it answer them itself as Pomerium and Caddy do"},
    {EADDRNOTAVAIL, ERR_UNAVAILABLE, "; it is not this machine's"},
};

static int
explain(const char *text, int e, struct err *err)
{
	enum err_code code = ERR_UNAVAILABLE;
	const char *advice = "";

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].e == e) {
			code = known[i].code;
			advice = known[i].advice;
		}
	return err_set(
	    err, code, "cannot listen on %s: %s%s", text, strerror(e), advice);
}

int
listener_open(const char *text, struct listener *out, struct err *err)
{
	struct listener l = {.n = 0};
	struct where w;
	int tries = 1;

	if (parse(text, &w, err) == -1)
		return -1;
	/* The port that IPv6 was given may be taken on IPv4. */
	if (w.port == 0 && w.n > 1)
		tries = PORT_0_TRIES;
	while (open_all(w, &l) == -1)
		if (errno != EADDRINUSE || --tries == 0)
			return explain(text, errno, err);
	*out = l;
	return 0;
}

void
listener_close(struct listener *l)
{
	for (size_t i = 0; i < l->n; i++)
		close(l->fd[i]);
	l->n = 0;
}
