#include "services/moderation/conversation_members.h"

#include <stdlib.h>
#include <string.h>

#include "services/moderation/conversations.h"
#include "services/moderation/rows.h"

/* A change of a group's people: the set as it was found, and as it will be. */
struct group {
	uint64_t before[CONVERSATION_MEMBERS_MAX + 1], after[CONVERSATION_MEMBERS_MAX + 1];
	size_t before_count, after_count;
};

static const struct db_stmt set_stmt = {"moderation_group_set",
	"SELECT m.user_id FROM moderation.channel_members m WHERE m.channel_id = $1 AND m.left_at_ms IS NULL"
	" ORDER BY m.user_id LIMIT 51"};

static void set_params(struct change *c, struct db_params *p)
{
	db_params_begin(p, c->mem);
	db_put_id(p, change_actor(c)->channel.id);
}

static enum status group_refused(struct change *c)
{
	const struct facts *f = change_actor(c);

	if (f->channel.deleted)
		return change_refuse(c, STATUS_NOT_FOUND, NULL, NULL);
	if (f->channel.kind == CHANNEL_GROUP)
		return STATUS_OK;
	c->detail = "a direct conversation has its two people and no others";
	return change_refuse(c, STATUS_CONFLICT, "direct", NULL);
}

/* The streams of a change after which `user` is in the set or is not. */
static enum status group_prepare(struct change *c, uint64_t user, bool comes)
{
	struct group *g = ARENA_NEW(c->mem, struct group);
	struct db_params p;
	struct db_rows rows = {0};

	c->data = g;
	set_params(c, &p);
	enum status st = db_query(c->conn, c->mem, &set_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	for (int i = 0; i < rows.count; i++) {
		uint64_t id = db_id(&rows, i, 0);
		g->before[g->before_count++] = id;
		if (id != user)
			g->after[g->after_count++] = id;
	}
	if (comes) {
		if (g->before_count >= CONVERSATION_MEMBERS_MAX)
			return change_refuse(c, STATUS_AT_LIMIT, "members", NULL);
		g->after[g->after_count++] = user;
		qsort(g->after, g->after_count, sizeof *g->after, conversation_compare_ids);
	}
	change_stream(c, STREAM_USER(user));
	if (conversation_has_key(CHANNEL_GROUP, g->after_count))
		change_stream(c, conversation_key_stream(g->after, g->after_count));
	return STATUS_OK;
}

/* Under the group's lock nobody else changes the set. */
static enum status group_holds(struct change *c)
{
	const struct group *g = c->data;
	struct db_params p;
	struct db_rows rows = {0};

	set_params(c, &p);
	enum status st = change_query(c, &set_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if ((size_t)rows.count != g->before_count)
		return STATUS_STALE;
	for (int i = 0; i < rows.count; i++)
		if (db_id(&rows, i, 0) != g->before[i])
			return STATUS_STALE;
	return STATUS_OK;
}

static const struct db_stmt key_stmt = {"moderation_group_key",
	"UPDATE moderation.conversations v SET member_key = CASE WHEN NOT EXISTS (SELECT 1 FROM moderation.conversations o"
	" WHERE o.member_key = $2 AND o.channel_id <> $1) THEN $2 END WHERE v.channel_id = $1"};

static enum status group_key(struct change *c)
{
	const struct group *g = c->data;
	uint8_t key[CONVERSATION_KEY_BYTES];
	bool keyed = conversation_has_key(CHANNEL_GROUP, g->after_count);
	enum status st = STATUS_OK;
	struct db_params p;

	if (keyed) {
		conversation_key(g->after, g->after_count, key);
		st = conversation_free_key(c, key);
	}
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, change_actor(c)->channel.id);
	db_put_bytea(&p, keyed ? key : NULL, sizeof key);
	return change_query(c, &key_stmt, &p, NULL);
}

/* ---- coming */

enum status conversation_prepare_join(struct change *c)
{
	if (change_by_system(c))
		return change_refuse(c, STATUS_FORBIDDEN, "conversation", NULL);
	return STATUS_OK;
}

enum status conversation_prepare_add(struct change *c)
{
	const pb_ChannelMemberRequest *rq = c->request;
	const struct facts *f = change_target(c, 0);

	enum status st = group_refused(c);
	if (st == STATUS_OK)
		st = change_need(c, PERMISSION_manage_channel_members);
	if (st != STATUS_OK)
		return st;
	if (rq->role == CHANNEL_ROLE_INVITEE)
		return change_field(c, "role");
	if (f->place.role != CHANNEL_ROLE_NONE)
		return STATUS_OK;
	if (!f->account || f->person.erased)
		return change_refuse(c, STATUS_NOT_FOUND, "user", NULL);
	return group_prepare(c, f->person.id, true);
}

enum status conversation_work_add(struct change *c)
{
	pb_ChannelMemberReply *reply = c->reply;
	struct facts *f = change_target(c, 0);
	char key[AUDIENCE_SIZE];
	uint64_t seq = 0;

