/*
 * JSON objects, read by name and type and written by a library, never by
 * printf.  This is the only place that knows json-c.
 *
 * Reading: json_parse() first runs a strict scanner of its own over the bytes
 * (RFC 8259 grammar, valid UTF-8 without surrogates, no duplicate names in an
 * object, no NUL or other control character in a string or name, depth and
 * size limits, nothing but white space behind the value), because json-c
 * accepts much more than JSON and differently from release to release.  Then
 * json-c parses.  The top level must be an object.
 *
 * A getter names the object for its messages ("order"), the member, and checks
 * the type; it never converts.  JSON null counts as absent.  Strings returned
 * are borrowed from the document.  A struct json_doc owns the tree; struct
 * json * is a borrowed node of it.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct json; /* json-c's object, behind our name */

enum { JSON_DEPTH = 16, JSON_SIZE = 64 * 1024 };

/* The strict scanner alone. 0, or ERR_DATA with "what: byte N: why". */
int json_scan(const char *what, const void *data, size_t len, struct err *err);

/* Bytes of the well-formed UTF-8 character at data, or 0 when there is none. */
size_t json_utf8_len(const void *data, size_t left);

/* Parses one object; NULL and ERR_DATA otherwise. Free with json_free(). */
struct json *
json_parse(const char *what, const void *data, size_t len, struct err *err);
void json_free(struct json *doc); /* NULL is nothing */

enum json_need { JSON_OPTIONAL, JSON_REQUIRED };

/*
 * Absent and optional: 0 and *out untouched.  Absent and required, or of
 * another type: -1 and ERR_DATA, "what: member: ...".
 */
int json_get_string(const char *what, const struct json *o, const char *member,
    enum json_need need, const char **out, struct err *err);
int json_get_bool(const char *what, const struct json *o, const char *member,
    enum json_need need, bool *out, struct err *err);
int json_get_int(const char *what, const struct json *o, const char *member,
    enum json_need need, int64_t *out, struct err *err);
int json_get_object(const char *what, const struct json *o, const char *member,
    enum json_need need, const struct json **out, struct err *err);
int json_get_array(const char *what, const struct json *o, const char *member,
    enum json_need need, const struct json **out, struct err *err);

/* Elements of an array; NULL when of another type. */
size_t json_len(const struct json *array);
const char *json_string_at(const struct json *array, size_t i);
const struct json *json_object_at(const struct json *array, size_t i);

/* Names of an object's members, borrowed; NULL past the end. */
const char *json_member_at(const struct json *o, size_t i);

/* Writing.  The add functions take over the value; adding an existing name
 * replaces it. */
struct json *json_new_object(void);
struct json *json_new_array(void);
void json_add_string(struct json *o, const char *member, const char *value);
void json_add_bool(struct json *o, const char *member, bool value);
void json_add_int(struct json *o, const char *member, int64_t value);
void
json_add(struct json *o, const char *member, struct json *value); /* takes */
void json_append_string(struct json *array, const char *value);
void json_append(struct json *array, struct json *value); /* takes */

/* A copy of a borrowed node, to be added elsewhere or freed. */
struct json *json_copy(const struct json *node);
void json_remove(struct json *o, const char *member);

enum json_style {
	JSON_COMPACT, /* one line, no spaces */
	JSON_TABS     /* tab-indented, as CertMagic writes its files */
};

void json_print(const struct json *doc, enum json_style style, struct buf *out);

#endif
