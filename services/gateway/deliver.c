/*
 * deliver - see deliver.h.
 */
#include "services/gateway/deliver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/canary.h"
#include "services/gateway/catchup.h"
#include "services/gateway/memory.h"
#include "services/gateway/open.h"

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

/* Can this event come a second time, as a copy in another stream (same event_id)? */
static bool has_copies(uint32_t kind)
{
	switch ((enum event_kind)kind) {
	case EVENT_KIND_account_updated:
	case EVENT_KIND_team_created:
	case EVENT_KIND_member_joined:
	case EVENT_KIND_member_removed:
	case EVENT_KIND_member_updated:
	case EVENT_KIND_member_timed_out:
	case EVENT_KIND_member_roles_changed:
	case EVENT_KIND_member_banned:
	case EVENT_KIND_member_unbanned:
	case EVENT_KIND_channel_member_joined:
	case EVENT_KIND_channel_member_left:
	case EVENT_KIND_channel_member_kicked:
	case EVENT_KIND_channel_member_updated:
	case EVENT_KIND_channel_user_banned:
	case EVENT_KIND_channel_user_unbanned:
	case EVENT_KIND_conversation_created:
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
	case EVENT_KIND_invite_created:
	case EVENT_KIND_invite_deleted:
	case EVENT_KIND_role_created:
	case EVENT_KIND_role_updated:
	case EVENT_KIND_role_deleted:
	case EVENT_KIND_roles_reordered:
	case EVENT_KIND_override_set:
	case EVENT_KIND_override_removed:
	case EVENT_KIND_audit_recorded:
	case EVENT_KIND_channel_created:
	case EVENT_KIND_channel_updated:
	case EVENT_KIND_channel_deleted:
	case EVENT_KIND_channel_undeleted:
	case EVENT_KIND_channel_archived:
	case EVENT_KIND_channel_restored:
	case EVENT_KIND_message_posted:
	case EVENT_KIND_message_updated:
	case EVENT_KIND_message_deleted:
	case EVENT_KIND_reaction_added:
	case EVENT_KIND_reaction_removed:
	case EVENT_KIND_message_pinned:
	case EVENT_KIND_message_unpinned:
	case EVENT_KIND_bookmark_changed:
	case EVENT_KIND_user_mentioned:
	case EVENT_KIND_read_state_changed:
	case EVENT_KIND_webhook_created:
	case EVENT_KIND_webhook_updated:
	case EVENT_KIND_webhook_deleted:
	case EVENT_KIND_channel_pref_changed:
	case EVENT_KIND_operator_announced:
	case EVENT_KIND_team_setting_changed:
	case EVENT_KIND_canary:
	case EVENT_KIND_typing_changed:
	case EVENT_KIND_activity_reported:
	case EVENT_KIND_presence_changed:
		return false;
	}
	return false; /* a kind of a newer peer */
}

bool event_allows(const pb_Event *body, const struct client *client)
{
	if (body->only_users_count == 0)
		return true;
	for (pb_size_t i = 0; i < body->only_users_count; i++)
		if (body->only_users[i] == client->user->id)
			return true;
	return false;
}

static struct frame *render(struct hub *hub, const struct dialect_table *dialect,
	const struct logged_event *logged, const pb_Event *body, unsigned variant)
{
	struct texts texts = texts_begin(hub->scratch);

	dialect->render(&texts, logged, body, variant);
	struct frame *frame = texts.count > 0 ? frame_make_texts(&texts) : NULL;

	metric_add(ws_frames_rendered, 1);
	arena_reset(hub->scratch);
	return frame;
}

struct frame *delivery_frame(struct hub *hub, struct delivery *d, const struct client *client)
{
	unsigned variant = client->variant;

	assert(variant < DIALECT_VARIANTS);
	if ((d->rendered >> variant & 1) == 0) {
		d->rendered |= (uint8_t)(1u << variant);
		d->frames[variant] = render(hub, client->dialect, d->logged, d->body, variant);
	} else {
		hub->frame_hits++;
	}
	return d->frames[variant];
}

/* ---- what is the receiver's own */

/* What one client gets of an event. The references are the caller's. */
struct parts {
	struct frame *own, *shared;
	enum share share;
};

static void parts_unref(struct parts *parts)
{
	frame_unref(parts->own);
	frame_unref(parts->shared);
}

static struct receiver receiver_of(const struct client *client, const struct placement *place, const pb_Event *body,
	const struct slots_ask *asked)
{
	return (struct receiver){.user_id = client->user->id,
		.slot = slots_receive(client->user, place->channel_id, body),
		.asked = asked,
		.rights = slots_rights(asked, client->user->id)};
}

