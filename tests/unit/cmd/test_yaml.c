#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/yaml.h"
#include "tap.h"

static struct yaml *
parse(const char *text, struct err *err)
{
	*err = (struct err)ERR_INIT;
	return yaml_parse("f.yaml", text, strlen(text), err);
}

/* A text that must parse; "" otherwise, so that tests go on. */
static struct yaml *
good(const char *text)
{
	struct err err;
	struct yaml *root = parse(text, &err);

	if (root == NULL) {
		ok(false, "parses: %s", text);
		diag("%s", err.text);
		root = parse("", &err);
	}
	return root;
}

static void
bad_bytes(const void *text, size_t len, const char *why, const char *what)
{
	struct err err = ERR_INIT;
	struct yaml *root = yaml_parse("f.yaml", text, len, &err);

	fails(root == NULL ? -1 : 0, &err, ERR_CONFIG, why, "%s", what);
	yaml_tree_free(root);
}

static void
bad(const char *text, const char *why, const char *what)
{
	bad_bytes(text, strlen(text), why, what);
}

/* The text below a path of keys and list positions: "a/0/b". */
static const struct yaml *
at(const struct yaml *node, const char *path)
{
	while (node != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");
		char *step = xstrndup(path, len);
		size_t i = strtoul(step, NULL, 10);

		if (node->type == YAML_LIST)
			node = i < node->n ? node->v[i] : NULL;
		else
			node = yaml_get(node, step);
		free(step);
		path += len + (path[len] == '/');
	}
	return node;
}

static const char *
text_at(const struct yaml *root, const char *path)
{
	const struct yaml *node = at(root, path);

	return node == NULL || node->type != YAML_SCALAR ? NULL : node->text;
}

static void
test_empty(void)
{
	static const char *const texts[] = {"", "\n", "# only a word\n",
	    "---\n", "--- ~\n", "null\n", "\xef\xbb\xbf", "{}", "---\n...\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct yaml *root = good(texts[i]);

		ok(root->type == YAML_MAP && root->n == 0,
		    "an empty document is an empty map (%zu)", i);
		yaml_tree_free(root);
	}
	{
		struct err err = ERR_INIT;
		struct yaml *root = yaml_parse("f", NULL, 0, &err);

		ok(root != NULL && root->n == 0, "no bytes at all");
		yaml_tree_free(root);
	}
	yaml_tree_free(NULL);
}

static void
test_tree(void)
{
	struct yaml *root = good("a: 1\n"
	                         "b:\n"
	                         "  - x\n"
	                         "  - {y: 'two words', z: [q]}\n"
	                         "c: |\n"
	                         "  line one\n"
	                         "  line two\n"
	                         "\"d\": \"\\u00e9\"\n");

	is_int((long long)root->n, 4, "four keys");
	is(text_at(root, "a"), "1", "scalar");
	is(text_at(root, "b/0"), "x", "in a list");
	is(text_at(root, "b/1/y"), "two words", "in a map in a list");
	is(text_at(root, "b/1/z/0"), "q", "in a flow list");
	is(text_at(root, "c"), "line one\nline two\n", "block scalar");
	is(text_at(root, "d"), "\xc3\xa9", "escapes");
	ok(at(root, "e") == NULL, "a key that is not there");
	ok(yaml_get(at(root, "b"), "x") == NULL, "a list has no keys");
	is_int(root->keys[0]->line, 1, "lines begin with 1");
	is_int(at(root, "b/1/y")->line, 4, "the line of a value");
	is_int(root->keys[3]->line, 8, "the line of a key");
	ok(at(root, "a")->plain, "unquoted is plain");
	ok(!at(root, "b/1/y")->plain, "quoted is not");
	ok(!at(root, "c")->plain, "a block is not");
	yaml_tree_free(root);

	root = good("a: !!str yes\nb: ! yes\n");
	ok(!at(root, "a")->plain && !at(root, "b")->plain,
	    "with a tag it is not plain");
	yaml_tree_free(root);

	root = good("- a\n- b\n");
	ok(root->type == YAML_LIST && root->n == 2, "a list at the top");
	yaml_tree_free(root);
	root = good("word");
	ok(root->type == YAML_SCALAR && strcmp(root->text, "word") == 0,
	    "a scalar at the top");
	yaml_tree_free(root);
	root = good("a: b\r\nc: d\r\n");
	is(text_at(root, "c"), "d", "CRLF");
	is_int(root->keys[1]->line, 2, "CRLF is one line end");
	yaml_tree_free(root);
	root = good("{\"a\": [true, {\"b\": \"c\"}]}");
	is(text_at(root, "a/1/b"), "c", "JSON is YAML");
	yaml_tree_free(root);
}

