#include <config.h>

#include "tap.h"

#include "run/backoff.h"

enum { NOW = 1800000000, MINUTE = 60, DAY = 24 * 3600 };

static void
test_steps(void)
{
	static const time_t steps[] = {
	    MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY, DAY};
	unsigned wrong = 0;

	for (unsigned i = 1; i <= 6; i++) {
		is_int(backoff_next(i, NOW, 0, 0) - NOW, steps[i - 1] / 2,
		    "failure %u: half of the step at least", i);
		ok(backoff_next(i, NOW, 0, UINT32_MAX) - NOW <=
		        steps[i - 1] + steps[i - 1] / 2,
		    "and half more at most");
	}
	/* a counter that ran for years, or overflowed, never gives zero */
	for (unsigned i = 0; i < 100000; i++)
		wrong += backoff_next(i * 42949u, NOW, 0, i * 42949u) <
		    NOW + MINUTE / 2;
	is_int(wrong, 0, "no number of failures makes the delay short");
}

static void
test_retry_after(void)
{
	is_int(backoff_next(1, NOW, NOW + 3 * DAY, 0), NOW + 3 * DAY,
	    "the CA's time is kept");
	is_int(
	    backoff_next(1, NOW, NOW + 5, 0), NOW + 30, "unless ours is later");
	is_int(backoff_next(1, NOW, NOW + 1000 * DAY, 0), NOW + 8 * DAY,
	    "or it is absurd");
	is_int(backoff_next(1, NOW, 1, 0), NOW + 30, "or long past");
}

static void
test_waits(void)
{
	ok(backoff_waits(NOW, NOW + 60, NOW + 59), "before its time it waits");
	ok(!backoff_waits(NOW, NOW + 60, NOW + 60), "at its time it does not");
	ok(backoff_waits(NOW, NOW + DAY, NOW - 3600),
	    "a clock set back by an hour: it waits");
	ok(!backoff_waits(NOW, NOW + DAY, NOW - 30 * DAY),
	    "by a month: it does not wait for a month");
	ok(!backoff_waits(0, 0, NOW), "nothing known, nothing to wait for");
	ok(!backoff_waits(NOW, NOW - 5, NOW - 10),
	    "a time before the failure is none");
}

int
main(void)
{
	test_steps();
	test_retry_after();
	test_waits();
	return done();
}
