/* Each call that common/rpc makes of nng fails once: whoever asked gets a status, and calls are answered again. */
#include "tests/unit/faults/nng.h"
#include "tests/unit/rpc/nng_leaves.h"

#define CALLS_MOST 24  /* of a function, in one use */
#define CALL_MS    400 /* an answer that cannot be sent is waited for so long */

struct ends {
	struct place at;
	struct service service;
	struct rpc_server *server;
	struct rpc_client *client;
};

static enum status server_start(struct ends *ends)
{
	static const struct rpc_binding bindings[] = {{&rpc_messaging_stream_heads, handle_heads}};
	struct rpc_server_options options = {
		.listen = ends->at.address[0], .bindings = bindings, .binding_count = 1, .service = &ends->service, .workers = 2, .contexts = 3};

	return rpc_server_start(&options, &ends->server);
}

static enum status client_create(struct ends *ends)
{
	return rpc_client_create("messaging", ends->at.address[0], false, &ends->client);
}

/* Alone, in company, and without waiting; and one that has no time. The worst status of the first three. */
static enum status calls_make(struct ends *ends, const char *function, int n)
{
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	enum status worst = STATUS_OK;
	struct ending ending;
	pb_StreamHead head = {.rank = 1, .stream_id = 42, .seq = 9};
	pb_StreamHeadsRequest rq = {.streams_count = 1, .streams = &head};

	for (int i = 0; i < 2; i++) {
		struct rpc_context ctx = within(CALL_MS);
		ctx.batch = i == 1;
		ctx.retry = true;
		enum status st = ask_heads(ends->client, mem, &ctx, &outcome);
		named(st, function, n, ctx.batch ? "in company" : "alone");
		worst = st != STATUS_OK ? st : worst;
	}
	for (int i = 0; i < 2; i++) {
		struct rpc_context ctx = within(i == 0 ? CALL_MS : -1);
		ctx.retry = true;
		ending_init(&ending);
		messaging_stream_heads_async(ends->client, &ctx, &rq, ending_done, &ending);
		sem_wait(&ending.done);
		named(ending.status, function, n, "async");
		ck_assert((ending.status == STATUS_OK) == ending.has_reply);
		if (i == 0)
			worst = ending.status != STATUS_OK ? ending.status : worst;
	}
	arena_destroy(mem);
	return worst;
}

static void calls_answered(struct ends *ends, const char *function, int n)
{
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	enum status st;

	while ((st = calls_make(ends, function, n)) != STATUS_OK) {
		ck_assert_msg(clock_mono_ms() < most, "%s, call %d: not answered again: %s", function, n, status_wire(st));
		pause_ms(5);
	}
}

static void ends_create(struct ends *ends)
{
	memset(ends, 0, sizeof *ends);
	ends->at = place_create();
	service_init(&ends->service);
}

static void ends_destroy(struct ends *ends)
{
	rpc_client_destroy(ends->client);
	rpc_server_stop(ends->server);
	place_destroy(&ends->at);
}

/* One use with the n-th call failing. False: it is not called so often. */
static bool use_calls(const char *function, int n)
{
	struct ends ends;
	enum status st;

	ends_create(&ends);
	arm(function, n);
	st = server_start(&ends);
	named(st, function, n, "server");
	if (st == STATUS_OK) {
		st = client_create(&ends);
		named(st, function, n, "client");
	}
	if (st == STATUS_OK)
		calls_make(&ends, function, n);
	bool failed = disarm();
	if (ends.server == NULL)
		ck_assert_int_eq(server_start(&ends), STATUS_OK);
	if (ends.client == NULL)
		ck_assert_int_eq(client_create(&ends), STATUS_OK);
	calls_answered(&ends, function, n);
	ends_destroy(&ends);
	return failed;
}

