/*
 * lib/run's performer, and enrolling and issuing on top of it, against a CA of
 * our own: a table of rules says which request to which path gets which
 * answer.  It is one child that takes one request after the other, so what it
 * has seen, which it keeps in shared memory, has an order.
 */
#include <config.h>

#include "run/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "acme/directory.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/enc.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"
#include "base/log.h"
#include "io/http.h"
#include "pki/key.h"
#include "run/enroll.h"
#include "run/issue.h"
#include "store/account.h"
#include "store/cache.h"
#include "store/certificate.h"
#include "store/journal.h"
#include "store/layout.h"
#include "store/lease.h"
#include "store/store.h"
#include "tap.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ISSUER "test-ca"
#define PROBLEM(type)                                                          \
	"{\"type\":\"urn:ietf:params:acme:error:" type "\","                   \
	"\"detail\":\"as told\"}"

#define DAYS ((time_t)24 * 3600)

enum {
	SEEN_MAX = 600,
	BODY_SIZE = 4096,
	LINKS = 64,
	LONG_MS = 10 * 60 * 1000, /* never, in a test */
	PROMPT_MS = 10 * 1000     /* far more than what is at hand takes */
};

static void
must(bool cond, const char *what)
{
	if (cond)
		return;
	diag("cannot go on: %s: %s", what, strerror(errno));
	_exit(99);
}

/* -- what the server has seen ---------------------------------------------- */

struct seen {
	char method[8], path[64], body[BODY_SIZE];
	char nonce[32]; /* given with the answer */
	int64_t when;   /* date_mono_ms() */
};

static struct log {
	atomic_uint n;
	struct seen v[SEEN_MAX];
} * seen;

/* "GET /directory HEAD /nonce", from the first-th on. */
static const char *
requests_from(unsigned first)
{
	static char text[SEEN_MAX * 64];
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = first; i < seen->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s%s %s", i > first ? " " : "", seen->v[i].method,
		    seen->v[i].path);
	return text;
}

static const char *
requests(void)
{
	return requests_from(0);
}

static unsigned
count(const char *path)
{
	unsigned n = 0;

	for (unsigned i = 0; i < seen->n; i++)
		n += strcmp(seen->v[i].path, path) == 0;
	return n;
}

/* The n-th request to a path, from 1. */
static const struct seen *
find(const char *path, unsigned n)
{
	static const struct seen none;

	for (unsigned i = 0; i < seen->n; i++)
		if (strcmp(seen->v[i].path, path) == 0 && --n == 0)
			return &seen->v[i];
	return &none;
}

/* A part of a request's JWS: "protected" or "payload", decoded. */
static struct json *
jws_part(const struct seen *s, const char *part)
{
	struct json *jws = json_parse("jws", s->body, strlen(s->body), NULL);
	struct buf text = BUF_INIT;
	struct json *out = NULL;
	const char *b64;

	if (jws &&
	    json_get_string("jws", jws, part, JSON_REQUIRED, &b64, NULL) == 0 &&
	    b64url_decode(b64, strlen(b64), &text) == 0)
		out = json_parse(part, text.data, text.len, NULL);
	buf_release(&text);
	json_free(jws);
	return out;
}

static const char *
member(const struct seen *s, const char *part, const char *name)
{
	static char out[4][1024];
	static unsigned turn;
	char *text = out[turn++ % 4];
	struct json *o = jws_part(s, part);
	const char *value = NULL;

	if (o)
		(void)json_get_string(
		    part, o, name, JSON_OPTIONAL, &value, NULL);
	snprintf(text, sizeof(out[0]), "%s", value ? value : "(none)");
	json_free(o);
	return text;
}

static const char *
nonce_of(const struct seen *s)
{
	return member(s, "protected", "nonce");
}

/* How long the n-th request to a path came after the one before. */
static int64_t
pause_before(const char *path, unsigned n)
{
	return find(path, n)->when - find(path, n - 1)->when;
}

/* RFC 8555, 6.5: no nonce twice, and none that the CA has not given. */
static bool
nonces_are_fresh(void)
{
	for (unsigned i = 0; i < seen->n; i++) {
		bool given = false;
		char nonce[1024];

		if (strcmp(seen->v[i].method, "POST") != 0)
			continue;
		snprintf(nonce, sizeof(nonce), "%s", nonce_of(&seen->v[i]));
		for (unsigned j = 0; j < i; j++) {
			given |= strcmp(nonce, seen->v[j].nonce) == 0;
			if (strcmp(seen->v[j].method, "POST") == 0 &&
			    strcmp(nonce, nonce_of(&seen->v[j])) == 0)
				return false;
		}
		if (!given)
			return false;
	}
	return true;
}

/* -- the server ------------------------------------------------------------ */

enum how { ANSWER, SILENCE, HANG_UP, INTERRUPT };

/* "{base}" in texts is the server's own URL. */
struct rule {
	const char *path;
	unsigned from, to; /* which requests to it, from 1; 0: no limit */
	int status;        /* 0: 200 */
	const char *head;  /* more header lines */
	const char *body;  /* NULL: {} */
	enum how how;
	const char *nonce; /* in place of a fresh one; "": none */
	void (*make)(const struct seen *request, struct buf *body);
};

static struct server {
	pid_t pid;
	char base[40], directory[64];
} server;

struct link {
	int fd;
	struct buf in;
};

static void
expand(const char *text, struct buf *out)
{
	const char *end;

	for (; (end = strstr(text, "{base}")); text = end + 6) {
		buf_put(out, text, (size_t)(end - text));
		buf_puts(out, server.base);
	}
	buf_puts(out, text);
}

static const struct rule *
find_rule(const struct rule *rules, const char *path)
{
	static const struct rule otherwise = {.path = ""};
	static const struct rule directory = {.path = "/directory",
	    .nonce = "",
	    .body = "{\"newNonce\":\"{base}/nonce\","
	            "\"newAccount\":\"{base}/account\","
	            "\"newOrder\":\"{base}/order\"}"};
	unsigned n = count(path);

	for (; rules->path; rules++)
		if (strcmp(rules->path, path) == 0 && n >= rules->from &&
		    (!rules->to || n <= rules->to))
			return rules;
	return strcmp(path, "/directory") == 0 ? &directory : &otherwise;
}

static void
compose(const struct rule *rule, struct seen *s, struct buf *out)
{
	struct buf body = BUF_INIT;

	if (rule->make)
		rule->make(s, &body);
	else if (strcmp(s->method, "HEAD") != 0)
		expand(rule->body ? rule->body : "{}", &body);
	snprintf(s->nonce, sizeof(s->nonce), "nonce-%u", seen->n);
	if (rule->nonce)
		snprintf(s->nonce, sizeof(s->nonce), "%s", rule->nonce);
	buf_printf(out, "HTTP/1.1 %d As told\r\nContent-Length: %zu\r\n",
	    rule->status ? rule->status : 200, body.len);
	if (*s->nonce)
		buf_printf(out, "Replay-Nonce: %s\r\n", s->nonce);
	if (rule->head)
		expand(rule->head, out);
	buf_puts(out, "\r\n");
	buf_put(out, body.data, body.len);
	buf_release(&body);
}

/* What libcurl itself sends once more: it takes an end without an answer for
 * one that came before the request. */
static bool
is_repeated(const struct seen *s)
{
	return seen->n > 0 && *s->body &&
	    strcmp(s->body, seen->v[seen->n - 1].body) == 0;
}

/* Keeps the request and answers it; false when the connection is to end. */
static bool
answer_request(
    const struct rule *rules, int fd, const char *text, const char *body)
{
	struct seen *s = &seen->v[seen->n];
	const struct rule *rule;
	struct buf out = BUF_INIT;
	bool sent = true;

	must(seen->n < SEEN_MAX && strlen(body) < BODY_SIZE &&
	        sscanf(text, "%7s %63s", s->method, s->path) == 2,
	    "a request");
	snprintf(s->body, sizeof(s->body), "%s", body);
	s->when = date_mono_ms();
	seen->n += !is_repeated(s);
	rule = find_rule(rules, s->path);
	if (rule->how == INTERRUPT)
		kill(getppid(), SIGUSR1);
	if (rule->how != ANSWER)
		return rule->how != HANG_UP;
	compose(rule, s, &out);
	sent = write(fd, out.data, out.len) == (ssize_t)out.len;
	buf_release(&out);
	return sent;
}

/* Takes what has come; false when the connection has ended. */
static bool
read_link(const struct rule *rules, struct link *l)
{
	const char *end, *length;
	char p[8192], *body;
	size_t want;
	ssize_t n = read(l->fd, p, sizeof(p));
	bool stays;

	if (n <= 0)
		return false;
	buf_put(&l->in, p, (size_t)n);
	if (!(end = strstr(buf_str(&l->in), "\r\n\r\n")))
		return true;
	length = strstr(buf_str(&l->in), "Content-Length: ");
	want = length ? strtoul(length + 16, NULL, 10) : 0;
	if (l->in.len < (size_t)(end - buf_str(&l->in)) + 4 + want)
		return true;
	body = xstrdup(end + 4);
	stays = answer_request(rules, l->fd, buf_str(&l->in), body);
	free(body);
	buf_clear(&l->in);
	return stays;
}

static void
serve(int listener, const struct rule *rules)
{
	struct pollfd fds[LINKS + 1] = {{.fd = listener, .events = POLLIN}};
	struct link links[LINKS + 1] = {{.fd = listener}};
	nfds_t n = 1;

	for (;;) {
		must(poll(fds, n, -1) > 0, "poll");
		for (nfds_t i = n - 1; i > 0; i--) {
			if (!fds[i].revents || read_link(rules, &links[i]))
				continue;
			close(fds[i].fd);
			buf_release(&links[i].in);
			fds[i] = fds[--n];
			links[i] = links[n];
		}
		if (!fds[0].revents)
			continue;
		must(n <= LINKS, "connections");
		links[n] = (struct link){.fd = accept(listener, NULL, NULL)};
		fds[n] = (struct pollfd){.fd = links[n].fd, .events = POLLIN};
		n++;
	}
}

static void
server_start(const struct rule *rules)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd != -1 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	        listen(fd, 128) == 0 &&
	        getsockname(fd, (struct sockaddr *)&a, &len) == 0,
	    "listen");
	snprintf(server.base, sizeof(server.base), "http://127.0.0.1:%d",
	    (int)ntohs(a.sin_port));
	snprintf(server.directory, sizeof(server.directory), "%s/directory",
	    server.base);
	seen->n = 0;
	server.pid = fork();
	must(server.pid != -1, "fork");
	if (server.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		serve(fd, rules);
	}
	close(fd);
}

static void
server_stop(void)
{
	kill(server.pid, SIGKILL);
	waitpid(server.pid, NULL, 0);
}

