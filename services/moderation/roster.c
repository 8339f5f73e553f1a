#include "services/moderation/roster.h"

#include <stdlib.h>

static const struct db_stmt teams_of_stmt = {"moderation_roster_teams_of",
	"SELECT DISTINCT m.team_id FROM moderation.members m JOIN moderation.teams t ON t.id = m.team_id"
	" WHERE m.user_id = ANY ($1::bigint[]) AND m.left_at_ms IS NULL AND t.deleted_at_ms IS NULL"};

static const struct db_stmt teams_stmt = {"moderation_roster_teams",
	"SELECT t.id, t.owner_id, t.base_role_id, t.base_group_id, t.public_read, t.suspended,"
	" t.deleted_at_ms IS NOT NULL, s.authz_epoch, s.seq,"
	" greatest(t.rights_seq,"
	"   (SELECT max(f.rights_seq) FROM messaging.channel_facts f WHERE f.team_id = t.id)),"
	" r.ids, r.lows, r.highs, r.positions, o.scopes, o.scope_ids, o.kinds, o.subjects, o.al, o.ah, o.dl, o.dh, r.changed"
	" FROM moderation.teams t JOIN log.streams s ON s.rank = 1 AND s.id = t.id"
	" LEFT JOIN LATERAL (SELECT " ROLE_ARRAYS ", array_agg(r.changed_seq ORDER BY r.id) changed"
	"   FROM moderation.roles r WHERE r.team_id = t.id) r ON true"
	" LEFT JOIN LATERAL (SELECT " OVERRIDE_ARRAYS " FROM moderation.overrides o WHERE o.team_id = t.id) o ON true"
	" WHERE t.id = ANY ($1::bigint[]) ORDER BY t.id"};

#define ROSTER_CHANNEL_COLUMNS                                                                               \
	"SELECT " CHANNEL_COLUMNS("c") ","                                                                   \
	" EXISTS (SELECT 1 FROM moderation.bans ever WHERE ever.scope = 3 AND ever.scope_id = c.id)"         \
	" FROM messaging.channel_facts c"
static const struct db_stmt channels_all_stmt = {"moderation_roster_channels",
	ROSTER_CHANNEL_COLUMNS " WHERE c.team_id = ANY ($1::bigint[]) AND c.deleted_at_ms IS NULL AND (c.kind <> 11 OR EXISTS ("
	"   SELECT 1 FROM messaging.channel_facts p WHERE p.id = c.parent_channel_id AND p.deleted_at_ms IS NULL)) ORDER BY c.id"};
/* 281200098803712 is the set of the view permissions 38..47. More than enough: eval_channel_restricted decides. */
static const struct db_stmt channels_restricted_stmt = {"moderation_roster_restricted",
	ROSTER_CHANNEL_COLUMNS " JOIN moderation.teams t ON t.id = c.team_id"
	" JOIN moderation.roles b ON b.id = t.base_role_id"
	" WHERE c.team_id = ANY ($1::bigint[]) AND c.deleted_at_ms IS NULL AND c.kind <> 11 AND (c.private"
	" OR c.group_id <> t.base_group_id"
	" OR (b.permissions_low & 281200098803712) <> 281200098803712"
	" OR EXISTS (SELECT 1 FROM moderation.bans ever WHERE ever.scope = 3 AND ever.scope_id = c.id)"
	" OR EXISTS (SELECT 1 FROM moderation.overrides o WHERE o.team_id = c.team_id"
	"   AND ((o.allow_low | o.deny_low) & 281200098803712) <> 0 AND (o.scope = 1"
	"     OR (o.scope = 2 AND o.scope_id = c.category_id) OR (o.scope = 3 AND o.scope_id = c.id))))"
	" ORDER BY c.id"};
static const struct db_stmt channels_listed_stmt = {"moderation_roster_listed",
	ROSTER_CHANNEL_COLUMNS " WHERE c.id = ANY ($1::bigint[]) OR c.id IN (SELECT t.parent_channel_id"
	"   FROM messaging.channel_facts t WHERE t.id = ANY ($1::bigint[]) AND t.kind = 11) ORDER BY c.id"};

