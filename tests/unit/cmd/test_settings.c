#include <config.h>

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/settings.h"
#include "tap.h"

static const char production[] =
    "https://acme-v02.api.letsencrypt.org/directory";
static const char staging[] =
    "https://acme-staging-v02.api.letsencrypt.org/directory";

/* A root of P-256, valid until 2126. */
static const char root[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBfzCCASWgAwIBAgIUdL7zzbQTANAz7UiJ5MazDfmlX9IwCgYIKoZIzj0EAwIw\n"
    "FDESMBAGA1UEAwwJVGVzdCByb290MCAXDTI2MTEyMjA2MjMxMFoYDzIxMjYxMDI5\n"
    "MDYyMzEwWjAUMRIwEAYDVQQDDAlUZXN0IHJvb3QwWTATBgcqhkjOPQIBBggqhkjO\n"
    "PQMBBwNCAAQYO5aFq73xTSX+O0qMf9OEeIvOH0fop5Abcf8K/+x36PwDB3P9ckb+\n"
    "OCXl8q0nJhUkCCaCFK6wQLzPPuEvTAAOo1MwUTAdBgNVHQ4EFgQUEUnP24J31N3w\n"
    "HAc7baUC4mMUWXIwHwYDVR0jBBgwFoAUEUnP24J31N3wHAc7baUC4mMUWXIwDwYD\n"
    "VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAHFsCmSxRD8Cnu6qV/bN8h\n"
    "SQFZ1NPxlcogHnCvPUZFRgIhAJ2YDs+w0TaYafdtw5ji2+/ypDRg5ZzfCKnJLDy2\n"
    "WDXm\n"
    "-----END CERTIFICATE-----\n";

static char *config, *secret;

/* -- a world in which settings are loaded -- */

static struct settings s;
static struct err err;

static void
begin(void)
{
	static const char *const names[] = {"AUTOCERT", "AUTOCERT_CA",
	    "AUTOCERT_EMAIL", "AUTOCERT_USE_STAGING", "AUTOCERT_EAB_KEY_ID",
	    "AUTOCERT_EAB_MAC_KEY", "AUTOCERT_MUST_STAPLE", "AUTOCERT_DIR",
	    "AUTOCERT_TRUSTED_CA", "AUTOCERT_TRUSTED_CA_FILE",
	    "AUTOCERT_TRUSTED_CA_ONLY", "AUTOCERT_CONFIG",
	    "CREDENTIALS_DIRECTORY", "XDG_DATA_HOME"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/me", 1);
	settings_release(&s);
	settings_init(&s);
	err = (struct err)ERR_INIT;
	/* Not this machine's own file. */
	s.config_file = "";
}

static void
put(const char *path, const char *text)
{
	struct err why = ERR_INIT;

	if (file_write(AT_FDCWD, path, text, strlen(text), 0600, FILE_REPLACE,
	        &why) == -1)
		diag("%s", why.text);
}

static void
file(const char *yaml)
{
	put(config, yaml);
	s.config_file = config;
}

static int
flag(const char *name, const char *arg)
{
	size_t n;
	const struct option *options = settings_options(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(options[i].name, name) == 0)
			return settings_flag(&s, options[i].val, arg, &err);
	return err_set(&err, ERR_USAGE, "no flag --%s", name);
}

static int
load(void)
{
	return settings_load(&s, &err);
}

static int
load_file(const char *yaml)
{
	begin();
	file(yaml);
	return load();
}

static int
load_variable(const char *name, const char *value)
{
	begin();
	setenv(name, value, 1);
	return load();
}

/* -- tests -- */

static void
test_defaults(void)
{
	begin();
	ok_err(load(), &err, "nothing set");
	ok(!s.autocert && !s.use_staging && !s.must_staple &&
	        !s.trusted_ca_only,
	    "switches are off");
	is(s.ca, production, "Let's Encrypt");
	is(s.email, "", "no e-mail");
	ok(s.eab_key_id == NULL && s.eab_mac.len == 0, "no EAB");
	ok(s.trusted_ca.len == 0, "no trusted CA");
	is(s.dir, "/home/me/.local/share/pomerium/autocert", "~/.local/share");
	ok(s.config_file == NULL, "no file was read");

	ok_err(load_variable("XDG_DATA_HOME", "/data"), &err, "XDG_DATA_HOME");
	is(s.dir, "/data/pomerium/autocert", "beats HOME");
	ok_err(load_variable("XDG_DATA_HOME", ""), &err, "when empty");
	is(s.dir, "/home/me/.local/share/pomerium/autocert", "does not");
	begin();
	unsetenv("HOME");
	ok_err(load(), &err, "without HOME");
	is(s.dir, "/var/tmp/pomerium/data/autocert", "there is /var/tmp");
	begin();
	setenv("HOME", "/home/\n", 1);
	fails(load(), &err, ERR_CONFIG, "autocert_dir: a line break",
	    "HOME is checked too");
	begin();
	ok_err(load(), &err, "again");
	settings_release(&s);
	settings_release(&s);
	ok(s.values == NULL, "released twice is released");
}

static void
test_file(void)
{
	begin();
	file("autocert: true\n"
	     "autocert_ca: https://ca.example/dir\n"
	     "autocert_email: ' Me@Example.COM '\n"
	     "autocert_use_staging: on\n"
	     "autocert_eab_key_id: 0123\n"
	     "autocert_eab_mac_key: c2VjcmV0\n"
	     "autocert_must_staple: Yes\n"
	     "autocert_dir: /srv/certs\n"
	     "routes: [{from: https://a.example, autocert_x: 1}]\n");
	ok_err(load(), &err, "all keys from a file");
	ok(s.autocert && s.use_staging && s.must_staple, "switches");
	is(s.ca, "https://ca.example/dir", "the CA beats staging");
	is(s.email, "me@example.com", "trimmed and in lower case");
	is(s.eab_key_id, "0123", "a number is text");
	is(buf_str(&s.eab_mac), "secret", "MAC key, decoded");
	ok(s.eab_mac.secret, "and kept as a secret");
	is(s.dir, "/srv/certs", "folder");
	is(s.config_file, config, "the file read");
	is_int(s.values[0].line, 1, "its lines are kept");
	is_int(s.values[1].origin, FROM_FILE, "and where they came from");

	ok_err(load_file("autocert_use_staging: true\n"), &err, "staging");
	is(s.ca, staging, "means the staging directory");
	ok_err(load_file("AUTOCERT_CA: ca.example\n"), &err,
	    "keys in any case, as Pomerium has it");
	is(s.ca, "https://ca.example", "a missing scheme is https");
	ok_err(load_file("autocert: ~\nautocert_email:\nautocert_ca: ''\n"),
	    &err, "what says nothing");
	ok(!s.autocert && strcmp(s.ca, production) == 0, "is unset");
	fails(load_file("a: b\nautocert_emial: x\n"), &err, ERR_CONFIG,
	    "/c.yaml:2: autocert_emial: no such setting", "an unknown key");
	fails(load_file("autocert_emial: ~\n"), &err, ERR_CONFIG,
	    "no such setting", "even if it says nothing");
	fails(load_file("autocertx: 1\n"), &err, ERR_CONFIG, "no such setting",
	    "a key that only begins so");
	fails(load_file("autocert: true\nAUTOCERT: true\n"), &err, ERR_CONFIG,
	    "/c.yaml:2: autocert is given twice: in line 1",
	    "twice in different case");
	fails(load_file("autocert_dir: [a]\n"), &err, ERR_CONFIG,
	    "/c.yaml:1: autocert_dir: a single value is wanted", "a list");
	fails(load_file("autocert_dir: \"a\\nb\"\n"), &err, ERR_CONFIG,
	    "/c.yaml:1: autocert_dir: a line break", "a line break");
}

static void
test_which_file(void)
{
	begin();
	s.config_file = "no/such/file";
	fails(load(), &err, ERR_ABSENT, "no/such/file", "--config of no file");
	begin();
	s.config_file = NULL;
	setenv("AUTOCERT_CONFIG", "no/such/file", 1);
	fails(load(), &err, ERR_ABSENT, "no/such/file",
	    "AUTOCERT_CONFIG of no file");
	begin();
	put(config, "autocert_email: a@b\n");
	s.config_file = NULL;
	setenv("AUTOCERT_CONFIG", config, 1);
	ok_err(load(), &err, "AUTOCERT_CONFIG");
	is(s.email, "a@b", "names the file");
	begin();
	setenv("AUTOCERT_CONFIG", config, 1);
	ok_err(load(), &err, "--config with no name");
	is(s.email, "", "reads none, whatever AUTOCERT_CONFIG says");
}

static void
test_booleans(void)
{
	/* Go's strconv.ParseBool for variables; YAML 1.1 and that for files. */
	static const struct {
		const char *word;
		int environment, file; /* 1, 0, or -1 for an error */
	} rows[] = {{"1", 1, 1}, {"t", 1, 1}, {"T", 1, 1}, {"true", 1, 1},
	    {"TRUE", 1, 1}, {"True", 1, 1}, {"0", 0, 0}, {"f", 0, 0},
	    {"F", 0, 0}, {"false", 0, 0}, {"FALSE", 0, 0}, {"False", 0, 0},
	    {"yes", -1, 1}, {"Yes", -1, 1}, {"YES", -1, 1}, {"on", -1, 1},
	    {"On", -1, 1}, {"ON", -1, 1}, {"no", -1, 0}, {"No", -1, 0},
	    {"NO", -1, 0}, {"off", -1, 0}, {"Off", -1, 0}, {"OFF", -1, 0},
	    {"tRUE", -1, -1}, {"y", -1, -1}, {"n", -1, -1}, {"2", -1, -1},
	    {" 1", -1, 1}, {"enabled", -1, -1}, {"", 0, 0}, {"'yes'", -1, -1},
	    {"'true'", -1, 1}, {"'1'", -1, 1}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *yaml = xasprintf("x: 1\nautocert: %s\n", rows[i].word);

		load_variable("AUTOCERT", rows[i].word);
		is_int(err.code == ERR_NONE ? s.autocert : -1,
		    rows[i].environment, "environment: %s", rows[i].word);
		load_file(yaml);
		is_int(err.code == ERR_NONE ? s.autocert : -1, rows[i].file,
		    "file: %s", rows[i].word);
		free(yaml);
	}
	fails(load_variable("AUTOCERT_MUST_STAPLE", "yes"), &err, ERR_CONFIG,
	    "environment: AUTOCERT_MUST_STAPLE: neither true nor false: yes",
	    "a variable is named");
	fails(load_file("\nautocert_must_staple: y\n"), &err, ERR_CONFIG,
	    "/c.yaml:2: autocert_must_staple: neither true nor false: y",
	    "a line is named");
}

static void
test_precedence(void)
{
	begin();
	file("autocert_email: file@x\nautocert_must_staple: true\n"
	     "autocert_dir: /file\nautocert_use_staging: yes\n");
	setenv("AUTOCERT_EMAIL", "env@x", 1);
	setenv("AUTOCERT_MUST_STAPLE", "false", 1);
	setenv("AUTOCERT_DIR", "/env", 1);
	ok_err(flag("email", "flag@x"), &err, "--email");
	ok_err(flag("no-staging", NULL), &err, "--no-staging");
	ok_err(load(), &err, "three sources");
	is(s.email, "flag@x", "flag over environment over file");
	is(s.dir, "/env", "environment over file");
	ok(!s.must_staple, "a variable can switch off");
	is(s.ca, production, "and so can a flag");

	begin();
	file("autocert_email: file@x\n");
	setenv("AUTOCERT_EMAIL", "", 1);
	ok_err(load(), &err, "an empty variable");
	is(s.email, "file@x", "counts as unset");
	begin();
	file("autocert_email: file@x\n");
	flag("email", "");
	ok_err(load(), &err, "an empty flag");
	is(s.email, "", "does not");
	begin();
	flag("email", "one@x");
	flag("email", "two@x");
	ok_err(load(), &err, "a flag twice");
	is(s.email, "two@x", "counts as given last");

	begin();
	file("autocert_use_staging: true\n");
	setenv("AUTOCERT_CA", "https://ca.example/d", 1);
	ok_err(load(), &err, "staging in the file, a CA in the environment");
	is(s.ca, "https://ca.example/d", "the CA is the one named");
	begin();
	log_open("test", LOG_ERROR);
	file("autocert_ca: https://ca.example/d\n");
	flag("staging", NULL);
	ok_err(load(), &err, "a CA in the file, staging by flag");
	is(s.ca, "https://ca.example/d", "the CA is still the one named");
}

static void
test_flags(void)
{
	static const char *const switches[] = {
	    "staging", "must-staple", "trusted-ca-only"};
	size_t n;
	const struct option *options = settings_options(&n);
	bool sound = true;

	begin();
	flag("must-staple", NULL);
	flag("staging", NULL);
	flag("ca", "");
	flag("dir", "/flag");
	ok_err(load(), &err, "flags");
	ok(s.must_staple && strcmp(s.ca, staging) == 0 &&
	        strcmp(s.dir, "/flag") == 0,
	    "are taken");
	for (size_t i = 0; i < n; i++) {
		bool is_switch = false;

		for (size_t j = 0; j < 3; j++)
			is_switch |= strcmp(options[i].name, switches[j]) ==
			        0 ||
			    (strncmp(options[i].name, "no-", 3) == 0 &&
			        strcmp(options[i].name + 3, switches[j]) == 0);
		sound = sound && options[i].val >= SETTINGS_OPT &&
		    options[i].has_arg ==
		        (is_switch ? no_argument : required_argument);
	}
	ok(sound, "only switches have no argument");
	ok(flag("eab-mac-key", "x") == -1 && flag("autocert", NULL) == -1,
	    "no flag takes a secret, none the switch of the daemon");
	fails(settings_flag(&s, SETTINGS_OPT + 1000, NULL, &err), &err,
	    ERR_SOFTWARE, NULL, "a code that is none");
	fails(settings_flag(&s, 'v', NULL, &err), &err, ERR_SOFTWARE, NULL,
	    "a code of somebody else's");
}

static void
test_ca(void)
{
	static const char *const good[] = {"https://ca.example/dir",
	    "http://localhost:14000/dir", "http://ca.internal/acme",
	    "http://10.0.0.1/dir", "http://[::1]:14000/dir",
	    "https://ca.example:8443"};
	static const char *const bad[] = {"http://ca.example/dir",
	    "ftp://ca.example/dir", "://x", "https://",
	    "https://user:pw@ca.example/", "https://a b/",
	    "http://localhost.example.com/", "file:///etc/passwd",
	    "ca.example/a b"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ok_err(
		    load_variable("AUTOCERT_CA", good[i]), &err, "%s", good[i]);
		is(s.ca, good[i], "is taken as it is");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		fails(load_variable("AUTOCERT_CA", bad[i]), &err, ERR_CONFIG,
		    "environment: ", "%s", bad[i]);
}

static void
test_controls(void)
{
	static const char *const names[] = {"AUTOCERT_CA", "AUTOCERT_EMAIL",
	    "AUTOCERT_EAB_KEY_ID", "AUTOCERT_DIR", "AUTOCERT_TRUSTED_CA_FILE"};
	static const char *const values[] = {
	    "a\nb", "a\rb", "a\tb", "a\x1b[1m", "a\x7f", "a\xc2\x9b"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
			fails(load_variable(names[i], values[j]), &err,
			    ERR_CONFIG, ": a line break or control character",
			    "%s with a control character (%zu)", names[i], j);
	ok_err(load_variable("AUTOCERT_EMAIL", "\t a@B \n"), &err,
	    "blanks around an e-mail");
	is(s.email, "a@b", "are trimmed");
	ok_err(load_variable("AUTOCERT_DIR", "/d/\xc3\xa9"), &err,
	    "UTF-8 is no control character");
}

/* -- EAB -- */

static void
test_eab_pair(void)
{
	fails(load_variable("AUTOCERT_EAB_KEY_ID", "kid"), &err, ERR_CONFIG,
	    "Autocert EAB MAC Key required when Key ID is provided",
	    "a key id alone");
	fails(load_variable("AUTOCERT_EAB_MAC_KEY", "c2VjcmV0"), &err,
	    ERR_CONFIG, "Autocert EAB Key ID required when MAC Key is provided",
	    "a MAC key alone");
	begin();
	file("autocert_eab_key_id: kid\n");
	setenv("AUTOCERT_EAB_MAC_KEY", "c2VjcmV0", 1);
	ok_err(load(), &err, "each from elsewhere");
	is(s.eab_key_id, "kid", "are a pair");
}

static void
test_eab_mac(void)
{
	static const char *const bad[] = {"c2VjcmV0MQ==", "ab+/", "c2Vj cmV0",
	    "c2VjcmV0\n", "a", "!", "c2VjcmV0="};
	static const char key[] = "-_-_c2VjcmV0";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		flag("eab-key-id", "kid");
		setenv("AUTOCERT_EAB_MAC_KEY", bad[i], 1);
		fails(load(), &err, ERR_CONFIG,
		    i == 3 ? "autocert_eab_mac_key: a line break" :
		             "environment: decoding base64-urlencoded MAC Key",
		    "no base64url (%zu)", i);
		ok(strstr(err.text, bad[i]) == NULL || i == 4 || i == 5,
		    "and it is not told");
	}
	fails(load_file("autocert_eab_key_id: x\nautocert_eab_mac_key: YQ==\n"),
	    &err, ERR_CONFIG, "/c.yaml:2: decoding base64-urlencoded MAC Key",
	    "nor padded in a file");
	begin();
	flag("eab-key-id", "kid");
	setenv("AUTOCERT_EAB_MAC_KEY", key, 1);
	ok_err(load(), &err, "base64url without padding");
	ok(s.eab_mac.len == 9 &&
	        memcmp(s.eab_mac.data,
	            "\xfb\xff\xbf"
	            "secret",
	            9) == 0,
	    "is decoded");
}

static void
test_eab_variable(void)
{
	const char *value;

	begin();
	flag("eab-key-id", "kid");
	setenv("AUTOCERT_EAB_MAC_KEY", "c2VjcmV0", 1);
	value = getenv("AUTOCERT_EAB_MAC_KEY");
	ok_err(load(), &err, "a MAC key in the environment");
	ok(getenv("AUTOCERT_EAB_MAC_KEY") == NULL, "is not there afterwards");
	is(value, "", "and its bytes are wiped");

	begin();
	put(secret, "ZmxhZw");
	flag("eab-key-id", "kid");
	ok_err(flag("eab-mac-key-file", secret), &err, "also one");
	setenv("AUTOCERT_EAB_MAC_KEY", "c2VjcmV0", 1);
	ok_err(load(), &err, "that a flag beats");
	is(buf_str(&s.eab_mac), "flag", "(it does)");
	ok(getenv("AUTOCERT_EAB_MAC_KEY") == NULL, "is taken away");
}

static void
test_eab_file(void)
{
	static const char *const texts[] = {
	    "c2VjcmV0", "c2VjcmV0\n", "c2VjcmV0\r\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		begin();
		put(secret, texts[i]);
		flag("eab-key-id", "kid");
		ok_err(flag("eab-mac-key-file", secret), &err,
		    "--eab-mac-key-file");
		ok_err(load(), &err, "with or without a line end");
		is(buf_str(&s.eab_mac), "secret", "is decoded");
	}
	begin();
	put(secret, "c2VjcmV0\n\n");
	flag("eab-key-id", "kid");
	flag("eab-mac-key-file", secret);
	fails(load(), &err, ERR_CONFIG,
	    "command line: autocert_eab_mac_key: "
	    "a line break",
	    "but with one only");
	begin();
	put(secret, "YQ==\n");
	flag("eab-key-id", "kid");
	flag("eab-mac-key-file", secret);
	fails(load(), &err, ERR_CONFIG, "decoding base64-urlencoded MAC Key",
	    "and no padding");

	begin();
	fails(flag("eab-mac-key-file", "no/such"), &err, ERR_ABSENT, "no/such",
	    "no such file");
	fails(flag("eab-mac-key-file", tap_tmpdir()), &err, ERR_DATA, NULL,
	    "a folder");
	chmod(secret, 0640);
	fails(flag("eab-mac-key-file", secret), &err, ERR_PERMISSION, NULL,
	    "a file that others can read");
	chmod(secret, 0600);
	ok_err(file_write(
	           AT_FDCWD, secret, "c2Vj\0cmV0", 9, 0600, FILE_REPLACE, &err),
	    &err, "a NUL");
	fails(flag("eab-mac-key-file", secret), &err, ERR_DATA, "a NUL",
	    "does not cut the key short");
}

static void
test_credential(void)
{
	char *path = xasprintf("%s/autocert_eab_mac_key", tap_tmpdir());

	begin();
	put(path, "Y3JlZA\n");
	chmod(path, 0440);
	setenv("CREDENTIALS_DIRECTORY", tap_tmpdir(), 1);
	file("autocert_eab_mac_key: ZmlsZQ\nautocert_eab_key_id: kid\n");
	ok_err(load(), &err, "a credential");
	is(buf_str(&s.eab_mac), "cred", "beats the file");
	is_int(s.values[5].origin, FROM_CREDENTIAL, "and says so");
	begin();
	setenv("CREDENTIALS_DIRECTORY", tap_tmpdir(), 1);
	setenv("AUTOCERT_EAB_MAC_KEY", "ZW52", 1);
	flag("eab-key-id", "kid");
	ok_err(load(), &err, "a credential and a variable");
	is(buf_str(&s.eab_mac), "env", "the variable beats it");

	unlink(path);
	begin();
	setenv("CREDENTIALS_DIRECTORY", tap_tmpdir(), 1);
	ok_err(load(), &err, "other credentials only");
	ok(mkdir(path, 0700) == 0, "a folder in its place");
	begin();
	setenv("CREDENTIALS_DIRECTORY", tap_tmpdir(), 1);
	fails(load(), &err, ERR_DATA, "credential: ", "is not passed over");
	rmdir(path);
	free(path);
}

/* -- where and whom to trust -- */

static void
test_dir(void)
{
	ok_err(load_variable("AUTOCERT_DIR", "certs"), &err, "relative");
	is(s.dir, "certs", "as it is");
	fails(load_variable("AUTOCERT_DIR", "s3://bucket/x"), &err, ERR_CONFIG,
	    "autocert_dir: storage provider s3: not built into this version",
	    "S3");
	fails(load_variable("AUTOCERT_DIR", "gs://bucket"), &err, ERR_CONFIG,
	    "storage provider gs: not built into this version", "GCS");
	fails(load_variable("AUTOCERT_DIR", "s3x://bucket"), &err, ERR_CONFIG,
	    "unknown storage provider: s3x", "a longer scheme");
	fails(load_variable("AUTOCERT_DIR", "s://bucket"), &err, ERR_CONFIG,
	    "unknown storage provider: s", "a shorter scheme");
	fails(load_variable("AUTOCERT_DIR", "file:///x"), &err, ERR_CONFIG,
	    "unknown storage provider: file", "a file URL");
	fails(load_variable("AUTOCERT_DIR", "://"), &err, ERR_CONFIG,
	    "unknown storage provider", "no scheme");
}

static void
test_trusted_text(void)
{
	struct buf b64 = BUF_INIT, folded = BUF_INIT;

	buf_puts(&folded, "autocert_trusted_ca: |\n");
	b64_encode(root, strlen(root), &b64);
	ok_err(load_variable("AUTOCERT_TRUSTED_CA", buf_str(&b64)), &err,
	    "base64 of PEM");
	is(buf_str(&s.trusted_ca), root, "is decoded");
	for (size_t i = 0; i < b64.len; i += 64)
		buf_printf(&folded, "  %.64s\n", buf_str(&b64) + i);
	ok_err(load_file(buf_str(&folded)), &err, "folded over lines");
	is(buf_str(&s.trusted_ca), root, "is the same");
	ok(strpbrk(s.values[8].text, " \n") == NULL, "and shown in one line");
	fails(load_variable("AUTOCERT_TRUSTED_CA", root), &err, ERR_CONFIG,
	    "environment: decoding trusted certificate pool base64",
	    "PEM itself");
	fails(load_variable("AUTOCERT_TRUSTED_CA", "!"), &err, ERR_CONFIG,
	    "decoding trusted certificate pool base64", "no base64");
	fails(load_variable("AUTOCERT_TRUSTED_CA", "bm90aGluZw=="), &err,
	    ERR_CONFIG, "decoding trusted certificate pool base64",
	    "base64 of no certificate");
	fails(load_variable("AUTOCERT_TRUSTED_CA", "\x01"), &err, ERR_CONFIG,
	    "a line break or control character", "a control character");
	buf_release(&b64);
	buf_release(&folded);
}

static void
test_trusted_file(void)
{
	char *path = xasprintf("%s/ca.pem", tap_tmpdir());

	put(path, root);
	ok_err(load_variable("AUTOCERT_TRUSTED_CA_FILE", path), &err,
	    "a file of PEM");
	is(buf_str(&s.trusted_ca), root, "is read");
	begin();
	setenv("AUTOCERT_TRUSTED_CA_FILE", path, 1);
	file("x: 1\nautocert_trusted_ca: Zm9v\n");
	fails(load(), &err, ERR_CONFIG,
	    "providing both Autocert Trusted CA and Trusted CA File is not "
	    "supported",
	    "both forms, wherever they come from");
	begin();
	fails(flag("trusted-ca-file", ""), &err, ERR_CONFIG,
	    "autocert_trusted_ca_file: empty", "--trusted-ca-file \"$UNSET\"");
	begin();
	fails(flag("trusted-ca", ""), &err, ERR_CONFIG,
	    "autocert_trusted_ca: empty", "--trusted-ca \"$UNSET\"");
	put(path,
	    "-----BEGIN CERTIFICATE-----\n"
	    "AAAA\n-----END CERTIFICATE-----\n");
	fails(load_variable("AUTOCERT_TRUSTED_CA_FILE", path), &err, ERR_CONFIG,
	    "bad trusted certificate (bundle) file", "rubbish");
	put(path, "");
	fails(load_variable("AUTOCERT_TRUSTED_CA_FILE", path), &err, ERR_CONFIG,
	    "bad trusted certificate (bundle) file", "an empty file");
	fails(load_variable("AUTOCERT_TRUSTED_CA_FILE", "no/such"), &err,
	    ERR_CONFIG, "environment: bad trusted certificate (bundle) file: ",
	    "no file is a bad configuration");
	free(path);
}

static void
test_trusted_only(void)
{
	char *path = xasprintf("%s/ca.pem", tap_tmpdir());

	put(path, root);
	fails(load_variable("AUTOCERT_TRUSTED_CA_ONLY", "true"), &err,
	    ERR_CONFIG, "environment: autocert_trusted_ca_only: there is no",
	    "only the trusted CA, without one");
	begin();
	flag("trusted-ca-only", NULL);
	flag("trusted-ca-file", path);
	ok_err(load(), &err, "only the trusted CA");
	ok(s.trusted_ca_only && s.trusted_ca.len > 0, "that there is");
	begin();
	flag("trusted-ca-only", NULL);
	flag("no-trusted-ca-only", NULL);
	ok_err(load(), &err, "--no-trusted-ca-only takes it back");
	free(path);
}

/* -- what is printed, what else is read -- */

static void
test_print(void)
{
	struct buf out = BUF_INIT;
	const struct json *o = NULL;
	struct json *doc;
	const char *text = NULL;
	char *want;
	bool on = false;

	begin();
	file("autocert: yes\nautocert_eab_key_id: kid\n"
	     "autocert_eab_mac_key: c2VjcmV0\n");
	setenv("AUTOCERT_EMAIL", "Me@x", 1);
	flag("staging", NULL);
	ok_err(load(), &err, "settings from everywhere");
	settings_print(&s, &out);
	want = xasprintf(
	    "autocert\ttrue\tfile %s:1\n"
	    "autocert_ca\t%s\tdefault\n"
	    "autocert_email\tme@x\tenvironment\n"
	    "autocert_use_staging\ttrue\tflag\n"
	    "autocert_eab_key_id\tkid\tfile %s:2\n"
	    "autocert_eab_mac_key\t(set)\tfile %s:3\n"
	    "autocert_must_staple\tfalse\tdefault\n"
	    "autocert_dir\t/home/me/.local/share/pomerium/autocert\tdefault\n"
	    "autocert_trusted_ca\t\tdefault\n"
	    "autocert_trusted_ca_file\t\tdefault\n"
	    "autocert_trusted_ca_only\tfalse\tdefault\n"
	    "autocert_hosts\t\tdefault\n"
	    "autocert_certificates\t\tdefault\n"
	    "autocert_certificate_dirs\t\tdefault\n"
	    "autocert_order_covered_names\tfalse\tdefault\n"
	    "autocert_deploy_hooks\t/etc/autocert/deploy.d\tdefault\n"
	    "autocert_hook_timeout\t120\tdefault\n",
	    config, staging, config, config);
	is(buf_str(&out), want, "are printed with their origin");
	free(want);

	buf_clear(&out);
	settings_print_json(&s, &out);
	ok(strstr(buf_str(&out), "c2VjcmV0") == NULL &&
	        strstr(buf_str(&out), "secret") == NULL,
	    "JSON without secrets");
	doc = json_parse("settings", out.data, out.len, &err);
	ok_err(doc == NULL ? -1 : 0, &err, "is JSON");
	json_get_object("settings", doc, "autocert", JSON_REQUIRED, &o, &err);
	json_get_bool("autocert", o, "value", JSON_REQUIRED, &on, &err);
	json_get_string("autocert", o, "file", JSON_REQUIRED, &text, &err);
	ok(on, "a switch is a boolean");
	is(text, config, "with its file");
	json_get_object(
	    "settings", doc, "autocert_ca", JSON_REQUIRED, &o, &err);
	json_get_string("ca", o, "origin", JSON_REQUIRED, &text, &err);
	is(text, "default", "and its origin");
	json_free(doc);
	buf_release(&out);
}

static void
set_fd(int fd, const char *suffix)
{
	char *text = xasprintf("%d%s", fd, suffix);

	setenv("AUTOCERT_RESPONDER_FD", text, 1);
	free(text);
}

static void
test_responder_fd(void)
{
	int ends[2], sockets[2], plain = open("/dev/null", O_RDONLY);

	unsetenv("AUTOCERT_RESPONDER_FD");
	is_int(settings_responder_fd(), -1, "no descriptor");
	if (pipe(ends) == -1 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == -1) {
		skip("pipe", "descriptors");
		return;
	}
	set_fd(ends[0], "");
	is_int(settings_responder_fd(), ends[0], "a pipe's reading end");
	set_fd(sockets[0], "");
	is_int(settings_responder_fd(), sockets[0], "a socket");
	set_fd(ends[1], "");
	is_int(settings_responder_fd(), -1, "a pipe's writing end");
	set_fd(plain, "");
	is_int(settings_responder_fd(), -1, "something else");
	set_fd(ends[0], "x");
	is_int(settings_responder_fd(), -1, "no number");
	set_fd(-ends[0], "");
	is_int(settings_responder_fd(), -1, "a negative number");
	set_fd(ends[0], "0000000000000000000");
	is_int(settings_responder_fd(), -1, "a number too large");
	dup2(ends[0], 0);
	setenv("AUTOCERT_RESPONDER_FD", "0", 1);
	is_int(settings_responder_fd(), -1, "a standard stream");
	close(ends[0]);
	set_fd(ends[0], "");
	is_int(settings_responder_fd(), -1, "a closed one");
	close(ends[1]);
	close(sockets[0]);
	close(sockets[1]);
	close(plain);
	unsetenv("AUTOCERT_RESPONDER_FD");
}

static void
test_number(void)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10",
	    "1e3", "9", "61", "99999999999999999999999"};
	long n = 0;

	ok(settings_number("10", 10, 60, &n) == 0 && n == 10, "the least");
	ok(settings_number("060", 10, 60, &n) == 0 && n == 60, "the most");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(settings_number(bad[i], 10, 60, &n), -1,
		    "not a number from 10 to 60: '%s'", bad[i]);
	is_int(settings_number("99999999999999999999999", 0, LONG_MAX, &n), -1,
	    "more than a long holds");
	is_int(n, 60, "nothing is changed then");
}

int
main(void)
{
	config = xasprintf("%s/c.yaml", tap_tmpdir());
	secret = xasprintf("%s/mac", tap_tmpdir());
	log_open("test_settings", LOG_ERROR);
	test_defaults();
	test_file();
	test_which_file();
	test_booleans();
	test_precedence();
	test_flags();
	test_ca();
	test_controls();
	test_eab_pair();
	test_eab_mac();
	test_eab_variable();
	test_eab_file();
	test_credential();
	test_dir();
	test_trusted_text();
	test_trusted_file();
	test_trusted_only();
	test_print();
	test_responder_fd();
	test_number();
	settings_release(&s);
	free(config);
	free(secret);
	return done();
}
