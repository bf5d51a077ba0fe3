#include <config.h>

#include "acme/order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme/directory.h"
#include "acme/problem.h"
#include "base/buf.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/log.h"
#include "base/url.h"
#include "pki/cert.h"

enum {
	/* the responder's hits end the first wait; without one, half a second */
	LOOK_FIRST_MS = 500,
	LOOK_MAX_MS = 15 * 1000,
	/* most CAs sign within a round trip: one early look after finalize,
	 * then as the CA says */
	ISSUED_FIRST_MS = 5,
	ISSUED_NEXT_MS = 500,
	RETRY_AFTER_MAX_S = 60
};

/* One authorization of the order, as far as it has been read. */
struct slot {
	char *url;
	struct authz authz;
	bool read, presented;
	const struct challenge *challenge; /* chosen; into authz */
};

struct order {
	const struct order_spec *spec;
	struct flow flow;

	char *url;
	enum status status;
	char *finalize_url, *certificate_url;
	struct err error; /* the order's own "error" */
	struct slot *slots;
	size_t n_slots;
	unsigned tried;
	bool validation_failed;

	bool resuming; /* the journalled order is being asked */
	bool resumed;
	char *new_order; /* newOrder's payload */
	char *finalize;  /* finalize's */
	struct buf csr;  /* base64url */
	struct buf chain;

	int64_t wait_ms;    /* before the next look */
	bool reasons_asked; /* authorizations of an invalid order */
	bool reread;        /* finalize came too early: look again */
	bool reread_done;
};

/* -- the order object -- */

static bool
ordered(const struct order *o, const struct identifier *id)
{
	for (size_t i = 0; i < o->spec->n_names; i++)
		if (identifier_equal(&o->spec->names[i], id))
			return true;
	return false;
}

/* The identifiers must be those that were ordered (RFC 8555, 7.4). */
static int
check_identifiers(
    const struct order *o, const struct json *doc, struct err *err)
{
	const struct json *list, *item;
	struct identifier id;
	const char *value;

	if (json_get_array(
	        "order", doc, "identifiers", JSON_REQUIRED, &list, err) == -1)
		return -1;
	for (size_t i = 0; i < json_len(list); i++) {
		if (!(item = json_object_at(list, i)))
			return err_set(err, ERR_PROTOCOL,
			    "order: an identifier is no object");
		if (json_get_string("identifier", item, "value", JSON_REQUIRED,
		        &value, err) == -1 ||
		    identifier_parse(value, &id, err) == -1)
			return -1;
		if (!ordered(o, &id))
			return err_set(err, ERR_PROTOCOL,
			    "the CA's order names %s, which was not ordered",
			    id.value);
	}
	if (json_len(list) != o->spec->n_names)
		return err_set(err, ERR_PROTOCOL,
		    "the CA's order has %zu identifiers, %zu were ordered",
		    json_len(list), o->spec->n_names);
	return 0;
}

static int
get_url(const struct json *doc, const char *member, enum json_need need,
    char **out, struct err *err)
{
	const char *text = NULL;

	if (json_get_string("order", doc, member, need, &text, err) == -1)
		return -1;
	if (!text)
		return 0;
	if (url_check_acme(member, text, err) == -1)
		return err_wrap(err, "order");
	free(*out);
	*out = xstrdup(text);
	return 0;
}

static bool
have_slot(const struct order *o, const char *url)
{
	for (size_t i = 0; i < o->n_slots; i++)
		if (strcmp(o->slots[i].url, url) == 0)
			return true;
	return false;
}

