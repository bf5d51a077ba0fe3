#include <config.h>

#include "run/run.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "acme/directory.h"
#include "acme/nonce.h"
#include "acme/problem.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/log.h"
#include "io/http.h"
#include "pki/hash.h"
#include "pki/jws.h"
#include "store/cache.h"

enum {
	WINDOW = 64,                  /* jobs in flight */
	IN_FLIGHT = 90,               /* requests; HTTP/2 servers allow 100 */
	DEADLINE_MS = 10 * 60 * 1000, /* of a job */
	/* Nonces come back with every answer, so the pool never grows by
	 * itself; as many are fetched as keep a hundred names moving.  (Let's
	 * Encrypt allows twenty a second: those beyond are refused, and the
	 * rest go round.) */
	NONCES_IN_PLAY = 40,
	NONCE_TRIES = 20,    /* badNonce for one request */
	NONCE_PAUSE_MS = 20, /* after the first few, growing */
	TRIES = 3,           /* broken connections, 5xx, 429 */
	BACKOFF_MS = 500,    /* doubled with each try, jittered */
	WAIT_HERE_S = 10,    /* longer waits than this are for later */
	SETTLE_MS = 8,       /* of silence after a validation's hit */
	SETTLE_MAX_MS = 150,
	IDLE_MS = 250, /* the longest sleep: a signal is seen
					 * after it */
	HITS_MAX = 64 * 1024,
	DIRECTORY_LIFE_S = 24 * 3600
};

static volatile sig_atomic_t interrupted;

struct job {
	struct run_job ops;
	struct flow *flow; /* NULL until begin() gave one */
	bool ended;
	int64_t again_ms; /* begin() not before */
	int64_t deadline_ms, tick_ms;
	int64_t hit_first_ms, hit_last_ms; /* since the last look */
	int64_t retry_after;  /* the last one a final answer carried, or -1 */
	bool fresh_directory; /* asked for once already */
	struct err aborted;   /* why nothing more is asked for it, if so */
};

/* One ask on its way. */
struct request {
	struct request *next, **back; /* what leads here */
	struct run *run;
	struct job *job; /* NULL: abandoned, and ask with it */
	size_t id;       /* of the ask in its flow's round */
	const struct ask *ask;
	bool is_post;
	int64_t not_before_ms;
	int tries, nonce_tries;
	char *nonce; /* to be used: from a badNonce's answer */
	bool sent;
};

struct run {
	struct run_config config;
	struct directory directory, outdated;
	bool have_directory, directory_cached;
	struct directory_fetch fetch;
	struct job fetch_job; /* ended, or being stepped */
	struct err directory_err;
	struct nonces nonces;
	bool nonce_saved_tried;
	size_t nonce_failures; /* in a row */
	const struct key *key;
	const char *account_url;

	struct job *jobs;
	size_t n_jobs, cap_jobs, next_job, in_flight;
	struct request *requests;    /* all, in no order */
	bool answered;               /* a flow was, and may move on */
	size_t nonce_fetches, posts; /* in flight */
	struct err nonce_err;        /* why the last fetch failed */
	struct buf hits;             /* read from hits_fd, up to a newline */
};

void
run_interrupt(void)
{
	interrupted = 1;
}

/* -- requests -- */

static struct request *
request_new(struct run *r, struct job *job, size_t id)
{
	struct request *q = xcalloc(1, sizeof(*q));

	q->run = r;
	q->job = job;
	q->id = id;
	q->ask = &job->flow->asks.v[id];
	q->is_post = q->ask->kind == ASK_POST || q->ask->kind == ASK_POST_JWK;
	q->not_before_ms = date_mono_ms() + q->ask->delay_ms;
	q->next = r->requests;
	q->back = &r->requests;
	if (q->next)
		q->next->back = &q->next;
	r->requests = q;
	return q;
}

static void
request_free(struct request *q)
{
	*q->back = q->next;
	if (q->next)
		q->next->back = q->back;
	free(q->nonce);
	free(q);
}

/* Tries again after a pause that doubles, between half and all of it. */
static void
again_later(struct request *q, int64_t least_ms)
{
	int64_t pause = (int64_t)BACKOFF_MS << q->tries;
	uint32_t random;

	hash_random(&random, sizeof(random));
	pause = pause / 2 + (int64_t)(random % (uint64_t)(pause / 2 + 1));
	if (pause < least_ms)
		pause = least_ms;
	q->not_before_ms = date_mono_ms() + pause;
	q->sent = false;
}

