/*
 * tls - see tls.h. Behaviour of the library: the manual pages of OpenSSL 3.0, SSL_CTX_set_mode(3), SSL_write(3), SSL_get_error(3).
 */
#include "services/gateway/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/memory.h"

#define TICKET_LIFE_S 7200

struct tls {
	const char *certificate, *key;
	pthread_mutex_t lock;
	SSL_CTX *context; /* under the lock */
};

struct tls_session {
	SSL *ssl;
	uint16_t held; /* bytes of a record that were taken and are not out yet */
	bool established;
	bool broken; /* nothing may be said any more */
	bool send_waits_to_read, recv_waits_to_write;
};

/* ---- the certificate */

/* A key with a passphrase fails instead of asking on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	return -1;
}

/* A client that offers protocols and not ours is told so (RFC 7301, section 3.2); h2 has no websockets here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *offered,
	unsigned int length, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen = NULL;

	if (SSL_select_next_proto(&chosen, out_length, ours, sizeof ours - 1, offered, length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void complain(const char *file)
{
	unsigned long error = ERR_peek_error(); /* the first is nearest to the cause */
	const char *why = ERR_reason_error_string(error);

	if (why == NULL)
		why = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : "cannot be used";
	log_error("tls_certificate_bad", LOG_STR("file", file), LOG_STR("why", why));
	ERR_clear_error();
}

/* NULL: logged. */
static SSL_CTX *context_create(const char *certificate, const char *key)
{
	const char *at_fault = certificate;

	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (context == NULL)
		goto failed;
	/* Of 1.2 only what keeps earlier sessions secret when the key is lost; of 1.3 everything does. */
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		goto failed;
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA);
	/* Buffers come when there is something in them, and a record is finished from wherever its bytes are by then. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Who comes back shows a ticket, and nothing is kept here for him. The tickets' key is the context's own. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(context, TICKET_LIFE_S);
	if (SSL_CTX_set_num_tickets(context, 1) != 1)
		goto failed;
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		goto failed;
	at_fault = key;
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
		goto failed;
	return context;
failed:
	complain(at_fault);
	SSL_CTX_free(context);
	return NULL;
}

enum status tls_create(const char *certificate, const char *key, struct tls **out_tls)
{
	SSL_CTX *context = context_create(certificate, key);

	if (context == NULL)
		return STATUS_FIELD_INVALID;
	struct tls *tls = memory_new(sizeof *tls);
	tls->certificate = certificate;
	tls->key = key;
	tls->context = context;
	pthread_mutex_init(&tls->lock, NULL);
	*out_tls = tls;
	return STATUS_OK;
}

enum status tls_reload(struct tls *tls)
{
	SSL_CTX *context = context_create(tls->certificate, tls->key);

	if (context == NULL)
		return STATUS_FIELD_INVALID;
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *old = tls->context;
	tls->context = context;
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(old); /* sessions have references of their own */
	log_info("tls_certificate_loaded", LOG_STR("file", tls->certificate));
	return STATUS_OK;
}

void tls_destroy(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->context);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* ---- one connection */

struct tls_session *tls_begin(struct tls *tls, int fd)
{
	pthread_mutex_lock(&tls->lock);
	SSL *ssl = SSL_new(tls->context);
	pthread_mutex_unlock(&tls->lock);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_accept_state(ssl);
	struct tls_session *session = memory_new(sizeof *session);
	session->ssl = ssl;
	return session;
}

