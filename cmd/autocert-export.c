#include <config.h>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/name.h"
#include "cmd/cmd.h"
#include "pki/idna.h"
#include "pki/pkcs12.h"
#include "run/export.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/store.h"

enum { FILES_MAX = 64, PASSWORD_FILE_MAX = 4096, ID_MAX = 0x7ffffffe };

/* -- options -- */

/* Those of the forms are the form's number and one. */
enum {
	OPT_ALL = EXPORT_FORMS + 1,
	OPT_KEY_MODE,
	OPT_MODE,
	OPT_ON_CHANGE,
	OPT_OWNER,
	OPT_PASSWORD_FILE,
	OPT_TO
};

static struct {
	bool all, have_mode, have_key_mode;
	const char *password_file;
	struct export_file files[FILES_MAX];
	struct export export;
} opt = {
    .export = {.open = {.mode = 0644, .gid = (gid_t)-1},
        .with_key = {.mode = 0600, .gid = (gid_t)-1}},
};

/* The working folder's, as it is now; kept for good. */
static const char *
absolute(const char *path)
{
	static char *folder;

	if (*path == '/')
		return path;
	if (!folder)
		folder = getcwd(NULL, 0);
	return xasprintf("%s/%s", folder ? folder : ".", path);
}

static int
take_file(enum export_form form, const char *arg, struct err *err)
{
	struct export *e = &opt.export;

	if (e->n_files == FILES_MAX)
		return err_set(err, ERR_USAGE, "more than %d files", FILES_MAX);
	opt.files[e->n_files].form = form;
	opt.files[e->n_files++].path = absolute(arg);
	e->files = opt.files;
	return 0;
}

/* max: what it may be at most, bit by bit. */
static int
take_mode(const char *option, const char *arg, mode_t max, mode_t *out,
    struct err *err)
{
	mode_t mode = 0;
	size_t len = strlen(arg);

	for (const char *p = arg; *p >= '0' && *p <= '7'; p++)
		mode = mode << 3 | (mode_t)(*p - '0');
	if (len < 3 || len > 4 || strspn(arg, "01234567") != len)
		return err_set(err, ERR_USAGE,
		    "%s %s: three or four octal "
		    "digits are wanted",
		    option, arg);
	if (mode & ~max || !(mode & 0400))
		return err_set(err, ERR_USAGE,
		    "%s %s: at most %04o and at "
		    "least 0400",
		    option, arg, (unsigned int)max);
	*out = mode;
	return 0;
}

/* Also a number that no name belongs to, as in chown(1). */
static int
take_user(const char *text, struct err *err)
{
	const struct passwd *user = getpwnam(text);
	long id;

	if (user)
		id = (long)user->pw_uid;
	else if (settings_number(text, 0, ID_MAX, &id) == -1)
		return err_set(
		    err, ERR_USAGE, "--owner: no such user: %s", text);
	opt.export.open.uid = opt.export.with_key.uid = (uid_t)id;
	return 0;
}

static int
take_group(const char *text, struct err *err)
{
	const struct group *group = getgrnam(text);
	long id;

	if (group)
		id = (long)group->gr_gid;
	else if (settings_number(text, 0, ID_MAX, &id) == -1)
		return err_set(
		    err, ERR_USAGE, "--owner: no such group: %s", text);
	opt.export.open.gid = opt.export.with_key.gid = (gid_t)id;
	return 0;
}

static int
take_owner(const char *arg, struct err *err)
{
	const char *colon = strchr(arg, ':');
	char *user = xstrndup(arg, colon ? (size_t)(colon - arg) : strlen(arg));
	int rc = 0;

	if (!*user && (!colon || !colon[1]))
		rc = err_set(err, ERR_USAGE, "--owner: neither user nor group");
	if (rc == 0 && *user)
		rc = take_user(user, err);
	if (rc == 0 && colon && colon[1])
		rc = take_group(colon + 1, err);
	free(user);
	return rc;
}

static int
take_program(const char *arg, struct err *err)
{
	opt.export.on_change = arg;
	if (*arg == '/')
		return 0;
	return err_set(
	    err, ERR_USAGE, "--on-change %s: an absolute path is wanted", arg);
}

