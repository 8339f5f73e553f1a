#include "services/messaging/system_lines.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/ops/ops.h"
#include "services/messaging/rights.h"

#define STEP_MS 5000
/* What lies further back in a stream that this job has never worked on was before its time. */
#define BEFORE_ITS_TIME_MS (10 * 60 * 1000)

static const uint32_t kinds[] = {EVENT_KIND_channel_member_joined, EVENT_KIND_channel_member_left,
	EVENT_KIND_channel_member_kicked, EVENT_KIND_channel_user_banned, EVENT_KIND_channel_created,
	EVENT_KIND_conversation_created, EVENT_KIND_channel_updated, EVENT_KIND_channel_deleted, EVENT_KIND_channel_undeleted,
	EVENT_KIND_channel_archived, EVENT_KIND_channel_restored};

/* ---- what an event says */

static bool holds_messages(uint32_t kind)
{
	return kind == CHANNEL_TEXT || kind == CHANNEL_VOICE || kind == CHANNEL_STREAM || kind == CHANNEL_THREAD ||
	       kind == CHANNEL_DIRECT || kind == CHANNEL_GROUP;
}

static void say(struct arena *mem, pb_SystemLineView *out, enum system_template what, size_t most)
{
	*out = (pb_SystemLineView){.template = what, .args = ARENA_ARRAY(mem, most, char *)};
}

static void say_text(pb_SystemLineView *out, const char *text)
{
	out->args[out->args_count++] = (char *)(text != NULL ? text : "");
}

static void say_id(struct arena *mem, pb_SystemLineView *out, uint64_t id)
{
	say_text(out, arena_printf(mem, "%" PRIu64, id));
}

static const char *type_of(const pb_ChannelView *channel)
{
	return channel->team_id == 0 ? "group" : channel->private ? "private" : "public";
}

static void say_created(struct arena *mem, uint64_t actor, const pb_ChannelView *channel, pb_SystemLineView *out)
{
	say(mem, out, SYSTEM_CREATED, 4);
	say_id(mem, out, actor);
	say_text(out, type_of(channel));
	say_text(out, channel->name);
	say_text(out, channel->topic);
}

static bool named(const pb_ChannelUpdated *e, const char *name)
{
	for (size_t i = 0; i < e->changed_count; i++)
		if (e->changed[i] != NULL && strcmp(e->changed[i], name) == 0)
			return true;
	return false;
}

static void say_change(
	struct arena *mem, uint64_t actor, enum system_template what, const char *now, const char *before, pb_SystemLineView *out)
{
	say(mem, out, what, 3);
	say_id(mem, out, actor);
	say_text(out, now);
	say_text(out, before);
}

static size_t say_updated(
	struct arena *mem, uint64_t actor, const pb_ChannelUpdated *e, pb_SystemLineView out[SYSTEM_LINES_MOST])
{
	size_t count = 0;

	if (named(e, "name"))
		say_change(mem, actor, SYSTEM_RENAMED, e->channel.name, e->old_name, &out[count++]);
	if (named(e, "topic"))
		say_change(mem, actor, SYSTEM_TOPIC, e->channel.topic, e->old_topic, &out[count++]);
	return count;
}

/* Who is in it from its making is told by its making. */
static bool say_joined(struct arena *mem, uint64_t actor, const pb_ChannelMemberJoined *e, pb_SystemLineView *out)
{
	bool self = e->by == 0 || e->by == e->user.id;

	if (e->seeded || e->promoted)
		return false;
	say(mem, out, self ? SYSTEM_JOINED : e->invited ? SYSTEM_INVITED : SYSTEM_ADDED, 2);
	if (!self)
		say_id(mem, out, e->by);
	say_id(mem, out, e->user.id);
	return true;
}

static void say_left(struct arena *mem, uint64_t actor, uint64_t user, pb_SystemLineView *out)
{
	bool self = actor == 0 || actor == user;

	say(mem, out, self ? SYSTEM_LEFT : SYSTEM_REMOVED, 2);
	if (!self)
		say_id(mem, out, actor);
	say_id(mem, out, user);
}

static void say_state(struct arena *mem, uint64_t actor, enum system_template what, pb_SystemLineView *out)
{
	say(mem, out, what, 1);
	say_id(mem, out, actor);
}

static bool of_channel(const pb_ChannelView *channel, uint64_t *out_channel)
{
	*out_channel = channel->id;
	return holds_messages(channel->kind);
}

static bool of_ref(const pb_ChannelRef *channel, uint64_t *out_channel)
{
	*out_channel = channel->id;
	return holds_messages(channel->kind);
}

