/*
 * calls - see calls.h.
 */
#include "services/gateway/calls.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "services/gateway/client.h"
#include "services/gateway/memory.h"
#include "services/gateway/tokens.h"

#define CALL_MS  2000
#define FETCH_MS 3000

/* One question in flight. */
struct call {
	struct loop *loop;
	uint64_t question;
};

/* Runs on a messaging-library thread. Only puts mail. */
static void answered(
	void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome)
{
	struct call *call = arg;

	loop_answer(call->loop, call->question, st, mem, reply, outcome != NULL ? outcome->why : NULL,
		outcome != NULL ? outcome->detail : NULL);
	free(call);
}

static struct call *call_of(struct calls *calls, uint64_t question)
{
	struct call *call = memory_new(sizeof *call);

	*call = (struct call){.loop = calls->loop, .question = question};
	return call;
}

static struct rpc_context reading(void)
{
	return (struct rpc_context){.deadline_mono_ms = clock_mono_ms() + CALL_MS, .retry = true};
}

/* On behalf of a client. request_id: 16 bytes of room. */
static struct rpc_context acting(const struct client *client, struct arena *mem, uint8_t request_id[16])
{
	ids_random_bytes(request_id, 16);
	return (struct rpc_context){.request_id = request_id,
		.request_id_length = 16,
		.actor_id = client->user->id,
		.actor_epoch = client->epoch,
		.actor_generation = client->generation,
		.session_id = client->session_id,
		.served_team = client->served_team,
		.served_kinds = client->served_kinds,
		.actor = client_view(client, mem),
		.deadline_mono_ms = clock_mono_ms() + CALL_MS,
		.pick = client->user->id};
}

static void port_follow(void *arg, struct stream s, uint64_t at, uint64_t follow)
{
	struct calls *calls = arg;

	route_follow(calls->shared->route, calls->number, s, at, follow);
}

static void port_unfollow(void *arg, struct stream s, uint64_t follow)
{
	struct calls *calls = arg;

	if (calls->shared->order != NULL)
		route_unfollow(calls->shared->route, calls->number, s, follow);
}

static void port_hint(void *arg, struct stream s, uint64_t seq)
{
	struct calls *calls = arg;

	bus_order_hint(calls->shared->order, s, seq);
}

static void port_generation(void *arg, char out[HUB_GENERATION_SIZE])
{
	struct calls *calls = arg;

	out[0] = '\0';
	if (calls->shared->order != NULL)
		bus_order_generation(calls->shared->order, out);
}

static void port_ask_token(void *arg, uint64_t question, const char *token, enum dialect dialect)
{
	struct calls *calls = arg;

	token_lane_ask(calls->shared->tokens, calls->loop, question, token, dialect);
}

static void port_ask_keys(void *arg, uint64_t question, struct stream s, const uint64_t *users, size_t count)
{
	struct calls *calls = arg;
	struct rpc_context ctx = reading();
	pb_StreamHead stream = {.rank = s.rank, .stream_id = s.id};
	pb_ListAudiencesRequest request = {.user_ids_count = (pb_size_t)count,
		.user_ids = (uint64_t *)users,
		.streams_count = s.rank != 0,
		.streams = s.rank != 0 ? &stream : NULL,
		.only_teams = s.rank == 0 && s.id == ALL_TEAMS,
		.only_conversations = s.rank == 0 && s.id == ALL_CONVERSATIONS};

	moderation_list_audiences_async(
		calls->shared->moderation, &ctx, &request, answered, call_of(calls, question));
}

static void port_ask_rights(
	void *arg, uint64_t question, uint64_t user, const uint64_t *channels, size_t count)
{
	struct calls *calls = arg;
	struct rpc_context ctx = reading();
	pb_JudgeManyRequest request = {
		.user_id = user, .channel_ids_count = (pb_size_t)count, .channel_ids = (uint64_t *)channels};

	moderation_judge_many_async(
		calls->shared->moderation, &ctx, &request, answered, call_of(calls, question));
}

static void port_ask_teams(void *arg, uint64_t question, const uint64_t *users, size_t count)
{
	struct calls *calls = arg;
	struct rpc_context ctx = reading();
	pb_TeamIdsRequest request = {.user_ids_count = (pb_size_t)count, .user_ids = (uint64_t *)users};

	moderation_list_team_ids_async(
		calls->shared->moderation, &ctx, &request, answered, call_of(calls, question));
}

