#include "services/moderation/facts.h"

#include <assert.h>
#include <string.h>

/* Columns in the order of the statement. */
enum {
	COLUMN_USER,
	COLUMN_ACTOR_EPOCH,
	COLUMN_ACCOUNT,
	COLUMN_EPOCH,
	COLUMN_SEQ,
	COLUMN_PERSON,
	COLUMN_TEAM = COLUMN_PERSON + PERSON_COLUMN_COUNT,
	COLUMN_MEMBER = COLUMN_TEAM + 9,
	COLUMN_TEAM_BAN = COLUMN_MEMBER + 9,
	COLUMN_ROLES = COLUMN_TEAM_BAN + 2,
	COLUMN_OVERRIDES = COLUMN_ROLES + 4,
	COLUMN_CHANNEL = COLUMN_OVERRIDES + 8,
	COLUMN_PLACE = COLUMN_CHANNEL + CHANNEL_COLUMN_COUNT,
	COLUMN_PARENT = COLUMN_PLACE + PLACE_COLUMN_COUNT,
	COLUMN_PARENT_PLACE = COLUMN_PARENT + CHANNEL_COLUMN_COUNT,
	COLUMN_GROUP = COLUMN_PARENT_PLACE + PLACE_COLUMN_COUNT,
};

/* A thread (kind 11) is judged as its parent. Overrides: all of the team, of the category and of the channel judged, for
 * whomever, because they decide the channel's key as well. */
static const struct db_stmt load_stmt = {"moderation_facts",
	"SELECT q.user_id,"
	" (SELECT a.authz_epoch FROM log.streams a WHERE a.rank = 2 AND a.id = $4),"
	" EXISTS (SELECT 1 FROM log.streams u WHERE u.rank = 2 AND u.id = q.user_id),"
	" s.authz_epoch, s.seq,"
	" " PERSON_COLUMNS("p") ","
	" t.id, t.name, t.owner_id, t.base_role_id, t.base_group_id, t.public_read, t.suspended,"
	" t.deleted_at_ms IS NOT NULL, t.joining,"
	" m.user_id IS NOT NULL, m.left_at_ms, m.nickname, m.muted, m.deafened, m.timeout_until_ms, m.joined_at_ms, m.epoch,"
	" m.joined_seq,"
	" tb.id IS NOT NULL, tb.expires_at_ms,"
	" r.ids, r.lows, r.highs, r.positions,"
	" o.scopes, o.scope_ids, o.kinds, o.subjects, o.al, o.ah, o.dl, o.dh,"
	" " CHANNEL_COLUMNS("c") ","
	" " PLACE_COLUMNS("cm", "cb", "c") ","
	" " CHANNEL_COLUMNS("pc") ","
	" " PLACE_COLUMNS("pm", "pb", "pc") ","
	" g.id, g.public, g.archived_at_ms IS NOT NULL, g.deleted_at_ms IS NOT NULL, g.visible_role_ids"
	" FROM unnest($1::bigint[]) WITH ORDINALITY q(user_id, n)"
	" LEFT JOIN messaging.channel_facts c ON c.id = $3"
	" LEFT JOIN messaging.channel_facts pc ON pc.id = c.parent_channel_id AND c.kind = 11"
	" LEFT JOIN moderation.teams t ON t.id = CASE WHEN $3 = 0 THEN $2 ELSE c.team_id END"
	" LEFT JOIN log.streams s ON s.rank = coalesce(c.rank, 1::smallint) AND s.id = coalesce(c.stream_id, t.id)"
	" LEFT JOIN moderation.people p ON p.id = q.user_id"
	" LEFT JOIN moderation.members m ON m.team_id = coalesce(c.stream_id, t.id) AND m.user_id = q.user_id"
	" LEFT JOIN moderation.bans tb ON tb.scope = 1 AND tb.scope_id = t.id AND tb.user_id = q.user_id AND tb.lifted_at_ms IS NULL"
	" LEFT JOIN moderation.channel_members cm ON cm.channel_id = c.id AND cm.user_id = q.user_id"
	" LEFT JOIN moderation.bans cb ON cb.scope = 3 AND cb.scope_id = c.id AND cb.user_id = q.user_id AND cb.lifted_at_ms IS NULL"
	" LEFT JOIN moderation.channel_members pm ON pm.channel_id = pc.id AND pm.user_id = q.user_id"
	" LEFT JOIN moderation.bans pb ON pb.scope = 3 AND pb.scope_id = pc.id AND pb.user_id = q.user_id AND pb.lifted_at_ms IS NULL"
	" LEFT JOIN moderation.groups g ON g.id = coalesce(pc.group_id, c.group_id) AND g.id <> t.base_group_id"
	" LEFT JOIN LATERAL (SELECT " ROLE_ARRAYS " FROM moderation.roles r WHERE r.id = ANY (array_append(ARRAY("
	"   SELECT mr.role_id FROM moderation.member_roles mr WHERE mr.team_id = t.id AND mr.user_id = q.user_id),"
	"   t.base_role_id))) r ON true"
	" LEFT JOIN LATERAL (SELECT " OVERRIDE_ARRAYS " FROM moderation.overrides o WHERE (o.scope = 1 AND o.scope_id = t.id)"
	"   OR (o.scope = 2 AND o.scope_id = coalesce(pc.category_id, c.category_id))"
	"   OR (o.scope = 3 AND o.scope_id = coalesce(pc.id, c.id))) o ON true"
	" ORDER BY q.n"};