/* The list of authorizations, once; one named twice counts once. */
static int
read_authorizations(struct order *o, const struct json *doc, struct err *err)
{
	const struct json *list;
	const char *url;

	if (o->slots)
		return 0;
	if (json_get_array("order", doc, "authorizations", JSON_REQUIRED, &list,
	        err) == -1)
		return -1;
	if (json_len(list) > 2 * (size_t)ORDER_NAMES_MAX)
		return err_set(err, ERR_PROTOCOL,
		    "order: %zu authorizations are too many", json_len(list));
	o->slots = xcalloc(json_len(list) + 1, sizeof(*o->slots));
	for (size_t i = 0; i < json_len(list); i++) {
		if (!(url = json_string_at(list, i)))
			return err_set(err, ERR_PROTOCOL,
			    "order: an authorization is no URL");
		if (url_check_acme("authorization", url, err) == -1)
			return err_wrap(err, "order");
		if (!have_slot(o, url))
			o->slots[o->n_slots++].url = xstrdup(url);
	}
	return 0;
}

static int
read_status(const struct json *doc, enum status *out, struct err *err)
{
	const char *word;

	if (json_get_string(
	        "order", doc, "status", JSON_REQUIRED, &word, err) == -1)
		return -1;
	if (status_parse(word, out) == -1 || *out > STATUS_INVALID)
		return err_set(err, ERR_PROTOCOL,
		    "order: status \"%.32s\" is none of RFC 8555's", word);
	return 0;
}

static int
read_members(struct order *o, const struct json *doc, struct err *err)
{
	const struct json *problem = NULL;
	enum status status;

	if (read_status(doc, &status, err) == -1 ||
	    check_identifiers(o, doc, err) == -1 ||
	    read_authorizations(o, doc, err) == -1 ||
	    get_url(doc, "finalize", JSON_REQUIRED, &o->finalize_url, err) ==
	        -1 ||
	    get_url(doc, "certificate",
	        status == STATUS_VALID ? JSON_REQUIRED : JSON_OPTIONAL,
	        &o->certificate_url, err) == -1 ||
	    json_get_object(
	        "order", doc, "error", JSON_OPTIONAL, &problem, err) == -1)
		return -1;
	if (problem) {
		err_clear(&o->error);
		problem_read("order", problem, &o->error);
	}
	o->status = status;
	return 0;
}

static int
read_order(struct order *o, const struct answer *answer, struct err *err)
{
	struct json *doc = json_parse(
	    "order", answer->body, answer->body_len, err);
	int rc = doc ? read_members(o, doc, err) : -1;

	/* what a CA sends is its protocol, whoever noticed */
	if (rc == -1 && err)
		err->code = ERR_PROTOCOL;
	json_free(doc);
	return rc;
}

/* An invalid order's last word. */
static int
order_failed(const struct order *o, struct err *err)
{
	if (o->error.code == ERR_NONE)
		return err_set(err, ERR_PROTOCOL,
		    "the order has become invalid, and the CA does not say "
		    "why");
	*err = o->error;
	return -1;
}

static struct ask *
ask_order(struct order *o, struct asks *asks)
{
	struct ask *ask = asks_add(asks, ASK_POST, "order");

	ask->url = o->url;
	ask->payload = "";
	ask->delay_ms = o->wait_ms;
	return ask;
}

/* How long until the next look: as the CA says, within reason; half as long
 * again when it says nothing. */
static void
wait_longer(struct order *o, const struct answer *answer, int64_t least)
{
	int64_t said = answer->retry_after;

	if (said >= 0)
		o->wait_ms = 1000 *
		    (said > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : said);
	else
		o->wait_ms += o->wait_ms / 2;
	if (o->wait_ms < least)
		o->wait_ms = least;
	if (said < 0 && o->wait_ms > LOOK_MAX_MS)
		o->wait_ms = LOOK_MAX_MS;
}

/* -- new-order -- */

static int
ask_new_order(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;
	struct ask *ask;

	(void)err;
	ask = asks_add(asks, ASK_POST, o->resuming ? "order" : "newOrder");
	ask->url = o->resuming ? o->spec->resume_url :
	                         o->spec->directory->new_order;
	ask->payload = o->resuming ? "" : o->new_order;
	return 0;
}

/* Whether the journalled order leads to a certificate whose key we have. */
static bool
worth_resuming(const struct order *o)
{
	switch (o->status) {
	case STATUS_PENDING:
	case STATUS_READY:
		return true;
	case STATUS_PROCESSING:
	case STATUS_VALID:
		return o->spec->resume_key;
	default:
		return false;
	}
}

