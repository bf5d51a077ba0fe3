#include <config.h>

#include "cmd/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	SIZE = 1024 * 1024,
	DEPTH = 64,
	DIRECTIVES = 16,
	ANCHORS = 1000,
	SHARED = 10000 /* nodes reached through aliases and merges */
};

struct node {
	struct yaml yaml; /* first: a node can be taken for it and back */
	size_t cap;
	struct yaml *key; /* a map's, while its value is awaited */
	size_t weight;    /* nodes that who walks it meets */
	size_t height;    /* lists and maps from it down, itself one */
	bool open;        /* its end has not been read yet */
};

/* What a root really is: it owns every node, those with two parents too. */
struct document {
	struct yaml root; /* first */
	struct node **nodes;
	size_t n, cap;
};

struct loader {
	const char *file;
	yaml_parser_t parser;
	struct document *doc;
	struct node *root;
	struct node *stack[DEPTH];
	size_t depth;
	struct anchor {
		char *name;
		struct node *node;
	} * anchors;
	size_t n_anchors;
	size_t shared; /* so far, of SHARED */
	size_t documents;
};

static int
at(const struct loader *l, size_t line, struct err *err)
{
	return err_wrap(err, "%s:%zu", l->file, line);
}

/* -- nodes -- */

static struct node *
node_new(struct loader *l, enum yaml_type type, const yaml_event_t *event)
{
	struct document *doc = l->doc;
	struct node *node = xcalloc(1, sizeof(*node));

	if (doc->n == doc->cap) {
		doc->cap = doc->cap == 0 ? 64 : 2 * doc->cap;
		doc->nodes = xrealloc(
		    doc->nodes, doc->cap, sizeof(struct node *));
	}
	doc->nodes[doc->n++] = node;
	node->yaml.type = type;
	node->yaml.line = (unsigned)event->start_mark.line + 1;
	node->weight = 1;
	return node;
}

static struct node *
node_of(struct yaml *yaml)
{
	return (struct node *)(void *)yaml;
}

static void
contents_release(struct yaml *yaml)
{
	secret_free(yaml->text);
	free(yaml->v);
	free(yaml->keys);
}

void
yaml_tree_free(struct yaml *root)
{
	struct document *doc = (struct document *)(void *)root;

	if (doc == NULL)
		return;
	for (size_t i = 0; i < doc->n; i++) {
		contents_release(&doc->nodes[i]->yaml);
		free(doc->nodes[i]);
	}
	contents_release(&doc->root);
	free(doc->nodes);
	free(doc);
}

static void
append(struct node *to, struct yaml *key, struct yaml *value)
{
	struct yaml *y = &to->yaml;

	if (y->n == to->cap) {
		to->cap = to->cap == 0 ? 8 : 2 * to->cap;
		y->v = xrealloc(y->v, to->cap, sizeof(struct yaml *));
		if (y->type == YAML_MAP)
			y->keys = xrealloc(
			    y->keys, to->cap, sizeof(struct yaml *));
	}
	if (y->type == YAML_MAP)
		y->keys[y->n] = key;
	y->v[y->n++] = value;
}

/* Puts a node where the innermost open list or map wants it. */
static int
attach(struct loader *l, struct node *node, size_t line, struct err *err)
{
	struct node *up = l->depth == 0 ? NULL : l->stack[l->depth - 1];

	if (up == NULL) {
		l->root = node;
	} else if (up->yaml.type == YAML_LIST) {
		append(up, NULL, &node->yaml);
	} else if (up->key != NULL) {
		append(up, up->key, &node->yaml);
		up->key = NULL;
	} else if (node->yaml.type == YAML_SCALAR) {
		up->key = &node->yaml;
	} else {
		err_set(err, ERR_CONFIG, "a key must be a scalar");
		return at(l, line, err);
	}
	return 0;
}

/* -- anchors and aliases -- */

static int
anchor_add(struct loader *l, const yaml_char_t *name, struct node *node,
    struct err *err)
{
	if (name == NULL)
		return 0;
	if (l->n_anchors == ANCHORS) {
		err_set(err, ERR_CONFIG, "more than %d anchors", ANCHORS);
		return at(l, node->yaml.line, err);
	}
	if (l->anchors == NULL)
		l->anchors = xcalloc(ANCHORS, sizeof(*l->anchors));
	l->anchors[l->n_anchors++] = (struct anchor){
	    .name = xstrdup((const char *)name), .node = node};
	return 0;
}

