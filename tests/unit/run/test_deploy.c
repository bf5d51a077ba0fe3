#include <config.h>

#include "run/deploy.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "store/certificate.h"
#include "store/state.h"
#include "store/store.h"
#include "tap.h"

#define ISSUER "localhost-14000-dir"

enum { NAMES = 4, TIMEOUT_MS = 30 * 1000 };

static char base[PATH_MAX]; /* absolute, fit for hooks */
static char *hooks;         /* the folder of hooks, empty */
static struct store *store;
static struct identifier names[NAMES];

/* -- what the tests are made of ------------------------------------------- */

static void
must(bool done, const char *what)
{
	if (done)
		return;
	perror(what);
	exit(99);
}

/* A hook that notes in base/told that it was run; the caller frees its path. */
static char *
script(const char *name, const char *body)
{
	char *path = xasprintf("%s/%s", base, name);
	char *text = xasprintf(
	    "#!/bin/sh\necho ${0##*/} >>%s/told\n%s\n", base, body);
	struct err err = ERR_INIT;

	must(file_write(AT_FDCWD, path, text, strlen(text), 0755, FILE_REPLACE,
	         &err) == 0,
	    path);
	free(text);
	return path;
}

static void
remove_hook(char *path)
{
	must(unlink(path) == 0, path);
	free(path);
}

/* What is in a file below base, which is then gone; the caller frees. */
static char *
take(const char *name)
{
	char *path = xasprintf("%s/%s", base, name), *text;
	struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	if (file_read(AT_FDCWD, path, BUF_MAX - 1, 0, &b, &err) == -1)
		text = xstrdup("");
	else
		text = xstrdup(buf_str(&b));
	unlink(path);
	buf_release(&b);
	free(path);
	return text;
}

/* That these hooks were run, in this order. */
static void
told(const char *want, const char *what)
{
	char *got = take("told");

	is(got, want, "%s: who was told", what);
	free(got);
}

/* A certificate as certificate_load() gives it. */
static void
certificate(struct certificate *c, char *name, unsigned char serial)
{
	static const unsigned char bytes[] = {0x00, 0xf0, 0x0d};
	static char issuer[] = ISSUER;

	*c = (struct certificate){.issuer = issuer, .name = name};
	memcpy(c->cert.serial, bytes, sizeof(bytes));
	c->cert.serial[sizeof(bytes)] = serial;
	c->cert.serial_len = sizeof(bytes) + 1;
	c->cert.not_after = 1800000000;
	c->cert.names = names;
	c->cert.n_names = NAMES;
}

static void
name_them(void)
{
	struct err err = ERR_INIT;

	must(identifier_parse("www.example.com", &names[0], &err) == 0 &&
	        identifier_parse("*.example.com", &names[1], &err) == 0 &&
	        identifier_parse("192.0.2.1", &names[3], &err) == 0,
	    "names");
	/* Such a thing must not come that far; if it does, it stays here. */
	snprintf(names[2].value, sizeof(names[2].value), "%s",
	    "a b.example.com;$(touch x)");
}

static struct deploy
with_folder(const char *dir)
{
	return (struct deploy){
	    .store = store, .dir = dir, .timeout_ms = TIMEOUT_MS};
}

/* -- whether it has been done --------------------------------------------- */

enum folder { NO_FOLDER, MISSING, EMPTY, SOME, UNREADABLE, FOLDERS };

