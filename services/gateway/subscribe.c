/*
 * subscribe - see subscribe.h. A wish goes through its stages when nothing of the stage before is outstanding
 * any more: opening the streams, judging channels whose key the user turned out not to hold, reading what was
 * missed.
 */
#include "services/gateway/subscribe_parts.h"

#include <string.h>

#include "services/gateway/catchup.h"
#include "services/gateway/judge.h"
#include "services/gateway/memory.h"
#include "services/gateway/topics.h"

#define RETRY_MS 100

struct subscribe *subscribe_create(struct client *client)
{
	struct arena *mem = arena_create();
	struct subscribe *sub = ARENA_NEW(mem, struct subscribe);

	sub->mem = mem;
	sub->client = client;
	return sub;
}

void subscribe_free(struct subscribe *sub)
{
	if (sub == NULL)
		return;
	judge_drop(sub);
	subscribe_teams_drop(sub);
	arena_destroy(sub->mem);
}

void subscribe_drop(struct client *client)
{
	while (client->subscribes != NULL) {
		struct subscribe *sub = client->subscribes;
		client->subscribes = sub->next;
		subscribe_free(sub);
	}
}

/* Channels whose key the user did not hold when the stream was begun, as far as is known here: moderation is
 * to say. */
static bool unsure_channels(struct subscribe *sub)
{
	bool unsure = false;

	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		if (wish->kind != TOPIC_KIND_CHANNEL || wish->status != STATUS_OK || wish->judged)
			continue;
		const struct stream_answer *answer = subscribe_answer(sub, wish->stream);
		struct member *member = member_find(sub->client, wish->stream);
		wish->judged = answer != NULL && !answer->fresh && member != NULL && member->live &&
			       subscribe_holds_key(member, wish);
		unsure = unsure || !wish->judged;
	}
	return unsure;
}

static void start(struct subscribe *sub);

/* A topic may have been refused after a stream that serves it was opened. */
static void drop_refused(struct subscribe *sub, struct member *member)
{
	for (size_t i = 0; i < sub->topic_count; i++) {
		const struct topic_wish *wish = &sub->topics[i];
		struct subscription *found = NULL;
		if (wish->status == STATUS_OK)
			continue;
		if (wish->kind == TOPIC_KIND_CHANNEL)
			found = subscription_find(member, TOPIC_CHANNEL, wish->id);
		else if (wish->kind == TOPIC_KIND_GLOBAL && (member->client->flags & CLIENT_GLOBAL) == 0)
			found = subscription_find(member, TOPIC_GLOBAL, 0);
		else if (wish->kind == TOPIC_KIND_USER && (member->client->flags & CLIENT_DIRECT) == 0 &&
			 (topics_in_conversation(member) ||
				 stream_compare(member->feed->stream, STREAM_USER(member->client->user->id)) == 0))
			found = subscription_find(member, TOPIC_WHOLE, 0);
		if (found != NULL)
			subscription_remove(found);
	}
}

/* The client has those that look everywhere from now on. */
static void note_wide_topics(const struct subscribe *sub)
{
	for (size_t i = 0; i < sub->topic_count; i++) {
		const struct topic_wish *wish = &sub->topics[i];
		if (wish->status == STATUS_OK && wish->kind == TOPIC_KIND_GLOBAL)
			sub->client->flags |= CLIENT_GLOBAL;
		if (wish->status == STATUS_OK && wish->kind == TOPIC_KIND_USER)
			sub->client->flags |= CLIENT_DIRECT;
	}
}

/* Nothing is outstanding: the answer, and everything that waited for it. */
static void complete(struct subscribe *sub)
{
	struct client *client = sub->client;
	size_t kept = 0;

	note_wide_topics(sub);
	for (size_t i = 0; i < sub->answer_count; i++) {
		struct stream_answer *answer = &sub->answers[i];
		struct member *member = answer->gone ? NULL : member_find(client, answer->stream);
		if (member == NULL || !member->live)
			continue;
		if (answer->fresh)
			drop_refused(sub, member);
		else
			subscribe_refresh(sub, member, answer);
		if (member->subs == NULL) {
			if (member->catchup != NULL) {
				catchup_free(member->catchup);
				member->catchup = NULL;
			}
			if (answer->stream.rank != RANK_USER)
				member_remove(member);
			continue;
		}
		member->announced = true;
		sub->answers[kept++] = *answer;
	}
	sub->answer_count = kept;
	client->subscribes = sub->next;
	client->dialect->subscribed(client, sub);
	for (size_t i = 0; i < kept && client->state == CLIENT_READY; i++) {
		struct member *member = member_find(client, sub->answers[i].stream);
		if (member != NULL && sub->answers[i].fresh)
			catchup_release(member);
	}
	subscribe_free(sub);
	if (client->subscribes != NULL && client->state == CLIENT_READY)
		start(client->subscribes);
}