/* Receivers of whom moderation said the same, and who have read the same, are shown the same. */
static bool own_is_same(const struct own_frame *own, const struct receiver *r)
{
	struct slot slot = r->slot != NULL ? *r->slot : (struct slot){0};

	return own != NULL && slot_rights_equal(&own->rights, r->rights) && slots_equal(&own->slot, &slot);
}

static struct frame *own_frame(
	struct hub *hub, struct delivery *d, const struct client *client, const struct receiver *r)
{
	struct texts texts = texts_begin(hub->scratch);

	if (r->rights != NULL && own_is_same(d->own, r)) {
		hub->frame_hits++;
		return d->own->frame != NULL ? frame_ref(d->own->frame) : NULL;
	}
	client->dialect->own(&texts, client, r, d->logged, d->body);
	struct frame *frame = texts.count > 0 ? frame_make_texts(&texts) : NULL;
	metric_add(ws_frames_rendered, 1);
	arena_reset(hub->scratch);
	if (r->rights == NULL)
		return frame;
	if (d->own == NULL)
		d->own = memory_new(sizeof *d->own);
	frame_unref(d->own->frame);
	*d->own = (struct own_frame){.frame = frame != NULL ? frame_ref(frame) : NULL, .rights = *r->rights};
	if (r->slot != NULL)
		d->own->slot = *r->slot;
	return frame;
}

static struct parts parts_of(struct hub *hub, struct delivery *d, const struct client *client)
{
	struct receiver r = receiver_of(client, &d->place, d->body, d->asked);
	struct parts parts = {.share = client->dialect->share(client, &r, d->logged, d->body)};

	if (parts.share == SHARE_REST || parts.share == SHARE_NONE)
		parts.own = own_frame(hub, d, client, &r);
	if (parts.share == SHARE_REST || parts.share == SHARE_ALL) {
		struct frame *frame = delivery_frame(hub, d, client);
		parts.shared = frame != NULL ? frame_ref(frame) : NULL;
	}
	return parts;
}

static bool bring(struct delivery *d, struct client *client, struct subscription *sub, struct frame *frame)
{
	bool catching = (client->flags & CLIENT_CATCHING) != 0 && sub->member->catchup != NULL;

	return catching ? catchup_append(sub->member, frame) : client_append(client, frame, d->bulk);
}

/* The same as append, where something may be the receiver's own. */
static void append_parts(struct hub *hub, struct delivery *d, struct client *client, struct subscription *sub)
{
	struct parts parts = parts_of(hub, d, client);

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
	parts_unref(&parts);
}

static void append(struct hub *hub, struct delivery *d, struct client *client, struct key_set *keys,
	struct subscription *sub)
{
	bool doubtful = d->doubts && sub->member->doubtful;
	if (keys != NULL && !key_set_holds(keys, d->key, d->serial) && !doubtful)
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

static bool subscription_shows(const struct subscription *sub, const struct placement *place)
{
	return sub->class == TOPIC_WHOLE    ? place->whole
	       : sub->class == TOPIC_GLOBAL ? place->global
					    : place->channel_id == sub->id;
}

void deliver_late(struct delivery *d, struct subscription *sub)
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
		.place = place,
		.personal = client->dialect->share != NULL,
		.asked = d->asked};
	append(hub, &alone, client, sub->member->keys, sub);
	frames_done(&alone);
}

static void joined_conversation(struct feed *feed, const pb_ChannelView *channel)
{
	if (channel->team_id != 0 || channel->id == 0)
		return;
	for (uint32_t i = feed->member_count; i-- > 0;)
		client_conversation_joined(feed->members[i]->client, channel->id);
}

static void left_conversation(struct feed *feed, const pb_ChannelRef *channel)
{
	for (uint32_t i = channel->team_id == 0 ? feed->member_count : 0; i-- > 0;)
		client_conversation_left(feed->members[i]->client);
}

