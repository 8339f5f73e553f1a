/* Listeners that stay heard although peers go before they are greeted. */
#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/nng_leaves.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/rpc/address.h"
#include "common/rpc/ear.h"

#define STRANGERS 100

/* Connect and go at once: a greeting to them fails. */
static void strangers_come_and_go(const char *address)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};

	strncpy(where.sun_path, address + strlen("ipc://"), sizeof where.sun_path - 1);
	for (int i = 0; i < STRANGERS; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(connect(fd, (struct sockaddr *)&where, sizeof where), 0);
		close(fd);
	}
}

static bool call_answered(struct rpc_client *client)
{
	struct rpc_context ctx = within(500);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;

	enum status st = ask_heads(client, mem, &ctx, &outcome);
	arena_destroy(mem);
	return st == STATUS_OK;
}

START_TEST(calls_of_newcomers_are_answered_though_peers_went_before_they_were_greeted)
{
	struct place at = place_create();
	struct service service;
	service_init(&service);
	struct rpc_server *server = serve(&service, at.address[0], 2, 0);

	strangers_come_and_go(at.address[0]);

	struct rpc_client *client = connect_to(at.address[0]);
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	while (!call_answered(client))
		ck_assert_msg(clock_mono_ms() < most, "nobody hears the newcomer");
	rpc_client_destroy(client);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

START_TEST(one_patient_call_is_answered_though_peers_went_before_they_were_greeted)
{
	struct place at = place_create();
	struct service service;
	service_init(&service);
	struct rpc_server *server = serve(&service, at.address[0], 2, 0);
	struct arena *mem = arena_create();
	struct rpc_context ctx = within(PATIENCE_MS);
	struct rpc_outcome outcome;
	ctx.patient = true;

	strangers_come_and_go(at.address[0]);

	struct rpc_client *client = connect_to(at.address[0]);
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(newcomers_receive_what_is_published_though_peers_went_before_they_were_greeted)
{
	struct place at = place_create();
	nng_socket pub, sub;
	struct ear *ear = NULL;
	void *bytes = NULL;
	size_t length = 0;
	ck_assert_int_eq(nng_pub0_open(&pub), 0);
	ck_assert_int_eq(rpc_socket_prepare(pub), 0);
	ck_assert_int_eq(ear_open(pub, at.address[0], &ear), STATUS_OK);

	strangers_come_and_go(at.address[0]);

	ck_assert_int_eq(nng_sub0_open(&sub), 0);
	ck_assert_int_eq(nng_socket_set(sub, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
	ck_assert_int_eq(nng_socket_set_ms(sub, NNG_OPT_RECVTIMEO, 50), 0);
	ck_assert_int_eq(nng_socket_set_ms(sub, NNG_OPT_RECONNMINT, 10), 0);
	ck_assert_int_eq(nng_dial(sub, at.address[0], NULL, NNG_FLAG_NONBLOCK), 0);
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	int rv = NNG_ETIMEDOUT;
	while (rv == NNG_ETIMEDOUT) {
		ck_assert_msg(clock_mono_ms() < most, "nothing reaches the newcomer");
		ck_assert_int_eq(nng_send(pub, (void *)(uintptr_t) "news", 4, 0), 0);
		rv = nng_recv(sub, &bytes, &length, NNG_FLAG_ALLOC);
	}
	ck_assert_int_eq(rv, 0);
	nng_free(bytes, length);
	nng_close(sub);
	ear_stop(ear);
	nng_close(pub);
	ear_free(ear);
	place_destroy(&at);
}
END_TEST

START_TEST(a_listener_that_hears_keeps_its_connections_though_a_peer_broke_off)
{
	struct place at = place_create();
	struct service service;
	service_init(&service);
	struct rpc_server *server = serve(&service, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	while (!call_answered(client))
		ck_assert(clock_mono_ms() < most);

	strangers_come_and_go(at.address[0]);

	/* Whether its listener went deaf or not: who calls is answered, at the latest from the next connection. */
	for (int i = 0; i < 5; i++) {
		while (!call_answered(client))
			ck_assert_msg(clock_mono_ms() < most, "not answered any more");
	}
	rpc_client_destroy(client);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

START_TEST(an_address_that_is_taken_is_refused)
{
	struct place at = place_create();
	nng_socket first, second;
	struct ear *one = NULL, *two = NULL;
	ck_assert_int_eq(nng_pub0_open(&first), 0);
	ck_assert_int_eq(nng_pub0_open(&second), 0);

	ck_assert_int_eq(ear_open(first, at.address[0], &one), STATUS_OK);
	ck_assert_int_eq(ear_open(second, at.address[0], &two), STATUS_BUSY);

	ear_stop(one);
	ear_stop(two);
	nng_close(first);
	nng_close(second);
	ear_free(one);
	ear_free(two);
	place_destroy(&at);
}
END_TEST

TESTS("rpc ear", calls_of_newcomers_are_answered_though_peers_went_before_they_were_greeted,
	one_patient_call_is_answered_though_peers_went_before_they_were_greeted,
	newcomers_receive_what_is_published_though_peers_went_before_they_were_greeted,
	a_listener_that_hears_keeps_its_connections_though_a_peer_broke_off, an_address_that_is_taken_is_refused)