static void
test_words(void)
{
	static const struct {
		const char *text;
		int rc;
		bool value;
	} rows[] = {{"true", 0, true}, {"True", 0, true}, {"TRUE", 0, true},
	    {"yes", 0, true}, {"Yes", 0, true}, {"YES", 0, true},
	    {"on", 0, true}, {"On", 0, true}, {"ON", 0, true},
	    {"false", 0, false}, {"False", 0, false}, {"FALSE", 0, false},
	    {"no", 0, false}, {"No", 0, false}, {"NO", 0, false},
	    {"off", 0, false}, {"Off", 0, false}, {"OFF", 0, false},
	    {"tRUE", -1, false}, {"oN", -1, false}, {"y", -1, false},
	    {"n", -1, false}, {"1", -1, false}, {"t", -1, false},
	    {"''", -1, false}, {"'true'", -1, false}, {"\"yes\"", -1, false},
	    {"[true]", -1, false}, {"truex", -1, false}, {"~", -1, false}};
	static const char *const null[] = {"", "~", "null", "Null", "NULL"};
	static const char *const some[] = {
	    "''", "'~'", "nULL", "nil", "none", "[]", "{}", "\"null\""};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = xasprintf("k: %s\n", rows[i].text);
		struct yaml *root = good(text);
		bool value = !rows[i].value;
		int rc = yaml_bool(yaml_get(root, "k"), &value);

		ok(rc == rows[i].rc &&
		        value == (rc == 0 ? rows[i].value : !rows[i].value),
		    "boolean: %s", rows[i].text);
		yaml_tree_free(root);
		free(text);
	}
	for (size_t i = 0; i < sizeof(null) / sizeof(null[0]); i++) {
		char *text = xasprintf("k: %s\n", null[i]);
		struct yaml *root = good(text);

		ok(yaml_is_null(yaml_get(root, "k")), "null: %s", null[i]);
		yaml_tree_free(root);
		free(text);
	}
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		char *text = xasprintf("k: %s\n", some[i]);
		struct yaml *root = good(text);

		ok(!yaml_is_null(yaml_get(root, "k")), "not null: %s", some[i]);
		yaml_tree_free(root);
		free(text);
	}
}

static void
test_aliases(void)
{
	struct yaml *root = good("a: &x {k: v}\nb: *x\nc: [*x, *x]\n");

	is(text_at(root, "b/k"), "v", "an alias");
	ok(at(root, "a") == at(root, "c/1"), "is the node itself");
	yaml_tree_free(root);
	root = good("&k a: &v b\n*v : *k\n");
	is(text_at(root, "b"), "a", "aliases of keys and as keys");
	yaml_tree_free(root);
	root = good("a: &x 1\nb: &x 2\nc: *x\n");
	is(text_at(root, "c"), "2", "an anchor given again");
	yaml_tree_free(root);
	bad("a: 1\nb: *x\n", "f.yaml:2: alias to an anchor not seen before",
	    "an unknown alias");
	bad("a: *x\nb: &x 1\n", "f.yaml:1: alias to an anchor",
	    "an alias before its anchor");
	bad("a: &x\n  b: [*x]\n", "f.yaml:2: alias within what it stands for",
	    "an alias within its own map");
	bad("&x [*x]\n", "f.yaml:1: alias within",
	    "an alias of the root in the root");
}

