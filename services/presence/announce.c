#include "services/presence/announce.h"

#include <string.h>

#include "common/base/log.h"

enum status announce_presence_event(struct arena *mem, const struct presence_change *change, bool for_self, pb_Event *out)
{
	pb_PresenceChanged *body = &out->body.presence_changed;
	enum status st;

	*out = (pb_Event)pb_Event_init_zero;
	st = pb_decode_arena(mem, pb_UserView_fields, &out->actor, change->view, change->view_length);
	if (st != STATUS_OK)
		return st;
	out->has_actor = true;
	out->which_body = EVENT_KIND_presence_changed;
	body->has_user = true;
	body->user = out->actor; /* shares its strings; both die with mem */
	body->shown = change->shown;
	body->chosen = for_self ? change->chosen : 0;
	body->last_seen_at_ms = (uint64_t)change->last_seen_at_ms;
	return STATUS_OK;
}

static void publish(struct bus_publisher *publisher, struct arena *mem, const pb_Event *event,
	const struct logged_event *targets, size_t target_count, int64_t at_ms)
{
	const uint8_t *payload = NULL;
	size_t length = 0;
	enum status st = event_encode(mem, event, &payload, &length);

	if (st != STATUS_OK) {
		log_warn("announcement_unfit", LOG_STATUS("status", st), LOG_STR("kind", event_kind_name(event->which_body)));
		return;
	}
	if (publisher != NULL)
		bus_publish_ephemeral(publisher, targets, target_count, event->which_body, at_ms, payload, length);
}

void announce_presence(struct bus_publisher *publisher, const struct presence_change *change, int64_t at_ms)
{
	struct arena *mem = arena_create();
	pb_Event event;
	enum status st;

	size_t count = change->team_count + change->conversation_count;
	if (count > 0) {
		struct logged_event *targets = ARENA_ARRAY(mem, count, struct logged_event), *target = targets;

		for (size_t i = 0; i < change->team_count; i++, target++) {
			target->stream = STREAM_TEAM(change->team_ids[i]);
			audience_key(target->audience, "team", change->team_ids[i]);
		}
		for (size_t i = 0; i < change->conversation_count; i++, target++) {
			target->stream = STREAM_TEAM(change->conversation_ids[i]);
			audience_key(target->audience, "conversation", change->conversation_ids[i]);
		}
		st = announce_presence_event(mem, change, false, &event);
		if (st != STATUS_OK)
			goto out;
		publish(publisher, mem, &event, targets, count, at_ms);
	}
	if (change->to_self) {
		struct logged_event target = {.stream = STREAM_USER(change->user_id)};

		audience_key(target.audience, "user", change->user_id);
		st = announce_presence_event(mem, change, true, &event);
		if (st == STATUS_OK)
			publish(publisher, mem, &event, &target, 1, at_ms);
	}
out:
	arena_destroy(mem);
}

enum status announce_typing_event(struct arena *mem, const struct typing_subject *subject, bool is_typing, pb_Event *out)
{
	pb_TypingChanged *body = &out->body.typing_changed;
	enum status st;

	*out = (pb_Event)pb_Event_init_zero;
	st = pb_decode_arena(mem, pb_UserView_fields, &out->actor, subject->view, subject->view_length);
	if (st == STATUS_OK)
		st = pb_decode_arena(mem, pb_ChannelRef_fields, &body->channel, subject->channel, subject->channel_length);
	if (st != STATUS_OK)
		return st;
	out->has_actor = true;
	out->which_body = EVENT_KIND_typing_changed;
	body->has_channel = true;
	body->has_user = true;
	body->user = out->actor;
	body->is_typing = is_typing;
	return STATUS_OK;
}

void announce_typing(struct bus_publisher *publisher, const struct typing_subject *subject, bool is_typing, int64_t at_ms)
{
	struct arena *mem = arena_create();
	struct logged_event target = {.stream = subject->stream};
	pb_Event event;

	memcpy(target.audience, subject->audience, sizeof target.audience);
	if (announce_typing_event(mem, subject, is_typing, &event) == STATUS_OK)
		publish(publisher, mem, &event, &target, 1, at_ms);
	arena_destroy(mem);
}

void announce_activity(struct bus_publisher *publisher, const struct activity *activity, int64_t at_ms)
{
	struct arena *mem = arena_create();
	struct logged_event target = {.stream = activity->stream};
	pb_Event event = {.has_actor = true, .actor = *activity->user, .which_body = EVENT_KIND_activity_reported};
	pb_ActivityReported *body = &event.body.activity_reported;

	strcpy(target.audience, activity->audience); /* length checked by the caller */
	event.actor.has_status = false;
	body->has_user = true;
	body->user = event.actor;
	body->kind = (char *)activity->kind;
	body->message_id = activity->message_id;
	body->has_channel = activity->channel != NULL;
	if (activity->channel != NULL)
		body->channel = *activity->channel;
	publish(publisher, mem, &event, &target, 1, at_ms);
	arena_destroy(mem);
}
