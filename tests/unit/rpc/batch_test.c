#include "tests/unit/rpc/fixture.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/rpc/batch.h"

#define CALLERS 24

static struct rpc_context batched(int timeout_ms)
{
	struct rpc_context ctx = within(timeout_ms);
	ctx.batch = true;
	return ctx;
}

/* ---- the form */

START_TEST(a_batch_is_split_into_the_parts_it_was_written_with)
{
	const uint8_t *parts[3] = {(const uint8_t *)"one", (const uint8_t *)"", (const uint8_t *)"three"};
	size_t lengths[3] = {3, 0, 5};
	const uint8_t *got[BATCH_MOST];
	size_t got_lengths[BATCH_MOST];
	uint8_t bytes[64];
	size_t length = batch_length(lengths, 3);

	ck_assert_uint_eq(length, 1 + 3 * BATCH_PART_BYTES + 8);
	batch_write(bytes, parts, lengths, 3);
	ck_assert_uint_eq(batch_split(bytes, length, got, got_lengths), 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(got_lengths[i], lengths[i]);
		ck_assert_mem_eq(got[i], parts[i], lengths[i]);
	}
}
END_TEST

START_TEST(a_batch_that_is_cut_anywhere_or_goes_on_too_long_is_malformed)
{
	const uint8_t *parts[2] = {(const uint8_t *)"one", (const uint8_t *)"two"};
	size_t lengths[2] = {3, 3};
	const uint8_t *got[BATCH_MOST];
	size_t got_lengths[BATCH_MOST];
	uint8_t bytes[1 + (BATCH_MOST + 1) * BATCH_PART_BYTES] = {0};
	size_t length = batch_length(lengths, 2), first = batch_length(lengths, 1);

	batch_write(bytes, parts, lengths, 2);
	for (size_t cut = 0; cut < length; cut++)
		ck_assert_uint_eq(batch_split(bytes, cut, got, got_lengths), cut == first);
	bytes[0] = 0x0a;
	ck_assert_uint_eq(batch_split(bytes, length, got, got_lengths), 0);
	memset(bytes, 0, sizeof bytes);
	ck_assert_uint_eq(batch_split(bytes, sizeof bytes - BATCH_PART_BYTES, got, got_lengths), BATCH_MOST);
	ck_assert_uint_eq(batch_split(bytes, sizeof bytes, got, got_lengths), 0);
	memset(bytes + 1, 0xff, BATCH_PART_BYTES);
	ck_assert_uint_eq(batch_split(bytes, sizeof bytes, got, got_lengths), 0);
}
END_TEST

/* ---- calls */

/* One thread that asks for the head of a stream of its own, again and again. */
struct caller {
	pthread_t thread;
	struct rpc_client *client;
	uint64_t id;
	int calls, timeout_ms;
	bool retry, fetches;
	int ok, refused, late, busy, wrong;
};

static void *caller_main(void *arg)
{
	struct caller *caller = arg;
	struct arena *mem = arena_create();

	for (int i = 0; i < caller->calls; i++) {
		struct rpc_context ctx = batched(caller->timeout_ms);
		struct rpc_outcome outcome;
		pb_StreamHead head = {.rank = 1, .stream_id = caller->id, .seq = (uint64_t)i};
		pb_StreamHeadsRequest rq = {.streams_count = i % 5 != 4, .streams = &head}; /* the fifth is refused */
		pb_StreamHeadsReply reply;
		pb_FetchEventsReply fetched;
		ctx.retry = caller->retry;
		enum status st = caller->fetches
					 ? messaging_fetch_events(caller->client, mem, &ctx, &(pb_FetchEventsRequest){.rank = 1}, &fetched, &outcome)
					 : messaging_stream_heads(caller->client, mem, &ctx, &rq, &reply, &outcome);
		if (st == STATUS_OK && !caller->fetches &&
			(reply.heads_count != 1 || reply.heads[0].stream_id != caller->id || reply.heads[0].seq != (uint64_t)i))
			caller->wrong++;
		caller->ok += st == STATUS_OK;
		caller->refused += st == STATUS_FIELD_INVALID && strcmp(outcome.why, "none given") == 0;
		caller->late += st == STATUS_LATE;
		caller->busy += st == STATUS_BUSY;
		arena_reset(mem);
	}
	arena_destroy(mem);
	return NULL;
}

static void callers_start(struct caller *callers, size_t count, struct caller as)
{
	for (size_t i = 0; i < count; i++) {
		callers[i] = as;
		callers[i].id = i + 1;
		ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]), 0);
	}
}

static struct caller callers_join(struct caller *callers, size_t count)
{
	struct caller sum = {0};

	for (size_t i = 0; i < count; i++) {
		pthread_join(callers[i].thread, NULL);
		sum.ok += callers[i].ok;
		sum.refused += callers[i].refused;
		sum.late += callers[i].late;
		sum.busy += callers[i].busy;
		sum.wrong += callers[i].wrong;
	}
	return sum;
}

