#include <config.h>

#include "cmd/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "cmd/pomerium.h"
#include "cmd/yaml.h"
#include "pki/cert.h"

enum {
	SECRET_SIZE = 16 * 1024,
	TRUST_SIZE = 1024 * 1024,
	KEY_MAX = 64,
	TIMEOUT_MAX_S = 24 * 60 * 60
};

static const char default_file[] = "/etc/autocert/config.yaml";
static const char default_hooks[] = "/etc/autocert/deploy.d";
static const char default_timeout[] = "120";
static const char production[] =
    "https://acme-v02.api.letsencrypt.org/directory";
static const char staging[] =
    "https://acme-staging-v02.api.letsencrypt.org/directory";

enum row {
	AUTOCERT,
	CA,
	EMAIL,
	USE_STAGING,
	EAB_KEY_ID,
	EAB_MAC_KEY,
	MUST_STAPLE,
	DIR,
	TRUSTED_CA,
	TRUSTED_CA_FILE,
	TRUSTED_CA_ONLY,
	HOSTS,
	CERTIFICATES,
	CERTIFICATE_DIRS,
	ORDER_COVERED,
	DEPLOY_HOOKS,
	HOOK_TIMEOUT,
	ROWS
};

enum kind {
	SWITCH, /* its text is "true" or "false" */
	TEXT,
	TRIMMED, /* blanks around it do not belong to it */
	FOLDED,  /* base64, perhaps over several lines */
	WORDS,   /* in the file also a list */
	ENTRIES, /* in the file only, and read by cmd/managed */
	SECRET
};

static int check_ca(struct settings *s, struct err *err);
static int check_email(struct settings *s, struct err *err);
static int check_eab(struct settings *s, struct err *err);
static int check_dir(struct settings *s, struct err *err);
static int check_trust(struct settings *s, struct err *err);
static int check_timeout(struct settings *s, struct err *err);

/* The variable is the key in upper case; every default is "" or "false". */
static const struct setting {
	const char *key;
	enum kind kind;
	int (*check)(struct settings *s, struct err *err);
} table[ROWS] = {
    [AUTOCERT] = {"autocert", SWITCH, NULL},
    [CA] = {"autocert_ca", TEXT, check_ca},
    [EMAIL] = {"autocert_email", TRIMMED, check_email},
    [USE_STAGING] = {"autocert_use_staging", SWITCH, NULL},
    [EAB_KEY_ID] = {"autocert_eab_key_id", TEXT, NULL},
    [EAB_MAC_KEY] = {"autocert_eab_mac_key", SECRET, check_eab},
    [MUST_STAPLE] = {"autocert_must_staple", SWITCH, NULL},
    [DIR] = {"autocert_dir", TEXT, check_dir},
    [TRUSTED_CA] = {"autocert_trusted_ca", FOLDED, check_trust},
    [TRUSTED_CA_FILE] = {"autocert_trusted_ca_file", TEXT, NULL},
    [TRUSTED_CA_ONLY] = {"autocert_trusted_ca_only", SWITCH, NULL},
    [HOSTS] = {"autocert_hosts", WORDS, NULL},
    [CERTIFICATES] = {"autocert_certificates", ENTRIES, NULL},
    [CERTIFICATE_DIRS] = {"autocert_certificate_dirs", WORDS, NULL},
    [ORDER_COVERED] = {"autocert_order_covered_names", SWITCH, NULL},
    [DEPLOY_HOOKS] = {"autocert_deploy_hooks", TEXT, NULL},
    [HOOK_TIMEOUT] = {"autocert_hook_timeout", TEXT, check_timeout},
};

#define ON(row) (SETTINGS_OPT + 2 * (int)(row))
#define OFF(row) (ON(row) + 1)

static const struct option options[] = {
    {"ca", required_argument, NULL, ON(CA)},
    {"dir", required_argument, NULL, ON(DIR)},
    {"eab-key-id", required_argument, NULL, ON(EAB_KEY_ID)},
    {"eab-mac-key-file", required_argument, NULL, ON(EAB_MAC_KEY)},
    {"email", required_argument, NULL, ON(EMAIL)},
    {"must-staple", no_argument, NULL, ON(MUST_STAPLE)},
    {"no-must-staple", no_argument, NULL, OFF(MUST_STAPLE)},
    {"no-staging", no_argument, NULL, OFF(USE_STAGING)},
    {"no-trusted-ca-only", no_argument, NULL, OFF(TRUSTED_CA_ONLY)},
    {"staging", no_argument, NULL, ON(USE_STAGING)},
    {"trusted-ca", required_argument, NULL, ON(TRUSTED_CA)},
    {"trusted-ca-file", required_argument, NULL, ON(TRUSTED_CA_FILE)},
    {"trusted-ca-only", no_argument, NULL, ON(TRUSTED_CA_ONLY)},
};

