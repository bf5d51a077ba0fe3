/*
 * A flow: a conversation as a list of steps.
 *
 * Each step is two small functions.  ask() says what the conversation wants
 * next, as a list of asks that may all be performed at once; got() reads one
 * answer.  Steps open no socket, file or process and read no clock: whoever
 * drives the flow (lib/run, or a test with canned answers) performs the asks
 * and hands every answer back.
 *
 * Rules that keep the table honest:
 *  - Rows only go down.  A row whose ask() adds nothing is passed over.
 *  - A row may stay: if any got() of a round returned FLOW_STAY, the row is
 *    asked again once the round's answers are all in.
 *  - On failure the flow goes down to its cleanup row, if it is still above
 *    it, so that what was presented is withdrawn; then it ends with the first
 *    error.  A failure at or below the cleanup row ends it at once.
 *
 *	while (flow_next(f, &asks) == FLOW_ASKING)
 *		perform each of asks, then flow_answer(f, id, &answer)
 *
 * Strings in an ask are borrowed from the flow's owner and live until that ask
 * is answered.
 */
#ifndef BASE_FLOW_H
#define BASE_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ask_kind {
	ASK_GET,      /* unsigned GET of url */
	ASK_POST,     /* signed by the account key, kid = account URL */
	ASK_POST_JWK, /* signed by the account key, with the key itself */
	ASK_LOCAL     /* something of this machine: see local */
};

/*
 * What an order wants of the machine it runs on.  Performed by the flow's
 * owner (lib/run/issue.c), never by the performer itself.
 */
enum ask_local {
	LOCAL_NONE,
	LOCAL_JOURNAL, /* make the order's URL durable */
	LOCAL_KEY,     /* make the leaf key durable; answer body: CSR in DER */
	LOCAL_PRESENT, /* make challenge `index` true */
	LOCAL_CLEANUP, /* withdraw challenge `index` */
	LOCAL_INSTALL, /* commit key, chain and metadata */
	LOCAL_SAVE     /* make an account durable */
};

struct ask {
	enum ask_kind kind;
	enum ask_local local;
	const char *url;
	const char *payload; /* POST: JSON text, or "" for POST-as-GET */
	const char *accept;  /* media type wanted, or NULL */
	const char *what;    /* for messages: "newOrder", "finalize" */
	size_t index;        /* the owner's own: which authorization */
	size_t body_max;     /* cap on the answer's body; 0 means 64 KiB */
	int64_t delay_ms;    /* not before so much time has gone by */
	bool wake; /* a validation seen by the responder ends the delay */
};

struct answer {
	int status;           /* HTTP status; 200 for a local success */
	const char *location; /* header values, or NULL */
	const char *content_type;
	const char *link_alternate; /* reserved for chain selection */
	int64_t retry_after;        /* seconds, or -1 */
	bool repeated;              /* sent more than once: an earlier one
					 * may have been heard */
	const void *body;
	size_t body_len;
};

enum flow_got { FLOW_FAIL = -1, FLOW_NEXT = 0, FLOW_STAY = 1 };

struct asks;

struct step {
	const char *name;
	int (*ask)(void *self, struct asks *asks, struct err *err);
	int (*got)(void *self, const struct ask *ask,
	    const struct answer *answer, struct err *err);
};

enum flow_state { FLOW_ASKING, FLOW_WAITING, FLOW_DONE, FLOW_FAILED };

struct asks {
	struct ask *v;
	size_t n, cap;
};

struct flow {
	const char *name;         /* for messages; borrowed */
	const struct step *steps; /* ends with a NULL name */
	void *self;
	size_t cleanup; /* row to fall to; SIZE_MAX: none */
	/* the engine's own */
	size_t row;
	bool stay, failed;
	struct asks asks; /* this round's, indexed by ask id */
	size_t unanswered;
	struct err err; /* the first error */
};

void flow_init(struct flow *f, const char *name, const struct step *steps,
    size_t cleanup, void *self);

/*
 * Moves the flow on as far as it can go.  FLOW_ASKING: f->asks holds a new
 * round, ids 0 .. n-1.  FLOW_WAITING: answers of this round are missing.
 * FLOW_DONE, FLOW_FAILED: the end; f->err tells why.
 */
enum flow_state flow_next(struct flow *f);

/* Hands over the answer to ask id of this round. */
void flow_answer(struct flow *f, size_t id, const struct answer *answer);

/* The ask could not be performed at all: the row fails with err.  While
 * cleaning up, a failure is remembered nowhere: nothing can fail there. */
void flow_error(struct flow *f, size_t id, const struct err *err);

void flow_release(struct flow *f);

/* For ask(): adds one ask to the round and returns it, zeroed, to be filled. */
struct ask *asks_add(struct asks *asks, enum ask_kind kind, const char *what);

#endif
