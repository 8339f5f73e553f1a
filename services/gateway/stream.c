/*
 * stream - see stream.h.
 */
#include "services/gateway/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/catchup.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/subscribe.h"

#define DEFAULT_SLICE      512
#define PENDING_MOST_BYTES (4u << 20) /* of one stream; beyond it the log is read instead */
#define REFILL_EVENTS      512
#define REFILL_RETRY_MS    250
#define AWAY_MOST_MS       2000 /* over which clients that must come back are spread */

/* An event on its way to the members of a feed. */
struct delivery {
	struct bus_event *ev;
	const struct logged_event *logged;
	const pb_Event *body;
	uint64_t serial;
	uint32_t key;
	bool copies, bulk, reached;
	bool doubts;            /* somebody's keys are not known at present */
	/* where it stands */
	size_t dialect_no;      /* the next to place */
	struct topic_lists *lists;
	struct topic_list *list;
	enum topic_class class; /* of list */
	enum topic_class step;  /* the class after it */
	uint32_t at;            /* entries of list below it are still to be visited */
	bool check;             /* another list may have brought it */
	struct placement place;
	struct frame *frames[DIALECT_VARIANTS];
	uint8_t rendered;      /* a bit per variant */
};

/* ---- feeds */

struct feed *feed_find(struct hub *hub, struct stream s)
{
	return s.rank >= RANK_TEAM && s.rank <= RANK_GLOBAL ? table_get(&hub->feeds[s.rank], s.id) : NULL;
}

static void linger(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->lingers)
		return;
	feed->lingers = true;
	feed->empty_since_ms = hub->now_mono_ms;
	feed->lingering_next = hub->lingering;
	feed->lingering_link = &hub->lingering;
	if (feed->lingering_next != NULL)
		feed->lingering_next->lingering_link = &feed->lingering_next;
	hub->lingering = feed;
}

static void linger_no_more(struct feed *feed)
{
	if (!feed->lingers)
		return;
	feed->lingers = false;
	*feed->lingering_link = feed->lingering_next;
	if (feed->lingering_next != NULL)
		feed->lingering_next->lingering_link = feed->lingering_link;
}

struct feed *feed_get(struct hub *hub, struct stream s)
{
	struct feed *feed = feed_find(hub, s);

	assert(s.rank >= RANK_TEAM && s.rank <= RANK_GLOBAL);
	if (feed != NULL)
		return feed;
	feed = memory_new(sizeof *feed);
	feed->hub = hub;
	feed->stream = s;
	feed->constant = s.rank != RANK_TEAM;
	if (!feed->constant)
		feed->keys = memory_new(sizeof *feed->keys);
	table_put(&hub->feeds[s.rank], s.id, feed);
	linger(feed);
	return feed;
}

void feed_check_empty(struct feed *feed)
{
	if (feed->member_count == 0 && feed->openings == NULL)
		linger(feed);
	else
		linger_no_more(feed);
}

void feed_follow(struct feed *feed, uint64_t at)
{
	struct hub *hub = feed->hub;

	if (feed->state != FEED_UNFOLLOWED)
		return;
	feed->state = FEED_FOLLOWING;
	feed->follow = ++hub->last_follow;
	hub->options.ports->follow(hub->options.arg, feed->stream, at, feed->follow);
}

void feed_wake(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->active)
		return;
	feed->active = true;
	feed->active_next = NULL;
	*hub->active_end = feed;
	hub->active_end = &feed->active_next;
}

static void pending_push(struct feed *feed, struct bus_event *ev)
{
	if (feed->pending_count == feed->pending_capacity) {
		uint32_t capacity = feed->pending_capacity == 0 ? 4 : feed->pending_capacity * 2;
		struct bus_event **ring = memory_resize(NULL, capacity * sizeof *ring);
		for (uint32_t i = 0; i < feed->pending_count; i++)
			ring[i] = feed->pending[(feed->pending_begin + i) % feed->pending_capacity];
		free(feed->pending);
		feed->pending = ring;
		feed->pending_capacity = capacity;
		feed->pending_begin = 0;
	}
	feed->pending[(feed->pending_begin + feed->pending_count++) % feed->pending_capacity] = bus_event_ref(ev);
	feed->pending_bytes += bus_event_logged(ev)->payload_length;
}