static const struct {
	const char *deployed, *hook;
	enum folder folder;
	bool want;
	const char *what;
} rules[] = {
    {"", NULL, NO_FOLDER, false, "never told, nobody to tell"},
    {"", NULL, MISSING, false, "never told, no such folder"},
    {"", NULL, EMPTY, false, "never told, nothing in the folder"},
    {"", "", EMPTY, false, "never told, a hook of no name"},
    {"", "/x", NO_FOLDER, true, "never told, a hook"},
    {"", NULL, SOME, true, "never told, a folder with one"},
    {"", "/x", SOME, true, "never told, both"},
    {"", NULL, UNREADABLE, true, "never told, a folder that is none"},
    {"00f00d01", NULL, NO_FOLDER, false, "told, nobody to tell"},
    {"00f00d01", "/x", SOME, false, "told"},
    {"00f00d01", NULL, UNREADABLE, false, "told, a folder that is none"},
    {"00f00d00", "/x", NO_FOLDER, true, "told of another, a hook"},
    {"00f00d00", NULL, SOME, true, "told of another, a folder"},
    {"00f00d00", NULL, NO_FOLDER, true, "told of another, nobody"},
    {"00F00D01", NULL, NO_FOLDER, true, "spelled otherwise"},
    {"00f00d0", NULL, NO_FOLDER, true, "a part of it"},
    {"00f00d0100", NULL, NO_FOLDER, true, "more than it"},
};

static void
test_pending(void)
{
	char *dirs[FOLDERS] = {NULL, xasprintf("%s/none", base),
	    xasprintf("%s/empty", base), xasprintf("%s/some", base), NULL};
	char name[] = "www.example.com";
	struct certificate c;
	struct state state;
	size_t i;

	must(mkdir(dirs[EMPTY], 0755) == 0 && mkdir(dirs[SOME], 0755) == 0,
	    "mkdir");
	dirs[UNREADABLE] = script("some/hook", "");
	certificate(&c, name, 1);
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct deploy d = with_folder(dirs[rules[i].folder]);

		state = (struct state){.names = NULL};
		if (rules[i].hook)
			state.deploy_hook = xstrdup(rules[i].hook);
		snprintf(state.deployed, sizeof(state.deployed), "%s",
		    rules[i].deployed);
		is_int(deploy_pending(&d, &c, &state), rules[i].want, "%s",
		    rules[i].what);
		state_release(&state);
	}
	told("", "asking");
	for (i = 0; i < FOLDERS; i++)
		free(dirs[i]);
}

/* -- what they are told --------------------------------------------------- */

/* Its variables as they are, and nothing of the shell's. */
#define TELL                                                                   \
	"tr '\\0' '\\n' </proc/$$/environ | grep -v -e ^PATH= -e ^HOME= "      \
	"-e ^LANG= >${0%/*}/variables"

static void
tells(struct store *s, const char *root, char *name, const char *safe)
{
	struct deploy d = {.store = s, .timeout_ms = TIMEOUT_MS};
	char *hook = script("hook", TELL), *got, *want;
	struct state state = {.names = NULL};
	struct err err = ERR_INIT;
	struct certificate c;

	certificate(&c, name, 1);
	ok_err(deploy_run(&d, &c, hook, &state, &err), &err, "deploy %s", name);
	want = xasprintf(
	    "RENEWED_LINEAGE=%s/certificates/" ISSUER "/%s\n"
	    "RENEWED_DOMAINS=www.example.com *.example.com 192.0.2.1\n"
	    "AUTOCERT_NAME=%s\n"
	    "AUTOCERT_NAMES=www.example.com *.example.com 192.0.2.1\n"
	    "AUTOCERT_FOLDER=%s/certificates/" ISSUER "/%s\n"
	    "AUTOCERT_CERT=%s/certificates/" ISSUER "/%s/%s.crt\n"
	    "AUTOCERT_KEY=%s/certificates/" ISSUER "/%s/%s.key\n"
	    "AUTOCERT_EXPIRES=2027-01-15T08:00:00Z\n",
	    root, safe, safe, root, safe, root, safe, safe, root, safe, safe);
	got = take("variables");
	is(got, want, "the variables");
	told("hook\n", name);
	free(got);
	free(want);
	remove_hook(hook);
}

static struct store *
open_store(const char *path)
{
	struct err err = ERR_INIT;
	struct store *s = store_open(path, true, &err);

	must(s != NULL, path);
	return s;
}

