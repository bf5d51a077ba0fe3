/*
 * A store of a test's own, in a folder that goes with the test, and what it
 * holds looked at from outside.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdbool.h>

struct key;
struct store;

#define ISSUER "localhost-14000-dir"

/* One store a test.  NULL, and a failed test, when there can be none. */
struct store *scratch_open(void);

/* Text under a key; a failure ends the test. */
void put(const char *key, const char *text);
/* What is there, valid until the next call, or "error CODE". */
const char *get(const char *key);
/* Permission bits, 0 when it is not there. */
unsigned mode_of(const char *key);

bool same_key(const struct key *a, const struct key *b);

#endif