static struct bus_event *pending_pop(struct feed *feed)
{
	struct bus_event *ev = feed->pending[feed->pending_begin];

	feed->pending_begin = (feed->pending_begin + 1) % feed->pending_capacity;
	feed->pending_count--;
	feed->pending_bytes -= bus_event_logged(ev)->payload_length;
	if (feed->pending_count == 0) { /* a stream at rest owns nothing */
		free(feed->pending);
		feed->pending = NULL;
		feed->pending_capacity = feed->pending_begin = 0;
	}
	return ev;
}

static void delivery_free(struct delivery *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < DIALECT_VARIANTS; i++)
		frame_unref(d->frames[i]);
	bus_event_unref(d->ev);
	free(d);
}

static void active_remove(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (!feed->active)
		return;
	for (struct feed **link = &hub->active; *link != NULL; link = &(*link)->active_next) {
		if (*link != feed)
			continue;
		*link = feed->active_next;
		if (hub->active_end == &feed->active_next)
			hub->active_end = link;
		break;
	}
	feed->active = false;
}

static void unasked_remove(struct feed *feed)
{
	if (!feed->unasked)
		return;
	for (struct feed **link = &feed->hub->unasked; *link != NULL; link = &(*link)->unasked_next) {
		if (*link == feed) {
			*link = feed->unasked_next;
			break;
		}
	}
	feed->unasked = false;
}

static void topic_lists_free(struct topic_lists *lists)
{
	size_t cursor = 0;
	struct topic_list *list;

	if (lists == NULL)
		return;
	while ((list = table_next(&lists->channels, &cursor)) != NULL) {
		free(list->entries);
		free(list);
	}
	table_finish(&lists->channels);
	free(lists->whole.entries);
	free(lists->global.entries);
	free(lists);
}

static void refill_cancel(struct feed *feed);

/* Everything about what was heard so far; members stay. */
static void feed_unfollow(struct feed *feed)
{
	struct hub *hub = feed->hub;

	if (feed->state != FEED_UNFOLLOWED)
		hub->options.ports->unfollow(hub->options.arg, feed->stream, feed->follow);
	feed->state = FEED_UNFOLLOWED;
	while (feed->pending_count > 0)
		bus_event_unref(pending_pop(feed));
	delivery_free(feed->current);
	feed->current = NULL;
	feed->overflowed = false;
	refill_cancel(feed);
}

void feed_free(struct feed *feed)
{
	struct hub *hub = feed->hub;

	assert(feed->member_count == 0 && feed->openings == NULL);
	feed_unfollow(feed);
	recheck_free(feed->recheck);
	active_remove(feed);
	unasked_remove(feed);
	linger_no_more(feed);
	table_remove(&hub->feeds[feed->stream.rank], feed->stream.id);
	for (size_t i = 0; i < DIALECT_MOST; i++)
		topic_lists_free(feed->topics[i]);
	if (feed->keys != NULL)
		key_table_finish(feed->keys);
	free(feed->keys);
	free(feed->members);
	free(feed);
}

void feed_sweep(struct hub *hub, int64_t linger_ms)
{
	struct feed *next = NULL;

	for (struct feed *feed = hub->lingering; feed != NULL; feed = next) {
		next = feed->lingering_next;
		if (hub->now_mono_ms - feed->empty_since_ms >= linger_ms)
			feed_free(feed);
	}
}