START_TEST(each_caller_of_a_batch_gets_his_own_answer)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 4, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct caller callers[CALLERS];

	callers_start(callers, CALLERS, (struct caller){.client = client, .calls = 200, .timeout_ms = PATIENCE_MS});
	struct caller sum = callers_join(callers, CALLERS);

	ck_assert_int_eq(sum.wrong, 0);
	ck_assert_int_eq(sum.ok, CALLERS * 160);
	ck_assert_int_eq(sum.refused, CALLERS * 40);
	ck_assert_int_eq(s.handled, CALLERS * 200);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

START_TEST(calls_gather_while_two_messages_are_in_flight)
{
	struct place at = place_create();
	nng_socket rep;
	nng_msg *msg = NULL;
	const uint8_t *parts[BATCH_MOST];
	size_t lengths[BATCH_MOST], sizes[BATCH_MOST + 1] = {0};
	static const uint8_t busy[] = {0x0a, 2, 0x08, STATUS_NOT_IMPLEMENTED};
	struct caller callers[CALLERS];
	nng_ctx held[2], ctx;
	nng_aio *aio = NULL;

	ck_assert_int_eq(nng_rep0_open(&rep), 0);
	ck_assert_int_eq(nng_listen(rep, at.address[0], NULL, 0), 0);
	ck_assert_int_eq(nng_aio_alloc(&aio, NULL, NULL), 0);
	nng_aio_set_timeout(aio, PATIENCE_MS);
	struct rpc_client *client = connect_to(at.address[0]);
	callers_start(callers, CALLERS, (struct caller){.client = client, .calls = 1, .timeout_ms = PATIENCE_MS});

	/* The first two go at once and alone, more or less; they are kept until all the others must have come. */
	size_t seen = 0, messages = 0;
	for (size_t i = 0; seen < CALLERS; i++) {
		ck_assert_int_eq(nng_ctx_open(&ctx, rep), 0);
		nng_ctx_recv(ctx, aio);
		nng_aio_wait(aio);
		ck_assert_int_eq(nng_aio_result(aio), 0);
		msg = nng_aio_get_msg(aio);
		size_t count = batch_split(nng_msg_body(msg), nng_msg_len(msg), parts, lengths);
		if (count == 0) { /* the keeper asks whether we live */
			nng_msg_clear(msg);
			nng_msg_append(msg, "\x0a\0", 2);
			nng_aio_set_msg(aio, msg);
			nng_ctx_send(ctx, aio);
			nng_aio_wait(aio);
			nng_ctx_close(ctx);
			continue;
		}
		nng_msg_free(msg);
		sizes[messages++] = count;
		seen += count;
		if (messages <= 2)
			held[messages - 1] = ctx;
		if (messages < 2)
			continue;
		for (size_t h = messages == 2 ? 0 : 2; h < (messages == 2 ? 2 : 3); h++) {
			const uint8_t *answers[BATCH_MOST];
			size_t answer_lengths[BATCH_MOST], n = sizes[h < 2 ? h : messages - 1];
			for (size_t k = 0; k < n; k++) {
				answers[k] = busy;
				answer_lengths[k] = sizeof busy;
			}
			ck_assert_int_eq(nng_msg_alloc(&msg, batch_length(answer_lengths, n)), 0);
			batch_write(nng_msg_body(msg), answers, answer_lengths, n);
			nng_aio_set_msg(aio, msg);
			nng_ctx_send(h < 2 ? held[h] : ctx, aio);
			nng_aio_wait(aio);
		}
	}
	struct caller sum = callers_join(callers, CALLERS);

	ck_assert_int_eq(sum.ok + sum.refused + sum.late + sum.busy, 0); /* all were told what the server said */
	ck_assert_uint_lt(messages, CALLERS);
	rpc_client_destroy(client);
	nng_close(rep);
	nng_aio_free(aio);
	place_destroy(&at);
}
END_TEST

START_TEST(who_waits_no_longer_takes_nothing_from_the_others)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 4, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct caller slow[3], impatient[CALLERS / 2], patient[CALLERS / 2];

	/* Two batches are held by the handler; behind them the others gather, and half of them leave. */
	callers_start(slow, 2, (struct caller){.client = client, .calls = 1, .timeout_ms = PATIENCE_MS, .fetches = true});
	sem_wait(&s.entered);
	sem_wait(&s.entered);
	callers_start(impatient, CALLERS / 2, (struct caller){.client = client, .calls = 1, .timeout_ms = 30});
	callers_start(patient, CALLERS / 2, (struct caller){.client = client, .calls = 1, .timeout_ms = PATIENCE_MS});
	struct caller left = callers_join(impatient, CALLERS / 2);
	sem_post(&s.go);
	sem_post(&s.go);
	struct caller stayed = callers_join(patient, CALLERS / 2);
	struct caller held = callers_join(slow, 2);

	ck_assert_int_eq(left.late, CALLERS / 2);
	ck_assert_int_eq(stayed.ok, CALLERS / 2);
	ck_assert_int_eq(stayed.wrong, 0);
	ck_assert_int_eq(held.ok, 2);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

