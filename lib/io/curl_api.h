/*
 * What io/http uses of libcurl, as pointers: private to lib/io, the only
 * place that sees curl's headers.  Each pointer has the prototype that curl's
 * own header gives the function.
 */
#ifndef IO_CURL_API_H
#define IO_CURL_API_H

#include <curl/curl.h>

#define CURL_FUNCTIONS(X)                                                      \
	X(global_init)                                                         \
	X(version_info)                                                        \
	X(easy_init)                                                           \
	X(easy_cleanup)                                                        \
	X(easy_reset)                                                          \
	X(easy_setopt)                                                         \
	X(easy_getinfo)                                                        \
	X(easy_strerror)                                                       \
	X(multi_init)                                                          \
	X(multi_cleanup)                                                       \
	X(multi_setopt)                                                        \
	X(multi_strerror)                                                      \
	X(multi_add_handle)                                                    \
	X(multi_remove_handle)                                                 \
	X(multi_perform)                                                       \
	X(multi_poll)                                                          \
	X(multi_info_read)                                                     \
	X(slist_append)                                                        \
	X(slist_free_all)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

#endif
