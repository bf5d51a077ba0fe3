#include <config.h>

#include "run/manual.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "pki/key.h"

enum { KEY_SIZE = 64 * 1024, DEPTH_MAX = 1 };

/* -- one pair -- */

static int
check_pair(const struct cert *cert, const char *where, const void *pem,
    size_t len, struct err *err)
{
	unsigned char id[32];
	struct key *key = key_load(where, pem, len, err);
	int rc = key ? key_id(key, id, err) : -1;

	key_free(key);
	if (rc == 0 && memcmp(id, cert->key_id, sizeof(id)) != 0)
		rc = err_set(err, ERR_CONFIG,
		    "%s: its key is not the "
		    "certificate's",
		    where);
	if (rc == 0 && !cert->server_auth)
		rc = err_set(err, ERR_CONFIG,
		    "%s: it is not for servers "
		    "(extended key usage)",
		    where);
	return rc;
}

int
manual_add(struct manual *m, const char *where, const void *chain,
    size_t chain_len, const void *key, size_t key_len, struct err *err)
{
	struct cert cert;

	if (cert_read(where, chain, chain_len, &cert, err) == -1)
		return -1;
	if (check_pair(&cert, where, key, key_len, err) == -1) {
		cert_release(&cert);
		return -1;
	}
	m->v = xrealloc(m->v, m->n + 1, sizeof(*m->v));
	m->v[m->n++] = (struct manual_cert){
	    .where = xstrdup(where), .cert = cert};
	return 0;
}

int
manual_add_files(struct manual *m, const char *cert_path, const char *key_path,
    struct err *err)
{
	struct buf chain = BUF_INIT, key = BUF_SECRET;
	int rc = -1;

	if (file_read(AT_FDCWD, cert_path, CERT_SIZE, FILE_FOLLOW, &chain,
	        err) == 0 &&
	    file_read(AT_FDCWD, key_path, KEY_SIZE, FILE_FOLLOW, &key, err) ==
	        0)
		rc = manual_add(m, cert_path, chain.data, chain.len, key.data,
		    key.len, err);
	buf_release(&chain);
	buf_release(&key);
	return rc;
}

/* -- folders -- */

/* The key that lies beside a file, if its name is that of a certificate. */
static char *
key_beside(const char *dir, const char *file)
{
	static const char *const endings[] = {".crt", ".pem", ".cer"};
	size_t n = strlen(file);

	if (strcmp(file, "fullchain.pem") == 0)
		return xasprintf("%s/privkey.pem", dir);
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		size_t m = strlen(endings[i]);

		if (n > m && strcmp(file + n - m, endings[i]) == 0)
			return xasprintf(
			    "%s/%.*s.key", dir, (int)(n - m), file);
	}
	return NULL;
}

static void
add_file(struct manual *m, const char *dir, const char *file)
{
	char *key = key_beside(dir, file), *cert;
	struct err err = ERR_INIT;

	if (!key)
		return;
	cert = xasprintf("%s/%s", dir, file);
	/* a certificate without its key is a CA's, or somebody else's */
	if (manual_add_files(m, cert, key, &err) == -1 &&
	    err.code != ERR_ABSENT)
		log_warn(
		    NULL, "a manual certificate is passed over: %s", err.text);
	free(cert);
	free(key);
}

static int
add_dir(struct manual *m, const char *path, int depth, struct err *err)
{
	const struct dirent *entry;
	struct strings names = {.v = NULL};
	DIR *dir = opendir(path);

	if (!dir)
		return err_sys(err, ERR_CONFIG, "%s", path);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			strings_add(&names, entry->d_name);
	closedir(dir);
	strings_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		char *below = xasprintf("%s/%s", path, names.v[i]);

		add_file(m, path, names.v[i]);
		/* what is no folder, or closed to us, holds nothing */
		if (depth < DEPTH_MAX)
			(void)add_dir(m, below, depth + 1, NULL);
		free(below);
	}
	strings_release(&names);
	return 0;
}

int
manual_add_dir(struct manual *m, const char *dir, struct err *err)
{
	return add_dir(m, dir, 0, err);
}

/* -- looking -- */

static bool
has_name(const struct cert *cert, const struct identifier *id)
{
	for (size_t i = 0; i < cert->n_names; i++)
		if (identifier_equal(&cert->names[i], id))
			return true;
	return false;
}

static bool
better(const struct manual_cert *a, const struct manual_cert *b,
    const struct identifier *id)
{
	bool exact_a, exact_b;

	if (!b)
		return true;
	exact_a = has_name(&a->cert, id);
	exact_b = has_name(&b->cert, id);
	if (exact_a != exact_b)
		return exact_a;
	return a->cert.not_after > b->cert.not_after;
}

const struct manual_cert *
manual_find(const struct manual *m, const struct identifier *id, time_t now,
    const struct manual_cert **expired)
{
	const struct manual_cert *found = NULL;

	*expired = NULL;
	for (size_t i = 0; i < m->n; i++) {
		const struct manual_cert *c = &m->v[i];

		if (!cert_covers(&c->cert, id))
			continue;
		if (c->cert.not_after < now) {
			*expired = c;
			continue;
		}
		if (c->cert.not_before <= now && better(c, found, id))
			found = c;
	}
	if (found)
		*expired = NULL;
	return found;
}

void
manual_release(struct manual *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->v[i].where);
		cert_release(&m->v[i].cert);
	}
	free(m->v);
	*m = (struct manual){.v = NULL};
}