static void
test_variables(void)
{
	char plain[] = "www.example.com", star[] = "*.Example.com";
	char *root = xasprintf("%s/store", base);
	char *slash = xasprintf("%s/store//", base);
	char *relative = xasprintf("%s/store", tap_tmpdir());
	struct store *s;

	tells(store, root, plain, "www.example.com");
	tells(store, root, star, "wildcard_.example.com");
	s = open_store(slash);
	tells(s, root, plain, "www.example.com");
	store_close(s);
	s = open_store(relative);
	tells(s, root, plain, "www.example.com");
	store_close(s);
	free(root);
	free(slash);
	free(relative);
}

/* -- telling them --------------------------------------------------------- */

/* One deployment of the certificate with serial 1; what is remembered
 * afterwards is in deployed. */
static int
deploy(const char *dir, const char *hook, const char *before,
    char deployed[STATE_SERIAL], struct err *err)
{
	struct deploy d = with_folder(dir);
	struct state state = {.names = NULL};
	char name[] = "www.example.com";
	struct certificate c;
	int rc;

	certificate(&c, name, 1);
	snprintf(state.deployed, sizeof(state.deployed), "%s", before);
	rc = deploy_run(&d, &c, hook, &state, err);
	memcpy(deployed, state.deployed, STATE_SERIAL);
	return rc;
}

static void
test_success(void)
{
	char *own = script("own", ""), *two = script("hooks/2", "");
	char *ten = script("hooks/10", ""), *no = script("hooks/3.bak", "");
	char deployed[STATE_SERIAL];
	struct err err = ERR_INIT;

	ok_err(deploy(hooks, own, "", deployed, &err), &err, "all succeed");
	told("own\n10\n2\n", "its own first, then those of the folder");
	is(deployed, "00f00d01", "remembered");
	ok_err(deploy(hooks, NULL, "00f00d00", deployed, &err), &err,
	    "no hook of its own");
	told("10\n2\n", "the folder alone");
	is(deployed, "00f00d01", "remembered instead of the one before");
	ok_err(deploy(NULL, own, "", deployed, &err), &err, "no folder");
	told("own\n", "its own alone");
	ok_err(
	    deploy(hooks, "", "", deployed, &err), &err, "a hook of no name");
	told("10\n2\n", "is none");
	remove_hook(own);
	remove_hook(two);
	remove_hook(ten);
	remove_hook(no);
}

static void
test_nobody(void)
{
	char *none = xasprintf("%s/none", base), deployed[STATE_SERIAL];
	struct err err = ERR_INIT;

	ok_err(deploy(NULL, NULL, "", deployed, &err), &err, "nobody to tell");
	is(deployed, "00f00d01", "is success");
	ok_err(deploy(none, NULL, "", deployed, &err), &err, "no such folder");
	ok_err(deploy(hooks, NULL, "", deployed, &err), &err, "an empty one");
	told("", "nobody");
	free(none);
}

/* Standard error into a file while it lasts. */
static int
divert(void)
{
	char *path = xasprintf("%s/log", base);
	int saved = dup(STDERR_FILENO);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	must(saved != -1 && fd != -1 && dup2(fd, STDERR_FILENO) != -1, path);
	close(fd);
	free(path);
	return saved;
}

static char *
restore(int saved)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	return take("log");
}

static void
test_failure(void)
{
	char *own = script("own", "echo broken; exit 3");
	char *a = script("hooks/a", ""), *b = script("hooks/b", "exit 4");
	char *c = script("hooks/c", ""), deployed[STATE_SERIAL], *log;
	struct err err = ERR_INIT;
	int saved = divert(),
	    rc = deploy(hooks, own, "00f00d00", deployed, &err);

	log = restore(saved);
	fails(rc, &err, ERR_HOOK, "own: exit status 3: broken",
	    "the first failure is reported");
	ok(strncmp(err.text, "deploy hook: /", 14) == 0, "and what failed");
	told("own\na\nb\nc\n", "the others are told all the same");
	is(deployed, "00f00d00", "what was remembered still is");
	ok(strstr(log, "www.example.com: deploy hook: ") &&
	        strstr(log, "hooks/b: exit status 4"),
	    "the second is logged");
	ok(!strstr(log, "exit status 3"), "the first is the caller's");
	free(log);

	remove_hook(own);
	fails(deploy(hooks, NULL, "", deployed, &err), &err, ERR_HOOK,
	    "hooks/b: exit status 4", "one of the folder fails");
	told("a\nb\nc\n", "those behind it are told");
	is(deployed, "", "nothing is remembered");
	remove_hook(b);
	b = script("hooks/b", "");
	ok_err(deploy(hooks, NULL, "", deployed, &err), &err, "mended");
	told("a\nb\nc\n", "all are told again");
	is(deployed, "00f00d01", "and now it is remembered");
	remove_hook(a);
	remove_hook(b);
	remove_hook(c);
}

