#include <config.h>

#include "run/export.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/hook.h"
#include "pki/cert.h"
#include "pki/key.h"
#include "pki/pkcs12.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/store.h"

enum {
	KEY_SIZE = 64 * 1024,
	FILE_SIZE = 1024 * 1024, /* what is larger is none of ours */
	LOAD_TRIES = 8,
	TO_MODE = 0755
};

/* -- forms ---------------------------------------------------------------- */

enum part { LEAF = 1, ISSUERS = 2, KEY = 4 };

static const struct form {
	const char *name;
	unsigned int parts;
	bool pkcs12;
} forms[EXPORT_FORMS] = {
    [EXPORT_CERT] = {"cert", LEAF, false},
    [EXPORT_CHAIN] = {"chain", ISSUERS, false},
    [EXPORT_FULLCHAIN] = {"fullchain", LEAF | ISSUERS, false},
    [EXPORT_KEY] = {"key", KEY, false},
    [EXPORT_COMBINED] = {"combined", LEAF | ISSUERS | KEY, false},
    [EXPORT_PKCS12] = {"pkcs12", LEAF | ISSUERS | KEY, true},
};

/* What a certificate's folder below export.to holds. */
static const struct {
	enum export_form form;
	const char *name;
} to_files[] = {
    {EXPORT_CERT, "cert.pem"},
    {EXPORT_CHAIN, "chain.pem"},
    {EXPORT_FULLCHAIN, "fullchain.pem"},
    {EXPORT_KEY, "privkey.pem"},
};

enum { TO_FILES = sizeof(to_files) / sizeof(to_files[0]) };

const char *
export_form_name(enum export_form form)
{
	return forms[form].name;
}

bool
export_form_has_key(enum export_form form)
{
	return forms[form].parts & KEY;
}

/* -- paths ---------------------------------------------------------------- */

/* NULL for a "%" that stands for nothing. */
static char *
expand(const char *path, const char *name)
{
	struct buf out = BUF_INIT;
	char *copy = NULL;

	for (; *path; path++) {
		if (*path != '%')
			buf_put(&out, path, 1);
		else if (*++path == 'n')
			buf_puts(&out, name);
		else if (*path == '%')
			buf_puts(&out, "%");
		else
			goto out;
	}
	copy = xstrdup(buf_str(&out));
out:
	buf_release(&out);
	return copy;
}

/* One file to be, and what was found out about it. */
struct item {
	enum export_form form;
	char *path;
	struct buf data;
	bool differs;
	struct file_draft draft;
};

struct items {
	struct item *v;
	size_t n;
};

static void
add_item(struct items *items, enum export_form form, char *path)
{
	struct item *item = &items->v[items->n++];

	item->form = form;
	item->path = path;
}

/* All the files of a certificate.  export_check() has seen the paths. */
static void
items_init(struct items *items, const struct export *e, const char *name)
{
	size_t i;

	items->v = xcalloc(e->n_files + TO_FILES, sizeof(*items->v));
	items->n = 0;
	for (i = 0; i < e->n_files; i++)
		add_item(
		    items, e->files[i].form, expand(e->files[i].path, name));
	for (i = 0; e->to && i < TO_FILES; i++)
		add_item(items, to_files[i].form,
		    xasprintf("%s/%s/%s", e->to, name, to_files[i].name));
}

static void
items_release(struct items *items)
{
	size_t i;

	for (i = 0; i < items->n; i++) {
		free(items->v[i].path);
		buf_release(&items->v[i].data);
	}
	free(items->v);
}

