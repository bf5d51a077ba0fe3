#include <config.h>

#include "pki/idna.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"
#include "pki/gtls.h"

enum { TEXT_MAX = 1024 }; /* 253 characters of four bytes each */

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* text with its ASCII letters in lower case: the one mapping that surprises
 * nobody. */
static char *
lower(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		*p = name_lower(*p);
	return copy;
}

/*
 * GnuTLS maps far and wide before it converts: it drops an underscore, makes
 * an address of full-width digits and a dot of other characters.  So the way
 * back has to lead to the very text; if it does not, the message says where it
 * leads, and whoever meant that can write it.
 */
static int
convert(
    const char *name, const char *shown, gnutls_datum_t *out, struct err *err)
{
	gnutls_datum_t back = {NULL, 0};
	const char *meant;
	int rc = gnutls_idna_map(name, (unsigned int)strlen(name), out, 0);

	if (rc == 0)
		rc = gnutls_idna_reverse_map(
		    (const char *)out->data, out->size, &back, 0);
	if (rc < 0)
		rc = err_set(err, ERR_USAGE,
		    "\"%s\": not an internationalised name: %s", shown,
		    gnutls_strerror(rc));
	meant = back.data ? (const char *)back.data : "";
	if (rc == 0 && strcmp(meant, name) != 0)
		rc = err_set(err, ERR_USAGE,
		    "\"%s\": not in U-labels; if \"%s\" is meant, write that",
		    shown, meant);
	gtls_free(&back);
	return rc;
}

int
idna_identifier(const char *text, struct identifier *out, struct err *err)
{
	const char *star = strncmp(text, "*.", 2) == 0 ? "*." : "";
	gnutls_datum_t ascii = {NULL, 0};
	char *name, *whole;
	int rc;

	if (is_ascii(text))
		return identifier_parse(text, out, err);
	if (strlen(text) > TEXT_MAX)
		return err_set(
		    err, ERR_USAGE, "\"%.64s...\": too long for a name", text);
	name = lower(text + strlen(star));
	rc = convert(name, text, &ascii, err);
	if (rc == 0) {
		whole = xasprintf("%s%s", star, (const char *)ascii.data);
		rc = identifier_parse(whole, out, err);
		free(whole);
	}
	free(name);
	gtls_free(&ascii);
	return rc;
}