void feed_abandon(struct feed *feed, const char *why)
{
	log_info("stream_abandoned", LOG_U64("rank", feed->stream.rank), LOG_ID("stream", feed->stream.id), LOG_STR("why", why),
		LOG_U64("members", feed->member_count));
	while (feed->member_count > 0)
		client_send_away(feed->members[feed->member_count - 1]->client, CLOSE_MISSED, AWAY_MOST_MS);
	while (feed->openings != NULL)
		client_send_away(feed->openings->member->client, CLOSE_MISSED, AWAY_MOST_MS);
	feed_unfollow(feed);
	feed_check_empty(feed);
}

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

static struct topic_list *topic_list_of(struct feed *feed, size_t dialect_no, enum topic_class class, uint64_t id, bool make)
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

static void deliver_late(struct delivery *d, struct subscription *sub);

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
	*sub = (struct subscription){.next = member->subs, .member = member, .list = list, .index = list->count, .class = (uint8_t)class, .id = id};
	list->entries[list->count++] = (struct topic_entry){member->client, member->keys, sub};
	/* An event is on its way and passes this new entry by: it is after `applied`, so this one is to have it. */
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

/* ---- delivery */

/* Can this event come a second time, as a copy in another stream (same event_id)? */
static bool has_copies(uint32_t kind)
{
	switch ((enum event_kind)kind) {
	case EVENT_KIND_account_updated:
	case EVENT_KIND_team_created:
	case EVENT_KIND_member_joined:
	case EVENT_KIND_member_removed:
	case EVENT_KIND_member_updated:
	case EVENT_KIND_member_banned:
	case EVENT_KIND_member_unbanned:
	case EVENT_KIND_channel_member_joined:
	case EVENT_KIND_channel_member_left:
	case EVENT_KIND_channel_member_kicked:
	case EVENT_KIND_channel_member_updated:
	case EVENT_KIND_channel_user_banned:
	case EVENT_KIND_channel_user_unbanned:
	case EVENT_KIND_status_changed:
		return true;
	case EVENT_KIND_none:
	case EVENT_KIND_account_created:
	case EVENT_KIND_account_closed:
	case EVENT_KIND_session_revoked:
	case EVENT_KIND_session_opened:
	case EVENT_KIND_audience_changed:
	case EVENT_KIND_audience_recheck:
	case EVENT_KIND_team_updated:
	case EVENT_KIND_team_deleted:
	case EVENT_KIND_channel_created:
	case EVENT_KIND_channel_updated:
	case EVENT_KIND_channel_deleted:
	case EVENT_KIND_message_posted:
	case EVENT_KIND_message_updated:
	case EVENT_KIND_message_deleted:
	case EVENT_KIND_read_state_changed:
	case EVENT_KIND_typing_changed:
	case EVENT_KIND_presence_changed:
		return false;
	}
	return false; /* a kind of a newer peer */
}

static bool only_users_allow(const pb_Event *body, const struct client *client)
{
	if (body->only_users_count == 0)
		return true;
	for (pb_size_t i = 0; i < body->only_users_count; i++)
		if (body->only_users[i] == client->user->id)
			return true;
	return false;
}

static struct frame *render(struct hub *hub, const struct dialect_table *dialect, const struct logged_event *logged,
	const pb_Event *body, unsigned variant)
{
	size_t length = 0;
	const char *text = dialect->render(hub->scratch, logged, body, variant, &length);
	struct frame *frame = text != NULL ? frame_make(FRAME_TEXT, text, length) : NULL;

	metric_add(ws_frames_rendered, 1);
	arena_reset(hub->scratch);
	return frame;
}

static struct frame *frame_of(struct hub *hub, struct delivery *d, const struct client *client)
{
	unsigned variant = client->variant;

	assert(variant < DIALECT_VARIANTS);
	if ((d->rendered >> variant & 1) == 0) {
		d->rendered |= (uint8_t)(1u << variant);
		d->frames[variant] = render(hub, client->dialect, d->logged, d->body, variant);
	}
	return d->frames[variant];
}