static int
check_path(const struct export_file *file, bool many, struct err *err)
{
	const char *option = forms[file->form].name;
	char *one = expand(file->path, "a"), *two = expand(file->path, "b");
	const char *p;
	int rc = 0;

	for (p = file->path; rc == 0 && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			rc = err_set(err, ERR_USAGE,
			    "--%s: a control "
			    "character in a file name",
			    option);
	if (rc == 0 && !one)
		rc = err_set(err, ERR_USAGE,
		    "--%s %s: %%n or %%%% is wanted "
		    "after a %%",
		    option, file->path);
	else if (rc == 0 && many && strcmp(one, two) == 0)
		rc = err_set(err, ERR_USAGE,
		    "--%s %s: without %%n all "
		    "certificates would go into one file",
		    option, file->path);
	free(one);
	free(two);
	return rc;
}

static int
check_twice(const struct items *items, struct err *err)
{
	size_t i, j;

	for (i = 0; i < items->n; i++)
		for (j = 0; j < i; j++)
			if (strcmp(items->v[i].path, items->v[j].path) == 0)
				return err_set(err, ERR_USAGE,
				    "%s and %s would be the same file: %s",
				    forms[items->v[j].form].name,
				    forms[items->v[i].form].name,
				    items->v[i].path);
	return 0;
}

int
export_check(const struct export *e, bool many, struct err *err)
{
	struct items items;
	size_t i;
	int rc;

	for (i = 0; i < e->n_files; i++)
		if (check_path(&e->files[i], many, err) == -1)
			return -1;
	items_init(&items, e, "www.example.com");
	rc = check_twice(&items, err);
	items_release(&items);
	return rc;
}

/* -- what is in the store ------------------------------------------------- */

struct material {
	struct certificate cert;
	struct key *key;
	struct buf leaf, issuers, key_pem;
};

static void
material_release(struct material *m)
{
	certificate_release(&m->cert);
	key_free(m->key);
	buf_release(&m->leaf);
	buf_release(&m->issuers);
	buf_release(&m->key_pem);
	*m = (struct material){.key = NULL};
}

/* The key as it is now, and whether it is this certificate's. */
static int
load_key(
    const struct export *e, struct material *m, bool *fits, struct err *err)
{
	char folder[LAYOUT_KEY_MAX], file[LAYOUT_KEY_MAX];
	struct buf pem = BUF_SECRET;
	unsigned char id[sizeof(m->cert.cert.key_id)];
	char *path;
	int rc;

	if (layout_cert_folder(e->issuer, m->cert.name, folder, err) == -1 ||
	    layout_cert_file(m->cert.name, ".key", file, err) == -1)
		return -1;
	path = xasprintf("%s/%s", folder, file);
	rc = store_get(e->store, path, KEY_SIZE, &pem, NULL, err);
	if (rc == 0) {
		m->key = key_load(path, pem.data, pem.len, err);
		rc = m->key ? key_id(m->key, id, err) : -1;
	}
	if (rc == 0)
		*fits = memcmp(id, m->cert.cert.key_id, sizeof(id)) == 0;
	buf_release(&pem);
	free(path);
	return rc;
}

/* A pair that fits is of one generation, or as good as that: a chain may be
 * replaced by another for the same key. */
static int
load_pair(const struct export *e, const char *name, struct material *m,
    struct err *err)
{
	bool fits = false;
	int tries;

	for (tries = 0; tries < LOAD_TRIES; tries++) {
		material_release(m);
		if (certificate_load(
		        e->store, e->issuer, name, true, &m->cert, err) == -1)
			return -1;
		/* It has looked again and again. */
		if (!m->cert.key_matches)
			return err_set(
			    err, ERR_DATA, "the key is not the certificate's");
		if (load_key(e, m, &fits, err) == -1)
			return -1;
		if (fits)
			return 0;
	}
	return err_set(err, ERR_LATER, "is being replaced all the time");
}

/*
 * The certificates of a chain, one behind the other; whatever else is in the
 * file, a key for one, stays there.
 */
static void
split(struct material *m)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char end[] = "-----END CERTIFICATE-----";
	const char *at = buf_str(&m->cert.chain), *stop;
	struct buf *out = &m->leaf;

	while ((at = strstr(at, begin)) && (stop = strstr(at, end))) {
		stop += sizeof(end) - 1;
		for (; at < stop; at++)
			if (*at != '\r')
				buf_put(out, at, 1);
		buf_puts(out, "\n");
		out = &m->issuers;
	}
}

static int
load(const struct export *e, const char *name, struct material *m,
    struct err *err)
{
	*m = (struct material){.key = NULL};
	if (load_pair(e, name, m, err) == 0 &&
	    key_save(m->key, &m->key_pem, err) == 0) {
		split(m);
		return 0;
	}
	material_release(m);
	return -1;
}

/* -- what a file is to hold, and what it holds ---------------------------- */

static void
render(const struct form *form, const struct material *m, struct buf *out)
{
	out->secret = form->parts & KEY;
	if (form->parts & LEAF)
		buf_put(out, m->leaf.data, m->leaf.len);
	if (form->parts & ISSUERS)
		buf_put(out, m->issuers.data, m->issuers.len);
	if (form->parts & KEY)
		buf_put(out, m->key_pem.data, m->key_pem.len);
}

static int
make_data(const struct export *e, const struct material *m, struct item *item,
    struct err *err)
{
	const struct form *form = &forms[item->form];
	struct buf chain = BUF_INIT;
	int rc;

	if (!form->pkcs12) {
		render(form, m, &item->data);
		return 0;
	}
	render(&forms[EXPORT_FULLCHAIN], m, &chain);
	rc = pkcs12_make(chain.data, chain.len, m->key, m->cert.name,
	    e->password, &item->data, err);
	buf_release(&chain);
	return rc;
}

