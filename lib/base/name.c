#include <config.h>

#include "base/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

/* RFC 1035, 2.3.4, in text without the final dot; SHOWN is as much of a
 * refused text as a message repeats. */
enum { LABEL_MAX = 63, DNS_MAX = 253, SHOWN = 300 };

#define ALONE "; give the host name alone"

/* What people write by mistake, most telling mark first. */
static const struct {
	const char *mark, *why;
} hints[] = {
    {"://", "this is a URL" ALONE},
    {"@", "this is an e-mail address or holds a user" ALONE},
    {"/", "this holds a path or a prefix length" ALONE},
    {"[", "write an IPv6 address without brackets"},
    {"]", "write an IPv6 address without brackets"},
    {"%", "an address with a zone means nothing to a CA"},
    {",", "a comma in a name; give each name by itself"},
    {" ", "a blank in a name; give each name by itself"},
    {"_", "a host name holds no underscore, no CA certifies one"},
};

static int
refuse(struct err *err, const char *text, const char *why)
{
	return err_set(err, ERR_USAGE, "\"%.*s\": %s", SHOWN, text, why);
}

char
name_lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	c = name_lower(c);
	return (c >= 'a' && c <= 'z') || is_digit(c);
}

static bool
is_number(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!is_digit(s[i]))
			return false;
	return len > 0;
}

/* -- addresses ----------------------------------------------------------- */

/* inet_ntop() writes what RFC 5952 asks for, mapped IPv4 included. */
static bool
parse_address(const char *text, struct identifier *id)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, id->ip) != 1)
		return false;
	id->type = IDENTIFIER_IP;
	id->ip_len = family == AF_INET6 ? 16 : 4;
	return inet_ntop(family, id->ip, id->value, sizeof(id->value)) != NULL;
}

/* -- names --------------------------------------------------------------- */

static const char *
label_fault(const char *label, size_t len)
{
	size_t i;

	if (len == 0)
		return "an empty label (a dot too many)";
	if (len > LABEL_MAX)
		return "a label is longer than 63 characters";
	if (label[0] == '-' || label[len - 1] == '-')
		return "a label begins or ends with a hyphen";
	for (i = 0; i < len; i++)
		if (!is_alnum(label[i]) && label[i] != '-')
			return "only letters, digits, hyphens and dots can be "
			       "in a name";
	return NULL;
}

static const char *
labels_fault(const char *name)
{
	const char *why;
	size_t len;

	for (;; name += len + 1) {
		len = strcspn(name, ".");
		why = label_fault(name, len);
		if (why)
			return why;
		if (!name[len])
			break;
	}
	if (is_number(name, len))
		return "the last label is a number: neither a name nor an "
		       "IPv4 address";
	return NULL;
}

/* NULL, or why text is no name. */
static const char *
parse_dns(const char *text, struct identifier *id)
{
	char *name = id->value;
	size_t i, len;

	id->type = IDENTIFIER_DNS;
	id->wildcard = strncmp(text, "*.", 2) == 0;
	if (id->wildcard) {
		*name++ = *text++;
		*name++ = *text++;
	}
	if (strchr(text, '*'))
		return "\"*\" can only be the whole first label, as in "
		       "*.example.com";
	len = strlen(text);
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len > DNS_MAX)
		return "the name is longer than 253 characters";
	for (i = 0; i < len; i++)
		name[i] = name_lower(text[i]);
	return labels_fault(name);
}

/* -- identifiers --------------------------------------------------------- */

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7f)
			return false;
	return true;
}

static const char *
hint(const char *text)
{
	const char *colon = strchr(text, ':');
	size_t i;

	for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strstr(text, hints[i].mark))
			return hints[i].why;
	if (colon && !strchr(colon + 1, ':'))
		return "a port is no part of a name" ALONE;
	return colon ? "not an IPv6 address" : NULL;
}

