#include <config.h>

#include "run/export.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/err.h"
#include "base/log.h"
#include "io/hook.h"
#include "pki/cert.h"
#include "pki/key.h"
#include "pki/pkcs12.h"
#include "store/certificate.h"
#include "store/store.h"
#include "tap.h"

#define ISSUER "localhost-14000-dir"
#define NAME "www.example.com"

enum { FILE_CAP = 1024 * 1024, OTHER_ID = 4711, ROUNDS = 60, LINE = 256 };

static char base[PATH_MAX];
static struct store *store;
static struct strings written; /* "FORM NAME" of each file written */

static void
must(bool done, const char *what)
{
	if (done)
		return;
	perror(what);
	exit(99);
}

/* -- certificates in the store -------------------------------------------- */

/* A key and its certificate, signed by itself. */
struct pair {
	struct buf key, leaf;
};

static void
make_pair(struct pair *p, unsigned char serial)
{
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem;

	*p = (struct pair){.key = BUF_SECRET};
	must(key && key_save(key, &p->key, &err) == 0, "key");
	must(gnutls_x509_crt_init(&crt) == 0 &&
	        gnutls_x509_crt_set_version(crt, 3) == 0 &&
	        gnutls_x509_crt_set_serial(crt, &serial, 1) == 0 &&
	        gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600) ==
	            0 &&
	        gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600) ==
	            0 &&
	        gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
	            NAME, sizeof(NAME) - 1, GNUTLS_FSAN_SET) == 0 &&
	        gnutls_x509_crt_set_key(crt, key_handle(key)) == 0 &&
	        gnutls_x509_crt_sign2(
	            crt, crt, key_handle(key), GNUTLS_DIG_SHA256, 0) == 0 &&
	        gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0,
	    "certificate");
	buf_put(&p->leaf, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	key_free(key);
}

static void
pair_release(struct pair *p)
{
	buf_release(&p->key);
	buf_release(&p->leaf);
}

/* Of the pair's key and a chain of any text. */
static void
commit_text(const char *name, const struct pair *p, const char *chain)
{
	static int serial;
	char *url = xasprintf("https://localhost/c/%d", serial++);
	struct identifier id;
	struct err err = ERR_INIT;
	struct certificate_new c = {.issuer = ISSUER,
	    .name = name,
	    .names = &id,
	    .n_names = 1,
	    .chain = chain,
	    .chain_len = strlen(chain),
	    .key = p->key.data,
	    .key_len = p->key.len,
	    .url = url,
	    .ca = "https://localhost/d",
	    .account = "https://localhost/a"};

	must(identifier_parse(NAME, &id, &err) == 0 &&
	        certificate_commit(store, &c, &err) == 0,
	    err.text);
	free(url);
}

/* The leaf, and as its issuer the other's. */
static char *
chain_of(const struct pair *p, const struct pair *issuer)
{
	return xasprintf("%s%s", buf_str(&p->leaf), buf_str(&issuer->leaf));
}

static void
commit(const char *name, const struct pair *p, const struct pair *issuer)
{
	char *chain = chain_of(p, issuer);

	commit_text(name, p, chain);
	free(chain);
}

/* -- files ---------------------------------------------------------------- */

static char *
in_base(const char *name)
{
	return xasprintf("%s/%s", base, name);
}

static bool
exists(const char *name)
{
	char *path = in_base(name);
	struct stat st;
	bool yes = lstat(path, &st) == 0;

	free(path);
	return yes;
}

static void
slurp(const char *name, struct buf *out)
{
	char *path = in_base(name);
	struct err err = ERR_INIT;

	buf_clear(out);
	if (file_read(AT_FDCWD, path, FILE_CAP, 0, out, &err) == -1)
		buf_puts(out, err.text);
	free(path);
}

static void
put(const char *name, const char *text, mode_t mode)
{
	char *path = in_base(name);
	struct err err = ERR_INIT;

	must(file_write(AT_FDCWD, path, text, strlen(text), mode, FILE_REPLACE,
	         &err) == 0,
	    err.text);
	free(path);
}

static void
zap(const char *name)
{
	char *path = in_base(name);
	struct err err = ERR_INIT;

	must(file_remove(AT_FDCWD, path, &err) == 0, err.text);
	free(path);
}