static char *copied(const struct db_rows *rows, int row, int column, struct arena *mem)
{
	return arena_strdup(mem, db_text(rows, row, column));
}

void person_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, uint64_t id, pb_UserView *out)
{
	*out = (pb_UserView){.id = id};
	out->username = copied(rows, row, first, mem);
	out->display_name = copied(rows, row, first + 1, mem);
	out->avatar = copied(rows, row, first + 2, mem);
	out->bot = db_bool(rows, row, first + 3);
	out->system = db_bool(rows, row, first + 4);
	out->erased = db_bool(rows, row, first + 5);
	out->created_at_ms = db_id(rows, row, first + 6);
}

void channel_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_channel *out,
	pb_ChannelView *out_view, struct stream *out_stream)
{
	pb_ChannelView v = {
		.id = db_id(rows, row, first),
		.team_id = db_id(rows, row, first + 3),
		.group_id = db_id(rows, row, first + 4),
		.category_id = db_id(rows, row, first + 5),
		.parent_channel_id = db_id(rows, row, first + 6),
		.kind = (uint32_t)db_i64(rows, row, first + 7),
		.position = (int32_t)db_i64(rows, row, first + 10),
		.private = db_bool(rows, row, first + 11),
		.public_read = db_bool(rows, row, first + 12),
		.slow_mode_s = (uint32_t)db_i64(rows, row, first + 13),
		.created_by = db_id(rows, row, first + 14),
		.own = db_bool(rows, row, first + 15),
		.last_message_id = db_id(rows, row, first + 16),
		.message_count = db_id(rows, row, first + 17),
		.created_at_ms = db_id(rows, row, first + 18),
		.archived_at_ms = db_id(rows, row, first + 19),
		.deleted_at_ms = db_id(rows, row, first + 20),
		.policy = (uint32_t)db_i64(rows, row, first + 21),
		.updated_at_ms = db_id(rows, row, first + 22),
	};
	if (out_stream != NULL)
		*out_stream =
			(struct stream){(uint32_t)db_i64(rows, row, first + 1), db_id(rows, row, first + 2)};
	*out = (struct eval_channel){
		.id = v.id,
		.category_id = v.category_id,
		.group_id = v.group_id,
		.parent_id = v.parent_channel_id,
		.created_by = v.created_by,
		.kind = v.kind,
		.private = v.private,
		.public_read = v.public_read,
		.own = v.own,
		.archived = v.archived_at_ms != 0,
		.deleted = v.deleted_at_ms != 0,
	};
	if (out_view == NULL)
		return;
	v.name = copied(rows, row, first + 8, mem);
	v.topic = copied(rows, row, first + 9, mem);
	*out_view = v;
}

size_t ids_from_row(const struct db_rows *rows, int row, int column, struct arena *mem, uint64_t **out)
{
	int64_t *values = NULL;
	size_t count = db_is_null(rows, row, column) ? 0 : db_i64s(rows, row, column, mem, &values);
	*out = ARENA_ARRAY(mem, count, uint64_t);
	for (size_t i = 0; i < count; i++)
		(*out)[i] = (uint64_t)values[i];
	return count;
}

size_t roles_from_row(const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_role **out)
{
	uint64_t *column[4];
	size_t count = 0;
	for (int i = 0; i < 4; i++) {
		size_t n = ids_from_row(rows, row, first + i, mem, &column[i]);
		count = i == 0 || n < count ? n : count;
	}
	*out = ARENA_ARRAY(mem, count, struct eval_role);
	for (size_t i = 0; i < count; i++)
		(*out)[i] = (struct eval_role){
			.id = column[0][i],
			.permissions = {column[1][i], column[2][i]},
			.position = (int32_t)column[3][i],
		};
	return count;
}

