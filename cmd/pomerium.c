#include <config.h>

#include "cmd/pomerium.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/name.h"
#include "cmd/yaml.h"
#include "pki/idna.h"

enum { SIZE = 1024 * 1024, HOST_MAX = 1024 };

static const char prefix[] = "autocert";

static char *
lower(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p; p++)
		*p = name_lower(*p);
	return out;
}

/* -- the file -- */

struct yaml *
pomerium_open(const char *path, struct err *err)
{
	struct buf text = {.secret = true, .max = SIZE + 1};
	struct yaml *root = NULL;

	if (file_read(AT_FDCWD, path, SIZE, FILE_FOLLOW, &text, err) == -1) {
		if (err->code != ERR_ABSENT)
			err->code = ERR_CONFIG;
		goto out;
	}
	root = yaml_parse(path, text.data, text.len, err);
	if (root && root->type != YAML_MAP) {
		err_set(err, ERR_CONFIG, "%s:%u: not a map of settings", path,
		    root->line);
		yaml_tree_free(root);
		root = NULL;
	}
out:
	buf_release(&text);
	return root;
}

const struct yaml *
pomerium_get(const struct yaml *root, const char *key)
{
	for (size_t i = 0; root && i < root->n; i++)
		if (name_equal(root->keys[i]->text, key))
			return root->v[i];
	return NULL;
}

int
pomerium_keys(const char *path, const struct yaml *root, pomerium_key *each,
    void *arg, struct err *err)
{
	for (size_t i = 0; i < root->n; i++) {
		const struct yaml *key = root->keys[i];
		char *name = lower(key->text);
		int rc = 0;

		if (strncmp(name, prefix, strlen(prefix)) == 0)
			rc = each(arg, name, root->v[i], key->line, err);
		free(name);
		if (rc == -1)
			return err_wrap(err, "%s:%u", path, key->line);
	}
	return 0;
}

/* -- host names -- */

/* Where names are gathered, and what for messages. */
struct hosts {
	const char *path;
	struct strings all; /* as they come */
	size_t routes;
};

/* The text between "://" and what ends an authority, without user and port.
 * NULL when there is none. */
static char *
host_of(const char *url)
{
	const char *p = strstr(url, "://"), *end, *at, *colon;

	if (!p)
		return NULL;
	p += 3;
	end = p + strcspn(p, "/?#");
	at = memchr(p, '@', (size_t)(end - p));
	if (at)
		p = at + 1;
	if (*p == '[') {
		colon = memchr(p, ']', (size_t)(end - p));
		return colon ? xstrndup(p + 1, (size_t)(colon - p - 1)) : NULL;
	}
	colon = memchr(p, ':', (size_t)(end - p));
	if (colon)
		end = colon;
	return end > p ? xstrndup(p, (size_t)(end - p)) : NULL;
}

static bool
has_scheme(const char *url, const char *const *schemes)
{
	size_t n = strcspn(url, ":");

	for (; *schemes; schemes++)
		if (strlen(*schemes) == n) {
			char *given = xstrndup(url, n);
			bool same = name_equal(given, *schemes);

			free(given);
			if (same)
				return true;
		}
	return false;
}

static void
add_host(struct hosts *h, const char *url, unsigned line)
{
	struct identifier id;
	struct err err = ERR_INIT;
	char *host = host_of(url);

	if (!host || strlen(host) > HOST_MAX)
		log_warn(h->path, "line %u: no host in %.200s: passed over",
		    line, url);
	else if (strchr(host, '*'))
		log_debug(h->path, "line %u: a wildcard is not managed: %s",
		    line, host);
	else if (idna_identifier(host, &id, &err) == -1)
		log_warn(h->path, "line %u: passed over: %s", line, err.text);
	else
		strings_add(&h->all, id.value);
	free(host);
}

static void
add_routes(struct hosts *h, const struct yaml *list)
{
	static const char *const schemes[] = {
	    "https", "tcp+https", "udp+https", NULL};

	if (!list || list->type != YAML_LIST)
		return;
	for (size_t i = 0; i < list->n; i++) {
		const struct yaml *route = list->v[i];
		const struct yaml *from = route->type == YAML_MAP ?
		    pomerium_get(route, "from") :
		    NULL;

		h->routes++;
		if (!from || from->type != YAML_SCALAR)
			log_warn(h->path, "line %u: a route without \"from\"",
			    route->line);
		else if (has_scheme(from->text, schemes))
			add_host(h, from->text, from->line);
	}
}

/* POLICY: the list of policies, in base64. */
static int
add_policy_variable(struct hosts *h, const char *policy, struct err *err)
{
	struct buf text = {.max = SIZE};
	struct yaml *list = NULL;

	if (b64_decode(policy, strlen(policy), &text) == -1)
		err_set(err, ERR_CONFIG, "environment: POLICY: not base64");
	else
		list = yaml_parse("POLICY", text.data, text.len, err);
	buf_release(&text);
	if (!list)
		return -1;
	add_routes(h, list);
	yaml_tree_free(list);
	return 0;
}

static void
add_authenticate(struct hosts *h, const struct yaml *root, const char *variable)
{
	const struct yaml *url = pomerium_get(root, "authenticate_service_url");

	/* as Pomerium: without routes there is nothing to manage */
	if (h->routes == 0)
		return;
	if (variable)
		add_host(h, variable, 0);
	else if (url && url->type == YAML_SCALAR && !yaml_is_null(url))
		add_host(h, url->text, url->line);
}

/* Sorted, each once, without Pomerium's own hosted services. */
static void
hand_over(struct hosts *h, struct strings *out)
{
	static const char *const hosted[] = {
	    "authenticate.pomerium.app", "authenticate.staging.pomerium.app"};

	strings_sort(&h->all);
	for (size_t i = 0; i < h->all.n; i++)
		if (strcmp(h->all.v[i], hosted[0]) != 0 &&
		    strcmp(h->all.v[i], hosted[1]) != 0 &&
		    (i == 0 || strcmp(h->all.v[i], h->all.v[i - 1]) != 0))
			strings_add(out, h->all.v[i]);
}

int
pomerium_hosts(const char *path, const struct yaml *root, const char *policy,
    const char *authenticate, struct strings *out, struct err *err)
{
	struct hosts h = {.path = path};
	int rc = 0;

	if (policy)
		rc = add_policy_variable(&h, policy, err);
	else
		add_routes(&h, pomerium_get(root, "policy"));
	add_routes(&h, pomerium_get(root, "routes"));
	add_authenticate(&h, root, authenticate);
	if (rc == 0)
		hand_over(&h, out);
	strings_release(&h.all);
	return rc;
}
