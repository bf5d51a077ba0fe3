#include <config.h>

#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "acme/directory.h"
#include "acme/order.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/flow.h"

#define TOKEN "DGyRejmCefe7v4NfDGDKfA"
#define PROBLEM(type)                                                          \
	"{\"type\":\"urn:ietf:params:acme:error:" type                         \
	"\",\"detail\":\"because\"}"

enum { NAMES = 5 };

/*
 * A CA as a function from ask to answer, without a network.  Statuses move as
 * in RFC 8555, 7.1.6; one row can be made to fail, and replies come in any
 * order.
 */
struct fake {
	size_t n; /* names ordered */
	enum status order;
	enum status authz[NAMES];
	bool reuse;                   /* authorizations are valid at once */
	int polls_ready, polls_valid; /* looks until it moves on */
	const char *fault;            /* URL that answers fault_status ... */
	int fault_status;
	const char *fault_body;
	int fault_times;
	bool fail_validation;
	const char *local_fault; /* "present", "install", ... */
	/* what happened */
	int new_orders, finalizes, keys, presented, cleaned, installed,
	    journals;
	int challenges, bad;
	bool key_first;
	unsigned seed;
	struct buf body;
};

static const char *const names[NAMES] = {"a.example.test", "b.example.test",
    "c.example.test", "d.example.test", "e.example.test"};

static size_t
rnd(struct fake *f, size_t below)
{
	f->seed = f->seed * 1103515245u + 12345u;
	return (f->seed >> 16) % below;
}

static void
order_body(struct fake *f)
{
	buf_clear(&f->body);
	buf_printf(&f->body, "{\"status\":\"%s\",\"identifiers\":[",
	    status_name(f->order));
	for (size_t i = f->n; i-- > 0;)
		buf_printf(&f->body, "{\"type\":\"dns\",\"value\":\"%s\"}%s",
		    names[i], i ? "," : "");
	buf_puts(&f->body, "],\"authorizations\":[");
	for (size_t i = 0; i < f->n; i++)
		buf_printf(&f->body, "%s\"https://ca.test/authz/%zu\"",
		    i ? "," : "", i);
	buf_puts(&f->body, "],\"finalize\":\"https://ca.test/finalize\"");
	if (f->order == STATUS_VALID)
		buf_puts(&f->body, ",\"certificate\":\"https://ca.test/cert\"");
	buf_puts(&f->body, "}");
}

static void
authz_body(struct fake *f, size_t i)
{
	const char *s = status_name(f->authz[i]);

	buf_clear(&f->body);
	buf_printf(&f->body,
	    "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"%s\"},\"challenges\":[{\"type\":\"http-01\","
	    "\"status\":"
	    "\"%s\",\"url\":\"https://ca.test/chall/%zu\",\"token\":\"" TOKEN
	    "%zu\"%s}]}",
	    s, names[i], s, i, i,
	    f->authz[i] == STATUS_INVALID ?
	        ",\"error\":" PROBLEM("connection") :
	        "");
}

/* The CA has looked: all valid, or the last one not. */
static void
validate(struct fake *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->authz[i] = STATUS_VALID;
	f->order = STATUS_READY;
	if (f->fail_validation) {
		f->authz[f->n - 1] = STATUS_INVALID;
		f->order = STATUS_INVALID;
	}
}

static void
look(struct fake *f)
{
	if (f->order == STATUS_PENDING && f->challenges == (int)f->n &&
	    f->polls_ready-- <= 0)
		validate(f);
	else if (f->order == STATUS_PROCESSING && f->polls_valid-- <= 0)
		f->order = STATUS_VALID;
	order_body(f);
}

static void
local(struct fake *f, const struct ask *ask, struct answer *a)
{
	switch (ask->local) {
	case LOCAL_JOURNAL:
		f->journals++;
		break;
	case LOCAL_KEY:
		f->keys++;
		a->body = "csr";
		a->body_len = 3;
		break;
	case LOCAL_PRESENT:
		f->presented++;
		break;
	case LOCAL_CLEANUP:
		f->cleaned++;
		break;
	case LOCAL_INSTALL:
		f->installed++;
		break;
	default:
		f->bad++;
	}
}

static void
finalize(struct fake *f, struct answer *a)
{
	f->finalizes++;
	f->key_first = f->keys == 1;
	if (f->order != STATUS_READY) {
		a->status = 403;
		buf_puts(&f->body, PROBLEM("orderNotReady"));
		return;
	}
	f->order = f->polls_valid ? STATUS_PROCESSING : STATUS_VALID;
	order_body(f);
}

