#include <config.h>

#include "cmd/pomerium.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "cmd/yaml.h"

enum { SIZE = 1024 * 1024 };

static const char prefix[] = "autocert";

static char *
lower(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return out;
}

static int
take(const struct yaml *key, const struct yaml *value, pomerium_key *each,
    void *arg, struct err *err)
{
	char *name = lower(key->text);
	int rc = 0;

	if (strncmp(name, prefix, strlen(prefix)) == 0) {
		if (value->type != YAML_SCALAR)
			rc = err_set(err, ERR_CONFIG,
			    "%s: a single value is wanted", name);
		else
			rc = each(arg, name, value, key->line, err);
	}
	free(name);
	return rc;
}

static int
walk(const char *path, const struct yaml *root, pomerium_key *each, void *arg,
    struct err *err)
{
	if (root->type != YAML_MAP)
		return err_set(err, ERR_CONFIG,
		    "%s:%u: not a map of settings", path, root->line);
	for (size_t i = 0; i < root->n; i++)
		if (take(root->keys[i], root->v[i], each, arg, err) == -1)
			return err_wrap(err, "%s:%u", path,
			    root->keys[i]->line);
	return 0;
}

int
pomerium_read(const char *path, pomerium_key *each, void *arg, struct err *err)
{
	struct buf text = { .secret = true, .max = SIZE + 1 };
	struct yaml *root = NULL;
	int rc = -1;

	if (file_read(AT_FDCWD, path, SIZE, FILE_FOLLOW, &text, err) == -1) {
		if (err->code != ERR_ABSENT)
			err->code = ERR_CONFIG;
		goto out;
	}
	root = yaml_parse(path, text.data, text.len, err);
	if (root == NULL)
		goto out;
	rc = walk(path, root, each, arg, err);
out:
	yaml_tree_free(root);
	buf_release(&text);
	return rc;
}
