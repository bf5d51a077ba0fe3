#include <config.h>

#include "run/pending.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/err.h"
#include "base/log.h"
#include "store/store.h"
#include "store/token.h"

enum { LIST_MS = 1000, LIST_AGAIN_MS = 50 };

struct pending {
	struct store *store;
	struct strings issuers;
	int64_t listed_ms; /* when, or 0 for never */
	bool failing;      /* said so already */
};

struct pending *
pending_new(struct store *store)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->store = store;
	return p;
}

void
pending_free(struct pending *p)
{
	if (!p)
		return;
	strings_release(&p->issuers);
	free(p);
}

/* Folders end in "/"; a stray file is no issuer. */
static void
add_issuer(struct strings *issuers, char *name)
{
	size_t n = strlen(name);

	if (n < 2 || name[n - 1] != '/')
		return;
	name[n - 1] = '\0';
	strings_add(issuers, name);
}

/* Reads the list unless it is younger than that; true when it was read. */
static bool
list_issuers(struct pending *p, int64_t older_than_ms)
{
	struct strings names = {.v = NULL};
	struct err err = ERR_INIT;
	int64_t now = date_mono_ms();

	if (p->listed_ms && now - p->listed_ms < older_than_ms)
		return false;
	p->listed_ms = now;
	strings_release(&p->issuers);
	p->issuers = (struct strings){.v = NULL};
	if (store_list(p->store, "acme", &names, &err) == 0)
		p->failing = false;
	else if (!p->failing) {
		log_err(NULL, &err);
		p->failing = true;
	}
	for (size_t i = 0; i < names.n; i++)
		add_issuer(&p->issuers, names.v[i]);
	strings_release(&names);
	return true;
}

static bool
get_token(
    struct pending *p, const char *issuer, const char *name, struct token *out)
{
	struct err err = ERR_INIT;

	if (token_get(p->store, issuer, name, out, &err) == 0)
		return true;
	if (err.code != ERR_ABSENT)
		log_info(name, "challenge token passed over: %s", err.text);
	return false;
}

static bool
look(struct pending *p, const char *name, pending_fits *fits, const void *probe,
    struct token *out)
{
	struct token token;
	enum fit best = FIT_NOT;

	for (size_t i = 0; i < p->issuers.n && best != FIT_BEST; i++) {
		enum fit fit = FIT_NOT;

		if (get_token(p, p->issuers.v[i], name, &token))
			fit = fits(&token, probe);
		if (fit > best) {
			*out = token;
			best = fit;
		}
	}
	return best != FIT_NOT;
}

bool
pending_find(struct pending *p, const char *name, pending_fits *fits,
    const void *probe, struct token *out)
{
	list_issuers(p, LIST_MS);
	if (look(p, name, fits, probe, out))
		return true;
	return list_issuers(p, LIST_AGAIN_MS) &&
	    look(p, name, fits, probe, out);
}
