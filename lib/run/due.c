#include <config.h>

#include "run/due.h"

#include "pki/cert.h"

enum {
	MARGIN_S = 50 * 60,		/* five of CertMagic's checks */
	SHORT_LIFE_S = 10 * 24 * 3600	/* Let's Encrypt: half, below this */
};

time_t
due_at(time_t not_before, time_t not_after)
{
	time_t end = not_after + 1;	/* not_after is the last valid second */
	time_t life = end - not_before, left, fiftieth;

	if (life <= 0)
		return not_before;
	left = life < SHORT_LIFE_S ? life / 2 : life / 3;
	fiftieth = life / 50;
	if (left < fiftieth)
		left = fiftieth;
	if (left < MARGIN_S)
		left = MARGIN_S;
	return end - left;
}

bool
due_now(const struct cert *cert, time_t now)
{
	return now >= due_at(cert->not_before, cert->not_after);
}