static void
remote(struct fake *f, const struct ask *ask, struct answer *a)
{
	const char *path = ask->url + strlen("https://ca.test");
	bool get = ask->payload && !*ask->payload;

	if (strcmp(path, "/new-order") == 0) {
		f->new_orders++;
		f->order = f->reuse ? STATUS_READY : STATUS_PENDING;
		for (size_t i = 0; i < f->n; i++)
			f->authz[i] = STATUS_PENDING;
		a->status = 201;
		a->location = "https://ca.test/order";
		order_body(f);
	} else if (strcmp(path, "/order") == 0 && get) {
		look(f);
	} else if (strncmp(path, "/authz/", 7) == 0 && get) {
		authz_body(f, (size_t)(path[7] - '0'));
	} else if (strncmp(path, "/chall/", 7) == 0 &&
	    strcmp(ask->payload, "{}") == 0) {
		f->challenges++;
		f->bad += f->presented != (int)f->n;
		authz_body(f, (size_t)(path[7] - '0'));
	} else if (strcmp(path, "/finalize") == 0) {
		finalize(f, a);
	} else if (strcmp(path, "/cert") == 0 && get) {
		a->content_type = "application/pem-certificate-chain";
		buf_puts(&f->body, "PEM");
	} else {
		f->bad++;
	}
}

static void
answer(struct fake *f, struct flow *flow, size_t id)
{
	const struct ask *ask = &flow->asks.v[id];
	struct answer a = {.status = 200,
	    .content_type = "application/json",
	    .retry_after = -1};
	struct err err = ERR_INIT;

	if (ask->kind == ASK_LOCAL) {
		if (f->local_fault && strcmp(f->local_fault, ask->what) == 0) {
			err_set(&err, ERR_IO, "no room for %s", ask->what);
			flow_error(flow, id, &err);
			return;
		}
		local(f, ask, &a);
		flow_answer(flow, id, &a);
		return;
	}
	buf_clear(&f->body);
	if (f->fault && strcmp(f->fault, ask->url) == 0 &&
	    f->fault_times-- > 0) {
		a.status = f->fault_status;
		buf_puts(&f->body, f->fault_body);
	} else {
		remote(f, ask, &a);
	}
	a.body = f->body.data;
	a.body_len = f->body.len;
	flow_answer(flow, id, &a);
}

/* Performs every round in a random order. */
static enum flow_state
drive(struct fake *f, struct flow *flow)
{
	enum flow_state state;
	size_t order[4 * NAMES];

	for (int round = 0; round < 200; round++) {
		if ((state = flow_next(flow)) != FLOW_ASKING)
			return state;
		for (size_t i = 0; i < flow->asks.n; i++)
			order[i] = i;
		for (size_t n = flow->asks.n; n > 0; n--) {
			size_t i = rnd(f, n), id = order[i];

			order[i] = order[n - 1];
			answer(f, flow, id);
		}
	}
	return FLOW_WAITING;
}

static char new_order[] = "https://ca.test/new-order";
static const struct directory directory = {.new_order = new_order};
static struct identifier ids[NAMES];
static const enum challenge_type types[] = {
    CHALLENGE_TLSALPN01, CHALLENGE_HTTP01};

static struct order_spec
spec_for(const struct fake *f)
{
	return (struct order_spec){.name = "test",
	    .directory = &directory,
	    .names = ids,
	    .n_names = f->n,
	    .thumbprint = "thumb",
	    .challenges = types,
	    .n_challenges = 2};
}

/* Runs an order to its end; the error is left in *err. */
static enum flow_state
run(struct fake *f, const char *resume, bool resume_key, struct err *err)
{
	struct order_spec spec = spec_for(f);
	struct order *o;
	enum flow_state state;

	spec.resume_url = resume;
	spec.resume_key = resume_key;
	*err = (struct err)ERR_INIT;
	if (!(o = order_new(&spec, err)))
		return FLOW_FAILED;
	state = drive(f, order_flow(o));
	*err = order_flow(o)->err;
	if (state == FLOW_DONE)
		f->bad += strcmp(buf_str(order_chain(o)), "PEM") != 0;
	order_free(o);
	buf_release(&f->body);
	return state;
}

static void
test_good(void)
{
	struct err err;
	int wrong = 0;

	for (unsigned seed = 0; seed < 300; seed++) {
		struct fake f = {.n = 1 + seed % NAMES,
		    .seed = seed,
		    .polls_ready = (int)(seed % 4),
		    .polls_valid = (int)(seed % 3),
		    .reuse = seed % 7 == 0};
		bool done_ok = run(&f, NULL, false, &err) == FLOW_DONE;
		int proved = f.reuse ? 0 : (int)f.n;

		if (!done_ok || f.bad || f.new_orders != 1 ||
		    f.finalizes != 1 || !f.key_first || f.installed != 1 ||
		    f.journals != 1 || f.presented != proved ||
		    f.cleaned != proved || f.challenges != proved) {
			diag("seed %u: %s", seed, err.text);
			wrong++;
		}
	}
	is_int(wrong, 0, "300 orders of 1 to 5 names, answers in any order");
}