int
identifier_parse(const char *text, struct identifier *out, struct err *err)
{
	struct identifier id = {.ip_len = 0};
	const char *why;

	if (!*text)
		return err_set(err, ERR_USAGE, "an empty name");
	if (!is_ascii(text))
		return refuse(err, text,
		    "a U-label (a label that is not "
		    "ASCII); write its A-label, xn--...");
	if (!parse_address(text, &id)) {
		why = hint(text);
		if (!why)
			why = parse_dns(text, &id);
		if (why)
			return refuse(err, text, why);
	}
	*out = id;
	return 0;
}

const char *
identifier_type_name(enum identifier_type type)
{
	return type == IDENTIFIER_IP ? "ip" : "dns";
}

bool
identifier_equal(const struct identifier *a, const struct identifier *b)
{
	return a->type == b->type && strcmp(a->value, b->value) == 0;
}

static bool
all_within(const struct identifier *a, size_t na, const struct identifier *b,
    size_t nb)
{
	size_t i, j;

	for (i = 0; i < na; i++) {
		for (j = 0; j < nb && !identifier_equal(&a[i], &b[j]); j++)
			;
		if (j == nb)
			return false;
	}
	return true;
}

bool
identifiers_equal(const struct identifier *a, size_t na,
    const struct identifier *b, size_t nb)
{
	return all_within(a, na, b, nb) && all_within(b, nb, a, na);
}

/* Least significant first, by octet (RFC 1035, 3.5) or nibble (RFC 3596, 2.5);
 * a wildcard is validated by the name below it (RFC 8555, 7.1.3). */
void
identifier_sni(const struct identifier *id, char out[NAME_MAX_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *ip = id->ip;
	size_t i, n = 0;

	if (id->type == IDENTIFIER_DNS) {
		snprintf(out, NAME_MAX_LEN + 1, "%s",
		    id->value + (id->wildcard ? 2 : 0));
	} else if (id->ip_len == 4) {
		snprintf(out, REVERSE_MAX, "%u.%u.%u.%u.in-addr.arpa", ip[3],
		    ip[2], ip[1], ip[0]);
	} else {
		for (i = 16; i-- > 0;) {
			out[n++] = hex[ip[i] & 15];
			out[n++] = '.';
			out[n++] = hex[ip[i] >> 4];
			out[n++] = '.';
		}
		snprintf(out + n, REVERSE_MAX - n, "ip6.arpa");
	}
}

/* -- path components ----------------------------------------------------- */

/* In CertMagic's order, one pass, so that nothing made here is replaced. */
static const struct {
	const char *from, *to;
} safe[] = {
    {" ", "_"},
    {"+", "_plus_"},
    {"*", "wildcard_"},
    {":", "-"},
    {"..", ""},
};

/* What becomes of the text at *s, and moves *s behind it; one holds a byte. */
static const char *
safe_piece(const char **s, char one[2])
{
	size_t i, len;

	for (i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
		len = strlen(safe[i].from);
		if (strncmp(*s, safe[i].from, len) == 0) {
			*s += len;
			return safe[i].to;
		}
	}
	one[0] = name_lower(*(*s)++);
	if (!is_alnum(one[0]) && !strchr("_@.-", one[0]))
		one[0] = '\0';
	return one;
}

int
name_safe(const char *text, char *out, size_t size)
{
	static const char blanks[] = " \t\n\v\f\r";
	const char *end, *piece;
	char one[2] = "";
	size_t n = 0, len;

	text += strspn(text, blanks);
	end = text + strlen(text);
	while (end > text && strchr(blanks, end[-1]))
		end--;
	while (text < end) {
		piece = safe_piece(&text, one);
		len = strlen(piece);
		if (len >= size - n)
			return -1;
		memcpy(out + n, piece, len);
		n += len;
	}
	if (n >= size)
		return -1;
	out[n] = '\0';
	return 0;
}

bool
name_equal(const char *a, const char *b)
{
	for (; *a && name_lower(*a) == name_lower(*b); a++, b++)
		;
	return name_lower(*a) == name_lower(*b);
}
