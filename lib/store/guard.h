/*
 * Guards keep other processes out of one kind of act in a directory: open file
 * description locks on autocert/.lock, a byte for each, so that they end with
 * their process.  Closing the descriptor gives a guard back.
 */
#ifndef STORE_GUARD_H
#define STORE_GUARD_H

struct err;

#define GUARD_FILE "autocert/.lock"

enum guard { GUARD_COMMIT, GUARD_PUT_IF, GUARD_LEASE, GUARD_DRAFT };

enum { GUARD_WAIT_MS = 5000 };

/* The guard for us alone; ERR_LATER when it cannot be had in this time. */
int guard_take(int root, enum guard what, int wait_ms, struct err *err);

/* The same in two steps, for more than one lock on a descriptor: type is
 * fcntl(2)'s, and guard_lock() returns -1 and errno, EAGAIN when in vain. */
int guard_open(int root, struct err *err);
int guard_lock(int fd, int type, enum guard what, int wait_ms);

#endif
