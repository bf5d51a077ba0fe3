/*
 * Commits where folders cannot be exchanged, by a journal.
 *
 * autocert/commit/HASH holds a commit that has been decided: "list" says into
 * which folder which names go, one a line, and "0", "1", ... are their bytes.
 * It is made and removed in one step like any folder, so it is whole or not
 * there; whoever finds one does again what it says.  All of it happens under
 * GUARD_COMMIT.
 */
#ifndef STORE_REDO_H
#define STORE_REDO_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct store_object;

/* Replaces the objects in the order given; what fails half done is finished
 * by the next run. */
int redo_commit(int root, const char *folder,
    const struct store_object *objects, size_t n, struct err *err);

/*
 * Finishes the commits of runs that were killed.  Who holds the guard has done
 * so before he began his own: there is no need to wait for him, except before
 * a commit, which must come after what is being finished.
 */
int redo_recover(int root, bool wait, struct err *err);

#endif
