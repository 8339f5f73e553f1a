/*
 * tls - TLS 1.2 and 1.3 on client sockets, for who runs the gateway without an edge. The one file that knows OpenSSL. A `tls` holds
 * the certificate and is shared by all loops; a session is one connection's and belongs to its loop. What is sent goes out in records
 * of up to 16 KiB, one for all that was gathered; a session at rest owns no buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/base/status.h"

struct tls;
struct tls_session;

#define TLS_RECORD_BYTES 16384 /* RFC 8446, section 5.1 */

/* Reads the files, PEM both: the certificate with its chain, and the key without a passphrase. They are borrowed for the life of tls.
 * STATUS_FIELD_INVALID: one cannot be read, or they do not belong together (logged with the file's name and why). */
enum status tls_create(const char *certificate, const char *key, struct tls **out_tls);
/* Reads them again: for connections that come from now on. On failure, logged as above, the old ones stay. Any thread. */
enum status tls_reload(struct tls *tls);
void tls_destroy(struct tls *tls); /* sessions may outlive it */

/* A session on a connected socket that does not block; the socket stays the caller's. NULL: memory is out. */
struct tls_session *tls_begin(struct tls *tls, int fd);
/* Says that nothing more will be sent, when there is room for it; receiving goes on. */
void tls_goodbye(struct tls_session *session);
/* Says goodbye when there is room for it. Before the socket is closed. Accepts NULL. */
void tls_end(struct tls_session *session);

enum tls_step { TLS_STEP_DONE, TLS_STEP_READ, TLS_STEP_WRITE, TLS_STEP_FAILED };
/* Goes on with the handshake as far as it can: it is done, waits for the socket to be readable or writable, or has failed. */
enum tls_step tls_handshake(struct tls_session *session);

/* As recv: -1 with errno EAGAIN when nothing is there, another errno when it is over. */
ssize_t tls_recv(struct tls_session *session, void *bytes, size_t length);
/* Bytes that the socket no longer has and tls_recv does. */
bool tls_pending(const struct tls_session *session);

/*
 * tls_send - what is there as one record, gathered in record (TLS_RECORD_BYTES of the caller's).
 *
 * Returns how many bytes were taken, or -1 as send does. What was taken may still be held because the kernel took less
 * (tls_holds): the next call, with or without more, goes on with it first. *out_moved: the kernel took something.
 */
ssize_t tls_send(struct tls_session *session, const struct iovec *iov, size_t count, uint8_t *record, bool *out_moved);
bool tls_holds(const struct tls_session *session);

/* Does sending wait for the socket to be readable, or receiving for it to be writable? */
bool tls_send_waits_to_read(const struct tls_session *session);
bool tls_recv_waits_to_write(const struct tls_session *session);
