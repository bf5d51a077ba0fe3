#include <config.h>

#include "run/backoff.h"

#include <stddef.h>

enum {
	MINUTE = 60,
	TEN = 10 * MINUTE,
	HUNDRED = 100 * MINUTE,
	DAY = 24 * 3600,
	LONGEST = DAY + DAY / 2
};

/* A rate limit may reach further than our own patience; no CA's reaches
 * further than this. */
enum { LIMIT_LONGEST = 8 * DAY };

static time_t
step(unsigned failures)
{
	static const time_t steps[] = {MINUTE, TEN, HUNDRED, DAY};
	size_t n = sizeof(steps) / sizeof(*steps);

	if (failures == 0)
		failures = 1;
	return steps[failures <= n ? failures - 1 : n - 1];
}

time_t
backoff_next(unsigned failures, time_t now, time_t retry_at, uint32_t random)
{
	time_t delay = step(failures);
	time_t jitter = (time_t)(((uint64_t)delay * random) >> 32);
	time_t next = now + delay / 2 + jitter;

	if (retry_at > now + LIMIT_LONGEST)
		retry_at = now + LIMIT_LONGEST;
	return retry_at > next ? retry_at : next;
}

bool
backoff_waits(time_t failed_at, time_t next_try, time_t now)
{
	time_t longest = next_try - failed_at > LONGEST ? LIMIT_LONGEST :
	                                                  LONGEST;

	if (now >= next_try || next_try <= failed_at)
		return false;
	/* the clock was set back by more than the wait itself can be */
	return now >= failed_at - longest;
}