static void append(struct hub *hub, struct delivery *d, struct client *client, struct key_set *keys, struct subscription *sub)
{
	bool doubtful = d->doubts && sub->member->doubtful;
	if (keys != NULL && !key_set_holds(keys, d->key, d->serial) && !doubtful)
		return;
	if (!only_users_allow(d->body, client))
		return;
	struct frame *frame = frame_of(hub, d, client);
	if (doubtful) {
		/* To send it may leak, to leave it out may lose: the client is told, and comes back to a fresh answer. */
		if (frame != NULL)
			client_send_away(client, CLOSE_MISSED, AWAY_MOST_MS);
		return;
	}
	if (frame == NULL || (d->copies && !client_first_copy(client, d->body->event_id)))
		return;
	bool catching = (client->flags & CLIENT_CATCHING) != 0 && sub->member->catchup != NULL;
	if (!(catching ? catchup_append(sub->member, frame) : client_append(client, frame, d->bulk)))
		return;
	d->reached = true;
	if ((client->flags & CLIENT_RESUME) != 0)
		sub->member->told = d->logged->seq;
}

/* May another subscription of a member in this list, visited before, have brought it the event? */
static bool list_needs_check(const struct delivery *d)
{
	return (d->class != TOPIC_WHOLE && d->place.whole && d->lists->whole.count > 0) ||
	       (d->class == TOPIC_GLOBAL && d->place.channel_id != 0);
}

static bool earlier(const struct delivery *d, const struct member *member)
{
	if (d->place.whole && subscription_find(member, TOPIC_WHOLE, 0) != NULL)
		return true;
	return d->class == TOPIC_GLOBAL && d->place.channel_id != 0 &&
	       subscription_find(member, TOPIC_CHANNEL, d->place.channel_id) != NULL;
}

static void fact_learn(struct hub *hub, const struct logged_event *logged, const struct placement *place)
{
	struct channel_fact *fact = place->channel_id != 0 ? channel_fact_get(hub, place->channel_id) : NULL;

	if (logged->kind == EVENT_KIND_channel_deleted)
		channel_fact_forget(hub, place->channel_id);
	else if (fact != NULL && strcmp(fact->audience, logged->audience) != 0)
		strcpy(fact->audience, logged->audience);
}

static bool next_dialect(struct feed *feed, struct delivery *d)
{
	for (; d->dialect_no < dialect_count; d->dialect_no++) {
		if (feed->topics[d->dialect_no] == NULL)
			continue;
		for (size_t i = 0; i < DIALECT_VARIANTS; i++) {
			frame_unref(d->frames[i]);
			d->frames[i] = NULL;
		}
		d->rendered = 0;
		d->place = (struct placement){0};
		d->step = TOPIC_WHOLE;
		if (!dialects[d->dialect_no]->place(d->logged, d->body, &d->place))
			continue;
		fact_learn(feed->hub, d->logged, &d->place);
		d->lists = feed->topics[d->dialect_no++];
		return true;
	}
	return false;
}

/* The next list that has entries for the event. False: all were visited. */
static bool delivery_next_list(struct feed *feed, struct delivery *d)
{
	for (;;) {
		if ((d->lists == NULL || d->step == TOPIC_CLASSES) && !next_dialect(feed, d)) {
			d->list = NULL;
			return false;
		}
		d->class = d->step++;
		switch (d->class) {
		case TOPIC_WHOLE:
			d->list = d->place.whole ? &d->lists->whole : NULL;
			break;
		case TOPIC_CHANNEL:
			d->list = d->place.channel_id != 0 ? table_get(&d->lists->channels, d->place.channel_id) : NULL;
			break;
		case TOPIC_GLOBAL:
			d->list = d->place.global ? &d->lists->global : NULL;
			break;
		case TOPIC_CLASSES:
			break;
		}
		if (d->list == NULL || d->list->count == 0)
			continue;
		d->at = d->list->count;
		d->check = list_needs_check(d);
		d->bulk = d->bulk || d->at > feed->hub->options.slice;
		return true;
	}
}

