#include <config.h>

#include "solver/solver.h"

#include <stdlib.h>
#include <string.h>

#include "acme/order.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/token.h"

/* -- through the store: http-01 and tls-alpn-01 -- */

static int
fill(const struct order_challenge *c, struct token *t, struct err *err)
{
	*t = (struct token){.identifier = *c->identifier};
	if (fmt_fit(t->type, sizeof(t->type), "%s",
	        challenge_type_name(c->type)) == -1 ||
	    fmt_fit(t->token, sizeof(t->token), "%s", c->token) == -1 ||
	    fmt_fit(t->key_authorization, sizeof(t->key_authorization), "%s",
	        c->key_authorization) == -1)
		return err_bug(
		    err, "a token passed the parser and does not fit");
	return 0;
}

static int
present_stored(const struct solver_env *env, const struct order_challenge *c,
    struct err *err)
{
	struct token t;

	if (fill(c, &t, err) == -1)
		return -1;
	return token_put(env->store, env->issuer, &t, c->url, err);
}

static int
cleanup_stored(const struct solver_env *env, const struct order_challenge *c,
    struct err *err)
{
	struct token t;

	if (fill(c, &t, err) == -1)
		return -1;
	return token_del(env->store, env->issuer, &t, err);
}

static int
withdraw(const struct solver_env *env, const char *name, const char *thumbprint,
    struct err *err)
{
	struct err why = ERR_INIT;
	const char *dot;
	struct token t;

	if (token_get(env->store, env->issuer, name, &t, &why) == -1) {
		/* none, or one that nobody can answer from */
		if (why.code == ERR_ABSENT || why.code == ERR_DATA)
			return 0;
		*err = why;
		return -1;
	}
	dot = strrchr(t.key_authorization, '.');
	if (!dot || strcmp(dot + 1, thumbprint) != 0)
		return 0;
	return token_del(env->store, env->issuer, &t, err);
}

int
solver_withdraw(const struct solver_env *env, const struct identifier *id,
    const char *thumbprint, struct err *err)
{
	char sni[NAME_MAX_LEN + 1];

	identifier_sni(id, sni);
	if (withdraw(env, id->value, thumbprint, err) == -1)
		return -1;
	return id->type == IDENTIFIER_DNS ? 0 :
	                                    withdraw(env, sni, thumbprint, err);
}

static const struct solver solvers[] = {
    {CHALLENGE_HTTP01, true, false, present_stored, cleanup_stored},
    {CHALLENGE_TLSALPN01, true, false, present_stored, cleanup_stored},
};

const struct solver *
solver_find(enum challenge_type type)
{
	for (size_t i = 0; i < sizeof(solvers) / sizeof(*solvers); i++)
		if (solvers[i].type == type)
			return &solvers[i];
	return NULL;
}

int
solver_parse(const char *list, enum challenge_type out[SOLVER_TYPES], size_t *n,
    struct err *err)
{
	char *copy = xstrdup(list), *rest = copy, *word;
	int rc = 0;

	*n = 0;
	while (rc == 0 && (word = strsep(&rest, ","))) {
		enum challenge_type type;

		if (challenge_type_parse(word, &type) == -1 ||
		    !solver_find(type) || *n == SOLVER_TYPES)
			rc = err_set(err, ERR_USAGE,
			    "challenge types %s: "
			    "\"%s\" is neither http-01 nor tls-alpn-01",
			    list, word);
		else
			out[(*n)++] = type;
	}
	free(copy);
	return rc;
}

int
solver_check(const struct identifier *id, const enum challenge_type *wanted,
    size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct solver *s = solver_find(wanted[i]);

		if (s && (!id->wildcard || s->for_wildcard) &&
		    (id->type != IDENTIFIER_IP || s->for_ip))
			return 0;
	}
	if (id->wildcard)
		return err_set(err, ERR_USAGE,
		    "%s: a wildcard can only be "
		    "proved by dns-01, which this version does not speak: "
		    "order the names below it one by one",
		    id->value);
	return err_set(err, ERR_USAGE,
	    "%s: none of the challenge types wanted can prove it", id->value);
}