static int
take_option(int val, const char *arg, struct err *err)
{
	switch (val) {
	case OPT_ALL:
		opt.all = true;
		return 0;
	case OPT_KEY_MODE:
		opt.have_key_mode = true;
		return take_mode(
		    "--key-mode", arg, 0640, &opt.export.with_key.mode, err);
	case OPT_MODE:
		opt.have_mode = true;
		return take_mode(
		    "--mode", arg, 0644, &opt.export.open.mode, err);
	case OPT_ON_CHANGE:
		return take_program(arg, err);
	case OPT_OWNER:
		return take_owner(arg, err);
	case OPT_PASSWORD_FILE:
		opt.password_file = arg;
		return 0;
	case OPT_TO:
		opt.export.to = absolute(arg);
		return 0;
	default:
		return take_file((enum export_form)(val - 1), arg, err);
	}
}

#define FORM(name, form)                                                       \
	{                                                                      \
		name, required_argument, NULL, (form) + 1                      \
	}

static const struct option options[] = {
    {"all", no_argument, NULL, OPT_ALL},
    FORM("cert", EXPORT_CERT),
    FORM("chain", EXPORT_CHAIN),
    FORM("combined", EXPORT_COMBINED),
    FORM("fullchain", EXPORT_FULLCHAIN),
    FORM("key", EXPORT_KEY),
    FORM("pkcs12", EXPORT_PKCS12),
    {"key-mode", required_argument, NULL, OPT_KEY_MODE},
    {"mode", required_argument, NULL, OPT_MODE},
    {"on-change", required_argument, NULL, OPT_ON_CHANGE},
    {"owner", required_argument, NULL, OPT_OWNER},
    {"pkcs12-password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"to", required_argument, NULL, OPT_TO},
    {NULL, 0, NULL, 0},
};

static const struct cmd cmd = {.name = "autocert-export",
    .usage = "autocert-export [-qv] [-c file] [--ca url] [--cert file] "
             "[--chain file]\n"
             "    [--combined file] [--dir path] [--exit-unchanged n] "
             "[--fullchain file]\n"
             "    [--json] [--key file] [--key-mode mode] [--mode mode]\n"
             "    [--on-change program] [--owner user:group] [--pkcs12 file]\n"
             "    [--pkcs12-password-file file] [--staging] [--to folder]\n"
             "    --all | name ...",
    .options = options,
    .shorts = "",
    .option = take_option};

/* -- what the options say together -- */

static bool
writes(enum export_form form)
{
	for (size_t i = 0; i < opt.export.n_files; i++)
		if (opt.files[i].form == form)
			return true;
	return false;
}

static bool
writes_keys(void)
{
	for (enum export_form form = 0; form < EXPORT_FORMS; form++)
		if (export_form_has_key(form) && writes(form))
			return true;
	return opt.export.to != NULL;
}

static int
check_modes(struct err *err)
{
	struct export *e = &opt.export;

	if (!opt.have_mode || opt.have_key_mode)
		return 0;
	e->with_key.mode = e->open.mode;
	if (e->open.mode & 0004 && writes_keys())
		return err_set(err, ERR_USAGE,
		    "--mode %04o: a file with a key "
		    "can be 0640 at most; give it its own --key-mode",
		    (unsigned int)e->open.mode);
	return 0;
}

static int
check_options(int operands, struct err *err)
{
	if (opt.all && operands > 0)
		return err_set(err, ERR_USAGE, "--all goes without names");
	if (!opt.all && operands == 0)
		return err_set(err, ERR_USAGE, "no name is given");
	if (opt.export.n_files == 0 && !opt.export.to)
		return err_set(err, ERR_USAGE,
		    "nothing is to be written: "
		    "--fullchain, --key, --combined, --to ...");
	if (writes(EXPORT_PKCS12) != (opt.password_file != NULL))
		return err_set(err, ERR_USAGE,
		    "--pkcs12 and "
		    "--pkcs12-password-file go together");
	if (check_modes(err) == -1)
		return -1;
	return export_check(&opt.export, opt.all || operands > 1, err);
}

/* The first line. The password itself lives as long as the program. */
static int
read_password(struct buf *text, struct err *err)
{
	struct err why = ERR_INIT;

	if (!opt.password_file)
		return 0;
	if (file_read(AT_FDCWD, opt.password_file, PASSWORD_FILE_MAX,
	        FILE_FOLLOW | FILE_PRIVATE, text, err) == -1)
		return err_wrap(err, "--pkcs12-password-file");
	if (memchr(buf_str(text), '\0', text->len))
		return err_set(
		    err, ERR_CONFIG, "%s: a NUL byte in it", opt.password_file);
	if (text->len)
		text->data[strcspn(buf_str(text), "\r\n")] = '\0';
	opt.export.password = buf_str(text);
	if (pkcs12_password_check(opt.export.password, &why) == -1)
		return err_set(
		    err, why.code, "%s: %s", opt.password_file, why.text);
	return 0;
}

/* -- results -- */

static void
wrote(void *arg, const char *name, enum export_form form, const char *path)
{
	struct json *o;
	struct buf text = BUF_INIT;

	(void)arg;
	if (!shared.json) {
		printf("%s\n", path);
		return;
	}
	o = json_new_object();
	json_add_string(o, "name", name);
	json_add_string(o, "form", export_form_name(form));
	json_add_string(o, "path", path);
	json_print(o, JSON_COMPACT, &text);
	json_free(o);
	printf("%s\n", buf_str(&text));
	buf_release(&text);
}

/* -- the certificates -- */

/* An operand as the store spells it: a name in any form that an order takes,
 * or the name given to a certificate. */
static int
folder_of(const char *operand, char out[NAME_MAX_LEN + 1], struct err *err)
{
	struct identifier id;
	struct err ignored = ERR_INIT;
	const char *name = operand;

	if (idna_identifier(operand, &id, &ignored) == 0)
		name = id.value;
	if (name_safe(name, out, NAME_MAX_LEN + 1) == 0 && *out)
		return 0;
	return err_set(err, ERR_USAGE, "not a name: %s", operand);
}

static int
list_names(int n, char *const operands[], struct strings *out, struct err *err)
{
	char folder[NAME_MAX_LEN + 1];

	for (int i = 0; i < n; i++) {
		if (folder_of(operands[i], folder, err) == -1)
			return -1;
		if (!strings_have(out, folder))
			strings_add(out, folder);
	}
	return 0;
}

/* Those of our CA. */
static int
list_all(struct strings *out, struct err *err)
{
	struct strings all = {.n = 0};
	size_t len = strlen(opt.export.issuer);
	int rc = certificate_list(opt.export.store, &all, err);

	for (size_t i = 0; rc == 0 && i < all.n; i++)
		if (strncmp(all.v[i], opt.export.issuer, len) == 0 &&
		    all.v[i][len] == '/')
			strings_add(out, all.v[i] + len + 1);
	strings_release(&all);
	return rc;
}

static int
export_all(const struct strings *names, struct err_tally *tally)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < names->n; i++) {
		err_clear(&err);
		if (export_certificate(&opt.export, names->v[i], &err) == -1)
			log_err(names->v[i], &err);
		err_tally_add(tally, err.code);
	}
	fflush(stdout);
	err_clear(&err);
	if (export_finish(&opt.export, &err) == 0)
		return 0;
	/* The files are safe, and more than this is not to be said of them. */
	return cmd_fail(NULL, &err);
}

