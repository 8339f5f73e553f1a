/*
 * slots_ask - moderation is asked about the receivers of an event before it goes out. See slots.h.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/client.h"
#include "services/gateway/deliver.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/people.h"
#include "services/gateway/slots.h"

#define USERS_AT_ONCE 256
#define RETRY_MS      50
#define PATIENCE_MS   3000

struct slots_ask {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: nobody waits any more */
	struct arena *mem; /* of what was answered */
	uint64_t channel_id, seq;
	int64_t give_up_at_ms;
	uint64_t *users; /* ascending */
	size_t count, answered, asked;
	struct slot_rights *rights; /* of users, as many as were answered */
	pb_ChannelView *channel;
	uint64_t *members;
	size_t member_count;
	bool in_flight, waits, done;
};

/* Whoever may get the event. */
static size_t receivers(const struct feed *feed, const struct delivery *d, size_t dialect_no, uint64_t *out)
{
	size_t count = 0;

	for (uint32_t i = 0; i < feed->member_count; i++) {
		const struct member *member = feed->members[i];
		if (member->client->dialect_no == dialect_no && event_allows(d->body, member->client) &&
			(member->keys == NULL || d->aside || key_set_holds(member->keys, d->key, d->serial)))
			out[count++] = member->client->user->id;
	}
	return people_distinct(out, count);
}

static void ask_free(struct slots_ask *ask)
{
	arena_destroy(ask->mem);
	free(ask->users);
	free(ask->rights);
	free(ask);
}

void slots_ask_free(struct slots_ask *ask)
{
	if (ask == NULL)
		return;
	wheel_stop(&ask->feed->hub->wheel, &ask->retry);
	ask->feed = NULL;
	if (!ask->in_flight) /* else the answer frees it */
		ask_free(ask);
}

static void go_on(struct slots_ask *ask, bool done)
{
	ask->waits = false;
	ask->done = done;
	feed_wake(ask->feed);
}

static void ask_next(struct slots_ask *ask)
{
	struct hub *hub = ask->feed->hub;

	if (ask->answered == ask->count) {
		go_on(ask, true);
		return;
	}
	ask->asked = ask->count - ask->answered < USERS_AT_ONCE ? ask->count - ask->answered : USERS_AT_ONCE;
	ask->in_flight = true;
	hub->options.ports->ask_slots(hub->options.arg, hub_ask(hub, &ask->question), &ask->channel_id, 1,
		ask->users + ask->answered, ask->asked);
}

static void ask_retry(struct timer *timer, int64_t now_mono_ms)
{
	ask_next(memory_holder(timer, struct slots_ask, retry));
}

static const pb_SlotOf *slot_of(const pb_ChannelSlots *got, uint64_t user)
{
	for (pb_size_t i = 0; i < got->users_count; i++)
		if (got->users[i].user_id == user)
			return &got->users[i];
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_listed(const pb_ChannelSlots *got, uint64_t user)
{
	return bsearch(&user, got->member_ids, got->member_ids_count, sizeof user, compare_ids) != NULL;
}

/* False: older than the event, from a copy that lags. */
static bool take(struct slots_ask *ask, const pb_ChannelSlots *got)
{
	const struct feed *feed = ask->feed;
	const uint8_t *bytes = NULL;
	size_t length = 0;

	if (got->rank == feed->stream.rank && got->stream_id == feed->stream.id && got->as_of < ask->seq)
		return false;
	for (size_t i = 0; i < ask->asked; i++) {
		struct slot_rights *rights = &ask->rights[ask->answered + i];
		const pb_SlotOf *slot = slot_of(got, ask->users[ask->answered + i]);
		*rights = (struct slot_rights){
			.user_id = ask->users[ask->answered + i], .status = STATUS_NOT_FOUND};
		if (slot == NULL)
			continue;
		rights->status = status_from_number(slot->status);
		rights->bits = slot->has_bits ? (struct bits){slot->bits.low, slot->bits.high} : (struct bits){0};
		rights->role = slot->role;
		if (rights->role != CHANNEL_ROLE_NONE && got->member_ids_count > 0 && !is_listed(got, rights->user_id))
			rights->unlisted = rights->user_id;
	}
	ask->answered += ask->asked;
	arena_reset(ask->mem);
	ask->members = arena_memdup(ask->mem, got->member_ids, got->member_ids_count * sizeof *got->member_ids);
	ask->member_count = got->member_ids_count;
	ask->channel = NULL;
	if (got->has_channel &&
		pb_encode_arena(ask->mem, pb_ChannelView_fields, &got->channel, &bytes, &length) == STATUS_OK) {
		pb_ChannelView *copy = ARENA_NEW(ask->mem, pb_ChannelView);
		if (pb_decode_arena(ask->mem, pb_ChannelView_fields, copy, bytes, length) == STATUS_OK)
			ask->channel = copy;
	}
	return true;
}

static void slots_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct slots_ask *ask = (struct slots_ask *)question;
	const pb_ListAudiencesReply *got = reply;

	ask->in_flight = false;
	if (ask->feed == NULL) {
		ask_free(ask);
		return;
	}
	if (st == STATUS_OK && open_generation_fits(hub, got->generation) && got->slots_count > 0 && take(ask, &got->slots[0])) {
		ask_next(ask);
	} else if (hub->now_mono_ms < ask->give_up_at_ms) {
		wheel_start(&hub->wheel, &ask->retry, hub->now_mono_ms + RETRY_MS);
	} else {
		log_warn("slots_unanswered", LOG_ID("stream", ask->feed->stream.id), LOG_STATUS("status", st));
		go_on(ask, false);
	}
}

void slots_ask_begin(struct feed *feed, struct delivery *d)
{
	struct hub *hub = feed->hub;
	struct slots_ask *ask = NULL;

	for (size_t no = 0; no < dialect_count; no++) {
		if (feed->topics[no] == NULL || dialects[no]->asks == NULL)
			continue;
		uint64_t channel_id = dialects[no]->asks(d->logged, d->body);
		if (channel_id == 0)
			continue;
		uint64_t *users = memory_resize(NULL, (feed->member_count + 1) * sizeof *users);
		size_t count = receivers(feed, d, no, users);
		if (count == 0 || ask != NULL) {
			free(users);
			continue;
		}
		ask = memory_new(sizeof *ask);
		*ask = (struct slots_ask){.question.answered = slots_answered,
			.retry.fire = ask_retry,
			.feed = feed,
			.mem = arena_create(),
			.channel_id = channel_id,
			.seq = d->logged->seq,
			.give_up_at_ms = hub->now_mono_ms + PATIENCE_MS,
			.users = users,
			.count = count,
			.rights = memory_new(count * sizeof *ask->rights),
			.waits = true};
	}
	d->asked = ask;
	if (ask != NULL)
		ask_next(ask);
}

bool slots_ask_waits(const struct slots_ask *ask)
{
	return ask != NULL && ask->waits;
}

bool slots_ask_answered(const struct slots_ask *ask)
{
	return ask->done;
}

const struct slot_rights *slots_rights(const struct slots_ask *ask, uint64_t user_id)
{
	size_t low = 0, high = ask != NULL && ask->done ? ask->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ask->rights[middle].user_id == user_id)
			return &ask->rights[middle];
		if (ask->rights[middle].user_id < user_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const pb_ChannelView *slots_channel(const struct slots_ask *ask)
{
	return ask != NULL && ask->done ? ask->channel : NULL;
}

const uint64_t *slots_members(const struct slots_ask *ask, size_t *out_count)
{
	*out_count = ask != NULL && ask->done ? ask->member_count : 0;
	return ask != NULL ? ask->members : NULL;
}