/* ---- reading the log: every owner can; messaging has most of it at hand, moderation helps while it is away
 */

struct log_call {
	struct calls *calls;
	uint64_t question;
	bool events; /* not: heads */
	bool again;  /* moderation is being asked */
	struct stream stream;
	pb_FetchEventsRequest fetch;
	char generation[HUB_GENERATION_SIZE];
};

static void log_ask(struct log_call *call);

/* Runs on a messaging-library thread. */
static void log_answered(
	void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome)
{
	struct log_call *call = arg;

	if (st != STATUS_OK && !call->again) {
		arena_destroy(mem);
		call->again = true;
		log_ask(call);
		return;
	}
	loop_answer(call->calls->loop, call->question, st, mem, reply, NULL, NULL);
	free(call);
}

static void log_ask(struct log_call *call)
{
	struct calls_shared *shared = call->calls->shared;
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + CALL_MS};
	pb_StreamHead stream = {.rank = call->stream.rank, .stream_id = call->stream.id};
	pb_StreamHeadsRequest heads = {.streams_count = 1, .streams = &stream};

	if (call->events && !call->again)
		messaging_fetch_events_async(shared->messaging, &ctx, &call->fetch, log_answered, call);
	else if (call->events)
		moderation_fetch_events_async(shared->moderation, &ctx, &call->fetch, log_answered, call);
	else if (!call->again)
		messaging_stream_heads_async(shared->messaging, &ctx, &heads, log_answered, call);
	else
		moderation_stream_heads_async(shared->moderation, &ctx, &heads, log_answered, call);
}

static void port_ask_head(void *arg, uint64_t question, struct stream s)
{
	struct log_call *call = memory_new(sizeof *call);

	*call = (struct log_call){.calls = arg, .question = question, .stream = s};
	log_ask(call);
}

static void port_ask_events(void *arg, uint64_t question, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, const char *generation)
{
	struct log_call *call = memory_new(sizeof *call);

	*call = (struct log_call){.calls = arg, .question = question, .events = true, .stream = s};
	strncpy(call->generation, generation, sizeof call->generation - 1);
	call->fetch = (pb_FetchEventsRequest){.rank = s.rank,
		.stream_id = s.id,
		.after = after,
		.limit = limit,
		.generation = call->generation,
		.expect_head = expect_head};
	log_ask(call);
}

enum status calls_fetch(void *arg, struct arena *mem, struct stream s, uint64_t after, uint32_t limit,
	uint64_t expect_head, pb_FetchEventsReply *out)
{
	struct calls_shared *shared = arg;
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + FETCH_MS};
	struct rpc_outcome outcome = {0};
	pb_FetchEventsRequest request = {.rank = s.rank,
		.stream_id = s.id,
		.after = after,
		.limit = limit,
		.expect_head = expect_head,
		.beside = true};

	enum status st = messaging_fetch_events(shared->messaging, mem, &ctx, &request, out, &outcome);
	if (st == STATUS_OK)
		return st;
	ctx.deadline_mono_ms = clock_mono_ms() + FETCH_MS;
	return moderation_fetch_events(shared->moderation, mem, &ctx, &request, out, &outcome);
}

enum status calls_heads(
	void *arg, struct arena *mem, const struct stream *streams, size_t count, pb_StreamHeadsReply *out)
{
	struct calls_shared *shared = arg;
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + FETCH_MS};
	struct rpc_outcome outcome = {0};
	pb_StreamHeadsRequest request = {
		.streams_count = (pb_size_t)count, .streams = ARENA_ARRAY(mem, count, pb_StreamHead)};

	for (size_t i = 0; i < count; i++)
		request.streams[i] = (pb_StreamHead){.rank = streams[i].rank, .stream_id = streams[i].id};
	enum status st = messaging_stream_heads(shared->messaging, mem, &ctx, &request, out, &outcome);
	if (st == STATUS_OK)
		return st;
	ctx.deadline_mono_ms = clock_mono_ms() + FETCH_MS;
	return moderation_stream_heads(shared->moderation, mem, &ctx, &request, out, &outcome);
}

/* ---- what frames of clients ask of the owners */