static void
give_answer(struct request *q, const struct answer *answer)
{
	struct flow *flow = q->job->flow;
	size_t id = q->id;

	q->run->answered = true;
	request_free(q);
	flow_answer(flow, id, answer);
}

static void
give_error(struct request *q, const struct err *err)
{
	struct flow *flow = q->job->flow;
	size_t id = q->id;

	q->run->answered = true;
	request_free(q);
	flow_error(flow, id, err);
}

/* -- nonces -- */

static void
got_nonce(
    void *arg, const struct http_response *response, const struct err *err)
{
	struct run *r = arg;
	struct answer answer;

	r->nonce_fetches--;
	r->nonce_failures++;
	if (!response) {
		r->nonce_err = *err;
		return;
	}
	answer = (struct answer){.status = response->status};
	if (problem_check("newNonce", &answer, &r->nonce_err) == -1)
		return;
	if (!*response->replay_nonce) {
		err_set(&r->nonce_err, ERR_PROTOCOL,
		    "newNonce: the answer has no Replay-Nonce");
		return;
	}
	r->nonce_failures = 0;
	nonces_add(&r->nonces, response->replay_nonce);
}

static int
fetch_nonce(struct run *r, struct err *err)
{
	const struct http_request request = {
	    .method = "HEAD",
	    .url = r->directory.new_nonce,
	    .plain_ok = true /* as for every ACME URL: send_request() */
	};

	if (http_start(r->config.http, &request, got_nonce, r, err) == -1)
		return -1;
	r->nonce_fetches++;
	return 0;
}

/* A nonce for q, or NULL: one has been asked for, or is on its way. */
static char *
take_nonce(struct run *r, struct request *q)
{
	char *nonce = q->nonce;

	q->nonce = NULL;
	if (nonce)
		return nonce;
	if (r->nonces.n == 0 && !r->nonce_saved_tried) {
		r->nonce_saved_tried = true;
		return nonce_cache_take(r->config.store, r->config.issuer);
	}
	return nonces_take(&r->nonces);
}

static size_t
waiting_for_nonce(const struct run *r, int64_t now)
{
	size_t n = 0;

	/* request_free() takes what it frees off this list */
	for (const struct request *q = r->requests; q; q = q->next)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		n += q->job && q->is_post && !q->sent &&
		    q->not_before_ms <= now;
	return n;
}

/* Asks for as many as are missing, and no more than are useful.  False when
 * that fails, so that those who wait are told. */
static bool
fetch_nonces(struct run *r, int64_t now)
{
	size_t wanted = waiting_for_nonce(r, now);
	size_t in_play = r->nonces.n + r->nonce_fetches + r->posts;

	if (!r->have_directory)
		return true;
	while (r->nonce_fetches + r->nonces.n < wanted &&
	    in_play < NONCES_IN_PLAY && r->nonce_failures < TRIES) {
		if (fetch_nonce(r, &r->nonce_err) == -1) {
			r->nonce_failures = TRIES;
			return false;
		}
		in_play++;
	}
	return true;
}

/* -- answers -- */

static bool
is_bad_nonce(const struct answer *answer)
{
	struct err why = ERR_INIT;

	return answer->status == 400 && problem_check("", answer, &why) == -1 &&
	    problem_is(&why, "badNonce");
}

