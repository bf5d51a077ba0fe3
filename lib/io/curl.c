#include <config.h>

#include "io/curl.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/curl_api.h"

static const struct {
	const char *symbol;
	size_t offset;
} functions[] = {
#define X(name) {"curl_" #name, offsetof(struct curl_api, name)},
    CURL_FUNCTIONS(X)
#undef X
};

static int
look_up(
    void *library, const char *soname, struct curl_api *api, struct err *err)
{
	void *found;
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		found = dlsym(library, functions[i].symbol);
		if (!found)
			return err_set(err, ERR_SOFTWARE,
			    "%s has no function %s", soname,
			    functions[i].symbol);
		/* POSIX promises that a function's address fits a void *. */
		memcpy(
		    (char *)api + functions[i].offset, &found, sizeof(found));
	}
	return 0;
}

/*
 * Debian builds libcurl with one TLS library or another under nearly the same
 * name.  The trust settings of io/http hold for GnuTLS.
 */
static int
check_tls(const struct curl_api *api, const char *soname, struct err *err)
{
	const curl_version_info_data *info = api->version_info(CURLVERSION_NOW);
	const char *tls = info->ssl_version ? info->ssl_version : "no TLS";

	if (strncmp(tls, "GnuTLS", strlen("GnuTLS")) != 0)
		return err_set(err, ERR_SOFTWARE,
		    "%s uses %s: a libcurl with GnuTLS is needed", soname, tls);
	return 0;
}

static int
initialise(const struct curl_api *api, const char *soname, struct err *err)
{
	CURLcode rc = api->global_init(CURL_GLOBAL_DEFAULT);

	if (rc != CURLE_OK)
		return err_set(err, ERR_SOFTWARE, "%s does not start: %s",
		    soname, api->easy_strerror(rc));
	return 0;
}

const struct curl_api *
curl_load_from(const char *soname, struct err *err)
{
	struct curl_api *api;
	void *library;

	library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		err_set(
		    err, ERR_SOFTWARE, "cannot load libcurl: %s", dlerror());
		return NULL;
	}
	api = xcalloc(1, sizeof(*api));
	if (look_up(library, soname, api, err) == -1 ||
	    check_tls(api, soname, err) == -1 ||
	    initialise(api, soname, err) == -1) {
		free(api);
		dlclose(library);
		return NULL;
	}
	return api;
}

const struct curl_api *
curl_load(struct err *err)
{
	static const struct curl_api *api;

	if (!api)
		api = curl_load_from(CURL_SONAME, err);
	return api;
}