/* -- a client -------------------------------------------------------------- */

static struct world {
	struct http *http;
	struct store *store;
	struct run *run;
	struct key *key;
	char account_url[80];
} w;

static const struct rule honest[] = {{.path = NULL}};

/* A server, and a store that knows nothing. */
static void
world_open(const struct rule *rules)
{
	static unsigned number;
	struct http_config config = {.user_agent = "test", .proxy = ""};
	struct err err = ERR_INIT;
	char path[64];

	server_start(rules);
	snprintf(path, sizeof(path), "%s/%u", tap_tmpdir(), ++number);
	w.store = store_open(path, true, &err);
	w.http = http_open(&config, &err);
	if (!w.key)
		w.key = key_new(KEY_P256, &err);
	must(w.store && w.http && w.key, err.text);
}

static void
run_begin_with(const struct run_config *changes)
{
	struct run_config config = *changes;
	struct err err = ERR_INIT;

	config.http = w.http;
	config.store = w.store;
	config.issuer = ISSUER;
	config.directory_url = server.directory;
	w.run = run_open(&config, &err);
	must(w.run, err.text);
	snprintf(
	    w.account_url, sizeof(w.account_url), "%s/account/1", server.base);
	run_account(w.run, w.key, w.account_url);
}

static void
run_begin(void)
{
	static const struct run_config plain = {.hits_fd = -1};

	run_begin_with(&plain);
}

static void
run_end(void)
{
	run_close(w.run);
	w.run = NULL;
}

static void
world_close(void)
{
	run_end();
	http_close(w.http);
	store_close(w.store);
	server_stop();
}

/* -- jobs whose flow is a table of ours ------------------------------------ */

/* What has happened, in order: "a.begin a.answer a.cleanup a.end ". */
static struct buf events;

struct talk {
	const char *name;
	const char *path;   /* of its requests */
	size_t requests;    /* in one round; 0: one */
	enum ask_kind kind; /* of them */
	int64_t delay_ms;   /* before them */
	bool wake;
	/* before and behind the requests, if set; -1 with err */
	int (*before)(struct talk *t, struct err *err);
	int (*behind)(struct talk *t, struct err *err);
	int (*tick)(void *self, int64_t now, int64_t *next, struct err *err);
	unsigned again; /* times that end() wants another go */
	unsigned later; /* times that begin() asks to wait */
	int64_t later_ms;
	bool idle; /* there is nothing to do */
	int64_t nap_ms;
	/* what came of it */
	struct flow flow;
	char *url;
	unsigned begun, ended, answers, out_of_order;
	int status;
	bool failed;
	struct err err;
};

static void __attribute__((format(printf, 2, 3)))
note(const struct talk *t, const char *fmt, ...)
{
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(&events, "%s.%s ", t->name, text);
}

static int
ask_before(void *self, struct asks *asks, struct err *err)
{
	struct talk *t = self;

	(void)err;
	if (t->before)
		asks_add(asks, ASK_LOCAL, "before")->local = LOCAL_PRESENT;
	return 0;
}

static int
ask_requests(void *self, struct asks *asks, struct err *err)
{
	struct talk *t = self;
	size_t n = t->requests ? t->requests : 1;

	(void)err;
	for (size_t i = 0; i < n && t->path; i++) {
		struct ask *ask = asks_add(asks, t->kind, "newOrder");

		ask->url = t->url;
		ask->payload = "";
		ask->delay_ms = t->delay_ms;
		ask->wake = t->wake;
		ask->index = i;
	}
	return 0;
}

static int
got_request(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct talk *t = self;

	t->out_of_order += ask != &t->flow.asks.v[ask->index];
	t->answers++;
	t->status = answer->status;
	if (t->requests < 2)
		note(t, "answer");
	if (answer->status < 300)
		return FLOW_NEXT;
	err_set(err, answer->status == 429 ? ERR_LATER : ERR_PROTOCOL,
	    "status %d", answer->status);
	err->http = answer->status;
	return FLOW_FAIL;
}

static int
ask_behind(void *self, struct asks *asks, struct err *err)
{
	struct talk *t = self;

	(void)err;
	if (t->behind)
		asks_add(asks, ASK_LOCAL, "behind")->local = LOCAL_KEY;
	return 0;
}

static int
ask_cleanup(void *self, struct asks *asks, struct err *err)
{
	(void)self, (void)err;
	asks_add(asks, ASK_LOCAL, "cleanup")->local = LOCAL_CLEANUP;
	return 0;
}

enum { ROW_CLEANUP = 3 };

static const struct step steps[] = {{"before", ask_before, NULL},
    {"requests", ask_requests, got_request}, {"behind", ask_behind, NULL},
    [ROW_CLEANUP] = {"cleanup", ask_cleanup, NULL}, {NULL, NULL, NULL}};

static struct flow *
talk_begin(void *self, int64_t *wait_ms, struct err *err)
{
	struct talk *t = self;

	note(t, "begin");
	t->begun++;
	if (t->idle)
		return NULL;
	if (t->later > 0) {
		t->later--;
		*wait_ms = t->later_ms;
		err_set(err, ERR_LATER, "held by another");
		return NULL;
	}
	flow_release(&t->flow);
	flow_init(&t->flow, t->name, steps, ROW_CLEANUP, t);
	return &t->flow;
}

static int
talk_local(
    void *self, const struct ask *ask, struct answer *answer, struct err *err)
{
	struct talk *t = self;

	(void)answer;
	note(t, "%s", ask->what);
	switch (ask->local) {
	case LOCAL_PRESENT:
		return t->before(t, err);
	case LOCAL_KEY:
		return t->behind(t, err);
	default:
		return 0;
	}
}

static bool
talk_end(void *self, const struct err *err)
{
	struct talk *t = self;

	note(t, err ? "fail" : "end");
	t->ended++;
	t->failed = err != NULL;
	t->err = err ? *err : (struct err)ERR_INIT;
	if (t->again == 0)
		return false;
	t->again--;
	return true;
}

/* A job is named as its validations are. */
static bool
talk_seen(void *self, const char *name)
{
	const struct talk *t = self;

	return strcmp(t->name, name) == 0;
}

static void
talk_add(struct talk *t)
{
	free(t->url);
	t->url = xasprintf("%s%s", server.base, t->path ? t->path : "");
	t->begun = t->ended = t->answers = 0;
	run_add(w.run,
	    &(struct run_job){.begin = talk_begin,
	        .local = talk_local,
	        .tick = t->tick,
	        .end = talk_end,
	        .seen = talk_seen,
	        .self = t});
}

static void
talk_release(struct talk *t)
{
	flow_release(&t->flow);
	free(t->url);
	t->url = NULL;
}

/* Performs what has been added; events are of this alone. */
static void
perform(const char *what)
{
	struct err err = ERR_INIT;

	buf_clear(&events);
	ok_err(run_all(w.run, &err), &err, "%s", what);
}

/* One job, from adding to releasing. */
static void
talk_alone(struct talk *t, const char *what)
{
	talk_add(t);
	perform(what);
	is_int(t->ended, 1, "it ends once");
	talk_release(t);
}

static void
talk_fails(struct talk *t, int code, const char *text, const char *what)
{
	talk_alone(t, what);
	fails(t->failed ? -1 : 0, &t->err, code, text, "with its reason");
}

/* One job with a run and a server of its own. */
static struct talk
try(const struct rule *rules, const char *what)
{
	struct talk t = {.name = "a", .path = "/order", .kind = ASK_POST};

	world_open(rules);
	run_begin();
	talk_alone(&t, what);
	return t;
}

/* -- requests and nonces --------------------------------------------------- */

static void
test_signed(void)
{
	struct talk by_kid = {.name = "a", .path = "/x", .kind = ASK_POST};
	struct talk by_key = {.name = "b", .path = "/y", .kind = ASK_POST_JWK};
	struct talk get = {.name = "c", .path = "/z", .kind = ASK_GET};
	int64_t began;

	world_open(honest);
	run_begin();
	began = date_mono_ms();
	talk_alone(&by_kid, "a signed request");
	ok(date_mono_ms() - began < PROMPT_MS, "at once");
	is(requests(), "GET /directory HEAD /nonce POST /x",
	    "with the directory and a nonce");
	is(nonce_of(find("/x", 1)), find("/nonce", 1)->nonce, "this nonce");
	is(member(find("/x", 1), "protected", "kid"), w.account_url,
	    "signed by the account");
	ok(strstr(member(find("/x", 1), "protected", "url"), "/x") != NULL,
	    "for its URL");
	is(buf_str(&events), "a.begin a.answer a.cleanup a.end ", "row by row");
	talk_alone(&by_key, "another");
	is(requests_from(3), "POST /y", "needs no more");
	is(nonce_of(find("/y", 1)), find("/x", 1)->nonce,
	    "with the nonce of the answer before");
	is(member(find("/y", 1), "protected", "kid"), "(none)",
	    "and no account, when by key");
	talk_alone(&get, "a GET");
	is(requests_from(4), "GET /z", "goes as it is");
	is(find("/z", 1)->body, "", "without a body");
	world_close();
}

static void
test_saved_nonce(void)
{
	static const struct rule once[] = {
	    {"/order", 3, 3, .status = 400, .body = PROBLEM("badNonce")},
	    {.path = NULL}};
	struct talk t = {.name = "a", .path = "/order", .kind = ASK_POST};
	char *nonce;

	world_open(once);
	run_begin();
	talk_alone(&t, "a first run");
	run_end();
	run_begin();
	talk_alone(&t, "a second run");
	is(requests_from(3), "POST /order", "needs one request");
	is(nonce_of(find("/order", 2)), find("/order", 1)->nonce,
	    "with the nonce that the first one saved");
	run_end();
	run_begin();
	talk_alone(&t, "a third, whose saved nonce is refused");
	is(requests_from(4), "POST /order POST /order", "needs two");
	is(nonce_of(find("/order", 4)), find("/order", 3)->nonce,
	    "the second with the nonce of the refusal");
	run_end();
	nonce = nonce_cache_take(w.store, ISSUER);
	is(nonce, find("/order", 4)->nonce, "the newest is saved");
	free(nonce);
	run_begin();
	talk_alone(&t, "a run without");
	is(requests_from(6), "HEAD /nonce POST /order", "asks for one");
	ok(nonces_are_fresh(), "no nonce is used twice");
	world_close();
}