static bool subscription_shows(const struct subscription *sub, const struct placement *place)
{
	return sub->class == TOPIC_WHOLE    ? place->whole
	       : sub->class == TOPIC_GLOBAL ? place->global
					    : place->channel_id == sub->id;
}

/* A subscription made while the event goes down the lists. */
static void deliver_late(struct delivery *d, struct subscription *sub)
{
	struct hub *hub = sub->member->feed->hub;
	struct client *client = sub->member->client;
	struct placement place = {0};

	if (!client->dialect->place(d->logged, d->body, &place))
		return;
	if (!subscription_shows(sub, &place))
		return;
	for (struct subscription *old = sub->member->subs; old != NULL; old = old->next)
		if (subscription_shows(old, &place))
			return; /* another one brings it */
	/* Lists that are still to come find the new entry by themselves; those that were visited, and the one in work, do not. */
	bool same_dialect = d->dialect_no > 0 && client->dialect_no == d->dialect_no - 1;
	if (client->dialect_no >= d->dialect_no || (same_dialect && sub->class > d->class))
		return;
	struct delivery alone = {.ev = d->ev, .logged = d->logged, .body = d->body, .serial = ++hub->last_serial, .key = d->key,
		.copies = d->copies, .doubts = d->doubts};
	append(hub, &alone, client, sub->member->keys, sub);
	for (size_t i = 0; i < DIALECT_VARIANTS; i++)
		frame_unref(alone.frames[i]);
}

/* What an event of somebody's own stream means for his sockets. Some of them may be closed by it. */
static void own_event(struct feed *feed, const pb_Event *body)
{
	switch ((int)body->which_body) {
	case EVENT_KIND_session_revoked:
		for (uint32_t i = feed->member_count; i-- > 0;) {
			struct client *client = feed->members[i]->client;
			uint64_t session = body->body.session_revoked.session_id;
			if (session != 0 && session != client->session_id)
				continue;
			bool disabled = body->body.session_revoked.why == CLOSE_WHY_DISABLED;
			client_close(client, disabled ? CLOSE_DISABLED : CLOSE_BAD_TOKEN, true);
		}
		return;
	case EVENT_KIND_account_closed:
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_close(feed->members[i]->client,
				body->body.account_closed.why == CLOSE_WHY_REVOKED ? CLOSE_BAD_TOKEN : CLOSE_DISABLED, true);
		return;
	case EVENT_KIND_member_joined:
	case EVENT_KIND_team_created:
	case EVENT_KIND_member_removed: {
		uint64_t team = body->which_body == EVENT_KIND_member_joined  ? body->body.member_joined.member.team_id
				: body->which_body == EVENT_KIND_team_created ? body->body.team_created.team.id
									      : 0;
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_teams_changed(feed->members[i]->client, team);
		return;
	}
	default:
		return;
	}
}

/* The next event begins. NULL: it is done with already. */
static struct delivery *delivery_begin(struct feed *feed, struct bus_event *ev)
{
	const struct logged_event *logged = bus_event_logged(ev);
	const pb_Event *body = bus_event_body(ev);
	struct hub *hub = feed->hub;

