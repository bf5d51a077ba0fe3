/*
 * Identifiers: what a certificate is for (RFC 8555, 9.7.7; RFC 8738).
 *
 * identifier_parse() takes what a person or a configuration wrote and either
 * gives a struct that cannot be wrong or says why not: a DNS name of lower
 * case A-labels (letters, digits, hyphen, underscore refused; labels of 1 to
 * 63, 253 in all, one label is enough for the CA of a house; no trailing dot
 * kept), perhaps behind one "*.", or an IPv4 or IPv6 address in its canonical
 * text (RFC 5952).  Non-ASCII text is refused here: lib/pki/idna maps it to
 * A-labels first.  What comes from a CA goes through the same parser before it
 * nears a path.
 */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum identifier_type { IDENTIFIER_DNS, IDENTIFIER_IP };

enum {
	NAME_MAX_LEN = 255, /* "*." and 253, no NUL */
	REVERSE_MAX = 80    /* 32 nibbles, dots, ip6.arpa, NUL */
};

struct identifier {
	enum identifier_type type;
	bool wildcard; /* value then begins with "*." */
	char value[NAME_MAX_LEN + 1];
	unsigned char ip[16]; /* network order; IPv4 uses the first 4 */
	size_t ip_len;        /* 0, 4 or 16 */
};

/* ERR_USAGE with a sentence naming the text and what is wrong with it. */
int identifier_parse(const char *text, struct identifier *out, struct err *err);

/* The identifier type's name on the wire: "dns" or "ip". */
const char *identifier_type_name(enum identifier_type type);
bool identifier_equal(const struct identifier *a, const struct identifier *b);

/* Set comparison for orders and certificates: order does not matter. */
bool identifiers_equal(const struct identifier *a, size_t na,
    const struct identifier *b, size_t nb);

/*
 * The name that tls-alpn-01 puts into SNI (RFC 8738, 6): the DNS name itself,
 * or in-addr.arpa / ip6.arpa without a trailing dot.
 */
void identifier_sni(const struct identifier *id, char out[NAME_MAX_LEN + 1]);

/*
 * CertMagic's component sanitiser: one path component made of any text.
 * Lower case; blanks trimmed; space to "_", "+" to "_plus_", "*" to
 * "wildcard_", ":" to "-", ".." dropped; then every byte outside ASCII
 * letters, digits, "_@.-" dropped.  The result may be empty.  Truncation is
 * -1.
 */
int name_safe(const char *text, char *out, size_t size);

/* ASCII only, unlike strcasecmp() and tolower() under some locales. */
bool name_equal(const char *a, const char *b);
char name_lower(char c);

#endif
