/* Every function of civetweb that common/http calls. Order and numbers mean nothing.
 *   FAILS(type, function, what a failure returns, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                       has no failure of its own
 */
FAILS(int, mg_get_server_ports, -1, (const struct mg_context *c, int n, struct mg_server_port *p), (c, n, p))
FAILS(int, mg_read, -1, (struct mg_connection *c, void *b, size_t n), (c, b, n))
FAILS(int, mg_write, -1, (struct mg_connection *c, const void *b, size_t n), (c, b, n))
FAILS(struct mg_context *, mg_start, NULL, (const struct mg_callbacks *k, void *x, const char **o), (k, x, o))
CANNOT(mg_disable_connection_keep_alive)
CANNOT(mg_get_context)
CANNOT(mg_get_request_info)        /* of a connection that its callback was given, as are those around it */
CANNOT(mg_get_response_code_text)
CANNOT(mg_get_thread_pointer)      /* what our own start of the thread returned */
CANNOT(mg_get_user_data)
CANNOT(mg_init_library)            /* says which features there are: none are asked for */
CANNOT(mg_stop)
