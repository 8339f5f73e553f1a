#include "services/moderation/rows.h"

#include <stdlib.h>

static const struct db_stmt put_person_stmt = {"moderation_put_person",
	"INSERT INTO moderation.people (id, username, display_name, avatar, bot, system, erased, created_at_ms)"
	" SELECT $1, $2, $3, $4, $5, $6, false, $7 WHERE NOT EXISTS (SELECT 1 FROM moderation.people p WHERE p.id = $1"
	"   AND (p.erased OR (p.username, p.display_name, p.avatar, p.bot, p.system)"
	"     IS NOT DISTINCT FROM ($2::text, $3::text, $4::text, $5::boolean, $6::boolean)))"
	" ON CONFLICT (id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name,"
	" avatar = excluded.avatar, bot = excluded.bot, system = excluded.system WHERE NOT people.erased"};

enum status rows_put_person(struct change *c, const pb_UserView *user)
{
	struct db_params p;

	if (user->id == 0 || user->erased || user->username == NULL)
		return STATUS_OK; /* nothing is known */
	change_params(c, &p);
	db_put_id(&p, user->id);
	db_put_text(&p, user->username);
	db_put_text(&p, user->display_name);
	db_put_text(&p, user->avatar);
	db_put_bool(&p, user->bot);
	db_put_bool(&p, user->system);
	db_put_id(&p, user->created_at_ms);
	return change_query(c, &put_person_stmt, &p, NULL);
}

static int compare_users(const void *a, const void *b)
{
	uint64_t x = (*(const pb_UserView *const *)a)->id, y = (*(const pb_UserView *const *)b)->id;

	return x == y ? 0 : x < y ? -1 : 1;
}

/* In the order of their ids, so that two who write the same people wait for each other in one order. */
enum status rows_put_users(struct change *c, const pb_UserView **users, size_t count)
{
	enum status st = STATUS_OK;

	qsort(users, count, sizeof *users, compare_users);
	for (size_t i = 0; i < count && st == STATUS_OK; i++)
		st = rows_put_person(c, users[i]);
	return st;
}

enum status rows_put_people(struct change *c)
{
	const pb_UserView *actor =
		c->call != NULL && c->call->header->has_actor ? &c->call->header->actor : NULL;
	enum status st = actor != NULL ? rows_put_person(c, actor) : STATUS_OK;

	if (st == STATUS_OK && c->known != NULL && (actor == NULL || actor->id != c->known->id))
		st = rows_put_person(c, c->known);
	return st;
}

/* A stream's head before this commit: it is written at its end. */
#define HEAD_SQL(rank, id) "coalesce((SELECT s.seq FROM log.streams s WHERE s.rank = " rank " AND s.id = " id "), 0)"

/* ---- team members */

static const struct db_stmt join_stmt = {"moderation_join",
	"INSERT INTO moderation.members AS m (team_id, user_id, joined_at_ms, invited_by, epoch, changed_seq, joined_seq)"
	" VALUES ($1, $2, $3, $4, 1, $5, " HEAD_SQL("1::smallint", "$1") ")"
	" ON CONFLICT (team_id, user_id) DO UPDATE SET left_at_ms = NULL, nickname = NULL, joined_at_ms = $3,"
	" invited_by = $4, epoch = m.epoch + 1, changed_seq = $5, joined_seq = EXCLUDED.joined_seq"};
static const struct db_stmt drop_roles_stmt = {"moderation_drop_roles",
	"DELETE FROM moderation.member_roles WHERE team_id = $1 AND user_id = $2"};

enum status rows_join(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t invited_by, uint64_t changed_seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, user_id);
	db_put_i64(&p, c->now_ms);
	db_put_id_or_null(&p, invited_by);
	db_put_id(&p, changed_seq);
	enum status st = change_query(c, &join_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, user_id);
	return change_query(c, &drop_roles_stmt, &p, NULL);
}

static const struct db_stmt leave_stmt = {"moderation_leave",
	"UPDATE moderation.members SET left_at_ms = $3, epoch = epoch + 1, changed_seq = $4"
	" WHERE team_id = $1 AND user_id = $2"};
