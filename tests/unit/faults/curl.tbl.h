/* Every function of libcurl that common/net/fetch.c calls. Order and numbers mean nothing.
 *   FAILS(type, function, what a failure returns, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                       has no failure that a caller could answer
 * The variadic ones are called with one value of a register's size, and so they are handed on.
 */
FAILS(void *, curl_easy_init, NULL, (void), ())
FAILS(int, curl_easy_setopt, 27, (void *curl, int option, void *value), (curl, option, value))
FAILS(int, curl_easy_perform, 7, (void *curl), (curl))
FAILS(int, curl_easy_getinfo, 27, (void *curl, int info, void *out), (curl, info, out))
FAILS(void *, curl_slist_append, NULL, (void *list, const char *text), (list, text))
FAILS(void *, curl_url, NULL, (void), ())
FAILS(int, curl_url_set, 7, (void *url, int part, const char *text, unsigned flags), (url, part, text, flags))
FAILS(int, curl_url_get, 7, (void *url, int part, char **out, unsigned flags), (url, part, out, flags))
FAILS(int, curl_global_init, 27, (long flags), (flags))
CANNOT(curl_easy_cleanup) /* frees, like the others */
CANNOT(curl_free)
CANNOT(curl_global_cleanup)
CANNOT(curl_slist_free_all)
CANNOT(curl_url_cleanup)