static const struct db_stmt channels_conversations_stmt = {"moderation_roster_conversations",
	ROSTER_CHANNEL_COLUMNS " WHERE c.id IN (SELECT m.channel_id FROM moderation.channel_members m"
	"   WHERE m.user_id = ANY ($1::bigint[]) AND m.left_at_ms IS NULL AND m.team_id IS NULL)"
	" AND c.deleted_at_ms IS NULL ORDER BY c.id"};

static const struct db_stmt groups_stmt = {"moderation_roster_groups",
	"SELECT g.id, g.public, g.archived_at_ms IS NOT NULL, g.deleted_at_ms IS NOT NULL, g.visible_role_ids"
	" FROM moderation.groups g WHERE g.id = ANY ($1::bigint[]) ORDER BY g.id"};

static const struct db_stmt heads_stmt = {"moderation_roster_heads",
	"SELECT s.id, s.authz_epoch, s.seq FROM log.streams s WHERE s.rank = 1 AND s.id = ANY ($1::bigint[])"};

static const struct db_stmt members_stmt = {"moderation_roster_members",
	"SELECT m.team_id, m.user_id, m.left_at_ms IS NULL, m.nickname, m.muted, m.deafened, m.timeout_until_ms, m.epoch,"
	" m.changed_seq, b.id IS NOT NULL, b.expires_at_ms, coalesce(p.erased, false),"
	" ARRAY(SELECT mr.role_id FROM moderation.member_roles mr WHERE mr.team_id = m.team_id AND mr.user_id = m.user_id"
	"   ORDER BY mr.role_id), m.joined_seq"
	" FROM moderation.members m LEFT JOIN moderation.people p ON p.id = m.user_id"
	" LEFT JOIN moderation.bans b ON b.scope = 1 AND b.scope_id = m.team_id AND b.user_id = m.user_id AND b.lifted_at_ms IS NULL"
	" WHERE m.team_id = ANY ($1::bigint[]) AND m.user_id = ANY ($2::bigint[]) ORDER BY m.team_id, m.user_id"};

/* Live rows and bans by person and stream; rows of those who left matter only for a channel's creator, who is its owner
 * by himself as long as there is no row. Rows of one place are neighbours. */
static const struct db_stmt places_stmt = {"moderation_roster_places",
	"SELECT * FROM ("
	" SELECT m.channel_id, m.user_id, m.role, false, NULL::bigint, m.joined_seq FROM moderation.channel_members m"
	"  WHERE m.user_id = ANY ($2::bigint[]) AND m.stream_id = ANY ($3::bigint[]) AND m.left_at_ms IS NULL"
	" UNION ALL SELECT m.channel_id, m.user_id, 0::smallint, false, NULL, 0 FROM messaging.channel_facts c"
	"  JOIN moderation.channel_members m ON m.channel_id = c.id AND m.user_id = c.created_by"
	"  WHERE c.id = ANY ($1::bigint[]) AND m.user_id = ANY ($2::bigint[]) AND m.left_at_ms IS NOT NULL"
	" UNION ALL SELECT b.scope_id, b.user_id, 0::smallint, true, b.expires_at_ms, 0 FROM moderation.bans b"
	"  WHERE b.team_id = ANY ($3::bigint[]) AND b.user_id = ANY ($2::bigint[]) AND b.scope = 3 AND b.lifted_at_ms IS NULL"
	") AS place (channel_id, user_id, role, banned, until, joined_seq) ORDER BY 2, 1"};

/* ---- lookups */

static int compare_ids(uint64_t a, uint64_t b)
{
	return a == b ? 0 : a < b ? -1 : 1;
}
static int compare_team(const void *key, const void *at)
{
	return compare_ids(*(const uint64_t *)key, ((const struct roster_team *)at)->eval.id);
}
static int compare_channel(const void *key, const void *at)
{
	return compare_ids(*(const uint64_t *)key, ((const struct roster_channel *)at)->eval.id);
}
static int compare_group(const void *key, const void *at)
{
	return compare_ids(*(const uint64_t *)key, ((const struct eval_group *)at)->id);
}
static int compare_member(const void *key, const void *at)
{
	const uint64_t *k = key;
	const struct roster_member *m = at;
	int order = compare_ids(k[0], m->team_id);
	return order != 0 ? order : compare_ids(k[1], m->user_id);
}
static int compare_place(const void *key, const void *at)
{
	const uint64_t *k = key;
	const struct roster_place *p = at;
	int order = compare_ids(k[0], p->user_id);
	return order != 0 ? order : compare_ids(k[1], p->channel_id);
}