const struct option *
settings_options(size_t *n)
{
	*n = sizeof(options) / sizeof(options[0]);
	return options;
}

/* -- values -- */

void
settings_init(struct settings *s)
{
	*s = (struct settings){.eab_mac = BUF_SECRET};
	s->values = xcalloc(ROWS, sizeof(*s->values));
	for (size_t i = 0; i < ROWS; i++)
		s->values[i].text = xstrdup(
		    table[i].kind == SWITCH ? "false" : "");
}

void
settings_release(struct settings *s)
{
	if (s->values == NULL)
		return;
	for (size_t i = 0; i < ROWS; i++)
		secret_free(s->values[i].text);
	free(s->values);
	buf_release(&s->eab_mac);
	buf_release(&s->trusted_ca);
	*s = (struct settings){.values = NULL};
}

static void
offer(struct settings *s, size_t row, const char *text, enum origin origin)
{
	struct settings_value *v = &s->values[row];

	if (origin < v->origin)
		return;
	secret_free(v->text);
	v->text = xstrdup(text);
	v->origin = origin;
}

static const char *
text_of(const struct settings *s, enum row row)
{
	return s->values[row].text;
}

static bool
is_on(const struct settings *s, enum row row)
{
	return strcmp(text_of(s, row), "true") == 0;
}

/* What was resolved is what is printed, and still comes from where it came. */
static const char *
resolve(struct settings *s, enum row row, char *takes)
{
	secret_free(s->values[row].text);
	s->values[row].text = takes;
	return takes;
}

/* Puts before err where the row's value was given. */
static int
blame(const struct settings *s, size_t row, struct err *err)
{
	static const char *const sources[] = {[FROM_CREDENTIAL] = "credential",
	    [FROM_ENVIRONMENT] = "environment",
	    [FROM_FLAG] = "command line"};
	const struct settings_value *v = &s->values[row];

	if (v->origin == FROM_DEFAULT)
		return -1;
	if (v->origin == FROM_FILE)
		return err_wrap(err, "%s:%u", s->config_file, v->line);
	return err_wrap(err, "%s", sources[v->origin]);
}

/* Go's words for a boolean, as strconv.ParseBool() takes them: "true",
 * "false", or NULL. */
