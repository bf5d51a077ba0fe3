#include <config.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/name.h"
#include "cmd/cmd.h"
#include "pki/cert.h"
#include "pki/idna.h"
#include "run/due.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/store.h"

enum { DAY_S = 24 * 60 * 60 };

/* -- the command line -- */

enum { OPT_SETTINGS = 1 };

static const struct option options[] = {
    {"settings", no_argument, NULL, OPT_SETTINGS},
    {NULL, 0, NULL, 0},
};

static bool settings_only;

static int
take_option(int val, const char *arg, struct err *err)
{
	(void)val;
	(void)arg;
	(void)err;
	settings_only = true;
	return 0;
}

static const struct cmd cmd = {.name = "autocert-list",
    .usage = "autocert-list [-qv] [-c file] [--dir path] [--json] [name ...]\n"
             "autocert-list --settings [--json] [option ...]\n",
    .options = options,
    .option = take_option};

/* -- rows -- */

enum column { NAME, NAMES, ISSUER, EXPIRES, DAYS, KEY, PATH, COLUMNS };

static const char *const headings[COLUMNS] = {
    "NAME", "NAMES", "ISSUER", "EXPIRES", "DAYS", "KEY", "PATH"};

/* What to list, and what has been found. */
struct list {
	struct store *store;
	struct wanted {
		const char *operand;
		char folder[NAME_MAX_LEN + 1];
		bool found;
	} * wanted;
	size_t n_wanted;      /* 0: everything */
	struct strings *rows; /* each of COLUMNS texts */
	size_t n, cap;
	struct err_tally tally;
	time_t now;
};

/* An issuer's name is its own. */
static char *
printable(const char *text)
{
	char *copy = xstrdup(text);

	make_printable(copy);
	return copy;
}

static char *
join_names(const struct cert *cert)
{
	struct buf out = BUF_INIT;
	char *copy;

	for (size_t i = 0; i < cert->n_names; i++)
		buf_printf(
		    &out, "%s%s", i == 0 ? "" : ",", cert->names[i].value);
	copy = xstrdup(buf_str(&out));
	buf_release(&out);
	return copy;
}

/* Whole days that are left; of an expired certificate, days begun since. */
static long
days_left(const struct cert *cert, time_t now)
{
	long left = (long)(cert->not_after - now);

	return left >= 0 ? left / DAY_S : -((DAY_S - 1 - left) / DAY_S);
}

static struct strings *
add_row(struct list *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->rows = xrealloc(l->rows, l->cap, sizeof(*l->rows));
	}
	l->rows[l->n] = (struct strings){.v = NULL};
	return &l->rows[l->n++];
}

static void
add_certificate(struct list *l, const struct certificate *c, const char *path)
{
	char *names = join_names(&c->cert), *issuer = printable(c->cert.issuer);
	char *days = xasprintf("%ld", days_left(&c->cert, l->now));
	struct strings *row = add_row(l);
	char date[DATE_MAX];

	strings_add(row, c->name);
	strings_add(row, names);
	strings_add(row, issuer);
	strings_add(row, date_format(c->cert.not_after, date));
	strings_add(row, days);
	strings_add(row, key_type_name(c->cert.key_type));
	strings_add(row, path);
	free(names);
	free(issuer);
	free(days);
}

/* -- printing -- */

static void
print_json(const struct list *l, const struct certificate *c, const char *path)
{
	struct json *o = json_new_object(), *names = json_new_array();
	time_t due = due_at(c->cert.not_before, c->cert.not_after);
	char *issuer = printable(c->cert.issuer);
	struct buf out = BUF_INIT;
	char date[DATE_MAX];

	for (size_t i = 0; i < c->cert.n_names; i++)
		json_append_string(names, c->cert.names[i].value);
	json_add_string(o, "name", c->name);
	json_add(o, "names", names);
	json_add_string(o, "issuer", issuer);
	json_add_string(o, "not_before", date_format(c->cert.not_before, date));
	json_add_string(o, "not_after", date_format(c->cert.not_after, date));
	json_add_int(o, "days_left", days_left(&c->cert, l->now));
	json_add_string(o, "due", date_format(due, date));
	json_add_string(o, "key", key_type_name(c->cert.key_type));
	json_add_bool(o, "must_staple", c->cert.must_staple);
	json_add_string(o, "path", path);
	json_print(o, JSON_COMPACT, &out);
	printf("%s\n", buf_str(&out));
	buf_release(&out);
	json_free(o);
	free(issuer);
}