static void
holds(const char *name, const char *want, const char *what)
{
	struct buf text = BUF_INIT;

	slurp(name, &text);
	is(buf_str(&text), want, "%s", what);
	buf_release(&text);
}

static struct stat
stat_of(const char *name)
{
	char *path = in_base(name);
	struct stat st = {.st_mode = 0};

	if (lstat(path, &st) == -1)
		diag("%s is not there", path);
	free(path);
	return st;
}

static void
is_mode(const char *name, unsigned int mode)
{
	is_int(
	    stat_of(name).st_mode & 07777, mode, "%s: mode %04o", name, mode);
}

/* -- exporting ------------------------------------------------------------ */

static void
wrote(void *arg, const char *name, enum export_form form, const char *path)
{
	char *line = xasprintf(
	    "%s %s", export_form_name(form), strrchr(path, '/') + 1);

	(void)arg;
	(void)name;
	strings_add(&written, line);
	free(line);
}

/* What was written since last asked. */
static const char *
list_written(void)
{
	static char line[LINE];
	size_t used = 0;

	line[0] = '\0';
	for (size_t i = 0; i < written.n; i++) {
		int n = snprintf(line + used, sizeof(line) - used, "%s%s",
		    i ? ", " : "", written.v[i]);

		used += n > 0 ? (size_t)n : 0;
		must(used < sizeof(line), "too much was written");
	}
	strings_release(&written);
	written = (struct strings){.n = 0};
	return line;
}

static struct export plain(const struct export_file *files, size_t n)
{
	return (struct export){.store = store,
	    .issuer = ISSUER,
	    .files = files,
	    .n_files = n,
	    .open = {0644, geteuid(), (gid_t)-1},
	    .with_key = {0600, geteuid(), (gid_t)-1},
	    .password = "secret",
	    .wrote = wrote};
}

static int
once(const struct export_file *files, size_t n, struct err *err)
{
	struct export e = plain(files, n);
	int rc = export_certificate(&e, NAME, err);

	export_release(&e);
	return rc;
}

/* Every form, and what it says. */
static void
test_forms(const struct pair *p, const struct pair *issuer)
{
	static const char *const names[EXPORT_FORMS] = {
	    "f.cert", "f.chain", "f.fullchain", "f.key", "f.combined", "f.p12"};
	struct export_file files[EXPORT_FORMS];
	struct err err = ERR_INIT;
	char *chain = chain_of(p, issuer), *all;
	struct buf p12 = BUF_INIT;
	struct key *key = key_load("key", p->key.data, p->key.len, &err);
	size_t i;

	commit(NAME, p, issuer);
	for (i = 0; i < EXPORT_FORMS; i++)
		files[i] = (struct export_file){
		    (enum export_form)i, in_base(names[i])};
	ok_err(once(files, EXPORT_FORMS, &err), &err, "every form");
	is(list_written(),
	    "cert f.cert, chain f.chain, fullchain f.fullchain,"
	    " key f.key, combined f.combined, pkcs12 f.p12",
	    "all are written");
	holds("f.cert", buf_str(&p->leaf), "cert: the leaf");
	holds("f.chain", buf_str(&issuer->leaf), "chain: its issuer");
	holds("f.fullchain", chain, "fullchain: both");
	holds("f.key", buf_str(&p->key), "key");
	all = xasprintf("%s%s", chain, buf_str(&p->key));
	holds("f.combined", all, "combined: leaf, issuer, key");
	slurp("f.p12", &p12);
	ok(pkcs12_holds(
	       p12.data, p12.len, "secret", chain, strlen(chain), key, NAME),
	    "pkcs12: all of it");
	for (i = 0; i < EXPORT_FORMS; i++)
		is_mode(names[i],
		    i == EXPORT_KEY || i >= EXPORT_COMBINED ? 0600 : 0644);
	ok_err(once(files, EXPORT_FORMS, &err), &err, "once more");
	is(list_written(), "", "nothing is written");
	ok(!exists(".f.cert.changed"), "without a program there is no marker");
	for (i = 0; i < EXPORT_FORMS; i++)
		free((char *)files[i].path);
	buf_release(&p12);
	key_free(key);
	free(chain);
	free(all);
}