static void
test_merge(void)
{
	struct yaml *root = good("base: &b {x: 1, y: 2}\n"
	                         "more: &m {y: 3, z: 4}\n"
	                         "one:\n  <<: *b\n  y: own\n"
	                         "two:\n  y: own\n  <<: [*m, *b]\n"
	                         "three: {<<: {q: r}}\n"
	                         "four: {'<<': text}\n");

	is(text_at(root, "one/x"), "1", "merged");
	is(text_at(root, "one/y"), "own", "own key wins");
	is(text_at(root, "two/y"), "own", "wherever it stands");
	is(text_at(root, "two/z"), "4", "merged from a list");
	is(text_at(root, "two/x"), "1", "and from its second");
	ok(at(root, "one/<<") == NULL && at(root, "one")->n == 2,
	    "<< itself is gone");
	is(text_at(root, "three/q"), "r", "a map given in place");
	is(text_at(root, "four/<<"), "text", "a quoted << is a key");
	yaml_tree_free(root);

	root = good("a: &a {k: first}\nb: &b {k: second}\nc: {<<: [*a, *b]}\n"
	            "d: &d {<<: *a, l: 1}\ne: {<<: *d}\n");
	is(text_at(root, "c/k"), "first", "the earlier one in a list wins");
	is(text_at(root, "e/k"), "first", "a merge of a merge");
	yaml_tree_free(root);

	root = good("z: 1\na: 2\n<<: {y: 3, b: 4}\nm: 5\n");
	ok(root->n == 5 && strcmp(root->keys[0]->text, "z") == 0 &&
	        strcmp(root->keys[1]->text, "a") == 0 &&
	        strcmp(root->keys[2]->text, "m") == 0 &&
	        strcmp(root->keys[3]->text, "y") == 0,
	    "keys stay in order, merged ones behind");
	yaml_tree_free(root);

	bad("a:\n  <<: text\n", "f.yaml:2: << wants a map", "merge of a text");
	bad("<<: [{a: 1}, [b]]\n", "f.yaml:1: << wants a map",
	    "merge of a list of lists");
	bad("a: &a {}\n<<: *a\n<<: *a\n", "f.yaml:3: << is given twice",
	    "two merges");
}

static void
test_duplicates(void)
{
	struct yaml *root;

	bad("a: 1\nb: 2\na: 3\n",
	    "f.yaml:3: a is given twice: in line 1 before", "a key twice");
	bad("r:\n- k: 1\n  l: 2\n  'k': 3\n",
	    "f.yaml:4: k is given twice: in line 2 before",
	    "deep below, quoted once");
	bad("{a: 1, a: 1}", "f.yaml:1: a is given twice", "in one line");
	root = good("a: {k: 1}\nb: {k: 1}\n");
	is(text_at(root, "b/k"), "1", "in two maps it is no duplicate");
	yaml_tree_free(root);
}

static void
test_broken(void)
{
	static const char nul[] = "a: \"x\\0y\"\n";

	bad("a: 1\n---\nb: 2\n", "f.yaml:2: a second document",
	    "two documents");
	bad("a:\n\tb: 1\n", "f.yaml:2: ", "a tab as indentation");
	bad("a: [1, 2\nb: 3\n", "f.yaml:", "a list left open");
	bad("a: 'x\n", "of line 1", "a quote left open names its beginning");
	bad("a: b: c\n", "f.yaml:1: ", "a map within a line");
	bad(nul, "f.yaml:1: a NUL in a text", "an escaped NUL");
	bad("{a: 1}: b\n", "f.yaml:1: a key must be a scalar", "a map as key");
	bad("? [a]\n: b\n", "f.yaml:1: a key must be a scalar",
	    "a list as key");
	bad("a: 1\nb: \xff\n", "f.yaml:2: ", "a byte that is not UTF-8");
	bad("a: 1\nb: \x1b[2J\n", "f.yaml:2: ", "a control character");
	bad_bytes("a: \0b", 5, "f.yaml:1: ", "a NUL in the file");
	bad("a: @x\n", "f.yaml:1: ", "a character that begins no token");
}

/* count times text, between a head and a tail. */
static void
repeat(struct buf *out, const char *head, const char *text, size_t count,
    const char *tail)
{
	buf_clear(out);
	buf_puts(out, head);
	while (count-- > 0)
		buf_puts(out, text);
	buf_puts(out, tail);
}

