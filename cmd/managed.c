#include <config.h>

#include "cmd/managed.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/log.h"
#include "cmd/pomerium.h"
#include "cmd/settings.h"
#include "cmd/yaml.h"
#include "pki/idna.h"
#include "solver/solver.h"

enum { ENTRY_NAMES_MAX = 100, PEM_MAX = 1024 * 1024 };

static const char separators[] = " ,\t\r\n";

/* -- the list -- */

static void
entry_release(struct managed_cert *c)
{
	free(c->name);
	free(c->names);
	free(c->deploy_hook);
	free(c->where);
}

/* One with the options that hold when nothing else is said. */
static struct managed_cert
cert_default(const struct settings *s, const char *where)
{
	return (struct managed_cert){.key_type = KEY_P256,
	    .must_staple = s->must_staple,
	    .challenges = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01},
	    .n_challenges = 2,
	    .where = xstrdup(where)};
}

/* Names that lead to the same folder are the same. */
static bool
same_name(const char *a, const char *b)
{
	char x[NAME_MAX_LEN + 1], y[NAME_MAX_LEN + 1];

	return name_safe(a, x, sizeof(x)) == 0 &&
	    name_safe(b, y, sizeof(y)) == 0 && strcmp(x, y) == 0;
}

/* Takes c, in the place of one of the same name. */
static void
add(struct managed *m, struct managed_cert *c)
{
	for (size_t i = 0; i < m->n; i++)
		if (same_name(m->v[i].name, c->name)) {
			entry_release(&m->v[i]);
			m->v[i] = *c;
			return;
		}
	m->v = xrealloc(m->v, m->n + 1, sizeof(*m->v));
	m->v[m->n++] = *c;
}

static int
add_name(struct managed_cert *c, const char *text, struct err *err)
{
	struct identifier id;

	if (idna_identifier(text, &id, err) == -1 ||
	    solver_check(&id, c->challenges, c->n_challenges, err) == -1) {
		err->code = ERR_CONFIG;
		return -1;
	}
	if (c->n_names == ENTRY_NAMES_MAX)
		return err_set(err, ERR_CONFIG,
		    "more than %d names in one certificate", ENTRY_NAMES_MAX);
	c->names = xrealloc(c->names, c->n_names + 1, sizeof(*c->names));
	c->names[c->n_names++] = id;
	return 0;
}

/* A certificate for one name alone. */
static int
add_host(struct managed *m, const struct settings *s, const char *host,
    const char *where, struct err *err)
{
	struct managed_cert c = cert_default(s, where);

	if (add_name(&c, host, err) == -1) {
		entry_release(&c);
		return err_wrap(err, "%s", where);
	}
	c.name = xstrdup(c.names[0].value);
	add(m, &c);
	return 0;
}

static int
add_hosts_setting(struct managed *m, const struct settings *s, struct err *err)
{
	char *copy = xstrdup(s->hosts), *rest = copy, *word;
	int rc = 0;

	while (rc == 0 && (word = strsep(&rest, separators)))
		if (*word)
			rc = add_host(m, s, word, "autocert_hosts", err);
	free(copy);
	return rc;
}

static int
add_pomerium(struct managed *m, const struct settings *s,
    const struct yaml *root, struct err *err)
{
	struct strings hosts = {.v = NULL};
	const char *where = s->config_file ? s->config_file : "environment";
	int rc = pomerium_hosts(where, root, settings_variable("POLICY"),
	    settings_variable("AUTHENTICATE_SERVICE_URL"), &hosts, err);

	for (size_t i = 0; rc == 0 && i < hosts.n; i++)
		rc = add_host(m, s, hosts.v[i], where, err);
	strings_release(&hosts);
	return rc;
}

/* -- autocert_certificates -- */

static int
scalar(const struct yaml *value, const char **out, struct err *err)
{
	if (value->type != YAML_SCALAR)
		return err_set(err, ERR_CONFIG, "a single value is wanted");
	*out = value->text;
	return 0;
}

static int
take_names(struct managed_cert *c, const struct yaml *value, struct err *err)
{
	char *copy, *rest, *word;
	int rc = 0;

	if (value->type == YAML_LIST) {
		for (size_t i = 0; rc == 0 && i < value->n; i++)
			rc = value->v[i]->type == YAML_SCALAR ?
			    add_name(c, value->v[i]->text, err) :
			    err_set(err, ERR_CONFIG, "a name is wanted");
		return rc;
	}
	if (value->type != YAML_SCALAR)
		return err_set(err, ERR_CONFIG, "a list is wanted");
	copy = rest = xstrdup(value->text);
	while (rc == 0 && (word = strsep(&rest, separators)))
		if (*word)
			rc = add_name(c, word, err);
	free(copy);
	return rc;
}

