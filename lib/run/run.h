/*
 * The performer: the only place that waits.
 *
 * A run holds one CA: its directory, a pool of nonces, the account's key and
 * URL, and one HTTP handle.  Jobs are added, each with a flow; run_all()
 * performs what their flows ask for, as many jobs at once as the window lets
 * in flight, until all have ended.  It signs, retries what is worth retrying
 * (a refused nonce, a broken connection, a server's bad moment, a short rate
 * limit) and gives each flow final answers only.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer;
struct ask;
struct directory;
struct err;
struct flow;
struct http;
struct key;
struct run;
struct store;

struct run_config {
	struct http *http;
	struct store *store; /* for what is remembered of the CA */
	const char *issuer;  /* folder name */
	const char *directory_url;
	size_t window;       /* jobs in flight; 0: 64 */
	int64_t deadline_ms; /* for each job; 0: ten minutes */
	int hits_fd;         /* the responder's, or -1 */
};

/*
 * A job.  local() performs an ASK_LOCAL at once; 0, or -1 with err.  begin()
 * is called when the job's turn has come and gives its flow, NULL and err when
 * it cannot; NULL and ERR_NONE when there is nothing to do.  It may return
 * ERR_LATER with wait_ms set: then it is called again after so long.  tick(),
 * if set, is called when next_ms (date_mono_ms) has come and returns the next
 * such time; -1 with err ends the job.  end() is called whatever happened, err
 * is NULL on success; true means that the job is to begin again.  seen(), if set,
 * says whether a validation of that name, which the responder has answered,
 * concerns the job.
 */
struct run_job {
	struct flow *(*begin)(void *self, int64_t *wait_ms, struct err *err);
	int (*local)(void *self, const struct ask *ask, struct answer *answer,
	    struct err *err);
	int (*tick)(
	    void *self, int64_t now_ms, int64_t *next_ms, struct err *err);
	bool (*end)(void *self, const struct err *err);
	bool (*seen)(void *self, const char *name);
	void *self;
};

struct run *run_open(const struct run_config *config, struct err *err);
void run_close(struct run *r);

/* The directory: cached for a day, else fetched now. NULL on failure. Within a
 * job it is there. */
const struct directory *run_directory(struct run *r, struct err *err);

/* Who signs.  Both borrowed; url may be NULL while there is no account yet. */
void run_account(struct run *r, const struct key *key, const char *url);

void run_add(struct run *r, const struct run_job *job); /* copied */

/* Performs all jobs. 0, or -1 when the loop itself failed. */
int run_all(struct run *r, struct err *err);

/* Ends every job in flight with ERR_LATER; safe in a signal handler. */
void run_interrupt(void);

#endif