static void *drain(void *server)
{
	rpc_server_drain(server, PATIENCE_MS);
	return NULL;
}

START_TEST(a_batch_that_a_draining_peer_refuses_goes_to_the_other)
{
	struct place at = place_create();
	struct service s[2];
	struct rpc_server *servers[2];
	struct caller callers[CALLERS];
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	char both[256];
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		service_init(&s[i]);
		servers[i] = serve(&s[i], at.address[i], 2, 0);
	}
	snprintf(both, sizeof both, "%s,%s", at.address[0], at.address[1]);
	struct rpc_client *client = connect_to(both);
	while (s[0].handled == 0 || s[1].handled == 0) { /* both are connected */
		struct rpc_context ctx = within(PATIENCE_MS);
		ask_heads(client, mem, &ctx, &outcome);
	}
	callers_start(callers, CALLERS, (struct caller){.client = client, .calls = 100, .timeout_ms = PATIENCE_MS, .retry = true});
	pthread_create(&thread, NULL, drain, servers[0]);
	struct caller sum = callers_join(callers, CALLERS);
	pthread_join(thread, NULL);

	ck_assert_int_eq(sum.wrong, 0);
	ck_assert_int_eq(sum.ok, CALLERS * 80);
	ck_assert_int_eq(sum.refused, CALLERS * 20);
	rpc_client_destroy(client);
	rpc_server_stop(servers[0]);
	rpc_server_stop(servers[1]);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

START_TEST(a_client_that_goes_cuts_the_batches_in_flight)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct caller callers[3];

	callers_start(callers, 3, (struct caller){.client = client, .calls = 1, .timeout_ms = PATIENCE_MS, .fetches = true});
	sem_wait(&s.entered);
	sem_wait(&s.entered);
	rpc_client_destroy(client);
	struct caller sum = callers_join(callers, 3);

	ck_assert_int_eq(sum.busy, 3);
	for (int i = 0; i < 3; i++)
		sem_post(&s.go);
	rpc_server_stop(server);
	place_destroy(&at);
}
END_TEST

/* A connection to an nng rep socket, made by hand (SP over IPC): nng's own sockets leak when the other end closes as they do. */
static int stranger(const char *address)
{
	static const char hello[8] = {0, 'S', 'P', 0, 0, 0x30 /* req0 */, 0, 0};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char theirs[sizeof hello];

	const char *path = address + strlen("ipc://");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_uint_lt(strlen(path), sizeof to.sun_path);
	memcpy(to.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(write(fd, hello, sizeof hello), sizeof hello);
	ck_assert_int_eq(recv(fd, theirs, sizeof theirs, MSG_WAITALL), sizeof theirs);
	return fd;
}

/* One message: its kind, the length in eight bytes, the number of the request, the body. */
static void stranger_asks(int fd, const char *body, size_t length)
{
	uint8_t message[64] = {1, [8] = (uint8_t)(4 + length), [9] = 0x80, [12] = 1};

	ck_assert_uint_le(13 + length, sizeof message);
	memcpy(message + 13, body, length);
	ck_assert_int_eq(write(fd, message, 13 + length), (ssize_t)(13 + length));
}

START_TEST(a_malformed_batch_closes_the_connection_and_harms_nobody_else)
{
	struct place at = place_create();
	struct service s;
	service_init(&s);
	struct rpc_server *server = serve(&s, at.address[0], 2, 0);
	struct rpc_client *client = connect_to(at.address[0]);
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	struct rpc_context ctx = batched(PATIENCE_MS);
	static const char *const bad[] = {"\0\x09\0\0\0x", "\0\x01\0\0\0\xff\x01\0\0\0\xff", "\0\xff\xff\xff\xff", "\0\0\0"};
	static const size_t lengths[] = {6, 11, 5, 3};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char answer;
		int fd = stranger(at.address[0]);
		stranger_asks(fd, bad[i], lengths[i]);
		ck_assert_int_eq(recv(fd, &answer, 1, 0), 0); /* closed, without a word */
		close(fd);
	}
	ck_assert_int_eq(ask_heads(client, mem, &ctx, &outcome), STATUS_OK);
	rpc_client_destroy(client);
	rpc_server_stop(server);
	arena_destroy(mem);
	place_destroy(&at);
}
END_TEST

TESTS("rpc batch", a_batch_is_split_into_the_parts_it_was_written_with, a_batch_that_is_cut_anywhere_or_goes_on_too_long_is_malformed,
	each_caller_of_a_batch_gets_his_own_answer, calls_gather_while_two_messages_are_in_flight,
	who_waits_no_longer_takes_nothing_from_the_others, a_batch_that_a_draining_peer_refuses_goes_to_the_other,
	a_client_that_goes_cuts_the_batches_in_flight, a_malformed_batch_closes_the_connection_and_harms_nobody_else)
