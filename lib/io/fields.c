#include <config.h>

#include "io/fields.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/name.h"
#include "io/http.h"

enum {
	INTERIM_MAX = 16, /* 1xx answers before the final one */
	NAME_SIZE = 32    /* longest name in known[], and NUL */
};

static void
keep_text(struct fields *f, enum field field, const char *value)
{
	free(f->text[field]);
	f->text[field] = xstrdup(value);
}

static void
keep_type(struct fields *f, enum field field, const char *value)
{
	size_t len = strcspn(value, "; \t");
	char *s;

	free(f->text[field]);
	f->text[field] = xstrndup(value, len);
	for (s = f->text[field]; *s; s++)
		*s = name_lower(*s);
}

static void
keep_link(struct fields *f, enum field field, const char *value)
{
	(void)field;
	strings_add(&f->links, value);
}

static int
check_content_coding(const char *value, struct err *err)
{
	return err_set(err, ERR_PROTOCOL,
	    "the answer is encoded (%s), which was not asked for", value);
}

/* libcurl 7.88 undoes gzip here too, asked or not. */
static int
check_transfer_coding(const char *value, struct err *err)
{
	if (name_equal(value, "chunked"))
		return 0;
	return err_set(
	    err, ERR_PROTOCOL, "transfer coding %s was not asked for", value);
}

/* Each is kept or checked. */
static const struct known {
	const char *name;
	enum field field;
	void (*keep)(struct fields *f, enum field field, const char *value);
	int (*check)(const char *value, struct err *err);
} known[] = {
    {"content-encoding", FIELDS, NULL, check_content_coding},
    {"content-type", FIELD_TYPE, keep_type, NULL},
    {"date", FIELD_DATE, keep_text, NULL},
    {"link", FIELDS, keep_link, NULL},
    {"location", FIELD_LOCATION, keep_text, NULL},
    {"replay-nonce", FIELD_NONCE, keep_text, NULL},
    {"retry-after", FIELD_RETRY, keep_text, NULL},
    {"transfer-encoding", FIELDS, NULL, check_transfer_coding},
};

/* NULL for one that is nothing to us. */
static const struct known *
known_by_name(const char *text, size_t len)
{
	char name[NAME_SIZE];
	size_t i;

	if (len == 0 || len >= sizeof(name))
		return NULL;
	memcpy(name, text, len);
	name[len] = '\0';
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (name_equal(name, known[i].name))
			return &known[i];
	return NULL;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A line without its end.  What is no field of ours is passed over. */
static int
take_field(struct fields *f, const char *line, size_t len, struct err *err)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : 0;
	const struct known *k = known_by_name(line, name_len);
	char *value;
	int rc = 0;

	if (!k)
		return 0;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && is_blank(line[0]))
		line++, len--;
	while (len > 0 && is_blank(line[len - 1]))
		len--;

	value = xstrndup(line, len);
	if (k->check)
		rc = k->check(value, err);
	else
		k->keep(f, k->field, value);
	free(value);
	return rc;
}

static void
forget_texts(struct fields *f)
{
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		free(f->text[i]);
		f->text[i] = NULL;
	}
	strings_release(&f->links);
}

static int
begin_block(struct fields *f, size_t len, struct err *err)
{
	if (f->blocks++ > INTERIM_MAX)
		return err_set(
		    err, ERR_PROTOCOL, "interim answers without end");
	f->part = PART_HEAD;
	f->bytes = len;
	f->count = 0;
	forget_texts(f);
	return 0;
}

static bool
is_status_line(const char *line, size_t len)
{
	static const char start[] = "HTTP/";

	return len >= strlen(start) && memcmp(line, start, strlen(start)) == 0;
}

/* The trailer fields of a chunked body are counted and otherwise ignored
 * (RFC 9110, 6.5.1). */
int
fields_line(struct fields *f, const char *line, size_t len, struct err *err)
{
	f->bytes += len;
	if (f->part != PART_HEAD && is_status_line(line, len))
		return begin_block(f, len, err);
	if (f->bytes > HTTP_HEADERS_MAX)
		return err_set(err, ERR_PROTOCOL,
		    "more than %d bytes of header", HTTP_HEADERS_MAX);
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len == 0) {
		f->part = PART_BODY;
		return 0;
	}
	if (++f->count > HTTP_HEADER_COUNT)
		return err_set(err, ERR_PROTOCOL, "more than %d header fields",
		    HTTP_HEADER_COUNT);
	if (memchr(line, '\0', len) || memchr(line, '\r', len))
		return err_set(err, ERR_PROTOCOL,
		    "a header field holds a control character");
	return f->part == PART_HEAD ? take_field(f, line, len, err) : 0;
}

const char *
fields_text(const struct fields *f, enum field field)
{
	return f->text[field] ? f->text[field] : "";
}

void
fields_clear(struct fields *f)
{
	forget_texts(f);
	*f = (struct fields){.part = PART_NONE};
}
