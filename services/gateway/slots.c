/*
 * slots - see slots.h.
 */
#include "services/gateway/slots.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/client.h"
#include "services/gateway/memory.h"
#include "services/gateway/stream.h"

#define READS_FLIGHT 8 /* people whose marks are being read */

struct slots_question {
	struct question question;
	uint64_t user_id;
};

static void unread_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

/* ---- marks */

/* The first slot that is not before the channel. */
static uint32_t place_of(const struct slots *slots, uint64_t channel_id)
{
	uint32_t low = 0, high = slots->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (slots->items[middle].channel_id < channel_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct slot *find(const struct user *user, uint64_t channel_id)
{
	const struct slots *slots = user->slots;

	if (slots == NULL || !slots->loaded || channel_id == 0)
		return NULL;
	uint32_t i = place_of(slots, channel_id);
	return i < slots->count && slots->items[i].channel_id == channel_id ? &slots->items[i] : NULL;
}

const struct slot *slots_find(const struct user *user, uint64_t channel_id)
{
	return find(user, channel_id);
}

static void slots_clear(struct slots *slots)
{
	for (uint32_t i = 0; i < slots->count; i++)
		free(slots->items[i].threads);
	slots->count = 0;
}

/* ---- the slots themselves */

/* NULL: there are as many as may be. */
static struct slot *slot_add(struct slots *slots, uint64_t channel_id)
{
	uint32_t i = place_of(slots, channel_id);

	if (i < slots->count && slots->items[i].channel_id == channel_id)
		return &slots->items[i];
	if (slots->count == SLOTS_MOST)
		return NULL;
	if (slots->count == slots->capacity) {
		slots->capacity = slots->capacity == 0 ? 4 : slots->capacity * 2;
		slots->items = memory_resize(slots->items, slots->capacity * sizeof *slots->items);
	}
	memmove(&slots->items[i + 1], &slots->items[i], (slots->count - i) * sizeof *slots->items);
	slots->items[i] = (struct slot){.channel_id = channel_id};
	slots->count++;
	return &slots->items[i];
}

bool slots_equal(const struct slot *a, const struct slot *b)
{
	return a->channel_id == b->channel_id && a->last_read_id == b->last_read_id && a->mark == b->mark &&
	       a->counted == b->counted && a->thread_count == b->thread_count && a->thread_total == b->thread_total &&
	       a->flag == b->flag && a->recorded == b->recorded;
}

bool slot_rights_equal(const struct slot_rights *a, const struct slot_rights *b)
{
	return a->bits.low == b->bits.low && a->bits.high == b->bits.high && a->status == b->status && a->role == b->role &&
	       a->unlisted == b->unlisted;
}

/* ---- reading them */

static void queue_read(struct hub *hub, struct user *user)
{
	struct slots *slots = user->slots;

	if (slots->asking != NULL || slots->queued) {
		slots->stale = slots->asking != NULL;
		return;
	}
	slots->queued = true;
	slots->next_unasked = NULL;
	*hub->slots_unasked_end = user;
	hub->slots_unasked_end = &slots->next_unasked;
}

static void unqueue(struct hub *hub, struct user *user)
{
	struct user **link = &hub->slots_unasked;

	if (!user->slots->queued)
		return;
	while (*link != user)
		link = &(*link)->slots->next_unasked;
	*link = user->slots->next_unasked;
	if (*link == NULL)
		hub->slots_unasked_end = link;
	user->slots->queued = false;
}

void slots_flush(struct hub *hub)
{
	while (hub->slots_unasked != NULL && hub->slots_in_flight < READS_FLIGHT) {
		struct user *user = hub->slots_unasked;
		struct client *by = user->clients;
		unqueue(hub, user);
		while (by != NULL && !by->slots)
			by = by->user_next;
		if (by == NULL)
			continue;
		struct slots_question *asked = memory_new(sizeof *asked);
		*asked = (struct slots_question){.question.answered = unread_answered, .user_id = user->id};
		user->slots->asking = &asked->question;
		user->slots->stale = false;
		hub->slots_in_flight++;
		hub->options.ports->ask_unread(hub->options.arg, hub_ask(hub, &asked->question), by);
	}
}

static uint64_t without_replies(uint64_t counted, uint64_t replies)
{
	return counted > replies ? counted - replies : 0;
}

static void take(struct slots *slots, const pb_ListUnreadReply *got)
{
	slots_clear(slots);
	for (pb_size_t i = 0; i < got->unread_count; i++) {
		const pb_UnreadView *view = &got->unread[i];
		struct slot *slot = slot_add(slots, view->channel_id);
		if (slot == NULL)
			return;
		slot->last_read_id = view->main_last_read_id;
		slot->mark = without_replies(view->counted_mark, view->replies_mark);
		slot->counted = slot->mark + view->main_unread;
		for (pb_size_t t = 0; t < view->threads_count; t++) {
			const pb_ThreadMark *mark = &view->threads[t];
			struct slot_thread *thread = slot_thread_add(slot, mark->root_id);
			thread->last_read_id = mark->last_read_id;
			thread->read = (uint32_t)mark->read_count;
			thread->counted = (uint32_t)(mark->read_count + mark->unread);
		}
		slot_threads_sum(slot);
		slot->flag = (uint8_t)view->flag;
		slot->recorded = view->recorded;
	}
}

static void tell(struct user *user, enum status st)
{
	struct client *next = NULL;

	for (struct client *client = user->clients; client != NULL; client = next) {
		void (*done)(struct client *, enum status) = client->slots_done;
		next = client->user_next;
		client->slots_done = NULL;
		if (done != NULL && client->state == CLIENT_READY)
			done(client, st);
	}
}

static void unread_answered(
	struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct slots_question *asked = (struct slots_question *)question;
	struct user *user = hub_user(hub, asked->user_id);
	struct slots *slots = user != NULL ? user->slots : NULL;
	bool ours = slots != NULL && slots->asking == question;

	hub->slots_in_flight--;
	free(asked);
	if (!ours)
		return;
	slots->asking = NULL;
	if (st == STATUS_OK) {
		take(slots, reply);
		slots->loaded = true;
		if (slots->stale)
			queue_read(hub, user);
	} else {
		log_warn("slots_unread", LOG_ID("user", user->id), LOG_STATUS("status", st));
	}
	tell(user, slots->loaded ? STATUS_OK : STATUS_BUSY);
}

void slots_want(struct client *client, void (*done)(struct client *client, enum status st))
{
	struct hub *hub = client->hub;
	struct user *user = client->user;

	if (user->slots == NULL) {
		user->slots = memory_new(sizeof *user->slots);
		hub->slots_kept++;
	}
	if (!client->slots) {
		client->slots = true;
		user->slots->wanted++;
	}
	client->slots_done = done;
	queue_read(hub, user);
}

static void drop(struct hub *hub, struct user *user)
{
	if (user->slots == NULL)
		return;
	unqueue(hub, user);
	slots_clear(user->slots);
	free(user->slots->items);
	free(user->slots);
	user->slots = NULL;
	hub->slots_kept--;
}

void slots_leave(struct client *client)
{
	client->slots_done = NULL;
	if (!client->slots)
		return;
	client->slots = false;
	if (--client->user->slots->wanted == 0)
		drop(client->hub, client->user);
}

/* ---- events that move marks */

/* Something happened to the marks themselves that an event does not tell in full. */
static void reread(struct hub *hub, uint64_t user_id)
{
	struct user *user = hub_user(hub, user_id);

	if (user != NULL && user->slots != NULL)
		queue_read(hub, user);
}

/* The message is unread already. */
static void place(struct slot *slot, const pb_MessageView *posted)
{
	bool counts = posted->root_id == 0 && posted->kind != MESSAGE_SYSTEM;

	if (slot->placeless)
		slot->mark = slot->counted - (counts && slot->counted > 0);
	slot->placeless = false;
}

static struct slot *receive(struct user *user, uint64_t channel_id, const pb_Event *body)
{
	struct slot *slot = find(user, channel_id);

	if (slot == NULL)
		return NULL;
	if (body->which_body == EVENT_KIND_message_posted) {
		const pb_ChannelRef *channel = &body->body.message_posted.channel;
		if (channel->counted != 0) { /* else it was read from a log that does not say */
			slot->counted = without_replies(channel->counted, channel->replies_counted);
			place(slot, &body->body.message_posted.message);
		}
	} else if (body->which_body == EVENT_KIND_message_deleted) {
		const pb_ChannelRef *channel = &body->body.message_deleted.channel;
		slot->counted = without_replies(channel->counted, channel->replies_counted);
	}
	return slot;
}

const struct slot *slots_receive(struct user *user, uint64_t channel_id, const pb_Event *body)
{
	return receive(user, channel_id, body);
}

/* What is his own moves while it is being read: nobody knows which came first. */
static struct slots *moved(struct user *user)
{
	if (user == NULL || user->slots == NULL)
		return NULL;
	user->slots->stale = user->slots->stale || user->slots->asking != NULL;
	return user->slots->loaded ? user->slots : NULL;
}

/* A reply came (by: its author) or went. Where a reader stands in the thread is the event's to say only as long as nothing is known of it:
 * his marks come in his own stream, and may have come before. */
static void readers_move(
	struct hub *hub, const pb_MessageView *reply, uint64_t by, const pb_ThreadReader *readers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const pb_ThreadReader *reader = &readers[i];
		struct user *user = hub_user(hub, reader->user_id);
		struct slots *slots = moved(user);
		struct slot *slot = slots != NULL ? slot_add(slots, reply->channel_id) : NULL;
		if (slot == NULL)
			continue;
		bool known = slot_thread(slot, reply->root_id) != NULL;
		struct slot_thread *thread = slot_thread_add(slot, reply->root_id);
		if (!known || reader->user_id == by) {
			thread->read = (uint32_t)reader->read_count;
			thread->last_read_id = reader->last_read_id;
		}
		thread->counted = (uint32_t)(reader->read_count + reader->thread_count);
		if (thread->read > thread->counted)
			thread->read = thread->counted;
		slot_threads_sum(slot);
	}
}

/* Who writes has read the main stream when that is where he writes; and he is counted from now on. */
static void posted(struct hub *hub, const pb_Event *body)
{
	const pb_MessagePosted *e = &body->body.message_posted;
	uint64_t by = e->message.has_author ? e->message.author.id : 0;
	struct user *author = hub_user(hub, by);
	struct slots *slots = moved(author);

	readers_move(hub, &e->message, by, e->readers, e->readers_count);
	if (slots == NULL || e->message.kind == MESSAGE_SYSTEM || slot_add(slots, e->channel.id) == NULL)
		return;
	struct slot *slot = receive(author, e->channel.id, body);
	if (e->message.root_id == 0 || !slot->recorded)
		slot->mark = slot->counted;
	if (e->message.root_id == 0)
		slot->last_read_id = e->message.id;
	slot->recorded = true;
}

/* A thread goes with its root. */
static void thread_gone(struct feed *feed, const pb_MessageView *root)
{
	for (uint32_t i = 0; i < feed->member_count; i++) {
		struct user *user = feed->members[i]->client->user;
		struct slot *slot = moved(user) != NULL ? find(user, root->channel_id) : NULL;
		if (slot == NULL)
			continue;
		slot_thread_remove(slot, root->id);
		slot_threads_sum(slot);
	}
}

static void deleted(struct feed *feed, const pb_MessageDeleted *e)
{
	readers_move(feed->hub, &e->message, 0, e->readers, e->readers_count);
	if (e->message.root_id == 0 && e->message.reply_count > 0)
		thread_gone(feed, &e->message);
}

static void thread_marked(struct slot *slot, const pb_ReadStateChanged *e)
{
	struct slot_thread *thread = slot_thread_add(slot, e->root_id);
	uint32_t replies = (uint32_t)(e->thread_read + e->thread_unread);

	thread->last_read_id = e->last_read_id;
	thread->read = (uint32_t)e->thread_read;
	if (thread->counted < replies)
		thread->counted = replies;
}

static void marked(struct hub *hub, const pb_ReadStateChanged *e)
{
	struct user *user = hub_user(hub, e->user_id);
	struct slots *slots = moved(user);
	struct slot *slot = slots != NULL ? slot_add(slots, e->channel.id) : NULL;

	if (slot == NULL)
		return;
	if (e->root_id != 0)
		thread_marked(slot, e);
	for (uint16_t i = 0; e->clear_all && i < slot->threads_known; i++)
		slot->threads[i].read = slot->threads[i].counted;
	slot_threads_sum(slot);
	slot->recorded = true;
	slot->placeless = false;
	slot->mark = without_replies(e->counted, e->replies_counted);
	if (slot->counted < slot->mark)
		slot->counted = slot->mark;
	slot->last_read_id = e->main_last_read_id;
}

/* Counts are shown to him from now on, of what comes, also in a channel of which nothing was known: the rest is read again. */
static void joined(struct hub *hub, const pb_ChannelMemberJoined *e)
{
	struct user *user = hub_user(hub, e->user.id);
	struct slots *slots = moved(user);
	bool known = slots != NULL && find(user, e->channel.id) != NULL;
	struct slot *slot = slots != NULL ? slot_add(slots, e->channel.id) : NULL;

	if (slot != NULL && !slot->recorded) {
		slot->recorded = true;
		slot->mark = slot->counted;
		slot->placeless = !known;
	}
	reread(hub, e->user.id);
}

void slots_obey(struct feed *feed, const pb_Event *body)
{
	struct hub *hub = feed->hub;

	switch ((int)body->which_body) {
	case EVENT_KIND_message_posted:
		posted(hub, body);
		return;
	case EVENT_KIND_message_deleted:
		deleted(feed, &body->body.message_deleted);
		return;
	case EVENT_KIND_read_state_changed:
		marked(hub, &body->body.read_state_changed);
		return;
	case EVENT_KIND_channel_pref_changed: {
		const pb_ChannelPrefChanged *e = &body->body.channel_pref_changed;
		struct user *user = hub_user(hub, e->user_id);
		struct slots *slots = moved(user);
		struct slot *slot = slots != NULL ? slot_add(slots, e->channel.id) : NULL;
		if (slot != NULL)
			slot->flag = (uint8_t)e->flag;
		return;
	}
	case EVENT_KIND_channel_member_joined:
		joined(hub, &body->body.channel_member_joined);
		return;
	case EVENT_KIND_audience_changed: /* channels that he came to see, with what was unread there */
		if (body->body.audience_changed.gained_count > 0)
			reread(hub, body->body.audience_changed.user_id);
		return;
	default:
		return;
	}
}
