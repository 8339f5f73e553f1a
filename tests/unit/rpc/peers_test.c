#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/nng_leaves.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "common/rpc/peer.h"

START_TEST(without_a_peer_a_call_is_busy_long_before_its_deadline)
{
	struct place at = place_create();
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);

	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_BUSY);
	ck_assert_int_gt(ctx.deadline_mono_ms - clock_mono_ms(), PATIENCE_MS / 2);
	ck_assert(!rpc_client_up(client));
	rpc_client_destroy(client);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(an_asynchronous_refusal_is_told_on_another_thread)
{
	struct place at = place_create();
	struct rpc_client *client = connect_to(at.address[0]);
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending end;

	ask_fetch(client, &ctx, &end);
	sem_wait(&end.done);
	ck_assert_int_eq(end.status, STATUS_BUSY);
	ck_assert(!end.has_reply);
	ck_assert(!pthread_equal(end.thread, pthread_self()));
	rpc_client_destroy(client);
	place_destroy(&at);
}
END_TEST

static nng_socket listen_mutely(const char *address)
{
	nng_socket mute;

	ck_assert_int_eq(nng_rep0_open(&mute), 0);
	nng_socket_set_ms(mute, NNG_OPT_RECVTIMEO, PATIENCE_MS);
	ck_assert_int_eq(nng_listen(mute, address, NULL, 0), 0);
	return mute;
}

static void wait_connected(struct rpc_client *client)
{
	int64_t most = clock_mono_ms() + PATIENCE_MS;

	while (!rpc_client_up(client))
		ck_assert_int_lt(clock_mono_ms(), most);
}

START_TEST(a_peer_that_dies_ends_the_calls_it_had_at_once)
{
	struct place at = place_create();
	nng_socket mute = listen_mutely(at.address[0]);
	struct rpc_client *client = connect_to(at.address[0]);
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending end;
	nng_msg *request = NULL;
	wait_connected(client);

	ask_fetch(client, &ctx, &end);
	ck_assert_int_eq(nng_recvmsg(mute, &request, 0), 0);
	nng_close(mute);
	sem_wait(&end.done);

	ck_assert_int_eq(end.status, STATUS_BUSY);
	ck_assert_int_gt(ctx.deadline_mono_ms - clock_mono_ms(), PATIENCE_MS / 2);
	nng_msg_free(request);
	rpc_client_destroy(client);
	place_destroy(&at);
}
END_TEST

START_TEST(a_silent_peer_opens_the_circuit_after_five_failures)
{
	struct place at = place_create();
	nng_socket mute = listen_mutely(at.address[0]);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	wait_connected(client);

	for (int i = 0; i < PEER_FAILURES_OPEN; i++) {
		struct rpc_context ctx = within(210);
		ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_LATE);
	}
	/* One call a second is let through to see whether it answers again: on a slow machine this may be it. */
	enum status st = STATUS_LATE;
	for (int i = 0; i < 20 && st == STATUS_LATE; i++) {
		struct rpc_context ctx = within(210);
		st = ask_heads(client, mem, &ctx, &outcome);
	}
	ck_assert_int_eq(st, STATUS_BUSY);
	ck_assert(!rpc_client_up(client));
	nng_close(mute);
	rpc_client_destroy(client);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(destroying_a_client_ends_its_calls)
{
	struct place at = place_create();
	nng_socket mute = listen_mutely(at.address[0]);
	struct rpc_client *client = connect_to(at.address[0]);
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending ends[5];
	wait_connected(client);

	for (int i = 0; i < 5; i++)
		ask_fetch(client, &ctx, &ends[i]);
	rpc_client_destroy(client);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(sem_trywait(&ends[i].done), 0);
		ck_assert_int_eq(ends[i].status, STATUS_BUSY);
	}
	nng_close(mute);
	place_destroy(&at);
}
END_TEST

struct pair {
	struct place at;
	struct service services[2];
	struct rpc_server *servers[2];
	struct rpc_client *client;
	struct arena *mem;
};

static void pair_create(struct pair *p)
{
	char both[256];

	p->at = place_create();
	p->mem = arena_create();
	for (int i = 0; i < 2; i++) {
		service_init(&p->services[i]);
		p->servers[i] = serve(&p->services[i], p->at.address[i], 1, 0);
	}
	snprintf(both, sizeof both, "%s, %s", p->at.address[0], p->at.address[1]);
	p->client = connect_to(both);
	/* In turn until both have answered: then both are connected. */
	while (p->services[0].handled == 0 || p->services[1].handled == 0) {
		struct rpc_context ctx = within(PATIENCE_MS);
		struct rpc_outcome outcome;
		ask_heads(p->client, p->mem, &ctx, &outcome);
	}
	p->services[0].handled = p->services[1].handled = 0;
}