/* What an event of somebody's own stream means for his sockets. Some of them may be closed by it. */
static void own_event(struct feed *feed, const pb_Event *body)
{
	switch ((int)body->which_body) {
	case EVENT_KIND_session_revoked: {
		const pb_SessionRevoked *e = &body->body.session_revoked;
		enum close_reason reason = e->why == CLOSE_WHY_DISABLED  ? CLOSE_DISABLED
					   : e->why == CLOSE_WHY_CHANGED ? CLOSE_TOKEN_CHANGED
									 : CLOSE_BAD_TOKEN;
		for (uint32_t i = feed->member_count; i-- > 0;) {
			struct client *client = feed->members[i]->client;
			if (e->session_id != 0 ? client->session_id == e->session_id
					       : client->session_id != e->but_session_id)
				client_close(client, reason, true);
		}
		return;
	}
	case EVENT_KIND_account_closed:
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_close(feed->members[i]->client,
				body->body.account_closed.why == CLOSE_WHY_REVOKED ? CLOSE_BAD_TOKEN
										   : CLOSE_DISABLED,
				true);
		return;
	case EVENT_KIND_member_joined:
	case EVENT_KIND_team_created:
	case EVENT_KIND_member_removed: {
		uint64_t team =
			body->which_body == EVENT_KIND_member_joined ? body->body.member_joined.member.team_id
			: body->which_body == EVENT_KIND_team_created ? body->body.team_created.team.id
								      : 0;
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_teams_changed(feed->members[i]->client, team);
		return;
	}
	case EVENT_KIND_conversation_created:
		joined_conversation(feed, &body->body.conversation_created.channel);
		return;
	case EVENT_KIND_channel_member_joined:
		joined_conversation(feed, &body->body.channel_member_joined.channel);
		return;
	case EVENT_KIND_channel_member_left:
		left_conversation(feed, &body->body.channel_member_left.channel);
		return;
	case EVENT_KIND_channel_member_kicked:
		left_conversation(feed, &body->body.channel_member_kicked.channel);
		return;
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
	*d = (struct delivery){.ev = bus_event_ref(ev),
		.logged = logged,
		.body = body,
		.serial = ++hub->last_serial,
		.key = key,
		.copies = has_copies(logged->kind),
		.doubts = feed->keys_due > 0};
	feed->current = d;
	/* Facts are learnt while the lists are looked for, so this is done even when nobody holds the key. */
	if (!delivery_next_list(feed, d) || (key == KEY_NONE && !d->doubts)) {
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
					feed_refill(feed);
				return false;
			}
			if (*visits == 0)
				return true;
			struct bus_event *ev = feed_next_pending(feed);
			uint64_t seq = bus_event_logged(ev)->seq;
			(*visits)--;
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
			continue;
		}
		if (*visits == 0)
			return true;
		struct delivery *d = feed->current;
		if (slots_ask_waits(d->asked))
			return false; /* its answer wakes the feed */
		if (!delivery_slice(feed, d, visits))
			return true;
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

/* ---- replays */

/*
 * The same where something may be the receiver's own: its own part and the shared one as one frame. Moderation is not asked about
 * the past: what shows rights is left to the copy that comes in the user's own stream, and where there is none the client is told
 * that something is missing.
 */
static struct frame *parts_for_replay(struct member *member, struct bus_event *ev, const struct placement *place)
{
	struct client *client = member->client;
	struct hub *hub = member->feed->hub;
	const struct logged_event *logged = bus_event_logged(ev);
	const pb_Event *body = bus_event_body(ev);
	const struct dialect_table *dialect = client->dialect;
	struct receiver r = receiver_of(client, place, body, NULL);
	struct texts texts = texts_begin(hub->scratch);

	if (dialect->asks(logged, body) != 0) {
		if (!has_copies(logged->kind))
			client_send_away(client, CLOSE_MISSED, AWAY_MOST_MS);
		return NULL;
	}
	enum share share = dialect->share(client, &r, logged, body);
	if (share == SHARE_END)
		client_close(client, CLOSE_NO_ACCESS, false);
	if (share == SHARE_REST || share == SHARE_NONE)
		dialect->own(&texts, client, &r, logged, body);
	if (share == SHARE_REST || share == SHARE_ALL)
		dialect->render(&texts, logged, body, client->variant);
	struct frame *frame = texts.count > 0 ? frame_make_texts(&texts) : NULL;
	metric_add(ws_frames_rendered, 1);
	arena_reset(hub->scratch);
	if (frame == NULL || !has_copies(logged->kind) || client_first_copy(client, body->event_id))
		return frame;
	frame_unref(frame);
	return NULL;
}

struct frame *stream_frame_for(struct member *member, struct key_set *keys, struct bus_event *ev,
	struct frame **frames, uint8_t *rendered)
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
	if (!shown || !event_allows(body, client))
		return NULL;
	if (!feed->constant) {
		uint32_t key = key_find(feed->keys, logged->audience);
		if (keys == NULL || key == KEY_NONE || !key_set_has(keys, key))
			return NULL;
	}
	if (client->dialect->share != NULL)
		return parts_for_replay(member, ev, &place);
	size_t place_of = (size_t)client->dialect_no * DIALECT_VARIANTS + client->variant;
	if ((rendered[client->dialect_no] >> client->variant & 1) == 0) {
		rendered[client->dialect_no] |= (uint8_t)(1u << client->variant);
		frames[place_of] = render(feed->hub, client->dialect, logged, body, client->variant);
	}
	if (frames[place_of] != NULL && has_copies(logged->kind) &&
		!client_first_copy(client, body->event_id))
		return NULL;
	return frames[place_of] != NULL ? frame_ref(frames[place_of]) : NULL;
}
