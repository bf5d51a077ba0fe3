#include <config.h>

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/buf.h"
#include "base/err.h"

/* json-c's getters want a pointer that is not const, but do not write. */
static json_object *
raw(const struct json *j)
{
	return (json_object *)(void *)(uintptr_t)j;
}

static struct json *
ours(json_object *o)
{
	return (struct json *)(void *)o;
}

/* What we ask of json-c here fails for want of memory only, and that has one
 * end: an allocation that cannot be. */
static void
must(bool got)
{
	if (!got)
		free(xrealloc(NULL, SIZE_MAX, 2));
}

static json_object *
made(json_object *o)
{
	must(o != NULL);
	return o;
}

/* -- parsing ------------------------------------------------------------- */

struct json *
json_parse(const char *what, const void *data, size_t len, struct err *err)
{
	json_tokener *tok;
	json_object *o;

	if (json_scan(what, data, len, err) == -1)
		return NULL;
	tok = json_tokener_new_ex(JSON_DEPTH + 1);
	must(tok != NULL);
	json_tokener_set_flags(tok, 0);
	o = json_tokener_parse_ex(tok, data, (int)len);
	json_tokener_free(tok);
	if (json_object_is_type(o, json_type_object))
		return ours(o);
	json_object_put(o);
	err_set(err, ERR_DATA, "%s: not a JSON object", what);
	return NULL;
}

void
json_free(struct json *doc)
{
	json_object_put(raw(doc));
}

/* -- reading ------------------------------------------------------------- */

/* The member, or NULL when there is none and need not be; or -1. */
static int
find(const char *what, const struct json *o, const char *member,
    enum json_need need, json_type type, json_object **out, struct err *err)
{
	static const char *const names[] = {
	    [json_type_boolean] = "true or false",
	    [json_type_int] = "an integer",
	    [json_type_object] = "an object",
	    [json_type_array] = "an array",
	    [json_type_string] = "a string",
	};
	json_object *found = NULL;

	json_object_object_get_ex(raw(o), member, &found);
	if (!found && need == JSON_REQUIRED)
		return err_set(err, ERR_DATA, "%s: %s: missing", what, member);
	if (found && !json_object_is_type(found, type))
		return err_set(err, ERR_DATA, "%s: %s: must be %s", what,
		    member, names[type]);
	*out = found;
	return 0;
}

int
json_get_string(const char *what, const struct json *o, const char *member,
    enum json_need need, const char **out, struct err *err)
{
	json_object *m = NULL;

	if (find(what, o, member, need, json_type_string, &m, err) == -1)
		return -1;
	if (m)
		*out = json_object_get_string(m);
	return 0;
}

int
json_get_bool(const char *what, const struct json *o, const char *member,
    enum json_need need, bool *out, struct err *err)
{
	json_object *m = NULL;

	if (find(what, o, member, need, json_type_boolean, &m, err) == -1)
		return -1;
	if (m)
		*out = json_object_get_boolean(m);
	return 0;
}

/*
 * json-c clamps in silence.  Above, the unsigned value tells; below, nothing
 * does, and so the smallest int64_t is refused with all that are smaller.
 */
static bool
fits_int64(json_object *m)
{
	return json_object_get_int64(m) > INT64_MIN &&
	    json_object_get_uint64(m) <= INT64_MAX;
}

int
json_get_int(const char *what, const struct json *o, const char *member,
    enum json_need need, int64_t *out, struct err *err)
{
	json_object *m = NULL;

	if (find(what, o, member, need, json_type_int, &m, err) == -1)
		return -1;
	if (m && !fits_int64(m))
		return err_set(err, ERR_DATA, "%s: %s: the number is too large",
		    what, member);
	if (m)
		*out = json_object_get_int64(m);
	return 0;
}

static int
get_node(const char *what, const struct json *o, const char *member,
    enum json_need need, json_type type, const struct json **out,
    struct err *err)
{
	json_object *m = NULL;

	if (find(what, o, member, need, type, &m, err) == -1)
		return -1;
	if (m)
		*out = ours(m);
	return 0;
}

int
json_get_object(const char *what, const struct json *o, const char *member,
    enum json_need need, const struct json **out, struct err *err)
{
	return get_node(what, o, member, need, json_type_object, out, err);
}

int
json_get_array(const char *what, const struct json *o, const char *member,
    enum json_need need, const struct json **out, struct err *err)
{
	return get_node(what, o, member, need, json_type_array, out, err);
}

size_t
json_len(const struct json *array)
{
	if (!json_object_is_type(raw(array), json_type_array))
		return 0;
	return json_object_array_length(raw(array));
}

static json_object *
element(const struct json *array, size_t i, json_type type)
{
	json_object *e = NULL;

	if (i < json_len(array))
		e = json_object_array_get_idx(raw(array), i);
	return json_object_is_type(e, type) ? e : NULL;
}

const char *
json_string_at(const struct json *array, size_t i)
{
	json_object *e = element(array, i, json_type_string);

	return e ? json_object_get_string(e) : NULL;
}

const struct json *
json_object_at(const struct json *array, size_t i)
{
	return ours(element(array, i, json_type_object));
}

