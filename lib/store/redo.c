#include <config.h>

#include "store/redo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "pki/hash.h"
#include "store/commit.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/guard.h"
#include "store/store.h"

#define JOURNALS "autocert/commit"
#define JOURNAL_LIST "list"

enum {
	JOURNAL_NAME = 2 * SHA256_LEN, /* hex of the folder's hash */
	LIST_MAX = 64 * 1024
};

/* -- a journal ------------------------------------------------------------ */

static void
redo_name(const char *folder, char out[JOURNAL_NAME + 1])
{
	unsigned char hash[SHA256_LEN];
	struct buf hex = BUF_INIT;

	hash_sha256(folder, strlen(folder), hash);
	hex_encode(hash, sizeof(hash), &hex);
	snprintf(out, JOURNAL_NAME + 1, "%s", buf_str(&hex));
	buf_release(&hex);
}

static int
redo_write(int journals, const char *hash, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	struct store_object *v = xcalloc(n + 1, sizeof(*v));
	struct buf list = {.max = LIST_MAX};
	bool unable = false;
	size_t i;
	int rc;

	buf_printf(&list, "%s\n", folder);
	for (i = 0; i < n; i++) {
		buf_printf(&list, "%s\n", objects[i].name);
		v[i] = objects[i];
		v[i].name = xasprintf("%zu", i);
	}
	v[n].name = JOURNAL_LIST;
	v[n].data = buf_str(&list);
	v[n].len = list.len;
	rc = commit_draft(journals, hash, v, n + 1, &unable, err);
	for (i = 0; i < n; i++)
		free((char *)v[i].name);
	buf_release(&list);
	free(v);
	return rc;
}

static int
redo_list(int journal, struct strings *lines, struct err *err)
{
	struct buf text = {.max = LIST_MAX};
	const char *line;
	char *copy;
	size_t len;
	int rc = file_read(journal, JOURNAL_LIST, LIST_MAX, 0, &text, err);

	for (line = buf_str(&text);; line += len + 1) {
		len = strcspn(line, "\n");
		if (!line[len])
			break;
		copy = xstrndup(line, len);
		strings_add(lines, copy);
		free(copy);
	}
	if (rc == 0 && (*line || lines->n == 0)) {
		err_set(err, ERR_DATA, JOURNAL_LIST ": cut short");
		rc = -1;
	}
	buf_release(&text);
	return rc == 0 ? 0 : -1;
}

static int
redo_check(const struct strings *lines, struct err *err)
{
	size_t i;

	if (!store_key_ok(lines->v[0]))
		return err_set(err, ERR_DATA, JOURNAL_LIST ": not a folder");
	for (i = 1; i < lines->n; i++)
		if (!store_name_ok(lines->v[i]))
			return err_set(err, ERR_DATA,
			    JOURNAL_LIST ": line %zu "
			                 "is not a name",
			    i + 1);
	return 0;
}

static bool
holds(int folder, const char *name, const struct buf *bytes)
{
	struct err ignored = ERR_INIT;
	struct buf there = BUF_SECRET;
	bool same;

	same = file_read(folder, name, BUF_MAX, 0, &there, &ignored) == 0 &&
	    there.len == bytes->len &&
	    memcmp(buf_str(&there), buf_str(bytes), bytes->len) == 0;
	buf_release(&there);
	return same;
}

/* A write may fail when its bytes are already there to be seen. */
static int
redo_put(int journal, size_t i, int folder, const char *name, bool *begun,
    struct err *err)
{
	struct buf bytes = BUF_SECRET;
	char number[24];
	int rc;

	snprintf(number, sizeof(number), "%zu", i);
	rc = file_read(journal, number, BUF_MAX, 0, &bytes, err);
	if (rc == 0) {
		rc = file_write(folder, name, buf_str(&bytes), bytes.len, 0600,
		    FILE_REPLACE, err);
		*begun = *begun || rc == 0 || holds(folder, name, &bytes);
	}
	buf_release(&bytes);
	return rc;
}

/* *begun: readers may have seen some of it. */
static int
redo_apply(
    int root, int journals, const char *hash, bool *begun, struct err *err)
{
	struct strings lines = {.n = 0};
	int journal, folder = -1, rc = -1;
	size_t i;

	*begun = false;
	journal = folder_enter(journals, hash, false, err);
	if (journal == -1)
		return -1;
	if (redo_list(journal, &lines, err) == -1 ||
	    redo_check(&lines, err) == -1)
		goto out;
	folder = folder_open(root, lines.v[0], true, err);
	if (folder == -1)
		goto out;
	rc = 0;
	for (i = 1; rc == 0 && i < lines.n; i++)
		rc = redo_put(journal, i - 1, folder, lines.v[i], begun, err);
out:
	if (folder != -1)
		close(folder);
	close(journal);
	strings_release(&lines);
	return rc;
}

