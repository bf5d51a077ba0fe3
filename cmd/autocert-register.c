#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "acme/directory.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "run/enroll.h"
#include "run/run.h"

static const struct cmd cmd = {.name = "autocert-register",
    .usage = "autocert-register [-qv] [-c file] [--ca url] [--dir path] "
             "[--eab-key-id id]\n"
             "    [--eab-mac-key-file file] [--email address] "
             "[--exit-unchanged n] [--json]\n"
             "    [--lock-wait seconds] [--staging] [--trusted-ca base64]\n"
             "    [--trusted-ca-file file] [--trusted-ca-only]"};

/* Registering agrees to the terms, as Pomerium does: so say which. */
static int
say_terms(struct ca *ca, struct err *err)
{
	const struct directory *d = run_directory(ca->run, err);

	if (!d)
		return -1;
	if (d->terms)
		log_info(NULL,
		    "registering agrees to the terms of service at "
		    "%s",
		    d->terms);
	return 0;
}

static void
print_account(const struct enroll *e)
{
	struct buf text = BUF_INIT;
	struct json *o;

	if (!shared.json) {
		printf("%s\n", e->url);
		return;
	}
	o = json_new_object();
	json_add_string(o, "account", e->url);
	json_add_bool(o, "created", e->created);
	json_print(o, JSON_COMPACT, &text);
	json_free(o);
	printf("%s\n", buf_str(&text));
	buf_release(&text);
}

int
main(int argc, char **argv)
{
	const struct settings *s = &shared.settings;
	struct enroll e = {.url = NULL};
	struct ca ca;
	struct err err = ERR_INIT;
	int status = 0, first = cmd_start(&cmd, argc, argv);

	if (first < argc)
		return cmd_usage("%s: no operands are taken", argv[first]);
	if (ca_open_store(&ca, s, &err) == -1 || ca_open(&ca, 0, &err) == -1 ||
	    say_terms(&ca, &err) == -1)
		goto out;
	e.issuer = ca.issuer;
	e.email = s->email;
	e.eab_key_id = s->eab_key_id;
	e.eab_mac = s->eab_mac.data;
	e.eab_mac_len = s->eab_mac.len;
	e.lock_wait_ms = shared.lock_wait_ms;
	if (enroll(ca.run, ca.store, &e, &err) == 0) {
		print_account(&e);
		status = e.created ? 0 : shared.exit_unchanged;
	}
out:
	if (err.code)
		status = cmd_fail(s->ca, &err);
	free(e.url);
	ca_close(&ca);
	return cmd_finish(status);
}
