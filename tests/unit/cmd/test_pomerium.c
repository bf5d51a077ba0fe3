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
	buf_printf(arg, "%u %s=%s%s\n", line, key,
	    value->type == YAML_SCALAR ? value->text : "...",
	    value->type != YAML_SCALAR || value->plain ? "" : " quoted");
	if (strcmp(key, "autocert_no") == 0)
		return err_set(err, ERR_CONFIG, "%s: refused", key);
	return 0;
}

static int
read_keys(const char *file, struct buf *out, struct err *err)
{
	struct yaml *root = pomerium_open(file, err);
	int rc = root ? pomerium_keys(file, root, note, out, err) : -1;

	yaml_tree_free(root);
	return rc;
}

static int
read_text(const char *text, struct buf *out, struct err *err)
{
	*err = (struct err)ERR_INIT;
	buf_clear(out);
	if (file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE,
	        err) == -1)
		return -1;
	return read_keys(path, out, err);
}

static void
test_keys(void)
{
	struct buf out = BUF_INIT;
	struct err err;

	ok_err(
	    read_text(
	        "# Pomerium\n"
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
	        "autocert_dir:\n",
	        &out, &err),
	    &err, "a file of Pomerium's");
	is(buf_str(&out),
	    "3 autocert=true\n"
	    "10 autocert_email=Me@Example.com quoted\n"
	    "11 autocert_ca=ca.example\n"
	    "12 autocert_dir=\n",
	    "its autocert keys and their lines");

	ok_err(
	    read_text("base: &base {autocert_x: 1}\n<<: *base\n", &out, &err),
	    &err, "a merge at the top");
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
	fails(read_text("- autocert\n", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:1: not a map", "a list at the top");
	fails(read_text("autocert", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:1: not a map", "a word at the top");
	fails(read_text("a: [\n", &out, &err), &err, ERR_CONFIG,
	    "/c.yaml:", "no YAML");
	buf_release(&out);
}

static void
test_files(void)
{
	char *big = xmalloc(1024 * 1024 + 1);
	struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char *fifo = xasprintf("%s/fifo", tap_tmpdir());

	fails(read_keys("no/such/file.yaml", &out, &err), &err, ERR_ABSENT,
	    "no/such/file.yaml", "no file");
	fails(read_keys(tap_tmpdir(), &out, &err), &err, ERR_CONFIG, NULL,
	    "a folder");
	if (mkfifo(fifo, 0600) == -1)
		skip("mkfifo", "a FIFO");
	else
		fails(read_keys(fifo, &out, &err), &err, ERR_CONFIG, NULL,
		    "a FIFO does not block");
	memset(big, '#', 1024 * 1024 + 1);
	ok_err(file_write(AT_FDCWD, path, big, 1024 * 1024 + 1, 0600,
	           FILE_REPLACE, &err),
	    &err, "1 MiB and a byte");
	fails(read_keys(path, &out, &err), &err, ERR_CONFIG, "c.yaml",
	    "is too much");
	ok_err(file_write(
	           AT_FDCWD, path, big, 1024 * 1024, 0600, FILE_REPLACE, &err),
	    &err, "1 MiB");
	ok_err(read_keys(path, &out, &err), &err, "is not");
	buf_release(&out);
	free(fifo);
	free(big);
}

/* Pomerium's rules for what is managed (its own table of tests, ours beside). */
static void
test_hosts(void)
{
	static const char text[] =
	    "authenticate_service_url: https://authenticate.example.com\n"
	    "policy:\n"
	    "  - from: https://Policy.example.com/path?x=1\n"
	    "routes:\n"
	    "  - {from: 'https://app.example.com:8443', to: 'http://x'}\n"
	    "  - {from: https://app.example.com}\n"
	    "  - {from: tcp+https://proxy.example.com/ssh.example.com:22}\n"
	    "  - {from: udp+https://udp.example.com:443}\n"
	    "  - {from: http://plain.example.com}\n"
	    "  - {from: ssh://ssh.example.com}\n"
	    "  - {from: 'https://*.example.com'}\n"
	    "  - {from: https://b\xc3\xbc.example.com}\n"
	    "  - {from: 'https://[2001:db8::1]:443'}\n"
	    "  - {from: https://authenticate.pomerium.app}\n"
	    "  - {from: [a, b]}\n"
	    "  - {to: https://nowhere.example.com}\n"
	    "  - {from: https://a_b.example.com}\n"
	    "  - {from: 'https://'}\n";
	static const char want[] =
	    "2001:db8::1 app.example.com "
	    "authenticate.example.com policy.example.com proxy.example.com "
	    "udp.example.com xn--b-eha.example.com ";
	/* base64 of "- from: https://env.example.com" */
	static const char policy[] =
	    "LSBmcm9tOiBodHRwczovL2Vudi5leGFtcGxlLmNvbQ==";
	struct strings out = {.v = NULL};
	struct buf joined = BUF_INIT;
	struct err err = ERR_INIT;
	struct yaml *root;

	root = yaml_parse("c.yaml", text, strlen(text), &err);
	if (!ok(root != NULL, "a file with routes: %s", err.text))
		return;
	ok_err(pomerium_hosts("c.yaml", root, NULL, NULL, &out, &err), &err,
	    "its host names");
	for (size_t i = 0; i < out.n; i++)
		buf_printf(&joined, "%s ", out.v[i]);
	is(buf_str(&joined), want, "are Pomerium's");
	strings_release(&out);
	ok_err(pomerium_hosts(
	           "c.yaml", root, policy, "https://auth.test", &out, &err),
	    &err, "POLICY and AUTHENTICATE_SERVICE_URL");
	ok(strings_have(&out, "env.example.com") &&
	        !strings_have(&out, "policy.example.com"),
	    "replace the file's");
	ok(strings_have(&out, "auth.test"), "both of them");
	strings_release(&out);
	fails(pomerium_hosts("c.yaml", root, "%%%", NULL, &out, &err), &err,
	    ERR_CONFIG, "POLICY", "a POLICY that is no base64");
	strings_release(&out);
	yaml_tree_free(root);

	root = yaml_parse("c.yaml", text, 60, &err);
	pomerium_hosts("c.yaml", root, NULL, NULL, &out, &err);
	is_int((long long)out.n, 0, "without routes nothing is managed");
	yaml_tree_free(root);
	ok_err(pomerium_hosts("", NULL, NULL, "https://a.test", &out, &err),
	    &err, "nor without a file");
	is_int((long long)out.n, 0, "whatever the variable says");
	buf_release(&joined);
}

int
main(void)
{
	path = xasprintf("%s/c.yaml", tap_tmpdir());
	test_keys();
	test_refused();
	test_files();
	free(path);
	test_hosts();
	return done();
}
