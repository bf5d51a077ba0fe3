/*
 * A URL keeps its text, its pieces are harmless, and put together again they
 * parse to the same.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = xstrndup((const char *)data, len), *made;
	struct err err = ERR_INIT;
	struct url u, v;

	if (url_parse("fuzz", text, &u, &err) == 0) {
		bool ip6 = strchr(u.host, ':') != NULL;

		made = xasprintf("%s://%s%s%s%s%s%s%s", u.scheme,
		    u.userinfo ? "@" : "", ip6 ? "[" : "", u.host,
		    ip6 ? "]" : "", *u.port ? ":" : "", u.port, u.path);
		if (strcmp(u.text, text) != 0 || strpbrk(u.host, "/@%[] ") ||
		    url_parse("made", made, &v, &err) == -1 ||
		    strcmp(u.host, v.host) != 0 || strcmp(u.path, v.path) != 0)
			abort();
		free(made);
	}
	free(text);
	return 0;
}