/* What makes a file another. */
static void
test_differs(const struct pair *p, const struct pair *issuer)
{
	const struct export_file files[] = {
	    {EXPORT_CERT, in_base("d.cert")}, {EXPORT_KEY, in_base("d.key")}};
	struct err err = ERR_INIT;
	struct stat before;

	commit(NAME, p, issuer);
	once(files, 2, &err);
	list_written();
	before = stat_of("d.cert");

	put("d.key", "another", 0600);
	ok_err(once(files, 2, &err), &err, "another content");
	is(list_written(), "key d.key", "is written anew, alone");
	is_int((long long)stat_of("d.cert").st_ino, (long long)before.st_ino,
	    "the other was not touched");
	must(chmod(files[1].path, 0644) == 0, "chmod");
	ok_err(once(files, 2, &err), &err, "another mode");
	is(list_written(), "key d.key", "is written anew");
	is_mode("d.key", 0600);
	must(chmod(files[0].path, 0600) == 0, "chmod");
	ok_err(once(files, 2, &err), &err, "a mode of less");
	is(list_written(), "cert d.cert", "is written anew too");
	zap("d.cert");
	ok_err(once(files, 2, &err), &err, "no file");
	is(list_written(), "cert d.cert", "is written");
	put("d.key", "", 0600);
	must(truncate(files[1].path, 8L * FILE_CAP) == 0, "truncate");
	ok_err(once(files, 2, &err), &err, "a huge file");
	is(list_written(), "key d.key", "is replaced");

	commit(NAME, issuer, p);
	ok_err(once(files, 2, &err), &err, "another generation");
	is(list_written(), "cert d.cert, key d.key", "is written whole");
	holds("d.key", buf_str(&issuer->key), "with its key");
	for (size_t i = 0; i < 2; i++)
		free((char *)files[i].path);
}

static void
test_owner(const struct pair *p, const struct pair *issuer)
{
	const struct export_file file = {EXPORT_KEY, in_base("o.key")};
	struct export e = plain(&file, 1);
	struct err err = ERR_INIT;
	struct stat st;

	if (geteuid() != 0) {
		skip("not root", "owner and group");
		free((char *)file.path);
		return;
	}
	commit(NAME, p, issuer);
	e.with_key = (struct file_access){0640, OTHER_ID, OTHER_ID + 1};
	ok_err(export_certificate(&e, NAME, &err), &err, "owner and group");
	st = stat_of("o.key");
	is_int(st.st_uid, OTHER_ID, "owner");
	is_int(st.st_gid, OTHER_ID + 1, "group");
	is_mode("o.key", 0640);
	list_written();
	ok_err(export_certificate(&e, NAME, &err), &err, "once more");
	is(list_written(), "", "nothing is written");
	must(chown(file.path, OTHER_ID, OTHER_ID) == 0, "chown");
	ok_err(export_certificate(&e, NAME, &err), &err, "another group");
	is(list_written(), "key o.key", "is written anew");
	must(chown(file.path, 0, OTHER_ID + 1) == 0, "chown");
	must(chmod(file.path, 0640) == 0, "chmod");
	ok_err(export_certificate(&e, NAME, &err), &err, "another owner");
	is(list_written(), "key o.key", "is written anew");
	e.with_key.gid = (gid_t)-1;
	must(chown(file.path, (uid_t)-1, 0) == 0, "chown");
	ok_err(export_certificate(&e, NAME, &err), &err,
	    "a group that nobody asked for");
	is(list_written(), "", "is not looked at");
	export_release(&e);
	free((char *)file.path);
}

