/*
 * subscribe - see subscribe.h. A wish goes through its stages when nothing of the stage before is outstanding
 * any more: opening the streams, judging channels whose key the user turned out not to hold, reading what was
 * missed.
 */
#include "services/gateway/subscribe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/ops/ops.h"
#include "services/gateway/catchup.h"
#include "services/gateway/judge.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/topics.h"

#define PATIENCE_MS   4000 /* then a topic is refused as busy */
#define RETRY_MS      100
#define USERS_AT_ONCE 32 /* whose keys in all their teams are asked for in one question */
#define TEAMS_FLIGHT  4  /* such questions at a time */

/* Wishes that want all teams or conversations of their users. */
struct teams_ask {
	struct teams_ask *next;
	struct subscribe *sub; /* NULL: it went */
	uint64_t user;
	struct timer retry;
	struct hub *hub;
	bool queued; /* in hub->unasked_teams */
	bool alone;  /* together with others it was too much */
	uint64_t all; /* ALL_... */
};

struct teams_question {
	struct question question;
	struct teams_ask *asks;
};

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
	if (sub->asking_teams != NULL) {
		struct teams_ask *ask = sub->asking_teams;
		ask->sub = NULL;
		if (timer_running(&ask->retry)) {
			wheel_stop(&ask->hub->wheel, &ask->retry);
			free(ask);
		}
	}
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

/* ---- streams of a wish */

struct stream_answer *subscribe_answer(struct subscribe *sub, struct stream s)
{
	for (size_t i = 0; i < sub->answer_count; i++)
		if (stream_compare(sub->answers[i].stream, s) == 0)
			return &sub->answers[i];
	return NULL;
}

static struct stream_answer *answer_get(struct subscribe *sub, struct stream s)
{
	struct stream_answer *answer = subscribe_answer(sub, s);

	if (answer != NULL)
		return answer;
	if (sub->answer_count == sub->answer_capacity) {
		size_t capacity = sub->answer_capacity == 0 ? 4 : sub->answer_capacity * 2;
		sub->answers = arena_grow(sub->mem, sub->answers, sub->answer_count * sizeof *sub->answers,
			capacity * sizeof *sub->answers);
		sub->answer_capacity = capacity;
	}
	answer = &sub->answers[sub->answer_count++];
	*answer = (struct stream_answer){.stream = s};
	return answer;
}

static const struct position *since_of(const struct subscribe *sub, struct stream s)
{
	for (size_t i = 0; i < sub->since_count; i++)
		if (stream_compare(sub->since[i].stream, s) == 0)
			return &sub->since[i];
	return NULL;
}

/* Are the client's positions of the log that ours are of? */
static bool same_log(const struct subscribe *sub)
{
	return sub->present_generation[0] != '\0' && strcmp(sub->generation, sub->present_generation) == 0;
}

static void wish_subscribe(struct member *member, const struct topic_wish *wish)
{
	subscription_add(member,
		wish->kind == TOPIC_KIND_CHANNEL  ? TOPIC_CHANNEL
		: wish->kind == TOPIC_KIND_GLOBAL ? TOPIC_GLOBAL
						  : TOPIC_WHOLE,
		wish->kind == TOPIC_KIND_CHANNEL ? wish->id : 0);
}

/* Another client's answer told where the channel is. Does this user hold its key? */
static bool holds_key(const struct member *member, const struct topic_wish *wish)
{
	const struct channel_fact *fact = channel_fact_get(member->client->hub, wish->id);

	return member->keys != NULL && fact != NULL &&
	       key_set_has(member->keys, key_find(member->feed->keys, fact->audience));
}

/* Everything of the wish that this stream serves. A channel that was not judged and whose key is not held is
 * left for moderation to say. */
static void subscribe_all(struct subscribe *sub, struct member *member)
{
	bool direct = topics_in_conversation(member);

	if (direct && (member->client->flags & CLIENT_DIRECT) != 0)
		subscription_add(member, TOPIC_WHOLE, 0);
	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		if (wish->status != STATUS_OK)
			continue;
		if (wish->kind == TOPIC_KIND_TEAM && direct &&
			stream_compare(wish->stream, member->feed->stream) == 0) {
			wish->status = STATUS_NOT_FOUND; /* it is no team */
		} else if (stream_compare(wish->stream, member->feed->stream) == 0) {
			if (wish->kind == TOPIC_KIND_CHANNEL && !wish->judged)
				wish->judged = holds_key(member, wish);
			if (wish->kind != TOPIC_KIND_CHANNEL || wish->judged)
				wish_subscribe(member, wish);
		} else if (wish->kind == TOPIC_KIND_GLOBAL && member->feed->stream.rank == RANK_TEAM && !direct) {
			subscription_add(member, TOPIC_GLOBAL, 0);
		} else if (wish->kind == TOPIC_KIND_USER && direct) {
			subscription_add(member, TOPIC_WHOLE, 0);
		}
	}
}

