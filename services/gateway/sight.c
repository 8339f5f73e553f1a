/*
 * sight - see sight.h.
 */
#include "services/gateway/sight.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/bus/event.h"
#include "common/rpc/stubs.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/people.h"
#include "services/gateway/stream.h"

#define USERS_AT_ONCE 256
#define RETRY_MS      50
#define PATIENCE_MS   3000

/* People for whom one channel may have come or gone. */
struct glance {
	uint64_t channel_id;
	bool hidden;
	uint64_t *users; /* ascending, once they are asked about */
	size_t count, capacity, asked; /* asked: so many of them are done with */
};

struct sight {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: it went */
	uint64_t seq;
	int64_t give_up_at_ms;
	struct glance *glances; /* while it is asking the first one is in work */
	size_t count, capacity;
	struct bus_event **told; /* from told_at on they wait */
	size_t told_count, told_capacity, told_at;
	bool asking, in_flight;
};

/* ---- noting */

static struct sight *sight_of(struct feed *feed);

static void glance_add(struct sight *sight, uint64_t channel_id, bool hidden, uint64_t user_id)
{
	struct glance *glance = NULL;

	for (size_t i = sight->asking ? 1 : 0; i < sight->count && glance == NULL; i++)
		if (sight->glances[i].channel_id == channel_id && sight->glances[i].hidden == hidden)
			glance = &sight->glances[i];
	if (glance == NULL) {
		if (sight->count == sight->capacity) {
			sight->capacity = sight->capacity == 0 ? 4 : sight->capacity * 2;
			sight->glances = memory_resize(sight->glances, sight->capacity * sizeof *sight->glances);
		}
		glance = &sight->glances[sight->count++];
		*glance = (struct glance){.channel_id = channel_id, .hidden = hidden};
	}
	if (glance->count == glance->capacity) {
		glance->capacity = glance->capacity == 0 ? 8 : glance->capacity * 2;
		glance->users = memory_resize(glance->users, glance->capacity * sizeof *glance->users);
	}
	glance->users[glance->count++] = user_id;
}

/* 0: it is the key of something else. */
static uint64_t channel_of(const struct feed *feed, uint32_t key)
{
	static const char prefix[] = "channel:";
	const char *text = feed->keys->texts[key];

	return strncmp(text, prefix, sizeof prefix - 1) == 0 ? strtoull(text + sizeof prefix - 1, NULL, 10) : 0;
}

static void note(struct member *member, uint32_t key, bool hidden, uint64_t closed)
{
	uint64_t channel = channel_of(member->feed, key);

	/* Whoever holds the key of one that has just got it has seen it before. */
	if (channel != 0 && channel != closed)
		glance_add(sight_of(member->feed), channel, hidden, member->client->user->id);
}

static bool holds(const struct key_set *keys, const struct feed *feed, uint64_t channel)
{
	char key[AUDIENCE_SIZE];

	audience_key(key, "channel", channel);
	return key_set_has(keys, key_find(feed->keys, key));
}

void sight_note(struct member *member, const struct key_set *after, uint64_t closed)
{
	struct feed *feed = member->feed;
	const struct key_set *before = member->next_keys != NULL ? member->next_keys : member->keys;
	size_t i = 0, k = 0;

	if (!member->client->dialect->sight)
		return;
	if (closed != 0 && !holds(after, feed, closed))
		glance_add(sight_of(feed), closed, true, member->client->user->id);
	while (before != after && (i < before->count || k < after->count)) {
		if (k == after->count || (i < before->count && before->keys[i] < after->keys[k]))
			note(member, before->keys[i++], true, closed);
		else if (i == before->count || after->keys[k] < before->keys[i])
			note(member, after->keys[k++], false, closed);
		else
			i++, k++;
	}
}

/* ---- telling */

/* Will they hear of the channel anyway, by an event that shows it? */
static bool is_shown_soon(const struct feed *feed, uint64_t channel_id)
{
	for (uint32_t i = 0; i < feed->pending_count; i++) {
		const struct bus_event *ev = feed->pending[(feed->pending_begin + i) % feed->pending_capacity];
		const pb_Event *body = bus_event_body(ev);
		for (size_t no = 0; body != NULL && no < dialect_count; no++)
			if (dialects[no]->asks != NULL && dialects[no]->asks(bus_event_logged(ev), body) == channel_id)
				return true;
	}
	return false;
}

static void tell(struct sight *sight, const pb_ChannelView *channel, bool hidden, uint64_t *users, size_t count)
{
	struct hub *hub = sight->feed->hub;
	pb_Event body = {.which_body = EVENT_KIND_channel_sight_changed, .only_users = users, .only_users_count = (pb_size_t)count};
	pb_ChannelSightChanged *what = &body.body.channel_sight_changed;
	struct logged_event logged = {.stream = sight->feed->stream, .seq = sight->feed->applied, .kind = body.which_body, .at_ms = hub->now_wall_ms};

	if (count == 0)
		return;
	*what = (pb_ChannelSightChanged){.has_channel = true,
		.channel = {.id = channel->id, .team_id = channel->team_id, .kind = channel->kind},
		.hidden = hidden};
	if (event_encode(hub->scratch, &body, &logged.payload, &logged.payload_length) == STATUS_OK) {
		if (sight->told_count == sight->told_capacity) {
			sight->told_capacity = sight->told_capacity == 0 ? 4 : sight->told_capacity * 2;
			sight->told = memory_resize(sight->told, sight->told_capacity * sizeof(struct bus_event *));
		}
		sight->told[sight->told_count++] = bus_event_create(&logged);
	}
	arena_reset(hub->scratch);
}

/* ---- asking */

static void sight_go_on(struct sight *sight);