static const struct db_stmt leave_channels_stmt = {"moderation_leave_channels",
	"UPDATE moderation.channel_members SET left_at_ms = $3 WHERE user_id = $2 AND stream_id = $1 AND rank = 1"
	" AND left_at_ms IS NULL"};
/* Where he is owner only because he made the channel, the row that ends it is written now. */
static const struct db_stmt leave_own_stmt = {"moderation_leave_own",
	"INSERT INTO moderation.channel_members (channel_id, user_id, rank, stream_id, team_id, role, joined_at_ms, left_at_ms)"
	" SELECT f.id, $2, f.rank, f.stream_id, f.team_id, 1, $3, $3 FROM messaging.channel_facts f"
	" WHERE f.team_id = $1 AND f.created_by = $2 AND (f.own OR f.kind = 11) ON CONFLICT (channel_id, user_id) DO NOTHING"};

enum status rows_leave(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t changed_seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, user_id);
	db_put_i64(&p, c->now_ms);
	db_put_id(&p, changed_seq);
	enum status st = change_query(c, &leave_stmt, &p, NULL);
	const struct db_stmt *channels[] = {&leave_channels_stmt, &leave_own_stmt};
	for (size_t i = 0; i < 2 && st == STATUS_OK; i++) {
		change_params(c, &p);
		db_put_id(&p, team_id);
		db_put_id(&p, user_id);
		db_put_i64(&p, c->now_ms);
		st = change_query(c, channels[i], &p, NULL);
	}
	return st;
}

static const struct db_stmt raise_stmt = {"moderation_raise",
	"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, left_at_ms, epoch, changed_seq)"
	" VALUES ($1, $2, $3, $3, 1, $4) ON CONFLICT (team_id, user_id) DO UPDATE"
	" SET epoch = members.epoch + 1, changed_seq = greatest(members.changed_seq, $4)"};

enum status rows_raise(struct change *c, uint64_t team_id, uint64_t user_id, uint64_t changed_seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, user_id);
	db_put_i64(&p, c->now_ms);
	db_put_id(&p, changed_seq);
	return change_query(c, &raise_stmt, &p, NULL);
}

static const struct db_stmt epochs_stmt = {"moderation_member_epochs",
	"SELECT user_id, epoch FROM moderation.members WHERE team_id = $1 AND user_id = ANY ($2::bigint[])"};

enum status rows_epochs_hold(struct change *c, size_t count)
{
	uint64_t *ids = ARENA_ARRAY(c->mem, count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};
	size_t equal = 0, expected = 0;

	for (size_t i = 0; i < count; i++)
		ids[i] = change_target(c, i)->person.id;
	change_params(c, &p);
	db_put_id(&p, change_actor(c)->team.id);
	db_put_ids(&p, ids, count);
	enum status st = change_query(c, &epochs_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < count; i++) {
		const struct facts *f = change_target(c, i);
		expected += f->has_row;
		for (int r = 0; r < rows.count; r++)
			equal += db_id(&rows, r, 0) == f->person.id && db_id(&rows, r, 1) == f->member_epoch;
	}
	return equal == expected && (size_t)rows.count == expected ? STATUS_OK : STATUS_STALE;
}

static const struct db_stmt count_stmt = {"moderation_count_members",
	"UPDATE moderation.teams SET member_count = member_count + $2 WHERE id = $1 RETURNING member_count"};

enum status rows_count_members(struct change *c, uint64_t team_id, int by, uint64_t *out_count)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_i64(&p, by);
	enum status st = change_query(c, &count_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_count = rows.count == 1 ? db_id(&rows, 0, 0) : 0;
	return st;
}

static const struct db_stmt count_teams_stmt = {"moderation_count_teams",
	"SELECT count(*) FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"
	" WHERE m.user_id = $1 AND m.left_at_ms IS NULL AND t.deleted_at_ms IS NULL"};

enum status rows_count_teams(struct change *c, uint64_t user_id, uint64_t *out_count)
{
	struct db_params p;
	struct db_rows rows = {0};

	change_params(c, &p);
	db_put_id(&p, user_id);
	enum status st = change_query(c, &count_teams_stmt, &p, &rows);
	if (st == STATUS_OK)
		*out_count = db_id(&rows, 0, 0);
	return st;
}