static void
test_depth(void)
{
	struct buf b = BUF_INIT;
	struct yaml *root;
	struct err err;

	repeat(&b, "", "[", 64,
	    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	root = parse(buf_str(&b), &err);
	ok(root != NULL, "64 levels");
	yaml_tree_free(root);
	repeat(&b, "", "[", 65, "]");
	bad(buf_str(&b), "f.yaml:1: nested deeper than 64 levels", "65 levels");
	repeat(&b, "", "[", 200000, "");
	bad(buf_str(&b), "nested deeper", "200,000 levels");
	repeat(&b, "", "{a: ", 200000, "");
	bad(buf_str(&b), "nested deeper", "200,000 maps");
	repeat(&b, "", "- ", 200000, "a");
	bad(buf_str(&b), "nested deeper", "200,000 levels of a block");
	repeat(&b, "a: &a ", "[", 40,
	    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	    "\nb: [[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]\n");
	yaml_tree_free(good(buf_str(&b)));
	repeat(&b, "a: &a ", "[", 40,
	    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
	    "\nb: [[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]\n");
	bad(buf_str(&b), "f.yaml:2: nested deeper than 64 levels",
	    "levels by an alias count");
	buf_release(&b);
}

static void
test_caps(void)
{
	struct buf b = BUF_INIT;
	struct yaml *root;

	repeat(&b, "a: &a [x,x,x,x,x,x,x,x,x]\nb: [", "*a,", 1000, "]\n");
	root = good(buf_str(&b));
	is_int((long long)at(root, "b")->n, 1000, "10,000 nodes by aliases");
	yaml_tree_free(root);
	repeat(&b, "a: &a [x,x,x,x,x,x,x,x,x]\nb: [", "*a,", 1000, "]\nc: *a");
	bad(buf_str(&b), "f.yaml:3: aliases and merges stand for more than",
	    "some more");
	repeat(&b, "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [", "*a,", 200,
	    "]\nc: &c [*b,*b]\nd: [*c,*c]\n");
	bad(buf_str(&b), "f.yaml:4: aliases",
	    "aliases of aliases count as all");
	repeat(&b, "a: ", "{<<: ", 60, "{");
	for (int i = 0; i < 300; i++)
		buf_printf(&b, "k%d: 1,", i);
	for (int i = 0; i < 61; i++)
		buf_puts(&b, "}");
	bad(buf_str(&b), "merges stand for more than", "merges count as well");

	repeat(&b, "[", "&a x,", 1000, "*a]");
	root = good(buf_str(&b));
	is_int((long long)root->n, 1001, "1,000 anchors");
	yaml_tree_free(root);
	repeat(&b, "[", "&a x,", 1001, "]");
	bad(buf_str(&b), "more than 1000 anchors", "1,001 anchors");

	repeat(&b, "a: '", "\n%", 16, "'\n");
	yaml_tree_free(good(buf_str(&b)));
	repeat(&b, "", "%TAG ! x\n", 17, "---\n");
	bad(buf_str(&b), "f.yaml:17: more than 16 directives", "17 directives");

	repeat(&b, "a: ", "x", 1024 * 1024 - 4, "\n");
	root = good(buf_str(&b));
	is_int((long long)strlen(text_at(root, "a")), 1024 * 1024 - 4,
	    "a file of 1 MiB");
	yaml_tree_free(root);
	repeat(&b, "a: ", "x", 1024 * 1024 - 3, "\n");
	bad(buf_str(&b), "f.yaml: larger than 1048576 bytes", "a byte more");
	buf_release(&b);
}

static void
test_bomb(void)
{
	struct buf b = BUF_INIT;

	buf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++) {
		buf_printf(&b, "a%d: &a%d [", i, i);
		for (int j = 0; j < 9; j++)
			buf_printf(&b, "%s*a%d", j == 0 ? "" : ",", i - 1);
		buf_puts(&b, "]\n");
	}
	bad(buf_str(&b), "aliases and merges", "nine to the twelfth");
	buf_release(&b);
}

int
main(void)
{
	test_empty();
	test_tree();
	test_words();
	test_aliases();
	test_merge();
	test_duplicates();
	test_broken();
	test_depth();
	test_caps();
	test_bomb();
	return done();
}
