/*
 * crust/events - see events.h.
 */
#include "common/dialects/crust/events.h"

#include <string.h>

#include "common/base/ids.h"
#include "common/dialects/crust/shapes.h"

/* What of an event is its receiver's own: the parts of events.tbl.h. */
enum part { PART_ALIKE, PART_MESSAGE, PART_CHANNEL };

/* One event being drawn. */
struct drawing {
	struct texts *out;
	const pb_Event *body;
	const struct crust_reader *reader; /* NULL: for everybody */
	enum crust_share share;            /* how much of it the reader shares */
	uint64_t channel_id;
	struct json_writer w;
};

static struct json_writer *frame_open(struct drawing *d, const char *key)
{
	crust_begin(&d->w, d->out->mem, 512);
	jw_object(&d->w);
	jw_key(&d->w, key);
	return &d->w;
}

static void frame_close(struct drawing *d)
{
	size_t length = 0;

	jw_object_end(&d->w);
	const char *text = jw_end(&d->w, &length);
	texts_add(d->out, text, length);
}

static void id_kv(struct json_writer *w, const char *key, uint64_t id)
{
	jw_key(w, key);
	crust_id(w, id);
}

/* ---- frames */

static void draw_pair(struct drawing *d, const char *key, const char *first_key, uint64_t first, uint64_t user_id)
{
	struct json_writer *w = frame_open(d, key);

	jw_object(w);
	id_kv(w, first_key, first);
	id_kv(w, "userID", user_id);
	jw_object_end(w);
	frame_close(d);
}

static void draw_unread(struct drawing *d, const struct crust_unread *unread)
{
	crust_unread(frame_open(d, "unread"), unread);
	frame_close(d);
}

static void draw_channel_unread(struct drawing *d)
{
	const struct crust_reader *r = d->reader;

	draw_unread(d, &(struct crust_unread){.channel_id = d->channel_id,
			       .last_message_id = r->last_read_id,
			       .count = r->unread,
			       .thread_count = r->thread_count,
			       .thread_total = r->thread_total});
}