static size_t
width(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void
print_padded(enum column column, const char *text, size_t columns)
{
	int pad = (int)(columns - width(text));

	if (column == PATH)
		printf("%s\n", text);
	else if (column == DAYS)
		printf("%*s%s  ", pad, "", text);
	else
		printf("%s%*s  ", text, pad, "");
}

static void
print_for_people(const struct list *l)
{
	size_t widths[COLUMNS];

	for (size_t j = 0; j < COLUMNS; j++) {
		widths[j] = width(headings[j]);
		for (size_t i = 0; i < l->n; i++)
			if (width(l->rows[i].v[j]) > widths[j])
				widths[j] = width(l->rows[i].v[j]);
	}
	for (enum column j = 0; j < COLUMNS && l->n > 0; j++)
		print_padded(j, headings[j], widths[j]);
	for (size_t i = 0; i < l->n; i++)
		for (enum column j = 0; j < COLUMNS; j++)
			print_padded(j, l->rows[i].v[j], widths[j]);
}

static void
print_for_programs(const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		for (size_t j = 0; j < COLUMNS; j++)
			printf("%s%c", l->rows[i].v[j],
			    j == COLUMNS - 1 ? '\n' : '\t');
}

static int
print_settings(void)
{
	struct buf out = BUF_INIT;

	if (shared.json) {
		settings_print_json(&shared.settings, &out);
		buf_puts(&out, "\n");
	} else {
		settings_print(&shared.settings, &out);
	}
	fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	return 0;
}

/* -- the store -- */

/* An operand as the store spells it: a name in any form that an order takes,
 * or the name given to a certificate. */
static int
want(struct wanted *w, const char *operand, struct err *err)
{
	struct identifier id;
	const char *name = operand;

	if (idna_identifier(operand, &id, err) == 0)
		name = id.value;
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			return -1;
	if (name_safe(name, w->folder, sizeof(w->folder)) == -1 ||
	    w->folder[0] == '\0')
		return err_set(err, ERR_USAGE, "not a name: %s", operand);
	w->operand = operand;
	return 0;
}

static bool
is_wanted(struct list *l, const char *folder)
{
	bool yes = l->n_wanted == 0;

	for (size_t i = 0; i < l->n_wanted; i++)
		if (strcmp(l->wanted[i].folder, folder) == 0)
			yes = l->wanted[i].found = true;
	return yes;
}

static int
load(struct list *l, const char *issuer, const char *name,
    struct certificate *c, struct err *err)
{
	if (certificate_load(l->store, issuer, name, true, c, err) == -1) {
		if (err->code != ERR_ABSENT)
			return -1;
		err->code = ERR_DATA;
		return err_wrap(err, "incomplete");
	}
	if (c->key_matches)
		return 0;
	certificate_release(c);
	return err_set(err, ERR_DATA, "the key is not the certificate's");
}

/* Lists one certificate; one that is broken is told and does not stop the
 * others. */
static void
list_one(struct list *l, const char *issuer, const char *name)
{
	struct certificate c = {.issuer = NULL};
	char folder[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;
	char *path;

	if (layout_cert_folder(issuer, name, folder, &err) == -1 ||
	    load(l, issuer, name, &c, &err) == -1) {
		path = xasprintf("%s/%s", issuer, name);
		log_err(path, &err);
		err_tally_add(&l->tally, err.code);
	} else {
		path = xasprintf("%s/%s", store_location(l->store), folder);
		if (shared.json)
			print_json(l, &c, path);
		else
			add_certificate(l, &c, path);
		err_tally_add(&l->tally, ERR_NONE);
		certificate_release(&c);
	}
	free(path);
}

static int
list_all(struct list *l, struct err *err)
{
	struct strings folders = {.v = NULL};
	int rc = certificate_list(l->store, &folders, err);

	for (size_t i = 0; i < folders.n && rc == 0; i++) {
		char *slash = strchr(folders.v[i], '/');

		if (slash == NULL)
			continue;
		*slash = '\0';
		if (is_wanted(l, slash + 1))
			list_one(l, folders.v[i], slash + 1);
	}
	strings_release(&folders);
	return rc;
}

static void
report_missing(struct list *l)
{
	for (size_t i = 0; i < l->n_wanted; i++) {
		if (l->wanted[i].found)
			continue;
		log_error(l->wanted[i].operand, "no such certificate");
		err_tally_add(&l->tally, ERR_ABSENT);
	}
}

/* A store that is not there is one without certificates. */
static int
list_store(struct list *l, struct err *err)
{
	struct err why = ERR_INIT;

	l->store = store_open(shared.settings.dir, false, &why);
	if (l->store == NULL && why.code != ERR_ABSENT) {
		*err = why;
		return -1;
	}
	if (l->store == NULL)
		log_info(NULL, "%s", why.text);
	else if (list_all(l, err) == -1)
		return -1;
	report_missing(l);
	if (!shared.json)
		(isatty(STDOUT_FILENO) ? print_for_people : print_for_programs)(
		    l);
	return 0;
}

static void
list_release(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		strings_release(&l->rows[i]);
	free(l->rows);
	free(l->wanted);
	store_close(l->store);
}

static int
list(int n, char *const operands[])
{
	struct list l = {.now = time(NULL), .n_wanted = (size_t)n};
	struct err err = ERR_INIT;
	int status;

	l.wanted = xcalloc(l.n_wanted + 1, sizeof(*l.wanted));
	for (size_t i = 0; i < l.n_wanted; i++)
		if (want(&l.wanted[i], operands[i], &err) == -1) {
			status = cmd_usage("%s", err.text);
			goto out;
		}
	status = list_store(&l, &err) == -1 ? cmd_fail(NULL, &err) :
	                                      (int)err_tally_result(&l.tally);
out:
	list_release(&l);
	return status;
}

int
main(int argc, char **argv)
{
	int first = cmd_start(&cmd, argc, argv), status;

	if (!settings_only)
		status = list(argc - first, argv + first);
	else if (first < argc)
		status = cmd_usage("--settings takes no names");
	else
		status = print_settings();
	return cmd_finish(status);
}
