#include <config.h>

#include "tap.h"

#include <stdio.h>
#include <string.h>

#include "acme/problem.h"
#include "base/err.h"
#include "base/flow.h"

#define TYPE "\"type\":\"urn:ietf:params:acme:error:"

static int
check(int status, const char *body, struct err *err)
{
	const struct answer answer = {
	    .status = status, .body = body, .body_len = strlen(body)};

	*err = (struct err)ERR_INIT;
	return problem_check("newOrder", &answer, err);
}

static void
test_types(void)
{
	static const struct {
		int status;
		const char *type;
		int code;
	} t[] = {{400, "badNonce", ERR_LATER}, {429, "rateLimited", ERR_LATER},
	    {500, "serverInternal", ERR_UNAVAILABLE},
	    {403, "userActionRequired", ERR_PERMISSION},
	    {403, "externalAccountRequired", ERR_PERMISSION},
	    {400, "accountDoesNotExist", ERR_PERMISSION},
	    {403, "unauthorized", ERR_PROTOCOL},
	    {400, "invalidContact", ERR_CONFIG},
	    {409, "alreadyReplaced", ERR_PROTOCOL},
	    {400, "neverHeardOf", ERR_PROTOCOL},
	    {503, "neverHeardOf", ERR_UNAVAILABLE}};
	struct err err;
	char body[256];

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		snprintf(body, sizeof(body),
		    "{" TYPE "%s\",\"detail\":\"why\"}", t[i].type);
		fails(check(t[i].status, body, &err), &err, t[i].code, "why",
		    "%s with status %d", t[i].type, t[i].status);
		ok(strstr(err.text, t[i].type) != NULL, "names its type");
		is_int(err.http, t[i].status, "keeps the status");
	}
	ok(!problem_is(&err, "neverHeardOf"),
	    "an unknown type is no known one");
}

static void
test_texts(void)
{
	struct err err;

	is_int(check(204, "", &err), 0, "2xx is no problem");
	check(
	    400, "{" TYPE "malformed\",\"detail\":\"a\\u001b[31m\\nb\"}", &err);
	ok(!strpbrk(err.text, "\033\n"),
	    "control characters do not get through");
	check(403,
	    "{" TYPE "caa\",\"detail\":\"no\",\"subproblems\":["
	    "{\"detail\":\"first\",\"identifier\":{\"type\":\"dns\",\"value\":"
	    "\"a.test\"}},5,{\"detail\":\"second\"}]}",
	    &err);
	ok(strstr(err.text, "a.test: first") != NULL, "subproblems with names");
	ok(strstr(err.text, "second") != NULL, "and without");
	fails(check(503, "<html>busy</html>", &err), &err, ERR_UNAVAILABLE,
	    "503", "a status without a problem document");
	fails(
	    check(429, "", &err), &err, ERR_LATER, "429", "429 alone is later");
	fails(check(404, "{\"type\":5}", &err), &err, ERR_PROTOCOL,
	    "no problem type", "a problem of odd members");
	fails(check(400, "{\"type\":\"urn:ietf:params:acme:error:badNonce\"",
	          &err),
	    &err, ERR_PROTOCOL, "400", "a broken document");
	ok(!problem_is(&err, "badNonce"), "is no badNonce");
}

static void
test_validation(void)
{
	struct err err;

	check(400, "{" TYPE "connection\",\"detail\":\"\"}", &err);
	ok(problem_of_validation(&err), "connection: another type may do");
	check(400, "{" TYPE "rateLimited\",\"detail\":\"\"}", &err);
	ok(!problem_of_validation(&err), "rateLimited: none will");
}

int
main(void)
{
	test_types();
	test_texts();
	test_validation();
	return done();
}
