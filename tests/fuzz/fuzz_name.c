/*
 * An identifier's value parses again to the same identifier and is harmless as
 * a component of a path; the name in SNI is an identifier, too.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = xstrndup((const char *)data, len), *safe;
	char sni[NAME_MAX_LEN + 1];
	struct identifier id, again;
	struct err err = ERR_INIT;

	safe = xmalloc(len * 9 + 1);
	if (name_safe(text, safe, len * 9 + 1) == -1 || strchr(safe, '/'))
		abort();
	if (identifier_parse(text, &id, &err) == 0) {
		if (identifier_parse(id.value, &again, &err) == -1 ||
		    !identifier_equal(&id, &again) || strpbrk(id.value, "/_ "))
			abort();
		identifier_sni(&id, sni);
		if (identifier_parse(sni, &again, &err) == -1 || again.wildcard)
			abort();
	}
	free(text);
	free(safe);
	return 0;
}