static const void *find(const void *key, const void *base, size_t count, size_t size,
	int (*compare)(const void *, const void *))
{
	return count == 0 ? NULL : bsearch(key, base, count, size, compare);
}

const struct roster_team *roster_team(const struct roster *r, uint64_t team_id)
{
	return find(&team_id, r->teams, r->team_count, sizeof *r->teams, compare_team);
}

const struct roster_channel *roster_channel(const struct roster *r, uint64_t channel_id)
{
	return find(&channel_id, r->channels, r->channel_count, sizeof *r->channels, compare_channel);
}

const struct roster_member *roster_member(const struct roster *r, uint64_t team_id, uint64_t user_id)
{
	uint64_t key[2] = {team_id, user_id};
	return find(key, r->members, r->member_count, sizeof *r->members, compare_member);
}

static const struct roster_place nowhere;

static const struct roster_place *place_at(const struct roster *r, uint64_t channel_id, uint64_t user_id)
{
	uint64_t key[2] = {user_id, channel_id};
	const struct roster_place *p = find(key, r->places, r->place_count, sizeof *r->places, compare_place);
	return p == NULL ? &nowhere : p;
}

const struct eval_place *roster_place(const struct roster *r, uint64_t channel_id, uint64_t user_id)
{
	return &place_at(r, channel_id, user_id)->place;
}

uint64_t roster_joined_seq(const struct roster *r, const struct roster_channel *channel, uint64_t user_id,
	const struct roster_member *member)
{
	uint64_t here = place_at(r, channel->eval.id, user_id)->joined_seq;
	uint64_t in_team = member != NULL ? member->joined_seq : 0;
	return here > in_team ? here : in_team;
}

const struct roster_place *roster_places_of(const struct roster *r, uint64_t user_id, size_t *out_count)
{
	size_t low = 0, high = r->place_count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (r->places[mid].user_id < user_id)
			low = mid + 1;
		else
			high = mid;
	}
	for (*out_count = 0; low + *out_count < r->place_count && r->places[low + *out_count].user_id == user_id;)
		++*out_count;
	return r->places + low;
}

/* ---- loading */

static enum status query_ids(struct db_conn *conn, struct arena *mem, const struct db_stmt *stmt,
	const uint64_t *ids, size_t count, struct db_rows *rows)
{
	struct db_params p;
	db_params_begin(&p, mem);
	db_put_ids(&p, ids, count);
	return db_query(conn, mem, stmt, &p, rows);
}

/* Those of the team's scope first: a channel's list begins with them. */
static int compare_scope(const void *a, const void *b)
{
	return ((const struct eval_override *)a)->scope - ((const struct eval_override *)b)->scope;
}

static enum status load_teams(
	struct db_conn *conn, struct arena *mem, const uint64_t *ids, size_t count, struct roster *r)
{
	struct db_rows rows = {0};

	enum status st = query_ids(conn, mem, &teams_stmt, ids, count, &rows);
	if (st != STATUS_OK)
		return st;
	r->team_count = (size_t)rows.count;
	r->teams = ARENA_ARRAY(mem, r->team_count, struct roster_team);
	for (int i = 0; i < rows.count; i++) {
		struct roster_team *t = &r->teams[i];
		t->eval = (struct eval_team){
			.id = db_id(&rows, i, 0),
			.owner_id = db_id(&rows, i, 1),
			.base_role_id = db_id(&rows, i, 2),
			.base_group_id = db_id(&rows, i, 3),
			.public_read = db_bool(&rows, i, 4),
			.suspended = db_bool(&rows, i, 5),
			.deleted = db_bool(&rows, i, 6),
		};
		t->stream_epoch = db_id(&rows, i, 7);
		t->as_of = db_id(&rows, i, 8);
		t->rights_seq = db_id(&rows, i, 9);
		t->role_count = roles_from_row(&rows, i, 10, mem, &t->roles);
		if (ids_from_row(&rows, i, 22, mem, &t->role_changed) != t->role_count)
			return STATUS_INTERNAL;
		for (size_t k = 0; k < t->role_count; k++)
			t->roles[k].base = t->roles[k].id == t->eval.base_role_id;
		t->override_count = overrides_from_row(&rows, i, 14, mem, &t->overrides);
		if (t->override_count > 0)
			qsort(t->overrides, t->override_count, sizeof *t->overrides, compare_scope);
		while (t->team_override_count < t->override_count &&
			t->overrides[t->team_override_count].scope == OVERRIDE_TEAM)
			t->team_override_count++;
	}
	return STATUS_OK;
}

