/*
 * When to try again what has failed: pure functions of times.
 *
 * One minute after the first failure, ten after the second, a hundred after
 * the third, then daily (Let's Encrypt's advice), each shortened or lengthened
 * at random by up to half but never beyond a day and a half; no earlier than
 * the CA has said.  The delay is never zero, whatever the numbers are.
 */
#ifndef RUN_BACKOFF_H
#define RUN_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* failures is at least 1; retry_at is the CA's, or 0; random is any number. */
time_t
backoff_next(unsigned failures, time_t now, time_t retry_at, uint32_t random);

/*
 * Whether to wait still.  A clock that was set back, or a time that nobody can
 * have meant, does not keep a certificate waiting for longer than the longest
 * delay from when it failed.
 */
bool backoff_waits(time_t failed_at, time_t next_try, time_t now);

#endif