static const char *
go_bool(const char *text)
{
	static const char *const yes[] = {
	    "1", "t", "T", "true", "True", "TRUE"};
	static const char *const no[] = {
	    "0", "f", "F", "false", "False", "FALSE"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (strcmp(text, yes[i]) == 0)
			return "true";
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (strcmp(text, no[i]) == 0)
			return "false";
	return NULL;
}

/* YAML's words unquoted, and, because Pomerium converts what is left, Go's. */
static const char *
file_bool(const struct yaml *value)
{
	bool on;

	if (yaml_bool(value, &on) == 0)
		return on ? "true" : "false";
	return go_bool(value->text);
}

/* -- flags -- */

/* A secret alone in a file, with or without a newline behind it. */
static int
read_secret(const char *path, int flags, struct buf *out, struct err *err)
{
	if (file_read(AT_FDCWD, path, SECRET_SIZE, flags, out, err) == -1)
		return -1;
	if (strlen(buf_str(out)) != out->len)
		return err_set(err, ERR_DATA, "%s: a NUL in a text", path);
	if (out->len > 0 && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0';
	if (out->len > 0 && out->data[out->len - 1] == '\r')
		out->data[--out->len] = '\0';
	return 0;
}

static int
flag_secret(struct settings *s, size_t row, const char *path, struct err *err)
{
	struct buf text = BUF_SECRET;
	int rc = read_secret(path, FILE_FOLLOW | FILE_PRIVATE, &text, err);

	if (rc == 0)
		offer(s, row, buf_str(&text), FROM_FLAG);
	buf_release(&text);
	return rc;
}

int
settings_flag(struct settings *s, int val, const char *arg, struct err *err)
{
	size_t row;

	if (val < SETTINGS_OPT || val > OFF(ROWS - 1))
		return err_bug(err, "settings: no flag %d", val);
	row = (size_t)(val - SETTINGS_OPT) / 2;
	if (table[row].kind == SECRET)
		return flag_secret(s, row, arg, err);
	if (table[row].kind == SWITCH)
		arg = val == ON(row) ? "true" : "false";
	if (*arg == '\0' && (row == TRUSTED_CA || row == TRUSTED_CA_FILE))
		/* An unset variable must not mean the system's roots. */
		return err_set(
		    err, ERR_CONFIG, "command line: %s: empty", table[row].key);
	offer(s, row, arg, FROM_FLAG);
	return 0;
}

/* -- environment -- */

/* The only one in the tree; a variable that is empty counts as unset. */
char *
settings_variable(const char *name)
{
	char *value = getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

/* So that no program run by this one inherits it, nor /proc shows it. */
void
settings_forget(const char *name, char *value)
{
	explicit_bzero(value, strlen(value));
	unsetenv(name);
}

static char
upper(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	return c;
}

static int
take_variable(struct settings *s, size_t row, struct err *err)
{
	const char *key = table[row].key, *text;
	char name[KEY_MAX] = "";
	char *value;

	if (table[row].kind == ENTRIES)
		return 0;
	for (size_t i = 0; i < KEY_MAX - 1 && key[i] != '\0'; i++)
		name[i] = upper(key[i]);
	value = settings_variable(name);
	if (value == NULL)
		return 0;
	text = table[row].kind == SWITCH ? go_bool(value) : value;
	if (text == NULL)
		return err_set(err, ERR_CONFIG,
		    "environment: %s: neither true nor false: %s", name, value);
	offer(s, row, text, FROM_ENVIRONMENT);
	if (table[row].kind == SECRET && !s->keep_variables)
		settings_forget(name, value);
	return 0;
}

static int
take_environment(struct settings *s, struct err *err)
{
	for (size_t i = 0; i < ROWS; i++)
		if (take_variable(s, i, err) == -1)
			return -1;
	return 0;
}

/* systemd's LoadCredential=; the modes there are systemd's business. */
static int
take_credential(struct settings *s, struct err *err)
{
	const char *dir = settings_variable("CREDENTIALS_DIRECTORY");
	struct buf text = BUF_SECRET;
	struct err why = ERR_INIT;
	char *path;
	int rc = 0;

	if (dir == NULL)
		return 0;
	path = xasprintf("%s/%s", dir, table[EAB_MAC_KEY].key);
	if (read_secret(path, FILE_FOLLOW, &text, &why) == 0) {
		offer(s, EAB_MAC_KEY, buf_str(&text), FROM_CREDENTIAL);
	} else if (why.code != ERR_ABSENT) {
		*err = why;
		rc = err_wrap(err, "credential");
	}
	buf_release(&text);
	free(path);
	return rc;
}

/* -- file -- */

/* A list's words with blanks between them. NULL: it holds something else. */
static char *
words_of(const struct yaml *list)
{
	struct buf text = BUF_INIT;
	char *out = NULL;
	size_t i;

	for (i = 0; i < list->n && list->v[i]->type == YAML_SCALAR; i++)
		buf_printf(&text, "%s%s", i ? " " : "", list->v[i]->text);
	if (i == list->n)
		out = xstrdup(buf_str(&text));
	buf_release(&text);
	return out;
}

/* The text of a value of the file; NULL when it is of the wrong kind. */
static char *
file_text(size_t row, const struct yaml *value)
{
	const char *text;

	if (table[row].kind == ENTRIES)
		return value->type != YAML_LIST ? NULL :
		                                  xasprintf("(%zu)", value->n);
	if (table[row].kind == WORDS && value->type == YAML_LIST)
		return words_of(value);
	if (value->type != YAML_SCALAR)
		return NULL;
	text = table[row].kind == SWITCH ? file_bool(value) : value->text;
	return text == NULL ? NULL : xstrdup(text);
}

static int
wrong_kind(size_t row, const struct yaml *value, struct err *err)
{
	if (table[row].kind == ENTRIES || table[row].kind == WORDS)
		return err_set(
		    err, ERR_CONFIG, "%s: a list is wanted", table[row].key);
	if (value->type != YAML_SCALAR)
		return err_set(err, ERR_CONFIG, "%s: a single value is wanted",
		    table[row].key);
	return err_set(err, ERR_CONFIG, "%s: neither true nor false: %s",
	    table[row].key, value->text);
}

static int
take_key(void *arg, const char *key, const struct yaml *value, unsigned line,
    struct err *err)
{
	struct settings *s = arg;
	size_t row = 0;
	char *text;

	while (row < ROWS && strcmp(key, table[row].key) != 0)
		row++;
	if (row == ROWS)
		return err_set(err, ERR_CONFIG, "%s: no such setting", key);
	if (s->values[row].line != 0)
		return err_set(err, ERR_CONFIG,
		    "%s is given twice: in line %u "
		    "before",
		    key, s->values[row].line);
	s->values[row].line = line;
	if (value->type == YAML_SCALAR && yaml_is_null(value))
		return 0;
	text = file_text(row, value);
	if (text == NULL)
		return wrong_kind(row, value, err);
	offer(s, row, text, FROM_FILE);
	secret_free(text);
	return 0;
}

static int
read_file(struct settings *s, struct err *err)
{
	struct yaml *root = pomerium_open(s->config_file, err);
	int rc = root == NULL ?
	    -1 :
	    pomerium_keys(s->config_file, root, take_key, s, err);

	yaml_tree_free(root);
	return rc;
}

/* A secret in a file for all to read is worth a word, but works. */
static void
warn_of_mode(const struct settings *s)
{
	struct stat st;

	if (s->values[EAB_MAC_KEY].origin == FROM_FILE &&
	    stat(s->config_file, &st) == 0 && (st.st_mode & S_IROTH) != 0)
		log_warn(s->config_file, "holds %s and everybody may read it",
		    table[EAB_MAC_KEY].key);
}

static int
take_file(struct settings *s, struct err *err)
{
	struct err why = ERR_INIT;
	bool named = true;

	if (s->config_file == NULL)
		s->config_file = settings_variable("AUTOCERT_CONFIG");
	if (s->config_file == NULL) {
		s->config_file = default_file;
		named = false;
	} else if (*s->config_file == '\0') {
		s->config_file = NULL;
		return 0;
	}
	if (read_file(s, &why) == 0) {
		warn_of_mode(s);
		return 0;
	}
	if (named || why.code != ERR_ABSENT) {
		*err = why;
		return -1;
	}
	s->config_file = NULL;
	return 0;
}

/* -- checks -- */

/* A value reaches paths, headers and the terminal: no controls, C1 in UTF-8
 * included. */
static bool
has_control(const char *text, const char *but)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if ((*p < 0x20 || *p == 0x7f) && strchr(but, *p) == NULL)
			return true;
		if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			return true;
	}
	return false;
}

static char *
without_blanks_around(const char *text)
{
	static const char blanks[] = " \t\n\v\f\r";
	size_t n;

	text += strspn(text, blanks);
	n = strlen(text);
	while (n > 0 && strchr(blanks, text[n - 1]) != NULL)
		n--;
	return xstrndup(text, n);
}

static int
check_text(struct settings *s, enum row row, struct err *err)
{
	const char *but = table[row].kind == FOLDED ? "\t\n\r" : "";

	if (table[row].kind == TRIMMED)
		resolve(s, row, without_blanks_around(text_of(s, row)));
	if (!has_control(text_of(s, row), but))
		return 0;
	err_set(err, ERR_CONFIG, "%s: a line break or control character",
	    table[row].key);
	return blame(s, row, err);
}

static int
check_ca(struct settings *s, struct err *err)
{
	const char *given = text_of(s, CA);

	if (*given != '\0' && s->values[USE_STAGING].origin == FROM_FLAG &&
	    s->use_staging)
		log_warn(NULL, "--staging changes nothing: %s is set to %s",
		    table[CA].key, given);
	if (*given == '\0')
		s->ca = resolve(
		    s, CA, xstrdup(s->use_staging ? staging : production));
	else if (strstr(given, "://") == NULL)
		s->ca = resolve(s, CA, xasprintf("https://%s", given));
	else
		s->ca = given;
	if (url_check_acme(table[CA].key, s->ca, err) == 0)
		return 0;
	err->code = ERR_CONFIG;
	return blame(s, CA, err);
}

static int
check_email(struct settings *s, struct err *err)
{
	(void)err;
	for (char *p = s->values[EMAIL].text; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	s->email = text_of(s, EMAIL);
	return 0;
}

static int
check_eab(struct settings *s, struct err *err)
{
	const char *id = text_of(s, EAB_KEY_ID), *mac = text_of(s, EAB_MAC_KEY);

	if (*id == '\0' && *mac == '\0')
		return 0;
	if (*mac == '\0')
		return err_set(err, ERR_CONFIG,
		    "Autocert EAB MAC Key required when Key ID is provided");
	if (*id == '\0')
		return err_set(err, ERR_CONFIG,
		    "Autocert EAB Key ID required when MAC Key is provided");
	if (b64url_decode(mac, strlen(mac), &s->eab_mac) == -1) {
		err_set(err, ERR_CONFIG,
		    "decoding base64-urlencoded MAC Key: "
		    "it must be base64url without padding");
		return blame(s, EAB_MAC_KEY, err);
	}
	s->eab_key_id = id;
	resolve(s, EAB_MAC_KEY, xstrdup("(set)"));
	return 0;
}

/* A URL names a storage provider, as in Pomerium. */
static int
check_dir_url(const char *dir, size_t scheme, struct err *err)
{
	static const char *const known[] = {"s3", "gs"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i]) == scheme &&
		    strncmp(dir, known[i], scheme) == 0)
			return err_set(err, ERR_CONFIG,
			    "%s: storage provider "
			    "%s: not built into this version",
			    table[DIR].key, known[i]);
	return err_set(err, ERR_CONFIG, "%s: unknown storage provider: %.*s",
	    table[DIR].key, (int)scheme, dir);
}