static void
test_bad_nonce_for_ever(void)
{
	static const struct rule never[] = {
	    {"/order", .status = 400, .body = PROBLEM("badNonce")},
	    {.path = NULL}};
	struct talk t = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct talk busy = {
	    .name = "b", .path = "/busy", .kind = ASK_POST, .again = 200};
	bool chained = true;

	world_open(never);
	run_begin();
	talk_add(&t);
	talk_add(&busy);
	perform("nonces refused for ever, and another job that needs some");
	is_int(t.status, 400, "are an answer at last");
	is_int(count("/order"), 20, "after twenty tries");
	is_int(count("/busy"), 201, "while the other goes on");
	for (unsigned i = 2; i <= count("/order"); i++)
		chained &= strcmp(nonce_of(find("/order", i)),
		               find("/order", i - 1)->nonce) == 0;
	ok(chained, "each with the nonce of the refusal before");
	is_int(count("/nonce"), 2, "and none but the first was asked for");
	talk_release(&t);
	talk_release(&busy);
	world_close();
}

/* Two requests: a refusal must not lend one the other's nonce. */
static void
test_bad_nonce_beside_others(void)
{
	static const struct rule some[] = {
	    {"/order", 1, 5, .status = 400, .body = PROBLEM("badNonce")},
	    {.path = NULL}};
	struct talk t = {
	    .name = "a", .path = "/order", .kind = ASK_POST, .requests = 10};

	world_open(some);
	run_begin();
	talk_alone(&t, "ten at once, some refused");
	is_int(t.answers, 10, "ten answers");
	is_int(count("/order"), 15, "and five tries more");
	ok(nonces_are_fresh(), "no nonce is used twice");
	world_close();
}

static void
test_bad_nonce_without_one(void)
{
	static const struct rule none[] = {
	    {"/order", 1, 1, .status = 400, .body = PROBLEM("badNonce"),
	        .nonce = ""},
	    {"/order", 2, 2, .status = 400, .body = PROBLEM("badNonce"),
	        .nonce = "not/base64url"},
	    {.path = NULL}};
	struct talk t = try(none, "refusals without a nonce, or a usable one");

	is_int(t.status, 200, "end well");
	is(requests(),
	    "GET /directory HEAD /nonce POST /order HEAD /nonce "
	    "POST /order HEAD /nonce POST /order",
	    "by asking for others");
	world_close();
}

static void
test_other_problems(void)
{
	static const struct rule malformed[] = {
	    {"/order", .status = 400, .body = PROBLEM("malformed")},
	    {.path = NULL}};
	static const struct rule text[] = {
	    {"/order", .status = 400, .body = "badNonce"}, {.path = NULL}};
	struct talk t = try(malformed, "another problem");

	is_int(count("/order"), 1, "is final");
	is_int(t.status, 400, "and the flow's to read");
	world_close();
	try(text, "so is what only looks like a refused nonce");
	is_int(count("/order"), 1, "once");
	world_close();
}

/* So often that any idle moment adds up. */
static void
try_many_without(const struct rule *rules)
{
	struct talk t = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct err err = ERR_INIT;
	int64_t began;
	int failed = 0;

	world_open(rules);
	began = date_mono_ms();
	buf_clear(&events);
	for (int i = 0; i < 60; i++) {
		run_begin();
		talk_add(&t);
		must(run_all(w.run, &err) == 0, err.text);
		run_end();
		failed += t.failed;
	}
	is_int(failed, 60, "sixty runs without a nonce all fail");
	ok(date_mono_ms() - began < PROMPT_MS, "at once");
	talk_release(&t);
	world_close();
}

static void
test_no_nonce(void)
{
	static const struct rule broken[] = {
	    {"/nonce", .status = 500}, {.path = NULL}};
	static const struct rule empty[] = {
	    {"/nonce", .nonce = ""}, {.path = NULL}};
	static const struct rule once[] = {
	    {"/nonce", 1, 2, .status = 500}, {.path = NULL}};
	int64_t began = date_mono_ms();
	struct talk t = try(broken, "no nonce to be had");

	fails(t.failed ? -1 : 0, &t.err, ERR_UNAVAILABLE, "newNonce",
	    "it says so");
	is(requests(), "GET /directory HEAD /nonce HEAD /nonce HEAD /nonce",
	    "after three tries");
	is(buf_str(&events), "a.begin a.cleanup a.fail ", "and is cleaned up");
	ok(date_mono_ms() - began < PROMPT_MS, "at once");
	world_close();
	t = try(empty, "newNonce without one");
	fails(t.failed ? -1 : 0, &t.err, ERR_PROTOCOL, "no Replay-Nonce",
	    "it says so");
	world_close();
	try_many_without(broken);
	t = try(once, "newNonce with two bad moments");
	ok(!t.failed, "is asked again");
	world_close();
}

/* A round may be larger than what is let in flight. */
static void
test_many(void)
{
	struct talk t = {
	    .name = "a", .path = "/order", .kind = ASK_POST, .requests = 150};

	world_open(honest);
	run_begin();
	talk_alone(&t, "150 requests in one round");
	is_int(t.answers, 150, "have 150 answers");
	is_int(t.out_of_order, 0, "each that of its own ask");
	is_int(count("/order"), 150, "and were sent once each");
	ok(nonces_are_fresh(), "no nonce is used twice");
	ok(count("/nonce") <= 60, "most nonces are those of answers");
	world_close();
}

static void
test_nobody_signs(void)
{
	struct talk t = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct run_config nothing = {.http = NULL};
	struct err err = ERR_INIT;

	world_open(honest);
	run_begin();
	run_account(w.run, w.key, NULL);
	talk_fails(&t, ERR_SOFTWARE, "newOrder", "a request by no account");
	run_account(w.run, NULL, NULL);
	talk_fails(&t, ERR_SOFTWARE, "newOrder", "and one with no key");
	is_int(count("/order"), 0, "are not sent");
	world_close();
	fails(run_open(&nothing, &err) ? 0 : -1, &err, ERR_SOFTWARE, NULL,
	    "a run without http");
}

/* -- what is worth retrying ------------------------------------------------ */

/* All at once, since each is mostly waiting. */
static const struct {
	const char *path;
	int status;
	const char *head;
	unsigned bad; /* so many before a good answer */
	int final;
	unsigned tries;
} moments[] = {
    {"/503-for-a-second", 503, "Retry-After: 1\r\n", 1, 200, 2},
    {"/503-for-an-hour", 503, "Retry-After: 3600\r\n", 9, 503, 1},
    {"/500-twice", 500, NULL, 2, 200, 3},
    {"/502-for-ever", 502, NULL, 9, 502, 3},
    {"/504-once", 504, NULL, 1, 200, 2},
    {"/501", 501, NULL, 9, 501, 1},
    {"/429-for-a-second", 429, "Retry-After: 1\r\n", 1, 200, 2},
    {"/429-for-an-hour", 429, "Retry-After: 3600\r\n", 9, 429, 1},
    {"/429-for-nobody-knows-how-long", 429, NULL, 9, 429, 1},
    {"/404", 404, NULL, 9, 404, 1},
    {"/403-with-retry-after", 403, "Retry-After: 1\r\n", 9, 403, 1},
};

static void
test_retry_after(void)
{
	struct rule rules[LENGTH(moments) + 1] = {{.path = NULL}};
	struct talk t[LENGTH(moments)];

	for (size_t i = 0; i < LENGTH(moments); i++) {
		rules[i] = (struct rule){moments[i].path, 1, moments[i].bad,
		    .status = moments[i].status, .head = moments[i].head};
		t[i] = (struct talk){.name = moments[i].path + 1,
		    .path = moments[i].path,
		    .kind = ASK_POST};
	}
	world_open(rules);
	run_begin();
	for (size_t i = 0; i < LENGTH(moments); i++)
		talk_add(&t[i]);
	perform("a CA's bad moments");
	ok(pause_before("/503-for-a-second", 2) >= 1000 &&
	        pause_before("/429-for-a-second", 2) >= 1000,
	    "the second that the CA asks for is waited");
	ok(pause_before("/500-twice", 2) >= 500 &&
	        pause_before("/500-twice", 3) >= 1000,
	    "where it says nothing, a while, and then a longer one");
	for (size_t i = 0; i < LENGTH(moments); i++) {
		is_int(t[i].status, moments[i].final, "%s: the final answer",
		    t[i].name);
		is_int(count(t[i].path), moments[i].tries, "%s: and tries",
		    t[i].name);
		talk_release(&t[i]);
	}
	ok(nonces_are_fresh(), "each with a nonce of its own");
	world_close();
}

static void
test_retry_at(void)
{
	static const struct rule hour[] = {
	    {"/order", .status = 429, .head = "Retry-After: 3600\r\n"},
	    {.path = NULL}};
	static const struct rule sometime[] = {
	    {"/order", .status = 429}, {.path = NULL}};
	time_t now = time(NULL);
	struct talk t = try(hour, "a rate limit for an hour");

	fails(t.failed ? -1 : 0, &t.err, ERR_LATER, NULL, "is for later");
	ok(t.err.retry_at >= now + 3600 && t.err.retry_at <= now + 3660,
	    "which says when");
	world_close();
	t = try(sometime, "one that says no time");
	fails(t.failed ? -1 : 0, &t.err, ERR_LATER, NULL, "is for later, too");
	is_int(t.err.retry_at, 0, "without a time");
	world_close();
}

static void
test_broken_connections(void)
{
	static const struct rule thrice[] = {
	    {"/order", .how = HANG_UP}, {.path = NULL}};
	static const struct rule twice[] = {
	    {"/order", 1, 2, .how = HANG_UP}, {.path = NULL}};
	struct talk t = try(thrice, "three broken connections");

	fails(t.failed ? -1 : 0, &t.err, ERR_UNAVAILABLE,
	    "newOrder: ", "are enough");
	is_int(count("/order"), 3, "after three tries");
	is(buf_str(&events), "a.begin a.cleanup a.fail ", "and are cleaned up");
	ok(nonces_are_fresh(), "a nonce that was sent is not sent again");
	world_close();
	t = try(twice, "two broken connections");
	is_int(t.status, 200, "are not");
	ok(nonces_are_fresh(), "again no nonce twice");
	world_close();
}

/* -- the directory --------------------------------------------------------- */

static void
remember_directory(const char *nonce, const char *order, time_t when)
{
	struct buf body = BUF_INIT;

	buf_printf(&body,
	    "{\"newNonce\":\"%s%s\",\"newAccount\":\"%s/account\","
	    "\"newOrder\":\"%s%s\"}",
	    server.base, nonce, server.base, server.base, order);
	directory_cache_save(w.store, ISSUER, server.directory, &body, when);
	buf_release(&body);
}

static int
use_directory(struct talk *t, struct err *err)
{
	const struct directory *d = run_directory(w.run, err);

	if (!d)
		return -1;
	free(t->url);
	t->url = xstrdup(d->new_order);
	return 0;
}

/* Asks what the directory names newOrder, as an order does. */
static struct flow *
begin_by_directory(void *self, int64_t *wait_ms, struct err *err)
{
	struct talk *t = self;

	if (use_directory(t, err) == -1)
		return NULL;
	return talk_begin(self, wait_ms, err);
}