	if (body == NULL || logged->kind != body->which_body) {
		log_error("event_unreadable", LOG_ID("stream", feed->stream.id), LOG_U64("seq", logged->seq));
		return NULL;
	}
	if (body->which_body == EVENT_KIND_audience_changed) {
		open_audience_changed(feed, logged->seq, &body->body.audience_changed);
		return NULL;
	}
	if (body->which_body == EVENT_KIND_audience_recheck) {
		open_audience_recheck(feed, logged->seq, &body->body.audience_recheck);
		return NULL;
	}
	if (feed->stream.rank == RANK_USER)
		own_event(feed, body);
	uint32_t key = 0;
	if (feed->constant) {
		char own[AUDIENCE_SIZE];
		if (feed->stream.rank == RANK_USER)
			audience_key(own, "user", feed->stream.id);
		else
			audience_all(own);
		if (strcmp(logged->audience, own) != 0)
			return NULL;
	} else {
		key = key_find(feed->keys, logged->audience);
	}
	struct delivery *d = memory_new(sizeof *d);
	*d = (struct delivery){.ev = bus_event_ref(ev), .logged = logged, .body = body, .serial = ++hub->last_serial, .key = key,
		.copies = has_copies(logged->kind), .doubts = feed->keys_due > 0};
	feed->current = d;
	/* Facts are learnt while the lists are looked for, so this is done even when nobody holds the key. */
	if (!delivery_next_list(feed, d) || (key == KEY_NONE && !d->doubts)) {
		feed->current = NULL;
		delivery_free(d);
		return NULL;
	}
	return d;
}

/* At most `visits` entries. True: the event is done with. */
static bool delivery_slice(struct feed *feed, struct delivery *d, size_t *visits)
{
	struct hub *hub = feed->hub;

	while (*visits > 0) {
		while (d->at > 0 && *visits > 0) {
			struct topic_entry *entry = &d->list->entries[--d->at];
			struct subscription *sub = entry->sub;
			(*visits)--;
			if (d->check && earlier(d, sub->member))
				continue;
			append(hub, d, entry->client, entry->keys, sub);
		}
		if (d->at == 0 && !delivery_next_list(feed, d))
			return true;
	}
	return false;
}

/* Events were dropped while the stream was held: the log has them. */
struct refill {
	struct question question;
	struct timer retry;
	struct feed *feed; /* NULL: it went */
	bool asked;
};

static void refill_done(struct refill *refill)
{
	if (refill->feed != NULL) {
		wheel_stop(&refill->feed->hub->wheel, &refill->retry);
		refill->feed->refill = NULL;
		refill->feed = NULL;
	}
	if (!refill->asked)
		free(refill);
}

static void refill_ask(struct refill *refill)
{
	struct feed *feed = refill->feed;
	struct hub *hub = feed->hub;
	char generation[HUB_GENERATION_SIZE];

	refill->asked = true;
	hub->options.ports->generation(hub->options.arg, generation);
	hub->options.ports->ask_events(hub->options.arg, hub_ask(hub, &refill->question), feed->stream, feed->applied, REFILL_EVENTS,
		feed->seen, generation);
}

static void refill_retry(struct timer *timer, int64_t now_mono_ms)
{
	refill_ask(memory_holder(timer, struct refill, retry));
}

static void refill_answered(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct refill *refill = (struct refill *)question;
	struct feed *feed = refill->feed;
	const pb_FetchEventsReply *got = reply;

	refill->asked = false;
	if (feed == NULL) {
		refill_done(refill);
		return;
	}
	if (st != STATUS_OK) {
		wheel_start(&hub->wheel, &refill->retry, hub->now_mono_ms + REFILL_RETRY_MS);
		return;
	}
	refill_done(refill);
	if (got->gone || got->events_count == 0) {
		feed_abandon(feed, "the log no longer reaches back");
		return;
	}
	uint64_t next = feed->applied + 1;
	for (pb_size_t i = 0; i < got->events_count; i++) {
		struct bus_event *ev = got->events[i].seq == next ? bus_event_from_log(&got->events[i]) : NULL;
		if (ev == NULL) {
			feed_abandon(feed, "the log's answer has a hole");
			return;
		}
		pending_push(feed, ev);
		bus_event_unref(ev);
		next++;
	}
	if (next > feed->seen) {
		feed->seen = next - 1;
		feed->overflowed = false;
	}
	feed_wake(feed);
}

