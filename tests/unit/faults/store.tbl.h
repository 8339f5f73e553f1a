/* Every function of the C library by which services/messaging/file_disk.c touches files. Order and numbers mean nothing; the 64 is what
 * files of any size are opened with.
 *   FAILS(type, function, what a failure returns, errno, parameters, arguments)   made to fail, one call after the other
 *   OPENS(function, errno, parameters, arguments)                                 the same; its mode comes behind the others
 *   CLOSES(function, errno)                                                       the same, and it is closed all the same
 *   CANNOT(function)                                                              has no failure that a caller could answer
 */
FAILS(DIR *, fdopendir, NULL, ENOMEM, (int fd), (fd))
FAILS(int, faccessat, -1, EACCES, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
FAILS(int, fstat64, -1, EIO, (int fd, struct stat *out), (fd, out))
FAILS(int, fstatat64, -1, EIO, (int at, const char *path, struct stat *out, int flags), (at, path, out, flags))
FAILS(int, fsync, -1, EIO, (int fd), (fd))
FAILS(int, mkdir, -1, ENOSPC, (const char *path, mode_t mode), (path, mode))
FAILS(int, mkdirat, -1, ENOSPC, (int at, const char *path, mode_t mode), (at, path, mode))
FAILS(int, renameat, -1, ENOSPC, (int from, const char *old, int to, const char *name), (from, old, to, name))
FAILS(int, unlinkat, -1, EIO, (int at, const char *path, int flags), (at, path, flags))
FAILS(ssize_t, pread64, -1, EIO, (int fd, void *bytes, size_t n, off_t at), (fd, bytes, n, at))
FAILS(ssize_t, pwrite64, -1, ENOSPC, (int fd, const void *bytes, size_t n, off_t at), (fd, bytes, n, at))
FAILS(void *, calloc, NULL, ENOMEM, (size_t n, size_t size), (n, size))
OPENS(open64, EMFILE, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat64, EMFILE, (int at, const char *path, int flags, ...), (at, path, flags, mode))
CLOSES(close, EDQUOT)
CANNOT(closedir)
CANNOT(readdir64) /* a folder that is not read to its end is read again in five minutes */