START_TEST(whichever_call_of_rpc_fails_there_is_a_status_and_calls_are_answered_again)
{
	for (size_t i = 0; i < FUNCTIONS; i++) {
		int n = 1;
		while (n <= CALLS_MOST && use_calls(functions[i], n))
			n++;
		/* The sign of life below is the only one that appends, and what nng counted is read later than here. */
		if (!is_of_the_bus(functions[i]) && strcmp(functions[i], "nng_msg_append") != 0 && strcmp(functions[i], "nng_stats_get") != 0)
			ck_assert_msg(n > 1, "%s never failed", functions[i]);
	}
}
END_TEST

/* ---- with a connection that is there already */

START_TEST(a_sign_of_life_that_fails_is_asked_for_again)
{
	static const char *const of_a_ping[] = {"nng_msg_alloc", "nng_msg_append", "nng_ctx_send", "nng_ctx_recv"};
	struct ends ends;

	ends_create(&ends);
	ck_assert_int_eq(server_start(&ends), STATUS_OK);
	ck_assert_int_eq(client_create(&ends), STATUS_OK);
	for (size_t i = 0; i < sizeof of_a_ping / sizeof *of_a_ping; i++) {
		calls_answered(&ends, of_a_ping[i], 1);
		int64_t most = clock_mono_ms() + PATIENCE_MS;
		arm(of_a_ping[i], 1);
		while (countdown > 0) {
			ck_assert_msg(clock_mono_ms() < most, "%s is not called", of_a_ping[i]);
			pause_ms(5);
		}
		disarm();
		calls_answered(&ends, of_a_ping[i], 1);
	}
	ends_destroy(&ends);
}
END_TEST

START_TEST(a_peer_that_comes_back_is_found_though_dialing_it_fails_first)
{
	static const char *const of_dialing[] = {
		"nng_req0_open", "nng_socket_set_ms", "nng_socket_set_size", "nng_aio_alloc", "nng_pipe_notify", "nng_dial"};
	struct ends ends;

	ends_create(&ends);
	ck_assert_int_eq(server_start(&ends), STATUS_OK);
	ck_assert_int_eq(client_create(&ends), STATUS_OK);
	for (size_t i = 0; i < sizeof of_dialing / sizeof *of_dialing; i++) {
		calls_answered(&ends, of_dialing[i], 1);
		int64_t most = clock_mono_ms() + PATIENCE_MS;
		arm(of_dialing[i], 1);
		rpc_server_stop(ends.server);
		ends.server = NULL;
		while (countdown > 0) {
			ck_assert_msg(clock_mono_ms() < most, "%s is not called", of_dialing[i]);
			pause_ms(5);
		}
		disarm();
		ck_assert_int_eq(server_start(&ends), STATUS_OK);
		calls_answered(&ends, of_dialing[i], 1);
	}
	ends_destroy(&ends);
}
END_TEST

START_TEST(a_listener_that_cannot_read_what_nng_counted_goes_on_listening)
{
	struct ends ends;

	ends_create(&ends);
	ck_assert_int_eq(server_start(&ends), STATUS_OK);
	ck_assert_int_eq(client_create(&ends), STATUS_OK);
	int64_t most = clock_mono_ms() + PATIENCE_MS;
	arm("nng_stats_get", 1);
	while (countdown > 0) {
		ck_assert_msg(clock_mono_ms() < most, "what nng counted is not read");
		pause_ms(5);
	}
	disarm();
	calls_answered(&ends, "nng_stats_get", 1);
	ends_destroy(&ends);
}
END_TEST

START_TEST(the_table_has_every_function_that_is_called)
{
	table_holds(RPC_LIBRARY);
}
END_TEST

TESTS("faults nng rpc", whichever_call_of_rpc_fails_there_is_a_status_and_calls_are_answered_again,
	a_sign_of_life_that_fails_is_asked_for_again, a_peer_that_comes_back_is_found_though_dialing_it_fails_first,
	a_listener_that_cannot_read_what_nng_counted_goes_on_listening, the_table_has_every_function_that_is_called)