static void channel_overrides(struct arena *mem, struct roster_channel *c)
{
	const struct roster_team *t = c->team;
	size_t count = 0;

	c->overrides = ARENA_ARRAY(mem, t->override_count, struct eval_override);
	for (size_t i = 0; i < t->override_count; i++) {
		const struct eval_override *o = &t->overrides[i];
		if (i < t->team_override_count || (o->scope == OVERRIDE_CHANNEL && o->scope_id == c->eval.id) ||
			(o->scope == OVERRIDE_CATEGORY && o->scope_id == c->eval.category_id))
			c->overrides[count++] = *o;
	}
	c->override_count = count;
}

static enum status load_groups(struct db_conn *conn, struct arena *mem, struct roster *r)
{
	uint64_t *ids = ARENA_ARRAY(mem, r->channel_count, uint64_t);
	struct db_rows rows = {0};
	size_t count = 0;

	for (size_t i = 0; i < r->channel_count; i++) {
		const struct roster_channel *c = &r->channels[i];
		if (c->team != NULL && c->eval.group_id != 0 && c->eval.group_id != c->team->eval.base_group_id)
			ids[count++] = c->eval.group_id;
	}
	if (count == 0)
		return STATUS_OK;
	enum status st = query_ids(conn, mem, &groups_stmt, ids, count, &rows);
	if (st != STATUS_OK)
		return st;
	struct eval_group *groups = ARENA_ARRAY(mem, (size_t)rows.count, struct eval_group);
	for (int i = 0; i < rows.count; i++) {
		uint64_t *visible;
		groups[i] = (struct eval_group){
			.id = db_id(&rows, i, 0),
			.public = db_bool(&rows, i, 1),
			.archived = db_bool(&rows, i, 2),
			.deleted = db_bool(&rows, i, 3),
		};
		groups[i].visible_role_count = ids_from_row(&rows, i, 4, mem, &visible);
		groups[i].visible_role_ids = visible;
	}
	for (size_t i = 0; i < r->channel_count; i++) {
		struct roster_channel *c = &r->channels[i];
		if (c->team != NULL && c->eval.group_id != c->team->eval.base_group_id)
			c->group = find(&c->eval.group_id, groups, (size_t)rows.count, sizeof *groups, compare_group);
	}
	return STATUS_OK;
}

/* Of conversations, whose stream is not a team's. */
static enum status load_heads(struct db_conn *conn, struct arena *mem, struct roster *r)
{
	uint64_t *ids = ARENA_ARRAY(mem, r->channel_count, uint64_t);
	struct db_rows rows = {0};
	size_t count = 0;

	for (size_t i = 0; i < r->channel_count; i++)
		if (r->channels[i].view.team_id == 0)
			ids[count++] = r->channels[i].stream.id;
	if (count == 0)
		return STATUS_OK;
	enum status st = query_ids(conn, mem, &heads_stmt, ids, count, &rows);
	for (int row = 0; st == STATUS_OK && row < rows.count; row++) {
		uint64_t id = db_id(&rows, row, 0); /* a conversation and its stream have the same */
		struct roster_channel *c = (struct roster_channel *)(uintptr_t)roster_channel(r, id);
		if (c == NULL || c->stream.id != id)
			continue;
		c->stream_epoch = db_id(&rows, row, 1);
		c->as_of = db_id(&rows, row, 2);
	}
	return st;
}

static void fill_channels(struct arena *mem, const struct db_rows *rows, struct roster *r)
{
	r->channel_count = (size_t)rows->count;
	r->channels = ARENA_ARRAY(mem, r->channel_count, struct roster_channel);
	for (int i = 0; i < rows->count; i++) {
		struct roster_channel *c = &r->channels[i];
		channel_from_row(rows, i, 0, mem, &c->eval, &c->view, &c->stream);
		c->eval.ever_banned = db_bool(rows, i, CHANNEL_COLUMN_COUNT);
	}
}