	reply->has_member = true;
	if (f->place.role != CHANNEL_ROLE_NONE) {
		channel_member_view(f, f->place.role, &reply->member);
		return STATUS_OK;
	}
	enum status st = group_holds(c);
	facts_audience(f, key);
	if (st == STATUS_OK)
		st = change_audience(c, f->stream, f->person.id, key, NULL, &seq);
	if (st == STATUS_OK)
		st = rows_channel_join(c, f, f->person.id, CHANNEL_ROLE_MEMBER);
	if (st == STATUS_OK)
		st = rows_raise(c, f->stream.id, f->person.id, seq);
	if (st == STATUS_OK)
		st = group_key(c);
	if (st == STATUS_OK)
		st = rows_put_people(c);
	if (st != STATUS_OK)
		return st;
	f->place_joined_at_ms = c->now_ms;
	f->place_added_by = change_actor_id(c);
	f->place_nickname = NULL;
	channel_member_view(f, CHANNEL_ROLE_MEMBER, &reply->member);
	reply->created = true;

	pb_Event *ev = change_event(c, EVENT_KIND_channel_member_joined);
	ev->body.channel_member_joined = (pb_ChannelMemberJoined){.has_channel = true,
		.channel = f->channel_view,
		.has_user = true,
		.user = f->person,
		.role = CHANNEL_ROLE_MEMBER,
		.by = change_actor_id(c)};
	st = change_append(c, f->stream, key, ev, NULL);
	return st == STATUS_OK ? change_append_user(c, f->person.id, ev) : st;
}

/* ---- going */

enum status conversation_prepare_remove(struct change *c)
{
	const struct facts *f = change_target(c, 0);
	bool leaves = change_by_system(c) || f->person.id == change_actor_id(c);

	enum status st = group_refused(c);
	if (st == STATUS_OK && leaves)
		st = change_need(c, PERMISSION_leave_channel);
	if (st == STATUS_OK && !leaves && change_actor(c)->place.role != CHANNEL_ROLE_OWNER)
		st = change_refuse(c, STATUS_FORBIDDEN, "channel_role", NULL);
	if (st != STATUS_OK)
		return st;
	if (f->place.role == CHANNEL_ROLE_NONE)
		return leaves || f->place.known ? STATUS_OK
						: change_refuse(c, STATUS_NOT_FOUND, "member", NULL);
	return group_prepare(c, f->person.id, false);
}

static const struct db_stmt oldest_stmt = {"moderation_group_oldest",
	"UPDATE moderation.channel_members m SET role = 1 WHERE m.channel_id = $1 AND m.user_id = ("
	"   SELECT o.user_id FROM moderation.channel_members o WHERE o.channel_id = $1 AND o.left_at_ms IS NULL"
	"   ORDER BY o.joined_at_ms, o.user_id LIMIT 1)"
	" RETURNING m.user_id, m.nickname, m.joined_at_ms, m.added_by"};
static const struct db_stmt person_stmt = {
	"moderation_group_person", "SELECT " PERSON_COLUMNS("p") " FROM moderation.people p WHERE p.id = $1"};

/* The owner has gone. His epoch is raised: who is about to leave as a member leaves as the owner after all. */
static enum status promote_oldest(struct change *c)
{
	const struct facts *f = change_target(c, 0);
	static char *const changed[] = {"role"};
	pb_UserView user = {0};
	char key[AUDIENCE_SIZE];
	struct db_params p;
	struct db_rows rows = {0}, named = {0};

