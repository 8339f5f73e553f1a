/* Each call of OpenSSL by the gateway fails once: a status or a connection that is over, nothing leaks, and the next one is served. */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define FAILS(type, function, failure, parameters, arguments) type __real_##function parameters;
#define CANNOT(function)
#include "tests/unit/faults/openssl.tbl.h"
#undef FAILS
#undef CANNOT
#define REAL(f) __real_##f

#include "services/gateway/tls.h"
#include "tests/unit/faults/failing.h"
#include "tests/unit/gateway/tls_pair.h"
#include "tests/unit/main.h"

#define CALLS_MOST 8

#define FAILS(type, function, failure, parameters, arguments)                                                  \
	type __wrap_##function parameters;                                                                     \
	type __wrap_##function parameters                                                                      \
	{                                                                                                      \
		return fails_now(#function) ? failure : __real_##function arguments;                           \
	}
#define CANNOT(function)
#include "tests/unit/faults/openssl.tbl.h"
#undef FAILS
#undef CANNOT

/* A handshake, a word from each side, a goodbye. */
static bool converses(struct tls *tls)
{
	struct tls_pair pair;
	uint8_t record[TLS_RECORD_BYTES];
	char got[16] = "";
	size_t length = 0;
	bool moved = false;
	struct iovec iov = {(char *)"pong", 4};
	bool well = pair_begin(&pair, tls);

	well = well && __real_SSL_write_ex(pair.client, "ping", 4, &length) == 1;
	well = well && tls_recv(pair.server, got, sizeof got) == 4 && memcmp(got, "ping", 4) == 0;
	well = well && tls_send(pair.server, &iov, 1, record, &moved) == 4;
	well = well && __real_SSL_read_ex(pair.client, got, sizeof got, &length) == 1 && memcmp(got, "pong", 4) == 0;
	pair_end(&pair);
	return well;
}

/* False: it is not called so often. */
static bool use_with_failure(const struct tls_files *files, const char *function, int n)
{
	struct tls *tls = NULL;

	arm(function, n);
	enum status st = tls_create(files->certificate, files->key, &tls);
	ck_assert_msg(st == STATUS_OK || st == STATUS_FIELD_INVALID, "%s, call %d: %s", function, n, status_wire(st));
	bool well = st == STATUS_OK && tls_reload(tls) == STATUS_OK && converses(tls);
	bool failed = disarm();
	ck_assert_msg(failed || well, "%s, call %d: nothing failed", function, n);
	if (tls == NULL)
		ck_assert_int_eq(tls_create(files->certificate, files->key, &tls), STATUS_OK);
	ck_assert_msg(converses(tls), "%s, call %d: the next one is not served", function, n);
	tls_destroy(tls);
	return failed;
}

static const char *const functions[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function)
#include "tests/unit/faults/openssl.tbl.h"
#undef FAILS
#undef CANNOT
};

START_TEST(whichever_call_fails_the_next_connection_is_served)
{
	struct tls_files files;

	signal(SIGPIPE, SIG_IGN);
	tls_files_make(&files);
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		int n = 1;
		while (n <= CALLS_MOST && use_with_failure(&files, functions[i], n))
			n++;
		ck_assert_msg(n > 1, "%s never failed", functions[i]);
	}
	tls_files_remove(&files);
}
END_TEST

static const char *const table[] = {
#define FAILS(type, function, failure, parameters, arguments) #function,
#define CANNOT(function) #function,
#include "tests/unit/faults/openssl.tbl.h"
#undef FAILS
#undef CANNOT
};

START_TEST(the_table_has_every_function_that_is_called)
{
	static const char *const prefixes[] = {"SSL_", "TLS_", "ERR_", "BIO_", "OPENSSL_", "X509_", "EVP_", "PEM_", "CRYPTO_"};
	char line[1024], name[256];
	size_t found = 0;
	FILE *nm = popen("nm -u '" GATEWAY_LIBRARY "'", "r");

	ck_assert_ptr_nonnull(nm);
	while (fgets(line, sizeof line, nm) != NULL) {
		bool theirs = false, listed = false;
		if (sscanf(line, " U %255s", name) != 1)
			continue;
		for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
			theirs = theirs || strncmp(name, prefixes[i], strlen(prefixes[i])) == 0;
		for (size_t i = 0; i < sizeof table / sizeof *table; i++)
			listed = listed || strcmp(name, table[i]) == 0;
		ck_assert_msg(!theirs || listed, "%s is called and not in openssl.tbl.h", name);
		found += theirs;
	}
	ck_assert_int_eq(pclose(nm), 0);
	ck_assert_uint_eq(found, sizeof table / sizeof *table); /* and none that is not called */
}
END_TEST

TESTS("faults openssl", whichever_call_fails_the_next_connection_is_served, the_table_has_every_function_that_is_called)