/* Teams are there: channels find theirs, their overrides and what their key is. */
static void join_channels(struct arena *mem, struct roster *r)
{
	for (size_t i = 0; i < r->channel_count; i++) {
		struct roster_channel *c = &r->channels[i];
		if (c->view.team_id == 0)
			continue;
		c->team = roster_team(r, c->view.team_id);
		if (c->team == NULL)
			continue;
		channel_overrides(mem, c);
		c->restricted = eval_channel_restricted(&c->team->eval, c->team->roles, c->team->role_count,
			c->overrides, c->override_count, &c->eval);
	}
}

/* Of teams and conversations. */
static uint64_t *stream_ids(struct arena *mem, const struct roster *r, size_t *out_count)
{
	uint64_t *streams = ARENA_ARRAY(mem, r->channel_count + r->team_count, uint64_t);
	size_t count = 0;

	for (size_t i = 0; i < r->team_count; i++)
		streams[count++] = r->teams[i].eval.id;
	for (size_t i = 0; i < r->channel_count; i++)
		if (r->channels[i].view.team_id == 0)
			streams[count++] = r->channels[i].stream.id;
	*out_count = count;
	return streams;
}

static enum status load_members(
	struct db_conn *conn, struct arena *mem, const struct roster_query *query, struct roster *r)
{
	size_t stream_count = 0;
	uint64_t *streams = stream_ids(mem, r, &stream_count);
	struct db_params p;
	struct db_rows rows = {0};

	if (stream_count == 0)
		return STATUS_OK;
	db_params_begin(&p, mem);
	db_put_ids(&p, streams, stream_count);
	db_put_ids(&p, query->user_ids, query->user_count);
	enum status st = db_query(conn, mem, &members_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	r->member_count = (size_t)rows.count;
	r->members = ARENA_ARRAY(mem, r->member_count, struct roster_member);
	for (int i = 0; i < rows.count; i++) {
		struct roster_member *m = &r->members[i];
		uint64_t *held;
		m->team_id = db_id(&rows, i, 0);
		m->user_id = db_id(&rows, i, 1);
		m->nickname = arena_strdup(mem, db_text(&rows, i, 3));
		m->standing = (struct eval_standing){
			.member = db_bool(&rows, i, 2),
			.muted = db_bool(&rows, i, 4),
			.deafened = db_bool(&rows, i, 5),
			.timeout_until_ms = db_i64(&rows, i, 6),
			.banned = db_bool(&rows, i, 9),
			.ban_until_ms = db_i64(&rows, i, 10),
		};
		m->epoch = db_id(&rows, i, 7);
		m->changed_seq = db_id(&rows, i, 8);
		m->account_gone = db_bool(&rows, i, 11);
		m->standing.role_count = ids_from_row(&rows, i, 12, mem, &held);
		m->standing.role_ids = held;
		m->joined_seq = db_id(&rows, i, 13);
	}
	return STATUS_OK;
}

static enum status load_places(
	struct db_conn *conn, struct arena *mem, const struct roster_query *query, struct roster *r)
{
	uint64_t *channels = ARENA_ARRAY(mem, r->channel_count, uint64_t);
	size_t stream_count = 0;
	struct db_params p;
	struct db_rows rows = {0};

	if (r->channel_count == 0)
		return STATUS_OK;
	uint64_t *streams = stream_ids(mem, r, &stream_count);
	for (size_t i = 0; i < r->channel_count; i++)
		channels[i] = r->channels[i].eval.id;
	db_params_begin(&p, mem);
	db_put_ids(&p, channels, r->channel_count);
	db_put_ids(&p, query->user_ids, query->user_count);
	db_put_ids(&p, streams, stream_count);
	enum status st = db_query(conn, mem, &places_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	r->places = ARENA_ARRAY(mem, (size_t)rows.count, struct roster_place);
	for (int i = 0; i < rows.count; i++) {
		uint64_t channel = db_id(&rows, i, 0), user = db_id(&rows, i, 1);
		struct roster_place *at = r->place_count > 0 ? &r->places[r->place_count - 1] : NULL;
		if (at == NULL || at->channel_id != channel || at->user_id != user) {
			at = &r->places[r->place_count++];
			at->channel_id = channel;
			at->user_id = user;
		}
		if (db_bool(&rows, i, 3)) {
			at->place.banned = true;
			at->place.ban_until_ms = db_i64(&rows, i, 4);
		} else {
			at->place.known = true;
			at->place.role = (uint32_t)db_i64(&rows, i, 2);
			at->joined_seq = db_id(&rows, i, 5);
		}
	}
	return STATUS_OK;
}

enum status roster_load(struct db_conn *conn, struct arena *mem, const struct roster_query *query, struct roster *out)
{
	struct db_rows rows = {0};
	const uint64_t *team_ids = query->team_ids;
	size_t team_count = query->team_count;
	enum status st = STATUS_OK;

