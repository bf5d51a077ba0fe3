/*
 * The header fields of an answer, taken line by line as they arrive.
 *
 * Kept is the text of the few that struct http_response tells of, from the
 * last header of the answer: what interim answers (1xx) said is forgotten, and
 * trailer fields are only counted.  Bytes, fields and interim answers have
 * caps, and a coding that was not asked for is refused, so that nothing can be
 * made to inflate.  Nothing here knows libcurl.
 */
#ifndef IO_FIELDS_H
#define IO_FIELDS_H

#include <stddef.h>

#include "base/buf.h"

struct err;

/* Those whose text is kept; a Link is one of many. */
enum field {
	FIELD_TYPE,
	FIELD_LOCATION,
	FIELD_NONCE,
	FIELD_RETRY,
	FIELD_DATE,
	FIELDS
};

/* All zero before the first line. */
struct fields {
	enum { PART_NONE, PART_HEAD, PART_BODY } part;
	unsigned int blocks; /* status lines so far; 0: nothing has come */
	size_t bytes, count; /* since the last one */
	char *text[FIELDS];  /* NULL: absent */
	struct strings links;
};

/*
 * Takes one line, its end included: the status line, a field, the empty line
 * behind them, or a trailer field.  ERR_PROTOCOL.
 */
int
fields_line(struct fields *f, const char *line, size_t len, struct err *err);

/* "" when it was absent; lives until the next status line. */
const char *fields_text(const struct fields *f, enum field field);

void fields_clear(struct fields *f); /* frees; all zero again */

#endif