/* An anchor may be given again: the last one before the alias counts. */
static struct node *
anchor_find(const struct loader *l, const yaml_char_t *name)
{
	for (size_t i = l->n_anchors; i-- > 0;)
		if (strcmp(l->anchors[i].name, (const char *)name) == 0)
			return l->anchors[i].node;
	return NULL;
}

/* Aliases copy nothing here, but whoever walks the tree follows them all. */
static int
share(struct loader *l, size_t nodes, size_t line, struct err *err)
{
	l->shared += nodes;
	if (l->shared <= SHARED)
		return 0;
	err_set(err, ERR_CONFIG,
	    "aliases and merges stand for more than %d nodes", SHARED);
	return at(l, line, err);
}

static int
too_deep(const struct loader *l, size_t line, struct err *err)
{
	err_set(err, ERR_CONFIG, "nested deeper than %d levels", DEPTH);
	return at(l, line, err);
}

static int
take_alias(struct loader *l, const yaml_event_t *event, struct err *err)
{
	struct node *node = anchor_find(l, event->data.alias.anchor);
	size_t line = event->start_mark.line + 1;

	if (node == NULL) {
		err_set(err, ERR_CONFIG, "alias to an anchor not seen before");
		return at(l, line, err);
	}
	if (node->open) {
		err_set(err, ERR_CONFIG, "alias within what it stands for");
		return at(l, line, err);
	}
	if (l->depth + node->height > DEPTH)
		return too_deep(l, line, err);
	if (share(l, node->weight, line, err) == -1)
		return -1;
	return attach(l, node, line, err);
}

/* -- the end of a map: duplicates and merges -- */

struct entry {
	struct yaml *key, *value;
	size_t place; /* own entries first, then merged ones */
	bool dropped;
};

struct entries {
	struct entry *v;
	size_t n, cap, own;
};

static void
entries_add(struct entries *e, struct yaml *key, struct yaml *value)
{
	if (e->n == e->cap) {
		e->cap = e->cap == 0 ? 16 : 2 * e->cap;
		e->v = xrealloc(e->v, e->cap, sizeof(*e->v));
	}
	e->v[e->n] = (struct entry){.key = key, .value = value, .place = e->n};
	e->n++;
}

static bool
is_merge(const struct yaml *key)
{
	return key->plain && strcmp(key->text, "<<") == 0;
}

static int
merge_one(struct loader *l, struct entries *e, const struct yaml *from,
    size_t line, struct err *err)
{
	if (from->type != YAML_MAP) {
		err_set(err, ERR_CONFIG, "<< wants a map or a list of maps");
		return at(l, line, err);
	}
	if (share(l, from->n, line, err) == -1)
		return -1;
	for (size_t i = 0; i < from->n; i++)
		entries_add(e, from->keys[i], from->v[i]);
	return 0;
}

static int
merge(struct loader *l, struct entries *e, const struct yaml *key,
    const struct yaml *from, struct err *err)
{
	if (from->type != YAML_LIST)
		return merge_one(l, e, from, key->line, err);
	for (size_t i = 0; i < from->n; i++)
		if (merge_one(l, e, from->v[i], key->line, err) == -1)
			return -1;
	return 0;
}

static int
by_place(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->place > y->place) - (x->place < y->place);
}

static int
by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->key->text, y->key->text);

	return order != 0 ? order : by_place(a, b);
}

/* Of entries with the same key the first stays, unless both are the map's. */
static int
drop_shadowed(const struct loader *l, struct entries *e, struct err *err)
{
	const struct entry *first = NULL;

	if (e->n == 0)
		return 0;
	qsort(e->v, e->n, sizeof(*e->v), by_key);
	for (size_t i = 0; i < e->n; i++) {
		struct entry *it = &e->v[i];

		if (first == NULL ||
		    strcmp(first->key->text, it->key->text) != 0) {
			first = it;
		} else if (it->place >= e->own) {
			it->dropped = true;
		} else {
			err_set(err, ERR_CONFIG,
			    "%s is given twice: in line %u before",
			    it->key->text, first->key->line);
			return at(l, it->key->line, err);
		}
	}
	qsort(e->v, e->n, sizeof(*e->v), by_place);
	return 0;
}

