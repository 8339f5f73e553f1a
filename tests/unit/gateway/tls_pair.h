/*
 * tls_pair - for tests of tls: a certificate made on the spot, and both ends of a connection in one process, the client's made of
 * OpenSSL itself. REAL(f) is f, or what a test that makes f fail has in its place.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/tls.h"
#include "tests/unit/main.h"

#ifndef REAL
#define REAL(f) f
#endif

struct tls_pair {
	SSL_CTX *context;
	SSL *client;
	struct tls_session *server;
	int fds[2]; /* the server's, the client's */
};

struct tls_files {
	char certificate[64], key[64];
};

/* Writes a new key and a certificate of it. */
static inline void tls_files_make(struct tls_files *files)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	strcpy(files->certificate, "/tmp/guildhall-certificate-XXXXXX");
	strcpy(files->key, "/tmp/guildhall-key-XXXXXX");
	FILE *certificate_file = fdopen(mkstemp(files->certificate), "w"), *key_file = fdopen(mkstemp(files->key), "w");

	ck_assert(X509_set_version(certificate, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	ck_assert(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"unit", -1, -1, 0) == 1);
	ck_assert(X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1);
	ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509(certificate_file, certificate), 1);
	ck_assert_int_eq(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(certificate_file);
	fclose(key_file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static inline void tls_files_remove(struct tls_files *files)
{
	unlink(files->certificate);
	unlink(files->key);
}

/* False: the two did not agree. pair_end in any case. */
static inline bool pair_begin(struct tls_pair *pair, struct tls *tls)
{
	enum tls_step step = TLS_STEP_READ;
	int client = 0, small = 4096;

	*pair = (struct tls_pair){0};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds), 0);
	setsockopt(pair->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	pair->context = REAL(SSL_CTX_new)(TLS_client_method());
	pair->client = REAL(SSL_new)(pair->context);
	ck_assert_int_eq(REAL(SSL_set_fd)(pair->client, pair->fds[1]), 1);
	SSL_set_connect_state(pair->client);
	pair->server = tls_begin(tls, pair->fds[0]);
	if (pair->server == NULL)
		return false;
	for (int i = 0; i < 100 && (client != 1 || step != TLS_STEP_DONE); i++) {
		if (client != 1)
			client = REAL(SSL_do_handshake)(pair->client);
		if (step != TLS_STEP_DONE)
			step = tls_handshake(pair->server);
		if (step == TLS_STEP_FAILED)
			return false;
	}
	return client == 1 && step == TLS_STEP_DONE;
}

static inline void pair_end(struct tls_pair *pair)
{
	tls_end(pair->server);
	SSL_free(pair->client);
	SSL_CTX_free(pair->context);
	close(pair->fds[0]);
	close(pair->fds[1]);
}
