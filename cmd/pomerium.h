/*
 * Pomerium's configuration file: the autocert_* keys in it, with their lines.
 * Every other key is Pomerium's own and is passed over with all below it.  Like
 * Pomerium, keys are taken in any mixture of case.  (The host names of its
 * routes are read here too, once there is a program that wants them.)
 */
#ifndef CMD_POMERIUM_H
#define CMD_POMERIUM_H

struct err;
struct yaml;

/* Called for each key that begins with "autocert", known or not, with a scalar
 * value (cmd/yaml.h). key is in lower case; it and value are borrowed. -1 ends
 * the walk, and "FILE:LINE: " is put before err. */
typedef int pomerium_key(void *arg, const char *key, const struct yaml *value,
    unsigned line, struct err *err);

/* ERR_ABSENT when there is no such file; ERR_CONFIG, "FILE:LINE: why". */
int pomerium_read(const char *path, pomerium_key *each, void *arg,
    struct err *err);

#endif
