/*
 * What libcurl's failures are called: a sentence that names the host and what
 * happened to it, the code that becomes the exit status, and whether the
 * request may be sent again.
 */
#ifndef IO_FAILURE_H
#define IO_FAILURE_H

#include "io/curl_api.h"

struct transfer;

/* Fills t->err for a transfer that libcurl gave up. */
void failure_explain(struct transfer *t, CURLcode rc);

#endif
