#include <config.h>

#include "base/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/name.h"

#define ALPHA "abcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"

/* The text may be a peer's, or hold a password: then it is not repeated. */
static int
refuse(struct err *err, const char *what, const char *text, const char *why)
{
	if (strchr(text, '@'))
		return err_set(err, ERR_DATA, "%s: the URL %s", what, why);
	return err_set(
	    err, ERR_DATA, "%s: the URL \"%.200s\" %s", what, text, why);
}

/* Copies len bytes in lower case; false if they do not fit. */
static bool
copy_lower(char *out, size_t size, const char *text, size_t len)
{
	size_t i;

	if (len >= size)
		return false;
	for (i = 0; i < len; i++)
		out[i] = name_lower(text[i]);
	out[len] = '\0';
	return true;
}

/* -- the pieces: each gives NULL or what is wrong ------------------------ */

static const char *
check_text(const char *text)
{
	const char *p;

	for (p = text; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"'<>\\", *p))
			return "holds a byte that no URL holds";
	return p - text < URL_MAX ? NULL : "is too long";
}

static const char *
parse_scheme(const char *text, size_t len, struct url *u)
{
	if (len == 0 || strspn(text, DIGIT "+-.") > 0 ||
	    !copy_lower(u->scheme, sizeof(u->scheme), text, len) ||
	    strspn(u->scheme, ALPHA DIGIT "+-.") != len)
		return "has a scheme that is not known here";
	return NULL;
}

/* RFC 3986, 3.2.3, but a colon has a port behind it, written one way. */
static const char *
parse_port(const char *text, size_t len, struct url *u)
{
	if (!copy_lower(u->port, sizeof(u->port), text, len) ||
	    strspn(u->port, DIGIT) != len || len == 0 || text[0] == '0' ||
	    strtol(u->port, NULL, 10) > 65535)
		return "has a port that is not a number from 1 to 65535";
	return NULL;
}

static const char *
parse_ipv6(const char *text, size_t len, struct url *u)
{
	unsigned char ip[16];

	if (!copy_lower(u->host, sizeof(u->host), text, len) ||
	    inet_pton(AF_INET6, u->host, ip) != 1)
		return "has no IPv6 address between its brackets";
	return NULL;
}

/* Underscores are for the hosts of test rigs and containers. */
static const char *
parse_host(const char *text, size_t len, struct url *u)
{
	if (len == 0)
		return "has no host";
	if (!copy_lower(u->host, sizeof(u->host), text, len) ||
	    strspn(u->host, ALPHA DIGIT "-._") != len)
		return "has a host that is neither a name nor an address";
	return NULL;
}

/* [ userinfo "@" ] host [ ":" port ]; RFC 3986, 3.2 */
static const char *
parse_authority(const char *text, size_t len, struct url *u)
{
	const char *end = text + len, *at = memchr(text, '@', len);
	const char *host, *stop, *why;

	host = at ? at + 1 : text;
	u->userinfo = at != NULL;
	if (memchr(host, '@', (size_t)(end - host)))
		return "has more than one \"@\" before its host";
	if (host < end && *host == '[') {
		host++;
		stop = memchr(host, ']', (size_t)(end - host));
		if (!stop)
			return "has a bracket that is not closed";
		why = parse_ipv6(host, (size_t)(stop - host), u);
		stop++;
	} else {
		stop = memchr(host, ':', (size_t)(end - host));
		stop = stop ? stop : end;
		why = parse_host(host, (size_t)(stop - host), u);
	}
	if (why || stop == end)
		return why;
	if (*stop != ':')
		return "has something between its host and its port";
	return parse_port(stop + 1, (size_t)(end - stop - 1), u);
}

static const char *
parse(const char *text, struct url *u, size_t *path)
{
	const char *colon = strstr(text, "://"), *host, *why;
	size_t len;

	why = check_text(text);
	if (why)
		return why;
	if (!colon)
		return "has no scheme (https://)";
	why = parse_scheme(text, (size_t)(colon - text), u);
	if (why)
		return why;
	host = colon + strlen("://");
	len = strcspn(host, "/?#");
	why = parse_authority(host, len, u);
	if (why)
		return why;
	snprintf(u->text, sizeof(u->text), "%s", text);
	*path = host[len] == '/' ? (size_t)(host + len - text) : strlen(text);
	return NULL;
}

