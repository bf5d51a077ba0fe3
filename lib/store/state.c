#include <config.h>

#include "store/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/json.h"
#include "base/log.h"
#include "store/layout.h"
#include "store/store.h"

enum { NAMES_MAX = 1000 };

static int
key_of(const char *issuer, const char *name, char out[LAYOUT_KEY_MAX],
    struct err *err)
{
	char folder[LAYOUT_KEY_MAX];

	if (layout_own(issuer, "state", folder, err) == -1)
		return -1;
	if (fmt_fit(out, LAYOUT_KEY_MAX, "%s/%s.json", folder, name) == -1)
		return err_set(err, ERR_CONFIG, "%s: too long a name", name);
	return 0;
}

/* -- reading -- */

static void
get_text(const struct json *o, const char *member, char *out, size_t size)
{
	const char *text = NULL;

	(void)json_get_string("state", o, member, JSON_OPTIONAL, &text, NULL);
	if (!text || fmt_fit(out, size, "%s", text) == -1)
		*out = '\0';
}

static char *
get_copy(const struct json *o, const char *member)
{
	const char *text = NULL;

	(void)json_get_string("state", o, member, JSON_OPTIONAL, &text, NULL);
	return text && *text ? xstrdup(text) : NULL;
}

static time_t
get_time(const struct json *o, const char *member)
{
	const char *text = NULL;
	time_t t = 0;

	(void)json_get_string("state", o, member, JSON_OPTIONAL, &text, NULL);
	if (!text || date_parse(text, strlen(text), &t, NULL) == -1)
		return 0;
	return t;
}

static void
get_request(const struct json *o, struct state *s)
{
	const struct json *list = NULL;
	const char *text = NULL;

	(void)json_get_array("request", o, "names", JSON_OPTIONAL, &list, NULL);
	if (!list || json_len(list) == 0 || json_len(list) > NAMES_MAX)
		return;
	s->names = xcalloc(json_len(list), sizeof(*s->names));
	for (size_t i = 0; i < json_len(list); i++) {
		text = json_string_at(list, i);
		if (!text ||
		    identifier_parse(text, &s->names[s->n_names++], NULL) ==
		        -1) {
			s->n_names = 0;
			return;
		}
	}
	text = NULL;
	(void)json_get_string(
	    "request", o, "key_type", JSON_OPTIONAL, &text, NULL);
	if (!text || key_type_parse(text, &s->key_type) == -1)
		s->key_type = KEY_P256;
	(void)json_get_bool(
	    "request", o, "must_staple", JSON_OPTIONAL, &s->must_staple, NULL);
	get_text(o, "challenges", s->challenges, sizeof(s->challenges));
	s->deploy_hook = get_copy(o, "deploy_hook");
}

static void
get_failure(const struct json *o, struct state *s)
{
	int64_t failures = 0, code = 0;

	(void)json_get_int(
	    "failure", o, "failures", JSON_OPTIONAL, &failures, NULL);
	(void)json_get_int("failure", o, "status", JSON_OPTIONAL, &code, NULL);
	if (failures < 1 || failures > 1000000)
		return;
	s->failures = (unsigned)failures;
	s->code = (enum err_code)(code & 0x7f);
	s->failed_at = get_time(o, "failed");
	s->next_try = get_time(o, "next_try");
	get_text(o, "type", s->type, sizeof(s->type));
	get_text(o, "config", s->config, sizeof(s->config));
	s->text = get_copy(o, "text");
}

void
state_load(
    struct store *s, const char *issuer, const char *name, struct state *out)
{
	char key[LAYOUT_KEY_MAX];
	struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	const struct json *part = NULL;
	struct json *doc = NULL;

	*out = (struct state){.names = NULL};
	if (key_of(issuer, name, key, &err) == -1 ||
	    store_get(s, key, JSON_SIZE, &text, NULL, &err) == -1 ||
	    !(doc = json_parse(key, text.data, text.len, &err))) {
		if (err.code != ERR_ABSENT)
			log_warn(name,
			    "what is remembered of it cannot be "
			    "read: %s",
			    err.text);
		buf_release(&text);
		return;
	}
	(void)json_get_object(
	    "state", doc, "request", JSON_OPTIONAL, &part, NULL);
	if (part)
		get_request(part, out);
	part = NULL;
	(void)json_get_object(
	    "state", doc, "failure", JSON_OPTIONAL, &part, NULL);
	if (part)
		get_failure(part, out);
	get_text(doc, "deployed", out->deployed, sizeof(out->deployed));
	json_free(doc);
	buf_release(&text);
}

/* -- writing -- */

static struct json *
put_request(const struct state *s)
{
	struct json *o = json_new_object(), *list = json_new_array();

	for (size_t i = 0; i < s->n_names; i++)
		json_append_string(list, s->names[i].value);
	json_add(o, "names", list);
	json_add_string(o, "key_type", key_type_name(s->key_type));
	json_add_bool(o, "must_staple", s->must_staple);
	json_add_string(o, "challenges", s->challenges);
	if (s->deploy_hook)
		json_add_string(o, "deploy_hook", s->deploy_hook);
	return o;
}

static struct json *
put_failure(const struct state *s)
{
	struct json *o = json_new_object();
	char date[DATE_MAX];

	json_add_int(o, "failures", s->failures);
	json_add_int(o, "status", s->code);
	json_add_string(o, "failed", date_format(s->failed_at, date));
	json_add_string(o, "next_try", date_format(s->next_try, date));
	if (*s->type)
		json_add_string(o, "type", s->type);
	if (s->text)
		json_add_string(o, "text", s->text);
	json_add_string(o, "config", s->config);
	return o;
}

int
state_save(struct store *s, const char *issuer, const char *name,
    const struct state *state, struct err *err)
{
	struct json *doc = json_new_object();
	struct buf text = BUF_INIT;
	char key[LAYOUT_KEY_MAX];
	int rc = -1;

	if (state->n_names)
		json_add(doc, "request", put_request(state));
	if (state->failures)
		json_add(doc, "failure", put_failure(state));
	if (*state->deployed)
		json_add_string(doc, "deployed", state->deployed);
	json_print(doc, JSON_TABS, &text);
	json_free(doc);
	if (key_of(issuer, name, key, err) == 0)
		rc = store_put(s, key, text.data, text.len, STORE_REPLACE, err);
	buf_release(&text);
	return rc;
}

void
state_release(struct state *state)
{
	free(state->names);
	free(state->deploy_hook);
	free(state->text);
	*state = (struct state){.names = NULL};
}

void
state_clear_failures(struct state *state)
{
	free(state->text);
	state->text = NULL;
	state->failures = 0;
	state->failed_at = state->next_try = 0;
	state->code = ERR_NONE;
	*state->type = *state->config = '\0';
}

int
state_list(
    struct store *s, const char *issuer, struct strings *out, struct err *err)
{
	static const char suffix[] = ".json";
	char key[LAYOUT_KEY_MAX];
	struct strings files = {.v = NULL};
	int rc = -1;

	if (layout_own(issuer, "state", key, err) == 0)
		rc = store_list(s, key, &files, err);
	for (size_t i = 0; rc == 0 && i < files.n; i++) {
		size_t n = strlen(files.v[i]), m = strlen(suffix);

		if (n <= m || strcmp(files.v[i] + n - m, suffix) != 0)
			continue;
		files.v[i][n - m] = '\0';
		strings_add(out, files.v[i]);
	}
	strings_release(&files);
	return rc;
}