static int
take_cert_name(
    struct managed_cert *c, const struct yaml *value, struct err *err)
{
	const char *text = NULL;
	char safe[NAME_MAX_LEN + 1];

	if (scalar(value, &text, err) == -1)
		return -1;
	if (name_safe(text, safe, sizeof(safe)) == -1 || !*safe)
		return err_set(
		    err, ERR_CONFIG, "%s cannot be a certificate's name", text);
	free(c->name);
	c->name = xstrdup(safe);
	return 0;
}

static int
take_key_type(struct managed_cert *c, const struct yaml *value, struct err *err)
{
	const char *text = NULL;

	if (scalar(value, &text, err) == -1)
		return -1;
	if (key_type_parse(text, &c->key_type) == -1)
		return err_set(err, ERR_CONFIG,
		    "%s is none of p256, p384, "
		    "rsa2048, rsa3072 and rsa4096",
		    text);
	return 0;
}

static int
take_must_staple(
    struct managed_cert *c, const struct yaml *value, struct err *err)
{
	if (value->type != YAML_SCALAR ||
	    yaml_bool(value, &c->must_staple) == -1)
		return err_set(err, ERR_CONFIG, "neither true nor false");
	return 0;
}

static int
take_challenge(
    struct managed_cert *c, const struct yaml *value, struct err *err)
{
	const char *text = NULL;

	if (scalar(value, &text, err) == -1 ||
	    solver_parse(text, c->challenges, &c->n_challenges, err) == -1) {
		err->code = ERR_CONFIG;
		return -1;
	}
	return 0;
}

static int
take_deploy_hook(
    struct managed_cert *c, const struct yaml *value, struct err *err)
{
	const char *text = NULL;

	if (scalar(value, &text, err) == -1)
		return -1;
	if (*text != '/')
		return err_set(err, ERR_CONFIG,
		    "%s: an absolute path is "
		    "wanted",
		    text);
	free(c->deploy_hook);
	c->deploy_hook = xstrdup(text);
	return 0;
}

/* The same as autocert-order's options; challenge stands before names, which
 * are checked against it. */
static const struct member {
	const char *name;
	int (*take)(
	    struct managed_cert *c, const struct yaml *value, struct err *err);
} members[] = {
    {"challenge", take_challenge},
    {"names", take_names},
    {"cert_name", take_cert_name},
    {"key_type", take_key_type},
    {"must_staple", take_must_staple},
    {"deploy_hook", take_deploy_hook},
};

enum { MEMBERS = sizeof(members) / sizeof(*members) };

static int
check_members(const struct yaml *entry, struct err *err)
{
	for (size_t i = 0; i < entry->n; i++) {
		size_t j = 0;

		while (j < MEMBERS &&
		    strcmp(entry->keys[i]->text, members[j].name) != 0)
			j++;
		if (j == MEMBERS)
			return err_set(err, ERR_CONFIG, "no such option: %s",
			    entry->keys[i]->text);
	}
	return 0;
}

static int
take_entry(struct managed_cert *c, const struct yaml *entry, struct err *err)
{
	if (entry->type != YAML_MAP)
		return err_set(err, ERR_CONFIG, "a map of options is wanted");
	if (check_members(entry, err) == -1)
		return -1;
	for (size_t i = 0; i < MEMBERS; i++) {
		const struct yaml *value = yaml_get(entry, members[i].name);

		if (value && members[i].take(c, value, err) == -1)
			return err_wrap(err, "%s", members[i].name);
	}
	if (c->n_names == 0)
		return err_set(err, ERR_CONFIG, "names: there are none");
	if (!c->name)
		c->name = xstrdup(c->names[0].value);
	return 0;
}

static int
add_entries(struct managed *m, const struct settings *s,
    const struct yaml *root, struct err *err)
{
	const struct yaml *list = pomerium_get(root, "autocert_certificates");

	for (size_t i = 0; list && list->type == YAML_LIST && i < list->n;
	     i++) {
		char *where = xasprintf(
		    "%s:%u", s->config_file, list->v[i]->line);
		struct managed_cert c = cert_default(s, where);

		free(where);
		if (take_entry(&c, list->v[i], err) == -1) {
			err_wrap(err, "%s: autocert_certificates", c.where);
			entry_release(&c);
			return -1;
		}
		add(m, &c);
	}
	return 0;
}

