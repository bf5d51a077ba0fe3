#include <config.h>

#include "acme/account.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme/directory.h"
#include "acme/problem.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/url.h"
#include "pki/jws.h"

struct account {
	const struct account_spec *spec;
	struct flow flow;
	char *url;
	bool created;
	struct json *object; /* the server's latest */
	char *payload;       /* of the ask under way */
};

static char *
print(struct json *payload) /* takes */
{
	struct buf text = BUF_INIT;
	char *out;

	json_print(payload, JSON_COMPACT, &text);
	json_free(payload);
	out = xstrdup(buf_str(&text));
	buf_release(&text);
	return out;
}

static struct json *
contact(const struct account_spec *spec)
{
	struct json *list = json_new_array();
	char *mailto;

	if (*spec->email) {
		mailto = xasprintf("mailto:%s", spec->email);
		json_append_string(list, mailto);
		free(mailto);
	}
	return list;
}

/* Whether the server's object carries another contact than is wanted.  A CA
 * that keeps none (Let's Encrypt) sends none: that is no difference. */
static bool
contact_differs(const struct account *a)
{
	const struct json *list = NULL;
	const char *first;

	if (a->object)
		(void)json_get_array("account", a->object, "contact",
		    JSON_OPTIONAL, &list, NULL);
	if (!list || json_len(list) == 0)
		return false;
	first = json_string_at(list, 0);
	return json_len(list) != 1 || !first || !*a->spec->email ||
	    strncmp(first, "mailto:", 7) != 0 ||
	    strcmp(first + 7, a->spec->email) != 0;
}

static int
read_object(struct account *a, const struct answer *answer, struct err *err)
{
	struct json *doc = json_parse(
	    "account", answer->body, answer->body_len, err);
	const char *status;

	if (!doc ||
	    json_get_string(
	        "account", doc, "status", JSON_REQUIRED, &status, err) == -1) {
		if (err)
			err->code = ERR_PROTOCOL;
		json_free(doc);
		return -1;
	}
	if (strcmp(status, "valid") != 0) {
		err_set(err, ERR_PERMISSION,
		    "the account is %.32s at the CA: "
		    "move its key out of the store and register anew",
		    status);
		json_free(doc);
		return -1;
	}
	json_free(a->object);
	a->object = doc;
	return 0;
}

static struct ask *
ask_new_account(struct account *a, struct asks *asks, struct json *payload)
{
	struct ask *ask = asks_add(asks, ASK_POST_JWK, "newAccount");

	free(a->payload);
	a->payload = print(payload);
	ask->url = a->spec->directory->new_account;
	ask->payload = a->payload;
	return ask;
}

/* The account URL is the Location (RFC 8555, 7.3). */
static int
got_account(struct account *a, const struct answer *answer, struct err *err)
{
	if (!answer->location)
		return err_set(err, ERR_PROTOCOL,
		    "newAccount: the answer has no Location");
	if (url_check_acme("newAccount: Location", answer->location, err) ==
	        -1 ||
	    read_object(a, answer, err) == -1)
		return FLOW_FAIL;
	free(a->url);
	a->url = xstrdup(answer->location);
	return FLOW_NEXT;
}

/* -- find (RFC 8555, 7.3.1) -- */

static int
ask_find(void *self, struct asks *asks, struct err *err)
{
	struct account *a = self;
	struct json *payload;

	(void)err;
	if (a->url || a->spec->key_is_new)
		return 0;
	payload = json_new_object();
	json_add_bool(payload, "onlyReturnExisting", true);
	ask_new_account(a, asks, payload);
	return 0;
}

static int
got_find(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct account *a = self;
	struct err why = ERR_INIT;

	if (problem_check(ask->what, answer, &why) == 0)
		return got_account(a, answer, err);
	/* some CAs ask for a binding before they look (acme-protocol: EAB) */
	if (!a->spec->only_existing &&
	    (problem_is(&why, "accountDoesNotExist") ||
	        problem_is(&why, "externalAccountRequired")))
		return FLOW_NEXT;
	*err = why;
	return FLOW_FAIL;
}

/* -- new -- */

static int
add_eab(const struct account_spec *spec, struct json *payload, struct err *err)
{
	struct buf text = BUF_INIT;
	struct json *eab = NULL;

	if (jws_eab(spec->key, spec->eab_key_id, spec->eab_mac,
	        spec->eab_mac_len, spec->directory->new_account, &text,
	        err) == 0)
		eab = json_parse(
		    "externalAccountBinding", text.data, text.len, err);
	buf_release(&text);
	if (!eab)
		return -1;
	json_add(payload, "externalAccountBinding", eab);
	return 0;
}