static void
forget(struct order *o)
{
	for (size_t i = 0; i < o->n_slots; i++)
		free(o->slots[i].url);
	free(o->slots);
	o->slots = NULL;
	o->n_slots = 0;
	err_clear(&o->error);
	o->resuming = false;
}

static int
got_resumed(struct order *o, const struct answer *answer, struct err *err)
{
	struct err why = ERR_INIT;

	if (answer->status >= 500)
		return problem_check("order", answer, err);
	if (problem_check("order", answer, &why) == -1 ||
	    read_order(o, answer, &why) == -1 || !worth_resuming(o)) {
		log_info(o->spec->name,
		    "the order begun earlier is of no use: %s",
		    why.code ? why.text : status_name(o->status));
		forget(o);
		return FLOW_STAY;
	}
	o->url = xstrdup(o->spec->resume_url);
	o->resumed = true;
	o->resuming = false;
	log_info(o->spec->name, "resuming the order begun earlier");
	return FLOW_NEXT;
}

static int
got_new_order(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;

	if (o->resuming)
		return got_resumed(o, answer, err);
	if (problem_check(ask->what, answer, err) == -1)
		return FLOW_FAIL;
	if (!answer->location)
		return err_set(
		    err, ERR_PROTOCOL, "newOrder: the answer has no Location");
	if (url_check_acme("newOrder: Location", answer->location, err) == -1 ||
	    read_order(o, answer, err) == -1)
		return FLOW_FAIL;
	o->url = xstrdup(answer->location);
	return o->status == STATUS_INVALID ? order_failed(o, err) : FLOW_NEXT;
}

/* -- journal -- */

static int
ask_journal(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	(void)err;
	if (!o->resumed)
		asks_add(asks, ASK_LOCAL, "journal")->local = LOCAL_JOURNAL;
	return 0;
}

/* -- authorizations -- */

static void
ask_authz(struct order *o, struct asks *asks, size_t i)
{
	struct ask *ask = asks_add(asks, ASK_POST, "authorization");

	ask->url = o->slots[i].url;
	ask->payload = "";
	ask->index = i;
}

static int
ask_authorizations(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	if (o->status != STATUS_PENDING)
		return 0;
	if (o->n_slots == 0)
		return err_set(err, ERR_PROTOCOL,
		    "the order is pending, and names no authorization");
	for (size_t i = 0; i < o->n_slots; i++)
		ask_authz(o, asks, i);
	return 0;
}

/* RFC 8555, 7.1.3: a wildcard's authorization names the domain below it. */
static bool
is_of_order(const struct order *o, const struct authz *a)
{
	for (size_t i = 0; i < o->spec->n_names; i++) {
		const struct identifier *id = &o->spec->names[i];
		const char *value = id->wildcard ? id->value + 2 : id->value;

		if (id->type == a->identifier.type &&
		    id->wildcard == a->wildcard &&
		    strcmp(value, a->identifier.value) == 0)
			return true;
	}
	return false;
}

static int
choose(struct order *o, struct slot *slot, struct err *err)
{
	struct buf offered = BUF_INIT;

	for (size_t i = 0; i < o->spec->n_challenges; i++) {
		slot->challenge = authz_challenge(
		    &slot->authz, o->spec->challenges[i]);
		if (slot->challenge) {
			o->tried |= 1u << slot->challenge->type;
			return 0;
		}
	}
	for (size_t i = 0; i < slot->authz.n_challenges; i++)
		buf_printf(&offered, " %s",
		    challenge_type_name(slot->authz.challenges[i].type));
	err_set(err, ERR_PROTOCOL,
	    "%s: the CA offers none of the challenge types wanted, but%s",
	    slot->authz.identifier.value,
	    offered.len ? buf_str(&offered) : " none that is known here");
	buf_release(&offered);
	return -1;
}