/* Pomerium's own folder, so that both find the same certificates. */
static char *
default_dir(void)
{
	const char *data = settings_variable("XDG_DATA_HOME"),
	           *home = settings_variable("HOME");

	if (data != NULL)
		return xasprintf("%s/pomerium/autocert", data);
	if (home != NULL)
		return xasprintf("%s/.local/share/pomerium/autocert", home);
	return xstrdup("/var/tmp/pomerium/data/autocert");
}

static int
check_dir(struct settings *s, struct err *err)
{
	const char *colon = strstr(text_of(s, DIR), "://");

	s->dir = text_of(s, DIR);
	if (colon != NULL) {
		check_dir_url(s->dir, (size_t)(colon - s->dir), err);
		return blame(s, DIR, err);
	}
	if (*s->dir == '\0')
		s->dir = resolve(s, DIR, default_dir());
	return check_text(s, DIR, err);
}

static int
check_timeout(struct settings *s, struct err *err)
{
	long seconds;

	if (*text_of(s, HOOK_TIMEOUT) == '\0')
		resolve(s, HOOK_TIMEOUT, xstrdup(default_timeout));
	if (settings_number(
	        text_of(s, HOOK_TIMEOUT), 1, TIMEOUT_MAX_S, &seconds) == 0) {
		s->hook_timeout_ms = 1000 * seconds;
		return 0;
	}
	err_set(err, ERR_CONFIG, "%s: not a number of seconds from 1 to %d: %s",
	    table[HOOK_TIMEOUT].key, TIMEOUT_MAX_S, text_of(s, HOOK_TIMEOUT));
	return blame(s, HOOK_TIMEOUT, err);
}

