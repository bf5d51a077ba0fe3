/*
 * A date that is read is written as text that reads back as the same time;
 * a wait is within its limits.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	char out[DATE_MAX];
	int64_t wait = date_retry_after(text, len, 1795333592);
	time_t sec = 0, back;
	long nsec = 0, nback;

	if (wait < -1 || wait > INT64_C(366) * 86400)
		abort();
	if (date_parse(text, len, &sec, &nsec) == -1 &&
	    date_parse_http(text, len, &sec) == -1)
		return 0;
	/* An offset leads a day beyond what four digits of a year can say. */
	if (sec < -INT64_C(62135596800) || sec > INT64_C(253402300799))
		return 0;
	date_format_nano(sec, nsec, out);
	if (date_parse(out, strlen(out), &back, &nback) == -1 || back != sec ||
	    nback != nsec)
		abort();
	return 0;
}
