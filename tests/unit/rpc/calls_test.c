#include "tests/unit/rpc/fixture.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

START_TEST(a_call_brings_its_envelope_and_takes_the_reply)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	pb_UserView ann = {.id = 7, .username = "ann"};
	struct rpc_context ctx = within(PATIENCE_MS);
	ctx.request_id = (const uint8_t *)"0123456789abcdef";
	ctx.request_id_length = 16;
	ctx.actor = &ann;
	ctx.client_label = "web";
	ctx.trace = "0123456789abcdef0123456789abcdef";

	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);

	pthread_mutex_lock(&s.lock);
	ck_assert_uint_eq(s.actor_id, 7);
	ck_assert_uint_eq(s.request_id_size, 16);
	ck_assert_str_eq(s.trace, ctx.trace);
	ck_assert_str_eq(s.seen_trace, ctx.trace);
	ck_assert_str_eq(s.label, "web");
	ck_assert_str_eq(s.username, "ann");
	ck_assert_int_gt(s.remaining_ms, 0);
	ck_assert_int_le(s.remaining_ms, PATIENCE_MS);
	pthread_mutex_unlock(&s.lock);
	ck_assert(rpc_client_up(client));
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(a_refusal_comes_with_why_field_and_detail)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	pb_StreamHeadsReply reply;
	struct rpc_context ctx = within(PATIENCE_MS);

	ck_assert_int_eq(messaging_stream_heads(client, mem, &ctx, &(pb_StreamHeadsRequest){0}, &reply, &outcome), STATUS_FIELD_INVALID);
	ck_assert_str_eq(outcome.why, "none given");
	ck_assert_str_eq(outcome.field, "streams");
	ck_assert_str_eq(outcome.detail, "at least one");
	ck_assert_uint_eq(reply.heads_count, 0);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(a_call_that_nobody_serves_is_not_implemented)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	pb_MessageReply reply;
	struct rpc_context ctx = within(PATIENCE_MS);

	ck_assert_int_eq(messaging_get_message(client, mem, &ctx, &(pb_MessageRequest){.message_id = 1}, &reply, &outcome), STATUS_NOT_IMPLEMENTED);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(a_handler_may_finish_later_from_another_thread)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	s.keeps = true;
	struct rpc_server *server = serve(&s, at.address[0], 1, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending end;
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);

	ask_fetch(client, &ctx, &end);
	sem_wait(&s.entered);
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK); /* the one worker is free meanwhile */
	rpc_finish_replayed(s.kept);
	sem_wait(&end.done);

	ck_assert_int_eq(end.status, STATUS_OK);
	ck_assert(end.has_reply);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(a_call_ends_at_its_deadline_and_is_not_begun_after_it)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 1, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending first;
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	ask_fetch(client, &ctx, &first);
	sem_wait(&s.entered); /* the one worker is held */

	struct rpc_context late = within(30);
	ck_assert_int_eq(ask_heads(client, mem, &late, &outcome), STATUS_LATE);
	while (clock_mono_ms() <= late.deadline_mono_ms + 1) {
	}
	sem_post(&s.go);
	sem_wait(&first.done);
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK); /* comes after the late one in the queue */

	ck_assert_int_eq(s.handled, 3);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(past_its_queue_a_server_says_busy_at_once)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], /* workers= */ 1, /* queue_limit= */ 1);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending running, next[2];
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	ask_fetch(client, &ctx, &running);
	sem_wait(&s.entered);

	ask_fetch(client, &ctx, &next[0]);
	ask_fetch(client, &ctx, &next[1]);
	/* One of the two waits for the worker; the other is answered although the worker is held. */
	int refused = -1;
	while (refused < 0) {
		for (int i = 0; i < 2; i++)
			refused = sem_trywait(&next[i].done) == 0 ? i : refused;
	}
	ck_assert_int_eq(next[refused].status, STATUS_BUSY);
	ck_assert_str_eq(next[refused].why, "overloaded");
	sem_post(&s.go);
	sem_post(&s.go);
	sem_wait(&running.done);
	sem_wait(&next[1 - refused].done);
	ck_assert_int_eq(next[1 - refused].status, STATUS_OK);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

static void *drain(void *server)
{
	rpc_server_drain(server, PATIENCE_MS);
	return NULL;
}

START_TEST(a_draining_server_refuses_what_is_new_and_finishes_what_it_has)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	struct ending running;
	pthread_t thread;
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	ask_fetch(client, &ctx, &running);
	sem_wait(&s.entered);

	pthread_create(&thread, NULL, drain, server);
	while (ask_heads(client, mem, &ctx, &outcome) == STATUS_OK) {
	}
	ck_assert_int_eq(outcome.status, STATUS_BUSY);
	ck_assert_str_eq(outcome.why, "draining");
	sem_post(&s.go);
	pthread_join(thread, NULL);
	sem_wait(&running.done);
	ck_assert_int_eq(running.status, STATUS_OK);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(garbage_closes_the_connection_and_harms_nobody_else)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = within(PATIENCE_MS);
	nng_socket stranger;
	nng_msg *answer = NULL;
	ck_assert_int_eq(nng_req0_open(&stranger), 0);
	nng_socket_set_ms(stranger, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	nng_socket_set_ms(stranger, NNG_OPT_RECVTIMEO, PATIENCE_MS);
	/* Closed while it dials once more, it would leave the new connection behind (nng_leaves.h). */
	nng_socket_set_ms(stranger, NNG_OPT_RECONNMINT, 4 * PATIENCE_MS);
	nng_socket_set_ms(stranger, NNG_OPT_RECONNMAXT, 4 * PATIENCE_MS);
	ck_assert_int_eq(nng_dial(stranger, at.address[0], NULL, 0), 0);

	ck_assert_int_eq(nng_send(stranger, (void *)"\xff\xff\xff", 3, 0), 0);
	ck_assert_int_eq(nng_recvmsg(stranger, &answer, 0), NNG_ECONNRESET);

	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	nng_close(stranger);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

struct many {
	struct rpc_client *client;
	_Atomic int wrong;
};

static void *ask_often(void *arg)
{
	struct many *many = arg;
	struct arena *mem = arena_create();

	for (int i = 0; i < 300; i++) {
		struct rpc_context ctx = within(PATIENCE_MS);
		struct rpc_outcome outcome;
		many->wrong += ask_heads(many->client, mem, &ctx, &outcome) != STATUS_OK;
		arena_reset(mem);
	}
	arena_destroy(mem);
	return NULL;
}

START_TEST(many_threads_share_one_client)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct many many = {connect_to(at.address[0]), 0};
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, ask_often, &many);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(many.wrong, 0);
	rpc_client_destroy(many.client);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

TESTS("rpc calls", a_call_brings_its_envelope_and_takes_the_reply, a_refusal_comes_with_why_field_and_detail,
	a_call_that_nobody_serves_is_not_implemented, a_handler_may_finish_later_from_another_thread,
	a_call_ends_at_its_deadline_and_is_not_begun_after_it, past_its_queue_a_server_says_busy_at_once,
	a_draining_server_refuses_what_is_new_and_finishes_what_it_has, garbage_closes_the_connection_and_harms_nobody_else,
	many_threads_share_one_client)