static void
add_by_directory(struct talk *t)
{
	t->begun = t->ended = 0;
	run_add(w.run,
	    &(struct run_job){.begin = begin_by_directory,
	        .local = talk_local,
	        .end = talk_end,
	        .self = t});
}

static const struct rule moved[] = {
    {"/old-order", .status = 404, .body = PROBLEM("malformed")},
    {"/old-nonce", .status = 404, .body = PROBLEM("malformed")},
    {.path = NULL}};

static void
test_cached_directory(void)
{
	static const struct {
		const char *what;
		int64_t age_s;
		bool used;
	} table[] = {
	    {"a directory remembered an hour ago", 3600, true},
	    {"one of yesterday", DAYS + 1, false},
	    {"one of tomorrow", -DAYS, false},
	};
	struct talk t = {.name = "a", .path = "/x", .kind = ASK_POST};

	for (size_t i = 0; i < LENGTH(table); i++) {
		world_open(honest);
		remember_directory("/other-nonce", "/order",
		    time(NULL) - (time_t)table[i].age_s);
		run_begin();
		talk_alone(&t, table[i].what);
		is(requests(),
		    table[i].used ? "HEAD /other-nonce POST /x" :
		                    "GET /directory HEAD /nonce POST /x",
		    table[i].used ? "is used" : "is fetched again");
		world_close();
	}
}

static void
test_outdated_directory(void)
{
	struct talk a = {.name = "a", .path = "/", .kind = ASK_POST};
	struct talk b = {.name = "b", .path = "/", .kind = ASK_POST};

	world_open(moved);
	remember_directory("/nonce", "/old-order", time(NULL));
	run_begin();
	add_by_directory(&a);
	add_by_directory(&b);
	perform("two jobs by a directory that is out of date");
	ok(!a.failed && !b.failed, "both end well");
	is_int(a.begun + b.begun, 4, "each begins twice");
	is_int(a.ended + b.ended, 2, "and ends once");
	is_int(count("/directory"), 1, "the directory is fetched once");
	is_int(count("/old-order"), 2, "the old address is tried");
	is_int(count("/order"), 2, "and then the new");
	run_end();
	run_begin();
	add_by_directory(&a);
	perform("the next run");
	is_int(count("/directory"), 1, "remembers the new one");
	is_int(count("/order"), 3, "and uses it");
	talk_release(&a);
	talk_release(&b);
	world_close();
}

static void
test_outdated_nonce(void)
{
	struct talk a = {.name = "a", .path = "/", .kind = ASK_POST};

	world_open(moved);
	remember_directory("/old-nonce", "/order", time(NULL));
	run_begin();
	add_by_directory(&a);
	perform("a directory whose newNonce is out of date");
	ok_err(a.failed ? -1 : 0, &a.err, "ends well");
	is_int(count("/directory"), 1, "having been fetched again");
	is_int(count("/order"), 1, "once");
	talk_release(&a);
	world_close();
}

static void
test_directory_once(void)
{
	static const struct rule gone[] = {{"/order", .status = 404},
	    {"/old-order", .status = 404}, {.path = NULL}};
	struct talk a = {.name = "a", .path = "/", .kind = ASK_POST};

	world_open(gone);
	remember_directory("/nonce", "/old-order", time(NULL));
	run_begin();
	add_by_directory(&a);
	perform("the new directory leads nowhere either");
	is_int(a.err.http, 404, "that is the end");
	is(requests(), "HEAD /nonce POST /old-order GET /directory POST /order",
	    "of one try");
	run_end();
	directory_cache_forget(w.store, ISSUER);
	run_begin();
	add_by_directory(&a);
	perform("a directory fetched in this very run");
	is_int(a.err.http, 404, "leads nowhere");
	is_int(count("/directory"), 2, "and is not fetched again");
	talk_release(&a);
	world_close();
}

/* One that is known to be out of date is not used by the next run. */
static void
test_outdated_and_gone(void)
{
	static const struct rule busy[] = {{"/old-order", .status = 404},
	    {"/directory", 1, 1, .status = 503,
	        .head = "Retry-After: 3600\r\n"},
	    {.path = NULL}};
	struct talk a = {.name = "a", .path = "/", .kind = ASK_POST};

	world_open(busy);
	remember_directory("/nonce", "/old-order", time(NULL));
	run_begin();
	add_by_directory(&a);
	perform("a new directory that cannot be had now");
	fails(a.failed ? -1 : 0, &a.err, ERR_UNAVAILABLE, "directory",
	    "is the reason");
	is_int(a.ended, 1, "for an end");
	run_end();
	run_begin();
	add_by_directory(&a);
	perform("the next run");
	ok_err(a.failed ? -1 : 0, &a.err, "has it");
	is_int(count("/old-order"), 1, "and forgot the old one");
	talk_release(&a);
	world_close();
}

/* So often that any idle moment adds up. */
static void
test_directory_at_once(void)
{
	struct talk a = {.name = "a", .path = "/x", .kind = ASK_GET};
	int64_t began;

	world_open(honest);
	began = date_mono_ms();
	buf_clear(&events);
	for (int i = 0; i < 60; i++) {
		struct err err = ERR_INIT;

		directory_cache_forget(w.store, ISSUER);
		run_begin();
		talk_add(&a);
		must(run_all(w.run, &err) == 0, err.text);
		run_end();
	}
	is_int(count("/directory"), 60, "a directory fetched sixty times");
	is_int(count("/x"), 60, "for sixty requests");
	ok(date_mono_ms() - began < PROMPT_MS, "is never waited for");
	talk_release(&a);
	world_close();
}

static void
test_no_directory(void)
{
	static const struct rule html[] = {
	    {"/directory", .body = "<html>hello</html>"}, {.path = NULL}};
	static const struct rule busy[] = {
	    {"/directory", 1, 1, .status = 503, .head = "Retry-After: 1\r\n"},
	    {.path = NULL}};
	struct talk a = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct talk b = a;
	struct err err = ERR_INIT;

	world_open(html);
	run_begin();
	b.name = "b";
	talk_add(&a);
	talk_add(&b);
	perform("what is no directory");
	fails(a.failed ? -1 : 0, &a.err, ERR_PROTOCOL, "no ACME directory",
	    "fails the first job");
	fails(b.failed ? -1 : 0, &b.err, ERR_PROTOCOL, "no ACME directory",
	    "and the second");
	is(buf_str(&events), "a.fail b.fail ", "neither of which has begun");
	fails(run_directory(w.run, &err) ? 0 : -1, &err, ERR_PROTOCOL,
	    "no ACME directory", "who asks for it hears the same");
	is(requests(), "GET /directory", "after one try");
	talk_release(&a);
	talk_release(&b);
	world_close();

	world_open(busy);
	run_begin();
	ok(run_directory(w.run, &err) != NULL, "one that is late");
	is(requests(), "GET /directory GET /directory", "is waited for");
	world_close();
}

/* -- jobs ------------------------------------------------------------------ */

static int begun_and_not_ended, most_at_once;

static struct flow *
begin_counted(void *self, int64_t *wait_ms, struct err *err)
{
	if (++begun_and_not_ended > most_at_once)
		most_at_once = begun_and_not_ended;
	return talk_begin(self, wait_ms, err);
}

static bool
end_counted(void *self, const struct err *err)
{
	begun_and_not_ended--;
	return talk_end(self, err);
}

/* max is what each of thirty jobs never sees more of. */
static void
try_window(size_t window, int max)
{
	static const struct rule some[] = {
	    {"/order", 5, 9, .status = 404}, {.path = NULL}};
	struct talk t[30];
	unsigned ended = 0;

	begun_and_not_ended = most_at_once = 0;
	world_open(some);
	run_begin_with(&(struct run_config){.window = window, .hits_fd = -1});
	for (size_t i = 0; i < LENGTH(t); i++) {
		t[i] = (struct talk){.name = "a",
		    .kind = ASK_POST,
		    .path = "/order",
		    .again = i % 7 == 0};
		t[i].url = xasprintf("%s/order", server.base);
		run_add(w.run,
		    &(struct run_job){.begin = begin_counted,
		        .local = talk_local,
		        .end = end_counted,
		        .self = &t[i]});
	}
	perform("thirty jobs");
	is_int(most_at_once, max, "window %zu: so many at once", window);
	for (size_t i = 0; i < LENGTH(t); i++) {
		ended += t[i].ended;
		talk_release(&t[i]);
	}
	is_int(ended, 35, "all end, five of them twice");
	is_int(begun_and_not_ended, 0, "as often as they begin");
	world_close();
}

static void
test_window(void)
{
	try_window(1, 1);
	try_window(4, 4);
	try_window(0, 30);
}

static void
test_begin(void)
{
	struct talk waits = {.name = "a",
	    .path = "/x",
	    .kind = ASK_POST,
	    .later = 3,
	    .later_ms = 20};
	struct talk gives_up = {
	    .name = "b", .path = "/y", .kind = ASK_POST, .later = 1};
	struct talk idle = {.name = "c", .path = "/z", .idle = true};

	world_open(honest);
	run_begin();
	talk_alone(&waits, "a lock held for a while");
	is(buf_str(&events),
	    "a.begin a.begin a.begin a.begin a.answer "
	    "a.cleanup a.end ",
	    "is tried until it is free");
	talk_fails(&gives_up, ERR_LATER, "held by another",
	    "one that is not waited for");
	is(buf_str(&events), "b.begin b.fail ", "is tried once");
	talk_alone(&idle, "nothing to do");
	ok(!idle.failed, "is a success");
	is(buf_str(&events), "c.begin c.end ", "of no requests");
	is_int(count("/y") + count("/z"), 0, "neither has sent any");
	world_close();
}

static void
test_again(void)
{
	static const struct rule first[] = {
	    {"/order", 1, 1, .status = 403}, {.path = NULL}};
	struct talk t = {
	    .name = "a", .path = "/order", .kind = ASK_POST, .again = 1};

	world_open(first);
	run_begin();
	talk_add(&t);
	perform("a job that is not content with its end");
	is(buf_str(&events),
	    "a.begin a.answer a.cleanup a.fail "
	    "a.begin a.answer a.cleanup a.end ",
	    "begins again");
	talk_release(&t);
	world_close();
}

static int
refuse(struct talk *t, struct err *err)
{
	(void)t;
	return err_set(err, ERR_IO, "the disk is full");
}

