/*
 * open - see open.h. The law is the event log's section 5; what each rule prevents is in the model beside it.
 */
#include "services/gateway/open_parts.h"

#include <stdlib.h>

#include "services/gateway/memory.h"

#define PATIENCE_MS      3000 /* then a client hears `busy` */
#define ASKS_BEFORE_HOLD 3

static void hold(struct opening *opening)
{
	if (opening->holds)
		return;
	opening->holds = true;
	opening->member->feed->holds++;
}

static void unhold(struct opening *opening)
{
	if (!opening->holds)
		return;
	opening->holds = false;
	opening->member->feed->holds--;
	feed_wake(opening->member->feed);
}

static void opening_ask(struct opening *opening)
{
	opening->state = OPENING_UNASKED;
	opening->question = 0;
	open_unasked_add(opening->member->feed);
}

static void opening_retry(struct timer *timer, int64_t now_mono_ms)
{
	opening_ask(memory_holder(timer, struct opening, retry));
}

void opening_free(struct opening *opening)
{
	struct member *member = opening->member;

	unhold(opening);
	wheel_stop(&member->feed->hub->wheel, &opening->retry);
	*opening->link = opening->next;
	if (opening->next != NULL)
		opening->next->link = opening->link;
	if (member->feed->keys != NULL)
		key_set_unref(member->feed->keys, opening->keys);
	member->opening = NULL;
	free(opening);
}

struct member *open_stream(struct client *client, struct stream s, enum open_source source,
	void (*settled)(struct client *client, struct stream s, struct member *member, enum status st))
{
	struct hub *hub = client->hub;
	struct feed *feed = feed_get(hub, s);
	struct member *member = member_add(client, feed);
	struct opening *opening = memory_new(sizeof *opening);

	*opening = (struct opening){.member = member,
		.next = feed->openings,
		.link = &feed->openings,
		.state = OPENING_ASKED,
		.source = source,
		.give_up_at_ms = hub->now_mono_ms + PATIENCE_MS,
		.retry.fire = opening_retry,
		.settled = settled};
	if (opening->next != NULL)
		opening->next->link = &opening->next;
	feed->openings = opening;
	member->opening = opening;
	feed_check_empty(feed);
	switch (source) {
	case OPEN_BY_KEYS:
		opening_ask(opening);
		break;
	case OPEN_BY_HEAD:
		/* Its key is everybody's and nobody loses it: any position of the stream will do to begin at.
		 */
		if (feed->state == FEED_UNFOLLOWED)
			opening_ask(opening);
		else
			opening_answer(opening, NULL, 0, 0);
		break;
	case OPEN_ANSWERED:
	case OPEN_BY_TOKEN:
		break;
	}
	return member;
}

void opening_answer(struct opening *opening, struct key_set *keys, uint64_t as_of, uint64_t unchanged_since)
{
	struct feed *feed = opening->member->feed;
	struct hub *hub = feed->hub;

	if (feed->keys != NULL)
		key_set_unref(feed->keys, opening->keys);
	opening->keys = keys;
	opening->as_of = as_of;
	opening->unchanged_since = unchanged_since;
	opening->state = OPENING_ANSWERED;
	feed_follow(feed, as_of);
	/* Behind: the order hears that there is more, should the bus have lost it. */
	if (feed->state == FEED_FOLLOWED && as_of > feed->seen)
		hub->options.ports->hint(hub->options.arg, feed->stream, as_of);
	unhold(opening);
	feed_wake(feed);
}

void opening_refuse(struct opening *opening, enum status st)
{
	struct member *member = opening->member;
	struct client *client = member->client;
	struct stream s = member->feed->stream;
	void (*settled)(struct client *, struct stream, struct member *, enum status) = opening->settled;

	member_remove(member);
	if (settled != NULL)
		settled(client, s, NULL, st);
}

void opening_failed(struct opening *opening, enum status st)
{
	struct hub *hub = opening->member->feed->hub;

	/* A stream that cannot be asked about must not stand still meanwhile. */
	unhold(opening);
	opening->question = 0;
	if (hub->now_mono_ms >= opening->give_up_at_ms)
		opening_refuse(opening, STATUS_BUSY);
	else
		wheel_start(&hub->wheel, &opening->retry, hub->now_mono_ms + OPEN_RETRY_MS);
}

/* In the one team that its dialect serves a client stays as long as its user may come in. */
static bool may_stay(const struct member *member)
{
	const struct feed *feed = member->feed;
	char entry[AUDIENCE_SIZE];

	if (feed->stream.rank != RANK_TEAM || feed->stream.id != member->client->served_team)
		return true;
	audience_can(entry, feed->stream.id, PERMISSION_access_team);
	return key_set_has(member->keys, key_find(feed->keys, entry));
}

bool open_take_keys(struct member *member, struct key_set *keys)
{
	member_set_keys(member, keys);
	if (may_stay(member))
		return true;
	client_close(member->client, CLOSE_NO_ACCESS, true);
	return false;
}

static void opening_live(struct opening *opening)
{
	struct member *member = opening->member;
	struct client *client = member->client;
	struct stream s = member->feed->stream;
	void (*settled)(struct client *, struct stream, struct member *, enum status) = opening->settled;

	member->as_of = opening->source == OPEN_BY_HEAD ? member->feed->applied : opening->as_of;
	member->unchanged_since = opening->unchanged_since;
	struct key_set *keys = opening->keys;
	opening->keys = NULL;
	opening_free(opening);
	if (member->feed->keys != NULL && !open_take_keys(member, keys))
		return;
	member_set_live(member);
	if (settled != NULL)
		settled(client, s, member, STATUS_OK);
}

static void openings_settle(struct feed *feed)
{
	struct opening *next = NULL;

	for (struct opening *opening = feed->openings; opening != NULL; opening = next) {
		next = opening->next;
		if (opening->state != OPENING_ANSWERED)
			continue;
		if (opening->source == OPEN_BY_HEAD || opening->as_of == feed->applied) {
			opening_live(opening);
			continue;
		}
		if (opening->as_of > feed->applied)
			continue;
		/* The stream has passed the answer: what it says may be revoked by an event that was not seen
		 * with it. */
		if (opening->asks < UINT8_MAX)
			opening->asks++;
		if (opening->asks >= ASKS_BEFORE_HOLD)
			hold(opening);
		if (opening->source == OPEN_BY_TOKEN) {
			opening->state = OPENING_ASKED;
			opening->again(opening->member->client);
		} else {
			opening->source = OPEN_BY_KEYS;
			opening_ask(opening);
		}
	}
}

void open_settle(struct feed *feed)
{
	if (feed->state != FEED_FOLLOWED)
		return;
	if (feed->keys_due > 0) {
		for (uint32_t i = feed->member_count; i-- > 0;) { /* one that goes has its place taken by the last */
			struct member *member = feed->members[i];
			if (member->next_keys == NULL || member->next_at > feed->applied)
				continue;
			struct key_set *keys = key_set_ref(member->next_keys);
			member_drop_next(member);
			open_take_keys(member, keys);
		}
	}
	if (feed->openings != NULL)
		openings_settle(feed);
}

void open_followed(struct feed *feed)
{
	struct hub *hub = feed->hub;
	uint64_t most = 0;

	for (struct opening *opening = feed->openings; opening != NULL; opening = opening->next)
		if (opening->state == OPENING_ANSWERED && opening->as_of > most)
			most = opening->as_of;
	if (most > feed->applied)
		hub->options.ports->hint(hub->options.arg, feed->stream, most);
	feed_wake(feed);
}