static void pair_destroy(struct pair *p)
{
	rpc_client_destroy(p->client);
	rpc_server_stop(p->servers[0]);
	rpc_server_stop(p->servers[1]);
	arena_destroy(p->mem);
	place_destroy(&p->at);
}

START_TEST(calls_go_round_in_turn)
{
	struct pair p;
	pair_create(&p);

	for (int i = 0; i < 10; i++) {
		struct rpc_context ctx = within(PATIENCE_MS);
		struct rpc_outcome outcome;
		ck_assert_int_eq(ask_heads(p.client, p.mem, &ctx, &outcome), STATUS_OK);
	}
	ck_assert_int_eq(p.services[0].handled, 5);
	ck_assert_int_eq(p.services[1].handled, 5);
	pair_destroy(&p);
}
END_TEST

START_TEST(a_pick_always_meets_the_same_peer_and_picks_meet_both)
{
	struct pair p;
	int met[2] = {0, 0};
	pair_create(&p);

	for (uint64_t pick = 1; pick <= 40; pick++) {
		p.services[0].handled = p.services[1].handled = 0;
		for (int i = 0; i < 3; i++) {
			struct rpc_context ctx = within(PATIENCE_MS);
			struct rpc_outcome outcome;
			ctx.pick = pick;
			ck_assert_int_eq(ask_heads(p.client, p.mem, &ctx, &outcome), STATUS_OK);
		}
		ck_assert(p.services[0].handled == 3 || p.services[1].handled == 3);
		met[p.services[1].handled == 3]++;
	}
	ck_assert_int_gt(met[0], 5);
	ck_assert_int_gt(met[1], 5);
	pair_destroy(&p);
}
END_TEST

START_TEST(with_retry_a_draining_peer_is_passed_over)
{
	struct pair p;
	pair_create(&p);
	rpc_server_drain(p.servers[0], PATIENCE_MS);

	for (int i = 0; i < 10; i++) {
		struct rpc_context ctx = within(PATIENCE_MS);
		struct rpc_outcome outcome;
		ctx.retry = true;
		ck_assert_int_eq(ask_heads(p.client, p.mem, &ctx, &outcome), STATUS_OK);
	}
	ck_assert_int_eq(p.services[1].handled, 10);
	pair_destroy(&p);
}
END_TEST

START_TEST(with_retry_a_silent_peer_costs_half_the_time)
{
	struct pair p;
	struct ending held[2];
	pair_create(&p);
	/* Both workers are held by a call each, one of them is freed again: the other peer stays silent. */
	for (int i = 0; i < 2; i++) {
		struct rpc_context ctx = within(PATIENCE_MS);
		ask_fetch(p.client, &ctx, &held[i]);
	}
	sem_wait(&p.services[0].entered);
	sem_wait(&p.services[1].entered);
	sem_post(&p.services[1].go);

	for (int i = 0; i < 2; i++) {
		struct rpc_context ctx = within(600);
		struct rpc_outcome outcome;
		ctx.retry = true;
		ck_assert_int_eq(ask_heads(p.client, p.mem, &ctx, &outcome), STATUS_OK);
	}
	ck_assert_int_eq(p.services[1].handled, 3);
	sem_post(&p.services[0].go);
	sem_wait(&held[0].done);
	sem_wait(&held[1].done);
	pair_destroy(&p);
}
END_TEST

START_TEST(with_retry_an_asynchronous_call_finds_the_other_peer_too)
{
	struct pair p;
	struct ending end;
	pair_create(&p);
	rpc_server_drain(p.servers[0], PATIENCE_MS);

	for (int i = 0; i < 4; i++) {
		struct rpc_context ctx = within(PATIENCE_MS);
		ctx.retry = true;
		sem_post(&p.services[1].go);
		ask_fetch(p.client, &ctx, &end);
		sem_wait(&end.done);
		ck_assert_int_eq(end.status, STATUS_OK);
	}
	ck_assert_int_eq(p.services[1].handled, 4);
	pair_destroy(&p);
}
END_TEST

START_TEST(a_peer_that_comes_back_is_found_again)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 1, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);

	rpc_server_stop(server);
	while (rpc_client_up(client)) { /* until the loss was noticed */
	}
	server = serve(&s, at.address[0], 1, 0);
	wait_connected(client);
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

TESTS("rpc peers", without_a_peer_a_call_is_busy_long_before_its_deadline, an_asynchronous_refusal_is_told_on_another_thread,
	a_peer_that_dies_ends_the_calls_it_had_at_once, a_silent_peer_opens_the_circuit_after_five_failures,
	destroying_a_client_ends_its_calls, calls_go_round_in_turn, a_pick_always_meets_the_same_peer_and_picks_meet_both,
	with_retry_a_draining_peer_is_passed_over, with_retry_a_silent_peer_costs_half_the_time,
	with_retry_an_asynchronous_call_finds_the_other_peer_too, a_peer_that_comes_back_is_found_again)
