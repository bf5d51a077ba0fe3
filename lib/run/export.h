/*
 * Exporting: certificates copied out of the store into files for servers
 * (autocert-export(1)).
 *
 * The files of a certificate are made of one generation, whose very key and
 * chain were checked to belong together; those that differ in content, owner
 * or mode are made ready, all of them, and then given their names one behind
 * the other.  What fails before that leaves every file as it was.
 *
 * The on-change program is run at least once for each change: a marker beside
 * the first file of a certificate is there from before the first name is given
 * until the program has succeeded.
 *
 *	export_check(&e, many, &err);
 *	for each name: export_certificate(&e, name, &err);
 *	export_finish(&e, &err);
 *	export_release(&e);
 */
#ifndef RUN_EXPORT_H
#define RUN_EXPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/file.h"

struct err;
struct store;

enum export_form {
	EXPORT_CERT,  /* the leaf */
	EXPORT_CHAIN, /* its issuers */
	EXPORT_FULLCHAIN,
	EXPORT_KEY,
	EXPORT_COMBINED, /* leaf, issuers, key */
	EXPORT_PKCS12,
	EXPORT_FORMS
};

/* "cert", "chain", "fullchain", "key", "combined", "pkcs12". */
const char *export_form_name(enum export_form form);
bool export_form_has_key(enum export_form form);

struct export_file {
	enum export_form form;
	const char *path; /* absolute; "%n": the certificate's name,
				 * "%%": "%" */
};

struct export
{
	struct store *store;
	const char *issuer; /* folder name */
	const struct export_file *files;
	size_t n_files;
	const char *to;          /* absolute, or NULL: a folder for a
					 * folder per certificate */
	struct file_access open; /* without a key */
	struct file_access with_key;
	const char *password;  /* for EXPORT_PKCS12 */
	const char *on_change; /* program, or NULL */
	long timeout_ms;       /* its; 0: two minutes */
	/* told of each file written */
	void (*wrote)(void *arg, const char *name, enum export_form form,
	    const char *path);
	void *arg;
	/* the module's own: what has changed */
	struct strings names, paths, markers;
};

/* Before anything is written.  many: more than one certificate may be wanted.
 * ERR_USAGE for a path that cannot be one, or that two files would have. */
int export_check(const struct export *e, bool many, struct err *err);

/*
 * Writes what has changed; name is the folder name.  ERR_ABSENT without such a
 * certificate; ERR_DATA for one whose key is not its own or that cannot be
 * used; ERR_LATER when it was replaced each time we looked; ERR_PERMISSION or
 * ERR_IO for the files.
 */
int export_certificate(struct export *e, const char *name, struct err *err);

/* Whether anything was written, or a change is yet to be told. */
bool export_changed(const struct export *e);

/* Runs the program, if there is a change to tell.  ERR_HOOK. */
int export_finish(struct export *e, struct err *err);
void export_release(struct export *e);

#endif