static void refill_begin(struct feed *feed)
{
	struct refill *refill = memory_new(sizeof *refill);

	*refill = (struct refill){.question.answered = refill_answered, .retry.fire = refill_retry, .feed = feed};
	feed->refill = refill;
	refill_ask(refill);
}

static void refill_cancel(struct feed *feed)
{
	if (feed->refill != NULL)
		refill_done(feed->refill);
}

/* Works on one feed for about `visits` entries. True: there is more to do. */
static bool feed_turn(struct feed *feed, size_t *visits)
{
	for (;;) {
		if (feed->current == NULL) {
			open_settle(feed);
			if (feed->state != FEED_FOLLOWED || feed->holds > 0)
				return false;
			if (feed->pending_count == 0) {
				if (feed->overflowed && feed->refill == NULL)
					refill_begin(feed);
				return false;
			}
			if (*visits == 0)
				return true;
			struct bus_event *ev = pending_pop(feed);
			uint64_t seq = bus_event_logged(ev)->seq;
			(*visits)--;
			if (delivery_begin(feed, ev) == NULL)
				feed->applied = seq;
			bus_event_unref(ev);
			continue;
		}
		if (*visits == 0)
			return true;
		struct delivery *d = feed->current;
		if (!delivery_slice(feed, d, visits))
			return true;
		feed->applied = d->logged->seq;
		if (d->reached)
			metric_observe_us(&metrics.ws_fanout_seconds, (feed->hub->now_wall_ms - d->logged->at_ms) * 1000);
		if (d->reached && log_enabled(LOG_DEBUG)) {
			char trace[IDS_TRACE_SIZE];
			log_set_trace(event_trace(d->body, trace));
			log_debug("event_delivered", LOG_STR("kind", event_kind_name(d->logged->kind)), LOG_ID("stream", feed->stream.id),
				LOG_U64("seq", d->logged->seq));
			log_set_trace(NULL);
		}
		feed->current = NULL;
		delivery_free(d);
	}
}

bool stream_run(struct hub *hub, size_t appends)
{
	size_t slice = hub->options.slice;

	while (hub->active != NULL && appends > 0) {
		struct feed *feed = hub->active;
		hub->active = feed->active_next;
		if (hub->active == NULL)
			hub->active_end = &hub->active;
		feed->active = false;
		size_t visits = slice < appends ? slice : appends, given = visits;
		bool more = feed_turn(feed, &visits);
		appends -= given - visits;
		if (more)
			feed_wake(feed);
	}
	return hub->active != NULL;
}

void stream_event(struct hub *hub, struct bus_event *ev)
{
	const struct logged_event *logged = bus_event_logged(ev);
	struct feed *feed = feed_find(hub, logged->stream);

	/* Not followed (any more), or what an earlier follow had still in the mailbox. */
	if (feed == NULL || feed->state != FEED_FOLLOWED || logged->seq <= feed->seen)
		return;
	if (logged->seq != feed->seen + 1) {
		log_error("order_broken", LOG_ID("stream", feed->stream.id), LOG_U64("seen", feed->seen), LOG_U64("seq", logged->seq));
		feed_abandon(feed, "the order has a hole");
		return;
	}
	feed->seen = logged->seq;
	if (feed->overflowed)
		return;
	if (feed->pending_bytes > PENDING_MOST_BYTES) {
		feed->overflowed = true;
		log_warn("stream_overflowed", LOG_ID("stream", feed->stream.id), LOG_U64("seq", logged->seq));
		return;
	}
	pending_push(feed, ev);
	feed_wake(feed);
}

/* ---- ephemeral events */

