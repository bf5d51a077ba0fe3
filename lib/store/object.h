/*
 * Objects that are JSON or a private key in PEM, for lib/store alone: what the
 * records that are kept as such share.
 */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "store/store.h"

struct err;
struct key;

/* NULL with ERR_ABSENT, ERR_DATA, or what the store says. */
struct json *object_load_json(
    struct store *s, const char *path, size_t max, struct err *err);
int object_save_json(struct store *s, const char *path, const struct json *o,
    enum json_style style, enum store_how how, struct err *err);

struct key *object_load_key(struct store *s, const char *path, struct err *err);
int object_save_key(struct store *s, const char *path, const struct key *key,
    enum store_how how, struct err *err);

/* Missing or damaged, in contrast to a store that fails. */
bool object_is_unusable(const struct err *err);

#endif
