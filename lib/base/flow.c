#include <config.h>

#include "base/flow.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"

void
flow_init(struct flow *f, const char *name, const struct step *steps,
    size_t cleanup, void *self)
{
	*f = (struct flow){
	    .name = name, .steps = steps, .cleanup = cleanup, .self = self};
}

void
flow_release(struct flow *f)
{
	free(f->asks.v);
	f->asks = (struct asks){.v = NULL};
}

struct ask *
asks_add(struct asks *asks, enum ask_kind kind, const char *what)
{
	struct ask *ask;

	if (asks->n == asks->cap) {
		asks->cap = asks->cap ? 2 * asks->cap : 4;
		asks->v = xrealloc(asks->v, asks->cap, sizeof(*asks->v));
	}
	ask = &asks->v[asks->n++];
	*ask = (struct ask){.kind = kind, .what = what};
	return ask;
}

/* The row has failed: the first error is the flow's. */
static void
fail(struct flow *f, const struct err *err)
{
	if (f->row == f->cleanup) {
		log_debug(f->name, "%s: %s", f->steps[f->row].name, err->text);
		return;
	}
	if (!f->failed)
		f->err = *err;
	f->failed = true;
}

/* The row to go to once a round is over. */
static void
move(struct flow *f)
{
	if (f->failed && f->row < f->cleanup && f->cleanup != SIZE_MAX)
		f->row = f->cleanup;
	else if (!f->stay || f->failed)
		f->row++;
	f->stay = false;
}

static bool
at_end(const struct flow *f)
{
	return !f->steps[f->row].name || (f->failed && f->row != f->cleanup);
}

enum flow_state
flow_next(struct flow *f)
{
	struct err err = ERR_INIT;

	if (f->unanswered)
		return FLOW_WAITING;
	if (f->asks.n)
		move(f);
	while (!at_end(f)) {
		f->asks.n = 0;
		if (f->steps[f->row].ask(f->self, &f->asks, &err) == -1) {
			f->asks.n = 0;
			fail(f, &err);
		}
		if (f->asks.n) {
			f->unanswered = f->asks.n;
			return FLOW_ASKING;
		}
		move(f);
	}
	f->asks.n = 0;
	return f->failed ? FLOW_FAILED : FLOW_DONE;
}

void
flow_answer(struct flow *f, size_t id, const struct answer *answer)
{
	const struct step *step = &f->steps[f->row];
	struct err err = ERR_INIT;

	f->unanswered--;
	if (!step->got)
		return;
	switch (step->got(f->self, &f->asks.v[id], answer, &err)) {
	case FLOW_NEXT:
		break;
	case FLOW_STAY:
		f->stay = true;
		break;
	default:
		fail(f, &err);
	}
}

void
flow_error(struct flow *f, size_t id, const struct err *err)
{
	(void)id;
	f->unanswered--;
	fail(f, err);
}