/* Whatever is wrong, the files are safe: it is a hook that failed. */
static void
test_codes(void)
{
	char *file = script("no-folder", ""), *own = script("own", "");
	char *slow = script("slow", "exec sleep 1000");
	char deployed[STATE_SERIAL], dots[] = "...";
	struct deploy d = {.store = store, .timeout_ms = 100};
	struct state state = {.names = NULL};
	struct err err = ERR_INIT;
	struct certificate c;

	fails(deploy(NULL, "/nonexistent/hook", "", deployed, &err), &err,
	    ERR_HOOK, "No such file", "a hook that is not there");
	fails(deploy(NULL, "hook", "", deployed, &err), &err, ERR_HOOK,
	    "not an absolute path", "a relative one");
	fails(deploy(file, own, "", deployed, &err), &err, ERR_HOOK,
	    "deploy hooks: ", "a folder that is none");
	told("own\n", "a folder that is none");
	certificate(&c, dots, 1);
	fails(deploy_run(&d, &c, own, &state, &err), &err, ERR_HOOK,
	    "certificate name", "a name that no certificate has");
	told("", "a name that no certificate has");
	c.name = file;
	fails(deploy_run(&d, &c, slow, &state, &err), &err, ERR_HOOK,
	    "slow: not done after 0.1 seconds", "the time limit is passed on");
	is(state.deployed, "", "nothing is remembered");
	free(take("told"));
	remove_hook(file);
	remove_hook(own);
	remove_hook(slow);
}

/* What hooks print is for those who ask for it, a line for each line. */
static void
test_log(void)
{
	char *own = script("own", "echo one; printf 'two\\033[2J\\n'; echo %s");
	char deployed[STATE_SERIAL], *log;
	struct err err = ERR_INIT;
	int saved = divert();

	deploy(NULL, own, "", deployed, &err);
	log = restore(saved);
	is(log, "", "quiet when well");
	free(log);
	log_open("autocert", LOG_INFO);
	saved = divert();
	deploy(NULL, own, "", deployed, &err);
	log = restore(saved);
	log_open("autocert", LOG_WARN);
	ok(strstr(log, "own: one\nautocert: www.example.com: ") &&
	        strstr(log, "own: two?[2J\n") && strstr(log, "own: %s\n"),
	    "-v: what it printed");
	free(log);
	remove_hook(own);
}

/* hook_check() has nothing against where we are. */
static bool
is_fit(void)
{
	char *path = script("probe", "");
	char deployed[STATE_SERIAL];
	struct err err = ERR_INIT;
	int rc = deploy(NULL, path, "", deployed, &err);

	remove_hook(path);
	free(take("told"));
	return rc == 0 || !strstr(err.text, "lets others");
}

int
main(void)
{
	char *root;

	must(realpath(tap_tmpdir(), base) != NULL, "realpath");
	root = xasprintf("%s/store", base);
	hooks = xasprintf("%s/hooks", base);
	must(mkdir(hooks, 0755) == 0, hooks);
	store = open_store(root);
	name_them();
	test_pending();
	if (is_fit()) {
		test_variables();
		test_success();
		test_nobody();
		test_failure();
		test_codes();
		test_log();
	} else {
		skip("others can write a folder above this one", "hooks");
	}
	store_close(store);
	free(hooks);
	free(root);
	return done();
}