static bool
says_the_same(const struct export *e, const struct material *m,
    const struct item *item, const struct buf *there)
{
	struct buf want = BUF_INIT;
	bool same;

	if (forms[item->form].pkcs12) {
		render(&forms[EXPORT_FULLCHAIN], m, &want);
		same = pkcs12_holds(there->data, there->len, e->password,
		    want.data, want.len, m->key, m->cert.name);
	} else {
		render(&forms[item->form], m, &want);
		same = there->len == want.len &&
		    (want.len == 0 ||
		        memcmp(there->data, want.data, want.len) == 0);
	}
	buf_release(&want);
	return same;
}

static const struct file_access *
access_of(const struct export *e, const struct item *item)
{
	return export_form_has_key(item->form) ? &e->with_key : &e->open;
}

static bool
is_like(const struct stat *st, const struct file_access *want)
{
	return (st->st_mode & 07777) == want->mode &&
	    (want->uid == (uid_t)-1 || st->st_uid == want->uid) &&
	    (want->gid == (gid_t)-1 || st->st_gid == want->gid);
}

/* What cannot be read or is too large is not what we would write. */
static bool
has_content(
    const struct export *e, const struct material *m, const struct item *item)
{
	struct buf there = BUF_SECRET;
	struct err ignored = ERR_INIT;
	bool same = file_read(AT_FDCWD, item->path, FILE_SIZE, 0, &there,
	                &ignored) == 0 &&
	    says_the_same(e, m, item, &there);

	buf_release(&there);
	return same;
}

static int
compare(const struct export *e, const struct material *m, struct item *item,
    struct err *err)
{
	struct stat st;

	if (lstat(item->path, &st) == -1) {
		item->differs = true;
		/* Anything else is told when the file is made. */
		return 0;
	}
	if (S_ISLNK(st.st_mode))
		return err_set(err, ERR_PERMISSION,
		    "%s: a symbolic link; name "
		    "the file itself",
		    item->path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    err, ERR_PERMISSION, "%s: not a regular file", item->path);
	item->differs = !is_like(&st, access_of(e, item)) ||
	    !has_content(e, m, item);
	return 0;
}

/* -- folders, below export.to alone --------------------------------------- */

static int
make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0700) == -1) {
		if (errno == EEXIST)
			return 0;
		return err_sys(err,
		    errno == EACCES || errno == EPERM ? ERR_PERMISSION : ERR_IO,
		    "create %s", path);
	}
	if (chmod(path, TO_MODE) == -1)
		return err_sys(err, ERR_IO, "set the mode of %s", path);
	return file_sync_parent(AT_FDCWD, path, err);
}

static int
make_folders(const struct export *e, const char *name, struct err *err)
{
	char *path;
	int rc;

	if (!e->to)
		return 0;
	path = xasprintf("%s/%s", e->to, name);
	rc = make_folder(e->to, err);
	if (rc == 0)
		rc = make_folder(path, err);
	free(path);
	return rc;
}

/* -- markers -------------------------------------------------------------- */

/* ".NAME.changed" beside the certificate's first file. */
static char *
marker_path(const struct items *items)
{
	const char *path = items->v[0].path;
	const char *name = strrchr(path, '/') + 1;

	return xasprintf("%.*s.%s.changed", (int)(name - path), path, name);
}

static void
note_change(struct export *e, const char *name, const struct items *items,
    const char *marker)
{
	size_t i;

	strings_add(&e->names, name);
	strings_add(&e->markers, marker);
	for (i = 0; i < items->n; i++)
		strings_add(&e->paths, items->v[i].path);
}

static bool
is_marked(const char *marker)
{
	struct stat st;

	return lstat(marker, &st) == 0 && S_ISREG(st.st_mode);
}

/* -- writing -------------------------------------------------------------- */

static void
drop_drafts(struct items *items, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i++)
		if (items->v[i].differs)
			file_draft_drop(&items->v[i].draft);
}

static int
make_drafts(const struct export *e, const struct material *m,
    struct items *items, struct err *err)
{
	struct item *item;
	size_t i;

	for (i = 0; i < items->n; i++) {
		item = &items->v[i];
		if (item->differs &&
		    (make_data(e, m, item, err) == -1 ||
		        file_draft(AT_FDCWD, item->path, item->data.data,
		            item->data.len, access_of(e, item), &item->draft,
		            err) == -1)) {
			drop_drafts(items, 0, i);
			return -1;
		}
	}
	return 0;
}

static int
place_drafts(
    struct export *e, const char *name, struct items *items, struct err *err)
{
	struct item *item;
	size_t i;

