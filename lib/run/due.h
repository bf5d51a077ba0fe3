/*
 * When a certificate is to be renewed: pure functions of times.
 *
 * CertMagic's rule, without a constant in days: due when less than a third of
 * the lifetime is left (half of it for lifetimes under ten days, as Let's
 * Encrypt asks), or less than a fiftieth, or less than fifty minutes.  When
 * the CA has given a window (RFC 9773), the instant chosen in it decides
 * instead, earlier or later, but never so late that less than a twentieth of
 * the lifetime, or fifty minutes, would be left.
 */
#ifndef RUN_DUE_H
#define RUN_DUE_H

#include <stdbool.h>
#include <time.h>

struct cert;
struct renewal;

/* The instant from which the certificate is due by its lifetime alone. */
time_t due_at(time_t not_before, time_t not_after);

/* The same with what the CA says; renewal may be NULL. */
time_t
due_with(time_t not_before, time_t not_after, const struct renewal *renewal);

/* renewal may be NULL. */
bool
due_now(const struct cert *cert, const struct renewal *renewal, time_t now);

#endif
