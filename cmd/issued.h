/*
 * What the programs that order certificates have in common: the line printed
 * for each one issued, and the option that says how many at once.
 */
#ifndef CMD_ISSUED_H
#define CMD_ISSUED_H

struct err;
struct store;

/*
 * Prints the certificate of that name as it is in the store now: name, expiry
 * and folder, separated by tabs, or with --json an object.
 */
void issued_print(struct store *store, const char *issuer, const char *name);

/* The argument of --jobs. ERR_USAGE. */
int issued_jobs(const char *arg, long *out, struct err *err);

#endif