/* What is in the way, and a failure that leaves everything as it was. */
static void
test_refused(const struct pair *p, const struct pair *issuer)
{
	struct export_file files[] = {
	    {EXPORT_CERT, in_base("r.cert")}, {EXPORT_KEY, in_base("r.key")}};
	struct err err = ERR_INIT;

	commit(NAME, p, issuer);
	put("r.cert", "old", 0644);
	put("r.target", "mine", 0600);
	must(symlink("r.target", files[1].path) == 0, "symlink");
	fails(once(files, 2, &err), &err, ERR_PERMISSION, "symbolic link",
	    "a symbolic link");
	holds("r.cert", "old", "the other file is left");
	holds("r.target", "mine", "and so is where it leads");
	ok(S_ISLNK(stat_of("r.key").st_mode), "and it");
	zap("r.key");
	must(symlink("nowhere", files[1].path) == 0, "symlink");
	fails(once(files, 2, &err), &err, ERR_PERMISSION, "symbolic link",
	    "a link to nothing");
	ok(!exists("nowhere"), "nothing came of it");
	zap("r.key");
	must(mkdir(files[1].path, 0700) == 0, "mkdir");
	fails(once(files, 2, &err), &err, ERR_PERMISSION, "not a regular",
	    "a folder");
	zap("r.key");
	must(mkfifo(files[1].path, 0600) == 0, "mkfifo");
	fails(once(files, 2, &err), &err, ERR_PERMISSION, "not a regular",
	    "a FIFO");
	holds("r.cert", "old", "the other file is left each time");

	free((char *)files[1].path);
	files[1].path = in_base("missing/r.key");
	fails(once(files, 2, &err), &err, ERR_IO, "missing/r.key",
	    "no such folder");
	holds("r.cert", "old", "a failure leaves the files before it");
	is(list_written(), "", "and nothing was written");
	ok(!exists("missing"), "no folder is made");
	for (size_t i = 0; i < 2; i++)
		free((char *)files[i].path);
}

static char *
with_cr(const char *text)
{
	struct buf out = BUF_INIT;
	char *copy;

	for (; *text; text++)
		buf_printf(&out, "%s%c", *text == '\n' ? "\r" : "", *text);
	copy = xstrdup(buf_str(&out));
	buf_release(&out);
	return copy;
}

/* What is in the store but not to be exported. */
static void
test_store(const struct pair *p, const struct pair *issuer)
{
	const struct export_file files[] = {
	    {EXPORT_FULLCHAIN, in_base("s.full")},
	    {EXPORT_CHAIN, in_base("s.chain")}};
	struct err err = ERR_INIT;
	struct buf text = BUF_INIT;
	char *mixed, *whole;

	fails(export_certificate(
	          &(struct export){.store = store, .issuer = ISSUER},
	          "nobody.example.com", &err),
	    &err, ERR_ABSENT, NULL, "no such certificate");
	commit_text(NAME, p, buf_str(&issuer->leaf));
	fails(once(files, 2, &err), &err, ERR_DATA, "not the certificate's",
	    "another's key");
	commit_text(NAME, p, "no certificate");
	fails(once(files, 2, &err), &err, ERR_DATA, NULL, "no certificate");
	ok(!exists("s.full") && !exists("s.chain"), "nothing is written");

	mixed = xasprintf("A comment\r\n%s%s between %s-----BEGIN CERTI",
	    buf_str(&p->leaf), buf_str(&p->key), buf_str(&issuer->leaf));
	whole = chain_of(p, issuer);
	commit_text(NAME, p, mixed);
	ok_err(once(files, 2, &err), &err, "a chain with more than that in it");
	holds("s.full", whole, "nothing but certificates comes out");
	slurp("s.full", &text);
	ok(!strstr(buf_str(&text), "PRIVATE"), "no key among them");
	free(mixed);
	mixed = with_cr(whole);
	commit_text(NAME, p, mixed);
	list_written();
	ok_err(once(files, 2, &err), &err, "a chain with carriage returns");
	is(list_written(), "", "they are left out: it says the same");
	commit_text(NAME, p, buf_str(&p->leaf));
	ok_err(once(files, 2, &err), &err, "a leaf without issuers");
	holds("s.chain", "", "an empty file");
	list_written();
	buf_release(&text);
	free(mixed);
	free(whole);
	for (size_t i = 0; i < 2; i++)
		free((char *)files[i].path);
}