static int
ask_new(void *self, struct asks *asks, struct err *err)
{
	struct account *a = self;
	const struct account_spec *spec = a->spec;
	struct json *payload;

	if (a->url)
		return 0;
	if (spec->directory->eab_required && !spec->eab_key_id)
		return err_set(err, ERR_PERMISSION,
		    "this CA binds accounts to "
		    "external ones: set autocert_eab_key_id and "
		    "autocert_eab_mac_key to what it gave you");
	payload = json_new_object();
	json_add_bool(payload, "termsOfServiceAgreed", true);
	if (*spec->email)
		json_add(payload, "contact", contact(spec));
	if (spec->eab_key_id && add_eab(spec, payload, err) == -1) {
		json_free(payload);
		return -1;
	}
	ask_new_account(a, asks, payload);
	return 0;
}

/* A binding that the CA refuses is the operator's to mend. */
static int
eab_refused(struct err *err)
{
	struct err why = *err;

	err_set(err, ERR_PERMISSION,
	    "%s (autocert_eab_key_id and "
	    "autocert_eab_mac_key are not what this CA gave out)",
	    why.text);
	err->http = why.http;
	memcpy(err->type, why.type, sizeof(err->type));
	return FLOW_FAIL;
}

static int
got_new(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct account *a = self;

	if (problem_check(ask->what, answer, err) == -1)
		return a->spec->eab_key_id &&
		        (problem_is(err, "unauthorized") ||
		            problem_is(err, "malformed")) ?
		    eab_refused(err) :
		    FLOW_FAIL;
	a->created = answer->status == 201;
	return got_account(a, answer, err);
}

/* -- update (RFC 8555, 7.3.2) -- */

static int
ask_update(void *self, struct asks *asks, struct err *err)
{
	struct account *a = self;
	struct json *payload;
	struct ask *ask;

	(void)err;
	if (a->created || (a->object && !contact_differs(a)))
		return 0;
	free(a->payload);
	a->payload = NULL;
	if (contact_differs(a)) {
		payload = json_new_object();
		json_add(payload, "contact", contact(a->spec));
		a->payload = print(payload);
	}
	ask = asks_add(asks, ASK_POST, "account");
	ask->url = a->url;
	ask->payload = a->payload ? a->payload : "";
	return 0;
}

static int
got_update(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct account *a = self;
	bool looked = *ask->payload == '\0';

	if (problem_check(ask->what, answer, err) == -1 ||
	    read_object(a, answer, err) == -1)
		return FLOW_FAIL;
	/* what was only a look may show another contact; an update is final */
	return looked && contact_differs(a) ? FLOW_STAY : FLOW_NEXT;
}

/* -- save -- */

static int
ask_save(void *self, struct asks *asks, struct err *err)
{
	(void)self, (void)err;
	asks_add(asks, ASK_LOCAL, "save")->local = LOCAL_SAVE;
	return 0;
}

struct account *
account_new(const struct account_spec *spec, struct err *err)
{
	static const struct step steps[] = {
	    {"find", ask_find, got_find},
	    {"new", ask_new, got_new},
	    {"update", ask_update, got_update},
	    {"save", ask_save, NULL},
	    {NULL, NULL, NULL},
	};
	struct account *a;

	if (spec->url && url_check_acme("account URL", spec->url, err) == -1)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->spec = spec;
	if (spec->url)
		a->url = xstrdup(spec->url);
	flow_init(&a->flow, "account", steps, SIZE_MAX, a);
	return a;
}

void
account_free(struct account *a)
{
	if (!a)
		return;
	free(a->url);
	free(a->payload);
	json_free(a->object);
	flow_release(&a->flow);
	free(a);
}

struct flow *
account_flow(struct account *a)
{
	return &a->flow;
}

const char *
account_url(const struct account *a)
{
	return a->url;
}

bool
account_created(const struct account *a)
{
	return a->created;
}

struct json *
account_record(const struct account *a)
{
	struct json *record = json_new_object();
	const struct json *list = NULL;
	const char *orders = NULL;

	json_add_string(record, "status", "valid");
	if (a->object) {
		(void)json_get_array("account", a->object, "contact",
		    JSON_OPTIONAL, &list, NULL);
		(void)json_get_string("account", a->object, "orders",
		    JSON_OPTIONAL, &orders, NULL);
	}
	if (list && json_len(list))
		json_add(record, "contact", json_copy(list));
	else if (*a->spec->email)
		json_add(record, "contact", contact(a->spec));
	json_add_bool(record, "termsOfServiceAgreed", true);
	if (orders)
		json_add_string(record, "orders", orders);
	json_add_string(record, "location", a->url);
	return record;
}