static int
got_authorization(void *self, const struct ask *ask,
    const struct answer *answer, struct err *err)
{
	struct order *o = self;
	struct slot *slot = &o->slots[ask->index];

	if (problem_check(ask->what, answer, err) == -1 ||
	    authz_read(answer->body, answer->body_len, &slot->authz, err) == -1)
		return FLOW_FAIL;
	slot->read = true;
	if (!is_of_order(o, &slot->authz))
		return err_set(err, ERR_PROTOCOL,
		    "the CA wants an authorization for %s, which was not "
		    "ordered",
		    slot->authz.identifier.value);
	switch (slot->authz.status) {
	case STATUS_VALID:
		return FLOW_NEXT;
	case STATUS_PENDING:
	case STATUS_PROCESSING:
		return choose(o, slot, err);
	default:
		o->validation_failed = true;
		return authz_error(
		    answer->body, answer->body_len, &slot->authz, err);
	}
}

/* -- present, respond, cleanup -- */

static int
ask_present(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	(void)err;
	for (size_t i = 0; i < o->n_slots; i++) {
		struct ask *ask;

		if (!o->slots[i].challenge)
			continue;
		/* even a failed present may have left something behind */
		o->slots[i].presented = true;
		ask = asks_add(asks, ASK_LOCAL, "present");
		ask->local = LOCAL_PRESENT;
		ask->index = i;
	}
	return 0;
}

static void
ask_key_now(struct order *o, struct asks *asks)
{
	if (o->csr.len == 0)
		asks_add(asks, ASK_LOCAL, "key")->local = LOCAL_KEY;
}

static int
ask_respond(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;
	struct ask *ask;

	(void)err;
	for (size_t i = 0; i < o->n_slots; i++) {
		const struct challenge *c = o->slots[i].challenge;

		/* RFC 8555, 7.1.6: one that is processing has had its answer */
		if (!c || c->status != STATUS_PENDING)
			continue;
		ask = asks_add(asks, ASK_POST, "challenge");
		ask->url = c->url;
		ask->payload = "{}";
		ask->index = i;
	}
	/* the key is made while the CA validates */
	if (o->status == STATUS_PENDING)
		ask_key_now(o, asks);
	return 0;
}

static void
keep_csr(struct order *o, const struct answer *answer)
{
	buf_clear(&o->csr);
	b64url_encode(answer->body, answer->body_len, &o->csr);
}

static int
got_respond(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;
	struct err why = ERR_INIT;

	if (ask->local == LOCAL_KEY) {
		keep_csr(o, answer);
		return FLOW_NEXT;
	}
	if (problem_check(ask->what, answer, &why) == 0)
		return FLOW_NEXT;
	/* the run before, or a request whose answer was lost, may have done it:
	 * the order will tell */
	if ((o->resumed || answer->repeated) && problem_is(&why, "malformed"))
		return FLOW_NEXT;
	*err = why;
	return FLOW_FAIL;
}

static int
ask_cleanup(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;
	struct ask *ask;

	(void)err;
	for (size_t i = 0; i < o->n_slots; i++) {
		if (!o->slots[i].presented)
			continue;
		ask = asks_add(asks, ASK_LOCAL, "cleanup");
		ask->local = LOCAL_CLEANUP;
		ask->index = i;
	}
	return 0;
}

/* -- until-ready -- */

static int
ask_until_ready(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	if (o->status == STATUS_INVALID) {
		if (o->reasons_asked || o->n_slots == 0)
			return order_failed(o, err);
		o->reasons_asked = true;
		for (size_t i = 0; i < o->n_slots; i++)
			ask_authz(o, asks, i);
		return 0;
	}
	if (o->status != STATUS_PENDING)
		return 0;
	if (o->wait_ms == 0) {
		log_info(
		    o->spec->name, "waiting for the order to become ready");
		o->wait_ms = LOOK_FIRST_MS;
	}
	ask_order(o, asks)->wake = true;
	return 0;
}