/* A folder for each, and names in paths. */
static void
test_folders(const struct pair *p, const struct pair *issuer)
{
	const struct export_file file = {
	    EXPORT_COMBINED, in_base("to/%n/100%%.pem")};
	struct export e = plain(&file, 1);
	char *to = in_base("to");
	struct err err = ERR_INIT;

	commit(NAME, p, issuer);
	commit("*.example.com", issuer, p);
	e.to = to;
	ok_err(export_check(&e, true, &err), &err, "names in paths");
	umask(077);
	ok_err(export_certificate(&e, NAME, &err), &err, "a folder");
	ok_err(export_certificate(&e, "wildcard_.example.com", &err), &err,
	    "and another");
	umask(022);
	is(list_written(),
	    "combined 100%.pem, cert cert.pem, chain chain.pem, "
	    "fullchain fullchain.pem, key privkey.pem, combined 100%.pem, "
	    "cert cert.pem, chain chain.pem, fullchain fullchain.pem, "
	    "key privkey.pem",
	    "are filled");
	is_mode("to", 0755);
	is_mode("to/" NAME, 0755);
	is_mode("to/" NAME "/privkey.pem", 0600);
	is_mode("to/" NAME "/fullchain.pem", 0644);
	is_mode("to/wildcard_.example.com/100%.pem", 0600);
	holds("to/wildcard_.example.com/privkey.pem", buf_str(&issuer->key),
	    "to each its own");
	export_release(&e);
	free(to);
	free((char *)file.path);
}

static void
test_check(void)
{
	struct export_file files[] = {
	    {EXPORT_CERT, "/x/%n"}, {EXPORT_KEY, "/x/key"}};
	struct export e = plain(files, 2);
	struct err err = ERR_INIT;

	ok_err(export_check(&e, false, &err), &err, "one certificate");
	fails(export_check(&e, true, &err), &err, ERR_USAGE, "--key /x/key",
	    "many into one file");
	files[0].path = "/x/key";
	fails(export_check(&e, false, &err), &err, ERR_USAGE, "same file",
	    "two forms in one file");
	files[0].path = "/x/%d";
	fails(export_check(&e, false, &err), &err, ERR_USAGE, "is wanted",
	    "%%d stands for nothing");
	files[0].path = "/x/%";
	fails(export_check(&e, false, &err), &err, ERR_USAGE, "is wanted",
	    "%% at the end");
	files[0].path = "/x/%%n";
	fails(export_check(&e, true, &err), &err, ERR_USAGE, "--cert",
	    "%%%%n is no name");
	files[0].path = "/x/a\nb";
	fails(export_check(&e, false, &err), &err, ERR_USAGE, "control",
	    "a newline");
	files[0].path = "/x/%n/privkey.pem";
	files[1].path = "/y/%n";
	e.to = "/x";
	fails(export_check(&e, true, &err), &err, ERR_USAGE, "same file",
	    "a file of --to's");
}

/* -- what is run on a change ---------------------------------------------- */

static void
hook_says(const char *body)
{
	char *text = xasprintf("#!/bin/sh\n%s\n", body);

	put("hook", text, 0755);
	free(text);
}

static int
with_hook(const struct export_file *files, size_t n, struct err *err)
{
	char *hook = in_base("hook");
	struct export e = plain(files, n);
	int rc;

	e.on_change = hook;
	rc = export_certificate(&e, NAME, err);
	if (rc == 0)
		rc = export_finish(&e, err);
	export_release(&e);
	free(hook);
	list_written();
	return rc;
}

/* At least once for each change, whatever happens. */
static void
test_hook(const struct pair *p, const struct pair *issuer)
{
	const struct export_file files[] = {
	    {EXPORT_CERT, in_base("h.cert")}, {EXPORT_KEY, in_base("h.key")}};
	struct err err = ERR_INIT;
	char *good = xasprintf(
	    "ls %s/.h.cert.changed >&2 || exit 1\n"
	    "printf '%%s|%%s' \"$AUTOCERT_EXPORTED\" \"$AUTOCERT_FILES\" "
	    ">%s/told",
	    base, base);
	char *told = xasprintf("%s|%s\n%s", NAME, files[0].path, files[1].path);

	commit(NAME, p, issuer);
	hook_says(good);
	ok_err(with_hook(files, 2, &err), &err, "a program is run");
	holds("told", told, "and told the names and the files");
	ok(!exists(".h.cert.changed"), "the marker is gone");
	zap("told");
	ok_err(with_hook(files, 2, &err), &err, "nothing has changed");
	ok(!exists("told"), "nothing is run");

	hook_says("echo no; exit 7");
	put("h.key", "another", 0600);
	fails(with_hook(files, 2, &err), &err, ERR_HOOK, "no", "it fails");
	holds("h.key", buf_str(&p->key), "the files are there");
	ok(exists(".h.cert.changed"), "and a marker");
	is_mode(".h.cert.changed", 0600);
	fails(with_hook(files, 2, &err), &err, ERR_HOOK, "no",
	    "it is run again, although nothing has changed");
	ok_err(once(files, 2, &err), &err, "without a program");
	ok(exists(".h.cert.changed"), "the marker stays");
	hook_says(good);
	ok_err(with_hook(files, 2, &err), &err, "and again");
	holds("told", told, "told the same");
	ok(!exists(".h.cert.changed"), "until it succeeds");
	zap("told");

	/* Killed in between: the marker is there, and so are some files. */
	put(".h.cert.changed", "", 0600);
	ok_err(with_hook(files, 2, &err), &err, "after a crash");
	ok(exists("told"), "it is run");
	zap("hook");
	put("h.key", "another", 0600);
	fails(with_hook(files, 2, &err), &err, ERR_HOOK, NULL, "no program");
	holds("h.key", buf_str(&p->key), "the files are written none the less");
	free(good);
	free(told);
	for (size_t i = 0; i < 2; i++)
		free((char *)files[i].path);
}

