#include <config.h>

#include "io/transfer.h"

#include <stdlib.h>

#include "base/date.h"
#include "io/failure.h"
#include "io/options.h"
#include "io/peer.h"

/* -- the handle ----------------------------------------------------------- */

struct transfer *
transfer_new(struct session *session, struct err *err)
{
	struct transfer *t = xcalloc(1, sizeof(*t));

	t->session = session;
	t->request_body.secret = true;
	t->easy = session->curl->easy_init();
	if (!t->easy) {
		err_bug(err, "libcurl makes no handle");
		free(t);
		return NULL;
	}
	return t;
}

static void
forget_answer(struct transfer *t)
{
	t->status = 0;
	t->curl_text[0] = '\0';
	fields_clear(&t->fields);
	buf_clear(&t->body);
	err_clear(&t->err);
}

void
transfer_clear(struct transfer *t)
{
	const struct curl_api *curl = t->session->curl;

	forget_answer(t);
	buf_release(&t->body);
	buf_release(&t->request_body);
	curl->easy_reset(t->easy);
	curl->slist_free_all(t->request_fields);
	t->request_fields = NULL;
}

void
transfer_free(struct transfer *t)
{
	const struct curl_api *curl = t->session->curl;

	if (t->running)
		curl->multi_remove_handle(t->session->multi, t->easy);
	curl->easy_cleanup(t->easy);
	curl->slist_free_all(t->request_fields);
	fields_clear(&t->fields);
	buf_release(&t->body);
	buf_release(&t->request_body);
	free(t);
}

long
transfer_info(const struct transfer *t, CURLINFO info)
{
	const struct curl_api *curl = t->session->curl;
	long value = 0;

	if (curl->easy_getinfo(t->easy, info, &value) != CURLE_OK)
		return 0;
	return value;
}

/* -- callbacks ------------------------------------------------------------ */

size_t
transfer_on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (fields_line(&t->fields, line, size * n, &t->err) == 0)
		return size * n;
	err_wrap(&t->err, "%s", t->peer->host);
	return 0;
}

size_t
transfer_on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (buf_add(&t->body, data, size * n) == 0)
		return size * n;
	err_set(&t->err, ERR_PROTOCOL,
	    "%s: the answer is larger than %zu bytes", t->peer->host,
	    t->body.max);
	return 0;
}

/* -- start ---------------------------------------------------------------- */

/* NULL: there is none, which is no failure of a request in the clear. */
static const char *
find_trust(struct transfer *t)
{
	struct session *s = t->session;
	struct err ignored = ERR_INIT;
	char *built_in = NULL;

	if (s->curl->easy_getinfo(t->easy, CURLINFO_CAINFO, &built_in) !=
	    CURLE_OK)
		built_in = NULL;
	return trust_file(
	    &s->trust, t->peer->wide, built_in, t->tls ? &t->err : &ignored);
}

/* Sends a request that is set up. */
static int
launch(struct transfer *t)
{
	const struct session *s = t->session;
	const char *ca_file = find_trust(t);
	CURLMcode rc;

	if (ca_file)
		options_set_trust(t, ca_file);
	options_set_deadlines(t);
	if (t->err.code != ERR_NONE)
		return -1;
	rc = s->curl->multi_add_handle(s->multi, t->easy);
	if (rc != CURLM_OK)
		return err_bug(&t->err, "libcurl takes no request: %s",
		    s->curl->multi_strerror(rc));
	t->narrow = ca_file && trust_is_narrow(&s->trust, ca_file);
	t->running = true;
	return 0;
}

int
transfer_start(struct transfer *t, const struct http_request *request)
{
	t->started = date_mono_ms();
	t->body.max = request->body_max ? request->body_max : HTTP_BODY_MAX;
	options_set(t, request);
	return launch(t);
}

/* -- end ------------------------------------------------------------------ */

static void
check_status(struct transfer *t)
{
	t->status = (int)transfer_info(t, CURLINFO_RESPONSE_CODE);
	if (t->status < 200 || t->status > 599)
		err_set(&t->err, ERR_PROTOCOL, "%s: HTTP status %d",
		    t->peer->host, t->status);
}

/*
 * Narrow trust is only where we begin.  Nothing of the request was sent when a
 * handshake fails, so it begins again with wide trust.
 */
static bool
begin_again(struct transfer *t)
{
	t->peer->wide = true;
	forget_answer(t);
	if (launch(t) == 0)
		return true;
	err_wrap(&t->err, "%s", t->peer->host);
	return false;
}

bool
transfer_end(struct transfer *t, CURLcode rc)
{
	struct session *s = t->session;

	s->connections += (unsigned long)transfer_info(
	    t, CURLINFO_NUM_CONNECTS);
	s->curl->multi_remove_handle(s->multi, t->easy);
	t->running = false;
	if (t->fields.blocks > 0)
		t->peer->answered = true;

	if (rc == CURLE_PEER_FAILED_VERIFICATION && t->narrow)
		return !begin_again(t);
	if (t->err.code != ERR_NONE)
		return true; /* our own callbacks refused the answer */
	if (rc != CURLE_OK)
		failure_explain(t, rc);
	else
		check_status(t);
	return true;
}

void
transfer_report(struct transfer *t)
{
	const struct fields *f = &t->fields;
	struct http_response response = {
	    .status = t->status,
	    .content_type = fields_text(f, FIELD_TYPE),
	    .location = fields_text(f, FIELD_LOCATION),
	    .replay_nonce = fields_text(f, FIELD_NONCE),
	    .retry_after = fields_text(f, FIELD_RETRY),
	    .date = fields_text(f, FIELD_DATE),
	    .links = &f->links,
	    .body = t->body,
	};

	if (t->err.code == ERR_NONE)
		t->done(t->arg, &response, NULL);
	else
		t->done(t->arg, NULL, &t->err);
}