static int
finish_map(struct loader *l, struct node *node, struct err *err)
{
	struct yaml *y = &node->yaml;
	struct entries e = {.v = NULL};
	int rc = 0;

	for (size_t i = 0; i < y->n; i++)
		entries_add(&e, y->keys[i], y->v[i]);
	e.own = e.n;
	for (size_t i = 0; i < y->n && rc == 0; i++)
		if (is_merge(y->keys[i]))
			rc = merge(l, &e, y->keys[i], y->v[i], err);
	if (rc == 0)
		rc = drop_shadowed(l, &e, err);
	if (rc == 0) {
		y->n = 0;
		for (size_t i = 0; i < e.n; i++)
			if (!e.v[i].dropped && !is_merge(e.v[i].key))
				append(node, e.v[i].key, e.v[i].value);
	}
	free(e.v);
	return rc;
}

/* -- events -- */

static int
take_document(struct loader *l, const yaml_event_t *event, struct err *err)
{
	if (l->documents++ == 0)
		return 0;
	err_set(err, ERR_CONFIG, "a second document");
	return at(l, event->start_mark.line + 1, err);
}

static int
take_scalar(struct loader *l, const yaml_event_t *event, struct err *err)
{
	const char *text = (const char *)event->data.scalar.value;
	struct node *node = node_new(l, YAML_SCALAR, event);

	node->yaml.text = xstrndup(text, event->data.scalar.length);
	node->yaml.plain = event->data.scalar.tag == NULL &&
	    event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (strlen(text) != event->data.scalar.length) {
		err_set(err, ERR_CONFIG, "a NUL in a text");
		return at(l, node->yaml.line, err);
	}
	if (anchor_add(l, event->data.scalar.anchor, node, err) == -1)
		return -1;
	return attach(l, node, node->yaml.line, err);
}

static int
begin(struct loader *l, struct node *node, const yaml_char_t *anchor,
    struct err *err)
{
	if (l->depth == DEPTH)
		return too_deep(l, node->yaml.line, err);
	if (anchor_add(l, anchor, node, err) == -1 ||
	    attach(l, node, node->yaml.line, err) == -1)
		return -1;
	node->open = true;
	l->stack[l->depth++] = node;
	return 0;
}

static int
take_list(struct loader *l, const yaml_event_t *event, struct err *err)
{
	return begin(l, node_new(l, YAML_LIST, event),
	    event->data.sequence_start.anchor, err);
}

static int
take_map(struct loader *l, const yaml_event_t *event, struct err *err)
{
	return begin(l, node_new(l, YAML_MAP, event),
	    event->data.mapping_start.anchor, err);
}

static int
take_end(struct loader *l, const yaml_event_t *event, struct err *err)
{
	struct node *node = l->stack[--l->depth];

	(void)event;
	if (node->yaml.type == YAML_MAP && finish_map(l, node, err) == -1)
		return -1;
	for (size_t i = 0; i < node->yaml.n; i++) {
		const struct node *below = node_of(node->yaml.v[i]);

		node->weight += below->weight;
		if (below->height > node->height)
			node->height = below->height;
	}
	node->height++;
	node->open = false;
	return 0;
}

static int (*const takers[])(struct loader *, const yaml_event_t *,
    struct err *) = {[YAML_DOCUMENT_START_EVENT] = take_document,
    [YAML_ALIAS_EVENT] = take_alias,
    [YAML_SCALAR_EVENT] = take_scalar,
    [YAML_SEQUENCE_START_EVENT] = take_list,
    [YAML_SEQUENCE_END_EVENT] = take_end,
    [YAML_MAPPING_START_EVENT] = take_map,
    [YAML_MAPPING_END_EVENT] = take_end};

/* -- the parser -- */

/* A byte that is no character has an offset, everything else has a mark. */
static size_t
problem_line(const yaml_parser_t *p, const unsigned char *data, size_t len)
{
	size_t line = 1;

	if (p->error != YAML_READER_ERROR)
		return p->problem_mark.line + 1;
	for (size_t i = 0; i < len && i < p->problem_offset; i++)
		line += data[i] == '\n';
	return line;
}