/* Of what is told by one line. */
static bool line_of(struct arena *mem, const struct followed_event *ev, uint64_t *out_channel, pb_SystemLineView *out)
{
	const pb_Event *body = ev->body;
	uint64_t actor = ev->logged.actor_id;

	if (body->which_body == EVENT_KIND_channel_created) {
		say_created(mem, actor, &body->body.channel_created.channel, out);
		return of_channel(&body->body.channel_created.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_conversation_created) {
		say_created(mem, actor, &body->body.conversation_created.channel, out);
		return of_channel(&body->body.conversation_created.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_deleted) {
		say_state(mem, actor, SYSTEM_DELETED, out);
		return of_channel(&body->body.channel_deleted.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_undeleted) {
		say_state(mem, actor, SYSTEM_UNDELETED, out);
		return of_channel(&body->body.channel_undeleted.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_archived) {
		say_state(mem, actor, SYSTEM_ARCHIVED, out);
		return of_channel(&body->body.channel_archived.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_restored) {
		say_state(mem, actor, SYSTEM_UNARCHIVED, out);
		return of_channel(&body->body.channel_restored.channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_member_joined) {
		const pb_ChannelMemberJoined *e = &body->body.channel_member_joined;
		return of_channel(&e->channel, out_channel) && say_joined(mem, actor, e, out);
	} else if (body->which_body == EVENT_KIND_channel_member_left || body->which_body == EVENT_KIND_channel_member_kicked) {
		const pb_ChannelMemberLeft *e = &body->body.channel_member_left; /* one member of the union, whichever it is */
		say_left(mem, e->by != 0 ? e->by : actor, e->user.id, out);
		return of_ref(&e->channel, out_channel);
	} else if (body->which_body == EVENT_KIND_channel_user_banned) {
		const pb_ChannelUserBanned *e = &body->body.channel_user_banned;
		say_left(mem, e->by != 0 ? e->by : actor, e->user.id, out);
		return of_ref(&e->channel, out_channel) && e->was_member;
	}
	return false;
}

size_t system_lines_of(struct arena *mem, const struct followed_event *ev, uint64_t *out_channel,
	pb_SystemLineView out[SYSTEM_LINES_MOST])
{
	const pb_Event *body = ev->body;

	if (body == NULL || body->tombstone)
		return 0;
	if (body->which_body != EVENT_KIND_channel_updated)
		return line_of(mem, ev, out_channel, out);
	const pb_ChannelUpdated *e = &body->body.channel_updated;
	return of_channel(&e->channel, out_channel) ? say_updated(mem, ev->logged.actor_id, e, out) : 0;
}

/* ---- commits */

/* Events [first, first + count) of the batch, of which the last may deserve lines. */
struct slice {
	const struct log_batch *batch;
	size_t first, count;
	size_t line_count; /* 0: none */
	uint64_t ids[SYSTEM_LINES_MOST], channel_id, cause_seq;
	int64_t at_ms;
	pb_SystemLineView lines[SYSTEM_LINES_MOST];
	struct rights rights;
};

static const struct db_stmt there_stmt = {
	"messaging_line_there",
	"SELECT 1 FROM messaging.messages WHERE channel_id = $1 AND cause_seq = $2 AND cause_part = $3",
};
static const struct db_stmt insert_stmt = {
	"messaging_line_insert",
	"INSERT INTO messaging.messages (id, channel_id, seq, kind, content, created_at_ms, line, cause_seq, cause_part)"
	" VALUES ($1, $2, $3, 3, '', $4, $5, $6, $7)",
};

static enum status write_line(struct log_tx *tx, const struct slice *s, size_t part)
{
	const uint8_t *bytes;
	size_t length;
	struct db_params params;
	struct db_rows rows = {0};
	uint64_t seq = 0;
	pb_Event event = {.event_id = s->ids[part],
		.which_body = EVENT_KIND_message_posted,
		.body.message_posted = {.has_channel = true,
			.has_message = true,
			.message = {.id = s->ids[part],
				.channel_id = s->channel_id,
				.kind = MESSAGE_SYSTEM,
				.content = (char *)"",
				.created_at_ms = (uint64_t)s->at_ms,
				.has_line = true,
				.line = s->lines[part]}}};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, s->channel_id);
	db_put_id(&params, s->cause_seq);
	db_put_i16(&params, (int16_t)part);
	enum status st = log_tx_query(tx, &there_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count > 0)
		return st;
	rights_channel_ref(&s->rights, &event.body.message_posted.channel);
	st = log_tx_append(tx, s->rights.stream, s->rights.audience, &event, &seq);
	if (st == STATUS_OK)
		st = pb_encode_arena(log_tx_mem(tx), pb_SystemLineView_fields, &s->lines[part], &bytes, &length);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, s->ids[part]);
	db_put_id(&params, s->channel_id);
	db_put_id(&params, seq);
	db_put_i64(&params, s->at_ms);
	db_put_bytea(&params, bytes, length);
	db_put_id(&params, s->cause_seq);
	db_put_i16(&params, (int16_t)part);
	return log_tx_query(tx, &insert_stmt, &params, NULL);
}

static enum status slice_work(struct log_tx *tx, void *arg)
{
	const struct slice *s = arg;

	enum status st = STATUS_OK;
	for (size_t i = 0; i < s->line_count && st == STATUS_OK; i++)
		st = write_line(tx, s, i);
	return st == STATUS_OK ? log_follower_mark(tx, s->batch, s->first, s->count) : st;
}

/* Where the line goes: what the channel is now, also when it is deleted. NOT_FOUND: it is gone for good. */
static enum status judge(struct service *service, struct arena *mem, struct slice *s)
{
	struct rpc_context context = {.deadline_mono_ms = clock_mono_ms() + STEP_MS};
	pb_JudgeRequest request = {.channel_id = s->channel_id};
	pb_JudgeReply reply;
	struct rpc_outcome outcome;

	enum status st = moderation_judge(service->moderation, mem, &context, &request, &reply, &outcome);
	if (st != STATUS_OK)
		return st;
	rights_from_answer(&reply.rights, true, &s->rights);
	return s->rights.status != STATUS_OK ? STATUS_NOT_FOUND : STATUS_OK;
}

/* Without a line only the position moves, not under the lock of the stream where people wait for their posts. */
static enum status commit(struct service *service, struct arena *mem, struct slice *s)
{
	uint8_t request_id[LOG_FOLLOWER_REQUEST_ID];
	struct commit_result result;
	struct commit_op op = {.streams = {s->line_count > 0 ? s->rights.stream : STREAM_GLOBAL},
		.stream_count = 1,
		.keeps_rights = true,
		.work = slice_work,
		.arg = s,
		.request_id = request_id,
		.request_id_length = sizeof request_id};

	log_follower_request_id(s->batch, s->batch->count > 0 ? s->first + s->count - 1 : 0, request_id);
	if (s->line_count > 0)
		op.checks[op.check_count++] = (struct commit_check){.stream = s->rights.stream,
			.stream_epoch = s->rights.stream_epoch,
			.check_stream = true,
			.generation = s->rights.generation};
	return committer_run(service->committer, mem, &op, &result);
}

static enum status try_once(struct service *service, struct arena *mem, struct slice *s)
{
	enum status st = s->line_count > 0 ? judge(service, mem, s) : STATUS_OK;

	for (size_t i = 0; i < s->line_count && st == STATUS_OK; i++)
		st = service_next_id(service, &s->ids[i]);
	return st == STATUS_OK ? commit(service, mem, s) : st;
}

static enum status finish(struct service *service, struct arena *mem, struct slice *s)
{
	enum status st = try_once(service, mem, s);

	/* What a line tells of is often a change of rights, and others follow it. */
	for (int tries = 0; st == STATUS_STALE && tries < JUDGE_TRIES; tries++)
		st = try_once(service, mem, s);
	if (st != STATUS_NOT_FOUND || s->line_count == 0)
		return st;
	s->line_count = 0; /* the channel, or its stream, is no more */
	return commit(service, mem, s);
}

static bool wanted(const struct log_batch *batch, const struct logged_event *ev)
{
	return batch->after != 0 || ev->at_ms > clock_wall_ms() - BEFORE_ITS_TIME_MS;
}

enum status system_lines_follow(void *service, struct arena *mem, const struct log_batch *batch)
{
	struct slice s = {.batch = batch};
	enum status st = STATUS_OK;

	for (size_t i = 0; i < batch->count && st == STATUS_OK; i++) {
		const struct followed_event *ev = &batch->events[i];
		s.count++;
		s.line_count = wanted(batch, &ev->logged) ? system_lines_of(mem, ev, &s.channel_id, s.lines) : 0;
		if (s.line_count == 0)
			continue;
		s.cause_seq = ev->logged.seq;
		s.at_ms = ev->logged.at_ms;
		st = finish(service, mem, &s);
		s = (struct slice){.batch = batch, .first = i + 1};
	}
	if (st == STATUS_OK && (s.count > 0 || batch->count == 0))
		st = finish(service, mem, &s);
	return st;
}

void system_lines_create(struct service *s, struct log_follower **out_follower)
{
	log_follower_create(&(struct log_follower_options){.name = "lines",
				    .instance = s->instance,
				    .db = s->db,
				    .ranks = 1u << RANK_TEAM,
				    .kinds = kinds,
				    .kind_count = sizeof kinds / sizeof *kinds,
				    .commit = system_lines_follow,
				    .arg = s,
				    .metrics = LOG_FOLLOWER_METRICS(lines)},
		out_follower);
}
