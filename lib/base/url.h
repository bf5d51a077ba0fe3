/*
 * URLs of the schemes we speak, taken apart and checked once.
 *
 * A struct url is what url_parse() made of a text: pieces copied out, the text
 * itself kept byte for byte, because a JWS must carry exactly the URL that was
 * received (RFC 8555, 6.4).
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>

struct err;

enum { URL_MAX = 2048 };

struct url {
	char text[URL_MAX]; /* as given */
	char scheme[8];     /* lower case */
	char host[256];     /* lower case, no brackets */
	char port[6];       /* "" when none was given */
	const char *path;   /* into text: from "/" on with the query, or "" */
	bool userinfo;      /* there was something before "@" */
};

/*
 * Printable ASCII without space, quotes, <, > or backslash, a scheme, a host,
 * a port of 1 to 65535.  what is for messages ("finalize").  ERR_DATA.
 */
int
url_parse(const char *what, const char *text, struct url *out, struct err *err);

/*
 * A URL that ACME traffic may go to: https, or http where the host is
 * internal; no userinfo; no fragment.  ERR_PROTOCOL.
 */
int url_check_acme(const char *what, const char *text, struct err *err);

/*
 * CertMagic's rule for hosts that need no https: localhost, *.localhost,
 * *.local, *.internal, *.home.arpa, and loopback, private and link-local
 * addresses.
 */
bool url_host_internal(const char *host);

#endif
