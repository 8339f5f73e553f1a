/* Every function of the C library by which services/gateway touches files and sockets. Order and numbers mean nothing.
 *   FAILS(type, function, what a failure returns, errno, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                              has no failure that a caller could answer
 */
FAILS(int, accept4, -1, ECONNABORTED, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f))
FAILS(int, bind, -1, EADDRINUSE, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAILS(int, epoll_create1, -1, EMFILE, (int f), (f))
FAILS(int, epoll_ctl, -1, ENOMEM, (int e, int op, int fd, struct epoll_event *v), (e, op, fd, v))
FAILS(int, epoll_pwait2, -1, EINTR, (int e, struct epoll_event *v, int n, const struct timespec *t, const sigset_t *s), (e, v, n, t, s))
FAILS(int, eventfd, -1, EMFILE, (unsigned n, int f), (n, f))
FAILS(int, getaddrinfo, EAI_MEMORY, ENOMEM, (const char *h, const char *p, const struct addrinfo *a, struct addrinfo **out), (h, p, a, out))
FAILS(int, listen, -1, EADDRINUSE, (int fd, int n), (fd, n))
FAILS(int, open64, -1, EMFILE, (const char *p, int f, ...), (p, f))
FAILS(int, socket, -1, EMFILE, (int d, int t, int p), (d, t, p))
FAILS(ssize_t, recv, -1, ECONNRESET, (int fd, void *b, size_t n, int f), (fd, b, n, f))
FAILS(ssize_t, send, -1, ECONNRESET, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
FAILS(ssize_t, sendmsg, -1, ECONNRESET, (int fd, const struct msghdr *m, int f), (fd, m, f))
CANNOT(close)
CANNOT(epoll_wait)  /* where the kernel has no epoll_pwait2 */
CANNOT(getsockname) /* of our own listener */
CANNOT(read)        /* of the eventfd: what it says does not matter, as what is written to it */
CANNOT(setsockopt)  /* a socket without is slower, not worse */
CANNOT(shutdown)
CANNOT(write)
