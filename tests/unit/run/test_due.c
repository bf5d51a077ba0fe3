#include <config.h>

#include "tap.h"

#include "acme/renewal.h"
#include "pki/cert.h"
#include "run/due.h"

enum { HOUR = 3600, DAY = 24 * HOUR };

int
main(void)
{
	const time_t t0 = 1800000000;
	struct cert c = {.not_before = t0};
	struct renewal r = {.known = true};

	/* not_after is the last second: a life of 90 days ends one before */
	is_int(due_at(t0, t0 + 90 * DAY - 1), t0 + 60 * DAY, "90 days: at 60");
	is_int(due_at(t0, t0 + 45 * DAY - 1), t0 + 30 * DAY, "45 days: at 30");
	is_int(due_at(t0, t0 + 160 * HOUR - 1), t0 + 80 * HOUR,
	    "160 hours: at half");
	is_int(due_at(t0, t0 + HOUR - 1), t0 + 10 * 60,
	    "an hour: 50 minutes before its end");
	is_int(due_at(t0, t0 + 60 - 1), t0 + 60 - 50 * 60, "a minute: at once");
	is_int(due_at(t0, t0 - 1), t0, "no life at all: due when it began");
	is_int(due_at(t0, t0 - DAY), t0, "a negative one too");
	is_int(due_at(0, 253402300799), 168934867200,
	    "year 9999 does not overflow");
	c.not_after = t0 + 90 * DAY - 1;
	ok(!due_now(&c, NULL, t0 + 60 * DAY - 1),
	    "a second before it is not due");
	ok(due_now(&c, NULL, t0 + 60 * DAY), "at the instant it is");

	is_int(due_with(t0, c.not_after, &r), t0 + 60 * DAY,
	    "a window without an instant chosen says nothing");
	r.selected = t0 + 20 * DAY;
	is_int(due_with(t0, c.not_after, &r), t0 + 20 * DAY - 600,
	    "the CA's instant brings it forward");
	r.selected = t0 + 80 * DAY;
	is_int(due_with(t0, c.not_after, &r), t0 + 80 * DAY - 600,
	    "and puts it off");
	r.selected = t0 + 400 * DAY;
	is_int(due_with(t0, c.not_after, &r), t0 + 90 * DAY - 90 * DAY / 20,
	    "but not into the last twentieth");
	r.selected = 5;
	is_int(due_with(t0, c.not_after, &r), t0, "long ago: at once");
	ok(due_now(&c, &r, t0 + 1), "which is now");
	is_int(due_with(t0, t0 - 1, &r), t0, "no life, no window");
	return done();
}