static char *
without_blanks(const char *text)
{
	char *out = xstrdup(text), *to = out;

	for (; *text != '\0'; text++)
		if (strchr(" \t\r\n", *text) == NULL)
			*to++ = *text;
	*to = '\0';
	return out;
}

static int
trust_text(struct settings *s, struct err *err)
{
	const char *text = resolve(
	    s, TRUSTED_CA, without_blanks(text_of(s, TRUSTED_CA)));
	size_t n;

	if (b64_decode(text, strlen(text), &s->trusted_ca) == -1)
		err_set(err, ERR_CONFIG, "it must be base64 of PEM");
	else if (cert_trust_check(table[TRUSTED_CA].key, s->trusted_ca.data,
	             s->trusted_ca.len, &n, err) == 0)
		return 0;
	err_wrap(err, "decoding trusted certificate pool base64");
	return blame(s, TRUSTED_CA, err);
}

static int
trust_file(struct settings *s, struct err *err)
{
	const char *path = text_of(s, TRUSTED_CA_FILE);
	size_t n;

	if (file_read(AT_FDCWD, path, TRUST_SIZE, FILE_FOLLOW, &s->trusted_ca,
	        err) == 0 &&
	    cert_trust_check(
	        path, s->trusted_ca.data, s->trusted_ca.len, &n, err) == 0)
		return 0;
	err->code = ERR_CONFIG;
	err_wrap(err, "bad trusted certificate (bundle) file");
	return blame(s, TRUSTED_CA_FILE, err);
}