/* Appends to everybody of a list who was not reached by another target or list. Closes nobody. */
static void ephemeral_list(struct hub *hub, struct delivery *d, const struct topic_list *list, uint64_t stamp)
{
	for (uint32_t i = list != NULL ? list->count : 0; i-- > 0;) {
		const struct topic_entry *entry = &list->entries[i];
		struct client *client = entry->client;
		if (client->stamp == stamp || (entry->keys != NULL && !key_set_holds(entry->keys, d->key, d->serial)))
			continue;
		if (!only_users_allow(d->body, client))
			continue;
		client->stamp = stamp;
		struct frame *frame = frame_of(hub, d, client);
		/* Shed first: a client that lags has no use for who is typing. */
		if (frame == NULL || client->queue.bytes > hub->options.queue_bytes / 2 ||
			frame->length > hub->options.queue_bytes / 2)
			continue;
		if (entry->sub->member->catchup == NULL)
			client_append(client, frame, d->bulk);
	}
}

void stream_ephemeral(struct hub *hub, struct bus_event *ev)
{
	const pb_EphemeralEvent *ephemeral = bus_event_ephemeral(ev);
	const pb_Event *body = bus_event_body(ev);
	uint64_t stamp = ++hub->last_serial;

	if (ephemeral == NULL || body == NULL)
		return;
	for (pb_size_t t = 0; t < ephemeral->targets_count; t++) {
		const pb_Target *target = &ephemeral->targets[t];
		struct stream s = {target->rank, target->stream_id};
		struct feed *feed = feed_find(hub, s);
		if (feed == NULL || target->audience == NULL)
			continue;
		struct logged_event logged = {.stream = s, .kind = ephemeral->kind, .at_ms = (int64_t)ephemeral->at_ms};
		uint32_t key = feed->constant ? 0 : key_find(feed->keys, target->audience);
		if (key == KEY_NONE)
			continue;
		for (size_t no = 0; no < dialect_count; no++) {
			struct topic_lists *lists = feed->topics[no];
			struct placement place = {0};
			if (lists == NULL || !dialects[no]->place(&logged, body, &place))
				continue;
			struct delivery d = {.logged = &logged, .body = body, .serial = ++hub->last_serial, .key = key};
			struct topic_list *channel = place.channel_id != 0 ? table_get(&lists->channels, place.channel_id) : NULL;
			d.bulk = (channel != NULL ? channel->count : 0) + lists->whole.count > hub->options.slice;
			if (place.whole)
				ephemeral_list(hub, &d, &lists->whole, stamp);
			ephemeral_list(hub, &d, channel, stamp);
			if (place.global)
				ephemeral_list(hub, &d, &lists->global, stamp);
			for (size_t i = 0; i < DIALECT_VARIANTS; i++)
				frame_unref(d.frames[i]);
		}
	}
}

/* ---- replays */

struct frame *stream_frame_for(struct member *member, struct key_set *keys, struct bus_event *ev, struct frame **frames,
	uint8_t *rendered)
{
	struct client *client = member->client;
	struct feed *feed = member->feed;
	const struct logged_event *logged = bus_event_logged(ev);
	const pb_Event *body = bus_event_body(ev);
	struct placement place = {0};
	bool shown = false;

	if (body == NULL || !client->dialect->place(logged, body, &place))
		return NULL;
	for (struct subscription *sub = member->subs; sub != NULL && !shown; sub = sub->next)
		shown = subscription_shows(sub, &place);
	if (!shown || !only_users_allow(body, client))
		return NULL;
	if (!feed->constant) {
		uint32_t key = key_find(feed->keys, logged->audience);
		if (keys == NULL || key == KEY_NONE || !key_set_has(keys, key))
			return NULL;
	}
	size_t place_of = (size_t)client->dialect_no * DIALECT_VARIANTS + client->variant;
	if ((rendered[client->dialect_no] >> client->variant & 1) == 0) {
		rendered[client->dialect_no] |= (uint8_t)(1u << client->variant);
		frames[place_of] = render(feed->hub, client->dialect, logged, body, client->variant);
	}
	if (frames[place_of] != NULL && has_copies(logged->kind) && !client_first_copy(client, body->event_id))
		return NULL;
	return frames[place_of];
}