/* Every failure ends the order with what was presented withdrawn. */
static void
test_faults(void)
{
	static const struct {
		const char *url;
		int status;
		const char *body;
		int code;
		int presented;
	} faults[] = {{"https://ca.test/new-order", 429, PROBLEM("rateLimited"),
	                  ERR_LATER, 0},
	    {"https://ca.test/new-order", 201, "{}", ERR_PROTOCOL, 0},
	    {"https://ca.test/authz/1", 500, "", ERR_UNAVAILABLE, 0},
	    {"https://ca.test/authz/1", 200, "{\"status\":\"pending\"}",
	        ERR_PROTOCOL, 0},
	    {"https://ca.test/chall/0", 400, PROBLEM("malformed"), ERR_PROTOCOL,
	        3},
	    {"https://ca.test/order", 200, "{\"status\":5}", ERR_PROTOCOL, 3},
	    {"https://ca.test/finalize", 400, PROBLEM("badCSR"), ERR_PROTOCOL,
	        3},
	    {"https://ca.test/cert", 503, "", ERR_UNAVAILABLE, 3},
	    {"https://ca.test/cert", 200, "PEM", ERR_PROTOCOL, 3}};
	struct err err;

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct fake f = {.n = 3,
		    .seed = (unsigned)i,
		    .fault = faults[i].url,
		    .fault_times = 1,
		    .fault_status = faults[i].status,
		    .fault_body = faults[i].body};

		is_int(run(&f, NULL, false, &err), FLOW_FAILED, "%s fails: %s",
		    faults[i].url, err.text);
		is_int(err.code, faults[i].code, "with its code");
		is_int(f.presented, faults[i].presented, "presented");
		is_int(f.cleaned, f.presented, "and withdrawn");
		is_int(f.installed, 0, "nothing is installed");
	}
}

static void
test_local_faults(void)
{
	static const char *const faults[] = {
	    "journal", "present", "key", "install"};
	struct err err;

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct fake f = {.n = 2, .local_fault = faults[i]};

		is_int(run(&f, NULL, false, &err), FLOW_FAILED,
		    "%s cannot be done", faults[i]);
		is_int(err.code, ERR_IO, "the machine's error is the order's");
		ok(f.finalizes == 0 || i == 3, "no finalize before the key");
		ok(f.cleaned == 2 || i == 0, "challenges are withdrawn");
	}
	struct fake f = {.n = 2, .local_fault = "cleanup"};
	is_int(run(&f, NULL, false, &err), FLOW_DONE,
	    "a challenge that cannot be withdrawn does not fail the order");
}

static void
test_validation(void)
{
	struct fake f = {.n = 3, .fail_validation = true};
	struct err err;

	is_int(run(&f, NULL, false, &err), FLOW_FAILED, "a failed validation");
	ok(strstr(err.text, "c.example.test by http-01") != NULL,
	    "says for which name: %s", err.text);
	is(err.type, "connection", "and what type");
	is_int(f.cleaned, 3, "all three are withdrawn");
}

static void
test_resume(void)
{
	struct fake f = {.n = 2, .order = STATUS_PENDING};
	struct err err;

	is_int(run(&f, "https://ca.test/order", false, &err), FLOW_DONE,
	    "a pending order is resumed");
	is_int(f.new_orders, 0, "without a second newOrder");
	is_int(f.journals, 0, "or a second entry in the journal");

	f = (struct fake){.n = 2, .order = STATUS_READY};
	is_int(run(&f, "https://ca.test/order", true, &err), FLOW_DONE,
	    "a ready order is finalized");
	is_int(f.presented, 0, "without proving anything again");

	f = (struct fake){.n = 2, .order = STATUS_VALID};
	is_int(run(&f, "https://ca.test/order", true, &err), FLOW_DONE,
	    "a valid order is fetched");
	is_int(f.finalizes, 0, "and not finalized again");
	is_int(f.keys, 0, "with the key that it has");

	f = (struct fake){.n = 2, .order = STATUS_VALID};
	is_int(run(&f, "https://ca.test/order", false, &err), FLOW_DONE,
	    "a valid order whose key is lost");
	is_int(f.new_orders, 1, "is ordered anew");

	f = (struct fake){.n = 2, .order = STATUS_INVALID};
	is_int(run(&f, "https://ca.test/order", true, &err), FLOW_DONE,
	    "an invalid order");
	is_int(f.new_orders, 1, "is ordered anew");

	f = (struct fake){.n = 2,
	    .fault = "https://ca.test/old",
	    .fault_status = 404,
	    .fault_body = "",
	    .fault_times = 1};
	is_int(run(&f, "https://ca.test/old", true, &err), FLOW_DONE,
	    "an order the CA does not know any more");
	is_int(f.new_orders, 1, "is ordered anew");

	f = (struct fake){.n = 2,
	    .fault = "https://ca.test/old",
	    .fault_status = 503,
	    .fault_body = "",
	    .fault_times = 1};
	is_int(run(&f, "https://ca.test/old", true, &err), FLOW_FAILED,
	    "a CA that is down says nothing of the order");
	is_int(f.new_orders, 0, "which is not given up");
}

