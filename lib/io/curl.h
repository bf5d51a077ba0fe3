/*
 * libcurl, loaded when it is first needed.
 *
 * More than half of the start-up time of a program linked with libcurl is the
 * loading of what libcurl links with, and a run that finds nothing to do
 * would pay for it in vain.  So the programs are not linked with it: the few
 * functions that io/http uses are looked up by name in the library whose
 * soname configure found.
 */
#ifndef IO_CURL_H
#define IO_CURL_H

struct curl_api;
struct err;

/*
 * The functions, loaded and initialised once per process; never unloaded.
 * NULL and ERR_SOFTWARE when the library is missing, lacks a function, or
 * uses another TLS library than GnuTLS.
 */
const struct curl_api *curl_load(struct err *err);

/* The same from the library named, so that the refusals can be tested; what
 * it returns lives as long as the process. */
const struct curl_api *curl_load_from(const char *soname, struct err *err);

#endif
