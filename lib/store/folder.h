/*
 * Folders by descriptor, for the directory back end: entered one component at
 * a time and never through a symbolic link, read, filled and tidied.
 *
 * What is not yet, or no longer, part of the store has a temporary name:
 * ".NAME.RANDOM.KIND".  No key begins with a dot, so none can be meant.  KIND
 * is "tmp" for a file and "new" for a draft, a folder that a commit is making
 * or has done with.
 *
 * Paths are keys, relative to the descriptor of the store's root; a descriptor
 * returned is the caller's to close.
 */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { FOLDER_NAME_SIZE = 256 }; /* a component and its NUL */

/* What an errno of a call on a name means. */
enum err_code folder_code(int e);

/* The folder `name` of dirfd; with create it is made if need be. */
int folder_enter(int dirfd, const char *name, bool create, struct err *err);
/* The folder at path, of which len bytes count; none: the root. */
int folder_walk(
    int root, const char *path, size_t len, bool create, struct err *err);
int folder_open(int root, const char *path, bool create, struct err *err);
/* The folder that holds key; *base is key's last component. */
int folder_open_parent(
    int root, const char *key, const char **base, bool create, struct err *err);

/* Calls each() for every entry; stops at the first that returns -1. */
int folder_each(int folder,
    int (*each)(void *arg, int folder, const char *name, struct err *err),
    void *arg, struct err *err);
int folder_sync(int folder, struct err *err);

/* A new file, complete and, if asked for, on disk. */
int folder_add(int folder, const char *name, const void *data, size_t len,
    bool sync, struct err *err);

/* A temporary name of this kind for what is to be called name. */
void
folder_temp(const char *name, const char *kind, char out[FOLDER_NAME_SIZE]);
bool folder_is_temp(const char *name);
/*
 * Removes what killed runs left: old temporary names, and every draft if the
 * caller knows that none has a living maker (alone).  What cannot be removed
 * does no harm.
 */
void folder_sweep(int folder, bool alone);

#endif