static bool ids_have(const uint64_t *ids, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool is_author(const pb_MessageView *message, uint64_t user_id)
{
	return message->has_author && message->author.id == user_id && message->kind != MESSAGE_SYSTEM;
}

static bool has_bookmarked(const pb_MessageView *message, uint64_t user_id)
{
	return ids_have(message->bookmarked_by, message->bookmarked_by_count, user_id);
}

/* Is any of it his own? */
static bool concerns(const pb_MessageView *message, uint64_t user_id)
{
	return is_author(message, user_id) || has_bookmarked(message, user_id);
}

static void draw_message(struct drawing *d, const pb_MessageView *message)
{
	const struct crust_reader *r = d->reader;
	struct crust_message_own own = {0};

	if (r != NULL) {
		own.reader_id = r->user_id;
		own.bookmarked = has_bookmarked(message, own.reader_id);
	}
	if (r != NULL && message->id == crust_event_thread(d->body))
		own.unread = (struct crust_unread){.last_message_id = r->thread_last_read_id, .count = r->thread_unread};
	crust_message(frame_open(d, "message"), message, &own);
	frame_close(d);
}

static void draw_channel(struct drawing *d, const pb_ChannelView *channel)
{
	const struct crust_reader *r = d->reader;
	pb_ChannelView view = channel != NULL ? *channel : r->channel != NULL ? *r->channel : (pb_ChannelView){0};
	struct crust_channel_own own = {.bits = r->bits, .flag = r->flag, .unlisted_id = r->unlisted ? r->user_id : 0};

	if (view.id == 0)
		return; /* the event has no more than its name, and it is gone meanwhile */
	view.member_ids = (uint64_t *)r->member_ids;
	view.member_ids_count = (pb_size_t)r->member_count;
	own.unread = (struct crust_unread){.last_message_id = r->last_read_id,
		.count = r->unread,
		.thread_count = r->thread_count,
		.thread_total = r->thread_total};
	crust_channel(frame_open(d, "channel"), &view, &own);
	frame_close(d);
}

/* ---- channels */

static const pb_ChannelView *view_of(const pb_Event *body)
{
	switch ((int)body->which_body) {
	case EVENT_KIND_override_set:
		return body->body.override_set.has_channel ? &body->body.override_set.channel : NULL;
	case EVENT_KIND_override_removed:
		return body->body.override_removed.has_channel ? &body->body.override_removed.channel : NULL;
	case EVENT_KIND_channel_member_joined:
		return &body->body.channel_member_joined.channel;
	case EVENT_KIND_channel_created:
		return &body->body.channel_created.channel;
	case EVENT_KIND_conversation_created:
		return &body->body.conversation_created.channel;
	case EVENT_KIND_channel_updated:
		return &body->body.channel_updated.channel;
	case EVENT_KIND_channel_deleted:
		return &body->body.channel_deleted.channel;
	case EVENT_KIND_channel_undeleted:
		return &body->body.channel_undeleted.channel;
	case EVENT_KIND_channel_archived:
		return &body->body.channel_archived.channel;
	case EVENT_KIND_channel_restored:
		return &body->body.channel_restored.channel;
	default:
		return NULL;
	}
}

static void render_channel(struct drawing *d)
{
	draw_channel(d, view_of(d->body));
}

/* Of what he sees no more he is told no more than that: he may do nothing there. */
static bool hides(const pb_Event *body)
{
	return body->which_body == EVENT_KIND_channel_sight_changed && body->body.channel_sight_changed.hidden;
}

static void render_sight(struct drawing *d)
{
	const pb_ChannelRef *ref = &d->body->body.channel_sight_changed.channel;
	pb_ChannelView bare = {.id = ref->id, .team_id = ref->team_id, .kind = ref->kind, .private = true};

	if (!hides(d->body)) {
		draw_channel(d, NULL);
		return;
	}
	bare.created_at_ms = (uint64_t)ids_wall_ms(ref->id);
	crust_channel(frame_open(d, "channel"), &bare, &(struct crust_channel_own){0});
	frame_close(d);
}

static void render_member_joined(struct drawing *d)
{
	const pb_ChannelMemberJoined *e = &d->body->body.channel_member_joined;

	draw_pair(d, "channelJoin", "channelID", d->channel_id, e->user.id);
	/* In a crowd each of those who are not listed would have a list of his own, with nothing in it that is new. */
	if (!d->reader->unlisted || e->user.id == d->reader->user_id)
		draw_channel(d, view_of(d->body));
}

static void render_member_left(struct drawing *d)
{
	const pb_ChannelMemberLeft *e = d->body->which_body == EVENT_KIND_channel_member_left
						? &d->body->body.channel_member_left
						: &d->body->body.channel_member_kicked;

	draw_pair(d, "channelPart", "channelID", d->channel_id, e->user.id);
}

static void render_user_banned(struct drawing *d)
{
	const pb_ChannelUserBanned *e = &d->body->body.channel_user_banned;

	if (e->was_member)
		draw_pair(d, "channelPart", "channelID", d->channel_id, e->user.id);
}

/* ---- messages */

/* A message that came or went, and the thread that it is in. */
struct happening {
	const pb_MessageView *message, *root; /* root: NULL: it is no reply, or its root is gone */
	const pb_ThreadReader *readers;
	size_t reader_count;
};

static struct happening happening_of(const pb_Event *body)
{
	if (body->which_body == EVENT_KIND_message_posted) {
		const pb_MessagePosted *e = &body->body.message_posted;
		return (struct happening){
			&e->message, e->has_root ? &e->root : NULL, e->readers, e->readers_count};
	}
	const pb_MessageDeleted *e = &body->body.message_deleted;
	return (struct happening){&e->message, e->has_root ? &e->root : NULL, e->readers, e->readers_count};
}

static bool follows(const struct happening *h, uint64_t user_id)
{
	for (size_t i = 0; i < h->reader_count; i++)
		if (h->readers[i].user_id == user_id)
			return true;
	return false;
}

static enum crust_share happening_share(const struct happening *h, const struct crust_reader *r)
{
	if (concerns(h->message, r->user_id) || follows(h, r->user_id) ||
		(h->root != NULL && concerns(h->root, r->user_id)))
		return CRUST_SHARE_NONE;
	bool counts = h->message->kind != MESSAGE_SYSTEM && h->message->root_id == 0;
	return counts && r->recorded ? CRUST_SHARE_REST : CRUST_SHARE_ALL;
}

static void draw_happening_unread(struct drawing *d, const struct happening *h)
{
	const struct crust_reader *r = d->reader;

	if (h->message->kind == MESSAGE_SYSTEM)
		return;
	if (h->message->root_id == 0) {
		if (r->recorded)
			draw_channel_unread(d);
	} else if (follows(h, r->user_id)) {
		draw_unread(d, &(struct crust_unread){.channel_id = d->channel_id,
				       .thread_id = h->message->root_id,
				       .last_message_id = r->thread_last_read_id,
				       .count = r->thread_unread});
		draw_channel_unread(d);
	}
}

static void render_happening(struct drawing *d)
{
	struct happening h = happening_of(d->body);

	if (d->reader != NULL)
		draw_happening_unread(d, &h);
	if (d->reader != NULL && d->share == CRUST_SHARE_REST)
		return;
	if (h.root != NULL)
		draw_message(d, h.root);
	draw_message(d, h.message);
}

static void render_message_posted(struct drawing *d)
{
	if (d->body->body.message_posted.has_message)
		render_happening(d);
}

static void render_message_deleted(struct drawing *d)
{
	if (d->body->body.message_deleted.has_message)
		render_happening(d);
}

static void render_message_updated(struct drawing *d)
{
	if (d->body->body.message_updated.has_message)
		draw_message(d, &d->body->body.message_updated.message);
}

static void draw_reaction(struct drawing *d, const char *key, const pb_ReactionChanged *e)
{
	struct json_writer *w = frame_open(d, key);

	jw_object(w);
	id_kv(w, "messageID", e->message_id);
	id_kv(w, "userID", e->user.id);
	jw_kv(w, str, "reaction", e->emoji);
	jw_object_end(w);
	frame_close(d);
}

static void render_reaction_added(struct drawing *d)
{
	draw_reaction(d, "messageReaction", &d->body->body.reaction_added);
}

static void render_reaction_removed(struct drawing *d)
{
	draw_reaction(d, "messageReactionRemoved", &d->body->body.reaction_removed);
}

/* channelID is more than the first server of this API sent: its web page looks for one. */
static void draw_pin(struct drawing *d, const char *key, const pb_MessagePinned *e)
{
	struct json_writer *w = frame_open(d, key);

	jw_object(w);
	id_kv(w, "messageID", e->message.id);
	id_kv(w, "userID", d->body->has_actor ? d->body->actor.id : 0);
	id_kv(w, "channelID", d->channel_id);
	jw_object_end(w);
	frame_close(d);
}

static void render_message_pinned(struct drawing *d)
{
	draw_pin(d, "messagePin", &d->body->body.message_pinned);
}

static void render_message_unpinned(struct drawing *d)
{
	draw_pin(d, "messagePinRemoved", &d->body->body.message_unpinned);
}

/* ---- what is one's own anyway */

static void render_read_state(struct drawing *d)
{
	const pb_ReadStateChanged *e = &d->body->body.read_state_changed;

	if (e->root_id != 0)
		draw_unread(d, &(struct crust_unread){
				       .channel_id = d->channel_id,
				       .thread_id = e->root_id,
				       .last_message_id = e->last_read_id,
				       .count = e->thread_unread});
	draw_unread(d, &(struct crust_unread){.channel_id = d->channel_id,
			       .last_message_id = e->main_last_read_id,
			       .count = e->main_unread,
			       .thread_count = e->thread_count,
			       .thread_total = e->thread_total});
}

/* ---- who is there and what they do */

static void draw_activity(
	struct drawing *d, uint64_t user_id, const char *kind, uint64_t message_id, uint64_t channel_id, bool present)
{
	struct json_writer *w = frame_open(d, "activity");

	jw_object(w);
	id_kv(w, "userID", user_id);
	if (kind != NULL && *kind != '\0')
		jw_kv(w, str, "kind", kind);
	if (message_id != 0)
		id_kv(w, "messageID", message_id);
	if (channel_id != 0)
		id_kv(w, "channelID", channel_id);
	jw_kv(w, bool, "present", present);
	jw_object_end(w);
	frame_close(d);
}

/* There is no word for an end of it: clients let it end by themselves. */
static void render_typing(struct drawing *d)
{
	const pb_TypingChanged *e = &d->body->body.typing_changed;

	if (e->is_typing)
		draw_activity(d, e->user.id, e->root_id != 0 ? "replying" : "typing", e->root_id, d->channel_id, false);
}

static void render_activity(struct drawing *d)
{
	const pb_ActivityReported *e = &d->body->body.activity_reported;

	draw_activity(d, e->user.id, e->kind, e->message_id, e->has_channel ? e->channel.id : 0, false);
}

static void render_presence(struct drawing *d)
{
	const pb_PresenceChanged *e = &d->body->body.presence_changed;
	bool there = e->shown != PRESENCE_OFFLINE && e->shown != PRESENCE_INVISIBLE;

	draw_activity(d, e->user.id, there ? "connected" : "disconnected", 0, 0, there);
}

/* ---- the table */

/* Crust has channels of messages: the others, and what is below a channel, do not exist here. */
static bool kind_shown(uint32_t kind)
{
	return kind == CHANNEL_TEXT || kind == CHANNEL_DIRECT || kind == CHANNEL_GROUP;
}

/* One row of the table. */
struct row {
	enum part part;
	void (*render)(struct drawing *d);
	struct crust_place place;
};

static bool lookup(const pb_Event *body, struct row *out)
{
	*out = (struct row){0};
	switch ((enum event_kind)body->which_body) {
#define EVENT(arm, part, renderer)                                                                           \
	case EVENT_KIND_##arm:                                                                               \
		*out = (struct row){PART_##part, renderer, {0, 0}};                                             \
		return true;
#define EVENT_IN_CHANNEL(arm, part, renderer)                                                                \
	case EVENT_KIND_##arm:                                                                               \
		*out = (struct row){PART_##part, renderer,                                                   \
			{body->body.arm.channel.id, body->body.arm.channel.team_id}};                        \
		return body->body.arm.has_channel && kind_shown(body->body.arm.channel.kind);
#define EVENT_NOT_SENT(arm, reason)                                                                          \
	case EVENT_KIND_##arm:                                                                               \
		return false;
#include "common/dialects/crust/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_NOT_SENT
	case EVENT_KIND_none:
		break;
	}
	return false; /* a kind of a newer peer */
}

/* Arms whose body says more about whether they are shown. */
static bool shown(const pb_Event *body)
{
	switch ((int)body->which_body) {
	case EVENT_KIND_channel_member_joined: /* crust tells of an invitation by its line only */
		return !body->body.channel_member_joined.invited;
	case EVENT_KIND_activity_reported: {
		const pb_ActivityReported *e = &body->body.activity_reported;
		return !e->has_channel || kind_shown(e->channel.kind);
	}
	default:
		return true;
	}
}

static bool row_of(const pb_Event *body, struct row *out)
{
	return !body->tombstone && lookup(body, out) && shown(body);
}

bool crust_event_shown(const pb_Event *body, struct crust_place *out)
{
	struct row row;
	bool there = row_of(body, &row);

	*out = row.place;
	return there;
}

uint64_t crust_event_asks(const pb_Event *body)
{
	struct row row;

	return row_of(body, &row) && row.part == PART_CHANNEL && !hides(body) ? row.place.channel_id : 0;
}

uint64_t crust_event_thread(const pb_Event *body)
{
	const pb_MessageView *edited = &body->body.message_updated.message;

	switch ((int)body->which_body) {
	case EVENT_KIND_message_posted:
		return body->body.message_posted.message.root_id;
	case EVENT_KIND_message_deleted:
		return body->body.message_deleted.message.root_id;
	case EVENT_KIND_message_updated:
		return edited->root_id == 0 ? edited->id : 0;
	default:
		return 0;
	}
}

static enum crust_share message_share(const pb_Event *body, const struct crust_reader *reader)
{
	if (body->which_body == EVENT_KIND_message_updated) {
		bool own = concerns(&body->body.message_updated.message, reader->user_id) || reader->thread_unread > 0;
		return own ? CRUST_SHARE_NONE : CRUST_SHARE_ALL;
	}
	struct happening h = happening_of(body);
	return happening_share(&h, reader);
}

enum crust_share crust_event_share(const pb_Event *body, const struct crust_reader *reader)
{
	struct row row;

	if (!row_of(body, &row))
		return CRUST_SHARE_SKIP;
	switch (row.part) {
	case PART_ALIKE:
		return CRUST_SHARE_ALL;
	case PART_MESSAGE:
		return message_share(body, reader);
	case PART_CHANNEL:
		if (hides(body))
			return CRUST_SHARE_ALL;
		/* Who may not see it any more is not told of it, except that it is gone. */
		return reader->viewing || body->which_body == EVENT_KIND_channel_deleted ? CRUST_SHARE_NONE : CRUST_SHARE_SKIP;
	}
	return CRUST_SHARE_SKIP;
}

static void draw(struct texts *out, const pb_Event *body, const struct crust_reader *reader)
{
	struct drawing d = {.out = out, .body = body, .reader = reader};
	struct row row;

	if (!row_of(body, &row) || (row.part == PART_CHANNEL && reader == NULL && !hides(body)))
		return;
	d.channel_id = row.place.channel_id;
	if (reader != NULL)
		d.share = crust_event_share(body, reader);
	row.render(&d);
}

void crust_event_shared(struct texts *out, const pb_Event *body)
{
	draw(out, body, NULL);
}

void crust_event_own(struct texts *out, const pb_Event *body, const struct crust_reader *reader)
{
	draw(out, body, reader);
}

void crust_activity_frame(
	struct texts *out, uint64_t user_id, const char *kind, uint64_t message_id, uint64_t channel_id, bool present)
{
	struct drawing d = {.out = out};

	draw_activity(&d, user_id, kind, message_id, channel_id, present);
}

void crust_error_frame(struct texts *out, const char *text)
{
	struct drawing d = {.out = out};
	struct json_writer *w = frame_open(&d, "error");

	jw_object(w);
	jw_kv(w, str, "m", text);
	jw_object_end(w);
	frame_close(&d);
}
