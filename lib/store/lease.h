/*
 * Leases: CertMagic's file locks, honoured in both directions.
 *
 * locks/NAME.lock is created exclusively and holds the times it was made and
 * last refreshed; its holder refreshes it every five seconds, and anybody may
 * remove one that has not been refreshed for ten.  Ours also carries an owner
 * and a pid, which CertMagic ignores (and drops when it rewrites the file).
 *
 * Nothing here waits: lease_try() takes the lock or says who has it, and the
 * loop in lib/run calls lease_refresh() and tries again.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include <stdint.h>

struct err;
struct lease;
struct store;

enum { LEASE_REFRESH_MS = 5000, LEASE_STALE_S = 10, LEASE_RETRY_MS = 250 };

/*
 * NULL and ERR_LATER while somebody else holds it ("held by HOST pid N since
 * TIME"), another code when the store failed.  A malformed lock file is
 * treated as one just written until it has been malformed for LEASE_STALE_S.
 */
struct lease *lease_try(struct store *s, const char *name, struct err *err);

/*
 * Refreshes if LEASE_REFRESH_MS have gone by since the last time.  now_ms is
 * date_mono_ms().  -1 with ERR_LATER when the lease is no longer ours: its
 * holder must not commit.
 */
int lease_refresh(struct lease *l, int64_t now_ms, struct err *err);

/* When lease_refresh() is next due, on date_mono_ms()'s clock. */
int64_t lease_due_ms(const struct lease *l);

/* Still ours on disk, checked now: before a commit. 0 or -1 with ERR_LATER. */
int lease_check(struct lease *l, struct err *err);

/* Removes the file if it is still ours, and frees. NULL is nothing. */
void lease_release(struct lease *l);

/* Removes the lock files of every lease still held, for a signal's last act. */
void lease_release_all(void);

#endif