static const struct db_stmt rights_seq_stmt = {"moderation_rights_seq",
	"UPDATE moderation.teams SET rights_seq = $2 WHERE id = $1"};

enum status rows_team_rights_seq(struct change *c, uint64_t team_id, uint64_t seq)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, team_id);
	db_put_id(&p, seq);
	return change_query(c, &rights_seq_stmt, &p, NULL);
}

/* ---- channel members */

static const struct db_stmt channel_join_stmt = {"moderation_channel_join",
	"INSERT INTO moderation.channel_members AS m"
	" (channel_id, user_id, rank, stream_id, team_id, role, added_by, joined_at_ms, joined_seq)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, " HEAD_SQL("$3", "$4") ")"
	" ON CONFLICT (channel_id, user_id) DO UPDATE SET role = $6, added_by = $7,"
	" joined_at_ms = CASE WHEN m.left_at_ms IS NULL THEN m.joined_at_ms ELSE $8 END,"
	" joined_seq = CASE WHEN m.left_at_ms IS NULL THEN m.joined_seq ELSE EXCLUDED.joined_seq END,"
	" nickname = CASE WHEN m.left_at_ms IS NULL THEN m.nickname END, left_at_ms = NULL"};

enum status rows_channel_join(struct change *c, const struct facts *place, uint64_t user_id, uint32_t role)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, place->channel.id);
	db_put_id(&p, user_id);
	db_put_i16(&p, (int16_t)place->stream.rank);
	db_put_id(&p, place->stream.id);
	db_put_id_or_null(&p, place->channel_view.team_id);
	db_put_i16(&p, (int16_t)role);
	db_put_id_or_null(&p, change_actor_id(c) == user_id ? 0 : change_actor_id(c));
	db_put_i64(&p, c->now_ms);
	return change_query(c, &channel_join_stmt, &p, NULL);
}

static const struct db_stmt channel_leave_stmt = {"moderation_channel_leave",
	"INSERT INTO moderation.channel_members (channel_id, user_id, rank, stream_id, team_id, role, joined_at_ms, left_at_ms)"
	" VALUES ($1, $2, $3, $4, $5, 3, $6, $6) ON CONFLICT (channel_id, user_id) DO UPDATE SET left_at_ms = $6"};

enum status rows_channel_leave(struct change *c, const struct facts *place, uint64_t user_id)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, place->channel.id);
	db_put_id(&p, user_id);
	db_put_i16(&p, (int16_t)place->stream.rank);
	db_put_id(&p, place->stream.id);
	db_put_id_or_null(&p, place->channel_view.team_id);
	db_put_i64(&p, c->now_ms);
	return change_query(c, &channel_leave_stmt, &p, NULL);
}

/* ---- views */

void member_view(const struct facts *f, struct arena *mem, pb_MemberView *out)
{
	struct eval_answer answer = eval_rights(&f->eval, EVAL_ASK_NOTHING);

	*out = (pb_MemberView){.has_user = true,
		.user = f->person,
		.team_id = f->team.id,
		.nickname = (char *)f->nickname,
		.role_ids_count = (pb_size_t)f->standing.role_count,
		.role_ids = arena_memdup(mem, f->standing.role_ids, f->standing.role_count * sizeof(uint64_t)),
		.has_permissions = true,
		.permissions = {answer.bits.low, answer.bits.high},
		.joined_at_ms = (uint64_t)f->joined_at_ms,
		.timeout_until_ms = (uint64_t)f->standing.timeout_until_ms,
		.owner = f->team.owner_id == f->person.id,
		.left_at_ms = (uint64_t)f->left_at_ms};
}

void channel_member_view(const struct facts *f, uint32_t role, pb_ChannelMemberView *out)
{
	*out = (pb_ChannelMemberView){.has_user = true,
		.user = f->person,
		.channel_id = f->channel.id,
		.role = role,
		.nickname = (char *)f->place_nickname,
		.joined_at_ms = (uint64_t)f->place_joined_at_ms,
		.added_by = f->place_added_by};
}
