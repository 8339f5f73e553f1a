/*
 * subscribe_streams - see subscribe_parts.h: the streams of a wish, where the client begins in each, and what it missed there.
 */
#include "services/gateway/subscribe_parts.h"

#include <string.h>

#include "common/ops/ops.h"
#include "services/gateway/catchup.h"
#include "services/gateway/topics.h"

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

bool subscribe_holds_key(const struct member *member, const struct topic_wish *wish)
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
				wish->judged = subscribe_holds_key(member, wish);
			if (wish->kind != TOPIC_KIND_CHANNEL || wish->judged)
				wish_subscribe(member, wish);
		} else if (wish->kind == TOPIC_KIND_GLOBAL && member->feed->stream.rank == RANK_TEAM && !direct) {
			subscription_add(member, TOPIC_GLOBAL, 0);
		} else if (wish->kind == TOPIC_KIND_USER && direct) {
			subscription_add(member, TOPIC_WHOLE, 0);
		}
	}
}

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

void subscribe_refuse_topics(struct subscribe *sub, uint64_t all, enum status st)
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
			subscribe_refuse_topics(sub, answer->sought, st);
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

void subscribe_refresh(struct subscribe *sub, struct member *member, struct stream_answer *answer)
{
	const struct position *since = since_of(sub, answer->stream);

	subscribe_all(sub, member);
	answer->seq = present_position(member);
	/* It was live here before: what its new topics had earlier would come out of order. */
	answer->recovered = since != NULL && same_log(sub) && since->seq == answer->seq;
}

void subscribe_want(struct subscribe *sub, struct stream s, enum open_source source, struct member **out_member)
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

/* The topic that looks everywhere is only being opened, and what was listed for it may be older than this. */
static void joined_meanwhile(struct client *client, struct stream s, bool direct)
{
	struct subscribe *sub = client->subscribes;

	if (sub == NULL || !(direct ? sub->wants_direct : sub->wants_teams) || sub->stage < SUBSCRIBE_OPENING ||
		subscribe_answer(sub, s) != NULL)
		return;
	subscribe_want(sub, s, OPEN_BY_KEYS, NULL);
	struct stream_answer *answer = subscribe_answer(sub, s);
	struct member *member = member_find(client, s);
	answer->joined = true;
	answer->sought = direct ? ALL_CONVERSATIONS : ALL_TEAMS;
	/* It begins later than the rest of the wish. */
	if (member != NULL && member->opening != NULL)
		member->opening->give_up_at_ms = client->hub->now_mono_ms + SUBSCRIBE_PATIENCE_MS;
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