static int
parser_failed(
    const struct loader *l, const void *data, size_t len, struct err *err)
{
	const yaml_parser_t *p = &l->parser;

	if (p->problem == NULL)
		return err_set(err, ERR_SOFTWARE, "%s: libyaml failed (%d)",
		    l->file, (int)p->error);
	if (p->context == NULL)
		err_set(err, ERR_CONFIG, "%s", p->problem);
	else
		err_set(err, ERR_CONFIG, "%s %s of line %zu", p->problem,
		    p->context, p->context_mark.line + 1);
	return at(l, problem_line(p, data, len), err);
}

static void
event_release(yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		explicit_bzero(
		    event->data.scalar.value, event->data.scalar.length);
	yaml_event_delete(event);
}

static int
read_events(struct loader *l, const void *data, size_t len, struct err *err)
{
	yaml_event_type_t type;
	yaml_event_t event;
	int rc = 0;

	yaml_parser_set_input_string(&l->parser, data, len);
	do {
		if (!yaml_parser_parse(&l->parser, &event))
			return parser_failed(l, data, len, err);
		type = event.type;
		if ((size_t)type < sizeof(takers) / sizeof(takers[0]) &&
		    takers[type] != NULL)
			rc = takers[type](l, &event, err);
		event_release(&event);
	} while (rc == 0 && type != YAML_STREAM_END_EVENT);
	return rc;
}

/* The root's contents move into the document, where nothing points to them. */
static struct yaml *
take_root(struct loader *l)
{
	struct yaml *root = &l->doc->root;

	if (l->root == NULL || yaml_is_null(&l->root->yaml)) {
		*root = (struct yaml){.type = YAML_MAP, .line = 1};
	} else {
		*root = l->root->yaml;
		l->root->yaml = (struct yaml){.type = YAML_SCALAR};
	}
	return root;
}

/* libyaml compares every %TAG with all before it, and before its first event:
 * a file of nothing else would take seconds. */
static int
check_directives(
    const char *file, const char *data, size_t len, struct err *err)
{
	size_t line = 1, seen = 0;

	for (size_t i = 0; i < len; i++) {
		bool first = i == 0 || data[i - 1] == '\n';

		if (first && data[i] == '%' && ++seen > DIRECTIVES)
			return err_set(err, ERR_CONFIG,
			    "%s:%zu: more than %d "
			    "directives",
			    file, line, DIRECTIVES);
		line += data[i] == '\n';
	}
	return 0;
}

struct yaml *
yaml_parse(const char *file, const void *data, size_t len, struct err *err)
{
	struct loader l = {.file = file};
	struct yaml *root = NULL;

	if (len > SIZE) {
		err_set(
		    err, ERR_CONFIG, "%s: larger than %d bytes", file, SIZE);
		return NULL;
	}
	if (check_directives(file, data, len, err) == -1)
		return NULL;
	if (!yaml_parser_initialize(&l.parser)) {
		err_set(err, ERR_SOFTWARE, "%s: libyaml failed", file);
		return NULL;
	}
	l.doc = xcalloc(1, sizeof(*l.doc));
	if (read_events(&l, data == NULL ? "" : data, len, err) == 0)
		root = take_root(&l);
	else
		yaml_tree_free(&l.doc->root);
	for (size_t i = 0; i < l.n_anchors; i++)
		free(l.anchors[i].name);
	free(l.anchors);
	yaml_parser_delete(&l.parser);
	return root;
}

/* -- reading the tree -- */

const struct yaml *
yaml_get(const struct yaml *map, const char *key)
{
	if (map->type != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->v[i];
	return NULL;
}

static bool
is_plain(const struct yaml *node, const char *const words[], size_t n)
{
	if (node->type != YAML_SCALAR || !node->plain)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(node->text, words[i]) == 0)
			return true;
	return false;
}

bool
yaml_is_null(const struct yaml *node)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	return is_plain(node, words, sizeof(words) / sizeof(words[0]));
}

/* The type bool of YAML 1.1, without its y and n, which loaders leave out. */
int
yaml_bool(const struct yaml *node, bool *out)
{
	static const char *const yes[] = {
	    "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
	static const char *const no[] = {
	    "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};

	if (is_plain(node, yes, sizeof(yes) / sizeof(yes[0])))
		*out = true;
	else if (is_plain(node, no, sizeof(no) / sizeof(no[0])))
		*out = false;
	else
		return -1;
	return 0;
}