/* ---- what came of resumes */

static void count_read(const struct member *member, enum status st)
{
	bool memory = member->catchup == NULL || member->catchup->page == NULL;

	metric_add(ws_resumes_recovered, st == STATUS_OK);
	metric_add(ws_resumes_refused, st != STATUS_OK);
	metric_add(ws_resumed_memory, st == STATUS_OK && memory);
	metric_add(ws_resumed_log, st == STATUS_OK && !memory);
	metric_add(ws_refused_gone, st == STATUS_CURSOR_TOO_OLD);
	metric_add(ws_refused_busy, st != STATUS_OK && st != STATUS_CURSOR_TOO_OLD);
}

static void count_current(void)
{
	metric_add(ws_resumes_recovered, 1);
	metric_add(ws_resumed_current, 1);
}

static void count_refused(bool fits, bool ahead)
{
	metric_add(ws_resumes_refused, 1);
	metric_add(ws_refused_generation, !fits);
	metric_add(ws_refused_ahead, fits && ahead);
	metric_add(ws_refused_rights, fits && !ahead);
}

static void read_ready(struct member *member, enum status st)
{
	struct subscribe *sub = member->client->subscribes;
	struct stream_answer *answer = sub != NULL ? subscribe_answer(sub, member->feed->stream) : NULL;

	if (answer == NULL || !answer->reading)
		return;
	answer->reading = false;
	sub->reading--;
	if (st != STATUS_OK) {
		answer->recovered = false;
		answer->seq = answer->live_from;
	}
	count_read(member, st);
	subscribe_advance(sub);
}

/*
 * The client is in this stream, from feed->applied on, and was not shown anything of it yet: its topics begin
 * here, and what it missed is judged by the keys it has now, provided they are the same since then.
 */
static void begin_here(struct subscribe *sub, struct member *member, struct stream_answer *answer)
{
	const struct position *since = since_of(sub, answer->stream);
	uint64_t applied = member->feed->applied;
	struct position begun = {answer->stream, member->unchanged_since, NULL};
	/* It began, or he was brought in, since the client has the topic that shows it: the copy of that event in his own stream,
	 * by which it would be opened, is yet to come or came just now. */
	bool lately = since == NULL && (answer->joined || (topics_in_conversation(member) && (member->client->flags & CLIENT_DIRECT) != 0));

	if (lately)
		since = &begun;
	else if (since == NULL && sub->wants_direct && topics_in_conversation(member) &&
		 since_of(sub, STREAM_USER(member->client->user->id)) != NULL)
		since = &begun; /* or while the client was away */
	answer->fresh = true;
	answer->seq = answer->live_from = applied;
	member->told = applied;
	catchup_begin(member);
	subscribe_all(sub, member);
	if ((member->client->flags & CLIENT_GLOBAL) != 0 && answer->stream.rank == RANK_TEAM &&
		!topics_in_conversation(member))
		subscription_add(member, TOPIC_GLOBAL, 0);
	if (since == NULL)
		return;
	if (sub->present_generation[0] == '\0')
		strcpy(sub->present_generation, hub_generation(member->client->hub));
	bool fits = lately || same_log(sub);
	if (!fits || since->seq > applied || since->seq < member->unchanged_since) {
		count_refused(fits, since->seq > applied);
		return;
	}
	answer->recovered = true;
	if (since->seq == applied) {
		count_current();
		return;
	}
	/* Never ahead of what was sent: a client that keeps this position and goes away now has lost nothing.
	 */
	answer->seq = since->seq;
	answer->reading = true;
	sub->reading++;
	catchup_replay(member, since->seq, applied, read_ready);
}

static void refuse_stream(struct subscribe *sub, struct stream s, enum status st)
{
	struct stream_answer *answer = subscribe_answer(sub, s);

	if (answer != NULL)
		answer->gone = true;
	for (size_t i = 0; i < sub->topic_count; i++)
		if (stream_compare(sub->topics[i].stream, s) == 0 && sub->topics[i].status == STATUS_OK)
			sub->topics[i].status = st;
}

static void topics_refuse(struct subscribe *sub, uint64_t all, enum status st)
{
	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		bool looks = (wish->kind == TOPIC_KIND_GLOBAL && (all & ALL_TEAMS) != 0) ||
			     (wish->kind == TOPIC_KIND_USER && (all & ALL_CONVERSATIONS) != 0);
		if (looks && wish->status == STATUS_OK)
			wish->status = st;
	}
}

