/*
 * What libcurl is told of a transfer, option by option.
 *
 * A refusal is noted in the transfer's err: a setting that did not take must
 * never go unnoticed, so whoever sets options looks there before sending.
 */
#ifndef IO_OPTIONS_H
#define IO_OPTIONS_H

struct http_request;
struct transfer;

/* All but trust and deadlines, on a handle that is new or cleared. */
void options_set(struct transfer *t, const struct http_request *request);

/* These two for each attempt. */
void options_set_trust(struct transfer *t, const char *ca_file);
void options_set_deadlines(struct transfer *t);

#endif