static void
test_local(void)
{
	struct talk before = {
	    .name = "a", .path = "/order", .kind = ASK_POST, .before = refuse};
	struct talk behind = {
	    .name = "a", .path = "/order", .kind = ASK_POST, .behind = refuse};

	world_open(honest);
	run_begin();
	talk_fails(&before, ERR_IO, "disk", "what the machine cannot do");
	is(buf_str(&events), "a.begin a.before a.cleanup a.fail ",
	    "ends in the cleanup row");
	is_int(count("/order"), 0, "without a request");
	talk_fails(&behind, ERR_IO, "disk", "so behind the requests");
	is(buf_str(&events), "a.begin a.answer a.behind a.cleanup a.fail ",
	    "row by row");
	world_close();
}

/* The third time the lease is lost. */
static int
tick_thrice(void *self, int64_t now, int64_t *next, struct err *err)
{
	const struct talk *t = self;

	note(t, "tick");
	if (strstr(buf_str(&events), "tick a.tick a.tick"))
		return err_set(err, ERR_LATER, "the lease is lost");
	*next = now + 10;
	return 0;
}

static void
test_tick(void)
{
	static const struct rule silent[] = {
	    {"/silent", .how = SILENCE}, {.path = NULL}};
	struct talk sent = {.name = "a",
	    .path = "/silent",
	    .kind = ASK_POST,
	    .tick = tick_thrice};
	struct talk unsent = {.name = "a",
	    .path = "/order",
	    .kind = ASK_POST,
	    .tick = tick_thrice,
	    .delay_ms = LONG_MS};

	world_open(silent);
	run_begin();
	talk_fails(&sent, ERR_LATER, "the lease is lost",
	    "a tick that fails while the CA is silent");
	is(buf_str(&events), "a.begin a.tick a.tick a.tick a.cleanup a.fail ",
	    "is the third, and nothing ticks behind it");
	talk_fails(&unsent, ERR_LATER, "the lease is lost",
	    "one that fails while a request waits");
	is_int(count("/order"), 0, "ends the waiting");
	world_close();
}

/* -- the responder's hits -------------------------------------------------- */

static int hit_pipe[2];

static int
hit(const char *text, struct err *err)
{
	if (write(hit_pipe[1], text, strlen(text)) == (ssize_t)strlen(text))
		return 0;
	return err_sys(err, ERR_IO, "pipe");
}

static int
hit_a(struct talk *t, struct err *err)
{
	(void)t;
	return hit("http-01 a\n", err);
}

static int
hit_b(struct talk *t, struct err *err)
{
	(void)t;
	return hit("nonsense\n\ntls-alpn-01 b\nhttp-01 ab\n", err);
}

static int
hit_a_in_part(struct talk *t, struct err *err)
{
	(void)t;
	return hit("tls-alpn-01 ", err);
}

static int
hit_a_in_full(struct talk *t, struct err *err)
{
	(void)t;
	return hit("a\n", err);
}

static void
hits_begin(void)
{
	world_open(honest);
	/* now, so that the server has no end of it */
	must(pipe(hit_pipe) == 0, "pipe");
	run_begin_with(&(struct run_config){
	    .hits_fd = hit_pipe[0], .deadline_ms = PROMPT_MS});
}

static void
hits_end(void)
{
	world_close();
	close(hit_pipe[0]);
	close(hit_pipe[1]);
}

/* Nobody has ten minutes: what ends well, a hit has ended. */
static void
test_hits(void)
{
	struct talk a = {.name = "a",
	    .path = "/a",
	    .kind = ASK_POST,
	    .delay_ms = LONG_MS,
	    .wake = true,
	    .before = hit_b};
	struct talk b = {.name = "b",
	    .path = "/b",
	    .kind = ASK_POST,
	    .delay_ms = LONG_MS,
	    .wake = true,
	    .behind = hit_a};

	hits_begin();
	talk_add(&a);
	talk_add(&b);
	perform("a validation of b, and then one of a");
	is(buf_str(&events),
	    "a.begin b.begin a.before b.answer b.behind "
	    "b.cleanup b.end a.answer a.cleanup a.end ",
	    "each ends the waiting of its own job");
	talk_release(&a);
	talk_release(&b);
	hits_end();
}

static void
test_hit_in_parts(void)
{
	struct talk a = {.name = "a",
	    .path = "/a",
	    .kind = ASK_POST,
	    .delay_ms = LONG_MS,
	    .wake = true};
	struct talk parts = {.name = "c",
	    .path = "/c",
	    .kind = ASK_POST,
	    .before = hit_a_in_part,
	    .behind = hit_a_in_full};

	hits_begin();
	talk_add(&a);
	talk_add(&parts);
	perform("a line that comes in two parts");
	is(buf_str(&events),
	    "a.begin c.begin c.before c.answer c.behind "
	    "c.cleanup c.end a.answer a.cleanup a.end ",
	    "is one line");
	talk_release(&a);
	talk_release(&parts);
	hits_end();
}

/* What is not to be woken keeps its time. */
static void
test_no_hit(void)
{
	struct talk steady = {.name = "a",
	    .path = "/a",
	    .kind = ASK_POST,
	    .delay_ms = 300,
	    .before = hit_a};
	int64_t began;

	hits_begin();
	began = date_mono_ms();
	talk_alone(&steady, "a validation that nothing waits for");
	ok(date_mono_ms() - began >= 300, "ends no delay");
	hits_end();
}

static int
close_hits(struct talk *t, struct err *err)
{
	(void)t, (void)err;
	close(hit_pipe[1]);
	hit_pipe[1] = -1;
	return 0;
}

/* More than a line may have, and the pipe full. */
static int
flood_hits(struct talk *t, struct err *err)
{
	static char much[60 * 1024];

	(void)t;
	memset(much, 'x', sizeof(much) - 1);
	return hit(much, err);
}

/* What a job that waits for half a second costs, in clock ticks. */
static clock_t
cost_of(struct talk *t, const char *what)
{
	clock_t began;

	hits_begin();
	began = clock();
	talk_alone(t, what);
	began = clock() - began;
	ok(!t->failed, "is missed by nobody");
	hits_end();
	return began;
}

static void
test_hits_gone(void)
{
	struct talk t = {.name = "a",
	    .path = "/a",
	    .kind = ASK_POST,
	    .delay_ms = 500,
	    .wake = true};
	clock_t cost = cost_of(&t, "a responder that says nothing");

	t.before = close_hits;
	ok(cost_of(&t, "one that has gone") < 3 * cost + CLOCKS_PER_SEC / 20,
	    "nor is it asked again and again");
	t.before = t.behind = flood_hits;
	t.delay_ms = 50;
	cost_of(&t, "one that sends a line without an end");
}

/* -- deadlines ------------------------------------------------------------- */

static int
nap(struct talk *t, struct err *err)
{
	struct timespec pause = {0, (long)t->nap_ms * 1000 * 1000};

	(void)err;
	nanosleep(&pause, NULL);
	return 0;
}

static const struct rule silent_order[] = {
    {"/order", 1, 1, .how = SILENCE}, {.path = NULL}};

static void
deadline_begin(void)
{
	world_open(silent_order);
	run_begin_with(&(struct run_config){.deadline_ms = 100, .hits_fd = -1});
}

static void
test_deadline(void)
{
	struct talk sent = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct talk unsent = {
	    .name = "b", .path = "/b", .kind = ASK_POST, .delay_ms = LONG_MS};
	struct talk other = {.name = "c", .path = "/order", .kind = ASK_POST};

	deadline_begin();
	talk_fails(&sent, ERR_LATER, "goes on from here", "a silent CA");
	is(buf_str(&events), "a.begin a.cleanup a.fail ",
	    "is not waited for, and cleaned up after");
	talk_fails(&unsent, ERR_LATER, NULL, "a request that comes too late");
	is_int(count("/b"), 0, "is not sent");
	is(buf_str(&events), "b.begin b.cleanup b.fail ", "and is cleaned up");
	talk_alone(&other, "another job");
	ok_err(other.failed ? -1 : 0, &other.err, "has a time of its own");
	world_close();
}

/* The time may be up while the machine itself is at work. */
static void
test_deadline_between_rows(void)
{
	struct talk slow = {.name = "a",
	    .path = "/a",
	    .kind = ASK_POST,
	    .before = nap,
	    .nap_ms = 150};
	struct talk done = {.name = "b",
	    .path = "/b",
	    .kind = ASK_POST,
	    .behind = nap,
	    .nap_ms = 150};
	struct talk twice = {.name = "c",
	    .path = "/c",
	    .kind = ASK_POST,
	    .delay_ms = LONG_MS,
	    .again = 1};

	deadline_begin();
	talk_fails(&slow, ERR_LATER, NULL, "a machine that took all the time");
	is(buf_str(&events), "a.begin a.before a.cleanup a.fail ",
	    "is cleaned up after");
	is_int(count("/a"), 0, "nothing more is sent");
	talk_alone(&done, "time that is up when all is done");
	is(buf_str(&events), "b.begin b.answer b.behind b.cleanup b.end ",
	    "does no harm");
	talk_add(&twice);
	perform("a job that wants to begin again when its time is up");
	is_int(twice.begun, 2, "begins again");
	fails(twice.failed ? -1 : 0, &twice.err, ERR_LATER, NULL,
	    "and has no more time");
	is_int(count("/c"), 0, "for a request");
	talk_release(&twice);
	world_close();
}

/* -- enrolling ------------------------------------------------------------- */

#define ACCOUNT "{\"status\":\"valid\",\"contact\":[\"mailto:me@example.com\"]}"
#define AT(number) "Location: {base}/account/" number "\r\n"

static struct err enroll_err;

static int
do_enroll(struct enroll *e)
{
	int rc;

	free(e->url);
	e->issuer = ISSUER;
	if (!e->email)
		e->email = "me@example.com";
	run_begin();
	err_clear(&enroll_err);
	rc = enroll(w.run, w.store, e, &enroll_err);
	run_end();
	return rc;
}

/* The key that is kept for the account, and "" when there is none. */
static const char *
kept_key(void)
{
	static char text[64];
	struct account_files files;
	struct buf thumb = BUF_INIT;
	struct err err = ERR_INIT;

	text[0] = '\0';
	must(account_files_load(
	         w.store, ISSUER, "me@example.com", &files, &err) == 0,
	    err.text);
	if (files.key && key_thumbprint(files.key, &thumb, &err) == 0)
		snprintf(text, sizeof(text), "%s", buf_str(&thumb));
	buf_release(&thumb);
	account_files_release(&files);
	return text;
}

