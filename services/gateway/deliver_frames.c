/*
 * deliver_frames - see deliver_parts.h: what one client gets of an event, now or replayed.
 */
#include "services/gateway/deliver_parts.h"

#include <assert.h>

#include "common/ops/ops.h"
#include "services/gateway/memory.h"

bool deliver_has_copies(uint32_t kind)
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
	case EVENT_KIND_channel_sight_changed:
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

void deliver_parts_unref(struct deliver_parts *parts)
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

struct deliver_parts deliver_parts_of(struct hub *hub, struct delivery *d, const struct client *client)
{
	struct receiver r = receiver_of(client, &d->place, d->body, d->asked);
	struct deliver_parts parts = {.share = client->dialect->share(client, &r, d->logged, d->body)};

	if (parts.share == SHARE_REST || parts.share == SHARE_NONE)
		parts.own = own_frame(hub, d, client, &r);
	if (parts.share == SHARE_REST || parts.share == SHARE_ALL) {
		struct frame *frame = delivery_frame(hub, d, client);
		parts.shared = frame != NULL ? frame_ref(frame) : NULL;
	}
	return parts;
}

bool deliver_shows(const struct subscription *sub, const struct placement *place)
{
	return sub->class == TOPIC_WHOLE    ? place->whole
	       : sub->class == TOPIC_GLOBAL ? place->global
					    : place->channel_id == sub->id;
}

/*
 * What is replayed, where something may be the receiver's own: its own part and the shared one as one frame. Moderation is not asked about
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
		if (!deliver_has_copies(logged->kind))
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
	if (frame == NULL || !deliver_has_copies(logged->kind) || client_first_copy(client, body->event_id))
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
		shown = deliver_shows(sub, &place);
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
	if (frames[place_of] != NULL && deliver_has_copies(logged->kind) &&
		!client_first_copy(client, body->event_id))
		return NULL;
	return frames[place_of] != NULL ? frame_ref(frames[place_of]) : NULL;
}