/* The finalize was heard, its answer lost, and the performer sent it again. */
static void
test_lost_finalize(void)
{
	struct fake f = {.n = 1,
	    .reuse = true,
	    .fault = "https://ca.test/finalize",
	    .fault_status = 403,
	    .fault_body = PROBLEM("orderNotReady"),
	    .fault_times = 1};
	struct err err;

	is_int(run(&f, NULL, false, &err), FLOW_DONE,
	    "orderNotReady: the order is read again, and goes on");
	f = (struct fake){.n = 1,
	    .reuse = true,
	    .fault = "https://ca.test/finalize",
	    .fault_status = 403,
	    .fault_body = PROBLEM("orderNotReady"),
	    .fault_times = 9};
	is_int(run(&f, NULL, false, &err), FLOW_FAILED, "but not for ever");
}

static void
test_hostile_orders(void)
{
	static const struct {
		const char *body, *want;
	} bad[] = {
	    {"{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\","
	     "\"value\":\"evil.test\"}],\"authorizations\":[],"
	     "\"finalize\":\"https://ca.test/f\"}",
	        "not ordered"},
	    {"{\"status\":\"pending\",\"identifiers\":[],"
	     "\"authorizations\":[],\"finalize\":\"https://ca.test/f\"}",
	        "0 identifiers"},
	    {"{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\","
	     "\"value\":\"a.example.test\"}],\"authorizations\":"
	     "[\"file:///etc/shadow\"],\"finalize\":\"https://ca.test/"
	     "f\"}",
	        "authorization"},
	    {"{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\","
	     "\"value\":\"a.example.test\"}],\"authorizations\":[],"
	     "\"finalize\":\"http://ca.test/f\"}",
	        "finalize"},
	    {"{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\","
	     "\"value\":\"a.example.test\"}],\"authorizations\":[],"
	     "\"finalize\":\"https://ca.test/f\"}",
	        "no authorization"},
	    {"{\"status\":\"valid\",\"identifiers\":[{\"type\":\"dns\","
	     "\"value\":\"a.example.test\"}],\"authorizations\":[],"
	     "\"finalize\":\"https://ca.test/f\"}",
	        "certificate"}};
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct order_spec spec;
		struct fake f = {.n = 1};
		struct order *o;
		struct answer a = {.status = 201,
		    .retry_after = -1,
		    .location = "https://ca.test/order",
		    .body = bad[i].body,
		    .body_len = strlen(bad[i].body)};

		spec = spec_for(&f);
		o = order_new(&spec, &err);
		flow_next(order_flow(o));
		flow_answer(order_flow(o), 0, &a);
		if (flow_next(order_flow(o)) == FLOW_ASKING) { /* journal */
			flow_answer(order_flow(o), 0, &a);
			flow_next(order_flow(o));
		}
		err = order_flow(o)->err;
		fails(-1, &err, ERR_PROTOCOL, bad[i].want, "refused: %.60s",
		    bad[i].body);
		order_free(o);
	}
}

static void
test_limits(void)
{
	struct order_spec spec = spec_for(&(struct fake){.n = 0});
	struct err err = ERR_INIT;

	ok(!order_new(&spec, &err) && err.code == ERR_USAGE,
	    "no names, no order");
	spec.n_names = ORDER_NAMES_MAX + 1;
	ok(!order_new(&spec, &err), "nor too many");
}

int
main(void)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < NAMES; i++)
		if (identifier_parse(names[i], &ids[i], &err) == -1)
			return 99;
	test_good();
	test_faults();
	test_local_faults();
	test_validation();
	test_resume();
	test_lost_finalize();
	test_hostile_orders();
	test_limits();
	return done();
}