/* -- manual certificates -- */

/* A setting of Pomerium's: the variable, which is its key in upper case, or the
 * file's scalar. */
static const char *
pomerium_text(const struct yaml *root, const char *key, const char *variable)
{
	const char *text = settings_variable(variable);
	const struct yaml *value = pomerium_get(root, key);

	if (text)
		return text;
	return value && value->type == YAML_SCALAR && !yaml_is_null(value) ?
	    value->text :
	    NULL;
}

static int
add_base64(struct manual *m, const char *cert, const char *key, struct err *err)
{
	struct buf chain = {.max = PEM_MAX};
	struct buf secret = {.max = PEM_MAX, .secret = true};
	int rc = -1;

	if (b64_decode(cert, strlen(cert), &chain) == -1)
		err_set(err, ERR_CONFIG, "certificate: not base64");
	else if (b64_decode(key, strlen(key), &secret) == -1)
		err_set(err, ERR_CONFIG, "certificate_key: not base64");
	else
		rc = manual_add(m, "certificate", chain.data, chain.len,
		    secret.data, secret.len, err);
	buf_release(&chain);
	buf_release(&secret);
	return rc;
}

/* One that cannot be used covers nothing: its names are ordered, as they would
 * be without it, and the operator is told. */
static void
tell(int rc, struct err *err)
{
	if (rc == -1)
		log_warn(
		    NULL, "a manual certificate is passed over: %s", err->text);
	err_clear(err);
}

static void
add_manual(struct manual *m, const struct yaml *root)
{
	const struct yaml *list = pomerium_get(root, "certificates");
	const char *cert, *key;
	struct err err = ERR_INIT;

	cert = pomerium_text(root, "certificate", "CERTIFICATE");
	key = pomerium_text(root, "certificate_key", "CERTIFICATE_KEY");
	if (cert && key)
		tell(add_base64(m, cert, key, &err), &err);
	cert = pomerium_text(root, "certificate_file", "CERTIFICATE_FILE");
	key = pomerium_text(
	    root, "certificate_key_file", "CERTIFICATE_KEY_FILE");
	if (cert && key)
		tell(manual_add_files(m, cert, key, &err), &err);
	for (size_t i = 0; list && list->type == YAML_LIST && i < list->n;
	     i++) {
		const struct yaml *pair = list->v[i], *c, *k;

		c = pair->type == YAML_MAP ? pomerium_get(pair, "cert") : NULL;
		k = pair->type == YAML_MAP ? pomerium_get(pair, "key") : NULL;
		if (c && k && c->type == YAML_SCALAR && k->type == YAML_SCALAR)
			tell(manual_add_files(m, c->text, k->text, &err), &err);
	}
}

static int
add_dirs(struct manual *m, const char *dirs, struct err *err)
{
	char *copy = xstrdup(dirs), *rest = copy, *word;
	int rc = 0;

	while (rc == 0 && (word = strsep(&rest, separators)))
		if (*word)
			rc = manual_add_dir(m, word, err);
	free(copy);
	return rc == -1 ? err_wrap(err, "autocert_certificate_dirs") : 0;
}

static void
forget_key(void)
{
	char *key = settings_variable("CERTIFICATE_KEY");

	if (key)
		settings_forget("CERTIFICATE_KEY", key);
}

int
managed_load(const struct settings *s, struct managed *out, struct err *err)
{
	struct yaml *root = NULL;
	int rc = -1;

	*out = (struct managed){.order_covered = s->order_covered,
	    .hooks_dir = xstrdup(s->deploy_hooks),
	    .hook_timeout_ms = s->hook_timeout_ms};
	if (s->config_file && !(root = pomerium_open(s->config_file, err)))
		goto out;
	if (add_pomerium(out, s, root, err) == -1 ||
	    add_hosts_setting(out, s, err) == -1 ||
	    add_entries(out, s, root, err) == -1)
		goto out;
	add_manual(&out->manual, root);
	rc = add_dirs(&out->manual, s->certificate_dirs, err);
out:
	forget_key();
	yaml_tree_free(root);
	return rc;
}

void
managed_release(struct managed *m)
{
	for (size_t i = 0; i < m->n; i++)
		entry_release(&m->v[i]);
	free(m->v);
	manual_release(&m->manual);
	free(m->hooks_dir);
	*m = (struct managed){.v = NULL};
}
