#include <config.h>

#include "acme/renewal.h"

#include <stdlib.h>
#include <string.h>

#include "acme/problem.h"
#include "base/date.h"
#include "base/err.h"
#include "base/json.h"
#include "base/url.h"

enum {
	RETRY_MIN_S = 60, /* RFC 9773, 4.3.3: clamp what is said */
	RETRY_MAX_S = 24 * 3600,
	RETRY_ABSENT_S = 6 * 3600, /* ... and six hours without a word */
	WINDOW_MIN_S = 2
};

/* Go's zero time, by which CertMagic says that a time is not set. */
#define YEAR_ONE INT64_C(-62135596800)

static int
get_time(const struct json *o, const char *member, time_t *out)
{
	const char *text = NULL;

	if (json_get_string("renewal information", o, member, JSON_OPTIONAL,
	        &text, NULL) == -1 ||
	    !text || date_parse(text, strlen(text), out, NULL) == -1 ||
	    *out == YEAR_ONE)
		return -1;
	return 0;
}

static int
get_window(const struct json *doc, time_t *start, time_t *end)
{
	const struct json *window = NULL;

	if (json_get_object("renewal information", doc, "suggestedWindow",
	        JSON_OPTIONAL, &window, NULL) == -1 ||
	    !window || get_time(window, "start", start) == -1 ||
	    get_time(window, "end", end) == -1)
		return -1;
	if (*end <= *start)
		return -1;
	/* Pebble's for a revoked certificate is a second long; CertMagic takes
	 * none below two */
	if (*end - *start < WINDOW_MIN_S)
		*end = *start + WINDOW_MIN_S;
	return 0;
}

/* Shown to a person some day: only if it is a URL of the web. */
static void
get_explanation(const struct json *doc, struct renewal *r)
{
	const char *text = NULL;
	struct url url;

	r->explanation[0] = '\0';
	(void)json_get_string("renewal information", doc, "explanationURL",
	    JSON_OPTIONAL, &text, NULL);
	if (!text || url_parse("explanationURL", text, &url, NULL) == -1 ||
	    (strcmp(url.scheme, "https") != 0 &&
	        strcmp(url.scheme, "http") != 0))
		return;
	if (fmt_fit(r->explanation, sizeof(r->explanation), "%s", text) == -1)
		r->explanation[0] = '\0';
}

static time_t
clamp(int64_t retry_after)
{
	if (retry_after < 0)
		return RETRY_ABSENT_S;
	if (retry_after < RETRY_MIN_S)
		return RETRY_MIN_S;
	return retry_after > RETRY_MAX_S ? RETRY_MAX_S : (time_t)retry_after;
}

/* RFC 9773, 4.2: uniformly random in the window. */
static time_t
choose(time_t start, time_t end, uint32_t random)
{
	uint64_t span = (uint64_t)(end - start);

	return start + (time_t)((span * random) >> 32);
}

int
renewal_read(const void *body, size_t len, int64_t retry_after, time_t now,
    uint32_t random, struct renewal *r, struct err *err)
{
	struct json *doc = json_parse("renewal information", body, len, err);
	time_t start = 0, end = 0;

	/* whatever was said, it is not asked again at once */
	r->retry_at = now + clamp(retry_after);
	if (!doc) {
		if (err)
			err->code = ERR_PROTOCOL;
		return -1;
	}
	if (get_window(doc, &start, &end) == -1) {
		json_free(doc);
		return err_set(err, ERR_PROTOCOL,
		    "renewal information: no window that ends after it begins");
	}
	get_explanation(doc, r);
	json_free(doc);
	if (!r->known || r->start != start || r->end != end || !r->selected)
		r->selected = choose(start, end, random);
	r->known = true;
	r->start = start;
	r->end = end;
	return 0;
}

/* -- CertMagic's members -- */

static void
get_text(const struct json *o, const char *member, char *out, size_t size)
{
	const char *text = NULL;

	(void)json_get_string(
	    "renewal_info", o, member, JSON_OPTIONAL, &text, NULL);
	if (!text || fmt_fit(out, size, "%s", text) == -1)
		*out = '\0';
}

void
renewal_load(const struct json *meta, struct renewal *r)
{
	const struct json *data = NULL, *o = NULL;

	*r = (struct renewal){.known = false};
	if (meta)
		(void)json_get_object("metadata", meta, "issuer_data",
		    JSON_OPTIONAL, &data, NULL);
	if (data)
		(void)json_get_object(
		    "metadata", data, "renewal_info", JSON_OPTIONAL, &o, NULL);
	if (!o)
		return;
	r->known = get_window(o, &r->start, &r->end) == 0;
	if (get_time(o, "_selectedTime", &r->selected) == -1)
		r->selected = 0;
	if (get_time(o, "_retryAfter", &r->retry_at) == -1)
		r->retry_at = 0;
	get_text(o, "_uniqueIdentifier", r->cert_id, sizeof(r->cert_id));
	get_text(o, "explanationURL", r->explanation, sizeof(r->explanation));
}

/* All of them together: Caddy renews at once when the window is there and
 * the instant is not (autocert-store(5)). */
struct json *
renewal_save(const struct renewal *r)
{
	struct json *o = json_new_object(), *window;
	char date[DATE_MAX];

	/* without a window, when to ask again is all there is */
	if (r->known) {
		window = json_new_object();
		json_add_string(window, "start", date_format(r->start, date));
		json_add_string(window, "end", date_format(r->end, date));
		json_add(o, "suggestedWindow", window);
	}
	if (*r->explanation)
		json_add_string(o, "explanationURL", r->explanation);
	json_add_string(o, "_uniqueIdentifier", r->cert_id);
	json_add_string(o, "_retryAfter", date_format(r->retry_at, date));
	if (r->selected)
		json_add_string(
		    o, "_selectedTime", date_format(r->selected, date));
	return o;
}

/* -- the flow -- */

static int
ask_renewal(void *self, struct asks *asks, struct err *err)
{
	struct renewal_fetch *f = self;

	(void)err;
	asks_add(asks, ASK_GET, "renewal information")->url = f->url;
	return 0;
}

static int
got_renewal(void *self, const struct ask *ask, const struct answer *answer,
    struct err *err)
{
	struct renewal_fetch *f = self;

	f->retry_after = answer->retry_after;
	if (problem_check(ask->what, answer, err) == -1)
		return FLOW_FAIL;
	buf_put(&f->body, answer->body, answer->body_len);
	return FLOW_NEXT;
}

void
renewal_fetch_init(struct renewal_fetch *f, const char *name,
    const char *renewal_info_url, const char *cert_id)
{
	static const struct step steps[] = {
	    {"renewal-info", ask_renewal, got_renewal},
	    {NULL, NULL, NULL},
	};

	*f = (struct renewal_fetch){.retry_after = -1};
	f->url = xasprintf("%s%s%s", renewal_info_url,
	    renewal_info_url[strlen(renewal_info_url) - 1] == '/' ? "" : "/",
	    cert_id);
	flow_init(&f->flow, name, steps, SIZE_MAX, f);
}

void
renewal_fetch_release(struct renewal_fetch *f)
{
	free(f->url);
	buf_release(&f->body);
	flow_release(&f->flow);
}