/* -- while the certificate is replaced ------------------------------------ */

static bool
is_pair(const char *cert, const char *key)
{
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	struct cert c = {.n_names = 0};
	struct key *k = NULL;
	unsigned char id[sizeof(c.key_id)];
	bool fits = false;

	slurp(cert, &text);
	if (cert_read(cert, text.data, text.len, &c, &err) == 0) {
		slurp(key, &text);
		k = key_load(key, text.data, text.len, &err);
		fits = k && key_id(k, id, &err) == 0 &&
		    memcmp(id, c.key_id, sizeof(id)) == 0;
	}
	if (!fits)
		diag("%s", err.text);
	key_free(k);
	cert_release(&c);
	buf_release(&text);
	return fits;
}

__attribute__((noreturn)) static void
replace_for_ever(const struct pair *p, const struct pair *q)
{
	for (;;) {
		commit(NAME, q, p);
		commit(NAME, p, q);
	}
}

static void
test_race(const struct pair *p, const struct pair *q)
{
	const struct export_file files[] = {{EXPORT_CERT, in_base("t.cert")},
	    {EXPORT_KEY, in_base("t.key")},
	    {EXPORT_COMBINED, in_base("t.all")}};
	struct err err = ERR_INIT;
	int i, bad = 0, status;
	pid_t pid;

	commit(NAME, p, q);
	pid = fork();
	if (pid == 0)
		replace_for_ever(p, q);
	for (i = 0; i < ROUNDS; i++) {
		err_clear(&err);
		if (once(files, 3, &err) == -1)
			bad += err.code != ERR_LATER;
		else
			bad += !is_pair("t.cert", "t.key") ||
			    !is_pair("t.all", "t.all");
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	is_int(bad, 0, "whatever is replaced meanwhile, what comes out fits");
	strings_release(&written);
	written = (struct strings){.n = 0};
	for (i = 0; i < 3; i++)
		free((char *)files[i].path);
}

static bool
is_fit(void)
{
	struct err err = ERR_INIT;

	hook_says(":");
	char *path = in_base("hook");
	bool fit = hook_check(path, &err) == 0;

	free(path);
	return fit;
}

int
main(void)
{
	struct pair p, q;
	struct err err = ERR_INIT;
	char *root;

	alarm(120);
	umask(022);
	log_open("test_export", LOG_ERROR);
	must(realpath(tap_tmpdir(), base) != NULL, "realpath");
	root = in_base("store");
	store = store_open(root, true, &err);
	must(store != NULL, err.text);
	make_pair(&p, 1);
	make_pair(&q, 2);
	test_forms(&p, &q);
	test_differs(&p, &q);
	test_owner(&p, &q);
	test_refused(&p, &q);
	test_store(&p, &q);
	test_folders(&p, &q);
	test_check();
	if (is_fit())
		test_hook(&p, &q);
	else
		skip("others can write a folder above this one", "hooks");
	test_race(&p, &q);
	pair_release(&p);
	pair_release(&q);
	strings_release(&written);
	store_close(store);
	free(root);
	return done();
}
