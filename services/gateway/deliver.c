/*
 * deliver - see deliver.h.
 */
#include "services/gateway/deliver_parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "services/gateway/canary.h"
#include "services/gateway/catchup.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"
#include "services/gateway/sight.h"

/* The dialect in work, the one before the next to place, needs its frames no more. */
static void frames_done(struct delivery *d)
{
	if (d->dialect_no > 0)
		ring_entry_keep(d->kept, d->dialect_no - 1, d->frames, d->rendered);
	for (size_t i = 0; i < DIALECT_VARIANTS; i++) {
		frame_unref(d->frames[i]);
		d->frames[i] = NULL;
	}
	d->rendered = 0;
	if (d->own != NULL)
		frame_unref(d->own->frame);
	free(d->own);
	d->own = NULL;
}

void delivery_free(struct delivery *d)
{
	if (d == NULL)
		return;
	frames_done(d);
	ring_entry_free(d->kept);
	slots_ask_free(d->asked);
	bus_event_unref(d->ev);
	free(d);
}

static bool bring(struct delivery *d, struct client *client, struct subscription *sub, struct frame *frame)
{
	bool catching = (client->flags & CLIENT_CATCHING) != 0 && sub->member->catchup != NULL;

	return catching ? catchup_append(sub->member, frame) : client_append(client, frame, d->bulk);
}

/* The same as append, where something may be the receiver's own. */
static void append_parts(struct hub *hub, struct delivery *d, struct client *client, struct subscription *sub)
{
	struct deliver_parts parts = deliver_parts_of(hub, d, client);

	if (parts.share == SHARE_END) {
		client_close(client, CLOSE_NO_ACCESS, false);
	} else if (d->asked != NULL && !slots_ask_answered(d->asked)) {
		/* What it would show is not known: the client is told that something is missing. */
		client_send_away(client, CLOSE_UNAVAILABLE, AWAY_MOST_MS);
	} else if ((parts.own != NULL || parts.shared != NULL) &&
		   (!d->copies || client_first_copy(client, d->body->event_id))) {
		bool reached = parts.own == NULL || bring(d, client, sub, parts.own);
		if (reached && parts.shared != NULL)
			reached = bring(d, client, sub, parts.shared);
		d->reached = d->reached || reached;
	}
	deliver_parts_unref(&parts);
}