const char *
json_member_at(const struct json *o, size_t i)
{
	struct json_object_iterator it, end;

	if (!json_object_is_type(raw(o), json_type_object))
		return NULL;
	it = json_object_iter_begin(raw(o));
	end = json_object_iter_end(raw(o));
	for (; !json_object_iter_equal(&it, &end); i--) {
		if (i == 0)
			return json_object_iter_peek_name(&it);
		json_object_iter_next(&it);
	}
	return NULL;
}

/* -- making -------------------------------------------------------------- */

struct json *
json_new_object(void)
{
	return ours(made(json_object_new_object()));
}

struct json *
json_new_array(void)
{
	return ours(made(json_object_new_array()));
}

void
json_add(struct json *o, const char *member, struct json *value)
{
	must(json_object_object_add(raw(o), member, raw(value)) == 0);
}

void
json_add_string(struct json *o, const char *member, const char *value)
{
	json_add(o, member, ours(made(json_object_new_string(value))));
}

void
json_add_bool(struct json *o, const char *member, bool value)
{
	json_add(o, member, ours(made(json_object_new_boolean(value))));
}

void
json_add_int(struct json *o, const char *member, int64_t value)
{
	json_add(o, member, ours(made(json_object_new_int64(value))));
}

void
json_append(struct json *array, struct json *value)
{
	must(json_object_array_add(raw(array), raw(value)) == 0);
}

void
json_append_string(struct json *array, const char *value)
{
	json_append(array, ours(made(json_object_new_string(value))));
}

struct json *
json_copy(const struct json *node)
{
	json_object *copy = NULL;

	if (node)
		must(json_object_deep_copy(raw(node), &copy, NULL) == 0);
	return ours(copy);
}

void
json_remove(struct json *o, const char *member)
{
	json_object_object_del(raw(o), member);
}

/* -- printing, as Go's encoding/json does -------------------------------- */

struct printer {
	enum json_style style;
	size_t depth;
	struct buf *out;
};

static void print_value(struct printer *p, json_object *o);

static void
new_line(const struct printer *p)
{
	size_t i;

	if (p->style != JSON_TABS)
		return;
	buf_puts(p->out, "\n");
	for (i = 0; i < p->depth; i++)
		buf_puts(p->out, "\t");
}

/* Also what Go escapes for the sake of HTML and JavaScript: <, >, & and the
 * two line separators, so that a file of ours is a file of theirs. */
static bool
must_escape(const unsigned char *c, size_t len)
{
	if (len == 1)
		return *c < 0x20 || strchr("\"\\<>&", *c);
	return len == 0 ||
	    (len == 3 &&
	        (memcmp(c, "\xe2\x80\xa8", 3) == 0 ||
	            memcmp(c, "\xe2\x80\xa9", 3) == 0));
}

/* One character of so many bytes; of none, if it is not UTF-8. */
static void
print_escape(struct buf *out, const unsigned char *c, size_t len)
{
	static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
	const char *p = memchr(from, *c, sizeof(from) - 1);

	if (len == 0)
		buf_puts(out, "\\ufffd");
	else if (len == 3)
		buf_printf(out, "\\u20%02x", (unsigned)c[2] & 0x3fu);
	else if (p)
		buf_printf(out, "\\%c", to[p - from]);
	else
		buf_printf(out, "\\u%04x", (unsigned)*c);
}

static void
print_string(struct buf *out, const char *text, size_t left)
{
	const unsigned char *c = (const unsigned char *)text, *plain = c;
	size_t len;

	buf_puts(out, "\"");
	for (; left > 0; left -= len) {
		len = json_utf8_len(c, left);
		if (!must_escape(c, len)) {
			c += len;
			continue;
		}
		buf_put(out, plain, (size_t)(c - plain));
		print_escape(out, c, len);
		len = len > 0 ? len : 1;
		c += len;
		plain = c;
	}
	buf_put(out, plain, (size_t)(c - plain));
	buf_puts(out, "\"");
}

static void
print_array(struct printer *p, json_object *array)
{
	size_t i, n = json_object_array_length(array);

	buf_puts(p->out, "[");
	p->depth++;
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_puts(p->out, ",");
		new_line(p);
		print_value(p, json_object_array_get_idx(array, i));
	}
	p->depth--;
	if (n > 0)
		new_line(p);
	buf_puts(p->out, "]");
}

static void
print_object(struct printer *p, json_object *o)
{
	struct json_object_iterator it = json_object_iter_begin(o);
	struct json_object_iterator end = json_object_iter_end(o);
	const char *name, *comma = "";

	buf_puts(p->out, "{");
	p->depth++;
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		name = json_object_iter_peek_name(&it);
		buf_puts(p->out, comma);
		new_line(p);
		print_string(p->out, name, strlen(name));
		buf_puts(p->out, p->style == JSON_TABS ? ": " : ":");
		print_value(p, json_object_iter_peek_value(&it));
		comma = ",";
	}
	p->depth--;
	if (*comma)
		new_line(p);
	buf_puts(p->out, "}");
}

/* Numbers come from json-c, which keeps a fraction's text as it was read. */
static void
print_value(struct printer *p, json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_object:
		print_object(p, o);
		break;
	case json_type_array:
		print_array(p, o);
		break;
	case json_type_string:
		print_string(p->out, json_object_get_string(o),
		    (size_t)json_object_get_string_len(o));
		break;
	default:
		buf_puts(p->out,
		    json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	}
}

void
json_print(const struct json *doc, enum json_style style, struct buf *out)
{
	struct printer p = {.style = style, .out = out};

	print_value(&p, raw(doc));
}