void tls_goodbye(struct tls_session *session)
{
	if (!session->established || session->broken || session->held > 0 ||
		(SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	ERR_clear_error();
	SSL_shutdown(session->ssl); /* the answer is not waited for */
	ERR_clear_error();
}

void tls_end(struct tls_session *session)
{
	if (session == NULL)
		return;
	tls_goodbye(session);
	SSL_free(session->ssl);
	ERR_clear_error();
	free(session);
}

/* Why a call did not end well: SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_ZERO_RETURN; all else breaks the session. */
static int trouble(struct tls_session *session)
{
	int error = SSL_get_error(session->ssl, 0);

	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_ZERO_RETURN) {
		session->broken = true;
		if (log_enabled(LOG_DEBUG)) {
			const char *why = ERR_reason_error_string(ERR_peek_error());
			log_debug("tls_broken", LOG_STR("why", why != NULL ? why : "the peer went away"));
		}
		ERR_clear_error();
	}
	return error;
}

enum tls_step tls_handshake(struct tls_session *session)
{
	if (session->broken)
		return TLS_STEP_FAILED;
	ERR_clear_error();
	int result = SSL_do_handshake(session->ssl);
	if (result == 1) {
		session->established = true;
		return TLS_STEP_DONE;
	}
	int error = trouble(session);
	return error == SSL_ERROR_WANT_READ ? TLS_STEP_READ : error == SSL_ERROR_WANT_WRITE ? TLS_STEP_WRITE : TLS_STEP_FAILED;
}

ssize_t tls_recv(struct tls_session *session, void *bytes, size_t length)
{
	size_t got = 0;

	session->recv_waits_to_write = false;
	if (session->broken) {
		errno = ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	if (SSL_read_ex(session->ssl, bytes, length, &got) == 1)
		return (ssize_t)got;
	int error = trouble(session);
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	session->recv_waits_to_write = error == SSL_ERROR_WANT_WRITE;
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

bool tls_pending(const struct tls_session *session)
{
	return SSL_pending(session->ssl) > 0;
}

/* One record. 1: it is out. 0: it is encrypted and waits for the kernel. -1: nothing was taken, errno says why. */
static int record_write(struct tls_session *session, const uint8_t *record, size_t length)
{
	size_t written = 0;

	if (SSL_write_ex(session->ssl, record, length, &written) == 1)
		return 1;
	int error = trouble(session);
	if (error == SSL_ERROR_WANT_WRITE)
		return 0;
	session->send_waits_to_read = error == SSL_ERROR_WANT_READ;
	errno = session->send_waits_to_read ? EAGAIN : ECONNRESET;
	return -1;
}

static size_t gather(uint8_t *record, const struct iovec *iov, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count && length < TLS_RECORD_BYTES; i++) {
		size_t room = TLS_RECORD_BYTES - length, part = iov[i].iov_len < room ? iov[i].iov_len : room;
		memcpy(record + length, iov[i].iov_base, part);
		length += part;
	}
	return length;
}

static ssize_t send_some(struct tls_session *session, const struct iovec *iov, size_t count, uint8_t *record)
{
	int result;

	if (session->held > 0) {
		/* The record is encrypted already: of these bytes only the number counts. */
		result = record_write(session, record, session->held);
		if (result < 0)
			return -1;
		if (result == 0) {
			errno = EAGAIN;
			return -1;
		}
		session->held = 0;
	}
	size_t length = gather(record, iov, count);
	if (length == 0)
		return 0;
	result = record_write(session, record, length);
	if (result < 0)
		return -1;
	if (result == 0)
		session->held = (uint16_t)length;
	return (ssize_t)length;
}

ssize_t tls_send(struct tls_session *session, const struct iovec *iov, size_t count, uint8_t *record, bool *out_moved)
{
	session->send_waits_to_read = false;
	if (session->broken) {
		errno = ECONNRESET;
		return -1;
	}
	ERR_clear_error();
	uint64_t before = BIO_number_written(SSL_get_wbio(session->ssl));
	ssize_t n = send_some(session, iov, count, record);
	int why = errno;
	*out_moved = BIO_number_written(SSL_get_wbio(session->ssl)) != before;
	errno = why;
	return n;
}

bool tls_holds(const struct tls_session *session)
{
	return session->held > 0;
}

bool tls_send_waits_to_read(const struct tls_session *session)
{
	return session->send_waits_to_read;
}

bool tls_recv_waits_to_write(const struct tls_session *session)
{
	return session->recv_waits_to_write;
}
