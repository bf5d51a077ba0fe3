/*
 * Listening sockets from a text: "ADDR:PORT" with an IPv4 address,
 * "[ADDR]:PORT" with an IPv6 one, or ":PORT" for every address of the machine.
 *
 * The last makes two sockets, one IPv6 with IPV6_V6ONLY and one IPv4, so that
 * nothing depends on net.ipv6.bindv6only; a machine that has only one of the
 * protocols is content with that.  Nobody else may listen on the same port:
 * SO_REUSEPORT is not set, as a validation could then reach the wrong process.
 */
#ifndef RUN_LISTENER_H
#define RUN_LISTENER_H

#include <stddef.h>

struct err;

enum { LISTENER_MAX = 2 };

struct listener {
	int fd[LISTENER_MAX]; /* non-blocking, close-on-exec */
	size_t n;
	unsigned port; /* the one that port 0 became */
};

/*
 * ERR_USAGE when the text is not as above; ERR_PERMISSION, or ERR_UNAVAILABLE
 * (the port is taken, no such address), naming the address and what to do.
 */
int listener_open(const char *text, struct listener *out, struct err *err);
void listener_close(struct listener *l);

#endif