/* Every topic has its stream before the first is opened: each begins with everything that it serves. */
static void open_all(struct subscribe *sub)
{
	sub->stage = SUBSCRIBE_OPENING;
	sub->working = true;
	for (size_t i = 0; i < sub->topic_count; i++)
		if (sub->topics[i].status == STATUS_OK)
			subscribe_want(sub, sub->topics[i].stream,
				sub->topics[i].kind == TOPIC_KIND_GLOBAL ? OPEN_BY_HEAD : OPEN_BY_KEYS, NULL);
	if (sub->wants_teams || sub->wants_direct)
		subscribe_teams_begin(sub);
	sub->working = false;
}

void subscribe_advance(struct subscribe *sub)
{
	if (sub->working || sub->outstanding > 0)
		return;
	if (sub->stage == SUBSCRIBE_PLACING) {
		open_all(sub);
		if (sub->outstanding > 0)
			return;
	}
	if (sub->stage == SUBSCRIBE_OPENING) {
		sub->stage = SUBSCRIBE_JUDGING;
		if (unsure_channels(sub)) {
			judge_begin(sub);
			if (sub->outstanding > 0)
				return;
		}
	}
	if (sub->stage == SUBSCRIBE_JUDGING)
		sub->stage = SUBSCRIBE_READING;
	if (sub->reading > 0)
		return;
	complete(sub);
}

/* A gateway that has just begun hears of the log's generation with the first frame of any publisher, within a second. Positions that
 * are told without it could not be resumed from. */
static bool awaits_generation(struct subscribe *sub)
{
	struct hub *hub = sub->client->hub;

	if (sub->removes || hub_generation(hub)[0] != '\0')
		return false;
	if (sub->give_up_at_ms == 0)
		sub->give_up_at_ms = hub->now_mono_ms + SUBSCRIBE_PATIENCE_MS;
	if (hub->now_mono_ms >= sub->give_up_at_ms)
		return false;
	wheel_start(&hub->wheel, &hub->generation_due, hub->now_mono_ms + RETRY_MS);
	return true;
}

/* Which stream the topic is in, as far as it is known here. */
static void place(struct subscribe *sub, struct topic_wish *wish)
{
	switch (wish->kind) {
	case TOPIC_KIND_USER:
		wish->stream = STREAM_USER(wish->id);
		if (wish->id != sub->client->user->id)
			wish->status = STATUS_FORBIDDEN;
		else
			sub->wants_direct = true;
		break;
	case TOPIC_KIND_GLOBAL:
		wish->stream = STREAM_GLOBAL;
		sub->wants_teams = true;
		break;
	case TOPIC_KIND_TEAM:
		wish->stream = STREAM_TEAM(wish->id);
		break;
	case TOPIC_KIND_CHANNEL: {
		const struct channel_fact *fact = channel_fact_get(sub->client->hub, wish->id);
		if (fact != NULL)
			wish->stream = fact->stream;
		break;
	}
	}
}

static void start(struct subscribe *sub)
{
	struct client *client = sub->client;
	struct hub *hub = client->hub;
	size_t count = topics_count(client);

	if (awaits_generation(sub))
		return;
	sub->give_up_at_ms = hub->now_mono_ms + SUBSCRIBE_PATIENCE_MS;
	strcpy(sub->present_generation, hub_generation(hub));
	if (sub->removes) {
		topics_remove(sub);
		sub->stage = SUBSCRIBE_READING;
		subscribe_advance(sub);
		return;
	}
	sub->stage = SUBSCRIBE_PLACING;
	sub->working = true;
	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		if (wish->status == STATUS_OK && !topics_have(client, wish) && ++count > SUBSCRIBE_MOST_TOPICS)
			wish->status = STATUS_AT_LIMIT;
		if (wish->status != STATUS_OK)
			continue;
		place(sub, wish);
	}
	judge_begin(sub);
	sub->working = false;
	subscribe_advance(sub);
}

void subscribe_generation_due(struct timer *timer, int64_t now_mono_ms)
{
	struct hub *hub = memory_holder(timer, struct hub, generation_due);
	struct client *next = NULL;

	(void)now_mono_ms;
	for (struct client *client = hub->clients; client != NULL; client = next) {
		next = client->next;
		if (client->state == CLIENT_READY && client->subscribes != NULL &&
			client->subscribes->stage == SUBSCRIBE_QUEUED)
			start(client->subscribes);
	}
}

void subscribe_flush(struct hub *hub)
{
	judge_flush(hub);
	subscribe_teams_flush(hub);
}

enum status subscribe_submit(struct subscribe *sub)
{
	struct client *client = sub->client;
	struct subscribe **last = &client->subscribes;
	size_t waiting = 0;

	for (; *last != NULL; last = &(*last)->next)
		waiting++;
	if (client->state != CLIENT_READY || waiting >= SUBSCRIBE_MOST_WAITING) {
		subscribe_free(sub);
		return STATUS_BUSY;
	}
	*last = sub;
	if (waiting == 0)
		start(sub);
	return STATUS_OK;
}