size_t overrides_from_row(
	const struct db_rows *rows, int row, int first, struct arena *mem, struct eval_override **out)
{
	uint64_t *column[8];
	size_t count = 0;
	for (int i = 0; i < 8; i++) {
		size_t n = ids_from_row(rows, row, first + i, mem, &column[i]);
		count = i == 0 || n < count ? n : count;
	}
	*out = ARENA_ARRAY(mem, count, struct eval_override);
	for (size_t i = 0; i < count; i++)
		(*out)[i] = (struct eval_override){
			.scope = (uint8_t)column[0][i],
			.scope_id = column[1][i],
			.subject_kind = (uint8_t)column[2][i],
			.subject_id = column[3][i],
			.allow = {column[4][i], column[5][i]},
			.deny = {column[6][i], column[7][i]},
		};
	return count;
}

/* The live role, or none. */
static void place_from_row(
	const struct db_rows *rows, int row, int first, struct eval_place *out, struct eval_channel *channel)
{
	*out = (struct eval_place){
		.known = db_bool(rows, row, first),
		.role = db_is_null(rows, row, first + 1) ? (uint32_t)db_i64(rows, row, first + 2)
							 : CHANNEL_ROLE_NONE,
		.banned = db_bool(rows, row, first + 6),
		.ban_until_ms = db_i64(rows, row, first + 7),
	};
	channel->ever_banned = db_bool(rows, row, first + 8);
}

