#include <config.h>

#include "run/manual.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/name.h"
#include "pair.h"
#include "tap.h"

static const time_t now = 1800000000;

#define DAY ((time_t)86400)

#define SERVER "1.3.6.1.5.5.7.3.1"
#define CLIENT "1.3.6.1.5.5.7.3.2"
#define ANY "2.5.29.37.0"

static int
add(struct manual *m, const char *where, const struct pair_spec *spec,
    struct err *err)
{
	struct pair p;
	int rc;

	pair_make(spec, &p);
	rc = manual_add(
	    m, where, p.chain.data, p.chain.len, p.key.data, p.key.len, err);
	pair_release(&p);
	return rc;
}

/* Where the one that covers the name is; "expired WHERE"; or "none". */
static const char *
found(const struct manual *m, const char *name)
{
	static char told[64];
	const struct manual_cert *expired, *c;
	struct identifier id;
	struct err err = ERR_INIT;

	if (identifier_parse(name, &id, &err) == -1)
		return "no name";
	c = manual_find(m, &id, now, &expired);
	if (c)
		return expired ? "both" : c->where;
	if (!expired)
		return "none";
	snprintf(told, sizeof(told), "expired %s", expired->where);
	return told;
}

static void
test_find(void)
{
	static const struct {
		const char *where;
		struct pair_spec spec;
	} certs[] = {{"www",
	                 {.names = {"www.example.com", "192.0.2.1"},
	                     .from = -DAY,
	                     .until = DAY}},
	    {"wild",
	        {.names = {"*.example.com"}, .from = -DAY, .until = 9 * DAY}},
	    {"short",
	        {.names = {"a.example.org", "b.example.org"},
	            .from = -DAY,
	            .until = DAY}},
	    {"long",
	        {.names = {"b.example.org", "c.example.org"},
	            .from = -DAY,
	            .until = 2 * DAY}},
	    {"old",
	        {.names = {"old.example.net", "c.example.org"},
	            .from = -3 * DAY,
	            .until = -DAY}},
	    {"last", {.names = {"last.example.net"}, .from = -DAY, .until = 0}},
	    {"gone",
	        {.names = {"gone.example.net"}, .from = -DAY, .until = -1}},
	    {"first",
	        {.names = {"first.example.net"}, .from = 0, .until = DAY}},
	    {"soon", {.names = {"soon.example.net"}, .from = 1, .until = DAY}}};
	static const struct {
		const char *name, *where;
	} names[] = {{"www.example.com", "www"}, /* though wild lives longer */
	    {"192.0.2.1", "www"}, {"192.0.2.2", "none"},
	    {"mail.example.com", "wild"}, {"example.com", "none"},
	    {"a.b.example.com", "none"}, {"a.example.org", "short"},
	    {"b.example.org", "long"},
	    {"c.example.org", "long"}, /* no word of the old one */
	    {"old.example.net", "expired old"},
	    {"last.example.net", "last"}, /* its last second */
	    {"gone.example.net", "expired gone"},
	    {"first.example.net", "first"}, {"soon.example.net", "none"}};
	struct manual m = {.v = NULL};
	struct err err = ERR_INIT;

	is(found(&m, "www.example.com"), "none", "nothing is there");
	for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
		struct pair_spec spec = certs[i].spec;

		spec.from += now;
		spec.until += now;
		ok_err(add(&m, certs[i].where, &spec, &err), &err, "adding %s",
		    certs[i].where);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		is(found(&m, names[i].name), names[i].where, "%s",
		    names[i].name);
	manual_release(&m);
	is(found(&m, "www.example.com"), "none", "nothing any more");
}

static void
test_purposes(void)
{
	static const struct {
		const char *purposes[2];
		bool good;
		const char *what;
	} rows[] = {{{NULL}, true, "no extended key usage"},
	    {{SERVER}, true, "for servers"},
	    {{CLIENT, SERVER}, true, "for clients and servers"},
	    {{ANY}, true, "for anything"}, {{CLIENT}, false, "for clients"},
	    {{"1.3.6.1.5.5.7.3.3"}, false, "for code"}};
	struct manual m = {.v = NULL};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair_spec spec = {.names = {"www.example.com"},
		    .from = now - DAY,
		    .until = now + DAY};
		struct err err = ERR_INIT;
		int rc;

		memcpy(spec.purposes, rows[i].purposes, sizeof(spec.purposes));
		rc = add(&m, "here", &spec, &err);
		if (rows[i].good)
			ok_err(rc, &err, "%s", rows[i].what);
		else
			fails(rc, &err, ERR_CONFIG,
			    "here: it is not for servers", "%s", rows[i].what);
	}
	is_int((long long)m.n, 4, "only the good ones are kept");
	manual_release(&m);
}

