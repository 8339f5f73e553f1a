#include "services/moderation/audit_follower.h"

#include <string.h>

#include "common/base/log.h"
#include "common/ops/metrics.h"
#include "services/moderation/audit.h"

#define ENTRIES_A_COMMIT 16 /* each takes a few statements under the lock of the team's stream */

static const uint32_t kinds[] = {EVENT_KIND_channel_created, EVENT_KIND_channel_updated, EVENT_KIND_channel_deleted,
	EVENT_KIND_channel_undeleted, EVENT_KIND_channel_archived, EVENT_KIND_channel_restored, EVENT_KIND_message_updated,
	EVENT_KIND_message_deleted, EVENT_KIND_message_pinned, EVENT_KIND_message_unpinned};

/* ---- what an event says */

static const char *channel_said(struct arena *mem, const pb_ChannelView *channel, bool whole)
{
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	if (whole)
		audit_text(&a, "kind", channel_kind_word(channel->kind));
	audit_text(&a, "name", channel->name);
	if (whole)
		audit_flag(&a, "private", channel->private);
	return audit_changes_end(&a);
}

static bool named(const pb_ChannelUpdated *e, const char *name)
{
	for (size_t i = 0; i < e->changed_count; i++)
		if (e->changed[i] != NULL && strcmp(e->changed[i], name) == 0)
			return true;
	return false;
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
static const char *message_said(struct arena *mem, uint64_t channel_id, const pb_MessageView *message)
{
	struct audit_changes a;

	audit_changes_begin(&a, mem);
	audit_id(&a, "author_id", message->has_author ? message->author.id : 0);
	audit_id(&a, "channel_id", channel_id);
	return audit_changes_end(&a);
}

static void of_channel(
	struct arena *mem, enum audit_action action, const pb_ChannelView *channel, bool whole, struct audit_entry *out)
{
	out->action = action;
	out->target_id = channel->id;
	out->changes = channel_said(mem, channel, whole);
}

static void of_message(struct arena *mem, enum audit_action action, uint64_t channel_id, const pb_MessageView *message,
	struct audit_entry *out)
{
	out->action = action;
	out->target_id = message->id;
	out->changes = message_said(mem, channel_id, message);
}

/* What authors do with their own messages is theirs; what the system does to a message is somebody's request already. */
static bool by_another(const pb_Event *body, const pb_MessageView *message)
{
	return body->has_actor && (!message->has_author || message->author.id != body->actor.id);
}

/* The entry that the event deserves. False: none. */
static bool entry_of(struct arena *mem, const struct followed_event *ev, struct audit_entry *out)
{
	const pb_Event *body = ev->body;

	if (body == NULL || body->tombstone)
		return false; /* deleted since, which has an event of its own */
	*out = (struct audit_entry){.cause_seq = ev->logged.seq,
		.cause_at_ms = ev->logged.at_ms,
		.actor = body->has_actor ? &body->actor : NULL};
	if (body->which_body == EVENT_KIND_channel_created)
		of_channel(mem, AUDIT_channel_created, &body->body.channel_created.channel, true, out);
	else if (body->which_body == EVENT_KIND_channel_deleted)
		of_channel(mem, AUDIT_channel_deleted, &body->body.channel_deleted.channel, false, out);
	else if (body->which_body == EVENT_KIND_channel_undeleted)
		of_channel(mem, AUDIT_channel_undeleted, &body->body.channel_undeleted.channel, false, out);
	else if (body->which_body == EVENT_KIND_channel_archived)
		of_channel(mem, AUDIT_channel_archived, &body->body.channel_archived.channel, false, out);
	else if (body->which_body == EVENT_KIND_channel_restored)
		of_channel(mem, AUDIT_channel_restored, &body->body.channel_restored.channel, false, out);
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

static enum status work_record(struct change *c, struct log_tx *tx)
{
	const struct slice *s = c->data;
	enum status st = STATUS_OK;

	for (size_t i = 0; i < s->entry_count && st == STATUS_OK; i++)
		st = audit_append(c, &s->entries[i]);
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
