/*
 * When a certificate is to be renewed: pure functions of times.
 *
 * CertMagic's rule, without a constant in days: due when less than a third of
 * the lifetime is left (half of it for lifetimes under ten days, as Let's
 * Encrypt asks), or less than a fiftieth, or less than fifty minutes.
 */
#ifndef RUN_DUE_H
#define RUN_DUE_H

#include <stdbool.h>
#include <time.h>

struct cert;

/* The instant from which the certificate is due. */
time_t due_at(time_t not_before, time_t not_after);
bool due_now(const struct cert *cert, time_t now);

#endif
