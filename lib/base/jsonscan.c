/*
 * The strict scanner: RFC 8259's grammar, one function per production, and our
 * limits on top.  It recurses, JSON_DEPTH deep at most.  The names of all
 * objects are collected unescaped, each with the number of its object; sorted
 * at the end, duplicates lie side by side.
 */
#include <config.h>

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

struct name {
	size_t object;             /* which it belongs to */
	const unsigned char *text; /* unescaped, into scan.unescaped */
	size_t len;
	const unsigned char *at; /* where it stands */
};

struct scan {
	const unsigned char *at, *end;
	const char *why; /* why not, at "at" */
	size_t depth, objects;
	struct name *names;
	size_t n, cap;
	unsigned char *unescaped; /* every name, one behind the other */
	size_t used;
};

static bool scan_value(struct scan *s);

static bool
refuse(struct scan *s, const char *why)
{
	s->why = s->at == s->end ? "the document is cut short" : why;
	return false;
}

static bool
next_is(const struct scan *s, char c)
{
	return s->at < s->end && *s->at == (unsigned char)c;
}

static bool
take(struct scan *s, char c)
{
	bool is = next_is(s, c);

	s->at += is;
	return is;
}

static void
skip_space(struct scan *s)
{
	while (next_is(s, ' ') || next_is(s, '\t') || next_is(s, '\n') ||
	    next_is(s, '\r'))
		s->at++;
}

/* -- strings ------------------------------------------------------------- */

/* Well-formed UTF-8 by its first two bytes (Unicode, table 3-7): no overlong
 * forms, no surrogates, nothing above U+10FFFF. */
static const struct {
	unsigned char first, last; /* range of the leading byte */
	unsigned char low, high;   /* range of the second */
	size_t len;
} utf8[] = {
    {0x00, 0x7f, 0x00, 0xff, 1},
    {0xc2, 0xdf, 0x80, 0xbf, 2},
    {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4},
    {0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t
json_utf8_len(const void *data, size_t left)
{
	const unsigned char *p = data;
	size_t i, k;

	if (left == 0)
		return 0;
	for (i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++)
		if (p[0] >= utf8[i].first && p[0] <= utf8[i].last)
			break;
	if (i == sizeof(utf8) / sizeof(utf8[0]) || utf8[i].len > left)
		return 0;
	if (utf8[i].len > 1 && (p[1] < utf8[i].low || p[1] > utf8[i].high))
		return 0;
	for (k = 2; k < utf8[i].len; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	return utf8[i].len;
}

static size_t
utf8_write(unsigned c, unsigned char out[4])
{
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;

	for (i = len; i-- > 1; c >>= 6)
		out[i] = (unsigned char)(0x80 | (c & 0x3f));
	out[0] = (unsigned char)(len == 1 ? c : (0xf00u >> len & 0xf0) | c);
	return len;
}

static bool
scan_hex4(struct scan *s, unsigned *c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *d;
	int i;

	*c = 0;
	for (i = 0; i < 4; i++) {
		d = s->at < s->end ?
		    memchr(digits, *s->at, sizeof(digits) - 1) :
		    NULL;
		if (!d)
			return refuse(s, "\\u without four hex digits");
		*c = *c << 4 | ((unsigned)(d - digits) & 15);
		s->at++;
	}
	return true;
}

static bool
scan_unicode(struct scan *s, unsigned *c)
{
	unsigned low;

	if (!scan_hex4(s, c))
		return false;
	if (*c == 0)
		return refuse(s, "a NUL in a string");
	if (*c < 0xd800 || *c > 0xdfff)
		return true;
	if (*c > 0xdbff || !take(s, '\\') || !take(s, 'u'))
		return refuse(s, "half of a surrogate pair");
	if (!scan_hex4(s, &low))
		return false;
	if (low < 0xdc00 || low > 0xdfff)
		return refuse(s, "half of a surrogate pair");
	*c = 0x10000 + ((*c & 0x3ff) << 10) + (low & 0x3ff);
	return true;
}

static bool
scan_escape(struct scan *s, unsigned *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p;

	if (take(s, 'u'))
		return scan_unicode(s, c);
	p = s->at < s->end ? memchr(from, *s->at, sizeof(from) - 1) : NULL;
	if (!p)
		return refuse(s, "an escape that JSON does not have");
	s->at++;
	*c = (unsigned char)to[p - from];
	return true;
}

static bool
scan_char(struct scan *s, unsigned char out[4], size_t *len)
{
	unsigned c;

	if (take(s, '\\')) {
		if (!scan_escape(s, &c))
			return false;
		*len = utf8_write(c, out);
		return true;
	}
	if (s->at < s->end && *s->at < 0x20)
		return refuse(s, "a control character in a string");
	*len = json_utf8_len(s->at, (size_t)(s->end - s->at));
	if (*len == 0)
		return refuse(s, "not UTF-8");
	memcpy(out, s->at, *len);
	s->at += *len;
	return true;
}

/* Unescapes into name if there is one to fill; it never grows by that. */
static bool
scan_string(struct scan *s, struct name *name)
{
	unsigned char c[4];
	size_t len;

	if (!take(s, '"'))
		return refuse(s, "a string was expected");
	while (!take(s, '"')) {
		if (!scan_char(s, c, &len))
			return false;
		if (name) {
			memcpy(s->unescaped + s->used, c, len);
			s->used += len;
			name->len += len;
		}
	}
	return true;
}

/* -- numbers and words --------------------------------------------------- */

static bool
scan_digits(struct scan *s)
{
	const unsigned char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > start || refuse(s, "a digit was expected");
}

static bool
scan_number(struct scan *s)
{
	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		take(s, '-');
	return scan_digits(s);
}

static bool
scan_word(struct scan *s, const char *word)
{
	for (; *word; word++)
		if (!take(s, *word))
			return refuse(s, "not a JSON value");
	return true;
}

/* -- arrays and objects -------------------------------------------------- */

static bool
scan_array(struct scan *s)
{
	skip_space(s);
	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s))
			return false;
	} while (take(s, ','));
	return take(s, ']') || refuse(s, "',' or ']' was expected");
}

