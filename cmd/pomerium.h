/*
 * Pomerium's configuration file: the autocert_* keys in it, with their lines,
 * and the host names and certificates that Pomerium would manage or use.
 * Every other key is Pomerium's own and is passed over with all below it.
 * Like Pomerium, keys are taken in any mixture of case.
 */
#ifndef CMD_POMERIUM_H
#define CMD_POMERIUM_H

#include "base/buf.h"

struct err;
struct yaml;

/* The whole file as a tree (cmd/yaml.h); free with yaml_tree_free().
 * ERR_ABSENT when there is no such file; ERR_CONFIG, "FILE:LINE: why". */
struct yaml *pomerium_open(const char *path, struct err *err);

/* The value of a top-level key, or NULL. */
const struct yaml *pomerium_get(const struct yaml *root, const char *key);

/* Called for each key that begins with "autocert", known or not. key is in
 * lower case; it and value are borrowed. -1 ends the walk, and "FILE:LINE: "
 * is put before err. */
typedef int pomerium_key(void *arg, const char *key, const struct yaml *value,
    unsigned line, struct err *err);
int pomerium_keys(const char *path, const struct yaml *root, pomerium_key *each,
    void *arg, struct err *err);

/*
 * The host names that Pomerium's autocert manages, by its rules: of each
 * policy's and route's "from" with the schemes https, tcp+https and udp+https,
 * without port and path, wildcards passed over; and the authenticate service's,
 * if there are routes at all.  Its hosted authenticate services are left out.
 * Lower case A-labels, each once, sorted bytewise.  What cannot be parsed is
 * passed over with a warning.  path is for messages; root may be NULL.
 *
 * policy is the text of POLICY (base64 of YAML), which replaces the file's
 * policy, or NULL; authenticate that of AUTHENTICATE_SERVICE_URL, or NULL.
 */
int
pomerium_hosts(const char *path, const struct yaml *root, const char *policy,
    const char *authenticate, struct strings *out, struct err *err);

#endif
