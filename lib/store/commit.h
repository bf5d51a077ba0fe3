/*
 * A folder changed in one step, for the directory back end: a draft is made
 * beside it, complete with what the old one holds and is not named, synced,
 * and exchanged for it.
 */
#ifndef STORE_COMMIT_H
#define STORE_COMMIT_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct store_object;

/* The folder `name` of parent.  -1 and *unable: folders cannot be exchanged
 * here, and nothing has happened. */
int
commit_draft(int parent, const char *name, const struct store_object *objects,
    size_t n, bool *unable, struct err *err);

/*
 * Drafts are made under a shared lock: who gets it for himself knows that
 * every draft there is is a dead run's.  Removes those from parent, and returns
 * the lock as a descriptor.
 */
int commit_lock(int root, int parent, struct err *err);

#endif
