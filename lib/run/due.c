#include <config.h>

#include "run/due.h"

#include "acme/renewal.h"
#include "pki/cert.h"

enum {
	CHECK_S = 10 * 60, /* CertMagic's rhythm, and ours */
	MARGIN_S = 5 * CHECK_S,
	SHORT_LIFE_S = 10 * 24 * 3600 /* Let's Encrypt: half, below this */
};

/* The end of a life: not_after is its last second (RFC 5280, 4.1.2.5). */
static time_t
end_of(time_t not_after)
{
	return not_after + 1;
}

static time_t
max(time_t a, time_t b)
{
	return a > b ? a : b;
}

time_t
due_at(time_t not_before, time_t not_after)
{
	time_t end = end_of(not_after), life = end - not_before;

	if (life <= 0)
		return not_before;
	return end -
	    max(MARGIN_S,
	        max(life / 50, life < SHORT_LIFE_S ? life / 2 : life / 3));
}

time_t
due_with(time_t not_before, time_t not_after, const struct renewal *renewal)
{
	time_t end = end_of(not_after), life = end - not_before, latest;

	if (life <= 0 || !renewal || !renewal->selected)
		return due_at(not_before, not_after);
	latest = end - max(MARGIN_S, life / 20);
	/* the next check would come after it: as CertMagic, one check early */
	if (renewal->selected < not_before)
		return not_before;
	return renewal->selected - CHECK_S < latest ?
	    renewal->selected - CHECK_S :
	    latest;
}

bool
due_now(const struct cert *cert, const struct renewal *renewal, time_t now)
{
	return now >= due_with(cert->not_before, cert->not_after, renewal);
}
