#include "services/api/exchange.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/ops/ops.h"

enum status exchange_fail(
	struct exchange *x, enum status st, const char *why, const char *field, const char *detail)
{
	x->outcome = (struct rpc_outcome){.status = st, .why = why, .field = field, .detail = detail};
	return st;
}

static void count_refusal(enum limit_class class_)
{
	switch (class_) {
	case LIMIT_REQUESTS:
		metric_add(limited_requests, 1);
		return;
	case LIMIT_POSTS:
		metric_add(limited_posts, 1);
		return;
	case LIMIT_LOGINS:
		metric_add(limited_logins, 1);
		return;
	case LIMIT_GUESSES:
		metric_add(limited_guesses, 1);
		return;
	case LIMIT_REGISTRATIONS:
		metric_add(limited_registrations, 1);
		return;
	case LIMIT_STRANGERS:
		metric_add(limited_strangers, 1);
		return;
	case LIMIT_WEBHOOKS:
		metric_add(limited_webhooks, 1);
		return;
	}
}

enum status exchange_limited(struct exchange *x, enum limit_class class_, const struct limit_state *state)
{
	count_refusal(class_);
	x->limit = *state;
	exchange_fail(x, STATUS_RATE_LIMITED, NULL, NULL, NULL);
	x->outcome.retry_after_ms = (uint32_t)state->retry_ms;
	return STATUS_RATE_LIMITED;
}

enum status exchange_limit(struct exchange *x, enum limit_class class_, uint64_t key_a, uint64_t key_b,
	int64_t burst, int64_t period_ms)
{
	struct limit_rate rate = {api_share(x->api, burst), period_ms};
	struct limit_state state;

	if (!limits_take(x->api->limits, class_, key_a, key_b, rate, clock_mono_ms(), &state))
		return exchange_limited(x, class_, &state);
	if (state.limited && (!x->limit.limited || state.remaining <= x->limit.remaining))
		x->limit = state;
	return STATUS_OK;
}

enum status exchange_limit_posts(struct exchange *x, uint64_t channel_id)
{
	return exchange_limit(
		x, LIMIT_POSTS, x->actor.session_id, channel_id, x->api->config->limit_posts_per_5s, 5000);
}

enum status exchange_guess(struct exchange *x)
{
	return exchange_limit(
		x, LIMIT_GUESSES, 0, x->actor.id, x->api->config->limit_guesses_per_min, 60000);
}

enum status exchange_guess_name(struct exchange *x, const char *login)
{
	char *name = arena_strdup(x->mem, login);

	/* As the database compares names: a guess is not new because a letter is large. */
	for (char *c = name; *c != '\0'; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
	return exchange_limit(x, LIMIT_GUESSES, 1, limits_key(x->api->limits, name),
		x->api->config->limit_guesses_per_min, 60000);
}

/* Whose tries are counted; the second key keeps them apart from logins and guesses of passwords. */
enum { TRIES_OF_ACCOUNT = 1, TRIES_OF_ADDRESS = 2, TRIES_KINDS = 2 };

/* Who is not signed in is only an address. */
static uint64_t first_kind(const struct exchange *x)
{
	return x->actor.id != 0 ? TRIES_OF_ACCOUNT : TRIES_OF_ADDRESS;
}

static uint64_t whose_tries(const struct exchange *x, uint64_t kind)
{
	return kind == TRIES_OF_ACCOUNT ? x->actor.id : limits_key_address(x->api->limits, x->rq->remote);
}

static struct limit_rate tries_rate(const struct exchange *x)
{
	return (struct limit_rate){api_share(x->api, x->api->config->limit_logins_per_min), 60000};
}

enum status exchange_may_try(struct exchange *x)
{
	struct limit_state state;

	for (uint64_t kind = first_kind(x); kind <= TRIES_KINDS; kind++) {
		if (limits_allow(x->api->limits, LIMIT_LOGINS, whose_tries(x, kind), kind, tries_rate(x),
			    clock_mono_ms(), &state))
			continue;
		return exchange_limited(x, LIMIT_LOGINS, &state);
	}
	return STATUS_OK;
}

void exchange_tried_wrong(struct exchange *x)
{
	struct limit_state state;

	for (uint64_t kind = first_kind(x); kind <= TRIES_KINDS; kind++)
		limits_take(x->api->limits, LIMIT_LOGINS, whose_tries(x, kind), kind, tries_rate(x), clock_mono_ms(),
			&state);
}

const struct rpc_context *exchange_context(struct exchange *x, bool writes)
{
	x->call = (struct rpc_context){
		.request_id = writes ? x->request_id : NULL,
		.request_id_length = writes ? sizeof x->request_id : 0,
		.body_hash = writes && x->has_body_hash ? x->body_hash : NULL,
		.actor_id = x->actor.id,
		.actor_epoch = x->actor.epoch,
		.actor_generation = x->actor.generation,
		.session_id = x->actor.session_id,
		.actor = x->actor.account,
		.client_label = x->actor.client_label,
		.served_team = x->team_id,
		.served_kinds = x->team_id != 0 ? x->mount->kinds : 0,
		.trace = x->trace,
		.deadline_mono_ms = x->deadline_mono_ms,
		.batch = x->match.route != NULL && x->match.route->cost == COST_POST,
		.retry = true,
	};
	return &x->call;
}

void exchange_next_step(struct exchange *x, const char *step)
{
	uint8_t from[REQUEST_ID_BYTES];

	memcpy(from, x->request_id, sizeof from);
	request_id_derive(x->request_id, from, step);
}

bool exchange_enter(struct exchange *x, enum owner owner, uint64_t pick, bool writes)
{
	struct api_owner *o = &x->api->owners[owner];

	if (atomic_fetch_add(&o->inside, 1) >= x->api->owner_share) {
		atomic_fetch_sub(&o->inside, 1);
		x->outcome = (struct rpc_outcome){.status = STATUS_BUSY, .retry_after_ms = 1000};
		return false;
	}
	exchange_context(x, writes);
	x->call.pick = pick;
	x->outcome = (struct rpc_outcome){0};
	return true;
}

enum status exchange_leave(struct exchange *x, enum owner owner, enum status st)
{
	atomic_fetch_sub(&x->api->owners[owner].inside, 1);
	x->outcome.status = st;
	return st;
}
