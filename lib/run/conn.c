#include <config.h>

#include "run/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/date.h"
#include "base/err.h"
#include "run/tlsalpn01.h"

enum {
	FD_RESERVE = 64, /* the store's, the caller's */
	CONNECTIONS_MAX = 65536,
	HELD_MAX = 16 * 1024 * 1024,
	READ_SIZE = 16 * 1024,
	DRAIN_MAX = 4 * 1024 * 1024 /* bytes passed over behind an answer */
};

/* -- rings --------------------------------------------------------------- */

static void
link_init(struct link *l)
{
	l->prev = l->next = l;
}

static void
link_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

static void
link_append(struct link *ring, struct link *l)
{
	l->prev = ring->prev;
	l->next = ring;
	ring->prev->next = l;
	ring->prev = l;
}

#define CONN_BY(member, link)                                                  \
	((struct conn *)(void *)((char *)(link)-offsetof(struct conn, member)))

/* -- closing ------------------------------------------------------------- */

static void
ready_dead(struct watch *w)
{
	(void)w;
}

static void
conn_unhold(struct conn *c)
{
	handshake_free(c->handshake);
	c->handshake = NULL;
	buf_release(&c->buf);
	c->crowd->held_bytes -= c->cost;
	c->cost = 0;
	link_remove(&c->held);
}

void
conn_close(struct conn *c)
{
	if (c->watch.ready == ready_dead)
		return;
	conn_unhold(c);
	free(c->hit);
	close(c->watch.fd);
	c->watch.ready = ready_dead;
	link_remove(&c->age);
	link_append(&c->crowd->dead, &c->age);
	c->crowd->n--;
}

void
crowd_reap(struct crowd *crowd)
{
	while (crowd->dead.next != &crowd->dead) {
		struct conn *c = CONN_BY(age, crowd->dead.next);

		link_remove(&c->age);
		free(c);
	}
}

/* -- time ---------------------------------------------------------------- */

static struct conn *
oldest(const struct crowd *crowd, enum conn_kind kind)
{
	const struct link *ring = &crowd->age[kind];

	return ring->next == ring ? NULL : CONN_BY(age, ring->next);
}

static int64_t
time_left(const struct conn *c, int64_t now)
{
	return c->born_ms + c->crowd->life_ms[c->kind] - now;
}

int
crowd_timeout(const struct crowd *crowd)
{
	int64_t now = date_mono_ms(), least = -1;

	for (int kind = 0; kind < CONN_KINDS; kind++) {
		const struct conn *c = oldest(crowd, (enum conn_kind)kind);
		int64_t left;

		if (!c)
			continue;
		left = time_left(c, now);
		if (left < 0)
			left = 0;
		if (least == -1 || left < least)
			least = left;
	}
	return (int)least;
}

void
crowd_expire(struct crowd *crowd)
{
	int64_t now = date_mono_ms();
	struct conn *c;

	for (int kind = 0; kind < CONN_KINDS; kind++)
		while ((c = oldest(crowd, (enum conn_kind)kind)) != NULL &&
		    time_left(c, now) <= 0)
			conn_close(c);
}

/* -- room ---------------------------------------------------------------- */

/* The oldest of a kind that is not in the middle of a handshake. */
static struct conn *
oldest_idle(const struct crowd *crowd, enum conn_kind kind)
{
	const struct link *ring = &crowd->age[kind];

	for (struct link *l = ring->next; l != ring; l = l->next)
		if (!CONN_BY(age, l)->handshake)
			return CONN_BY(age, l);
	return NULL;
}

static struct conn *
older(struct conn *a, struct conn *b)
{
	if (!a || !b)
		return a ? a : b;
	return a->born_ms <= b->born_ms ? a : b;
}

static bool
evict(struct crowd *crowd)
{
	struct conn *c = older(
	    oldest_idle(crowd, CONN_HTTP), oldest_idle(crowd, CONN_TLS));

	if (!c)
		c = older(oldest(crowd, CONN_HTTP), oldest(crowd, CONN_TLS));
	if (!c)
		return false;
	conn_close(c);
	return true;
}

void
conn_hold(struct conn *c, size_t cost)
{
	struct crowd *crowd = c->crowd;
	struct link *l;

	if (c->cost == 0)
		link_append(&crowd->held, &c->held);
	crowd->held_bytes = crowd->held_bytes - c->cost + cost;
	c->cost = cost;
	while (crowd->held_bytes > HELD_MAX) {
		l = crowd->held.next;
		if (l == &c->held)
			l = l->next;
		if (l == &crowd->held)
			break;
		conn_close(CONN_BY(held, l));
	}
}

/* -- who is there -------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

/* Kept from the start: a client that has closed has no address any more. */
static void
set_peer(struct conn *c, const union address *from)
{
	if (from->any.sa_family == AF_INET6) {
		memcpy(c->peer, &from->in6.sin6_addr, sizeof(c->peer));
		return;
	}
	memcpy(c->peer, mapped, sizeof(mapped));
	memcpy(c->peer + sizeof(mapped), &from->in.sin_addr, 4);
}

const char *
conn_peer(const struct conn *c, char out[CONN_PEER_MAX])
{
	bool ipv4 = memcmp(c->peer, mapped, sizeof(mapped)) == 0;

	if (!inet_ntop(ipv4 ? AF_INET : AF_INET6,
	        ipv4 ? c->peer + sizeof(mapped) : c->peer, out, CONN_PEER_MAX))
		out[0] = '\0';
	return out;
}

