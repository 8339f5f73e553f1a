#include "services/api/exchange.h"

#include <string.h>

#include "common/base/clock.h"

enum status exchange_fail(
	struct exchange *x, enum status st, const char *why, const char *field, const char *detail)
{
	x->outcome = (struct rpc_outcome){.status = st, .why = why, .field = field, .detail = detail};
	return st;
}

enum status exchange_guess(struct exchange *x)
{
	int64_t burst = api_share(x->api, x->api->config->limit_logins_per_min);
	struct limit_state state;

	if (limits_take(x->api->limits, LIMIT_LOGINS, 0, x->actor.id, (struct limit_rate){burst, 60000},
		    clock_mono_ms(), &state))
		return STATUS_OK;
	x->limit = state;
	exchange_fail(x, STATUS_RATE_LIMITED, NULL, NULL, NULL);
	x->outcome.retry_after_ms = (uint32_t)state.retry_ms;
	return STATUS_RATE_LIMITED;
}

/* Whose tries are counted; the second key keeps them apart from logins and guesses of passwords. */
enum { TRIES_OF_ACCOUNT = 1, TRIES_OF_ADDRESS = 2, TRIES_KINDS = 2 };

static uint64_t whose_tries(const struct exchange *x, uint64_t kind)
{
	return kind == TRIES_OF_ACCOUNT ? x->actor.id : limits_key(x->api->limits, x->rq->remote);
}

static struct limit_rate tries_rate(const struct exchange *x)
{
	return (struct limit_rate){api_share(x->api, x->api->config->limit_logins_per_min), 60000};
}

enum status exchange_may_try(struct exchange *x)
{
	struct limit_state state;

	for (uint64_t kind = 1; kind <= TRIES_KINDS; kind++) {
		if (limits_allow(x->api->limits, LIMIT_LOGINS, whose_tries(x, kind), kind, tries_rate(x),
			    clock_mono_ms(), &state))
			continue;
		x->limit = state;
		exchange_fail(x, STATUS_RATE_LIMITED, NULL, NULL, NULL);
		x->outcome.retry_after_ms = (uint32_t)state.retry_ms;
		return STATUS_RATE_LIMITED;
	}
	return STATUS_OK;
}

void exchange_tried_wrong(struct exchange *x)
{
	struct limit_state state;

	for (uint64_t kind = 1; kind <= TRIES_KINDS; kind++)
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