/* The user came into a team or a conversation, and what happened there since is read: it may go. */
static void joined_ready(struct member *member, enum status st)
{
	if (st == STATUS_OK)
		catchup_release(member);
	else /* nobody asked, so nobody can be answered that this is missing */
		client_send_away(member->client, CLOSE_MISSED, AWAY_MOST_MS);
}

static void settled(struct client *client, struct stream s, struct member *member, enum status st)
{
	struct subscribe *sub = client->subscribes;
	struct stream_answer *answer = sub != NULL ? subscribe_answer(sub, s) : NULL;

	if (answer != NULL && answer->awaited) {
		answer->awaited = false;
		sub->outstanding--;
		/* One being worked on is not to come to its end in the middle of that. */
		bool worked_on = sub->working;
		sub->working = true;
		if (member != NULL)
			begin_here(sub, member, answer);
		else
			refuse_stream(sub, s, st);
		/* A topic that looks everywhere and does not see this one would miss it in silence. One that he is not in any
		 * more it does not show. */
		if (member == NULL && st != STATUS_NOT_FOUND)
			topics_refuse(sub, answer->sought, st);
		sub->working = worked_on;
		subscribe_advance(sub);
		return;
	}
	if (member == NULL) {
		if (st != STATUS_NOT_FOUND && (client->flags & (CLIENT_GLOBAL | CLIENT_DIRECT)) != 0)
			client_send_away(client, CLOSE_MISSED, AWAY_MOST_MS);
		return;
	}
	/* Opened because the user came into the team or conversation: what he may see of it since then is his. */
	bool direct = topics_in_conversation(member);
	if ((client->flags & (direct ? CLIENT_DIRECT : CLIENT_GLOBAL)) == 0) {
		member_remove(member);
		return;
	}
	subscription_add(member, direct ? TOPIC_WHOLE : TOPIC_GLOBAL, 0);
	member->announced = true;
	if (member->unchanged_since < member->feed->applied) {
		catchup_begin(member);
		catchup_replay(member, member->unchanged_since, member->feed->applied, joined_ready);
	}
}

/* How far the client has got in a stream that it was in before. */
static uint64_t present_position(const struct member *member)
{
	const struct catchup *c = member->catchup;

	return c != NULL && c->until != 0 ? c->next - 1 : member->feed->applied;
}

/* The wish needs this stream. */
static void want(struct subscribe *sub, struct stream s, enum open_source source, struct member **out_member)
{
	struct client *client = sub->client;
	struct member *member = member_find(client, s);
	struct stream_answer *answer = subscribe_answer(sub, s);

	if (out_member != NULL)
		*out_member = NULL;
	if (answer != NULL)
		return;
	answer = answer_get(sub, s);
	if (member == NULL) {
		answer->awaited = true;
		sub->outstanding++;
		member = open_stream(client, s, source, settled);
		member->opening->give_up_at_ms = sub->give_up_at_ms;
		if (out_member != NULL)
			*out_member = member;
		return;
	}
	if (!member->live) {
		answer->awaited = true;
		sub->outstanding++;
		return;
	}
	if (!member->announced && member->catchup == NULL) {
		begin_here(sub, member, answer); /* the user's own stream, watched but not shown so far */
		return;
	}
	answer->seq = present_position(member);
}

/* ---- all teams or conversations of the user */

static void teams_ask_queue(struct teams_ask *ask)
{
	struct hub *hub = ask->hub;

	ask->queued = true;
	ask->next = NULL;
	*hub->unasked_teams_end = ask;
	hub->unasked_teams_end = &ask->next;
}

static void teams_retry(struct timer *timer, int64_t now_mono_ms)
{
	teams_ask_queue(memory_holder(timer, struct teams_ask, retry));
}

static void teams_begin(struct subscribe *sub)
{
	struct teams_ask *ask = memory_new(sizeof *ask);

	*ask = (struct teams_ask){.sub = sub,
		.user = sub->client->user->id,
		.retry.fire = teams_retry,
		.hub = sub->client->hub,
		.all = (sub->wants_teams ? ALL_TEAMS : 0) | (sub->wants_direct ? ALL_CONVERSATIONS : 0)};
	sub->asking_teams = ask;
	sub->outstanding++;
	teams_ask_queue(ask);
}

static bool answer_is_conversation(const pb_ListAudiencesReply *got, const pb_AudienceAnswer *answer)
{
	static const char prefix[] = "conversation:";
	const pb_KeySet *set = answer->key_set < got->key_sets_count ? &got->key_sets[answer->key_set] : NULL;

	return set != NULL && set->keys_count > 0 && strncmp(set->keys[0], prefix, sizeof prefix - 1) == 0;
}

