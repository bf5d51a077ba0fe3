#include <config.h>

#include "tap.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/flow.h"

/* A conversation of letters: what was asked, what was answered. */
struct talk {
	char log[64];
	int stays; /* rounds the second row still stays */
	char fail_ask, fail_got;
	struct flow flow;
};

static void
note(struct talk *t, char c)
{
	size_t n = strlen(t->log);

	if (n + 1 < sizeof(t->log))
		t->log[n] = c;
}

static int
ask(struct talk *t, struct asks *asks, char c, size_t n, struct err *err)
{
	if (t->fail_ask == c)
		return err_set(err, ERR_DATA, "ask %c", c);
	note(t, c);
	for (size_t i = 0; i < n; i++)
		asks_add(asks, ASK_LOCAL, "x")->index = i;
	return 0;
}

static int
ask_a(void *self, struct asks *asks, struct err *err)
{
	return ask(self, asks, 'a', 1, err);
}

static int
ask_none(void *self, struct asks *asks, struct err *err)
{
	return ask(self, asks, '-', 0, err);
}

static int
ask_b(void *self, struct asks *asks, struct err *err)
{
	return ask(self, asks, 'b', 3, err);
}

static int
ask_clean(void *self, struct asks *asks, struct err *err)
{
	return ask(self, asks, 'c', 1, err);
}

static int
ask_d(void *self, struct asks *asks, struct err *err)
{
	return ask(self, asks, 'd', 1, err);
}

static int
got_b(void *self, const struct ask *a, const struct answer *answer,
    struct err *err)
{
	struct talk *t = self;

	(void)answer;
	note(t, (char)('0' + a->index));
	if (t->fail_got == 'b' && a->index == 1)
		return err_set(err, ERR_PROTOCOL, "got b");
	return a->index == 0 && t->stays-- > 0 ? FLOW_STAY : FLOW_NEXT;
}

static int
got_fails(void *self, const struct ask *a, const struct answer *answer,
    struct err *err)
{
	struct talk *t = self;

	(void)a, (void)answer;
	if (t->fail_got == 'c' || t->fail_got == 'd')
		return err_set(err, ERR_IO, "got %c", t->fail_got);
	return FLOW_NEXT;
}

static const struct step steps[] = {{"a", ask_a, NULL},
    {"none", ask_none, NULL}, {"b", ask_b, got_b},
    {"cleanup", ask_clean, got_fails}, {"d", ask_d, NULL}, {NULL, NULL, NULL}};

/* Answers everything, the last ask of a round first. */
static enum flow_state
drive(struct talk *t, const struct err *first_error)
{
	const struct answer answer = {.status = 200};
	enum flow_state state;

	flow_init(&t->flow, "talk", steps, 3, t);
	while ((state = flow_next(&t->flow)) == FLOW_ASKING) {
		for (size_t i = t->flow.asks.n; i-- > 0;) {
			if (first_error && t->flow.row == 2 && i == 2)
				flow_error(&t->flow, i, first_error);
			else
				flow_answer(&t->flow, i, &answer);
		}
	}
	flow_release(&t->flow);
	return state;
}

int
main(void)
{
	struct talk t = {.stays = 0};
	struct err err = ERR_INIT;
	const struct answer answer = {.status = 200};

	is_int(drive(&t, NULL), FLOW_DONE, "a flow ends");
	is(t.log, "a-b210cd", "rows go down; one without asks is passed over");

	t = (struct talk){.stays = 2};
	is_int(drive(&t, NULL), FLOW_DONE, "a flow that stays ends too");
	is(t.log, "a-b210b210b210cd", "a row stays while one answer says so");

	t = (struct talk){.fail_got = 'b'};
	is_int(drive(&t, NULL), FLOW_FAILED, "a bad answer fails the flow");
	is(t.log, "a-b210c", "the round is heard out, cleanup runs, no more");
	is(t.flow.err.text, "got b", "the error is the answer's");

	t = (struct talk){.fail_ask = 'b'};
	is_int(drive(&t, NULL), FLOW_FAILED, "a row that cannot ask fails it");
	is(t.log, "a-c", "and cleanup still runs");

	t = (struct talk){.fail_ask = 'd'};
	is_int(drive(&t, NULL), FLOW_FAILED, "a failure below cleanup ends it");
	is(t.log, "a-b210c", "without a second cleanup");

	t = (struct talk){.fail_got = 'c'};
	is_int(drive(&t, NULL), FLOW_DONE, "nothing can fail in cleanup");
	t = (struct talk){.fail_ask = 'c'};
	is_int(drive(&t, NULL), FLOW_DONE, "not even asking");

	t = (struct talk){.fail_got = 'b'};
	err_set(&err, ERR_UNAVAILABLE, "no network");
	is_int(drive(&t, &err), FLOW_FAILED, "an ask not performed fails it");
	is(t.flow.err.text, "no network", "the first error stays");

	t = (struct talk){.stays = 0};
	flow_init(&t.flow, "talk", steps, SIZE_MAX, &t);
	t.fail_ask = 'b';
	flow_next(&t.flow);
	is_int(flow_next(&t.flow), FLOW_WAITING, "an unanswered round waits");
	flow_answer(&t.flow, 0, &answer);
	is_int(flow_next(&t.flow), FLOW_FAILED, "a flow without cleanup ends");
	is(t.log, "a-", "where it failed");
	flow_release(&t.flow);
	return done();
}