static void port_ask_act(void *arg, uint64_t question, const struct client *by, enum act act, const void *request)
{
	struct calls *calls = arg;
	struct arena *mem = arena_create();
	uint8_t request_id[16];
	struct rpc_context ctx = acting(by, mem, request_id);

	switch (act) {
#define ACT(owner, call, request_type)                                                                       \
	case ACT_##call:                                                                                     \
		owner##_##call##_async(calls->shared->owner, &ctx, request, answered, call_of(calls, question));     \
		break;
#include "services/gateway/acts.tbl.h"
#undef ACT
	}
	arena_destroy(mem);
}

static void port_ask_unread(void *arg, uint64_t question, const struct client *by)
{
	struct calls *calls = arg;
	struct arena *mem = arena_create();
	uint8_t request_id[16];
	struct rpc_context ctx = acting(by, mem, request_id);
	pb_ListUnreadRequest request = {.threads = true};

	ctx.retry = true;
	messaging_list_unread_async(calls->shared->messaging, &ctx, &request, answered, call_of(calls, question));
	arena_destroy(mem);
}

static void port_ask_slots(void *arg, uint64_t question, const uint64_t *channels, size_t channel_count,
	const uint64_t *users, size_t count)
{
	struct calls *calls = arg;
	struct rpc_context ctx = reading();
	pb_ListAudiencesRequest request = {.user_ids_count = (pb_size_t)count,
		.user_ids = (uint64_t *)users,
		.slots_of_count = (pb_size_t)channel_count,
		.slots_of = (uint64_t *)channels};

	moderation_list_audiences_async(
		calls->shared->moderation, &ctx, &request, answered, call_of(calls, question));
}

/* ---- presence */

static void port_ask_typing(
	void *arg, uint64_t question, const struct client *by, const pb_SetTypingRequest *request)
{
	struct calls *calls = arg;
	struct arena *mem = arena_create();
	uint8_t request_id[16];
	struct rpc_context ctx = acting(by, mem, request_id);

	presence_set_typing_async(
		calls->shared->presence_client, &ctx, request, answered, call_of(calls, question));
	arena_destroy(mem);
}

static void port_ask_presence(void *arg, uint64_t question, const struct client *by, uint32_t chosen)
{
	struct calls *calls = arg;
	struct arena *mem = arena_create();
	uint8_t request_id[16];
	struct rpc_context ctx = acting(by, mem, request_id);
	pb_SetPresenceRequest request = {.chosen = chosen};

	presence_set_presence_async(
		calls->shared->presence_client, &ctx, &request, answered, call_of(calls, question));
	arena_destroy(mem);
}

static void port_ask_online(void *arg, uint64_t question, uint64_t team, uint32_t most)
{
	struct calls *calls = arg;
	struct rpc_context ctx = reading();
	pb_ListOnlineRequest request = {.team_id = team, .limit = most, .ids_only = true};

	presence_list_online_async(
		calls->shared->presence_client, &ctx, &request, answered, call_of(calls, question));
}

static void port_presence_opened(void *arg, const struct client *client, const pb_TeamIdsOf *places)
{
	struct calls *calls = arg;

	if (calls->shared->presence != NULL)
		presence_opened(calls->shared->presence, client->socket_id, client->dialect->id,
			client->user->view, client->user->view_length, places);
}

static void port_presence_closed(void *arg, const struct client *client)
{
	struct calls *calls = arg;

	if (calls->shared->presence != NULL)
		presence_closed(calls->shared->presence, client->socket_id);
}

static uint32_t port_random(void *arg, uint32_t below)
{
	return below > 1 ? randombytes_uniform(below) : 0;
}

const struct hub_ports calls_ports = {
	.follow = port_follow,
	.unfollow = port_unfollow,
	.hint = port_hint,
	.generation = port_generation,
	.ask_token = port_ask_token,
	.ask_keys = port_ask_keys,
	.ask_rights = port_ask_rights,
	.ask_teams = port_ask_teams,
	.ask_head = port_ask_head,
	.ask_events = port_ask_events,
	.ask_slots = port_ask_slots,
	.ask_online = port_ask_online,
	.ask_unread = port_ask_unread,
	.ask_act = port_ask_act,
	.ask_typing = port_ask_typing,
	.ask_presence = port_ask_presence,
	.presence_opened = port_presence_opened,
	.presence_changed = port_presence_opened,
	.presence_closed = port_presence_closed,
	.random = port_random,
};
