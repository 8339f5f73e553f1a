/* Every function of the C library by which common/base, ops, rpc, http and db (its migrations) touch files, sockets and names. Order
 * and numbers mean nothing. The 64 is what files of any size are opened with.
 *   FAILS(type, function, what a failure returns, errno, parameters, arguments)   made to fail, one call after the other
 *   CANNOT(function)                                                              has no failure that a caller could answer
 */
FAILS(FILE *, fopen64, NULL, EMFILE, (const char *path, const char *mode), (path, mode))
FAILS(DIR *, opendir, NULL, EMFILE, (const char *path), (path))
FAILS(struct dirent *, readdir64, NULL, EIO, (DIR *dir), (dir))
FAILS(int, connect, -1, ECONNREFUSED, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
FAILS(int, getaddrinfo, EAI_MEMORY, ENOMEM, (const char *h, const char *p, const struct addrinfo *a, struct addrinfo **out), (h, p, a, out))
FAILS(int, getrlimit64, -1, EPERM, (__rlimit_resource_t what, struct rlimit *out), (what, out))
FAILS(int, mkdir, -1, ENOSPC, (const char *path, mode_t mode), (path, mode))
FAILS(int, setrlimit64, -1, EPERM, (__rlimit_resource_t what, const struct rlimit *to), (what, to))
FAILS(int, socket, -1, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
FAILS(int, stat64, -1, EIO, (const char *path, struct stat *out), (path, out))
FAILS(size_t, fread, read_fails(file), EIO, (void *out, size_t size, size_t count, FILE *file), (out, size, count, file))
FAILS(ssize_t, write, -1, ENOSPC, (int fd, const void *bytes, size_t n), (fd, bytes, n))
CANNOT(close)    /* of what was only read, or is over */
CANNOT(closedir)
CANNOT(fclose)   /* of what was only read */
CANNOT(ferror)
CANNOT(fwrite)   /* complaints to the terminal at the start: nobody is left to tell */
CANNOT(poll)     /* a failure is an answer that does not come: the tests of common/db */
CANNOT(send)     /* a knock at our own door: what cannot be said says nothing about the listener (common/rpc/ear.c) */