	for (i = 0; i < items->n; i++) {
		item = &items->v[i];
		if (!item->differs)
			continue;
		if (file_draft_place(&item->draft, FILE_REPLACE, err) == -1) {
			drop_drafts(items, i + 1, items->n);
			return -1;
		}
		e->wrote(e->arg, name, item->form, item->path);
	}
	return 0;
}

static int
mark(const struct export *e, const char *marker, struct err *err)
{
	if (!e->on_change)
		return 0;
	return file_write(AT_FDCWD, marker, "", 0, 0600, FILE_REPLACE, err);
}

static int
write_files(struct export *e, const char *name, const struct material *m,
    struct items *items, struct err *err)
{
	char *marker = marker_path(items);
	int rc = make_folders(e, name, err);

	if (rc == 0)
		rc = make_drafts(e, m, items, err);
	if (rc == 0 && mark(e, marker, err) == -1) {
		drop_drafts(items, 0, items->n);
		rc = -1;
	}
	/* A change that was not completed is not told: the marker stays, and
	 * the next run completes it. */
	if (rc == 0)
		rc = place_drafts(e, name, items, err);
	if (rc == 0)
		note_change(e, name, items, marker);
	free(marker);
	return rc;
}

/* A polite end waits until drafts are gone and files belong together. */
static int
write_undisturbed(struct export *e, const char *name, const struct material *m,
    struct items *items, struct err *err)
{
	sigset_t ends, before;
	int rc;

	sigemptyset(&ends);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &before);
	rc = write_files(e, name, m, items, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* -- a certificate -------------------------------------------------------- */

/* Finds out which files differ. */
static int
compare_all(const struct export *e, const struct material *m,
    struct items *items, bool *any, struct err *err)
{
	size_t i;

	*any = false;
	for (i = 0; i < items->n; i++) {
		if (compare(e, m, &items->v[i], err) == -1)
			return -1;
		*any = *any || items->v[i].differs;
	}
	return 0;
}

static void
note_pending(struct export *e, const char *name, const struct items *items)
{
	char *marker = marker_path(items);

	if (e->on_change && is_marked(marker)) {
		log_info(name, "a change is yet to be told");
		note_change(e, name, items, marker);
	}
	free(marker);
}

int
export_certificate(struct export *e, const char *name, struct err *err)
{
	struct material m;
	struct items items;
	bool any;
	int rc;

	if (load(e, name, &m, err) == -1)
		return -1;
	if (m.cert.cert.not_after < time(NULL))
		log_warn(name, "is exported although it has expired");
	items_init(&items, e, name);
	rc = compare_all(e, &m, &items, &any, err);
	if (rc == 0 && any)
		rc = write_undisturbed(e, name, &m, &items, err);
	else if (rc == 0)
		note_pending(e, name, &items);
	items_release(&items);
	material_release(&m);
	return rc;
}

/* -- the end -------------------------------------------------------------- */

bool
export_changed(const struct export *e)
{
	return e->names.n > 0;
}

static char *
join(const char *variable, const struct strings *words, const char *between)
{
	struct buf out = BUF_INIT;
	char *copy;
	size_t i;

	for (i = 0; i < words->n; i++)
		buf_printf(&out, "%s%s", i ? between : "", words->v[i]);
	copy = xasprintf("%s=%s", variable, buf_str(&out));
	buf_release(&out);
	return copy;
}

static void
log_output(const char *program, struct buf *output)
{
	char *rest = (char *)output->data, *line;

	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			log_info(NULL, "%s: %s", program, line);
}

static int
run_program(const struct export *e, struct err *err)
{
	char *names = join("AUTOCERT_EXPORTED", &e->names, " ");
	char *paths = join("AUTOCERT_FILES", &e->paths, "\n");
	const char *const env[] = {names, paths, NULL};
	const struct hook hook = {
	    .path = e->on_change, .env = env, .timeout_ms = e->timeout_ms};
	struct buf output = BUF_INIT;
	int rc;

	log_info(NULL, "running %s", e->on_change);
	rc = hook_run(&hook, &output, err);
	log_output(e->on_change, &output);
	buf_release(&output);
	free(names);
	free(paths);
	return rc;
}

int
export_finish(struct export *e, struct err *err)
{
	size_t i;

	if (!e->on_change || !export_changed(e))
		return 0;
	if (run_program(e, err) == -1)
		return -1;
	for (i = 0; i < e->markers.n; i++)
		if (file_remove(AT_FDCWD, e->markers.v[i], err) == -1)
			return -1;
	return 0;
}

void
export_release(struct export *e)
{
	strings_release(&e->names);
	strings_release(&e->paths);
	strings_release(&e->markers);
}
