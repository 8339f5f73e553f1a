#include "services/moderation/audit_follower.h"

#include <string.h>

#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/moderation/audit.h"

#define ENTRIES_A_COMMIT 16 /* each takes a few statements under the lock of the team's stream */

static const uint32_t kinds[] = {EVENT_KIND_channel_created, EVENT_KIND_channel_updated, EVENT_KIND_channel_deleted,
	EVENT_KIND_channel_undeleted, EVENT_KIND_channel_archived, EVENT_KIND_channel_restored, EVENT_KIND_message_updated,
	EVENT_KIND_message_deleted, EVENT_KIND_message_pinned, EVENT_KIND_message_unpinned, EVENT_KIND_webhook_created,
	EVENT_KIND_webhook_updated, EVENT_KIND_webhook_deleted};

/* ---- what an event says */

static const char *made_said(struct arena *mem, const pb_ChannelCreated *e)
{
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	if (e->cloned_from != 0)
		audit_id(&a, "cloned_from", e->cloned_from);
	audit_text(&a, "kind", channel_kind_word(e->channel.kind));
	audit_text(&a, "name", e->channel.name);
	audit_flag(&a, "private", e->channel.private);
	return audit_changes_end(&a);
}

static const char *name_said(struct arena *mem, const pb_ChannelView *channel)
{
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	audit_text(&a, "name", channel->name);
	return audit_changes_end(&a);
}

