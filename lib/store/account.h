/*
 * The account as the store keeps it: its key and what the CA said of it, in
 * acme/ISSUER/users/.
 */
#ifndef STORE_ACCOUNT_H
#define STORE_ACCOUNT_H

struct err;
struct json;
struct key;
struct store;

struct account_files {
	struct key *key;     /* NULL when there is none */
	char *url;           /* NULL when the record is missing or unusable */
	struct json *record; /* the .json, or NULL */
};

/*
 * Loads what there is for this e-mail; nothing there is success with all NULL.
 * A key that is there but unusable is ERR_DATA: it is never replaced silently.
 * A record that is there but unusable counts as missing, with a warning.
 */
int account_files_load(struct store *s, const char *issuer, const char *email,
    struct account_files *out, struct err *err);
void account_files_release(struct account_files *a);
/* Durable before the CA hears of it; ERR_EXISTS if another run was first. */
int account_key_save(struct store *s, const char *issuer, const char *email,
    const struct key *key, struct err *err);
int account_record_save(struct store *s, const char *issuer, const char *email,
    const struct json *record, struct err *err);

#endif
