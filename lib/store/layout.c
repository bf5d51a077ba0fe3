#include <config.h>

#include "store/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"
#include "base/url.h"

/* A component of a key, with its NUL: what a folder can hold. */
enum { PART_SIZE = 256 };

/* One component made of text; what is for messages. */
static int
part(const char *what, const char *text, char out[PART_SIZE], struct err *err)
{
	if (name_safe(text, out, PART_SIZE) == -1)
		return err_set(
		    err, ERR_CONFIG, "%s: too long for a file name", what);
	if (!*out)
		return err_set(err, ERR_CONFIG,
		    "%s \"%.255s\": nothing in it "
		    "can be part of a file name",
		    what, text);
	if (*out == '.')
		return err_set(err, ERR_CONFIG,
		    "%s \"%.255s\": a file name "
		    "may not begin with a dot",
		    what, text);
	return 0;
}

static int
too_long(struct err *err)
{
	return err_set(err, ERR_CONFIG,
	    "a name in the store would be longer "
	    "than %d bytes",
	    LAYOUT_KEY_MAX - 1);
}

/* "name" and "suffix" as one component. */
static int
file_part(const char *what, const char *name, const char *suffix,
    char out[PART_SIZE], struct err *err)
{
	char safe[PART_SIZE];

	if (part(what, name, safe, err) == -1)
		return -1;
	if (fmt_fit(out, PART_SIZE, "%s%s", safe, suffix) == -1)
		return err_set(err, ERR_CONFIG,
		    "%s \"%s\": too long for a "
		    "file name",
		    what, safe);
	return 0;
}

/* -- issuers -------------------------------------------------------------- */

static int
hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c ? strchr(digits, c | 0x20) : NULL;
	return at ? (int)(at - digits) : -1;
}

/*
 * The path as CertMagic sees it: query and fragment off, percent decoded,
 * every slash a hyphen, outer hyphens off.
 */
static int
path_words(const char *path, char out[URL_MAX])
{
	size_t len = strcspn(path, "?#"), i, n = 0;
	int high, low;
	char c;

	for (i = 0; i < len; i++) {
		c = path[i];
		if (c == '%') {
			if (len - i < 3)
				return -1;
			high = hex_value(path[i + 1]);
			low = hex_value(path[i + 2]);
			if (high < 0 || low < 0 || high + low == 0)
				return -1;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '/' || c == '\\')
			c = '-';
		if (n > 0 || c != '-')
			out[n++] = c;
	}
	while (n > 0 && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	return 0;
}

int
layout_issuer(
    const char *directory_url, char out[LAYOUT_KEY_MAX], struct err *err)
{
	char words[URL_MAX], safe[PART_SIZE];
	struct url url;
	char *text;
	int rc;

	if (url_parse("directory", directory_url, &url, err) == -1) {
		err->code = ERR_CONFIG;
		return -1;
	}
	if (path_words(url.path, words) == -1)
		return err_set(err, ERR_CONFIG,
		    "directory: the URL's path "
		    "holds a %% that begins no escape");
	text = xasprintf("%s%s%s%s%s", url.host, *url.port ? ":" : "", url.port,
	    *words ? "-" : "", words);
	rc = part("directory", text, safe, err);
	free(text);
	if (rc == 0)
		rc = fmt_fit(out, LAYOUT_KEY_MAX, "%s", safe);
	return rc;
}

/* -- certificates --------------------------------------------------------- */

int
layout_cert_folder(const char *issuer, const char *name,
    char out[LAYOUT_KEY_MAX], struct err *err)
{
	char ca[PART_SIZE], cert[PART_SIZE];

	if (part("issuer", issuer, ca, err) == -1 ||
	    part("certificate name", name, cert, err) == -1)
		return -1;
	if (fmt_fit(out, LAYOUT_KEY_MAX, "certificates/%s/%s", ca, cert) == -1)
		return too_long(err);
	return 0;
}

int
layout_cert_file(const char *name, const char *suffix, char out[LAYOUT_KEY_MAX],
    struct err *err)
{
	char file[PART_SIZE];

	if (file_part("certificate name", name, suffix, file, err) == -1)
		return -1;
	return fmt_fit(out, LAYOUT_KEY_MAX, "%s", file);
}

/* -- accounts and tokens -------------------------------------------------- */

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\n\v\f\r")] == '\0';
}

/* What is before the "@", or behind it when nothing is. */
static char *
mail_user(const char *email)
{
	size_t len;

	email += strspn(email, " \t\n\v\f\r");
	len = strcspn(email, "@");
	return len ? xstrndup(email, len) : xstrdup(email + (*email == '@'));
}

int
layout_account(const char *issuer, const char *email, const char *suffix,
    char out[LAYOUT_KEY_MAX], struct err *err)
{
	char ca[PART_SIZE], account[PART_SIZE], file[PART_SIZE];
	char *user;
	int rc;

	if (is_blank(email))
		email = "default";
	user = mail_user(email);
	rc = part("issuer", issuer, ca, err);
	if (rc == 0)
		rc = part("e-mail address", email, account, err);
	if (rc == 0)
		rc = file_part("e-mail address", user, suffix, file, err);
	if (rc == 0 &&
	    fmt_fit(out, LAYOUT_KEY_MAX, "acme/%s/users/%s/%s", ca, account,
	        file) == -1)
		rc = too_long(err);
	free(user);
	return rc;
}

int
layout_token(const char *issuer, const char *sni, char out[LAYOUT_KEY_MAX],
    struct err *err)
{
	char ca[PART_SIZE], file[PART_SIZE];

	if (part("issuer", issuer, ca, err) == -1 ||
	    file_part("identifier", sni, ".json", file, err) == -1)
		return -1;
	if (fmt_fit(out, LAYOUT_KEY_MAX, "acme/%s/challenge_tokens/%s", ca,
	        file) == -1)
		return too_long(err);
	return 0;
}

/* -- locks ---------------------------------------------------------------- */

int
layout_lock_cert(const char *name, char out[LAYOUT_KEY_MAX], struct err *err)
{
	if (fmt_fit(out, LAYOUT_KEY_MAX, "issue_cert_%s", name) == -1)
		return too_long(err);
	return 0;
}

int
layout_lock_account(
    const char *email, char out[LAYOUT_KEY_MAX], struct err *err)
{
	email += strspn(email, " \t\n\v\f\r");
	if (fmt_fit(out, LAYOUT_KEY_MAX, "register_acme_account%s%s",
	        *email ? "_" : "", email) == -1)
		return too_long(err);
	return 0;
}

/* -- ours ----------------------------------------------------------------- */

int
layout_own(const char *issuer, const char *what, char out[LAYOUT_KEY_MAX],
    struct err *err)
{
	char ca[PART_SIZE], file[PART_SIZE];

	if (part("issuer", issuer, ca, err) == -1 ||
	    part("file", what, file, err) == -1)
		return -1;
	if (fmt_fit(out, LAYOUT_KEY_MAX, "autocert/%s/%s", ca, file) == -1)
		return too_long(err);
	return 0;
}

int
layout_journal(const char *issuer, const char *name, char out[LAYOUT_KEY_MAX],
    struct err *err)
{
	char ca[PART_SIZE], order[PART_SIZE];

	if (part("issuer", issuer, ca, err) == -1 ||
	    part("certificate name", name, order, err) == -1)
		return -1;
	if (fmt_fit(out, LAYOUT_KEY_MAX, "autocert/%s/orders/%s", ca, order) ==
	    -1)
		return too_long(err);
	return 0;
}
