/*
 * Any bytes are a tree within its limits, or one line that says why not.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool cond)
{
	if (!cond)
		abort();
}

static size_t walk(const struct yaml *node, size_t depth);

static size_t
walk_map(const struct yaml *map, size_t depth)
{
	size_t seen = 0;

	for (size_t i = 0; i < map->n; i++) {
		must(map->keys[i]->type == YAML_SCALAR);
		if (i < 100)
			must(yaml_get(map, map->keys[i]->text) == map->v[i]);
		seen += walk(map->keys[i], depth) + walk(map->v[i], depth);
	}
	return seen;
}

/* Nodes below, aliases followed. */
static size_t
walk(const struct yaml *node, size_t depth)
{
	size_t seen = 1;
	bool on;

	must(depth <= 64 && node->line > 0);
	if (node->type == YAML_SCALAR) {
		must(node->text != NULL);
		must(!yaml_is_null(node) || yaml_bool(node, &on) == -1);
	} else if (node->type == YAML_LIST) {
		for (size_t i = 0; i < node->n; i++)
			seen += walk(node->v[i], depth + 1);
	} else {
		seen += walk_map(node, depth + 1);
	}
	return seen;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct yaml *root = yaml_parse("fuzz", data, size, &err);

	if (root == NULL) {
		must(err.code == ERR_CONFIG && err.text[0] != '\0');
		must(strncmp(err.text, "fuzz:", 5) == 0);
	} else {
		must(err.code == ERR_NONE);
		must(walk(root, 0) <= 2 * size + 2 * 10000 + 2);
	}
	yaml_tree_free(root);
	return 0;
}
