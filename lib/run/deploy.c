#include <config.h>

#include "run/deploy.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/name.h"
#include "io/hook.h"
#include "pki/cert.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/state.h"
#include "store/store.h"

_Static_assert(2 * CERT_SERIAL_MAX < STATE_SERIAL, "a serial number fits");

static void
serial_of(const struct certificate *c, char out[STATE_SERIAL])
{
	struct buf hex = BUF_INIT;

	hex_encode(c->cert.serial, c->cert.serial_len, &hex);
	memcpy(out, buf_str(&hex), hex.len + 1);
	buf_release(&hex);
}

/* -- whether it has been done --------------------------------------------- */

/* A folder that cannot be read counts: deploy_run() then says why. */
static bool
has_hook(const struct deploy *d, const struct state *state)
{
	struct strings names = {.n = 0};
	bool some;

	if (state->deploy_hook && *state->deploy_hook)
		return true;
	if (!d->dir)
		return false;
	some = hook_list(d->dir, &names, NULL) == -1 || names.n > 0;
	strings_release(&names);
	return some;
}

bool
deploy_pending(const struct deploy *d, const struct certificate *c,
    const struct state *state)
{
	char serial[STATE_SERIAL];

	if (!*state->deployed)
		return has_hook(d, state);
	serial_of(c, serial);
	return strcmp(state->deployed, serial) != 0;
}

/* -- what a hook is told -------------------------------------------------- */

enum { VARIABLES = 8 };

struct variables {
	char *v[VARIABLES + 1];
};

/* The hook works elsewhere than we do: a relative path would mean nothing. */
static char *
absolute(const char *path)
{
	char *full = *path == '/' ? NULL : realpath(path, NULL);

	return full ? full : xstrdup(path);
}

/* A store's folder as the hook finds it, no slash doubled. */
static char *
folder_path(struct store *s, const char *key)
{
	char *root = absolute(store_location(s)), *path;
	size_t len = strlen(root);

	while (len > 0 && root[len - 1] == '/')
		len--;
	path = xasprintf("%.*s/%s", (int)len, root, key);
	free(root);
	return path;
}

/*
 * The names with a blank between.  The certificate may be anybody's, put into
 * the store by another program: what is no identifier stays out.
 */
static void
join_names(const struct cert *cert, struct buf *out)
{
	struct identifier id;
	size_t i;

	for (i = 0; i < cert->n_names; i++) {
		if (identifier_parse(cert->names[i].value, &id, NULL) == -1)
			continue;
		buf_printf(out, "%s%s", out->len ? " " : "", id.value);
	}
}

static int
describe(struct store *s, const struct certificate *c, struct variables *out,
    struct err *err)
{
	char key[LAYOUT_KEY_MAX], expires[DATE_MAX], **v = out->v;
	const char *name, *names;
	struct buf joined = BUF_INIT;
	char *folder;

	if (layout_cert_folder(c->issuer, c->name, key, err) == -1)
		return -1;
	name = strrchr(key, '/') + 1;
	folder = folder_path(s, key);
	join_names(&c->cert, &joined);
	names = buf_str(&joined);
	v[0] = xasprintf("RENEWED_LINEAGE=%s", folder);
	v[1] = xasprintf("RENEWED_DOMAINS=%s", names);
	v[2] = xasprintf("AUTOCERT_NAME=%s", name);
	v[3] = xasprintf("AUTOCERT_NAMES=%s", names);
	v[4] = xasprintf("AUTOCERT_FOLDER=%s", folder);
	v[5] = xasprintf("AUTOCERT_CERT=%s/%s.crt", folder, name);
	v[6] = xasprintf("AUTOCERT_KEY=%s/%s.key", folder, name);
	v[7] = xasprintf(
	    "AUTOCERT_EXPIRES=%s", date_format(c->cert.not_after, expires));
	buf_release(&joined);
	free(folder);
	return 0;
}

static void
variables_release(struct variables *vars)
{
	size_t i;

	for (i = 0; i < VARIABLES; i++)
		free(vars->v[i]);
}

/* -- telling them --------------------------------------------------------- */

/* One certificate and all its hooks. */
struct round {
	const struct deploy *deploy;
	const char *name;
	struct variables vars;
	bool failed;
	struct err first;
};

/* The first failure is the caller's to print; those behind it are printed
 * here. */
static void
note_failure(struct round *r, const struct err *err)
{
	if (r->failed)
		log_err(r->name, err);
	else
		r->first = *err;
	r->failed = true;
}

static void
log_output(const char *name, const char *path, struct buf *output)
{
	char *line = (char *)output->data, *rest = NULL;

	if (line)
		line = strtok_r(line, "\n", &rest);
	while (line) {
		log_info(name, "%s: %s", path, line);
		line = strtok_r(NULL, "\n", &rest);
	}
}

static void
run_hook(struct round *r, const char *path)
{
	struct hook hook = {.path = path,
	    .env = (const char *const *)r->vars.v,
	    .timeout_ms = r->deploy->timeout_ms};
	struct buf output = BUF_INIT;
	struct err err = ERR_INIT;
	int rc;

	log_info(r->name, "running the deploy hook %s", path);
	rc = hook_run(&hook, &output, &err);
	log_output(r->name, path, &output);
	buf_release(&output);
	if (rc == -1) {
		err_wrap(&err, "deploy hook");
		note_failure(r, &err);
	}
}

static void
run_folder(struct round *r, const char *dir)
{
	struct strings names = {.n = 0};
	struct err err = ERR_INIT;
	char *path;
	size_t i;

	if (hook_list(dir, &names, &err) == -1) {
		err_wrap(&err, "deploy hooks");
		note_failure(r, &err);
	}
	for (i = 0; i < names.n; i++) {
		path = xasprintf("%s/%s", dir, names.v[i]);
		run_hook(r, path);
		free(path);
	}
	strings_release(&names);
}

int
deploy_run(const struct deploy *d, const struct certificate *c,
    const char *hook, struct state *state, struct err *err)
{
	struct round r = {.deploy = d, .name = c->name};

	if (describe(d->store, c, &r.vars, &r.first) == -1) {
		r.failed = true;
	} else {
		if (hook && *hook)
			run_hook(&r, hook);
		if (d->dir)
			run_folder(&r, d->dir);
		variables_release(&r.vars);
	}
	if (r.failed)
		return err_set(err, ERR_HOOK, "%s", r.first.text);
	serial_of(c, state->deployed);
	return 0;
}