static void append(struct hub *hub, struct delivery *d, struct client *client, struct key_set *keys,
	struct subscription *sub)
{
	bool doubtful = d->doubts && sub->member->doubtful;
	if (keys != NULL && !d->aside && !key_set_holds(keys, d->key, d->serial) && !doubtful)
		return;
	if (!event_allows(d->body, client))
		return;
	if (d->personal && !doubtful) {
		append_parts(hub, d, client, sub);
		return;
	}
	struct frame *frame = delivery_frame(hub, d, client);
	if (doubtful) {
		/* To send it may leak, to leave it out may lose: the client is told, and comes back to a
		 * fresh answer. */
		if (frame != NULL || d->personal)
			client_send_away(client, CLOSE_MISSED, AWAY_MOST_MS);
		return;
	}
	if (frame == NULL || (d->copies && !client_first_copy(client, d->body->event_id)))
		return;
	if (!bring(d, client, sub, frame))
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
	frames_done(d); /* before another number stands for the one in work */
	for (; d->dialect_no < dialect_count; d->dialect_no++) {
		if (feed->topics[d->dialect_no] == NULL)
			continue;
		d->place = (struct placement){0};
		d->step = TOPIC_WHOLE;
		if (!dialects[d->dialect_no]->place(d->logged, d->body, &d->place))
			continue;
		if (!d->aside)
			fact_learn(feed->hub, d->logged, &d->place);
		d->personal = dialects[d->dialect_no]->share != NULL;
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
			d->list = d->place.channel_id != 0
					  ? table_get(&d->lists->channels, d->place.channel_id)
					  : NULL;
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

void deliver_late(struct delivery *d, struct subscription *sub)
{
	struct hub *hub = sub->member->feed->hub;
	struct client *client = sub->member->client;
	struct placement place = {0};

	if (!client->dialect->place(d->logged, d->body, &place))
		return;
	if (!deliver_shows(sub, &place))
		return;
	for (struct subscription *old = sub->member->subs; old != NULL; old = old->next)
		if (deliver_shows(old, &place))
			return; /* another one brings it */
	/* Lists that are still to come find the new entry by themselves; those that were visited, and the one
	 * in work, do not. */
	bool same_dialect = d->dialect_no > 0 && client->dialect_no == d->dialect_no - 1;
	if (client->dialect_no >= d->dialect_no || (same_dialect && sub->class > d->class))
		return;
	struct delivery alone = {.ev = d->ev,
		.logged = d->logged,
		.body = d->body,
		.serial = ++hub->last_serial,
		.key = d->key,
		.copies = d->copies,
		.doubts = d->doubts,
		.aside = d->aside,
		.place = place,
		.personal = client->dialect->share != NULL,
		.asked = d->asked};
	append(hub, &alone, client, sub->member->keys, sub);
	frames_done(&alone);
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
	if (hub->slots_kept > 0)
		slots_obey(feed, body);
	if (body->which_body == EVENT_KIND_audience_changed) {
		open_audience_changed(feed, logged->seq, &body->body.audience_changed);
		return NULL;
	}
	if (body->which_body == EVENT_KIND_canary) {
		canary_arrived(hub, logged);
		return NULL;
	}
	if (body->which_body == EVENT_KIND_audience_recheck) {
		open_audience_recheck(feed, logged->seq, &body->body.audience_recheck);
		return NULL;
	}
	if (feed->stream.rank == RANK_USER)
		deliver_own_event(feed, body);
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
	*d = (struct delivery){.ev = bus_event_ref(ev),
		.logged = logged,
		.body = body,
		.serial = ++hub->last_serial,
		.key = key,
		.copies = deliver_has_copies(logged->kind),
		.aside = body->which_body == EVENT_KIND_channel_sight_changed};
	d->doubts = !d->aside && feed->keys_due > 0;
	feed->current = d;
	/* Facts are learnt while the lists are looked for, so this is done even when nobody holds the key. */
	if (!delivery_next_list(feed, d) || (key == KEY_NONE && !d->doubts && !d->aside)) {
		feed->current = NULL;
		delivery_free(d);
		return NULL;
	}
	slots_ask_begin(feed, d);
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

/* The first of those that wait is at work from now on, or done with at once. */
static void feed_begin_next(struct feed *feed)
{
	struct bus_event *ev = feed_next_pending(feed);
	uint64_t seq = bus_event_logged(ev)->seq;

	ring_obey(feed, ev);
	struct ring_entry *kept = feed->pinned ? NULL : ring_entry_create(feed->hub, ev);
	struct delivery *d = delivery_begin(feed, ev);
	if (d == NULL) {
		feed->applied = seq;
		ring_push(feed, kept);
	} else {
		d->kept = kept;
	}
	bus_event_unref(ev);
}

/* It reached everybody whom it is for. */
static void delivery_end(struct feed *feed, struct delivery *d)
{
	feed->applied = d->logged->seq;
	if (d->reached)
		hub_fanned_out(feed->hub, d->logged->at_ms);
	if (d->reached && log_enabled(LOG_DEBUG)) {
		char trace[IDS_TRACE_SIZE];
		log_set_trace(event_trace(d->body, trace));
		log_debug("event_delivered", LOG_STR("kind", event_kind_name(d->logged->kind)),
			LOG_ID("stream", feed->stream.id), LOG_U64("seq", d->logged->seq));
		log_set_trace(NULL);
	}
	struct ring_entry *kept = d->kept;
	frames_done(d);
	d->kept = NULL;
	feed->current = NULL;
	delivery_free(d);
	ring_push(feed, kept);
}

/* Works on one feed for about `visits` entries. True: there is more to do. */
static bool feed_turn(struct feed *feed, size_t *visits)
{
	for (;;) {
		if (feed->current == NULL) {
			open_settle(feed);
			if (feed->state != FEED_FOLLOWED || feed->holds > 0)
				return false;
			struct bus_event *told = sight_next(feed);
			if (told != NULL) {
				(void)delivery_begin(feed, told);
				bus_event_unref(told);
				continue;
			}
			if (feed->pending_count == 0) {
				if (feed->overflowed && feed->refill == NULL)
					feed_refill(feed);
				return false;
			}
			if (*visits == 0)
				return true;
			(*visits)--;
			feed_begin_next(feed);
			continue;
		}
		if (*visits == 0)
			return true;
		struct delivery *d = feed->current;
		if (slots_ask_waits(d->asked))
			return false; /* its answer wakes the feed */
		if (!delivery_slice(feed, d, visits))
			return true;
		delivery_end(feed, d);
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
