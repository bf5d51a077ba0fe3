/*
 * What is pending: the challenge tokens that any process sharing the store has
 * put there, found by the name that a probe asks for.
 *
 * Every CA has its folder below acme/ and a name can be pending at more than
 * one.  The list of the folders is remembered for a second, so that a flood of
 * probes costs one attempt to open a file each; a probe that finds nothing
 * makes the list be read again, though not twice within 50 ms: the folder may
 * be newer than the list.  The tokens themselves are read anew every time.
 */
#ifndef RUN_PENDING_H
#define RUN_PENDING_H

#include <stdbool.h>

struct pending;
struct store;
struct token;

struct pending *pending_new(struct store *store); /* borrowed */
void pending_free(struct pending *p);

enum fit { FIT_NOT, FIT_ENOUGH, FIT_BEST };

/* Whether a token is the one that a probe asks for. */
typedef enum fit pending_fits(const struct token *token, const void *probe);

/*
 * Finds the token of that name (as layout_token() takes it; it has passed
 * identifier_parse()) that fits best.  A token file that cannot be read counts
 * as none.
 */
bool pending_find(struct pending *p, const char *name, pending_fits *fits,
    const void *probe, struct token *out);

#endif