/* Which authorization failed, and why (RFC 8555, 7.1.6). */
static int
got_reason(struct order *o, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct authz a;

	if (problem_check(ask->what, answer, err) == -1 ||
	    authz_read(answer->body, answer->body_len, &a, err) == -1)
		return FLOW_FAIL;
	authz_release(&a);
	if (a.status != STATUS_INVALID)
		return FLOW_STAY;
	o->validation_failed = true;
	return authz_error(answer->body, answer->body_len, &a, err);
}

static int
got_until_ready(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;

	if (o->status == STATUS_INVALID)
		return got_reason(o, ask, answer, err);
	if (problem_check(ask->what, answer, err) == -1 ||
	    read_order(o, answer, err) == -1)
		return FLOW_FAIL;
	wait_longer(o, answer, LOOK_FIRST_MS);
	return o->status == STATUS_PENDING || o->status == STATUS_INVALID ?
	    FLOW_STAY :
	    FLOW_NEXT;
}

/* -- key, finalize, until-valid -- */

static int
ask_key(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	(void)err;
	if (o->status == STATUS_READY)
		ask_key_now(o, asks);
	return 0;
}

static int
got_key(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	(void)ask, (void)err;
	keep_csr(self, answer);
	return FLOW_NEXT;
}

static int
ask_finalize(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;
	struct json *payload;
	struct buf text = BUF_INIT;
	struct ask *ask;

	(void)err;
	o->wait_ms = 0;
	if (o->reread && !o->reread_done) {
		ask_order(o, asks);
		return 0;
	}
	if (o->status != STATUS_READY)
		return 0;
	payload = json_new_object();
	json_add_string(payload, "csr", buf_str(&o->csr));
	json_print(payload, JSON_COMPACT, &text);
	json_free(payload);
	free(o->finalize);
	o->finalize = xstrdup(buf_str(&text));
	buf_release(&text);

	ask = asks_add(asks, ASK_POST, "finalize");
	ask->url = o->finalize_url;
	ask->payload = o->finalize;
	return 0;
}

static int
got_finalize(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;
	struct err why = ERR_INIT;

	if (problem_check(ask->what, answer, &why) == -1) {
		/* RFC 8555, 7.4: not ready any more, or the first finalize
		 * was heard and its answer lost */
		if (!problem_is(&why, "orderNotReady") || o->reread) {
			*err = why;
			return FLOW_FAIL;
		}
		o->reread = true;
		return FLOW_STAY;
	}
	if (read_order(o, answer, err) == -1)
		return FLOW_FAIL;
	if (o->reread && !o->reread_done) {
		o->reread_done = true;
		return o->status == STATUS_READY ? FLOW_STAY : FLOW_NEXT;
	}
	o->wait_ms = ISSUED_FIRST_MS;
	return FLOW_NEXT;
}

static int
ask_until_valid(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;

	if (o->status == STATUS_VALID)
		return 0;
	if (o->status == STATUS_INVALID)
		return order_failed(o, err);
	if (o->status == STATUS_PENDING)
		return err_set(err, ERR_PROTOCOL,
		    "the order was ready, and is pending again");
	ask_order(o, asks);
	return 0;
}

static int
got_until_valid(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;

	if (problem_check(ask->what, answer, err) == -1 ||
	    read_order(o, answer, err) == -1)
		return FLOW_FAIL;
	wait_longer(o, answer, ISSUED_NEXT_MS);
	return FLOW_STAY;
}

/* -- certificate, install -- */

static int
ask_certificate(void *self, struct asks *asks, struct err *err)
{
	struct order *o = self;
	struct ask *ask = asks_add(asks, ASK_POST, "certificate");

	(void)err;
	ask->url = o->certificate_url;
	ask->payload = "";
	ask->accept = "application/pem-certificate-chain";
	ask->body_max = CERT_SIZE;
	return 0;
}

static int
got_certificate(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct order *o = self;

	if (problem_check(ask->what, answer, err) == -1)
		return FLOW_FAIL;
	if (strcmp(answer->content_type, ask->accept) != 0)
		return err_set(err, ERR_PROTOCOL,
		    "certificate: the CA sent \"%.64s\", not %s",
		    answer->content_type, ask->accept);
	buf_put(&o->chain, answer->body, answer->body_len);
	return FLOW_NEXT;
}

