/*
 * One request on one of libcurl's easy handles, from start to report.
 *
 * io/http makes a transfer, starts it, tells it how libcurl says that it
 * ended, has it report, and clears it: the handle then serves another request.
 * How a request becomes options is io/options's affair, what a failure is
 * called io/failure's.  Whatever goes wrong with a transfer is in its err.
 */
#ifndef IO_TRANSFER_H
#define IO_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/curl_api.h"
#include "io/fields.h"
#include "io/http.h"
#include "io/trust.h"

struct peer;

/* What all transfers of one struct http share. */
struct session {
	const struct curl_api *curl;
	CURLM *multi;
	char *user_agent;
	char *proxy; /* NULL: as the environment says */
	int connect_ms, stall_s, total_ms;
	struct trust trust;
	unsigned long connections; /* opened by transfers that ended */
};

struct transfer {
	struct transfer *sibling, *next; /* its owner's lists */
	struct session *session;
	CURL *easy;
	bool running; /* the multi handle has it */

	/* Set by its owner before transfer_start(). */
	http_done *done;
	void *arg;
	struct peer *peer;
	bool tls;

	bool narrow; /* more is trusted than it was given */
	struct buf request_body;
	struct curl_slist *request_fields;
	int64_t started; /* date_mono_ms() */

	int status;
	struct fields fields;
	struct buf body;
	struct err err;
	char curl_text[CURL_ERROR_SIZE];
};

/* NULL and ERR_SOFTWARE when libcurl makes no handle. */
struct transfer *transfer_new(struct session *session, struct err *err);
void transfer_free(struct transfer *t); /* unheard, if it is running */

/* -1: it was not sent, and is to be cleared. */
int transfer_start(struct transfer *t, const struct http_request *request);

/*
 * libcurl is done with it.  False when the request has begun again with wider
 * trust; true when it is over and to be reported.
 */
bool transfer_end(struct transfer *t, CURLcode rc);

void transfer_report(struct transfer *t); /* calls done() */
void transfer_clear(struct transfer *t);  /* ready for another request */

/* A number that libcurl knows of it; 0 if it does not. */
long transfer_info(const struct transfer *t, CURLINFO info);

/* What libcurl calls with the lines of the header and the bytes of the body;
 * arg is the transfer. */
size_t transfer_on_header(char *line, size_t size, size_t n, void *arg);
size_t transfer_on_body(char *data, size_t size, size_t n, void *arg);

#endif
