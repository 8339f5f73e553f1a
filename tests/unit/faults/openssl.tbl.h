/* Every function of OpenSSL that services/gateway/tls.c calls. Order and numbers mean nothing.
 *   FAILS(type, function, what a failure returns, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                       has no failure that a caller could answer
 */
FAILS(SSL_CTX *, SSL_CTX_new, NULL, (const SSL_METHOD *m), (m))
FAILS(int, SSL_CTX_check_private_key, 0, (const SSL_CTX *c), (c))
FAILS(long, SSL_CTX_ctrl, 0, (SSL_CTX *c, int what, long n, void *p), (c, what, n, p))
FAILS(int, SSL_CTX_set_cipher_list, 0, (SSL_CTX *c, const char *list), (c, list))
FAILS(int, SSL_CTX_set_num_tickets, 0, (SSL_CTX *c, size_t n), (c, n))
FAILS(int, SSL_CTX_use_PrivateKey_file, 0, (SSL_CTX *c, const char *file, int type), (c, file, type))
FAILS(int, SSL_CTX_use_certificate_chain_file, 0, (SSL_CTX *c, const char *file), (c, file))
FAILS(int, SSL_do_handshake, -1, (SSL *s), (s))
FAILS(SSL *, SSL_new, NULL, (SSL_CTX *c), (c))
FAILS(int, SSL_read_ex, 0, (SSL *s, void *b, size_t n, size_t *out), (s, b, n, out))
FAILS(int, SSL_set_fd, 0, (SSL *s, int fd), (s, fd))
FAILS(int, SSL_write_ex, 0, (SSL *s, const void *b, size_t n, size_t *out), (s, b, n, out))
CANNOT(BIO_number_written)
CANNOT(ERR_clear_error)
CANNOT(ERR_peek_error)
CANNOT(ERR_reason_error_string) /* NULL: it is said otherwise */
CANNOT(SSL_CTX_free)
CANNOT(SSL_CTX_set_alpn_select_cb)
CANNOT(SSL_CTX_set_default_passwd_cb)
CANNOT(SSL_CTX_set_options)
CANNOT(SSL_CTX_set_timeout)
CANNOT(SSL_free)
CANNOT(SSL_get_error)
CANNOT(SSL_get_shutdown)
CANNOT(SSL_get_wbio)
CANNOT(SSL_pending)
CANNOT(SSL_select_next_proto) /* that there is no common protocol is an answer */
CANNOT(SSL_set_accept_state)
CANNOT(SSL_shutdown) /* a goodbye that is not heard */
CANNOT(TLS_server_method)