	*out = (struct roster){.now_ms = query->now_ms, .generation = db_generation(conn)};
	if (query->channels == ROSTER_LISTED) {
		st = query_ids(conn, mem, &channels_listed_stmt, query->channel_ids, query->channel_count, &rows);
		if (st != STATUS_OK)
			return st;
		fill_channels(mem, &rows, out);
		uint64_t *ids = ARENA_ARRAY(mem, out->channel_count, uint64_t);
		team_count = 0;
		for (size_t i = 0; i < out->channel_count; i++)
			if (out->channels[i].view.team_id != 0)
				ids[team_count++] = out->channels[i].view.team_id;
		team_ids = ids;
	} else if (query->channels == ROSTER_CONVERSATIONS) {
		st = query_ids(
			conn, mem, &channels_conversations_stmt, query->user_ids, query->user_count, &rows);
		if (st != STATUS_OK)
			return st;
		fill_channels(mem, &rows, out);
		team_count = 0;
	} else if (team_count == 0) {
		st = query_ids(conn, mem, &teams_of_stmt, query->user_ids, query->user_count, &rows);
		if (st != STATUS_OK)
			return st;
		uint64_t *ids = ARENA_ARRAY(mem, (size_t)rows.count, uint64_t);
		for (int i = 0; i < rows.count; i++)
			ids[team_count++] = db_id(&rows, i, 0);
		team_ids = ids;
	}
	if (team_count > 0)
		st = load_teams(conn, mem, team_ids, team_count, out);
	if (st == STATUS_OK && team_count > 0 &&
		(query->channels == ROSTER_ALL || query->channels == ROSTER_RESTRICTED)) {
		st = query_ids(conn, mem,
			query->channels == ROSTER_ALL ? &channels_all_stmt : &channels_restricted_stmt, team_ids,
			team_count, &rows);
		if (st == STATUS_OK)
			fill_channels(mem, &rows, out);
	}
	if (st != STATUS_OK)
		return st;
	join_channels(mem, out);
	st = load_groups(conn, mem, out);
	if (st == STATUS_OK)
		st = load_heads(conn, mem, out);
	if (st == STATUS_OK)
		st = load_members(conn, mem, query, out);
	return st == STATUS_OK ? load_places(conn, mem, query, out) : st;
}

struct eval_facts roster_facts(const struct roster *r, uint64_t user_id, const struct roster_team *team,
	const struct roster_channel *channel, const struct roster_member *member)
{
	static const struct eval_standing nobody;
	struct eval_facts f = {.now_ms = r->now_ms,
		.user_id = user_id,
		.account_gone = member != NULL && member->account_gone,
		.standing = member != NULL ? &member->standing : &nobody};

	if (team != NULL) {
		f.team = &team->eval;
		f.roles = team->roles;
		f.role_count = team->role_count;
		f.overrides = team->overrides;
		f.override_count = team->team_override_count;
	}
	if (channel == NULL)
		return f;
	f.channel = &channel->eval;
	f.place = roster_place(r, channel->eval.id, user_id);
	const struct roster_channel *judged = channel;
	if (channel->eval.kind == CHANNEL_THREAD) {
		const struct roster_channel *parent = roster_channel(r, channel->eval.parent_id);
		if (parent != NULL) {
			f.parent = &parent->eval;
			f.parent_place = roster_place(r, parent->eval.id, user_id);
			judged = parent;
		}
	}
	f.overrides = judged->overrides;
	f.override_count = judged->override_count;
	f.group = judged->group;
	return f;
}
