/*
 * Tokens on their way to api and back: a few calls at a time whatever comes, every question with its own answer.
 */
#include "services/gateway/tokens.h"

#include "tests/unit/rpc/fixture.h"

#define MANY      500
#define IN_FLIGHT 4

/* ---- in place of the loop: what it was told */

static struct told {
	pthread_mutex_t lock;
	sem_t one;
	unsigned times[MANY + 1]; /* by question */
	enum status status[MANY + 1];
	uint64_t account[MANY + 1];
	char why[MANY + 1][32];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

void loop_answer(struct loop *loop, uint64_t question, enum status st, struct arena *mem, const void *reply, const char *why, const char *detail)
{
	const pb_ResolveTokenReply *got = reply;

	pthread_mutex_lock(&told.lock);
	told.times[question]++;
	told.status[question] = st;
	told.account[question] = got != NULL ? got->account.id : 0;
	snprintf(told.why[question], sizeof told.why[question], "%s", why != NULL ? why : "");
	pthread_mutex_unlock(&told.lock);
	arena_destroy(mem);
	sem_post(&told.one);
}

/* ---- in place of api: "good-N" is of account N, "bad-N" is disabled; it answers when it may */

static struct owner {
	sem_t entered, go;
	_Atomic unsigned calls, now, most_now, most_tokens;
	_Atomic enum status fails_with;
} owner;

static void raise_to(_Atomic unsigned *most, unsigned value)
{
	unsigned before = atomic_load(most);

	while (value > before && !atomic_compare_exchange_weak(most, &before, value)) {
	}
}

static void resolve(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ResolveTokensRequest *rq = request;
	pb_ResolveTokensReply *out = reply;

	owner.calls++;
	raise_to(&owner.most_now, ++owner.now);
	raise_to(&owner.most_tokens, rq->tokens_count);
	sem_post(&owner.entered);
	sem_wait(&owner.go);
	out->answers = ARENA_ARRAY(call->mem, rq->tokens_count + 1u, pb_TokenResolved);
	for (pb_size_t i = 0; i < rq->tokens_count; i++) {
		pb_TokenResolved *answer = &out->answers[out->answers_count++];
		unsigned number = 0;
		if (sscanf(rq->tokens[i].token, "good-%u", &number) == 1)
			*answer = (pb_TokenResolved){
				.status = STATUS_OK, .has_reply = true, .reply = {.has_account = true, .account = {.id = number}}};
		else
			*answer = (pb_TokenResolved){.status = STATUS_UNAUTHENTICATED, .why = (char *)"disabled"};
	}
	owner.now--;
	if (owner.fails_with != STATUS_OK)
		rpc_fail(call, owner.fails_with, NULL, NULL, NULL);
	else
		rpc_finish(call);
}

struct wire {
	struct place at;
	struct rpc_server *server;
	struct rpc_client *client;
	struct token_lane *lane;
};

static struct wire wire_create(void)
{
	static const struct rpc_binding binding = {&rpc_api_resolve_tokens, resolve};
	struct wire wire = {.at = place_create()};
	struct rpc_server_options options = {
		.listen = wire.at.address[0], .bindings = &binding, .binding_count = 1, .workers = 16, .contexts = 32};

	sem_init(&told.one, 0, 0);
	sem_init(&owner.entered, 0, 0);
	sem_init(&owner.go, 0, 0);
	ck_assert_int_eq(rpc_server_start(&options, &wire.server), STATUS_OK);
	ck_assert_int_eq(rpc_client_create("api", wire.at.address[0], false, &wire.client), STATUS_OK);
	while (!rpc_client_up(wire.client))
		sched_yield();
	wire.lane = token_lane_create(wire.client);
	return wire;
}

static void wire_destroy(struct wire *wire)
{
	token_lane_stop(wire->lane);
	rpc_client_destroy(wire->client);
	token_lane_destroy(wire->lane);
	rpc_server_stop(wire->server);
	place_destroy(&wire->at);
}

static void ask(struct wire *wire, uint64_t question)
{
	char token[32];

	snprintf(token, sizeof token, "%s-%u", question % 10 == 0 ? "bad" : "good", (unsigned)question);
	token_lane_ask(wire->lane, NULL, question, token, DIALECT_HOUSE);
}

START_TEST(what_comes_together_goes_in_few_calls_and_each_gets_its_own_answer)
{
	struct wire wire = wire_create();

	for (uint64_t question = 1; question <= MANY; question++)
		ask(&wire, question);
	for (int i = 0; i < IN_FLIGHT; i++)
		sem_wait(&owner.entered); /* the first go alone: nobody waits while the lane is free */
	for (int i = 0; i < MANY; i++)
		sem_post(&owner.go);
	for (int i = 0; i < MANY; i++)
		sem_wait(&told.one);

	for (uint64_t question = 1; question <= MANY; question++) {
		bool bad = question % 10 == 0;
		ck_assert_uint_eq(told.times[question], 1);
		ck_assert_int_eq(told.status[question], bad ? STATUS_UNAUTHENTICATED : STATUS_OK);
		ck_assert_uint_eq(told.account[question], bad ? 0 : question);
		ck_assert_str_eq(told.why[question], bad ? "disabled" : "");
	}
	ck_assert_uint_le(owner.calls, 20);
	ck_assert_uint_le(owner.most_now, IN_FLIGHT);
	ck_assert_uint_eq(owner.most_tokens, 64);
	wire_destroy(&wire);
}
END_TEST

START_TEST(a_call_that_fails_says_nothing_about_a_token)
{
	struct wire wire = wire_create();
	owner.fails_with = STATUS_NOT_FOUND; /* an api that does not know the call, say */
	sem_post(&owner.go);

	ask(&wire, 1);

	sem_wait(&told.one);
	ck_assert_int_eq(told.status[1], STATUS_BUSY);
	wire_destroy(&wire);
}
END_TEST

START_TEST(what_waits_when_the_gateway_ends_is_let_go)
{
	struct wire wire = wire_create();

	for (uint64_t question = 1; question <= MANY; question++)
		ask(&wire, question);
	sem_wait(&owner.entered);
	token_lane_stop(wire.lane);
	for (int i = 0; i < IN_FLIGHT; i++)
		sem_post(&owner.go);

	wire_destroy(&wire);

	ck_assert_uint_le(owner.calls, IN_FLIGHT);
}
END_TEST

TESTS("gateway tokens", what_comes_together_goes_in_few_calls_and_each_gets_its_own_answer, a_call_that_fails_says_nothing_about_a_token,
	what_waits_when_the_gateway_ends_is_let_go)
