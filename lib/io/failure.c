#include <config.h>

#include "io/failure.h"

#include <string.h>

#include "base/date.h"
#include "io/peer.h"
#include "io/transfer.h"

enum { CLOCK_SLACK_MS = 50 };

enum tail { TAIL_NONE, TAIL_CURL, TAIL_ERRNO };
enum repeat { REPEAT_NO, REPEAT_SILENT, REPEAT_KNOWN };

/*
 * What libcurl's codes mean to a person: before HOST after: tail.  The request
 * may be repeated if no byte of an answer came (REPEAT_SILENT), or if the host
 * refuses a connection now but has answered before (REPEAT_KNOWN).
 */
static const struct failure {
	CURLcode rc;
	enum err_code code;
	const char *before;
	bool port;
	const char *after;
	enum tail tail;
	enum repeat repeat;
} failures[] = {
    {CURLE_COULDNT_RESOLVE_PROXY, ERR_UNAVAILABLE,
        "cannot find the address of the proxy for ", false, "", TAIL_CURL,
        REPEAT_NO},
    {CURLE_COULDNT_RESOLVE_HOST, ERR_UNAVAILABLE, "cannot find the address of ",
        false, "", TAIL_CURL, REPEAT_NO},
    {CURLE_COULDNT_CONNECT, ERR_UNAVAILABLE, "cannot connect to ", true, "",
        TAIL_ERRNO, REPEAT_KNOWN},
    {CURLE_GOT_NOTHING, ERR_UNAVAILABLE, "", false,
        " closed the connection without an answer", TAIL_NONE, REPEAT_SILENT},
    {CURLE_SEND_ERROR, ERR_UNAVAILABLE, "the connection to ", false, " broke",
        TAIL_CURL, REPEAT_SILENT},
    {CURLE_RECV_ERROR, ERR_UNAVAILABLE, "the connection to ", false, " broke",
        TAIL_CURL, REPEAT_SILENT},
    {CURLE_HTTP2, ERR_UNAVAILABLE, "the connection to ", false, " broke",
        TAIL_CURL, REPEAT_SILENT},
    {CURLE_HTTP2_STREAM, ERR_UNAVAILABLE, "the connection to ", false, " broke",
        TAIL_CURL, REPEAT_SILENT},
    {CURLE_PARTIAL_FILE, ERR_UNAVAILABLE, "the answer of ", false, " broke off",
        TAIL_CURL, REPEAT_SILENT},
    {CURLE_SSL_CONNECT_ERROR, ERR_UNAVAILABLE, "", true, ": no TLS connection",
        TAIL_CURL, REPEAT_NO},
    {CURLE_PROXY, ERR_UNAVAILABLE, "", false, ": the proxy failed", TAIL_CURL,
        REPEAT_NO},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_CONFIG, "", false,
        ": its certificate is not trusted", TAIL_CURL, REPEAT_NO},
    {CURLE_SSL_ISSUER_ERROR, ERR_CONFIG, "", false,
        ": its certificate is not trusted", TAIL_CURL, REPEAT_NO},
    {CURLE_SSL_CACERT_BADFILE, ERR_CONFIG, "", false,
        ": the file of CA certificates is unusable", TAIL_CURL, REPEAT_NO},
    /* Schemes are checked before: what is left is HTTP/0.9. */
    {CURLE_UNSUPPORTED_PROTOCOL, ERR_PROTOCOL, "", false,
        ": the answer is not HTTP/1.1 or HTTP/2", TAIL_CURL, REPEAT_NO},
    {CURLE_WEIRD_SERVER_REPLY, ERR_PROTOCOL, "", false,
        ": the answer is not HTTP", TAIL_CURL, REPEAT_NO},
    {CURLE_BAD_CONTENT_ENCODING, ERR_PROTOCOL, "", false,
        ": the answer is badly encoded", TAIL_CURL, REPEAT_NO},
    {CURLE_FILESIZE_EXCEEDED, ERR_PROTOCOL, "", false,
        ": the answer is too large", TAIL_CURL, REPEAT_NO},