static void first_done(struct sight *sight)
{
	free(sight->glances[0].users);
	memmove(sight->glances, sight->glances + 1, --sight->count * sizeof *sight->glances);
}

static size_t asked_now(const struct glance *glance)
{
	size_t left = glance->count - glance->asked;

	return left < USERS_AT_ONCE ? left : USERS_AT_ONCE;
}

static void glance_ask(struct sight *sight)
{
	const struct glance *glance = &sight->glances[0];
	struct hub *hub = sight->feed->hub;

	sight->in_flight = true;
	hub->options.ports->ask_slots(hub->options.arg, hub_ask(hub, &sight->question), &glance->channel_id, 1,
		glance->users + glance->asked, asked_now(glance));
}

static void glance_retry(struct timer *timer, int64_t now_mono_ms)
{
	glance_ask(memory_holder(timer, struct sight, retry));
}

static bool sees(const pb_ChannelSlots *got, uint64_t user)
{
	for (pb_size_t i = 0; i < got->users_count; i++)
		if (got->users[i].user_id == user)
			return status_from_number(got->users[i].status) == STATUS_OK;
	return false;
}

/* One that is deleted is told of as that. */
static void glance_take(struct sight *sight, const pb_ListAudiencesReply *got)
{
	struct glance *glance = &sight->glances[0];
	const pb_ChannelSlots *slots = got->slots_count > 0 && got->slots[0].has_channel ? &got->slots[0] : NULL;
	uint64_t *users = glance->users + glance->asked;
	size_t count = asked_now(glance), kept = 0;

	glance->asked += count;
	if (slots == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		if (sees(slots, users[i]) != glance->hidden)
			users[kept++] = users[i];
	tell(sight, &slots->channel, glance->hidden, users, kept);
}

/* What its clients have on their list is not known: they read it again. */
static void give_up(struct sight *sight)
{
	const struct glance *glance = &sight->glances[0];
	struct feed *feed = sight->feed;

	for (uint32_t i = feed->member_count; i-- > 0;) {
		struct client *client = feed->members[i]->client;
		for (size_t k = 0; k < glance->count && client->dialect->sight; k++)
			if (glance->users[k] == client->user->id) {
				client_send_away(client, CLOSE_UNAVAILABLE, AWAY_MOST_MS);
				break;
			}
	}
	first_done(sight);
}

static void glance_answered(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct sight *sight = (struct sight *)question;
	const pb_ListAudiencesReply *got = reply;

	sight->in_flight = false;
	if (sight->feed == NULL) {
		free(sight);
		return;
	}
	if (st == STATUS_OK && open_generation_fits(hub, got->generation) &&
		(got->slots_count == 0 || got->slots[0].as_of >= sight->seq)) {
		glance_take(sight, got);
		sight_go_on(sight);
	} else if (hub->now_mono_ms < sight->give_up_at_ms) {
		wheel_start(&hub->wheel, &sight->retry, hub->now_mono_ms + RETRY_MS);
	} else {
		log_warn("sight_unanswered", LOG_ID("stream", sight->feed->stream.id), LOG_STATUS("status", st));
		give_up(sight);
		sight_go_on(sight);
	}
}

/* The next that is not answered; none: the feed goes on. */
static void sight_go_on(struct sight *sight)
{
	struct feed *feed = sight->feed;

	while (sight->count > 0) {
		struct glance *glance = &sight->glances[0];
		if (glance->asked == 0) {
			glance->count = people_distinct(glance->users, glance->count);
			sight->give_up_at_ms = feed->hub->now_mono_ms + PATIENCE_MS;
		}
		if (glance->asked == glance->count || (!glance->hidden && is_shown_soon(feed, glance->channel_id))) {
			first_done(sight);
			continue;
		}
		glance_ask(sight);
		return;
	}
	sight->asking = false;
	feed->holds--;
	feed_wake(feed);
}

static struct sight *sight_of(struct feed *feed)
{
	if (feed->sight != NULL)
		return feed->sight;
	feed->sight = memory_new(sizeof *feed->sight);
	*feed->sight = (struct sight){.question.answered = glance_answered, .retry.fire = glance_retry, .feed = feed};
	return feed->sight;
}

void sight_ask(struct feed *feed, uint64_t seq)
{
	struct sight *sight = feed->sight;

	if (sight == NULL || sight->count == 0)
		return;
	sight->seq = seq;
	if (sight->asking)
		return;
	sight->asking = true;
	feed->holds++;
	sight_go_on(sight);
}

void sight_lost(struct feed *feed)
{
	for (uint32_t i = feed->member_count; i-- > 0;)
		if (feed->members[i]->client->dialect->sight)
			client_send_away(feed->members[i]->client, CLOSE_MISSED, AWAY_MOST_MS);
}

struct bus_event *sight_next(struct feed *feed)
{
	struct sight *sight = feed->sight;

	if (sight == NULL || sight->told_at == sight->told_count)
		return NULL;
	struct bus_event *ev = sight->told[sight->told_at++];
	if (sight->told_at == sight->told_count)
		sight->told_at = sight->told_count = 0;
	return ev;
}

void sight_free(struct feed *feed)
{
	struct sight *sight = feed->sight;

	if (sight == NULL)
		return;
	if (sight->asking)
		feed->holds--;
	wheel_stop(&feed->hub->wheel, &sight->retry);
	while (sight->count > 0)
		first_done(sight);
	free(sight->glances);
	for (size_t i = sight->told_at; i < sight->told_count; i++)
		bus_event_unref(sight->told[i]);
	free(sight->told);
	feed->sight = NULL;
	sight->feed = NULL;
	if (!sight->in_flight) /* else the answer frees it */
		free(sight);
}