/* A trust input that cannot be used must never widen what is trusted. */
static int
check_trust(struct settings *s, struct err *err)
{
	bool text = *text_of(s, TRUSTED_CA) != '\0';
	bool file = *text_of(s, TRUSTED_CA_FILE) != '\0';

	if (text && file)
		return err_set(err, ERR_CONFIG,
		    "providing both Autocert "
		    "Trusted CA and Trusted CA File is not supported");
	if (text)
		return trust_text(s, err);
	if (file)
		return trust_file(s, err);
	if (!s->trusted_ca_only)
		return 0;
	err_set(err, ERR_CONFIG,
	    "%s: there is no trusted CA that could be "
	    "used alone",
	    table[TRUSTED_CA_ONLY].key);
	return blame(s, TRUSTED_CA_ONLY, err);
}

int
settings_load(struct settings *s, struct err *err)
{
	if (take_environment(s, err) == -1 || take_credential(s, err) == -1 ||
	    take_file(s, err) == -1)
		return -1;
	s->autocert = is_on(s, AUTOCERT);
	s->use_staging = is_on(s, USE_STAGING);
	s->must_staple = is_on(s, MUST_STAPLE);
	s->trusted_ca_only = is_on(s, TRUSTED_CA_ONLY);
	s->order_covered = is_on(s, ORDER_COVERED);
	if (*text_of(s, DEPLOY_HOOKS) == '\0')
		resolve(s, DEPLOY_HOOKS, xstrdup(default_hooks));
	for (enum row i = 0; i < ROWS; i++)
		if (check_text(s, i, err) == -1)
			return -1;
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].check != NULL && table[i].check(s, err) == -1)
			return -1;
	s->hosts = text_of(s, HOSTS);
	s->certificate_dirs = text_of(s, CERTIFICATE_DIRS);
	s->deploy_hooks = text_of(s, DEPLOY_HOOKS);
	return 0;
}

/* -- printing -- */

static const char *const origins[] = {[FROM_DEFAULT] = "default",
    [FROM_FILE] = "file",
    [FROM_CREDENTIAL] = "credential",
    [FROM_ENVIRONMENT] = "environment",
    [FROM_FLAG] = "flag"};

void
settings_print(const struct settings *s, struct buf *out)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct settings_value *v = &s->values[i];

		buf_printf(out, "%s\t%s\t%s", table[i].key, v->text,
		    origins[v->origin]);
		if (v->origin == FROM_FILE)
			buf_printf(out, " %s:%u", s->config_file, v->line);
		buf_puts(out, "\n");
	}
}

void
settings_print_json(const struct settings *s, struct buf *out)
{
	struct json *all = json_new_object();

	for (size_t i = 0; i < ROWS; i++) {
		const struct settings_value *v = &s->values[i];
		struct json *one = json_new_object();

		if (table[i].kind == SWITCH)
			json_add_bool(one, "value", is_on(s, (enum row)i));
		else
			json_add_string(one, "value", v->text);
		json_add_string(one, "origin", origins[v->origin]);
		if (v->origin == FROM_FILE) {
			json_add_string(one, "file", s->config_file);
			json_add_int(one, "line", v->line);
		}
		json_add(all, table[i].key, one);
	}
	json_print(all, JSON_COMPACT, out);
	json_free(all);
}

/* -- what the programs tell each other -- */

int
settings_number(const char *text, long min, long max, long *out)
{
	size_t digits = strspn(text, "0123456789");
	long n;

	if (digits == 0 || text[digits] != '\0')
		return -1;
	errno = 0;
	n = strtol(text, NULL, 10);
	if (errno != 0 || n < min || n > max)
		return -1;
	*out = n;
	return 0;
}

int
settings_responder_fd(void)
{
	const char *text = settings_variable("AUTOCERT_RESPONDER_FD");
	struct stat st;
	int flags;
	long fd;

	if (text == NULL || settings_number(text, 3, INT_MAX, &fd) == -1 ||
	    fstat((int)fd, &st) == -1 ||
	    (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)))
		return -1;
	flags = fcntl((int)fd, F_GETFL);
	if (flags == -1 || (flags & O_ACCMODE) == O_WRONLY)
		return -1;
	return (int)fd;
}
