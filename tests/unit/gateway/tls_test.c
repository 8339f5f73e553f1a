/*
 * TLS with a client in the same process: what is sent arrives once and in order whatever the kernel takes at a time, and files that
 * cannot be used change nothing.
 */
#include "services/gateway/tls.h"

#include <signal.h>
#include <stdlib.h>

#include "tests/unit/gateway/tls_pair.h"

static struct tls *created(struct tls_files *files)
{
	struct tls *tls = NULL;

	signal(SIGPIPE, SIG_IGN);
	tls_files_make(files);
	ck_assert_int_eq(tls_create(files->certificate, files->key, &tls), STATUS_OK);
	return tls;
}

START_TEST(what_is_said_is_heard_on_both_sides)
{
	struct tls_files files;
	struct tls *tls = created(&files);
	struct tls_pair pair;
	uint8_t record[TLS_RECORD_BYTES];
	char got[64];
	size_t length = 0;
	bool moved = false;

	ck_assert(pair_begin(&pair, tls));
	ck_assert_int_eq(tls_recv(pair.server, got, sizeof got), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(SSL_write_ex(pair.client, "question", 8, &length), 1);
	ck_assert_int_eq(tls_recv(pair.server, got, 5), 5);
	ck_assert(tls_pending(pair.server)); /* the kernel has nothing of it any more */
	ck_assert_int_eq(tls_recv(pair.server, got + 5, sizeof got - 5), 3);
	ck_assert_mem_eq(got, "question", 8);
	ck_assert(!tls_pending(pair.server));
	struct iovec iov[2] = {{(char *)"ans", 3}, {(char *)"wer", 3}};
	ck_assert_int_eq(tls_send(pair.server, iov, 2, record, &moved), 6);
	ck_assert(moved && !tls_holds(pair.server));
	ck_assert_int_eq(SSL_read_ex(pair.client, got, sizeof got, &length), 1);
	ck_assert_uint_eq(length, 6); /* one record for both pieces */
	ck_assert_mem_eq(got, "answer", 6);
	SSL_shutdown(pair.client);
	ck_assert_int_eq(tls_recv(pair.server, got, sizeof got), 0);
	pair_end(&pair);
	tls_destroy(tls);
	tls_files_remove(&files);
}
END_TEST

START_TEST(a_record_that_the_kernel_takes_piece_by_piece_is_neither_lost_nor_doubled)
{
	enum { ALL = 1000000 };
	struct tls_files files;
	struct tls *tls = created(&files);
	struct tls_pair pair;
	uint8_t record[TLS_RECORD_BYTES];
	uint8_t *sent = malloc(ALL), *got = malloc(ALL);
	size_t taken = 0, arrived = 0, held = 0;

	for (size_t i = 0; i < ALL; i++)
		sent[i] = (uint8_t)(i * 2654435761u >> 24);
	ck_assert(pair_begin(&pair, tls));
	while (arrived < ALL) {
		struct iovec iov[2] = {{sent + taken, (ALL - taken) / 2}, {sent + taken + (ALL - taken) / 2, ALL - taken - (ALL - taken) / 2}};
		bool moved = false;
		memset(record, 0, sizeof record); /* what is held needs none of these bytes again */
		ssize_t n = tls_send(pair.server, iov, 2, record, &moved);
		ck_assert(n >= 0 || errno == EAGAIN);
		taken += n > 0 ? (size_t)n : 0;
		held += tls_holds(pair.server);
		size_t length = 0;
		if (SSL_read_ex(pair.client, got + arrived, ALL - arrived < 3000 ? ALL - arrived : 3000, &length) == 1)
			arrived += length;
	}
	ck_assert_uint_gt(held, 0);
	ck_assert(!tls_holds(pair.server));
	ck_assert_mem_eq(got, sent, ALL);
	free(sent);
	free(got);
	pair_end(&pair);
	tls_destroy(tls);
	tls_files_remove(&files);
}
END_TEST

START_TEST(a_session_outlives_the_certificate_that_it_began_with)
{
	struct tls_files files, others;
	struct tls *tls = created(&files);
	struct tls_pair old, new;
	uint8_t record[TLS_RECORD_BYTES];
	char got[16];
	size_t length = 0;
	bool moved = false;
	struct iovec iov = {(char *)"still here", 10};

	ck_assert(pair_begin(&old, tls));
	tls_files_make(&others);
	ck_assert_int_eq(rename(others.certificate, files.certificate), 0);
	ck_assert_int_eq(tls_reload(tls), STATUS_FIELD_INVALID); /* of another key */
	ck_assert_int_eq(rename(others.key, files.key), 0);
	ck_assert_int_eq(tls_reload(tls), STATUS_OK);
	ck_assert(pair_begin(&new, tls));
	X509 *shown = SSL_get1_peer_certificate(new.client), *before = SSL_get1_peer_certificate(old.client);
	ck_assert_int_ne(X509_cmp(shown, before), 0);
	X509_free(shown);
	X509_free(before);
	tls_destroy(tls);
	ck_assert_int_eq(tls_send(old.server, &iov, 1, record, &moved), 10);
	ck_assert_int_eq(SSL_read_ex(old.client, got, sizeof got, &length), 1);
	ck_assert_uint_eq(length, 10);
	pair_end(&new);
	pair_end(&old);
	tls_files_remove(&files);
}
END_TEST

START_TEST(files_that_cannot_be_used_are_refused)
{
	struct tls_files files, others;
	struct tls *tls = NULL;

	tls_files_make(&files);
	tls_files_make(&others);
	ck_assert_int_eq(tls_create("/nowhere/certificate.pem", files.key, &tls), STATUS_FIELD_INVALID);
	ck_assert_int_eq(tls_create(files.certificate, "/nowhere/key.pem", &tls), STATUS_FIELD_INVALID);
	ck_assert_int_eq(tls_create(files.certificate, others.key, &tls), STATUS_FIELD_INVALID);
	ck_assert_int_eq(tls_create(files.key, files.certificate, &tls), STATUS_FIELD_INVALID);
	ck_assert_int_eq(tls_create("/dev/null", files.key, &tls), STATUS_FIELD_INVALID);
	ck_assert_ptr_null(tls);
	tls_files_remove(&files);
	tls_files_remove(&others);
}
END_TEST

START_TEST(what_breaks_stays_broken)
{
	struct tls_files files;
	struct tls *tls = created(&files);
	struct tls_pair pair;
	uint8_t record[TLS_RECORD_BYTES];
	char got[16];
	bool moved = false;
	struct iovec iov = {(char *)"x", 1};

	ck_assert(pair_begin(&pair, tls));
	ck_assert_int_eq(send(pair.fds[1], "no record at all", 16, MSG_NOSIGNAL), 16);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tls_recv(pair.server, got, sizeof got), -1);
		ck_assert_int_eq(errno, ECONNRESET);
		ck_assert_int_eq(tls_send(pair.server, &iov, 1, record, &moved), -1);
		ck_assert_int_eq(errno, ECONNRESET);
	}
	pair_end(&pair);
	tls_destroy(tls);
	tls_files_remove(&files);
}
END_TEST

TESTS("tls", what_is_said_is_heard_on_both_sides,
	a_record_that_the_kernel_takes_piece_by_piece_is_neither_lost_nor_doubled,
	a_session_outlives_the_certificate_that_it_began_with, files_that_cannot_be_used_are_refused, what_breaks_stays_broken)