/* Gone in one step, then tidied away. */
static int
redo_drop(int journals, const char *hash, struct err *err)
{
	char temp[FOLDER_NAME_SIZE];

	folder_temp(hash, "new", temp);
	if (renameat(journals, hash, journals, temp) == -1)
		return err_sys(err, ERR_IO, "removing the journal of a commit");
	if (folder_sync(journals, err) == -1)
		return -1;
	return file_remove(journals, temp, err);
}

/* One that cannot be read would stop every later run. */
static int
redo_set_aside(
    int journals, const char *hash, const struct err *why, struct err *err)
{
	char aside[FOLDER_NAME_SIZE];

	snprintf(aside, sizeof(aside), "%s.bad", hash);
	log_warn(JOURNALS,
	    "the journal of a commit is unusable, kept as %s: "
	    "%s",
	    aside, why->text);
	if (file_remove(journals, aside, err) == -1)
		return -1;
	if (renameat(journals, hash, journals, aside) == -1)
		return err_sys(err, ERR_IO, "setting aside %s", hash);
	return 0;
}

/* -- finishing ------------------------------------------------------------ */

static int
redo_finish(int root, int journals, const char *hash, struct err *err)
{
	struct err e = ERR_INIT;
	bool begun;

	if (redo_apply(root, journals, hash, &begun, &e) == 0)
		return redo_drop(journals, hash, err);
	if (e.code == ERR_DATA || e.code == ERR_ABSENT)
		return redo_set_aside(journals, hash, &e, err);
	*err = e;
	return err_wrap(err, "finishing a commit");
}

static int
redo_one(void *arg, int folder, const char *name, struct err *err)
{
	(void)folder, (void)err;
	if (strspn(name, "0123456789abcdef") == JOURNAL_NAME &&
	    strlen(name) == JOURNAL_NAME)
		strings_add(arg, name);
	return 0;
}

/* Finishes what is there; the caller holds GUARD_COMMIT. */
static int
redo_finish_all(int root, int journals, struct err *err)
{
	struct strings found = {.n = 0};
	size_t i;
	int rc;

	folder_sweep(journals, true);
	rc = folder_each(journals, redo_one, &found, err);
	for (i = 0; rc == 0 && i < found.n; i++)
		rc = redo_finish(root, journals, found.v[i], err);
	strings_release(&found);
	return rc;
}

int
redo_recover(int root, bool wait, struct err *err)
{
	struct strings found = {.n = 0};
	struct err e = ERR_INIT;
	int rc, fd, journals = folder_open(root, JOURNALS, false, &e);

	if (journals == -1) {
		if (e.code == ERR_ABSENT)
			return 0;
		*err = e;
		return -1;
	}
	rc = folder_each(journals, redo_one, &found, err);
	if (rc == 0 && found.n > 0) {
		fd = guard_take(
		    root, GUARD_COMMIT, wait ? GUARD_WAIT_MS : 0, &e);
		if (fd != -1) {
			rc = redo_finish_all(root, journals, err);
			close(fd);
		} else if (wait || e.code != ERR_LATER) {
			*err = e;
			rc = -1;
		}
	}
	strings_release(&found);
	close(journals);
	return rc;
}

/* -- committing ----------------------------------------------------------- */

static int
redo_perform(int root, int journals, const char *folder,
    const struct store_object *objects, size_t n, struct err *err)
{
	struct err ignored = ERR_INIT;
	char hash[JOURNAL_NAME + 1];
	bool begun;

	redo_name(folder, hash);
	if (redo_finish_all(root, journals, err) == -1 ||
	    redo_write(journals, hash, folder, objects, n, err) == -1)
		return -1;
	if (redo_apply(root, journals, hash, &begun, err) == 0)
		return redo_drop(journals, hash, err);
	if (begun)
		return err_wrap(err, "half done, the next run will finish it");
	redo_drop(journals, hash, &ignored);
	return -1;
}

int
redo_commit(int root, const char *folder, const struct store_object *objects,
    size_t n, struct err *err)
{
	int rc, journals;
	int fd = guard_take(root, GUARD_COMMIT, GUARD_WAIT_MS, err);

	if (fd == -1)
		return -1;
	journals = folder_open(root, JOURNALS, true, err);
	rc = journals == -1 ?
	    -1 :
	    redo_perform(root, journals, folder, objects, n, err);
	if (journals != -1)
		close(journals);
	close(fd);
	return rc;
}