	change_params(c, &p);
	db_put_id(&p, f->channel.id);
	enum status st = change_query(c, &oldest_stmt, &p, &rows);
	if (st != STATUS_OK || rows.count == 0)
		return st;
	user.id = db_id(&rows, 0, 0);
	change_params(c, &p);
	db_put_id(&p, user.id);
	st = change_query(c, &person_stmt, &p, &named);
	if (st == STATUS_OK)
		st = rows_raise(c, f->stream.id, user.id, 0);
	if (st != STATUS_OK)
		return st;
	if (named.count > 0)
		person_from_row(&named, 0, 0, c->mem, user.id, &user);
	char *nickname = arena_strdup(c->mem, db_text(&rows, 0, 1));
	pb_Event *ev = change_event(c, EVENT_KIND_channel_member_updated);
	ev->body.channel_member_updated = (pb_ChannelMemberUpdated){.has_channel = true,
		.channel = facts_channel_ref(f),
		.has_user = true,
		.user = user,
		.role = CHANNEL_ROLE_OWNER,
		.nickname = nickname,
		.changed_count = 1,
		.changed = (char **)changed,
		.has_member = true,
		.member = {.has_user = true,
			.user = user,
			.channel_id = f->channel.id,
			.role = CHANNEL_ROLE_OWNER,
			.nickname = nickname,
			.joined_at_ms = db_id(&rows, 0, 2),
			.added_by = db_id(&rows, 0, 3)}};
	facts_audience(f, key);
	return change_append(c, f->stream, key, ev, NULL);
}

enum status conversation_work_remove(struct change *c)
{
	struct facts *f = change_target(c, 0);
	bool kicked = !change_by_system(c) && change_actor_id(c) != f->person.id;
	bool owned = f->place.role == CHANNEL_ROLE_OWNER;
	char key[AUDIENCE_SIZE];
	uint64_t seq = 0;

	if (f->place.role == CHANNEL_ROLE_NONE)
		return STATUS_OK; /* gone already */
	enum status st = group_holds(c);
	facts_audience(f, key);
	if (st == STATUS_OK)
		st = change_audience(c, f->stream, f->person.id, NULL, key, &seq);
	if (st == STATUS_OK)
		st = rows_channel_leave(c, f, f->person.id);
	if (st == STATUS_OK)
		st = rows_raise(c, f->stream.id, f->person.id, seq);
	if (st == STATUS_OK)
		st = group_key(c);
	if (st != STATUS_OK)
		return st;
	pb_Event *ev = change_event(
		c, kicked ? EVENT_KIND_channel_member_kicked : EVENT_KIND_channel_member_left);
	pb_ChannelMemberLeft body = {.has_channel = true,
		.channel = facts_channel_ref(f),
		.has_user = true,
		.user = f->person,
		.by = kicked ? change_actor_id(c) : 0};
	if (kicked)
		ev->body.channel_member_kicked = body;
	else
		ev->body.channel_member_left = body;
	st = change_append(c, f->stream, key, ev, NULL);
	if (st == STATUS_OK)
		st = change_append_user(c, f->person.id, ev);
	return st == STATUS_OK && owned ? promote_oldest(c) : st;
}

/* ---- erased accounts */

struct leaving {
	uint64_t channel_id, user_id;
};

static enum status prepare_erased(struct change *c)
{
	const struct leaving l = *(const struct leaving *)c->request;

	enum status st = change_load(c, 0, l.channel_id, &l.user_id, 1);
	return st == STATUS_OK ? conversation_prepare_remove(c) : st;
}

static enum status work_erased(struct change *c, struct log_tx *tx)
{
	return conversation_work_remove(c);
}

/* Of groups that messaging has a row of: nothing happens in others. */
static const struct db_stmt groups_stmt = {"moderation_groups_of",
	"SELECT m.channel_id FROM moderation.channel_members m"
	" JOIN LATERAL (SELECT f.id FROM messaging.channel_facts f WHERE f.id = m.channel_id AND f.kind = 13"
	"   AND f.deleted_at_ms IS NULL OFFSET 0) f ON true"
	" WHERE m.user_id = $1 AND m.left_at_ms IS NULL AND m.team_id IS NULL AND m.channel_id > $2"
	" ORDER BY m.channel_id LIMIT 100"};

enum status conversations_leave_all(struct moderation *service, struct rpc_call *call, uint64_t user_id)
{
	struct db_rows rows = {0};
	uint64_t after = 0;
	enum status st = STATUS_OK;

	do {
		struct db_conn *conn = NULL;
		struct db_params p;
		st = db_acquire(service->db, call->deadline_mono_ms, &conn);
		if (st == STATUS_OK) {
			db_params_begin(&p, call->mem);
			db_put_id(&p, user_id);
			db_put_id(&p, after);
			st = db_query(conn, call->mem, &groups_stmt, &p, &rows);
		}
		db_release(conn);
		for (int i = 0; i < rows.count && st == STATUS_OK; i++) {
			struct leaving l = {db_id(&rows, i, 0), user_id};
			struct commit_result result;
			struct change c = {.service = service,
				.call = call,
				.request = &l,
				.prepare = prepare_erased,
				.work = work_erased,
				.rows_repeat = true};
			after = l.channel_id;
			st = change_commit(&c, &result);
			if (st == STATUS_NOT_FOUND)
				st = STATUS_OK; /* the group was deleted meanwhile */
		}
	} while (st == STATUS_OK && rows.count > 0);
	return st;
}
