#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "cmd/pomerium.h"
#include "cmd/yaml.h"
#include "tap.h"

static char *path;

/* Writes down what it is told; refuses the key "autocert_no". */
static int
note(void *arg, const char *key, const struct yaml *value, unsigned line,
    struct err *err)
{
	buf_printf(arg, "%u %s=%s%s\n", line, key, value->text,
	    value->plain ? "" : " quoted");
	if (strcmp(key, "autocert_no") == 0)
		return err_set(err, ERR_CONFIG, "%s: refused", key);
	return 0;
}

static int
read_text(const char *text, struct buf *out, struct err *err)
{
	*err = (struct err)ERR_INIT;
	buf_clear(out);
	if (file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE,
	    err) == -1)
		return -1;
	return pomerium_read(path, note, out, err);
}

static void
test_keys(void)
{
	struct buf out = BUF_INIT;
	struct err err;

	ok_err(read_text("# Pomerium\n"
	    "authenticate_service_url: https://authenticate.example.com\n"
	    "autocert: true\n"
	    "routes:\n"
	    "  - from: https://app.example.com\n"
	    "    to: http://localhost:8080\n"
	    "    autocert_inner: passed over\n"
	    "    policy: [{allow: {and: [{autocert: 1}]}}]\n"
	    "shared_secret: 'x'\n"
	    "autocert_email: 'Me@Example.com'\n"
	    "AutoCert_CA: ca.example\n"
	    "autocert_dir:\n", &out, &err), &err, "a file of Pomerium's");
	is(buf_str(&out), "3 autocert=true\n"
	    "10 autocert_email=Me@Example.com quoted\n"
	    "11 autocert_ca=ca.example\n"
	    "12 autocert_dir=\n", "its autocert keys and their lines");

	ok_err(read_text("base: &base {autocert_x: 1}\n<<: *base\n", &out,
	    &err), &err, "a merge at the top");
	is(buf_str(&out), "1 autocert_x=1\n", "is read like the rest");
	ok_err(read_text("", &out, &err), &err, "an empty file");
	is(buf_str(&out), "", "says nothing");
	ok_err(read_text("{\"autocert\": \"1\"}", &out, &err), &err, "JSON");
	is(buf_str(&out), "1 autocert=1 quoted\n", "is read too");
	buf_release(&out);
}

static void
test_refused(void)
{
	struct buf out = BUF_INIT;
	struct err err;

	fails(read_text("a: 1\nautocert_no: 2\nautocert_z: 3\n", &out, &err),
	    &err, ERR_CONFIG, "/c.yaml:2: autocert_no: refused",
	    "a refusal names file and line");
	is(buf_str(&out), "2 autocert_no=2\n", "and ends the walk");
	fails(read_text("\nautocert_email: [a, b]\n", &out, &err), &err,
	    ERR_CONFIG, "/c.yaml:2: autocert_email: a single value is wanted",
	    "a list");
	fails(read_text("autocert: {a: b}\n", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:1: autocert: a single value", "a map");
	fails(read_text("- autocert\n", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:1: not a map", "a list at the top");
	fails(read_text("autocert", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:1: not a map", "a word at the top");
	fails(read_text("a: [\n", &out, &err), &err, ERR_CONFIG, "/c.yaml:",
	    "no YAML");
	buf_release(&out);
}

static void
test_files(void)
{
	char *big = xmalloc(1024 * 1024 + 1);
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char *fifo = xasprintf("%s/fifo", tap_tmpdir());

	fails(pomerium_read("no/such/file.yaml", note, &out, &err), &err,
	    ERR_ABSENT, "no/such/file.yaml", "no file");
	fails(pomerium_read(tap_tmpdir(), note, &out, &err), &err, ERR_CONFIG,
	    NULL, "a folder");
	if (mkfifo(fifo, 0600) == -1)
		skip("mkfifo", "a FIFO");
	else
		fails(pomerium_read(fifo, note, &out, &err), &err, ERR_CONFIG,
		    NULL, "a FIFO does not block");
	memset(big, '#', 1024 * 1024 + 1);
	ok_err(file_write(AT_FDCWD, path, big, 1024 * 1024 + 1, 0600,
	    FILE_REPLACE, &err), &err, "1 MiB and a byte");
	fails(pomerium_read(path, note, &out, &err), &err, ERR_CONFIG,
	    "c.yaml", "is too much");
	ok_err(file_write(AT_FDCWD, path, big, 1024 * 1024, 0600,
	    FILE_REPLACE, &err), &err, "1 MiB");
	ok_err(pomerium_read(path, note, &out, &err), &err, "is not");
	buf_release(&out);
	free(fifo);
	free(big);
}

int
main(void)
{
	path = xasprintf("%s/c.yaml", tap_tmpdir());
	test_keys();
	test_refused();
	test_files();
	free(path);
	return done();
}