/* One wish's part of the answer. */
static void teams_take(struct subscribe *sub, uint64_t user, uint64_t all, const pb_ListAudiencesReply *got)
{
	struct hub *hub = sub->client->hub;

	for (pb_size_t i = 0; i < got->answers_count; i++) {
		const pb_AudienceAnswer *answer = &got->answers[i];
		struct stream s = {answer->rank, answer->stream_id};
		struct member *member = NULL;
		uint64_t kind = answer_is_conversation(got, answer) ? ALL_CONVERSATIONS : ALL_TEAMS;
		if (answer->user_id != user || answer->rank != RANK_TEAM || !answer->member ||
			(all & kind) == 0)
			continue;
		want(sub, s, OPEN_ANSWERED, &member);
		subscribe_answer(sub, s)->sought = kind;
		if (member == NULL)
			continue;
		struct key_set *keys = open_keys_of(feed_get(hub, s), got, answer);
		if (keys != NULL)
			opening_answer(member->opening, keys, answer->as_of, answer->unchanged_since);
		else
			opening_refuse(member->opening, STATUS_NOT_FOUND);
	}
}

/* Answered, or given up. */
static void teams_done(struct teams_ask *ask, enum status st, const pb_ListAudiencesReply *got)
{
	struct subscribe *sub = ask->sub;

	sub->asking_teams = NULL;
	sub->outstanding--;
	sub->working = true;
	if (st != STATUS_OK)
		topics_refuse(sub, ask->all, STATUS_BUSY);
	else
		teams_take(sub, ask->user, ask->all, got);
	sub->working = false;
	free(ask);
	subscribe_advance(sub);
}

static struct teams_ask *teams_pop(struct hub *hub)
{
	struct teams_ask *ask = hub->unasked_teams;

	hub->unasked_teams = ask->next;
	if (hub->unasked_teams == NULL)
		hub->unasked_teams_end = &hub->unasked_teams;
	ask->queued = false;
	return ask;
}

/* Whose turn does not come in time is refused. The first has waited longest. */
static bool teams_overdue(const struct hub *hub)
{
	const struct teams_ask *first = hub->unasked_teams;

	return first != NULL && first->sub != NULL && hub->now_mono_ms >= first->sub->give_up_at_ms;
}

static void teams_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct teams_question *asked = (struct teams_question *)question;
	const pb_ListAudiencesReply *got = reply;
	struct teams_ask *next = NULL;

	hub->teams_in_flight--;
	if (st == STATUS_OK && !open_generation_fits(hub, got->generation))
		st = STATUS_BUSY;
	for (struct teams_ask *ask = asked->asks; ask != NULL; ask = next) {
		struct subscribe *sub = ask->sub;
		next = ask->next;
		if (sub == NULL) {
			free(ask);
			continue;
		}
		if (st != STATUS_OK && hub->now_mono_ms < sub->give_up_at_ms) {
			ask->alone = ask->alone || st == STATUS_TOO_LARGE;
			wheel_start(&hub->wheel, &ask->retry, hub->now_mono_ms + RETRY_MS);
			continue;
		}
		teams_done(ask, st, got);
	}
	free(asked);
}

static void teams_flush(struct hub *hub)
{
	while (hub->teams_in_flight == TEAMS_FLIGHT && teams_overdue(hub))
		teams_done(teams_pop(hub), STATUS_BUSY, NULL);
	while (hub->unasked_teams != NULL && hub->teams_in_flight < TEAMS_FLIGHT) {
		struct teams_question *asked = memory_new(sizeof *asked);
		uint64_t users[USERS_AT_ONCE], all = 0;
		size_t count = 0;
		asked->question.answered = teams_answered;
		while (hub->unasked_teams != NULL && count < USERS_AT_ONCE) {
			struct teams_ask *ask = hub->unasked_teams;
			if (count > 0 && (ask->alone || asked->asks->alone) && ask->sub != NULL)
				break;
			teams_pop(hub);
			if (ask->sub == NULL) {
				free(ask);
				continue;
			}
			ask->next = asked->asks;
			asked->asks = ask;
			all |= ask->all;
			bool seen = false;
			for (size_t i = 0; i < count && !seen; i++)
				seen = users[i] == ask->user;
			if (!seen)
				users[count++] = ask->user;
		}
		if (count == 0) {
			free(asked);
			return;
		}
		hub->teams_in_flight++;
		hub->options.ports->ask_keys(
			hub->options.arg, hub_ask(hub, &asked->question), STREAMS_OF(all), users, count);
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
			       holds_key(member, wish);
		unsure = unsure || !wish->judged;
	}
	return unsure;
}

