#include <config.h>

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "tap.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(s)                                                                \
	{                                                                      \
		s, sizeof(s) - 1                                               \
	}

struct text {
	const char *p;
	size_t len;
};

/* -- the scanner --------------------------------------------------------- */

static const struct text good[] = {
    TEXT("{}"),
    TEXT("[]"),
    TEXT(" \t\r\n{ \n} \t"),
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("\"\""),
    TEXT("0"),
    TEXT("-0"),
    TEXT("-1"),
    TEXT("10"),
    TEXT("0.5"),
    TEXT("1e5"),
    TEXT("1E+5"),
    TEXT("-1.25e-05"),
    TEXT("1e400"),
    TEXT("99999999999999999999999"),
    TEXT("{\"a\":1,\"b\":[1,2,{}],\"c\":{\"a\":null}}"),
    TEXT("[ 1 , 2 ]"),
    TEXT("{ \"a\" : 1 , \"b\" : 2 }"),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\uFFFF\""),
    TEXT("\"\\u0001\\u001f\x7f\""),
    TEXT("\"\\ud83d\\ude00\""),
    TEXT("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""),
    /* First and last of every length (Unicode, table 3-7). */
    TEXT("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xe0\xbf\xbf\""),
    TEXT("\"\xe1\x80\x80\xec\xbf\xbf\xed\x80\x80\xed\x9f\xbf\""),
    TEXT("\"\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""),
    TEXT("\"\xf1\x80\x80\x80\xf3\xbf\xbf\xbf\""),
    /* The same name in different objects, or nearly the same in one. */
    TEXT("[{\"a\":1},{\"a\":1},{\"b\":{\"a\":1},\"a\":{\"b\":1}}]"),
    TEXT("{\"a\":1,\"A\":2,\"\":3,\"aa\":4,\" a\":5,\"\xc3\xa9\":6,"
         "\"e\xcc\x81\":7}"),
    /* Sixteen levels. */
    TEXT("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"),
    TEXT("[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]"),
    TEXT("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]],[[]]]"),
};

static const struct {
	struct text doc;
	int byte;
	const char *why;
} bad[] = {
    {TEXT(""), 1, "cut short"},
    {TEXT("  "), 3, "cut short"},
    {TEXT("{"), 2, "cut short"},
    {TEXT("{\"a\""), 5, "cut short"},
    {TEXT("{\"a\":"), 6, "cut short"},
    {TEXT("{\"a\":1"), 7, "cut short"},
    {TEXT("{\"a\":1,"), 8, "cut short"},
    {TEXT("[1"), 3, "cut short"},
    {TEXT("[1,"), 4, "cut short"},
    {TEXT("\"abc"), 5, "cut short"},
    {TEXT("\"\\"), 3, "cut short"},
    {TEXT("\"\\u12"), 6, "cut short"},
    {TEXT("\"\\ud800"), 8, "cut short"},
    {TEXT("\"\\ud800\\"), 9, "cut short"},
    {TEXT("tru"), 4, "cut short"},
    {TEXT("-"), 2, "cut short"},
    {TEXT("1."), 3, "cut short"},
    {TEXT("1e+"), 4, "cut short"},
    {TEXT("{}}"), 3, "behind the document"},
    {TEXT("{} {}"), 4, "behind the document"},
    {TEXT("{},"), 3, "behind the document"},
    {TEXT("{}\0"), 3, "behind the document"},
    {TEXT("truex"), 5, "behind the document"},
    {TEXT("nullnull"), 5, "behind the document"},
    {TEXT("01"), 2, "behind the document"},
    {TEXT("-01"), 3, "behind the document"},
    {TEXT("0x10"), 2, "behind the document"},
    {TEXT("1.0.0"), 4, "behind the document"},
    {TEXT("1e5e5"), 4, "behind the document"},
    {TEXT("+1"), 1, "not a JSON value"},
    {TEXT(".5"), 1, "not a JSON value"},
    {TEXT("NaN"), 1, "not a JSON value"},
    {TEXT("nan"), 2, "not a JSON value"},
    {TEXT("Infinity"), 1, "not a JSON value"},
    {TEXT("-Infinity"), 2, "a digit"},
    {TEXT("5.]"), 3, "a digit"},
    {TEXT("1.e5"), 3, "a digit"},
    {TEXT("1e]"), 3, "a digit"},
    {TEXT("TRUE"), 1, "not a JSON value"},
    {TEXT("True"), 1, "not a JSON value"},
    {TEXT("undefined"), 1, "not a JSON value"},
    {TEXT("'a'"), 1, "not a JSON value"},
    {TEXT("\xef\xbb\xbf{}"), 1, "not a JSON value"},
    {TEXT("\0"), 1, "not a JSON value"},
    {TEXT("\v{}"), 1, "not a JSON value"},
    {TEXT("\xc2\xa0{}"), 1, "not a JSON value"},
    {TEXT("/* c */ {}"), 1, "not a JSON value"},
    {TEXT("{} // c"), 4, "behind the document"},
    {TEXT("[1,]"), 4, "not a JSON value"},
    {TEXT("[,1]"), 2, "not a JSON value"},
    {TEXT("[1 2]"), 4, "',' or ']'"},
    {TEXT("[1}"), 3, "',' or ']'"},
    {TEXT("{\"a\":1]"), 7, "',' or '}'"},
    {TEXT("{\"a\":1 \"b\":2}"), 8, "',' or '}'"},
    {TEXT("{\"a\":1,}"), 8, "a string"},
    {TEXT("{,}"), 2, "a string"},
    {TEXT("{a:1}"), 2, "a string"},
    {TEXT("{'a':1}"), 2, "a string"},
    {TEXT("{1:1}"), 2, "a string"},
    {TEXT("{\"a\"=1}"), 5, "':'"},
    {TEXT("{\"a\" 1}"), 6, "':'"},
    {TEXT("{\"a\":}"), 6, "not a JSON value"},
    /* Strings. */
    {TEXT("\"\\x41\""), 3, "an escape"},
    {TEXT("\"\\'\""), 3, "an escape"},
    {TEXT("\"\\U0041\""), 3, "an escape"},
    {TEXT("\"\\\0\""), 3, "an escape"},
    {TEXT("\"\\u00g1\""), 6, "hex"},
    {TEXT("\"\\u+041\""), 4, "hex"},
    {TEXT("\"\\u 041\""), 4, "hex"},
    {TEXT("\"\\u0000\""), 8, "NUL"},
    {TEXT("{\"a\\u0000b\":1}"), 10, "NUL"},
    {TEXT("\"a\0b\""), 3, "control"},
    {TEXT("\"a\nb\""), 3, "control"},
    {TEXT("\"a\tb\""), 3, "control"},
    {TEXT("{\"a\x1f\":1}"), 4, "control"},
    {TEXT("\"\\ud800\""), 8, "surrogate"},
    {TEXT("\"\\ud800x\""), 8, "surrogate"},
    {TEXT("\"\\ud800\\n\""), 9, "surrogate"},
    {TEXT("\"\\ud800\\u0041\""), 14, "surrogate"},
    {TEXT("\"\\ud800\\ud800\""), 14, "surrogate"},
    {TEXT("\"\\udc00\""), 8, "surrogate"},
    {TEXT("\"\\udc00\\ud800\""), 8, "surrogate"},
    {TEXT("\"\\uDFFF\""), 8, "surrogate"},
    {TEXT("\"\x80\""), 2, "UTF-8"},
    {TEXT("\"\xbf\""), 2, "UTF-8"},
    {TEXT("\"\xc0\xaf\""), 2, "UTF-8"},
    {TEXT("\"\xc1\xbf\""), 2, "UTF-8"},
    {TEXT("\"\xc3\""), 2, "UTF-8"},
    {TEXT("\"\xc3\xc3\""), 2, "UTF-8"},
    {TEXT("\"\xe0\x9f\xbf\""), 2, "UTF-8"},
    {TEXT("\"\xe2\x82\""), 2, "UTF-8"},
    {TEXT("\"\xe2\x82 \""), 2, "UTF-8"},
    {TEXT("\"\xed\xa0\x80\""), 2, "UTF-8"},
    {TEXT("\"\xed\xbf\xbf\""), 2, "UTF-8"},
    {TEXT("\"\xf0\x8f\xbf\xbf\""), 2, "UTF-8"},
    {TEXT("\"\xf0\x9f\x98 \""), 2, "UTF-8"},
    {TEXT("\"\xf4\x90\x80\x80\""), 2, "UTF-8"},
    {TEXT("\"\xf5\x80\x80\x80\""), 2, "UTF-8"},
    {TEXT("\"\xff\""), 2, "UTF-8"},
    {TEXT("{\"\xff\":1}"), 3, "UTF-8"},
    {TEXT("\"\xe2\x82"), 2, "UTF-8"},
    /* Names, compared as what they mean. */
    {TEXT("{\"a\":1,\"a\":1}"), 8, "twice"},
    {TEXT("{\"\":1,\"\":2}"), 7, "twice"},
    {TEXT("{\"a\":1,\"\\u0061\":2}"), 8, "twice"},
    {TEXT("{\"/\":1,\"\\/\":2}"), 8, "twice"},
    {TEXT("{\"\\u00e9\":1,\"\xc3\xa9\":2}"), 13, "twice"},
    {TEXT("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), 19, "twice"},
    {TEXT("{\"\\uFFFD\":1,\"\xef\xbf\xbd\":2}"), 13, "twice"},
    {TEXT("{\"a\":{\"b\":1},\"c\":[],\"a\":2}"), 21, "twice"},
    {TEXT("{\"x\":[{\"b\":1,\"c\":{\"b\":2},\"b\":3}]}"), 26, "twice"},
    /* The seventeenth level. */
    {TEXT("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), 17, "too deeply"},
    {TEXT("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]"), 17, "too deeply"},
};

static int
scan(const struct text *t, struct err *err)
{
	char *p = malloc(t->len > 0 ? t->len : 1);
	int rc;

	if (!p)
		exit(99);
	memcpy(p, t->p, t->len);
	rc = json_scan("order", p, t->len, err);
	free(p);
	return rc;
}

static void
test_scan(void)
{
	struct err err = ERR_INIT;
	char want[64];
	size_t i;

	for (i = 0; i < N(good); i++)
		ok_err(scan(&good[i], &err), &err, "good, number %zu", i);
	is_int(err.code, ERR_NONE, "the error stayed untouched");
	for (i = 0; i < N(bad); i++) {
		err_clear(&err);
		snprintf(want, sizeof(want), "order: byte %d: ", bad[i].byte);
		fails(scan(&bad[i].doc, &err), &err, ERR_DATA, want,
		    "bad, number %zu", i);
		ok(strstr(err.text, bad[i].why) != NULL, "because of: %s (%s)",
		    bad[i].why, err.text);
	}
	fails(json_scan("order", NULL, 0, &err), &err, ERR_DATA, "cut short",
	    "nothing at all");
}

/* A document whose every prefix must be refused as cut. */
static void
test_cut(void)
{
	static const char doc[] = "{\"a\":[1.5e+7,\"\\ud83d\\ude00\xe2\x82\xac"
	                          "\",true,false,null,{\"b\":-12}],\"c\":{}}";
	struct text t = {doc, 0};
	struct err err = ERR_INIT;
	size_t wrong = 0;

	for (; t.len < sizeof(doc) - 1; t.len++)
		wrong += scan(&t, &err) != -1;
	is_int((long long)wrong, 0, "no prefix is a document");
	ok_err(scan(&t, &err), &err, "the whole is");
}

static void
test_size(void)
{
	char *doc = xmalloc(JSON_SIZE + 1);
	struct err err = ERR_INIT;
	struct buf b = BUF_INIT;
	int i;

	memset(doc, ' ', JSON_SIZE + 1);
	doc[0] = '{';
	doc[1] = '}';
	ok_err(json_scan("x", doc, JSON_SIZE, &err), &err, "64 KiB");
	fails(json_scan("x", doc, JSON_SIZE + 1, &err), &err, ERR_DATA,
	    "x: byte 65537: larger than 64 KiB", "one byte more");
	memset(doc, '[', JSON_SIZE);
	fails(json_scan("x", doc, JSON_SIZE, &err), &err, ERR_DATA,
	    "too deeply", "64 KiB of brackets");
	free(doc);
	buf_puts(&b, "{");
	for (i = 0; i < 6000; i++)
		buf_printf(&b, "\"n%d\":0,", i);
	buf_puts(&b, "\"n3000\":0}");
	fails(json_scan("x", b.data, b.len, &err), &err, ERR_DATA, "twice",
	    "a duplicate among six thousand");
	buf_release(&b);
}

/* -- reading ------------------------------------------------------------- */

static struct json *
parse(const char *text)
{
	struct err err = ERR_INIT;
	struct json *doc = json_parse("order", text, strlen(text), &err);

	ok_err(doc ? 0 : -1, &err, "a document to read");
	if (!doc)
		exit(done());
	return doc;
}

static void
test_parse(void)
{
	static const char *const refused[][2] = {
	    {"[]", "not a JSON object"},
	    {"1", "not a JSON object"},
	    {"null", "not a JSON object"},
	    {"\"{}\"", "not a JSON object"},
	    {"", "cut short"},
	    {"{\"a\":'b'}", "byte 6"},
	    {"{\"a\":1,\"a\":2}", "twice"},
	};
	struct err err = ERR_INIT;
	size_t i;

	for (i = 0; i < N(refused); i++) {
		err_clear(&err);
		fails(json_parse(
		          "order", refused[i][0], strlen(refused[i][0]), &err) ?
		        0 :
		        -1,
		    &err, ERR_DATA, refused[i][1], "not an object: %s",
		    refused[i][0]);
	}
	json_free(parse("{\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}"));
	json_free(NULL);
}

static const char sample[] =
    "{\"s\":\"x\xc3\xa9\\n\\ud83d\\ude00\",\"i\":-42,\"t\":true,\"f\":false,"
    "\"n\":null,\"d\":1.0,\"e\":1e3,\"num\":\"12\",\"o\":{\"k\":\"v\"},"
    "\"a\":[\"p\",1,null,{\"q\":2},\"r\"],\"empty\":\"\"}";

static void
test_get(void)
{
	struct json *doc = parse(sample);
	struct err err = ERR_INIT;
	const struct json *node = NULL;
	const char *s = NULL;
	bool b = false;
	int64_t n = 0;

	ok_err(json_get_string("order", doc, "s", JSON_REQUIRED, &s, &err),
	    &err, "a string");
	is(s, "x\xc3\xa9\n\xf0\x9f\x98\x80", "unescaped");
	ok_err(json_get_string("order", doc, "empty", JSON_REQUIRED, &s, &err),
	    &err, "an empty string");
	is(s, "", "is there");
	ok_err(json_get_bool("order", doc, "t", JSON_REQUIRED, &b, &err), &err,
	    "true");
	ok(b, "is true");
	ok_err(json_get_bool("order", doc, "f", JSON_OPTIONAL, &b, &err), &err,
	    "false");
	ok(!b, "is false");
	ok_err(json_get_int("order", doc, "i", JSON_REQUIRED, &n, &err), &err,
	    "an integer");
	is_int(n, -42, "is it");
	ok_err(json_get_object("order", doc, "o", JSON_REQUIRED, &node, &err),
	    &err, "an object");
	ok_err(json_get_string("order", node, "k", JSON_REQUIRED, &s, &err),
	    &err, "a string in it");
	is(s, "v", "is it");
	ok_err(json_get_array("order", doc, "a", JSON_REQUIRED, &node, &err),
	    &err, "an array");
	is_int((long long)json_len(node), 5, "of five");
	is_int(err.code, ERR_NONE, "the error stayed untouched");
	json_free(doc);
}

static void
test_absent(void)
{
	struct json *doc = parse(sample);
	static const char *const absent[] = {"x", "n"};
	const struct json *node = doc;
	const char *s = "kept";
	struct err err = ERR_INIT;
	int64_t n = 7;
	bool b = true;
	size_t i;
	int rc = 0;

	for (i = 0; i < N(absent); i++) {
		rc |= json_get_string(
		    "o", doc, absent[i], JSON_OPTIONAL, &s, &err);
		rc |= json_get_bool(
		    "o", doc, absent[i], JSON_OPTIONAL, &b, &err);
		rc |= json_get_int(
		    "o", doc, absent[i], JSON_OPTIONAL, &n, &err);
		rc |= json_get_object(
		    "o", doc, absent[i], JSON_OPTIONAL, &node, &err);
		rc |= json_get_array(
		    "o", doc, absent[i], JSON_OPTIONAL, &node, &err);
		ok_err(rc, &err, "%s may be absent", absent[i]);
		ok(b && n == 7 && node == doc && strcmp(s, "kept") == 0,
		    "and nothing is written");
		fails(json_get_string(
		          "order", doc, absent[i], JSON_REQUIRED, &s, &err),
		    &err, ERR_DATA, "order: ", "or must not be");
		ok(strstr(err.text, "missing") != NULL, "as it says");
	}
	ok_err(json_get_string("o", NULL, "x", JSON_OPTIONAL, &s, &err), &err,
	    "of no object, too");
	json_free(doc);
}

/* json-c would make something of each. */
static void
test_types(void)
{
	struct json *doc = parse(sample);
	static const char *const not_int[] = {
	    "s", "t", "d", "e", "num", "o", "a"};
	static const char *const not_string[] = {"i", "t", "d", "o", "a"};
	static const char *const not_bool[] = {"i", "s", "num", "empty", "a"};
	const struct json *node = NULL;
	const char *s = NULL;
	struct err err = ERR_INIT;
	int64_t n;
	bool b;
	size_t i;

	for (i = 0; i < N(not_int); i++)
		fails(json_get_int(
		          "order", doc, not_int[i], JSON_OPTIONAL, &n, &err),
		    &err, ERR_DATA, "must be an integer", "%s is no integer",
		    not_int[i]);
	for (i = 0; i < N(not_string); i++)
		fails(json_get_string(
		          "order", doc, not_string[i], JSON_OPTIONAL, &s, &err),
		    &err, ERR_DATA, "must be a string", "%s is no string",
		    not_string[i]);
	for (i = 0; i < N(not_bool); i++)
		fails(json_get_bool(
		          "order", doc, not_bool[i], JSON_OPTIONAL, &b, &err),
		    &err, ERR_DATA, "must be true or false", "%s is no truth",
		    not_bool[i]);
	fails(json_get_object("order", doc, "a", JSON_REQUIRED, &node, &err),
	    &err, ERR_DATA, "order: a: must be an object", "an array");
	fails(json_get_array("order", doc, "o", JSON_REQUIRED, &node, &err),
	    &err, ERR_DATA, "order: o: must be an array", "an object");
	ok(!s && !node, "nothing is written");
	json_free(doc);
}

static void
test_int_limits(void)
{
	static const struct {
		const char *text;
		bool fits;
	} vectors[] = {
	    {"9223372036854775807", true},
	    {"-9223372036854775807", true},
	    {"9223372036854775808", false},
	    {"18446744073709551615", false},
	    {"18446744073709551616", false},
	    {"99999999999999999999999", false},
	    {"-9223372036854775808", false},
	    {"-9223372036854775809", false},
	    {"-99999999999999999999999", false},
	};
	char text[64];
	struct json *doc;
	struct err err = ERR_INIT;
	int64_t n;
	size_t i;
	int rc;

	for (i = 0; i < N(vectors); i++) {
		snprintf(text, sizeof(text), "{\"n\":%s}", vectors[i].text);
		doc = parse(text);
		rc = json_get_int("order", doc, "n", JSON_REQUIRED, &n, &err);
		if (vectors[i].fits && ok_err(rc, &err, "%s", text))
			is_int(n, strtoll(vectors[i].text, NULL, 10), "is it");
		else
			fails(rc, &err, ERR_DATA, "order: n: the number is too",
			    "%s", text);
		json_free(doc);
	}
}

static void
test_walk(void)
{
	struct json *doc = parse(sample);
	const struct json *a = NULL;
	struct err err = ERR_INIT;
	int64_t n = 0;

	ok_err(json_get_array("x", doc, "a", JSON_REQUIRED, &a, &err), &err,
	    "an array");
	is(json_string_at(a, 0), "p", "its first string");
	is(json_string_at(a, 4), "r", "its last");
	ok(!json_string_at(a, 1) && !json_string_at(a, 2), "others are none");
	ok(!json_string_at(a, 5) && !json_string_at(a, SIZE_MAX), "the end");
	ok_err(json_get_int(
	           "x", json_object_at(a, 3), "q", JSON_REQUIRED, &n, &err),
	    &err, "its object");
	is_int(n, 2, "and what is in it");
	ok(!json_object_at(a, 0) && !json_object_at(a, 5), "others are none");
	is(json_member_at(doc, 0), "s", "the first name");
	is(json_member_at(doc, 10), "empty", "the last name");
	ok(!json_member_at(doc, 11) && !json_member_at(a, 0), "no more");
	is_int((long long)json_len(doc), 0, "an object has no elements");
	ok(!json_string_at(doc, 0) && !json_object_at(doc, 0), "none at all");
	json_free(doc);
}

/* -- writing ------------------------------------------------------------- */

static void
prints(const struct json *doc, enum json_style style, const char *want)
{
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	json_print(doc, style, &b);
	is(buf_str(&b), want, "printed");
	ok_err(
	    json_scan("printed", b.data, b.len, &err), &err, "and it is JSON");
	buf_release(&b);
}

static struct json *
make(void)
{
	struct json *o = json_new_object(), *a = json_new_array();
	struct json *w = json_new_object();

	json_append_string(a, "mailto:a@example.com");
	json_append(a, json_new_object());
	json_append(a, json_new_array());
	json_add_string(w, "start", "2027-01-20T01:46:31Z");
	json_add_bool(w, "on", true);
	json_add(w, "null", NULL);
	json_add_string(o, "url", "https://a/b");
	json_add_int(o, "n", INT64_MIN);
	json_add(o, "contact", a);
	json_add(o, "window", w);
	return o;
}

/* As Go's json.MarshalIndent(v, "", "\t") and json.Marshal(v). */
static void
test_print(void)
{
	struct json *o = make();

	prints(o, JSON_COMPACT,
	    "{\"url\":\"https://a/b\","
	    "\"n\":-9223372036854775808,"
	    "\"contact\":[\"mailto:a@example.com\",{},[]],"
	    "\"window\":{\"start\":\"2027-01-20T01:46:31Z\",\"on\":true,"
	    "\"null\":null}}");
	prints(o, JSON_TABS,
	    "{\n"
	    "\t\"url\": \"https://a/b\",\n"
	    "\t\"n\": -9223372036854775808,\n"
	    "\t\"contact\": [\n"
	    "\t\t\"mailto:a@example.com\",\n"
	    "\t\t{},\n"
	    "\t\t[]\n"
	    "\t],\n"
	    "\t\"window\": {\n"
	    "\t\t\"start\": \"2027-01-20T01:46:31Z\",\n"
	    "\t\t\"on\": true,\n"
	    "\t\t\"null\": null\n"
	    "\t}\n"
	    "}");
	json_free(o);
	o = json_new_object();
	prints(o, JSON_TABS, "{}");
	json_free(o);
	o = json_new_array();
	prints(o, JSON_TABS, "[]");
	json_append_string(o, "x");
	prints(o, JSON_TABS, "[\n\t\"x\"\n]");
	prints(o, JSON_COMPACT, "[\"x\"]");
	json_free(o);
}

static void
test_escapes(void)
{
	struct json *o = json_new_object();

	json_add_string(o, "q\"\\\n", "/\"\\\b\f\n\r\t\x01\x1f\x7f");
	json_add_string(o, "html", "<a&b>");
	json_add_string(o, "\xc3\xa9", "\xe2\x82\xac\xf0\x9f\x98\x80");
	json_add_string(o, "lines", "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9x");
	json_add_string(o, "bad", "a\xff\xc3(\xed\xa0\x80\xe2\x80");
	prints(o, JSON_COMPACT,
	    "{\"q\\\"\\\\\\n\":\"/\\\"\\\\\\u0008\\u000c"
	    "\\n\\r\\t\\u0001\\u001f\x7f\","
	    "\"html\":\"\\u003ca\\u0026b\\u003e\","
	    "\"\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\","
	    "\"lines\":\"\xe2\x80\xa7\\u2028\\u2029x\","
	    "\"bad\":\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"}");
	json_free(o);
}

/* Strings of every character come back as they were. */
static void
test_round(void)
{
	struct json *o = json_new_object(), *back;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	const char *s = NULL;
	char text[128];
	int i;

	for (i = 1; i < 128; i++)
		text[i - 1] = (char)i;
	text[127] = '\0';
	json_add_string(o, text, text);
	json_print(o, JSON_COMPACT, &b);
	back = json_parse("printed", b.data, b.len, &err);
	ok_err(back ? 0 : -1, &err, "it parses");
	ok_err(json_get_string("printed", back, text, JSON_REQUIRED, &s, &err),
	    &err, "the name came back");
	is(s, text, "and the value");
	json_free(back);
	json_free(o);
	buf_release(&b);
}

/* What is not ours is handed on as it was read. */
static void
test_numbers(void)
{
	static const char text[] =
	    "{\"a\":0,\"b\":-1,\"c\":1.0,\"d\":1e400,"
	    "\"e\":18446744073709551615,\"f\":0.10,\"g\":1E5,"
	    "\"h\":123456789012345678}";
	struct json *doc = parse(text), *copy = json_copy(doc);

	prints(doc, JSON_COMPACT, text);
	prints(copy, JSON_COMPACT, text);
	json_free(copy);
	json_free(doc);
}

static void
test_change(void)
{
	struct json *doc = parse(sample), *copy;
	const struct json *o = NULL;
	struct err err = ERR_INIT;

	ok_err(json_get_object("x", doc, "o", JSON_REQUIRED, &o, &err), &err,
	    "a borrowed node");
	copy = json_copy(o);
	json_add_string(copy, "k", "other");
	json_add_int(copy, "k2", 1);
	prints(o, JSON_COMPACT, "{\"k\":\"v\"}");
	json_free(doc);
	prints(copy, JSON_COMPACT, "{\"k\":\"other\",\"k2\":1}");
	json_remove(copy, "k");
	json_remove(copy, "never");
	prints(copy, JSON_COMPACT, "{\"k2\":1}");
	json_add(copy, "k2", json_new_array());
	prints(copy, JSON_COMPACT, "{\"k2\":[]}");
	json_free(copy);
	ok(!json_copy(NULL), "a copy of nothing");
}

int
main(void)
{
	test_scan();
	test_cut();
	test_size();
	test_parse();
	test_get();
	test_absent();
	test_types();
	test_int_limits();
	test_walk();
	test_print();
	test_escapes();
	test_round();
	test_numbers();
	test_change();
	return done();
}
