#include <config.h>

#include "cmd/issued.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/settings.h"
#include "store/certificate.h"
#include "store/layout.h"
#include "store/store.h"

enum { JOBS_MAX = 1000 };

int
issued_jobs(const char *arg, long *out, struct err *err)
{
	if (settings_number(arg, 1, JOBS_MAX, out) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "--jobs: not a number from 1 to %d: %s",
	    JOBS_MAX, arg);
}

static void
print_json(const struct certificate *c, const char *expires, const char *path)
{
	struct json *o = json_new_object(), *names = json_new_array();
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < c->cert.n_names; i++)
		json_append_string(names, c->cert.names[i].value);
	json_add_string(o, "name", c->name);
	json_add(o, "names", names);
	json_add_string(o, "expires", expires);
	json_add_string(o, "path", path);
	json_print(o, JSON_COMPACT, &text);
	json_free(o);
	printf("%s\n", buf_str(&text));
	buf_release(&text);
}

static int
load(struct store *store, const char *issuer, const char *name,
    struct certificate *c, struct err *err)
{
	char folder[LAYOUT_KEY_MAX];

	if (name_safe(name, folder, sizeof(folder)) == -1)
		return err_bug(err, "a certificate without a folder");
	return certificate_load(store, issuer, folder, false, c, err);
}

void
issued_print(struct store *store, const char *issuer, const char *name)
{
	struct certificate c;
	struct err err = ERR_INIT;
	struct buf path = BUF_INIT;
	char expires[DATE_MAX];

	if (load(store, issuer, name, &c, &err) == -1) {
		log_err(name, &err);
		return;
	}
	date_format(c.cert.not_after, expires);
	buf_printf(&path, "%s/certificates/%s/%s", store_location(store),
	    issuer, c.name);
	if (shared.json)
		print_json(&c, expires, buf_str(&path));
	else
		printf("%s\t%s\t%s\n", c.name, expires, buf_str(&path));
	fflush(stdout);
	buf_release(&path);
	certificate_release(&c);
}