static bool
scan_name(struct scan *s, size_t object)
{
	struct name name = {.object = object};

	skip_space(s);
	name.text = s->unescaped + s->used;
	name.at = s->at;
	if (!scan_string(s, &name))
		return false;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 32;
		s->names = xrealloc(s->names, s->cap, sizeof(*s->names));
	}
	s->names[s->n++] = name;
	return true;
}

static bool
scan_object(struct scan *s)
{
	size_t object = s->objects++;

	skip_space(s);
	if (take(s, '}'))
		return true;
	do {
		if (!scan_name(s, object))
			return false;
		skip_space(s);
		if (!take(s, ':'))
			return refuse(s, "':' was expected");
		if (!scan_value(s))
			return false;
	} while (take(s, ','));
	return take(s, '}') || refuse(s, "',' or '}' was expected");
}

static bool
scan_nested(struct scan *s, bool (*scan)(struct scan *))
{
	if (s->depth == JSON_DEPTH)
		return refuse(s, "nested too deeply");
	s->depth++;
	s->at++;
	if (!scan(s))
		return false;
	s->depth--;
	return true;
}

static bool
scan_one(struct scan *s)
{
	switch (s->at < s->end ? *s->at : 0) {
	case '{':
		return scan_nested(s, scan_object);
	case '[':
		return scan_nested(s, scan_array);
	case '"':
		return scan_string(s, NULL);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return scan_number(s);
	default:
		return refuse(s, "not a JSON value");
	}
}

static bool
scan_value(struct scan *s)
{
	skip_space(s);
	if (!scan_one(s))
		return false;
	skip_space(s);
	return true;
}

/* -- the document -------------------------------------------------------- */

static int
cmp_size(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

static int
cmp_text(const struct name *a, const struct name *b)
{
	int c = cmp_size(a->object, b->object);

	if (c == 0)
		c = cmp_size(a->len, b->len);
	return c ? c : memcmp(a->text, b->text, a->len);
}

/* Places are all different, so the order does not hang on qsort()'s. */
static int
cmp_name(const void *va, const void *vb)
{
	const struct name *a = va, *b = vb;
	int c = cmp_text(a, b);

	return c ? c : (a->at > b->at) - (a->at < b->at);
}

static bool
check_names(struct scan *s)
{
	size_t i;

	if (s->n > 0)
		qsort(s->names, s->n, sizeof(*s->names), cmp_name);
	for (i = 1; i < s->n; i++) {
		if (cmp_text(&s->names[i - 1], &s->names[i]) == 0) {
			s->at = s->names[i].at;
			return refuse(s, "a name stands twice in its object");
		}
	}
	return true;
}

static bool
scan_document(struct scan *s)
{
	if (!scan_value(s))
		return false;
	if (s->at < s->end)
		return refuse(s, "something behind the document");
	return check_names(s);
}

/* Bytes are counted from 1. */
int
json_scan(const char *what, const void *data, size_t len, struct err *err)
{
	const unsigned char *start = len > 0 ? data : (const void *)"";
	struct scan s = {.at = start, .end = start + len};
	int rc = 0;

	if (len > JSON_SIZE)
		return err_set(err, ERR_DATA, "%s: byte %d: larger than %d KiB",
		    what, JSON_SIZE + 1, JSON_SIZE / 1024);
	s.unescaped = xmalloc(len + 1);
	if (!scan_document(&s))
		rc = err_set(err, ERR_DATA, "%s: byte %zu: %s", what,
		    (size_t)(s.at - start) + 1, s.why);
	free(s.names);
	free(s.unescaped);
	return rc;
}
