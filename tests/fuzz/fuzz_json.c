/*
 * What the scanner accepts, json-c parses if it is an object; printed, it is
 * accepted again and prints as itself.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct err err = ERR_INIT;
	struct json *doc = json_parse("fuzz", data, len, &err), *again;

	if (!doc && json_scan("fuzz", data, len, &err) == 0 &&
	    data[strspn((const char *)data, " \t\r\n")] == '{')
		abort();
	if (doc) {
		json_print(doc, JSON_TABS, &once);
		again = json_parse("printed", once.data, once.len, &err);
		json_print(again, JSON_TABS, &twice);
		if (once.len <= JSON_SIZE &&
		    strcmp(buf_str(&once), buf_str(&twice)) != 0)
			abort();
		json_free(again);
		json_free(doc);
	}
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
