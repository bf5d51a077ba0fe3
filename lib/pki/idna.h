/*
 * Internationalised names (RFC 5890): U-labels to A-labels, by GnuTLS's
 * libidn2.  The rest of the tree sees A-labels only.
 */
#ifndef PKI_IDNA_H
#define PKI_IDNA_H

struct err;
struct identifier;

/*
 * identifier_parse() for text that may hold U-labels in UTF-8: converted to
 * A-labels (a leading "*." is kept) and then parsed.  ASCII may be in upper
 * case; anything else that is no U-label (an upper case umlaut, full-width
 * digits) is refused with the name that it may stand for.  ERR_USAGE.
 */
int idna_identifier(const char *text, struct identifier *out, struct err *err);

#endif
