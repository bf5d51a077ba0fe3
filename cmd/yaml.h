/*
 * YAML files as a tree: scalars, lists and maps, each with its line.
 *
 * Read from libyaml's events, with limits of our own (1 MiB, depth 64 with
 * aliases followed, 1,000 anchors, 10,000 nodes reached through aliases and
 * merges), one document only, duplicate keys refused with both lines, "<<"
 * merged.  Such a file may hold secrets: the texts of a tree are wiped when it
 * is freed.  This is the only place that knows libyaml.
 */
#ifndef CMD_YAML_H
#define CMD_YAML_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
	enum yaml_type type;
	unsigned line;      /* from 1 */
	char *text;         /* scalar */
	bool plain;         /* scalar without quotes or tag: may be
					 * a boolean, a number or null */
	struct yaml **v;    /* list items, or map values */
	struct yaml **keys; /* map: scalars */
	size_t n;
};

/* NULL and ERR_CONFIG, "FILE:LINE: why". An empty document is an empty map.
 * A node with an alias to it is in the tree more than once. */
struct yaml *
yaml_parse(const char *file, const void *data, size_t len, struct err *err);
/* The root only; NULL is nothing.  (libyaml exports a yaml_free() of its own,
 * which one of ours would take the place of.) */
void yaml_tree_free(struct yaml *root);

/* A map's value, or NULL. */
const struct yaml *yaml_get(const struct yaml *map, const char *key);
/* A scalar that says nothing: empty, ~ or null, unquoted. */
bool yaml_is_null(const struct yaml *node);
/* YAML 1.1's words for a boolean, unquoted. 0 or -1. */
int yaml_bool(const struct yaml *node, bool *out);

#endif