/* ---- stages */

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

/* Nothing is outstanding: the answer, and everything that waited for it. */
static void complete(struct subscribe *sub)
{
	struct client *client = sub->client;
	size_t kept = 0;

	for (size_t i = 0; i < sub->topic_count; i++) {
		const struct topic_wish *wish = &sub->topics[i];
		if (wish->status == STATUS_OK && wish->kind == TOPIC_KIND_GLOBAL)
			client->flags |= CLIENT_GLOBAL;
		if (wish->status == STATUS_OK && wish->kind == TOPIC_KIND_USER)
			client->flags |= CLIENT_DIRECT;
	}
	for (size_t i = 0; i < sub->answer_count; i++) {
		struct stream_answer *answer = &sub->answers[i];
		struct member *member = answer->gone ? NULL : member_find(client, answer->stream);
		if (member == NULL || !member->live)
			continue;
		if (!answer->fresh) {
			const struct position *since = since_of(sub, answer->stream);
			subscribe_all(sub, member);
			answer->seq = present_position(member);
			/* It was live here before: what its new topics had earlier would come out of order.
			 */
			answer->recovered = since != NULL && same_log(sub) && since->seq == answer->seq;
		} else {
			drop_refused(sub, member);
		}
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
			want(sub, sub->topics[i].stream,
				sub->topics[i].kind == TOPIC_KIND_GLOBAL ? OPEN_BY_HEAD : OPEN_BY_KEYS, NULL);
	if (sub->wants_teams || sub->wants_direct)
		teams_begin(sub);
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
		sub->give_up_at_ms = hub->now_mono_ms + PATIENCE_MS;
	if (hub->now_mono_ms >= sub->give_up_at_ms)
		return false;
	wheel_start(&hub->wheel, &hub->generation_due, hub->now_mono_ms + RETRY_MS);
	return true;
}

static void start(struct subscribe *sub)
{
	struct client *client = sub->client;
	struct hub *hub = client->hub;
	size_t count = topics_count(client);

	if (awaits_generation(sub))
		return;
	sub->give_up_at_ms = hub->now_mono_ms + PATIENCE_MS;
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
		switch (wish->kind) {
		case TOPIC_KIND_USER:
			wish->stream = STREAM_USER(wish->id);
			if (wish->id != client->user->id)
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
			const struct channel_fact *fact = channel_fact_get(hub, wish->id);
			if (fact != NULL)
				wish->stream = fact->stream;
			break;
		}
		}
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
	teams_flush(hub);
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

/* The topic that looks everywhere is only being opened, and what was listed for it may be older than this. */
static void joined_meanwhile(struct client *client, struct stream s, bool direct)
{
	struct subscribe *sub = client->subscribes;

	if (sub == NULL || !(direct ? sub->wants_direct : sub->wants_teams) || sub->stage < SUBSCRIBE_OPENING ||
		subscribe_answer(sub, s) != NULL)
		return;
	want(sub, s, OPEN_BY_KEYS, NULL);
	struct stream_answer *answer = subscribe_answer(sub, s);
	struct member *member = member_find(client, s);
	answer->joined = true;
	answer->sought = direct ? ALL_CONVERSATIONS : ALL_TEAMS;
	/* It begins later than the rest of the wish. */
	if (member != NULL && member->opening != NULL)
		member->opening->give_up_at_ms = client->hub->now_mono_ms + PATIENCE_MS;
}

void subscribe_joined(struct client *client, struct stream s, uint32_t flag)
{
	struct member *member = member_find(client, s);
	bool direct = flag == CLIENT_DIRECT;

	if (client->state != CLIENT_READY)
		return;
	if ((client->flags & flag) == 0) {
		joined_meanwhile(client, s, direct);
		return;
	}
	if (member == NULL)
		open_stream(client, s, OPEN_BY_KEYS, settled);
	else if (direct && member->live && topics_in_conversation(member))
		subscription_add(member, TOPIC_WHOLE, 0); /* one of his channel topics was sooner */
}

void subscribe_member_gone(struct client *client, struct stream s)
{
	struct subscribe *sub = client->subscribes;
	struct stream_answer *answer = sub != NULL ? subscribe_answer(sub, s) : NULL;

	if (answer == NULL || answer->gone)
		return;
	refuse_stream(sub, s, STATUS_NOT_FOUND);
	if (answer->reading) {
		answer->reading = false;
		sub->reading--;
	}
	subscribe_advance(sub);
}