static void fill(
	const struct facts_query *query, const struct db_rows *rows, int row, struct arena *mem, struct facts *f)
{
	struct eval_role *roles;
	struct eval_override *overrides;
	bool has_team = !db_is_null(rows, row, COLUMN_TEAM);
	bool has_channel = !db_is_null(rows, row, COLUMN_CHANNEL);

	memset(f, 0, sizeof *f);
	f->actor_epoch = db_id(rows, row, COLUMN_ACTOR_EPOCH);
	f->account = db_bool(rows, row, COLUMN_ACCOUNT);
	person_from_row(rows, row, COLUMN_PERSON, mem, db_id(rows, row, COLUMN_USER), &f->person);
	f->stream_epoch = db_id(rows, row, COLUMN_EPOCH);
	f->as_of = db_id(rows, row, COLUMN_SEQ);
	f->member_epoch = db_id(rows, row, COLUMN_MEMBER + 7);
	f->found = query->channel_id != 0 ? has_channel : has_team;
	f->eval.now_ms = query->now_ms;
	f->eval.user_id = f->person.id;
	f->eval.account_gone = f->person.erased;

	if (has_team) {
		f->stream = STREAM_TEAM(db_id(rows, row, COLUMN_TEAM));
		f->team_name = copied(rows, row, COLUMN_TEAM + 1, mem);
		f->team = (struct eval_team){
			.id = db_id(rows, row, COLUMN_TEAM),
			.owner_id = db_id(rows, row, COLUMN_TEAM + 2),
			.base_role_id = db_id(rows, row, COLUMN_TEAM + 3),
			.base_group_id = db_id(rows, row, COLUMN_TEAM + 4),
			.public_read = db_bool(rows, row, COLUMN_TEAM + 5),
			.suspended = db_bool(rows, row, COLUMN_TEAM + 6),
			.deleted = db_bool(rows, row, COLUMN_TEAM + 7),
		};
		f->joining = (uint32_t)db_i64(rows, row, COLUMN_TEAM + 8);
		f->has_row = db_bool(rows, row, COLUMN_MEMBER);
		f->left_at_ms = db_i64(rows, row, COLUMN_MEMBER + 1);
		f->nickname = copied(rows, row, COLUMN_MEMBER + 2, mem);
		f->joined_at_ms = db_i64(rows, row, COLUMN_MEMBER + 6);
		f->joined_seq = db_id(rows, row, COLUMN_MEMBER + 8);
		f->standing = (struct eval_standing){
			.member = f->has_row && f->left_at_ms == 0,
			.banned = db_bool(rows, row, COLUMN_TEAM_BAN),
			.muted = db_bool(rows, row, COLUMN_MEMBER + 3),
			.deafened = db_bool(rows, row, COLUMN_MEMBER + 4),
			.ban_until_ms = db_i64(rows, row, COLUMN_TEAM_BAN + 1),
			.timeout_until_ms = db_i64(rows, row, COLUMN_MEMBER + 5),
		};
		f->eval.role_count = roles_from_row(rows, row, COLUMN_ROLES, mem, &roles);
		uint64_t *held = ARENA_ARRAY(mem, f->eval.role_count, uint64_t);
		for (size_t i = 0; i < f->eval.role_count; i++) {
			roles[i].base = roles[i].id == f->team.base_role_id;
			if (!roles[i].base)
				held[f->standing.role_count++] = roles[i].id;
		}
		f->standing.role_ids = held;
		f->eval.roles = roles;
		f->eval.override_count = overrides_from_row(rows, row, COLUMN_OVERRIDES, mem, &overrides);
		f->eval.overrides = overrides;
		f->eval.team = &f->team;
		f->eval.standing = &f->standing;
		if (!db_is_null(rows, row, COLUMN_GROUP)) {
			uint64_t *visible;
			f->group = (struct eval_group){
				.id = db_id(rows, row, COLUMN_GROUP),
				.public = db_bool(rows, row, COLUMN_GROUP + 1),
				.archived = db_bool(rows, row, COLUMN_GROUP + 2),
				.deleted = db_bool(rows, row, COLUMN_GROUP + 3),
			};
			f->group.visible_role_count =
				ids_from_row(rows, row, COLUMN_GROUP + 4, mem, &visible);
			f->group.visible_role_ids = visible;
			f->eval.group = &f->group;
		}
	}
	if (has_channel) {
		channel_from_row(rows, row, COLUMN_CHANNEL, mem, &f->channel, &f->channel_view, &f->stream);
		place_from_row(rows, row, COLUMN_PLACE, &f->place, &f->channel);
		f->place_nickname = copied(rows, row, COLUMN_PLACE + 3, mem);
		f->place_joined_at_ms = db_i64(rows, row, COLUMN_PLACE + 4);
		f->place_added_by = db_id(rows, row, COLUMN_PLACE + 5);
		uint64_t joined_seq = db_id(rows, row, COLUMN_PLACE + 9);
		if (f->place.role != CHANNEL_ROLE_NONE && joined_seq > f->joined_seq)
			f->joined_seq = joined_seq;
		f->eval.channel = &f->channel;
		f->eval.place = &f->place;
	}
	if (!db_is_null(rows, row, COLUMN_PARENT)) {
		channel_from_row(rows, row, COLUMN_PARENT, mem, &f->parent, NULL, NULL);
		place_from_row(rows, row, COLUMN_PARENT_PLACE, &f->parent_place, &f->parent);
		f->eval.parent = &f->parent;
		f->eval.parent_place = &f->parent_place;
	}
	/* A channel whose team has no row is a channel of nothing. */
	if (has_channel && f->channel_view.team_id != 0 && !has_team)
		f->found = false;
	if (f->found && has_channel && has_team)
		f->restricted = eval_channel_restricted(&f->team, f->eval.roles, f->eval.role_count, f->eval.overrides,
			f->eval.override_count, f->eval.parent != NULL ? &f->parent : &f->channel);
}

enum status facts_load(struct db_conn *conn, struct arena *mem, const struct facts_query *query, struct facts *out)
{
	struct db_params params;
	struct db_rows rows = {0};

	assert(query->user_count > 0);
	db_params_begin(&params, mem);
	db_put_ids(&params, query->user_ids, query->user_count);
	db_put_id(&params, query->team_id);
	db_put_id(&params, query->channel_id);
	db_put_id(&params, query->actor_id);
	enum status st = db_query(conn, mem, &load_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if ((size_t)rows.count != query->user_count)
		return STATUS_INTERNAL;
	for (int i = 0; i < rows.count; i++) {
		fill(query, &rows, i, mem, &out[i]);
		out[i].generation = db_generation(conn);
	}
	return STATUS_OK;
}

void facts_audience(const struct facts *f, char out[AUDIENCE_SIZE])
{
	if (f->eval.team == NULL)
		audience_key(out, "conversation", f->channel.id);
	else if (f->eval.channel == NULL || !f->restricted)
		audience_key(out, "team", f->team.id);
	else
		audience_key(out, "channel", f->eval.parent != NULL ? f->parent.id : f->channel.id);
}

pb_ChannelRef facts_channel_ref(const struct facts *f)
{
	return (pb_ChannelRef){
		.id = f->channel_view.id,
		.team_id = f->channel_view.team_id,
		.kind = f->channel_view.kind,
		.name = f->channel_view.name,
		.private = f->channel_view.private,
	};
}
