/*
 * Certificates for tests: a key of P-256 and a certificate that signs itself,
 * with any names, times and uses.  What cannot be made ends the test.
 */
#ifndef TESTS_UNIT_RUN_PAIR_H
#define TESTS_UNIT_RUN_PAIR_H

#include <time.h>

#include "base/buf.h"

struct pair_spec {
	const char *names[4];
	time_t from, until;      /* not_before, not_after */
	const char *purposes[2]; /* extended key usage: OIDs; none: absent */
};

struct pair {
	struct buf chain, key; /* PEM */
};

void pair_make(const struct pair_spec *spec, struct pair *out);
void pair_release(struct pair *pair);

#endif