static int
ask_install(void *self, struct asks *asks, struct err *err)
{
	(void)self, (void)err;
	asks_add(asks, ASK_LOCAL, "install")->local = LOCAL_INSTALL;
	return 0;
}

/* -- the table -- */

enum { ROW_CLEANUP = 6 };

static const struct step steps[] = {
    {"new-order", ask_new_order, got_new_order},
    {"journal", ask_journal, NULL},
    {"authorizations", ask_authorizations, got_authorization},
    {"present", ask_present, NULL},
    {"respond", ask_respond, got_respond},
    {"until-ready", ask_until_ready, got_until_ready},
    [ROW_CLEANUP] = {"cleanup", ask_cleanup, NULL},
    {"key", ask_key, got_key},
    {"finalize", ask_finalize, got_finalize},
    {"until-valid", ask_until_valid, got_until_valid},
    {"certificate", ask_certificate, got_certificate},
    {"install", ask_install, NULL},
    {NULL, NULL, NULL},
};

/* RFC 8555, 7.4: the identifiers, in the order they were given. */
static char *
new_order_payload(const struct order_spec *spec)
{
	struct json *payload = json_new_object(), *list = json_new_array();
	struct buf text = BUF_INIT;
	char *out;

	for (size_t i = 0; i < spec->n_names; i++) {
		struct json *id = json_new_object();

		json_add_string(
		    id, "type", identifier_type_name(spec->names[i].type));
		json_add_string(id, "value", spec->names[i].value);
		json_append(list, id);
	}
	json_add(payload, "identifiers", list);
	/* only a CA that has renewal information knows the member */
	if (spec->replaces && spec->directory->renewal_info)
		json_add_string(payload, "replaces", spec->replaces);
	json_print(payload, JSON_COMPACT, &text);
	json_free(payload);
	out = xstrdup(buf_str(&text));
	buf_release(&text);
	return out;
}

struct order *
order_new(const struct order_spec *spec, struct err *err)
{
	struct order *o;

	if (spec->n_names == 0 || spec->n_names > ORDER_NAMES_MAX) {
		err_set(err, ERR_USAGE, "%s: %zu names; an order takes 1 to %d",
		    spec->name, spec->n_names, ORDER_NAMES_MAX);
		return NULL;
	}
	o = xcalloc(1, sizeof(*o));
	o->spec = spec;
	o->resuming = spec->resume_url != NULL;
	o->new_order = new_order_payload(spec);
	flow_init(&o->flow, spec->name, steps, ROW_CLEANUP, o);
	return o;
}

void
order_free(struct order *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_slots; i++) {
		free(o->slots[i].url);
		authz_release(&o->slots[i].authz);
	}
	free(o->slots);
	free(o->url);
	free(o->finalize_url);
	free(o->certificate_url);
	free(o->new_order);
	free(o->finalize);
	buf_release(&o->csr);
	buf_release(&o->chain);
	flow_release(&o->flow);
	free(o);
}

struct flow *
order_flow(struct order *o)
{
	return &o->flow;
}

const char *
order_url(const struct order *o)
{
	return o->url;
}

const char *
order_certificate_url(const struct order *o)
{
	return o->certificate_url;
}

const struct buf *
order_chain(const struct order *o)
{
	return &o->chain;
}

unsigned
order_tried(const struct order *o)
{
	return o->tried;
}

bool
order_validation_failed(const struct order *o)
{
	return o->validation_failed;
}

bool
order_resumed(const struct order *o)
{
	return o->resumed;
}

void
order_challenge(
    const struct order *o, size_t index, struct order_challenge *out)
{
	const struct slot *slot = &o->slots[index];

	out->type = slot->challenge->type;
	out->identifier = &slot->authz.identifier;
	out->token = slot->challenge->token;
	out->url = slot->challenge->url;
	key_authorization(
	    out->token, o->spec->thumbprint, out->key_authorization);
}
