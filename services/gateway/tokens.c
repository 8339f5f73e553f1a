/*
 * tokens - see tokens.h.
 */
#include "services/gateway/tokens.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/rpc/stubs.h"
#include "services/gateway/memory.h"

#define AT_ONCE   64 /* of one call: api takes no more */
#define IN_FLIGHT 4  /* calls */
#define CALL_MS   2000

struct token_wait {
	struct token_wait *next;
	struct loop *loop;
	uint64_t question;
	uint32_t dialect;
	char token[];
};

struct token_lane {
	struct rpc_client *api;
	pthread_mutex_t lock; /* of the rest */
	struct token_wait *first, **last;
	unsigned in_flight;
	bool stopped;
};

/* What went in one call, in its order. */
struct token_call {
	struct token_lane *lane;
	struct token_wait *waits;
};

struct token_lane *token_lane_create(struct rpc_client *api)
{
	struct token_lane *lane = memory_new(sizeof *lane);

	lane->api = api;
	lane->last = &lane->first;
	pthread_mutex_init(&lane->lock, NULL);
	return lane;
}

static void waits_free(struct token_wait *waits)
{
	struct token_wait *next = NULL;

	for (struct token_wait *wait = waits; wait != NULL; wait = next) {
		next = wait->next;
		sodium_memzero(wait->token, strlen(wait->token));
		free(wait);
	}
}

/* One of the answers, in an arena of its own. A call that failed as a whole says nothing about any token: it is asked again. */
static void answer_one(const struct token_wait *wait, enum status st, const pb_TokenResolved *answer)
{
	struct arena *mem = arena_create();
	pb_ResolveTokenReply *reply = NULL;
	const uint8_t *bytes = NULL;
	size_t length = 0;

	if (st == STATUS_OK)
		st = status_from_number(answer->status);
	else if (st != STATUS_LATE)
		st = STATUS_BUSY;
	if (st == STATUS_OK) {
		reply = ARENA_NEW(mem, pb_ResolveTokenReply);
		if (!answer->has_reply ||
			pb_encode_arena(mem, pb_ResolveTokenReply_fields, &answer->reply, &bytes, &length) != STATUS_OK ||
			pb_decode_arena(mem, pb_ResolveTokenReply_fields, reply, bytes, length) != STATUS_OK)
			st = STATUS_BUSY;
	}
	const char *why = answer != NULL && answer->why != NULL ? arena_strdup(mem, answer->why) : NULL;
	loop_answer(wait->loop, wait->question, st, mem, reply, why, NULL);
}

static void send_more(struct token_lane *lane);

/* Runs on a messaging-library thread. Only puts mail, and asks for what gathered. */
static void answered(void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome)
{
	struct token_call *call = arg;
	struct token_lane *lane = call->lane;
	const pb_ResolveTokensReply *got = reply;
	size_t i = 0;

	for (struct token_wait *wait = call->waits; wait != NULL; wait = wait->next, i++) {
		bool there = st == STATUS_OK && i < got->answers_count;
		answer_one(wait, there || st != STATUS_OK ? st : STATUS_BUSY, there ? &got->answers[i] : NULL);
	}
	waits_free(call->waits);
	free(call);
	arena_destroy(mem);
	pthread_mutex_lock(&lane->lock);
	lane->in_flight--;
	pthread_mutex_unlock(&lane->lock);
	send_more(lane);
}

/* The next ones that may go, NULL: none, or there are enough under way. */
static struct token_wait *take(struct token_lane *lane, size_t *out_count)
{
	struct token_wait *taken = NULL, **end = &taken;
	size_t count = 0;

	pthread_mutex_lock(&lane->lock);
	while (!lane->stopped && lane->in_flight < IN_FLIGHT && lane->first != NULL && count < AT_ONCE) {
		*end = lane->first;
		end = &lane->first->next;
		lane->first = lane->first->next;
		count++;
	}
	*end = NULL;
	if (lane->first == NULL)
		lane->last = &lane->first;
	lane->in_flight += count > 0;
	pthread_mutex_unlock(&lane->lock);
	*out_count = count;
	return taken;
}

static void send_more(struct token_lane *lane)
{
	size_t count = 0;
	struct token_wait *waits = take(lane, &count);

	if (waits == NULL)
		return;
	struct token_call *call = memory_new(sizeof *call);
	struct rpc_context ctx = {.deadline_mono_ms = clock_mono_ms() + CALL_MS, .retry = true};
	pb_ResolveTokenRequest tokens[AT_ONCE];
	pb_ResolveTokensRequest request = {.tokens_count = (pb_size_t)count, .tokens = tokens};

	*call = (struct token_call){.lane = lane, .waits = waits};
	size_t i = 0;
	for (struct token_wait *wait = waits; wait != NULL; wait = wait->next)
		tokens[i++] = (pb_ResolveTokenRequest){.token = wait->token, .dialect = wait->dialect};
	api_resolve_tokens_async(lane->api, &ctx, &request, answered, call);
	sodium_memzero(tokens, sizeof tokens);
}

void token_lane_ask(struct token_lane *lane, struct loop *loop, uint64_t question, const char *token, enum dialect dialect)
{
	size_t size = strlen(token) + 1;
	struct token_wait *wait = memory_new(sizeof *wait + size);

	wait->loop = loop;
	wait->question = question;
	wait->dialect = dialect;
	memcpy(wait->token, token, size);
	pthread_mutex_lock(&lane->lock);
	*lane->last = wait;
	lane->last = &wait->next;
	pthread_mutex_unlock(&lane->lock);
	send_more(lane);
}

void token_lane_stop(struct token_lane *lane)
{
	pthread_mutex_lock(&lane->lock);
	lane->stopped = true;
	pthread_mutex_unlock(&lane->lock);
}

void token_lane_destroy(struct token_lane *lane)
{
	if (lane == NULL)
		return;
	waits_free(lane->first);
	pthread_mutex_destroy(&lane->lock);
	free(lane);
}