int
url_parse(const char *what, const char *text, struct url *out, struct err *err)
{
	struct url u = {.path = NULL};
	const char *why;
	size_t path = 0;

	why = parse(text, &u, &path);
	if (why)
		return refuse(err, what, text, why);
	*out = u;
	out->path = out->text + path;
	return 0;
}

/* -- where ACME may go --------------------------------------------------- */

static const char *
acme_fault(const struct url *u)
{
	if (u->userinfo)
		return "names a user";
	if (strchr(u->text, '#'))
		return "has a fragment";
	if (strcmp(u->scheme, "https") == 0)
		return NULL;
	if (strcmp(u->scheme, "http") != 0)
		return "is not https";
	return url_host_internal(u->host) ?
	    NULL :
	    "is not https and its host is not internal";
}

int
url_check_acme(const char *what, const char *text, struct err *err)
{
	struct url u = {.path = NULL};
	const char *why;

	if (url_parse(what, text, &u, err) == -1) {
		err->code = ERR_PROTOCOL;
		return -1;
	}
	why = acme_fault(&u);
	if (!why)
		return 0;
	refuse(err, what, text, why);
	err->code = ERR_PROTOCOL;
	return -1;
}

/* -- internal hosts ------------------------------------------------------ */

struct net {
	int family;
	unsigned bits;
	unsigned char prefix[16];
};

static const struct net internal_nets[] = {
    {AF_INET, 8, {127}}, /* RFC 1122, 3.2.1.3 */
    {AF_INET, 8, {10}},  /* RFC 1918 */
    {AF_INET, 12, {172, 16}}, {AF_INET, 16, {192, 168}},
    {AF_INET, 16, {169, 254}},    /* RFC 3927 */
    {AF_INET6, 128, {[15] = 1}},  /* RFC 4291, 2.5.3 */
    {AF_INET6, 10, {0xfe, 0x80}}, /* RFC 4291, 2.5.6 */
    {AF_INET6, 7, {0xfc}},        /* RFC 4193 */
};

static const char *const internal_names[] = {
    ".localhost",
    ".local",
    ".internal",
    ".home.arpa",
};

static bool
net_holds(const struct net *net, int family, const unsigned char *ip)
{
	size_t bytes = net->bits / 8;
	unsigned rest = net->bits % 8;

	return net->family == family && memcmp(net->prefix, ip, bytes) == 0 &&
	    (rest == 0 || (net->prefix[bytes] ^ ip[bytes]) >> (8 - rest) == 0);
}

static bool
ip_internal(int family, const unsigned char *ip)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	size_t i;

	if (family == AF_INET6 && memcmp(ip, mapped, sizeof(mapped)) == 0)
		return ip_internal(AF_INET, ip + sizeof(mapped));
	for (i = 0; i < sizeof(internal_nets) / sizeof(internal_nets[0]); i++)
		if (net_holds(&internal_nets[i], family, ip))
			return true;
	return false;
}

static bool
name_internal(const char *host, size_t len)
{
	const char *suffix;
	size_t i, n;

	for (i = 0; i < sizeof(internal_names) / sizeof(*internal_names); i++) {
		suffix = internal_names[i];
		n = strlen(suffix);
		if (len > n && strcmp(host + len - n, suffix) == 0)
			return true;
	}
	return strcmp(host, "localhost") == 0;
}

bool
url_host_internal(const char *host)
{
	unsigned char ip[16];
	char name[256];
	size_t len = strlen(host);

	if (inet_pton(AF_INET, host, ip) == 1)
		return ip_internal(AF_INET, ip);
	if (inet_pton(AF_INET6, host, ip) == 1)
		return ip_internal(AF_INET6, ip);
	if (len > 0 && host[len - 1] == '.')
		len--;
	return copy_lower(name, sizeof(name), host, len) &&
	    name_internal(name, len);
}