#if LIBCURL_VERSION_NUM >= 0x080600
    {CURLE_TOO_LARGE, ERR_PROTOCOL, "", false, ": the answer is too large",
        TAIL_CURL, REPEAT_NO},
#endif
    {CURLE_URL_MALFORMAT, ERR_DATA, "", false,
        ": libcurl does not understand the URL", TAIL_CURL, REPEAT_NO},
    {CURLE_OUT_OF_MEMORY, ERR_SOFTWARE, "", false, ": out of memory", TAIL_NONE,
        REPEAT_NO},
    {CURLE_OK, ERR_UNAVAILABLE, /* any other */
        "", false, ": the request failed", TAIL_CURL, REPEAT_NO},
};

static const struct failure *
failure_of(CURLcode rc)
{
	const struct failure *f = failures;

	while (f->rc != rc && f->rc != CURLE_OK)
		f++;
	return f;
}

/* libcurl's own words, or the code's if it had none; never the names of our
 * files in memory, with which some releases end. */
static const char *
curl_words(struct transfer *t, CURLcode rc)
{
	size_t len;
	char *cut;

	if (!t->curl_text[0])
		return t->session->curl->easy_strerror(rc);
	cut = strstr(t->curl_text, "CAfile");
	if (cut)
		*cut = '\0';
	for (len = strlen(t->curl_text); len > 0; len--)
		if (!strchr(" .(", t->curl_text[len - 1]))
			break;
	t->curl_text[len] = '\0';
	return t->curl_text;
}

static const char *
tail_words(struct transfer *t, enum tail tail, CURLcode rc)
{
	long number = 0;

	if (tail == TAIL_NONE)
		return "";
	if (tail == TAIL_ERRNO)
		number = transfer_info(t, CURLINFO_OS_ERRNO);
	return number > 0 ? strerror((int)number) : curl_words(t, rc);
}

static bool
may_repeat(const struct transfer *t, enum repeat repeat)
{
	if (repeat == REPEAT_SILENT)
		return t->fields.blocks == 0;
	return repeat == REPEAT_KNOWN && t->peer->answered;
}

/* libcurl has one code for three deadlines: which one it was is a matter of
 * time, and its clock is not quite ours. */
static int
explain_timeout(struct transfer *t)
{
	const struct session *s = t->session;
	int64_t passed = date_mono_ms() - t->started;
	bool total = passed + CLOCK_SLACK_MS >= s->total_ms;
	curl_off_t sent_at = 0;

	s->curl->easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &sent_at);
	if (sent_at == 0)
		return err_set(&t->err, ERR_UNAVAILABLE,
		    "no connection to %s within %g s", t->peer->where,
		    (total ? s->total_ms : s->connect_ms) / 1000.0);
	if (!total)
		return err_set(&t->err, ERR_UNAVAILABLE,
		    "nothing came from %s for %d s", t->peer->host, s->stall_s);
	return err_set(&t->err, ERR_UNAVAILABLE,
	    "no %sanswer from %s within "
	    "%g s",
	    t->fields.blocks > 0 ? "complete " : "", t->peer->host,
	    s->total_ms / 1000.0);
}

void
failure_explain(struct transfer *t, CURLcode rc)
{
	const struct failure *f = failure_of(rc);
	long proxy_status = transfer_info(t, CURLINFO_HTTP_CONNECTCODE);
	const char *tail;

	if (rc == CURLE_OPERATION_TIMEDOUT) {
		explain_timeout(t);
		return;
	}
	if (t->fields.blocks == 0 && proxy_status >= 300) {
		err_set(&t->err, ERR_UNAVAILABLE,
		    "cannot connect to %s: the proxy answers %ld",
		    t->peer->where, proxy_status);
		return;
	}
	tail = tail_words(t, f->tail, rc);
	err_set(&t->err, f->code, "%s%s%s%s%s%s", f->before,
	    f->port ? t->peer->where : t->peer->host, f->after,
	    tail[0] ? ": " : "", tail,
	    rc == CURLE_PEER_FAILED_VERIFICATION && !t->session->trust.only ?
	        " (autocert_trusted_ca_file adds a private CA)" :
	        "");
	if (may_repeat(t, f->repeat))
		t->err.sys = HTTP_REPEATABLE;
}
