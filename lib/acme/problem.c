#include <config.h>

#include "acme/problem.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/flow.h"
#include "base/json.h"

static const char acme_urn[] = "urn:ietf:params:acme:error:";

enum { DETAIL_MAX = 400, SUBPROBLEMS_SHOWN = 5 };

/* RFC 8555, 6.7; RFC 9773, 7.4; draft-ietf-acme-profiles. */
static const struct known {
	const char *type;
	enum err_code code;
	const char *hint; /* what to do, or NULL */
} known[] = {
    {"accountDoesNotExist", ERR_PERMISSION,
        "autocert-register makes an account"},
    {"alreadyReplaced", ERR_PROTOCOL, NULL},
    {"alreadyRevoked", ERR_PROTOCOL, NULL},
    {"badCSR", ERR_PROTOCOL, NULL},
    {"badNonce", ERR_LATER, NULL},
    {"badPublicKey", ERR_PROTOCOL, NULL},
    {"badRevocationReason", ERR_PROTOCOL, NULL},
    {"badSignatureAlgorithm", ERR_PROTOCOL, NULL},
    {"caa", ERR_PROTOCOL, "a CAA record forbids this CA"},
    {"conflict", ERR_LATER, NULL},
    {"connection", ERR_PROTOCOL,
        "port 80 (http-01) or 443 (tls-alpn-01) must be reachable at every "
        "address the name has"},
    {"dns", ERR_PROTOCOL, "the CA could not resolve the name"},
    {"externalAccountRequired", ERR_PERMISSION,
        "this CA wants autocert_eab_key_id and autocert_eab_mac_key"},
    {"incorrectResponse", ERR_PROTOCOL, NULL},
    {"invalidContact", ERR_CONFIG, "see autocert_email"},
    {"malformed", ERR_PROTOCOL, NULL},
    {"orderNotReady", ERR_PROTOCOL, NULL},
    {"rateLimited", ERR_LATER, NULL},
    {"rejectedIdentifier", ERR_PROTOCOL, NULL},
    {"serverInternal", ERR_UNAVAILABLE, NULL},
    {"tls", ERR_PROTOCOL, NULL},
    {"unauthorized", ERR_PROTOCOL, NULL},
    {"unsupportedContact", ERR_CONFIG, "see autocert_email"},
    {"unsupportedIdentifier", ERR_PROTOCOL, NULL},
    {"userActionRequired", ERR_PERMISSION,
        "the terms of service have changed: visit the address given"},
};

static const struct known *
find(const char *type)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(known[i].type, type) == 0)
			return &known[i];
	return NULL;
}

/* An unknown type goes by the HTTP status. */
static enum err_code
code_of_status(int status)
{
	if (status == 429)
		return ERR_LATER;
	if (status >= 500)
		return ERR_UNAVAILABLE;
	return ERR_PROTOCOL;
}

static const char *
member(const struct json *o, const char *name)
{
	const char *text = "";

	(void)json_get_string("problem", o, name, JSON_OPTIONAL, &text, NULL);
	return text;
}

/* "NAME: DETAIL" of each subproblem (RFC 8555, 6.7.1). */
static void
add_subproblems(const struct json *problem, struct buf *text)
{
	const struct json *list = NULL, *o, *id;
	size_t n;

	(void)json_get_array(
	    "problem", problem, "subproblems", JSON_OPTIONAL, &list, NULL);
	n = list ? json_len(list) : 0;
	for (size_t i = 0; i < n && i < SUBPROBLEMS_SHOWN; i++) {
		if (!(o = json_object_at(list, i)))
			continue;
		id = NULL;
		(void)json_get_object(
		    "subproblem", o, "identifier", JSON_OPTIONAL, &id, NULL);
		buf_printf(text, "; %.255s: %.*s",
		    id ? member(id, "value") : "", (int)DETAIL_MAX,
		    member(o, "detail"));
	}
	if (n > SUBPROBLEMS_SHOWN)
		buf_printf(text, "; and %zu more", n - SUBPROBLEMS_SHOWN);
}

static int
fill(const char *what, const struct json *problem, int status, struct err *err)
{
	const char *type = member(problem, "type"), *shown = type;
	const struct known *k = NULL;
	struct buf text = BUF_INIT;

	if (strncmp(type, acme_urn, strlen(acme_urn)) == 0) {
		shown = type + strlen(acme_urn);
		k = find(shown);
	}
	if (!*shown || strcmp(shown, "about:blank") == 0)
		shown = "no problem type";
	buf_printf(&text, "the CA says %.100s: %.*s", shown, (int)DETAIL_MAX,
	    member(problem, "detail"));
	add_subproblems(problem, &text);
	if (*member(problem, "instance"))
		buf_printf(&text, "; see %.255s", member(problem, "instance"));
	if (k && k->hint)
		buf_printf(&text, " (%s)", k->hint);
	err_set(err, k ? k->code : code_of_status(status), "%s: %s", what,
	    buf_str(&text));
	if (err) {
		err->http = status;
		if (k)
			snprintf(err->type, sizeof(err->type), "%s", k->type);
	}
	buf_release(&text);
	return -1;
}

int
problem_read(const char *what, const struct json *problem, struct err *err)
{
	return fill(what, problem, 0, err);
}

int
problem_check(const char *what, const struct answer *answer, struct err *err)
{
	struct json *doc;
	int status = answer->status;

	if (status >= 200 && status <= 299)
		return 0;
	if (status >= 300 && status <= 399)
		return err_set(err, ERR_PROTOCOL,
		    "%s: the CA redirects to %.255s, and redirects are not "
		    "followed",
		    what, answer->location ? answer->location : "nowhere");
	doc = json_parse(what, answer->body, answer->body_len, NULL);
	if (!doc) {
		err_set(err, code_of_status(status),
		    "%s: the CA answered HTTP status %d without a problem "
		    "document",
		    what, status);
		if (err)
			err->http = status;
		return -1;
	}
	fill(what, doc, status, err);
	json_free(doc);
	return -1;
}

bool
problem_is(const struct err *err, const char *type)
{
	return strcmp(err->type, type) == 0;
}

bool
problem_of_validation(const struct err *err)
{
	static const char *const types[] = {"connection", "dns",
	    "serverInternal", "unauthorized", "tls", "incorrectResponse"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (problem_is(err, types[i]))
			return true;
	return false;
}