/* A server's bad moment or a short limit, worth waiting for here. */
static bool
worth_waiting(const struct request *q, const struct answer *answer)
{
	if (q->tries + 1 >= TRIES || answer->retry_after > WAIT_HERE_S)
		return false;
	switch (answer->status) {
	case 429:
		return answer->retry_after >= 0;
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

static void
got_answer(struct request *q, const struct http_response *response)
{
	struct run *r = q->run;
	struct answer answer = {.status = response->status,
	    .location = *response->location ? response->location : NULL,
	    .content_type = response->content_type,
	    .retry_after = date_retry_after(response->retry_after,
	        strlen(response->retry_after), time(NULL)),
	    /* libcurl repeats by itself on a fresh connection what an old
		 * one did not answer: the nonce, used twice, tells */
	    .repeated = q->tries > 0 || q->nonce_tries > 0,
	    .body = response->body.data,
	    .body_len = response->body.len};

	if (is_bad_nonce(&answer) && ++q->nonce_tries < NONCE_TRIES) {
		/* RFC 8555, 6.5: again, with the nonce of the error */
		q->nonce = nonces_take(&r->nonces);
		q->sent = false;
		if (q->nonce_tries > 3)
			q->not_before_ms = date_mono_ms() +
			    (int64_t)NONCE_PAUSE_MS * q->nonce_tries;
		return;
	}
	if (worth_waiting(q, &answer)) {
		log_info(q->job->flow->name, "%s: HTTP status %d, trying again",
		    q->ask->what, answer.status);
		q->tries++;
		again_later(q, 1000 * answer.retry_after);
		return;
	}
	q->job->retry_after = answer.retry_after;
	give_answer(q, &answer);
}

static void
got_response(
    void *arg, const struct http_response *response, const struct err *err)
{
	struct request *q = arg;
	struct run *r = q->run;
	struct err wrapped;

	r->posts -= q->is_post;
	if (response && *response->replay_nonce)
		nonces_add(&r->nonces, response->replay_nonce);
	if (!q->job) {
		request_free(q);
		return;
	}
	if (response) {
		got_answer(q, response);
		return;
	}
	if (err->code == ERR_UNAVAILABLE && q->tries + 1 < TRIES) {
		log_info(q->job->flow->name, "%s: %s, trying again",
		    q->ask->what, err->text);
		/* a connection that the server had closed costs no pause */
		q->tries++;
		again_later(q, 0);
		if (err->sys == HTTP_REPEATABLE && q->tries == 1)
			q->not_before_ms = date_mono_ms();
		return;
	}
	wrapped = *err;
	err_wrap(&wrapped, "%s", q->ask->what);
	give_error(q, &wrapped);
}

/* -- sending -- */

static int
sign(struct run *r, const struct ask *ask, const char *nonce, struct buf *out,
    struct err *err)
{
	const char *kid = ask->kind == ASK_POST ? r->account_url : NULL;

	if (!r->key || (ask->kind == ASK_POST && !kid))
		return err_bug(err, "%s: nobody to sign it", ask->what);
	return jws_sign(r->key, kid, nonce, ask->url, ask->payload, out, err);
}

static int
send_request(
    struct run *r, struct request *q, const char *nonce, struct err *err)
{
	struct buf body = BUF_INIT;
	struct http_request request = {.method = "GET",
	    .url = q->ask->url,
	    .accept = q->ask->accept,
	    .body_max = q->ask->body_max,
	    /* url_check_acme() lets http through for internal hosts alone */
	    .plain_ok = true};
	int rc = -1;

	if (q->is_post) {
		if (sign(r, q->ask, nonce, &body, err) == -1)
			goto out;
		request.method = "POST";
		request.content_type = "application/jose+json";
		request.body = body.data;
		request.body_len = body.len;
	}
	log_debug(q->job->flow->name, "%s %s (%s)", request.method, request.url,
	    q->ask->what);
	rc = http_start(r->config.http, &request, got_response, q, err);
	if (rc == 0) {
		q->sent = true;
		r->posts += q->is_post;
	}
out:
	buf_release(&body);
	return rc;
}

/* Sends q if it can be sent now. False when it has to wait for a nonce. */
static bool
try_send(struct run *r, struct request *q)
{
	struct err err = ERR_INIT;
	char *nonce = NULL;

	if (q->is_post && !(nonce = take_nonce(r, q))) {
		if (r->nonce_failures >= TRIES && !r->nonce_fetches &&
		    !r->posts) {
			err = r->nonce_err;
			give_error(q, &err);
		}
		return false;
	}
	if (send_request(r, q, nonce, &err) == -1)
		give_error(q, &err);
	free(nonce);
	return true;
}

static void
perform_local(struct request *q)
{
	struct answer answer = {.status = 200, .retry_after = -1};
	struct job *job = q->job;
	struct err err = ERR_INIT;

	if (job->ops.local(job->ops.self, q->ask, &answer, &err) == -1)
		give_error(q, &err);
	else
		give_answer(q, &answer);
}

/* A validation seen by the responder ends the wait for a look: once it has
 * been quiet for a moment, since a CA looks from several places. */
static int64_t
when(const struct request *q)
{
	int64_t woken;

	if (!q->ask->wake || !q->job->hit_last_ms)
		return q->not_before_ms;
	woken = q->job->hit_last_ms + SETTLE_MS;
	if (woken > q->job->hit_first_ms + SETTLE_MAX_MS)
		woken = q->job->hit_first_ms + SETTLE_MAX_MS;
	return woken < q->not_before_ms ? woken : q->not_before_ms;
}

/* Requests first: what the machine does itself overlaps with their way. */
static void
perform(struct run *r, int64_t now)
{
	struct request *q, *next;
	bool nonces = true;

	for (q = r->requests; q; q = next) {
		next = q->next;
		if (!q->job || q->sent || q->ask->kind == ASK_LOCAL ||
		    when(q) > now || http_running(r->config.http) >= IN_FLIGHT)
			continue;
		q->not_before_ms = now;
		if (q->ask->wake)
			q->job->hit_first_ms = q->job->hit_last_ms = 0;
		if (!q->is_post || nonces || q->nonce)
			nonces = try_send(r, q);
	}
	http_push(r->config.http);
	for (q = r->requests; q; q = next) {
		next = q->next;
		if (q->job && q->ask->kind == ASK_LOCAL)
			perform_local(q);
	}
}

/* -- the directory -- */

static void
cached_directory(struct run *r)
{
	struct buf body = BUF_INIT;
	time_t when_fetched = 0, now = time(NULL);

	directory_cache_load(r->config.store, r->config.issuer,
	    r->config.directory_url, &body, &when_fetched);
	if (body.len && when_fetched <= now &&
	    now - when_fetched < DIRECTORY_LIFE_S &&
	    directory_read(r->config.directory_url, body.data, body.len,
	        &r->directory, NULL) == 0)
		r->have_directory = r->directory_cached = true;
	buf_release(&body);
}

static struct flow *
begin_directory(void *self, int64_t *wait_ms, struct err *err)
{
	struct run *r = self;

	(void)wait_ms, (void)err;
	directory_fetch_init(&r->fetch, r->config.directory_url, &r->directory);
	return &r->fetch.flow;
}

static bool
end_directory(void *self, const struct err *err)
{
	struct run *r = self;

	if (err) {
		r->directory_err = *err;
	} else {
		r->have_directory = true;
		directory_cache_save(r->config.store, r->config.issuer,
		    r->config.directory_url, &r->fetch.body, time(NULL));
	}
	directory_fetch_release(&r->fetch);
	return false;
}

/*
 * A remembered directory that led to nothing may be out of date.  What jobs
 * in flight borrow from it stays.
 */
static bool
directory_is_outdated(struct run *r, struct job *job, const struct err *err)
{
	if (job->fresh_directory ||
	    (!r->directory_cached && !r->outdated.url) ||
	    (err->http != 404 && err->http != 405 && err->http != 410))
		return false;
	job->fresh_directory = true;
	r->nonce_failures = 0;
	if (r->directory_cached) {
		r->outdated = r->directory;
		r->directory = (struct directory){.url = NULL};
		r->have_directory = r->directory_cached = false;
		directory_cache_forget(r->config.store, r->config.issuer);
	}
	return true;
}

/* -- jobs -- */

void
run_add(struct run *r, const struct run_job *job)
{
	if (r->n_jobs == r->cap_jobs) {
		r->cap_jobs = r->cap_jobs ? 2 * r->cap_jobs : 16;
		r->jobs = xrealloc(r->jobs, r->cap_jobs, sizeof(*r->jobs));
	}
	r->jobs[r->n_jobs++] = (struct job){.ops = *job, .retry_after = -1};
}

static void
end_job(struct run *r, struct job *job, const struct err *err)
{
	struct err final = err ? *err : (struct err)ERR_INIT;

	job->flow = NULL;
	if (err && final.code == ERR_LATER && job->retry_after > 0 &&
	    !final.retry_at)
		final.retry_at = time(NULL) + (time_t)job->retry_after;
	if (job->ops.end(job->ops.self, err ? &final : NULL) && !interrupted) {
		job->again_ms = 0;
		return;
	}
	job->ended = true;
	if (job != &r->fetch_job)
		r->in_flight--;
}

static void
begin_job(struct run *r, struct job *job, int64_t now)
{
	struct err err = ERR_INIT;
	int64_t wait_ms = 0;

	if (!job->deadline_ms) {
		job->deadline_ms = now +
		    (r->config.deadline_ms ? r->config.deadline_ms :
		                             DEADLINE_MS);
		job->tick_ms = now;
	}
	job->flow = job->ops.begin(job->ops.self, &wait_ms, &err);
	if (job->flow)
		return;
	if (err.code == ERR_LATER && wait_ms > 0 && !interrupted)
		job->again_ms = now + wait_ms;
	else
		end_job(r, job, err.code ? &err : NULL);
}

/* The directory is there; else it is being fetched, or cannot be had. */
static bool
ready(struct run *r)
{
	if (!r->have_directory && !r->outdated.url)
		cached_directory(r);
	if (r->have_directory)
		return true;
	if (r->fetch_job.ended && !r->directory_err.code)
		r->fetch_job = (struct job){.ops = {.begin = begin_directory,
		                                .end = end_directory,
		                                .self = r},
		    .retry_after = -1};
	return false;
}

/* Nothing more is asked for this job, but to clean up: what is under way is
 * answered with why, and so is what its flow asks for next. */
static void
abort_job(struct run *r, struct job *job, const struct err *why)
{
	struct request *q, *next;

	job->aborted = *why;
	for (q = r->requests; q; q = next) {
		next = q->next;
		if (q->job != job)
			continue;
		if (!q->sent) {
			give_error(q, why);
			continue;
		}
		flow_error(job->flow, q->id, why);
		q->job = NULL; /* freed when its answer comes */
	}
}

static void
check_time(struct run *r, struct job *job, int64_t now)
{
	struct err err = ERR_INIT;

	if (job->aborted.code)
		return;
	if (interrupted) {
		err_set(&err, ERR_LATER, "interrupted");
		abort_job(r, job, &err);
	} else if (now >= job->deadline_ms) {
		err_set(&err, ERR_LATER,
		    "the CA is not done: the next run goes on from here");
		abort_job(r, job, &err);
	} else if (job->ops.tick && now >= job->tick_ms &&
	    job->ops.tick(job->ops.self, now, &job->tick_ms, &err) == -1) {
		abort_job(r, job, &err);
	}
}

static void
take_round(struct run *r, struct job *job)
{
	struct flow *f = job->flow;
	bool refused = job->aborted.code && f->row != f->cleanup;

	for (size_t i = 0; i < f->asks.n; i++) {
		if (refused)
			flow_error(f, i, &job->aborted);
		else
			request_new(r, job, i);
	}
}

/* Moves one job as far as it goes. True when something happened. */
static bool
step_job(struct run *r, struct job *job, int64_t now)
{
	struct err err;

	if (!job->flow) {
		if (job->again_ms > now && !interrupted)
			return false;
		if (job != &r->fetch_job && !ready(r)) {
			if (!r->directory_err.code)
				return false;
			end_job(r, job, &r->directory_err);
			return true;
		}
		begin_job(r, job, now);
		return true;
	}
	check_time(r, job, now);
	switch (flow_next(job->flow)) {
	case FLOW_WAITING:
		return false;
	case FLOW_ASKING:
		take_round(r, job);
		return true;
	case FLOW_DONE:
		end_job(r, job, NULL);
		return true;
	case FLOW_FAILED:
		err = job->flow->err;
		if (directory_is_outdated(r, job, &err))
			job->flow = NULL; /* begins again */
		else
			end_job(r, job, &err);
		return true;
	}
	return false;
}

/* -- the loop -- */

static void
job_hit(struct job *job, const char *name, int64_t now)
{
	if (job->ended || !job->flow || !job->ops.seen ||
	    !job->ops.seen(job->ops.self, name))
		return;
	if (!job->hit_first_ms)
		job->hit_first_ms = now;
	job->hit_last_ms = now;
}

/* "http-01 www.example.com": the responder has answered a validation. */
static void
read_hits(struct run *r, int64_t now)
{
	char bytes[4096], *line, *end, *name;
	ssize_t n = read(r->config.hits_fd, bytes, sizeof(bytes));

	if (n <= 0 || buf_add(&r->hits, bytes, (size_t)n) == -1) {
		r->config.hits_fd = -1; /* it has gone, or is none of ours */
		return;
	}
	line = (char *)r->hits.data;
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		name = strchr(line, ' ');
		for (size_t i = 0; name && i < r->next_job; i++)
			job_hit(&r->jobs[i], name + 1, now);
		line = end + 1;
	}
	r->hits.len = strlen(line);
	memmove(r->hits.data, line, r->hits.len + 1);
}

static void
sooner(int64_t *until, int64_t when_ms)
{
	if (when_ms < *until)
		*until = when_ms;
}

static void
sooner_of_job(int64_t *until, const struct job *job)
{
	if (job->ended)
		return;
	if (!job->flow) {
		/* 0: waits for the directory, which is a job of its own */
		if (job->again_ms)
			sooner(until, job->again_ms);
		return;
	}
	sooner(until, job->deadline_ms);
	if (job->ops.tick)
		sooner(until, job->tick_ms);
}

static int
timeout(const struct run *r, int64_t now)
{
	int64_t until = now + IDLE_MS;

	sooner_of_job(&until, &r->fetch_job);
	for (size_t i = 0; i < r->next_job; i++)
		sooner_of_job(&until, &r->jobs[i]);
	/* one that waits for a nonce waits for the network */
	for (const struct request *q = r->requests; q; q = q->next)
		if (q->job && !q->sent && when(q) > now)
			sooner(&until, when(q));
	return until <= now ? 0 : (int)(until - now);
}

static int
wait_for_events(struct run *r, struct err *err)
{
	bool hit = false;

	if (http_wait(r->config.http, r->config.hits_fd,
	        timeout(r, date_mono_ms()), &hit, err) == -1)
		return -1;
	if (hit)
		read_hits(r, date_mono_ms());
	return 0;
}

/* Takes new jobs into flight, and moves those that are. */
static bool
step_jobs(struct run *r, int64_t now)
{
	size_t window = r->config.window ? r->config.window : WINDOW;
	bool did = false;

	for (; r->next_job < r->n_jobs && r->in_flight < window; r->in_flight++)
		r->next_job++;
	for (size_t i = 0; i < r->next_job; i++)
		while (!r->jobs[i].ended && step_job(r, &r->jobs[i], now))
			did = true;
	/* last: one of those may just have asked for the directory */
	while (!r->fetch_job.ended && step_job(r, &r->fetch_job, now))
		did = true;
	return did;
}

static bool
finished(const struct run *r)
{
	return r->fetch_job.ended && r->next_job == r->n_jobs && !r->in_flight;
}

static int
loop(struct run *r, struct err *err)
{
	while (!finished(r)) {
		int64_t now = date_mono_ms();
		bool did = step_jobs(r, now);

		r->answered = false;
		perform(r, now);
		if (did || r->answered || !fetch_nonces(r, now))
			continue;
		if (wait_for_events(r, err) == -1)
			return -1;
	}
	return 0;
}

const struct directory *
run_directory(struct run *r, struct err *err)
{
	if (!ready(r) && loop(r, err) == -1)
		return NULL;
	if (!r->have_directory) {
		*err = r->directory_err;
		return NULL;
	}
	return &r->directory;
}

int
run_all(struct run *r, struct err *err)
{
	return loop(r, err);
}

void
run_account(struct run *r, const struct key *key, const char *url)
{
	r->key = key;
	r->account_url = url;
}

struct run *
run_open(const struct run_config *config, struct err *err)
{
	struct run *r;

	if (!config->http || !config->store) {
		err_bug(err, "a run without http or store");
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->config = *config;
	r->fetch_job.ended = true;
	r->hits.max = HITS_MAX;
	return r;
}

void
run_close(struct run *r)
{
	char *nonce;

	if (!r)
		return;
	/* one is worth a round trip to the next run */
	if ((nonce = nonces_take(&r->nonces)))
		nonce_cache_save(r->config.store, r->config.issuer, nonce);
	free(nonce);
	nonces_clear(&r->nonces);
	for (struct request *q = r->requests, *next; q; q = next) {
		next = q->next;
		free(q->nonce);
		free(q);
	}
	directory_release(&r->directory);
	directory_release(&r->outdated);
	buf_release(&r->hits);
	free(r->jobs);
	free(r);
}