/* -- accepting ----------------------------------------------------------- */

static bool
is_out_of_room(int e)
{
	return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* With no descriptor left and no connection to close for it, a client that
 * stayed in the queue would wake the loop for ever. */
static void
refuse(struct crowd *crowd, int fd)
{
	int got;

	if (crowd->spare != -1)
		close(crowd->spare);
	got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (got != -1)
		close(got);
	crowd->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static struct conn *
conn_new(struct crowd *crowd, int fd, enum conn_kind kind,
    void (*ready)(struct watch *w), void *owner)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &c->watch};

	c->watch = (struct watch){ready, owner, fd};
	c->events = EPOLLIN;
	c->crowd = crowd;
	c->born_ms = date_mono_ms();
	c->kind = kind;
	link_init(&c->held);
	link_append(&crowd->age[kind], &c->age);
	crowd->n++;
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
		conn_close(c);
	return c;
}

static int
accept_one(int fd, union address *from)
{
	socklen_t len = sizeof(*from);

	return accept4(fd, &from->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

bool
crowd_accept(struct crowd *crowd, int fd, enum conn_kind kind,
    void (*ready)(struct watch *w), void *owner)
{
	union address from = {
	    .any = {.sa_family = AF_UNSPEC},
	};
	int got = accept_one(fd, &from);

	if (got == -1 && is_out_of_room(errno)) {
		if (!evict(crowd)) {
			refuse(crowd, fd);
			return false;
		}
		got = accept_one(fd, &from);
	}
	/* Other errors are about the connection, which is gone (accept(2)). */
	if (got == -1)
		return errno != EAGAIN && !is_out_of_room(errno);
	while (crowd->n >= crowd->max && evict(crowd))
		;
	set_peer(conn_new(crowd, got, kind, ready, owner), &from);
	return true;
}

/* -- reading and waiting ------------------------------------------------- */

void
conn_wait(struct conn *c, uint32_t events, void (*ready)(struct watch *w))
{
	struct epoll_event ev = {.events = events, .data.ptr = &c->watch};

	c->watch.ready = ready;
	if (events == c->events)
		return;
	c->events = events;
	if (epoll_ctl(c->crowd->epoll, EPOLL_CTL_MOD, c->watch.fd, &ev) == -1)
		conn_close(c);
}

/* Bytes read; 0 when there are none now, or no more. */
static size_t
receive(struct conn *c, void *data, size_t size)
{
	ssize_t n = recv(c->watch.fd, data, size, 0);

	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		conn_close(c);
	return 0;
}

bool
conn_read(struct conn *c, size_t max)
{
	unsigned char data[READ_SIZE];
	size_t n = max - c->buf.len;

	n = receive(c, data, n < sizeof(data) ? n : sizeof(data));
	if (n == 0)
		return false;
	buf_put(&c->buf, data, n);
	conn_hold(c, c->buf.cap);
	return true;
}

static void
ready_drain(struct watch *w)
{
	struct conn *c = (struct conn *)(void *)w;
	unsigned char data[READ_SIZE];

	c->done += receive(c, data, sizeof(data));
	if (c->done > DRAIN_MAX)
		conn_close(c);
}

void
conn_drain(struct conn *c)
{
	conn_unhold(c);
	c->done = 0;
	if (shutdown(c->watch.fd, SHUT_WR) == -1)
		conn_close(c);
	else
		conn_wait(c, EPOLLIN, ready_drain);
}

/* -- the crowd ----------------------------------------------------------- */

int
crowd_open(struct crowd *crowd, size_t max, const int life_ms[CONN_KINDS],
    struct err *err)
{
	*crowd = (struct crowd){.max = max};
	for (int kind = 0; kind < CONN_KINDS; kind++) {
		crowd->life_ms[kind] = life_ms[kind];
		link_init(&crowd->age[kind]);
	}
	link_init(&crowd->held);
	link_init(&crowd->dead);
	crowd->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd->epoll == -1 || crowd->spare == -1) {
		err_sys(err, ERR_UNAVAILABLE, "cannot wait for connections");
		crowd_close(crowd);
		return -1;
	}
	return 0;
}

int
crowd_watch(struct crowd *crowd, struct watch *w, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};

	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, w->fd, &ev) == -1)
		return err_sys(
		    err, ERR_UNAVAILABLE, "cannot wait for connections");
	return 0;
}

/* Descriptors that connections may have of so many. */
static size_t
room(rlim_t limit)
{
	if (limit >= CONNECTIONS_MAX + FD_RESERVE)
		return CONNECTIONS_MAX;
	if (limit / 2 > FD_RESERVE)
		return (size_t)limit - FD_RESERVE;
	return limit > 2 ? (size_t)limit / 2 : 1;
}

void
crowd_raise_limit(struct crowd *crowd)
{
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
	rlim_t was;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur < limit.rlim_max) {
		was = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
			limit.rlim_cur = was;
	}
	if (crowd->max == 0 || crowd->max > room(limit.rlim_cur))
		crowd->max = room(limit.rlim_cur);
}

void
crowd_close(struct crowd *crowd)
{
	struct conn *c;

	for (int kind = 0; kind < CONN_KINDS; kind++)
		while ((c = oldest(crowd, (enum conn_kind)kind)) != NULL)
			conn_close(c);
	crowd_reap(crowd);
	if (crowd->spare != -1)
		close(crowd->spare);
	if (crowd->epoll != -1)
		close(crowd->epoll);
}
