/*
 * A siege of autocert-serve-challenge: very many connections that say nothing,
 * or too little, are held open while honest probes are timed.
 *
 *	siege HTTP-PORT TLS-PORT BESIEGERS PROBES HOST PATH
 *
 * on loopback, for a challenge that is pending for HOST.  A third of the
 * besiegers is silent on each port and a third has sent half a word; those
 * that are closed come back at once.  Prints one line for each kind of probe:
 * kind, answered, asked, milliseconds for the median, the 99th percentile and
 * the slowest, and probes a second.
 */
#include <config.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

struct target {
	in_port_t http, tls;
	const char *host, *path;
	gnutls_certificate_credentials_t cred;
};

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
fatal(const char *what)
{
	perror(what);
	exit(1);
}

static int
open_to(in_port_t port)
{
	const struct timeval patience = {.tv_sec = 10};
	const int on = 1;
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		fatal("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* -- besiegers ----------------------------------------------------------- */

static int
besiege(const struct target *t, size_t i)
{
	int fd = open_to(i % 2 ? t->http : t->tls);

	if (i % 3 == 0)
		send(fd, i % 2 ? "GET /.we" : "\x16\x03\x01\x02", 4,
		    MSG_NOSIGNAL);
	return fd;
}

/* Every so often one comes back, so that all ages are there. */
static void
come_back(const struct target *t, int *fds, size_t n, size_t turn)
{
	const size_t some = 16;

	for (size_t k = 0; k < some && n > 0; k++) {
		size_t i = (turn * some + k) % n;
		char byte;
		ssize_t got = recv(fds[i], &byte, 1, MSG_DONTWAIT);

		if (got == -1 && errno == EAGAIN)
			continue;
		close(fds[i]);
		fds[i] = besiege(t, i);
	}
}

/* -- probes -------------------------------------------------------------- */

static bool
probe_http(const struct target *t)
{
	char data[4096];
	size_t len = 0;
	ssize_t n;
	int fd = open_to(t->http);

	n = snprintf(data, sizeof(data),
	    "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", t->path,
	    t->host);
	if (send(fd, data, (size_t)n, MSG_NOSIGNAL) == n)
		while (len < sizeof(data) &&
		    (n = recv(fd, data + len, sizeof(data) - len, 0)) > 0)
			len += (size_t)n;
	close(fd);
	return len > 12 && memcmp(data, "HTTP/1.1 200", 12) == 0;
}

static bool
probe_tls(const struct target *t)
{
	static unsigned char protocol[] = "acme-tls/1";
	const gnutls_datum_t alpn = {protocol, sizeof(protocol) - 1};
	gnutls_session_t s;
	int rc, fd = open_to(t->tls);

	gnutls_init(&s, GNUTLS_CLIENT);
	gnutls_set_default_priority(s);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->cred);
	gnutls_server_name_set(s, GNUTLS_NAME_DNS, t->host, strlen(t->host));
	gnutls_alpn_set_protocols(s, &alpn, 1, 0);
	gnutls_transport_set_int(s, fd);
	rc = gnutls_handshake(s);
	if (rc == 0)
		rc = (int)gnutls_record_recv(s, &(char){0}, 1);
	gnutls_deinit(s);
	close(fd);
	return rc == 0;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
time_probes(const struct target *t, const char *kind,
    bool (*probe)(const struct target *t), size_t probes, int *fds, size_t n)
{
	double *took = calloc(probes, sizeof(*took)), sum = 0;
	size_t good = 0;

	if (!took)
		fatal("memory");
	for (size_t i = 0; i < probes; i++) {
		double began = now_ms();

		good += probe(t);
		took[i] = now_ms() - began;
		sum += took[i];
		come_back(t, fds, n, i);
	}
	qsort(took, probes, sizeof(*took), compare);
	printf("%s\t%zu\t%zu\t%.2f\t%.2f\t%.2f\t%.0f\n", kind, good, probes,
	    took[probes / 2], took[probes * 99 / 100], took[probes - 1],
	    (double)probes * 1e3 / sum);
	fflush(stdout);
	free(took);
}

int
main(int argc, char **argv)
{
	struct target t;
	struct rlimit limit;
	size_t n, probes;
	int *fds;

	if (argc != 7) {
		fprintf(stderr,
		    "usage: siege http-port tls-port besiegers "
		    "probes host path\n");
		return 64;
	}
	t = (struct target){.http = (in_port_t)strtoul(argv[1], NULL, 10),
	    .tls = (in_port_t)strtoul(argv[2], NULL, 10),
	    .host = argv[5],
	    .path = argv[6]};
	n = strtoul(argv[3], NULL, 10);
	probes = strtoul(argv[4], NULL, 10);
	if (probes == 0)
		return 64;
	gnutls_certificate_allocate_credentials(&t.cred);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	fds = calloc(n + 1, sizeof(*fds));
	if (!fds)
		fatal("memory");
	for (size_t i = 0; i < n; i++)
		fds[i] = besiege(&t, i);
	time_probes(&t, "http-01", probe_http, probes, fds, n);
	time_probes(&t, "tls-alpn-01", probe_tls, probes, fds, n);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
	gnutls_certificate_free_credentials(t.cred);
	return 0;
}
