/*
 * member - clients in streams, what they subscribed to there, and where channels are at home. See stream.h.
 */
#include "services/gateway/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "services/gateway/catchup.h"
#include "services/gateway/deliver.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"

/* ---- facts of channels */

struct channel_fact *channel_fact_get(struct hub *hub, uint64_t channel_id)
{
	return table_get(&hub->channels, channel_id);
}

void channel_fact_put(struct hub *hub, uint64_t channel_id, struct stream s, const char *audience)
{
	struct channel_fact *fact = channel_fact_get(hub, channel_id);

	if (audience == NULL || strlen(audience) >= AUDIENCE_SIZE)
		return;
	if (fact == NULL) {
		fact = memory_new(sizeof *fact);
		fact->channel_id = channel_id;
		table_put(&hub->channels, channel_id, fact);
	}
	fact->stream = s;
	strcpy(fact->audience, audience);
}

void channel_facts_forget(struct hub *hub, struct stream s)
{
	struct channel_fact *fact;
	size_t cursor = 0, count = 0;
	uint64_t *ids = memory_new((hub->channels.count + 1) * sizeof *ids);

	while ((fact = table_next(&hub->channels, &cursor)) != NULL)
		if (stream_compare(fact->stream, s) == 0)
			ids[count++] = fact->channel_id;
	while (count > 0)
		channel_fact_forget(hub, ids[--count]);
	free(ids);
}

void channel_fact_forget(struct hub *hub, uint64_t channel_id)
{
	free(table_remove(&hub->channels, channel_id));
}

/* ---- members */

struct member *member_find(const struct client *client, struct stream s)
{
	for (struct member *member = client->members; member != NULL; member = member->next)
		if (stream_compare(member->feed->stream, s) == 0)
			return member;
	return NULL;
}

struct member *member_add(struct client *client, struct feed *feed)
{
	struct member *member = memory_new(sizeof *member);

	member->client = client;
	member->feed = feed;
	member->next = client->members;
	member->link = &client->members;
	if (member->next != NULL)
		member->next->link = &member->next;
	client->members = member;
	return member;
}

void member_set_live(struct member *member)
{
	struct feed *feed = member->feed;

	assert(!member->live);
	if (feed->member_count == feed->member_capacity) {
		feed->member_capacity = feed->member_capacity == 0 ? 1 : feed->member_capacity * 2;
		feed->members = memory_resize(feed->members, feed->member_capacity * sizeof *feed->members);
	}
	member->index = feed->member_count;
	feed->members[feed->member_count++] = member;
	member->live = true;
	member->told = feed->applied;
	feed_check_empty(feed);
}

void member_set_keys(struct member *member, struct key_set *keys)
{
	key_set_unref(member->feed->keys, member->keys);
	member->keys = keys;
	for (struct subscription *sub = member->subs; sub != NULL; sub = sub->next)
		sub->list->entries[sub->index].keys = keys;
}

void member_drop_next(struct member *member)
{
	struct feed *feed = member->feed;

	if (member->next_keys == NULL)
		return;
	key_set_unref(feed->keys, member->next_keys);
	member->next_keys = NULL;
	member->doubtful = false;
	feed->keys_due--;
}

void member_remove(struct member *member)
{
	struct feed *feed = member->feed;

	while (member->subs != NULL)
		subscription_remove(member->subs);
	if (member->opening != NULL)
		opening_free(member->opening);
	catchup_free(member->catchup);
	if (member->live) {
		struct member *last = feed->members[--feed->member_count];
		feed->members[member->index] = last;
		last->index = member->index;
	}
	if (feed->keys != NULL) {
		member_drop_next(member);
		key_set_unref(feed->keys, member->keys);
	}
	*member->link = member->next;
	if (member->next != NULL)
		member->next->link = member->link;
	free(member);
	feed_check_empty(feed);
}

/* ---- subscriptions */

static struct topic_list *topic_list_of(
	struct feed *feed, size_t dialect_no, enum topic_class class, uint64_t id, bool make)
{
	struct topic_lists *lists = feed->topics[dialect_no];

	if (lists == NULL) {
		if (!make)
			return NULL;
		lists = feed->topics[dialect_no] = memory_new(sizeof *lists);
	}
	if (class == TOPIC_WHOLE)
		return &lists->whole;
	if (class == TOPIC_GLOBAL)
		return &lists->global;
	struct topic_list *list = table_get(&lists->channels, id);
	if (list == NULL && make) {
		list = memory_new(sizeof *list);
		table_put(&lists->channels, id, list);
	}
	return list;
}

struct subscription *subscription_find(const struct member *member, enum topic_class class, uint64_t id)
{
	for (struct subscription *sub = member->subs; sub != NULL; sub = sub->next)
		if (sub->class == class && sub->id == id)
			return sub;
	return NULL;
}

static void entry_move(struct topic_list *list, uint32_t from, uint32_t to)
{
	list->entries[to] = list->entries[from];
	list->entries[to].sub->index = to;
}

struct subscription *subscription_add(struct member *member, enum topic_class class, uint64_t id)
{
	struct subscription *sub = subscription_find(member, class, id);
	struct feed *feed = member->feed;

	if (sub != NULL)
		return sub;
	struct topic_list *list = topic_list_of(feed, member->client->dialect_no, class, id, true);
	if (list->count == list->capacity) {
		list->capacity = list->capacity == 0 ? 1 : list->capacity * 2;
		list->entries = memory_resize(list->entries, list->capacity * sizeof *list->entries);
	}
	sub = memory_new(sizeof *sub);
	*sub = (struct subscription){.next = member->subs,
		.member = member,
		.list = list,
		.index = list->count,
		.class = (uint8_t) class,
		.id = id};
	list->entries[list->count++] = (struct topic_entry){member->client, member->keys, sub};
	/* An event is on its way and passes this new entry by: it is after `applied`, so this one is to have
	 * it. */
	if (feed->current != NULL && member->live)
		deliver_late(feed->current, sub);
	member->subs = sub;
	return sub;
}

void subscription_remove(struct subscription *sub)
{
	struct member *member = sub->member;
	struct feed *feed = member->feed;
	struct topic_list *list = sub->list;
	struct delivery *d = feed->current;
	uint32_t hole = sub->index;

	/* While an event goes down the list, an entry that it has passed must not come before it again. */
	if (d != NULL && d->list == list && hole < d->at) {
		d->at--;
		entry_move(list, d->at, hole);
		hole = d->at;
	}
	list->count--;
	if (hole != list->count)
		entry_move(list, list->count, hole);
	for (struct subscription **link = &member->subs; *link != NULL; link = &(*link)->next) {
		if (*link == sub) {
			*link = sub->next;
			break;
		}
	}
	if (list->count == 0 && (d == NULL || d->list != list)) {
		free(list->entries);
		list->entries = NULL;
		list->capacity = 0;
		if (sub->class == TOPIC_CHANNEL) {
			table_remove(&feed->topics[member->client->dialect_no]->channels, sub->id);
			free(list);
		}
	}
	free(sub);
}
