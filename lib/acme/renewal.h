/*
 * Renewal information (RFC 9773): when the CA would like a certificate to be
 * replaced.
 *
 * struct renewal is what is known of it: the window the CA last gave, the
 * instant in it that was chosen, and when to ask again.  It is kept in the
 * certificate's metadata in CertMagic's members, so that Caddy and Pomerium
 * renew at the same instant.  Pure data and functions of it; no clock.
 */
#ifndef ACME_RENEWAL_H
#define ACME_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/flow.h"

struct err;
struct json;

struct renewal {
	bool known;            /* the window below is the CA's */
	time_t start, end;     /* suggestedWindow; end is after start */
	time_t selected;       /* chosen once in it; 0: not yet */
	time_t retry_at;       /* ask again from then on; 0: now */
	char cert_id[160];     /* RFC 9773, 4.1, or "" */
	char explanation[512]; /* explanationURL, checked, or "" */
};

/*
 * Reads a RenewalInfo object (RFC 9773, 4.2).  A window that is missing, empty
 * or reversed is ERR_PROTOCOL: as if there had been no answer.  retry_after
 * (seconds, or -1) becomes retry_at, clamped to a minute and a day.  When the
 * window is the one in *r, the instant selected stays; otherwise it is chosen
 * at random (a number below 2^32 is given) in the new one.
 */
int renewal_read(const void *body, size_t len, int64_t retry_after, time_t now,
    uint32_t random, struct renewal *r, struct err *err);

/* From a certificate's metadata, where CertMagic keeps it as
 * issuer_data.renewal_info, and to that object, which the caller frees. */
void renewal_load(const struct json *meta, struct renewal *r);
struct json *renewal_save(const struct renewal *r);

/*
 * The flow of one row that asks: GET renewalInfo/CertID, unsigned.  The answer
 * is kept for renewal_read(), which wants a clock.
 */
struct renewal_fetch {
	char *url;
	struct buf body;
	int64_t retry_after;
	struct flow flow;
};

void renewal_fetch_init(struct renewal_fetch *f, const char *name,
    const char *renewal_info_url, const char *cert_id);
void renewal_fetch_release(struct renewal_fetch *f);

#endif