static int
run(int n, char *const operands[])
{
	struct export *e = &opt.export;
	struct strings names = {.n = 0};
	struct buf password = BUF_SECRET;
	struct err_tally tally = {.ok = 0};
	struct err err = ERR_INIT;
	char issuer[LAYOUT_KEY_MAX];
	int status = 0;

	e->issuer = issuer;
	e->timeout_ms = shared.settings.hook_timeout_ms;
	e->wrote = wrote;
	if (layout_issuer(shared.settings.ca, issuer, &err) == -1 ||
	    read_password(&password, &err) == -1 ||
	    list_names(n, operands, &names, &err) == -1 ||
	    !(e->store = store_open(shared.settings.dir, false, &err)) ||
	    (opt.all && list_all(&names, &err) == -1)) {
		status = cmd_fail(NULL, &err);
		goto out;
	}
	status = export_all(&names, &tally);
	if (tally.failed)
		status = (int)err_tally_result(&tally);
	else if (status == 0 && !export_changed(e))
		status = shared.exit_unchanged;
out:
	export_release(e);
	store_close(e->store);
	strings_release(&names);
	buf_release(&password);
	return status;
}

int
main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int first, status;

	opt.export.open.uid = opt.export.with_key.uid = geteuid();
	first = cmd_start(&cmd, argc, argv);
	if (check_options(argc - first, &err) == -1)
		status = cmd_usage("%s", err.text);
	else
		status = run(argc - first, argv + first);
	return cmd_finish(status);
}