static bool among(char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool named(const pb_ChannelUpdated *e, const char *name)
{
	return among(e->changed, e->changed_count, name);
}

/* The new values; what was before, the event does not know. */
static const char *update_said(struct arena *mem, const pb_ChannelUpdated *e)
{
	const pb_ChannelView *channel = &e->channel;
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	if (named(e, "category_id"))
		audit_id(&a, "category_id", channel->category_id);
	if (named(e, "name"))
		audit_text(&a, "name", channel->name);
	if (named(e, "position"))
		audit_number(&a, "position", channel->position);
	if (named(e, "private"))
		audit_flag(&a, "private", channel->private);
	if (named(e, "public_read"))
		audit_flag(&a, "public_read", channel->public_read);
	if (named(e, "slow_mode_s"))
		audit_number(&a, "slow_mode_s", channel->slow_mode_s);
	if (named(e, "topic"))
		audit_text(&a, "topic", channel->topic);
	return audit_changes_end(&a);
}

/* Never a word of it. */
static const char *message_said(struct arena *mem, uint64_t channel_id, uint64_t author_id)
{
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	audit_id(&a, "author_id", author_id);
	audit_id(&a, "channel_id", channel_id);
	return audit_changes_end(&a);
}

static void of_webhook(struct arena *mem, enum audit_action action, const pb_WebhookEvent *e, struct audit_entry *out)
{
	const pb_WebhookView *w = &e->webhook;
	bool all = action == AUDIT_webhook_created;
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	if (among(e->changed, e->changed_count, "avatar_url"))
		audit_text(&a, "avatar_url", w->avatar);
	if ((all && w->bot_id != 0) || among(e->changed, e->changed_count, "bot_id"))
		audit_id(&a, "bot_id", w->bot_id);
	audit_id(&a, "channel_id", w->channel_id);
	if (all)
		audit_text(&a, "kind", webhook_kind_word(w->kind));
	if (action != AUDIT_webhook_updated || among(e->changed, e->changed_count, "name"))
		audit_text(&a, "name", w->name);
	if ((all && w->trigger != NULL) || among(e->changed, e->changed_count, "trigger"))
		audit_text(&a, "trigger", w->trigger);
	out->action = action;
	out->target_id = w->id;
	out->changes = audit_changes_end(&a);
}

static void of_channel(
	struct arena *mem, enum audit_action action, const pb_ChannelView *channel, struct audit_entry *out)
{
	out->action = action;
	out->target_id = channel->id;
	out->changes = name_said(mem, channel);
}

static void of_message(struct arena *mem, enum audit_action action, uint64_t channel_id, const pb_MessageView *message,
	struct audit_entry *out)
{
	out->action = action;
	out->target_id = message->id;
	out->changes = message_said(mem, channel_id, message->has_author ? message->author.id : 0);
}

/* What authors do with their own messages is theirs; what the system does to a message is somebody's request already. */
static bool by_another(const pb_Event *body, const pb_MessageView *message)
{
	return body->has_actor && (!message->has_author || message->author.id != body->actor.id);
}

/* The message has been deleted since. What is left of the event, with the kind and the person beside it, is enough. */
static bool entry_of_deleted(struct arena *mem, const struct followed_event *ev, struct audit_entry *out)
{
	const pb_Event *body = ev->body;
	pb_UserView *actor = ARENA_NEW(mem, pb_UserView);
	uint64_t author_id = body->remains.author_id;

	if (!body->has_remains)
		return false;
	*out = (struct audit_entry){.target_id = body->remains.id,
		.cause_seq = ev->logged.seq,
		.cause_at_ms = ev->logged.at_ms,
		.actor = ev->logged.actor_id != 0 ? actor : NULL};
	actor->id = ev->logged.actor_id;
	out->changes = message_said(mem, body->remains.channel_id, author_id);
	switch (ev->logged.kind) {
	case EVENT_KIND_message_updated:
		out->action = AUDIT_message_updated;
		return actor->id != 0 && actor->id != author_id;
	case EVENT_KIND_message_pinned:
		out->action = AUDIT_message_pinned;
		return true;
	case EVENT_KIND_message_unpinned:
		out->action = AUDIT_message_unpinned;
		return true;
	default:
		return false;
	}
}

/* The entry that the event deserves. False: none. */
static bool entry_of(struct arena *mem, const struct followed_event *ev, struct audit_entry *out)
{
	const pb_Event *body = ev->body;

	if (body == NULL)
		return false;
	if (body->tombstone)
		return entry_of_deleted(mem, ev, out);
	*out = (struct audit_entry){.cause_seq = ev->logged.seq,
		.cause_at_ms = ev->logged.at_ms,
		.actor = body->has_actor ? &body->actor : NULL};
	if (body->which_body == EVENT_KIND_channel_created) {
		out->action = AUDIT_channel_created;
		out->target_id = body->body.channel_created.channel.id;
		out->changes = made_said(mem, &body->body.channel_created);
	} else if (body->which_body == EVENT_KIND_channel_deleted)
		of_channel(mem, AUDIT_channel_deleted, &body->body.channel_deleted.channel, out);
	else if (body->which_body == EVENT_KIND_channel_undeleted)
		of_channel(mem, AUDIT_channel_undeleted, &body->body.channel_undeleted.channel, out);
	else if (body->which_body == EVENT_KIND_channel_archived)
		of_channel(mem, AUDIT_channel_archived, &body->body.channel_archived.channel, out);
	else if (body->which_body == EVENT_KIND_channel_restored)
		of_channel(mem, AUDIT_channel_restored, &body->body.channel_restored.channel, out);
	else if (body->which_body == EVENT_KIND_channel_updated) {
		out->action = AUDIT_channel_updated;
		out->target_id = body->body.channel_updated.channel.id;
		out->changes = update_said(mem, &body->body.channel_updated);
	} else if (body->which_body == EVENT_KIND_message_updated) {
		const pb_MessageUpdated *e = &body->body.message_updated;
		of_message(mem, AUDIT_message_updated, e->channel.id, &e->message, out);
		return by_another(body, &e->message);
	} else if (body->which_body == EVENT_KIND_message_deleted) {
		const pb_MessageDeleted *e = &body->body.message_deleted;
		of_message(mem, AUDIT_message_deleted, e->channel.id, &e->message, out);
		return by_another(body, &e->message);
	} else if (body->which_body == EVENT_KIND_message_pinned)
		of_message(mem, AUDIT_message_pinned, body->body.message_pinned.channel.id, &body->body.message_pinned.message, out);
	else if (body->which_body == EVENT_KIND_message_unpinned)
		of_message(mem, AUDIT_message_unpinned, body->body.message_unpinned.channel.id, &body->body.message_unpinned.message,
			out);
	else if (body->which_body == EVENT_KIND_webhook_created)
		of_webhook(mem, AUDIT_webhook_created, &body->body.webhook_created, out);
	else if (body->which_body == EVENT_KIND_webhook_updated)
		of_webhook(mem, AUDIT_webhook_updated, &body->body.webhook_updated, out);
	else if (body->which_body == EVENT_KIND_webhook_deleted)
		of_webhook(mem, AUDIT_webhook_deleted, &body->body.webhook_deleted, out);
	else
		return false;
	return true;
}

/* ---- commits */

/* Events [first, first + count) of the batch, of which some deserve an entry. */
struct slice {
	const struct log_batch *batch;
	size_t first, count;
	struct audit_entry entries[ENTRIES_A_COMMIT];
	size_t entry_count;
	uint8_t request_id[LOG_FOLLOWER_REQUEST_ID];
};

static enum status prepare_record(struct change *c)
{
	const struct slice *s = c->data;

	c->op.request_id = s->request_id;
	c->op.request_id_length = sizeof s->request_id;
	c->op.keeps_rights = true;
	return change_load(c, s->batch->stream.id, 0, NULL, 0);
}

static const struct db_stmt person_stmt = {
	"moderation_audit_person", "SELECT " PERSON_COLUMNS("p") " FROM moderation.people p WHERE p.id = $1"};

/* Of what was left of an event only who it was is known. */
static enum status actor_name(struct change *c, struct audit_entry *entry)
{
	struct db_params p;
	struct db_rows rows = {0};

	if (entry->actor == NULL || entry->actor->username != NULL)
		return STATUS_OK;
	change_params(c, &p);
	db_put_id(&p, entry->actor->id);
	enum status st = change_query(c, &person_stmt, &p, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	pb_UserView *named = ARENA_NEW(c->mem, pb_UserView);
	person_from_row(&rows, 0, 0, c->mem, entry->actor->id, named);
	entry->actor = named;
	return STATUS_OK;
}

static enum status work_record(struct change *c, struct log_tx *tx)
{
	const struct slice *s = c->data;
	enum status st = STATUS_OK;

	for (size_t i = 0; i < s->entry_count && st == STATUS_OK; i++) {
		struct audit_entry entry = s->entries[i];
		st = actor_name(c, &entry);
		if (st == STATUS_OK)
			st = audit_append(c, &entry);
	}
	return st == STATUS_OK ? log_follower_mark(tx, s->batch, s->first, s->count) : st;
}

static enum status work_pass(struct log_tx *tx, void *arg)
{
	const struct slice *s = arg;

	return log_follower_mark(tx, s->batch, s->first, s->count);
}

/* Nothing to record: only the position moves. Not under the lock of the team's stream, where people wait for their posts. */
static enum status pass(struct moderation *m, struct arena *mem, struct slice *s)
{
	struct commit_result result;
	struct commit_op op = {.streams = {STREAM_GLOBAL}, .stream_count = 1, .keeps_rights = true, .work = work_pass, .arg = s};

	op.request_id = s->request_id;
	op.request_id_length = sizeof s->request_id;
	return committer_run(m->committer, mem, &op, &result);
}

static enum status commit(struct moderation *m, struct arena *mem, struct slice *s)
{
	struct commit_result result;
	struct change c = {.service = m, .mem = mem, .prepare = prepare_record, .work = work_record, .data = s};

	log_follower_request_id(s->batch, s->first, s->request_id);
	if (s->entry_count == 0)
		return pass(m, mem, s);
	enum status st = change_commit(&c, &result);
	/* A deleted team, or a conversation, has no audit log. */
	return st == STATUS_NOT_FOUND ? pass(m, mem, s) : st;
}

enum status audit_follow(void *arg, struct arena *mem, const struct log_batch *batch)
{
	struct slice s = {.batch = batch};
	enum status st = STATUS_OK;

	if (batch->gone && batch->after != 0)
		log_error("audit_incomplete", LOG_ID("team", batch->stream.id), LOG_U64("after", batch->after),
			LOG_U64("through", batch->through),
			LOG_STR("do", "what was done to channels and messages between these numbers is not in the audit log"));
	for (size_t i = 0; i < batch->count && st == STATUS_OK; i++) {
		s.count++;
		if (entry_of(mem, &batch->events[i], &s.entries[s.entry_count]))
			s.entry_count++;
		if (s.entry_count < ENTRIES_A_COMMIT)
			continue;
		st = commit(arg, mem, &s);
		s = (struct slice){.batch = batch, .first = i + 1};
	}
	if (st == STATUS_OK && (s.count > 0 || batch->count == 0))
		st = commit(arg, mem, &s);
	return st;
}

void audit_follower_create(struct moderation *service, struct log_follower **out_follower)
{
	log_follower_create(&(struct log_follower_options){.name = "audit",
				    .instance = service->instance,
				    .db = service->db,
				    .ranks = 1u << RANK_TEAM,
				    .kinds = kinds,
				    .kind_count = sizeof kinds / sizeof *kinds,
				    .commit = audit_follow,
				    .arg = service,
				    .metrics = LOG_FOLLOWER_METRICS(audit)},
		out_follower);
}