static void
test_refused(void)
{
	const struct pair_spec spec = {.names = {"www.example.com"},
	    .from = now - DAY,
	    .until = now + DAY};
	struct manual m = {.v = NULL};
	struct pair a, b;
	struct err err = ERR_INIT;

	pair_make(&spec, &a);
	pair_make(&spec, &b);
	fails(manual_add(&m, "here", a.chain.data, a.chain.len, b.key.data,
	          b.key.len, &err),
	    &err, ERR_CONFIG, "here: its key is not", "another's key");
	fails(manual_add(&m, "here", a.chain.data, a.chain.len, "", 0, &err),
	    &err, ERR_DATA, "here", "no key");
	fails(manual_add(&m, "here", "", 0, a.key.data, a.key.len, &err), &err,
	    ERR_DATA, "here", "no certificate");
	fails(manual_add(&m, "here", a.key.data, a.key.len, a.chain.data,
	          a.chain.len, &err),
	    &err, ERR_DATA, "here", "one for the other");
	fails(manual_add(&m, "here", a.chain.data, a.chain.len / 2, a.key.data,
	          a.key.len, &err),
	    &err, ERR_DATA, "here", "half a certificate");
	is_int((long long)m.n, 0, "nothing is kept");
	pair_release(&a);
	pair_release(&b);
}

/* -- folders -- */

static void
put(const char *dir, const char *name, const struct buf *b)
{
	char *path = xasprintf("%s/%s", dir, name);
	struct err err = ERR_INIT;

	if (file_write(AT_FDCWD, path, b->data, b->len, 0600, FILE_REPLACE,
	        &err) == -1)
		diag("%s", err.text);
	free(path);
}

static void
put_pair(const char *dir, const char *cert, const char *key, const char *name)
{
	const struct pair_spec spec = {
	    .names = {name}, .from = now - DAY, .until = now + DAY};
	struct pair p;

	pair_make(&spec, &p);
	put(dir, cert, &p.chain);
	if (key)
		put(dir, key, &p.key);
	pair_release(&p);
}

static char *
folder(const char *above, const char *name)
{
	char *path = xasprintf("%s/%s", above, name);

	if (mkdir(path, 0700) == -1)
		diag("%s", path);
	return path;
}

static void
test_folder(void)
{
	char *top = folder(tap_tmpdir(), "certs");
	char *below = folder(top, "live"), *deep = folder(below, "deep");
	struct manual m = {.v = NULL};
	struct err err = ERR_INIT;
	struct buf junk = BUF_INIT;
	char *where;

	buf_puts(&junk, "junk\n");
	put_pair(top, "a.crt", "a.key", "a.test");
	put_pair(top, "b.pem", "b.key", "b.test");
	put_pair(top, "c.cer", "c.key", "c.test");
	put_pair(top, "ca.crt", NULL, "ca.test");
	put_pair(top, "no.txt", "no.key", "no.test");
	put_pair(top, ".crt", ".key", "dot.test");
	put_pair(top, ".h.crt", ".h.key", "hidden.test");
	put_pair(below, "fullchain.pem", "privkey.pem", "live.test");
	put_pair(deep, "d.crt", "d.key", "deep.test");
	put(top, "junk.crt", &junk);
	put(top, "junk.key", &junk);
	ok_err(manual_add_dir(&m, top, &err), &err, "a folder");
	is_int((long long)m.n, 4, "all pairs and nothing else");
	where = xasprintf("%s/a.crt", top);
	is(found(&m, "a.test"), where, "NAME.crt, and where it is");
	free(where);
	ok(strcmp(found(&m, "b.test"), "none") != 0, "NAME.pem");
	ok(strcmp(found(&m, "c.test"), "none") != 0, "NAME.cer");
	ok(strcmp(found(&m, "live.test"), "none") != 0,
	    "fullchain.pem, one folder down");
	is(found(&m, "deep.test"), "none", "but not two");
	is(found(&m, "ca.test"), "none", "not without a key");
	is(found(&m, "hidden.test"), "none", "nor what is hidden");
	where = xasprintf("%s/none", top);
	fails(manual_add_dir(&m, where, &err), &err, ERR_CONFIG, "/none",
	    "no such folder");
	free(where);
	manual_release(&m);
	buf_release(&junk);
	free(deep);
	free(below);
	free(top);
}

static void
test_files(void)
{
	char *cert = xasprintf("%s/certs/a.crt", tap_tmpdir());
	char *key = xasprintf("%s/certs/a.key", tap_tmpdir());
	char *link = xasprintf("%s/link.crt", tap_tmpdir());
	struct manual m = {.v = NULL};
	struct err err = ERR_INIT;

	ok_err(manual_add_files(&m, cert, key, &err), &err, "two files");
	is(found(&m, "a.test"), cert, "are a pair");
	if (symlink("certs/a.crt", link) == -1)
		diag("symlink");
	ok_err(manual_add_files(&m, link, key, &err), &err, "a symbolic link");
	fails(manual_add_files(&m, "no.crt", key, &err), &err, ERR_ABSENT,
	    "no.crt", "no certificate file");
	fails(manual_add_files(&m, cert, "no.key", &err), &err, ERR_ABSENT,
	    "no.key", "no key file");
	fails(manual_add_files(&m, tap_tmpdir(), key, &err), &err, ERR_DATA,
	    NULL, "a folder");
	is_int((long long)m.n, 2, "the good ones are kept");
	manual_release(&m);
	free(link);
	free(key);
	free(cert);
}

int
main(void)
{
	log_open("test", LOG_ERROR);
	test_find();
	test_purposes();
	test_refused();
	test_folder();
	test_files();
	return done();
}