static void
forget_record(void)
{
	char path[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;

	must(layout_account(ISSUER, "me@example.com", ".json", path, &err) ==
	            0 &&
	        store_del(w.store, path, &err) == 0,
	    err.text);
}

static const char *
account_at(const char *number)
{
	static char url[80];

	snprintf(url, sizeof(url), "%s/account/%s", server.base, number);
	return url;
}

static void
test_enroll(void)
{
	static const struct rule rules[] = {
	    {"/account", 1, 1, .status = 201, .head = AT("1"), .body = ACCOUNT},
	    {"/account", 2, 0, .head = AT("1"), .body = ACCOUNT},
	    {"/account/1", .body = ACCOUNT}, {.path = NULL}};
	struct enroll e = {.url = NULL};
	char key[64];

	world_open(rules);
	ok_err(do_enroll(&e), &enroll_err, "an account is made");
	is(requests(), "GET /directory HEAD /nonce POST /account",
	    "with one request for it");
	ok(e.created, "which is said");
	is(e.url, account_at("1"), "and where it is");
	snprintf(key, sizeof(key), "%s", kept_key());
	ok(*key, "its key is kept");

	ok_err(do_enroll(&e), &enroll_err, "the second time");
	is(requests_from(3), "POST /account/1", "it is looked at");
	ok(!e.created, "and there already");

	forget_record();
	ok_err(do_enroll(&e), &enroll_err, "without the record");
	is(requests_from(4), "POST /account", "the CA is asked by key");
	ok(strstr(find("/account", 2)->body, "payload") && !e.created,
	    "and knows it");
	is(kept_key(), key, "the key is the same");
	free(e.url);
	world_close();
}

static bool
asks_for_existing(unsigned n)
{
	struct json *o = jws_part(find("/account", n), "payload");
	bool yes = false;

	if (o)
		(void)json_get_bool("payload", o, "onlyReturnExisting",
		    JSON_OPTIONAL, &yes, NULL);
	json_free(o);
	return yes;
}

/* The answer to newAccount is lost: the key is there, and the account is not
 * made twice. */
static void
test_enroll_lost(void)
{
	static const struct rule rules[] = {{"/account", 1, 3, .how = HANG_UP},
	    {"/account", 4, 0, .head = AT("1"), .body = ACCOUNT},
	    {.path = NULL}};
	struct enroll e = {.url = NULL};
	char key[64];

	world_open(rules);
	fails(do_enroll(&e), &enroll_err, ERR_UNAVAILABLE, "newAccount",
	    "newAccount is never answered");
	is(e.url, NULL, "there is no account");
	snprintf(key, sizeof(key), "%s", kept_key());
	ok(*key, "but its key is durable");
	ok_err(do_enroll(&e), &enroll_err, "the next run");
	ok(!asks_for_existing(3) && asks_for_existing(4),
	    "asks whether there is one");
	is(kept_key(), key, "with the same key");
	is_int(count("/account"), 4, "and there is");
	free(e.url);
	world_close();
}

static void
test_enroll_forgotten(void)
{
	static const struct rule rules[] = {
	    {"/account", 1, 1, .status = 201, .head = AT("1"), .body = ACCOUNT},
	    {"/account/1", .status = 400,
	        .body = PROBLEM("accountDoesNotExist")},
	    {"/account", 2, 2, .status = 400,
	        .body = PROBLEM("accountDoesNotExist")},
	    {"/account", 3, 3, .status = 201, .head = AT("2"), .body = ACCOUNT},
	    {.path = NULL}};
	struct enroll e = {.url = NULL};
	char key[64];

	world_open(rules);
	ok_err(do_enroll(&e), &enroll_err, "an account");
	snprintf(key, sizeof(key), "%s", kept_key());
	ok_err(do_enroll(&e), &enroll_err, "that the CA has forgotten");
	is(requests_from(3), "POST /account/1 POST /account POST /account",
	    "is looked for, and made anew");
	is(e.url, account_at("2"), "elsewhere");
	ok(e.created, "which is said");
	is(kept_key(), key, "with the key it had");
	free(e.url);
	world_close();
}

static void
test_enroll_refused(void)
{
	static const struct rule deactivated[] = {
	    {"/account", .status = 201, .head = AT("1"),
	        .body = "{\"status\":\"deactivated\"}"},
	    {.path = NULL}};
	static const struct rule bound[] = {
	    {"/directory", .nonce = "",
	        .body = "{\"newNonce\":\"{base}/nonce\","
	                "\"newAccount\":\"{base}/account\","
	                "\"newOrder\":\"{base}/order\","
	                "\"meta\":{\"externalAccountRequired\":true}}"},
	    {.path = NULL}};
	struct enroll e = {.url = NULL};
	struct enroll existing = {.only_existing = true};

	world_open(deactivated);
	fails(do_enroll(&existing), &enroll_err, ERR_PERMISSION,
	    "autocert-register", "no key and none wanted");
	is(kept_key(), "", "none is made");
	is_int(count("/account"), 0, "and nobody asked");
	fails(do_enroll(&e), &enroll_err, ERR_PERMISSION, "deactivated",
	    "an account that is deactivated");
	is(e.url, NULL, "is none");
	world_close();
	world_open(bound);
	fails(do_enroll(&e), &enroll_err, ERR_PERMISSION, "autocert_eab_key_id",
	    "a binding that is missing");
	is_int(count("/account"), 0, "nobody is asked");
	world_close();
}

static struct lease *other;

static int
release_other(struct talk *t, struct err *err)
{
	(void)t, (void)err;
	lease_release(other);
	other = NULL;
	return 0;
}

static void
test_enroll_locked(void)
{
	static const struct rule rules[] = {
	    {"/account", .status = 201, .head = AT("1"), .body = ACCOUNT},
	    {.path = NULL}};
	struct talk t = {.name = "a",
	    .path = "/x",
	    .kind = ASK_POST,
	    .delay_ms = 400,
	    .behind = release_other};
	struct enroll e = {.issuer = ISSUER, .email = "me@example.com"};
	struct err err = ERR_INIT;
	char name[LAYOUT_KEY_MAX];

	world_open(rules);
	must(layout_lock_account(e.email, name, &err) == 0 &&
	        (other = lease_try(w.store, name, &err)),
	    err.text);
	fails(do_enroll(&e), &enroll_err, ERR_LATER, "held by",
	    "a lock that another holds");
	is_int(count("/account"), 0, "nobody is asked");
	e.lock_wait_ms = LONG_MS;
	run_begin();
	talk_add(&t);
	ok_err(enroll(w.run, w.store, &e, &err), &err, "it is waited for");
	ok(e.created, "and then there is an account");
	free(e.url);
	talk_release(&t);
	world_close();
}

/* -- issuing --------------------------------------------------------------- */

#define NAME "www.example.com"
#define ORDER(status, number, more)                                            \
	"{\"status\":\"" status "\","                                          \
	"\"identifiers\":[{\"type\":\"dns\",\"value\":\"" NAME "\"}],"         \
	"\"authorizations\":[\"{base}/authz/" number "\"],"                    \
	"\"finalize\":\"{base}/finalize/" number "\"" more "}"
#define CHALLENGE(type, status, number, more)                                  \
	"{\"type\":\"" type "\","                                              \
	"\"url\":\"{base}/" type "/" number "\",\"status\":\"" status "\","    \
	"\"token\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" number        \
	"\"" more "}"
#define AUTHZ(status, list)                                                    \
	"{\"status\":\"" status "\","                                          \
	"\"identifier\":{\"type\":\"dns\",\"value\":\"" NAME "\"},"            \
	"\"challenges\":[" list "]}"
#define BOTH(number)                                                           \
	CHALLENGE("http-01", "pending", number, "")                            \
	"," CHALLENGE("tls-alpn-01", "pending", number, "")
#define AT_ORDER(number) "Location: {base}/order/" number "\r\n"
#define ISSUED(number)                                                         \
	ORDER("valid", number,                                                 \
	    ",\"certificate\":\"{base}/certificate/" number "\"")

/* The server's part: the CSR of finalize becomes the certificate. */
static struct buf csr;

static void
make_finalized(const struct seen *s, struct buf *body)
{
	const char *b64 = member(s, "payload", "csr");

	buf_clear(&csr);
	must(b64url_decode(b64, strlen(b64), &csr) == 0, "csr");
	expand(strstr(s->path, "/1") ? ISSUED("1") : ISSUED("2"), body);
}

static void
sign_leaf(gnutls_x509_crt_t leaf)
{
	static const unsigned char serial = 7;
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t ca = NULL;

	must(gnutls_x509_privkey_init(&key) == 0 &&
	        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0 &&
	        gnutls_x509_crt_init(&ca) == 0 &&
	        gnutls_x509_crt_set_key(ca, key) == 0 &&
	        gnutls_x509_crt_set_dn_by_oid(
	            ca, GNUTLS_OID_X520_COMMON_NAME, 0, "CA", 2) == 0 &&
	        gnutls_x509_crt_set_serial(leaf, &serial, 1) == 0 &&
	        gnutls_x509_crt_set_activation_time(leaf, time(NULL) - 60) ==
	            0 &&
	        gnutls_x509_crt_set_expiration_time(
	            leaf, time(NULL) + 90 * DAYS) == 0 &&
	        gnutls_x509_crt_set_basic_constraints(leaf, 0, -1) == 0 &&
	        gnutls_x509_crt_sign2(leaf, ca, key, GNUTLS_DIG_SHA256, 0) == 0,
	    "signing");
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_privkey_deinit(key);
}

static void
make_certificate(const struct seen *s, struct buf *body)
{
	gnutls_datum_t der = {csr.data, (unsigned int)csr.len}, pem;
	gnutls_x509_crq_t crq = NULL;
	gnutls_x509_crt_t leaf = NULL;

	(void)s;
	must(gnutls_x509_crq_init(&crq) == 0 &&
	        gnutls_x509_crq_import(crq, &der, GNUTLS_X509_FMT_DER) == 0 &&
	        gnutls_x509_crt_init(&leaf) == 0 &&
	        gnutls_x509_crt_set_crq(leaf, crq) == 0 &&
	        gnutls_x509_crt_set_version(leaf, 3) == 0 &&
	        gnutls_x509_crt_set_subject_alt_name(leaf, GNUTLS_SAN_DNSNAME,
	            NAME, sizeof(NAME) - 1, GNUTLS_FSAN_SET) == 0,
	    "CSR");
	sign_leaf(leaf);
	must(gnutls_x509_crt_export2(leaf, GNUTLS_X509_FMT_PEM, &pem) == 0,
	    "PEM");
	buf_put(body, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(leaf);
	gnutls_x509_crq_deinit(crq);
}

#define FINISH(number)                                                         \
	{"/finalize/" number, .make = make_finalized},                         \
	{                                                                      \
		"/certificate/" number,                                        \
		    .make = make_certificate,                                  \
		    .head =                                                    \
		        "Content-Type: application/pem-certificate-chain\r\n"  \
	}

/* What is authorized already needs no waiting. */
static const struct rule quick_ca[] = {
    {"/order", .status = 201, .head = AT_ORDER("1"),
        .body = ORDER("ready", "1", "")},
    FINISH("1"), {.path = NULL}};

static const struct rule good_ca[] = {
    {"/order", .status = 201, .head = AT_ORDER("1"),
        .body = ORDER("pending", "1", "")},
    {"/authz/1", .body = AUTHZ("pending", BOTH("1"))},
    {"/order/1", .body = ORDER("ready", "1", "")}, FINISH("1"), {.path = NULL}};

static struct issue_spec
spec_of(const char *text)
{
	static struct identifier names[1];
	struct err err = ERR_INIT;

	must(identifier_parse(text, &names[0], &err) == 0, err.text);
	return (struct issue_spec){.name = text,
	    .names = names,
	    .n_names = 1,
	    .key_type = KEY_P256,
	    .n_challenges = 2,
	    .challenges = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01}};
}

static struct outcome {
	unsigned reports;
	enum issue_outcome outcome;
	struct err err;
	bool locked; /* still, when it was reported */
} outcome;

static bool
is_locked(void)
{
	char name[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;
	struct lease *l;

	must(layout_lock_cert(NAME, name, &err) == 0, err.text);
	if (!(l = lease_try(w.store, name, &err)))
		return true;
	lease_release(l);
	return false;
}

static void
keep_outcome(void *arg, const struct issue_spec *spec, enum issue_outcome o,
    const struct err *err)
{
	(void)arg, (void)spec;
	outcome.reports++;
	outcome.outcome = o;
	outcome.err = err ? *err : (struct err)ERR_INIT;
	outcome.locked = is_locked();
}

/* One certificate, by a run of its own; 0, or -1 with outcome.err. */
static int
issue_with(const struct issue_spec *spec, int64_t lock_wait_ms)
{
	struct issue_env env = {.store = w.store,
	    .issuer = ISSUER,
	    .ca = server.directory,
	    .account_key = w.key,
	    .lock_wait_ms = lock_wait_ms};
	struct err err = ERR_INIT;

	outcome = (struct outcome){.reports = 0};
	run_begin();
	env.run = w.run;
	env.account_url = w.account_url;
	must(issue_add(&env, spec, keep_outcome, NULL, &err) == 0 &&
	        run_all(w.run, &err) == 0,
	    err.text);
	run_end();
	must(outcome.reports == 1, "one report");
	return outcome.err.code ? -1 : 0;
}

static int
issue(void)
{
	struct issue_spec spec = spec_of(NAME);

	return issue_with(&spec, 0);
}

static long long
left_in_store(const char *folder)
{
	struct strings names = {.v = NULL};
	struct err err = ERR_INIT;
	long long n;

	must(store_list(w.store, folder, &names, &err) == 0, err.text);
	n = (long long)names.n;
	strings_release(&names);
	return n;
}

static void
is_tidy(const char *what)
{
	is_int(left_in_store("acme/" ISSUER "/challenge_tokens") +
	        left_in_store("autocert/" ISSUER "/orders") +
	        left_in_store("locks"),
	    0, "%s", what);
}

static bool
is_installed(void)
{
	struct issue_spec spec = spec_of(NAME);
	struct err err = ERR_INIT;

	if (issue_needless(w.store, ISSUER, &spec, &err) == 0)
		return true;
	diag("%s", err.text);
	return false;
}

static void
test_issue(void)
{
	struct issue_spec spec = spec_of(NAME);

	world_open(good_ca);
	ok_err(issue(), &outcome.err, "a certificate is issued");
	is_int(outcome.outcome, ISSUE_INSTALLED, "and installed");
	is(requests(),
	    "GET /directory HEAD /nonce POST /order POST /authz/1 "
	    "POST /http-01/1 POST /order/1 POST /finalize/1 "
	    "POST /certificate/1",
	    "with these requests");
	ok(is_installed(), "it answers what was wanted");
	ok(!outcome.locked, "the lock was free when it was reported");
	is_tidy("nothing is left behind");

	ok_err(issue(), &outcome.err, "the second time");
	is_int(outcome.outcome, ISSUE_UNCHANGED, "nothing is due");
	is(requests_from(8), "", "and nobody asked");
	spec.force = true;
	ok_err(issue_with(&spec, 0), &outcome.err, "when forced");
	is_int(outcome.outcome, ISSUE_INSTALLED, "it is installed anew");
	is(requests_from(8),
	    "POST /order POST /authz/1 POST /http-01/1 "
	    "POST /order/1 POST /finalize/1 POST /certificate/1",
	    "directory and nonce were remembered");
	world_close();
}

static int
save_journal(const char *order, bool with_key, struct err *err)
{
	struct issue_spec spec = spec_of(NAME);
	char url[80];
	struct journal j = {
	    .key_type = KEY_P256, .n_names = 1, .order_url = url};
	struct identifier name = spec.names[0];

	j.names = &name;
	snprintf(url, sizeof(url), "%s%s", server.base, order);
	if (journal_save(w.store, ISSUER, NAME, &j, err) == -1)
		return -1;
	return with_key ? journal_save_key(w.store, ISSUER, NAME, w.key, err) :
	                  0;
}

/* What came of an order that a run before had begun, and how it stood. */
static void
try_resume(const char *what, const char *body, int status, bool with_key,
    const char *wanted)
{
	const struct rule rules[] = {quick_ca[0], quick_ca[1], quick_ca[2],
	    {"/order/2", .body = body, .status = status},
	    {"/authz/2", .body = AUTHZ("pending", BOTH("2"))}, FINISH("2"),
	    {.path = NULL}};
	struct issue_spec spec = spec_of(NAME);
	struct err err = ERR_INIT;

	world_open(rules);
	ok(!issue_unfinished(w.store, ISSUER, &spec), "nothing is unfinished");
	must(save_journal("/order/2", with_key, &err) == 0, err.text);
	ok(issue_unfinished(w.store, ISSUER, &spec), "then there is");
	ok_err(issue(), &outcome.err, "%s", what);
	is(requests_from(2), wanted, "by these requests");
	ok(is_installed(), "is installed");
	is_tidy("and nothing is left");
	world_close();
}

#define ANEW "POST /order/2 POST /order POST /finalize/1 POST /certificate/1"

static void
test_resume(void)
{
	try_resume("an order that is ready", ORDER("ready", "2", ""), 0, false,
	    "POST /order/2 POST /finalize/2 POST /certificate/2");
	try_resume("one that has become invalid", ORDER("invalid", "2", ""), 0,
	    false, ANEW);
	try_resume("one that is valid, whose key is lost", ISSUED("2"), 0,
	    false, ANEW);
	try_resume("one that the CA has forgotten", PROBLEM("malformed"), 404,
	    true, ANEW);
	try_resume("one that is another's",
	    ORDER("ready", "2", ",\"identifiers\":[]"), 0, false, ANEW);
}

/* The order is done and its key is here: only the certificate is fetched. */
static void
test_resume_valid(void)
{
	static const struct rule rules[] = {
	    {"/order", .status = 201, .head = AT_ORDER("1"),
	        .body = ORDER("ready", "1", "")},
	    {"/finalize/1", .make = make_finalized},
	    {"/order/1", .body = ISSUED("1")},
	    {"/certificate/1", 1, 3, .how = HANG_UP},
	    {"/certificate/1", .make = make_certificate,
	        .head = "Content-Type: application/pem-certificate-chain"
	                "\r\n"},
	    {.path = NULL}};
	struct issue_spec spec = spec_of(NAME);

	world_open(rules);
	fails(issue(), &outcome.err, ERR_UNAVAILABLE, "certificate",
	    "a certificate that does not come");
	ok(issue_unfinished(w.store, ISSUER, &spec), "is left for later");
	ok_err(issue(), &outcome.err, "and comes");
	is_int(count("/order"), 1, "of the same order");
	is_int(count("/finalize/1"), 1, "with the same key");
	ok(is_installed(), "which fits");
	is_tidy("nothing is left");
	world_close();
}

/* A journal for other names, or unreadable, is no order of ours. */
static void
test_other_journal(void)
{
	struct journal j = {.key_type = KEY_P384, .n_names = 1};
	struct issue_spec spec = spec_of(NAME);
	struct identifier name = spec.names[0];
	struct err err = ERR_INIT;
	char path[LAYOUT_KEY_MAX];

	world_open(quick_ca);
	j.names = &name;
	j.order_url = xasprintf("%s/order/2", server.base);
	must(journal_save(w.store, ISSUER, NAME, &j, &err) == 0, err.text);
	free(j.order_url);
	ok_err(issue(), &outcome.err, "a journal for a key of another type");
	is_int(count("/order/2"), 0, "is not used");
	is_tidy("and is removed");
	world_close();

	world_open(quick_ca);
	snprintf(path, sizeof(path), "autocert/%s/orders/%s/order.json", ISSUER,
	    NAME);
	must(store_put(w.store, path, "{", 1, STORE_REPLACE, &err) == 0,
	    err.text);
	ok_err(issue(), &outcome.err, "a journal that is torn");
	is_tidy("is removed, too");
	world_close();
}

static void
test_issue_fails(void)
{
	static const struct rule limited[] = {
	    {"/order", .status = 429, .body = PROBLEM("rateLimited"),
	        .head = "Retry-After: 7200\r\n"},
	    {.path = NULL}};
	static const struct rule refused[] = {
	    {"/order", .status = 400, .body = PROBLEM("rejectedIdentifier")},
	    {.path = NULL}};
	static const struct rule denied[] = {
	    {"/order", .status = 201, .head = AT_ORDER("1"),
	        .body = ORDER("pending", "1", "")},
	    {"/authz/1", .body = AUTHZ("deactivated", BOTH("1"))},
	    {.path = NULL}};
	time_t now = time(NULL);

	world_open(limited);
	fails(issue(), &outcome.err, ERR_LATER, "rateLimited", "a rate limit");
	ok(outcome.err.retry_at >= now + 7200, "which says until when");
	is_int(outcome.outcome, ISSUE_FAILED, "is a failure");
	world_close();
	world_open(refused);
	fails(issue(), &outcome.err, ERR_PROTOCOL, "rejectedIdentifier",
	    "a refusal");
	is_tidy("leaves nothing");
	world_close();
	world_open(denied);
	fails(issue(), &outcome.err, ERR_PROTOCOL, NULL, "a denial");
	is_int(count("/order"), 1, "that no other challenge would help");
	is_tidy("leaves nothing, either");
	world_close();
}

#define FAILED_BY(type, number)                                                \
	CHALLENGE(type, "invalid", number, ",\"error\":" PROBLEM("connection"))

/* A validation that fails by one type is tried by the other, once. */
static void
test_other_challenge(void)
{
	static const struct rule rules[] = {
	    {"/order", 1, 1, .status = 201, .head = AT_ORDER("1"),
	        .body = ORDER("pending", "1", "")},
	    {"/authz/1", 1, 1, .body = AUTHZ("pending", BOTH("1"))},
	    {"/order/1", .body = ORDER("invalid", "1", "")},
	    {"/authz/1", .body = AUTHZ("invalid", FAILED_BY("http-01", "1"))},
	    {"/order", .status = 201, .head = AT_ORDER("2"),
	        .body = ORDER("pending", "2", "")},
	    {"/authz/2", 1, 1, .body = AUTHZ("pending", BOTH("2"))},
	    {"/order/2", 1, 1, .body = ORDER("ready", "2", "")},
	    {"/order/2", .body = ORDER("invalid", "2", "")},
	    {"/authz/2", 2, 2, .body = AUTHZ("pending", BOTH("2"))},
	    {"/authz/2",
	        .body = AUTHZ("invalid", FAILED_BY("tls-alpn-01", "2"))},
	    FINISH("2"), {.path = NULL}};
	struct issue_spec spec = spec_of(NAME);

	world_open(rules);
	ok_err(issue(), &outcome.err, "http-01 fails, tls-alpn-01 does not");
	is(requests_from(2),
	    "POST /order POST /authz/1 POST /http-01/1 "
	    "POST /order/1 POST /authz/1 POST /order POST /authz/2 "
	    "POST /tls-alpn-01/2 POST /order/2 POST /finalize/2 "
	    "POST /certificate/2",
	    "by these requests");
	is_tidy("nothing is left");
	spec.force = true;
	spec.challenges[0] = CHALLENGE_TLSALPN01;
	spec.n_challenges = 1;
	fails(issue_with(&spec, 0), &outcome.err, ERR_PROTOCOL, "connection",
	    "when that fails, too");
	ok(strstr(outcome.err.text, "untouched") != NULL,
	    "the certificate in place is named");
	ok(is_installed(), "and is there");
	is_int(count("/order"), 3, "nothing else is tried");
	world_close();
}

static void
test_issue_locked(void)
{
	struct issue_spec spec = spec_of(NAME);
	char name[LAYOUT_KEY_MAX];
	struct err err = ERR_INIT;

	world_open(good_ca);
	must(layout_lock_cert(NAME, name, &err) == 0 &&
	        (other = lease_try(w.store, name, &err)),
	    err.text);
	fails(issue(), &outcome.err, ERR_LATER, "held by",
	    "a certificate that another works on");
	is_int(count("/order"), 0, "is not ordered");
	fails(issue_with(&spec, 300), &outcome.err, ERR_LATER, "held by",
	    "nor when the waiting is over");
	is_int(count("/order"), 0, "nor then ordered");
	lease_release(other);
	other = NULL;
	world_close();
}

/* -- is it needed ---------------------------------------------------------- */

/* A certificate in the store as wanted, but for one thing. */
static void
put_certificate(const char *name, time_t from, time_t to, bool own_key)
{
	struct issue_spec spec = spec_of(NAME);
	struct err err = ERR_INIT;
	struct key *key = key_new(KEY_P256, &err);
	struct buf text = BUF_SECRET;
	gnutls_x509_crt_t crt = NULL;
	gnutls_datum_t pem;

	must(key && key_save(own_key ? key : w.key, &text, &err) == 0 &&
	        gnutls_x509_crt_init(&crt) == 0 &&
	        gnutls_x509_crt_set_version(crt, 3) == 0 &&
	        gnutls_x509_crt_set_serial(crt, "\1", 1) == 0 &&
	        gnutls_x509_crt_set_activation_time(crt, from) == 0 &&
	        gnutls_x509_crt_set_expiration_time(crt, to) == 0 &&
	        gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
	            name, (unsigned int)strlen(name), GNUTLS_FSAN_SET) == 0 &&
	        gnutls_x509_crt_set_key(crt, key_handle(key)) == 0 &&
	        gnutls_x509_crt_sign2(
	            crt, crt, key_handle(key), GNUTLS_DIG_SHA256, 0) == 0 &&
	        gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0 &&
	        certificate_commit(w.store,
	            &(struct certificate_new){.issuer = ISSUER,
	                .name = NAME,
	                .chain = pem.data,
	                .chain_len = pem.size,
	                .key = text.data,
	                .key_len = text.len,
	                .names = spec.names,
	                .n_names = 1,
	                .url = "https://ca.test/1",
	                .ca = "https://ca.test/",
	                .account = "https://ca.test/a"},
	            &err) == 0,
	    err.text);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	buf_release(&text);
	key_free(key);
}

static void
is_needed(const struct issue_spec *spec, const char *reason, const char *what)
{
	struct err err = ERR_INIT;

	fails(issue_needless(w.store, ISSUER, spec, &err), &err, ERR_ABSENT,
	    reason, "%s", what);
}

static void
test_needless(void)
{
	struct issue_spec spec = spec_of(NAME), wrong = spec;
	time_t now = time(NULL);
	struct err err = ERR_INIT;
	char path[LAYOUT_KEY_MAX];

	world_open(honest);
	run_begin();
	is_needed(&spec, NULL, "nothing there");
	put_certificate(NAME, now - 3600, now + 90 * DAYS, true);
	ok_err(issue_needless(w.store, ISSUER, &spec, &err), &err,
	    "what is wanted is there");
	wrong.key_type = KEY_P384;
	is_needed(&wrong, "type p256", "a key of another type");
	wrong = spec;
	wrong.must_staple = true;
	ok_err(issue_needless(w.store, ISSUER, &wrong, &err), &err,
	    "must-staple alone orders nothing");
	put_certificate("other.example.com", now - 3600, now + 90 * DAYS, true);
	is_needed(&spec, "other names", "other names");
	put_certificate(NAME, now - 3600, now + 90 * DAYS, false);
	is_needed(&spec, "key does not fit", "another's key");
	put_certificate(NAME, now - 61 * DAYS, now + 29 * DAYS, true);
	is_needed(&spec, "due since", "one that is due");
	put_certificate(NAME, now - 90 * DAYS, now - DAYS, true);
	is_needed(&spec, "due since", "one that has expired");
	snprintf(path, sizeof(path), "certificates/%s/%s/%s.crt", ISSUER, NAME,
	    NAME);
	must(store_put(w.store, path, "rubbish", 7, STORE_REPLACE, &err) == 0,
	    err.text);
	is_needed(&spec, NULL, "one that is rubbish");
	must(store_del(w.store, path, &err) == 0, err.text);
	is_needed(&spec, NULL, "one that is not whole");
	wrong.name = "///";
	fails(issue_needless(w.store, ISSUER, &wrong, &err), &err, ERR_USAGE,
	    "cannot be", "what cannot be a name");
	world_close();
}

static void
test_issue_add(void)
{
	struct issue_spec spec = spec_of("*.example.com");
	struct issue_env env = {.store = w.store};
	struct err err = ERR_INIT;

	world_open(honest);
	run_begin();
	env.run = w.run;
	fails(issue_add(&env, &spec, keep_outcome, NULL, &err), &err, ERR_USAGE,
	    "dns-01", "a wildcard, without dns-01");
	ok_err(run_all(w.run, &err), &err, "adds no job");
	world_close();
}

/* -- interrupted: the last, since there is no way back --------------------- */

static void
on_usr1(int sig)
{
	(void)sig;
	run_interrupt();
}

static const struct rule interrupting[] = {
    {"/order", 1, 1, .how = INTERRUPT}, {.path = NULL}};

static void
test_interrupted(void)
{
	struct talk sent = {.name = "a", .path = "/order", .kind = ASK_POST};
	struct talk unsent = {
	    .name = "b", .path = "/b", .kind = ASK_POST, .delay_ms = LONG_MS};
	struct talk waits = {.name = "c",
	    .path = "/c",
	    .kind = ASK_POST,
	    .later = 2,
	    .later_ms = LONG_MS};
	struct talk next = {.name = "d", .path = "/d", .kind = ASK_POST};
	struct talk *all[] = {&sent, &unsent, &waits, &next};
	int64_t began = date_mono_ms();

	signal(SIGUSR1, on_usr1);
	world_open(interrupting);
	run_begin_with(&(struct run_config){.window = 3, .hits_fd = -1});
	for (size_t i = 0; i < LENGTH(all); i++)
		talk_add(all[i]);
	perform("a signal while the CA is silent");
	for (size_t i = 0; i < LENGTH(all); i++) {
		fails(all[i]->failed ? -1 : 0, &all[i]->err, ERR_LATER,
		    all[i] == &waits ? "held by" : "interrupted", "ends job %s",
		    all[i]->name);
		is_int(all[i]->ended, 1, "once");
		talk_release(all[i]);
	}
	ok(strstr(buf_str(&events), "a.cleanup") != NULL, "with its cleanup");
	ok(strstr(buf_str(&events), "b.cleanup") != NULL,
	    "also where nothing was sent");
	is_int(count("/b") + count("/c") + count("/d"), 0,
	    "and nothing more is sent");
	ok(date_mono_ms() - began < PROMPT_MS, "soon");
	world_close();
}

static void
test_still_interrupted(void)
{
	struct talk t = {.name = "a",
	    .path = "/order",
	    .kind = ASK_POST,
	    .before = nap,
	    .again = 1};

	world_open(honest);
	run_begin();
	talk_add(&t);
	perform("a job that is added later");
	fails(t.failed ? -1 : 0, &t.err, ERR_LATER, "interrupted",
	    "is not performed");
	is_int(count("/order"), 0, "sends nothing");
	is_int(t.ended, 1, "and does not begin again");
	talk_release(&t);
	world_close();
}

/* -- all ------------------------------------------------------------------- */

int
main(void)
{
	static void (*const tests[])(void) = {test_signed, test_saved_nonce,
	    test_bad_nonce_for_ever, test_bad_nonce_beside_others,
	    test_bad_nonce_without_one, test_other_problems, test_no_nonce,
	    test_many, test_nobody_signs, test_retry_after, test_retry_at,
	    test_broken_connections, test_cached_directory,
	    test_outdated_directory, test_outdated_nonce, test_directory_once,
	    test_outdated_and_gone, test_directory_at_once, test_no_directory,
	    test_window, test_begin, test_again, test_local, test_tick,
	    test_hits, test_hit_in_parts, test_no_hit, test_hits_gone,
	    test_deadline, test_deadline_between_rows, test_enroll,
	    test_enroll_lost, test_enroll_forgotten, test_enroll_refused,
	    test_enroll_locked, test_issue, test_resume, test_resume_valid,
	    test_other_journal, test_issue_fails, test_other_challenge,
	    test_issue_locked, test_needless, test_issue_add, test_interrupted,
	    test_still_interrupted};

	log_open("test_run", LOG_ERROR);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(seen != MAP_FAILED, "mmap");
	for (size_t i = 0; i < LENGTH(tests); i++)
		tests[i]();
	buf_release(&events);
	key_free(w.key);
	munmap(seen, sizeof(*seen));
	return done();
}
