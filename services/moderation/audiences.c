/*
 * audiences - which keys a person holds in a stream, and since when nothing of that has changed: what a
 * gateway opens streams and resumes sockets by. Everything from one repeatable-read snapshot, so that keys,
 * as_of and unchanged_since belong together. People of one class (the same roles, no exceptions) are
 * evaluated once and share a set of keys; what memberships, bans and overrides of one person change is his
 * own `gained` and `lost`. A conversation has one key, which its people hold.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/db/log.h"
#include "services/moderation/audiences.h"
#include "services/moderation/change.h"
#include "services/moderation/roster.h"
#include "services/moderation/slots.h"

/* Permissions that are audiences (the home of can:T:x is T). access_team is no event's: who loses its key leaves the sockets of
 * dialects without teams. */
static const enum permission can_keys[] = {PERMISSION_access_team, PERMISSION_ban_members, PERMISSION_create_invites,
	PERMISSION_read_applications, PERMISSION_moderate_members, PERMISSION_view_audit_log,
	PERMISSION_read_settings};
#define CAN_COUNT (sizeof can_keys / sizeof *can_keys)

struct bits audiences_bits(void)
{
	struct bits set = bits_with(eval_view_bits(), PERMISSION_administrator);

	for (size_t i = 0; i < CAN_COUNT; i++)
		set = bits_with(set, can_keys[i]);
	return set;
}

/* One set of roles in one team. */
struct class
{
	bool owner;
	const uint64_t *role_ids;
	size_t role_count;
	uint32_t key_set;
	bool *views; /* per channel of the team's slice */
	bool can[CAN_COUNT];
};

/* A team while its people are answered. */
struct board {
	const struct roster *roster;
	const struct roster_team *team;
	const struct roster_channel **channels; /* those with a key of their own */
	size_t channel_count;
	struct class *classes;
	size_t class_count, class_room;
	/* for one person after the other */
	bool *mine;
	char **gained, **lost;
};

struct answers {
	struct arena *mem;
	pb_ListAudiencesReply *reply;
	size_t set_room, answer_room;
};

static char *key_text(struct arena *mem, const char *class_name, uint64_t id)
{
	char key[AUDIENCE_SIZE];
	audience_key(key, class_name, id);
	return arena_strdup(mem, key);
}

static char *can_text(struct arena *mem, uint64_t team, enum permission permission)
{
	char key[AUDIENCE_SIZE];
	audience_can(key, team, permission);
	return arena_strdup(mem, key);
}

void audiences_can_changes(
	struct arena *mem, uint64_t team_id, struct bits before, struct bits after, struct key_changes *out)
{
	*out = (struct key_changes){
		.gained = ARENA_ARRAY(mem, CAN_COUNT, char *), .lost = ARENA_ARRAY(mem, CAN_COUNT, char *)};
	for (size_t i = 0; i < CAN_COUNT; i++) {
		bool had = bits_has(before, can_keys[i]), has = bits_has(after, can_keys[i]);
		if (has && !had)
			out->gained[out->gained_count++] = can_text(mem, team_id, can_keys[i]);
		if (had && !has)
			out->lost[out->lost_count++] = can_text(mem, team_id, can_keys[i]);
	}
}

static struct board board_open(struct arena *mem, const struct roster *r, const struct roster_team *team)
{
	struct board b = {.roster = r, .team = team};

	b.channels = ARENA_ARRAY(mem, r->channel_count, const struct roster_channel *);
	for (size_t i = 0; i < r->channel_count; i++)
		if (r->channels[i].team == team && r->channels[i].restricted)
			b.channels[b.channel_count++] = &r->channels[i];
	b.mine = ARENA_ARRAY(mem, b.channel_count, bool);
	b.gained = ARENA_ARRAY(mem, b.channel_count + CAN_COUNT, char *);
	b.lost = ARENA_ARRAY(mem, b.channel_count + CAN_COUNT, char *);
	return b;
}

static bool views(const struct board *b, uint64_t user, const struct roster_member *m, size_t channel)
{
	struct eval_facts f = roster_facts(b->roster, user, b->team, b->channels[channel], m);
	return eval_rights(&f, EVAL_ASK_NOTHING).status == STATUS_OK;
}

static struct bits team_bits(const struct board *b, uint64_t user, const struct roster_member *m)
{
	struct eval_facts f = roster_facts(b->roster, user, b->team, NULL, m);
	struct bits bits = eval_rights(&f, EVAL_ASK_NOTHING).bits;
	return m->standing.timeout_until_ms != 0 && eval_may_enter(&f) ? bits_with(bits, PERMISSION_access_team) : bits;
}

static uint32_t add_key_set(struct answers *a, char **keys, size_t count)
{
	pb_ListAudiencesReply *reply = a->reply;

	if (reply->key_sets_count == a->set_room) {
		size_t room = a->set_room == 0 ? 16 : a->set_room * 2;
		reply->key_sets = arena_grow(
			a->mem, reply->key_sets, a->set_room * sizeof(pb_KeySet), room * sizeof(pb_KeySet));
		a->set_room = room;
	}
	reply->key_sets[reply->key_sets_count] = (pb_KeySet){.keys_count = (pb_size_t)count, .keys = keys};
	return reply->key_sets_count++;
}

/* The class of a member: as if nothing but his roles concerned him. */
static const struct class *class_of(struct answers *a, struct board *b, const struct roster_member *m)
{
	bool owner = b->team->eval.owner_id == m->user_id;

	for (size_t i = 0; i < b->class_count; i++) {
		const struct class *c = &b->classes[i];
		if (c->owner == owner && c->role_count == m->standing.role_count &&
			(c->role_count == 0 || memcmp(c->role_ids, m->standing.role_ids,
						       c->role_count * sizeof(uint64_t)) == 0))
			return c;
	}
	if (b->class_count == b->class_room) {
		size_t room = b->class_room == 0 ? 8 : b->class_room * 2;
		b->classes = arena_grow(a->mem, b->classes, b->class_room * sizeof(struct class),
			room * sizeof(struct class));
		b->class_room = room;
	}
	struct class *c = &b->classes[b->class_count++];
	struct roster_member nobody = {.standing = {.member = true,
					       .role_ids = m->standing.role_ids,
					       .role_count = m->standing.role_count}};
	uint64_t user = owner ? m->user_id : 0;
	*c = (struct class){
		.owner = owner, .role_ids = m->standing.role_ids, .role_count = m->standing.role_count};
	c->views = ARENA_ARRAY(a->mem, b->channel_count, bool);

	char **keys = ARENA_ARRAY(a->mem, 1 + c->role_count + CAN_COUNT + b->channel_count, char *);
	size_t count = 0;
	struct bits bits = team_bits(b, user, &nobody);
	keys[count++] = key_text(a->mem, "team", b->team->eval.id);
	for (size_t i = 0; i < c->role_count; i++)
		keys[count++] = key_text(a->mem, "role", c->role_ids[i]);
	for (size_t i = 0; i < CAN_COUNT; i++)
		if ((c->can[i] = bits_has(bits, can_keys[i])))
			keys[count++] = can_text(a->mem, b->team->eval.id, can_keys[i]);
	for (size_t i = 0; i < b->channel_count; i++)
		if ((c->views[i] = views(b, user, &nobody, i)))
			keys[count++] = key_text(a->mem, "channel", b->channels[i]->eval.id);
	c->key_set = add_key_set(a, keys, count);
	return c;
}

/* Overrides of his own for the team or a category, or a timeout: nothing of the class is taken for granted.
 */
static bool all_his_own(const struct board *b, const struct roster_member *m)
{
	if (m->standing.timeout_until_ms != 0)
		return true;
	for (size_t i = 0; i < b->team->override_count; i++) {
		const struct eval_override *o = &b->team->overrides[i];
		if (o->scope != OVERRIDE_CHANNEL && o->subject_kind == OVERRIDE_OF_USER &&
			o->subject_id == m->user_id)
			return true;
	}
	return false;
}

/* Marks the channels (mine, one flag each) where he is not what his class is: a row, a ban, an override, his
 * own making. */
static void mark_his_own(const struct board *b, const struct roster_member *m, bool *mine)
{
	size_t place_count, channel = 0;
	const struct roster_place *places = roster_places_of(b->roster, m->user_id, &place_count);

	memset(mine, 0, b->channel_count * sizeof *mine);
	/* Both are by channel. */
	for (size_t i = 0; i < place_count; i++) {
		while (channel < b->channel_count && b->channels[channel]->eval.id < places[i].channel_id)
			channel++;
		if (channel < b->channel_count && b->channels[channel]->eval.id == places[i].channel_id)
			mine[channel] = true;
	}
	for (size_t i = 0; i < b->channel_count; i++) {
		const struct roster_channel *c = b->channels[i];
		mine[i] |= c->eval.created_by == m->user_id;
		for (size_t k = 0; k < c->override_count; k++)
			mine[i] |= c->overrides[k].scope == OVERRIDE_CHANNEL &&
				   c->overrides[k].subject_kind == OVERRIDE_OF_USER &&
				   c->overrides[k].subject_id == m->user_id;
	}
}

static void exceptions(struct answers *a, const struct board *b, const struct class *c,
	const struct roster_member *m, pb_AudienceAnswer *out)
{
	bool all = all_his_own(b, m);
	char **gained = b->gained, **lost = b->lost;

	mark_his_own(b, m, b->mine);
	if (all) {
		struct bits bits = team_bits(b, m->user_id, m);
		for (size_t i = 0; i < CAN_COUNT; i++) {
			bool has = bits_has(bits, can_keys[i]);
			if (has == c->can[i])
				continue;
			char *key = can_text(a->mem, b->team->eval.id, can_keys[i]);
			if (has)
				gained[out->gained_count++] = key;
			else
				lost[out->lost_count++] = key;
		}
	}
	for (size_t i = 0; i < b->channel_count; i++) {
		if (!all && !b->mine[i])
			continue;
		bool has = views(b, m->user_id, m, i);
		if (has == c->views[i])
			continue;
		char *key = key_text(a->mem, "channel", b->channels[i]->eval.id);
		if (has)
			gained[out->gained_count++] = key;
		else
			lost[out->lost_count++] = key;
	}
	out->gained = arena_memdup(a->mem, gained, out->gained_count * sizeof *gained);
	out->lost = arena_memdup(a->mem, lost, out->lost_count * sizeof *lost);
}

static pb_AudienceAnswer *add_answer(struct answers *a, uint64_t user, uint64_t stream_id)
{
	pb_ListAudiencesReply *reply = a->reply;

	if (reply->answers_count == a->answer_room) {
		size_t room = a->answer_room == 0 ? 64 : a->answer_room * 2;
		reply->answers = arena_grow(a->mem, reply->answers,
			a->answer_room * sizeof(pb_AudienceAnswer), room * sizeof(pb_AudienceAnswer));
		a->answer_room = room;
	}
	pb_AudienceAnswer *out = &reply->answers[reply->answers_count++];
	*out = (pb_AudienceAnswer){.user_id = user, .rank = RANK_TEAM, .stream_id = stream_id};
	return out;
}

/* The last change that decides this person's keys: a wide one, one of his own, or one of a role that he has. */
static uint64_t unchanged_since(const struct roster_team *team, const struct roster_member *m)
{
	uint64_t since = team->rights_seq;

	if (m == NULL)
		return since;
	if (m->changed_seq > since)
		since = m->changed_seq;
	for (size_t i = 0, role = 0; i < m->standing.role_count; i++) {
		while (role < team->role_count && team->roles[role].id < m->standing.role_ids[i])
			role++; /* both are by id */
		if (role < team->role_count && team->roles[role].id == m->standing.role_ids[i] &&
			team->role_changed[role] > since)
			since = team->role_changed[role];
	}
	return since;
}

static void answer(struct answers *a, struct board *b, uint64_t user, const struct roster_member *m)
{
	pb_AudienceAnswer *out = add_answer(a, user, b->team->eval.id);

	out->as_of = b->team->as_of;
	out->unchanged_since = unchanged_since(b->team, m);
	out->member = m != NULL && m->standing.member && !m->standing.banned && !m->account_gone &&
		      !b->team->eval.deleted && !b->team->eval.suspended;
	if (!out->member)
		return;
	const struct class *c = class_of(a, b, m);
	out->key_set = c->key_set;
	exceptions(a, b, c, m, out);
}

/* repeated fields count in 16 bits, and a reply has 4 MiB. */
#define AUDIENCE_ANSWERS_MAX 16384

/* ---- conversations: one key each, held by its people */

/* Of one person (q.user_id) in one conversation (v.channel_id). */
#define CONVERSATION_ROW                                                                                     \
	"SELECT v.channel_id, q.user_id, s.seq, greatest(e.changed_seq, f.rights_seq),"                          \
	" coalesce(cm.here, false) AND NOT coalesce(p.erased, false) AND f.deleted_at_ms IS NULL"                \
	" FROM "
#define CONVERSATION_JOINS                                                                                   \
	" CROSS JOIN LATERAL (SELECT s.seq FROM log.streams s WHERE s.rank = 1 AND s.id = v.channel_id OFFSET 0) s" \
	" LEFT JOIN LATERAL (SELECT e.changed_seq FROM moderation.members e"                                     \
	"   WHERE e.team_id = v.channel_id AND e.user_id = q.user_id OFFSET 0) e ON true"                        \
	" LEFT JOIN LATERAL (SELECT p.erased FROM moderation.people p WHERE p.id = q.user_id OFFSET 0) p ON true" \
	" LEFT JOIN LATERAL (SELECT f.rights_seq, f.deleted_at_ms FROM messaging.channel_facts f"                \
	"   WHERE f.id = v.channel_id OFFSET 0) f ON true ORDER BY v.channel_id, q.user_id"
static const struct db_stmt conversations_listed_stmt = {"moderation_audiences_conversations",
	CONVERSATION_ROW "unnest($1::bigint[]) w(id) CROSS JOIN LATERAL (SELECT c.channel_id FROM moderation.conversations c"
	"   WHERE c.channel_id = w.id OFFSET 0) v CROSS JOIN unnest($2::bigint[]) q(user_id)"
	" LEFT JOIN LATERAL (SELECT m.left_at_ms IS NULL AS here FROM moderation.channel_members m"
	"   WHERE m.channel_id = v.channel_id AND m.user_id = q.user_id OFFSET 0) cm ON true" CONVERSATION_JOINS};
static const struct db_stmt conversations_of_stmt = {"moderation_audiences_conversations_of",
	CONVERSATION_ROW "unnest($1::bigint[]) q(user_id) CROSS JOIN LATERAL (SELECT m.channel_id FROM moderation.channel_members m"
	"   WHERE m.user_id = q.user_id AND m.left_at_ms IS NULL AND m.team_id IS NULL OFFSET 0) v"
	" CROSS JOIN (SELECT true AS here) cm" CONVERSATION_JOINS};

static enum status conversations(struct answers *a, struct db_conn *conn, const pb_ListAudiencesRequest *rq,
	const uint64_t *streams, size_t stream_count)
{
	bool listed = rq->streams_count > 0;
	uint64_t last = 0;
	uint32_t set = 0;
	struct db_params p;
	struct db_rows rows = {0};

	if (listed && stream_count == 0)
		return STATUS_OK;
	db_params_begin(&p, a->mem);
	if (listed)
		db_put_ids(&p, streams, stream_count);
	db_put_ids(&p, rq->user_ids, rq->user_ids_count);
	enum status st = db_query(
		conn, a->mem, listed ? &conversations_listed_stmt : &conversations_of_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if ((size_t)rows.count + a->reply->answers_count > AUDIENCE_ANSWERS_MAX)
		return STATUS_TOO_LARGE;
	for (int i = 0; i < rows.count; i++) {
		uint64_t id = db_id(&rows, i, 0);
		bool member = db_bool(&rows, i, 4);
		if (!listed && !member)
			continue; /* deleted: not asked about */
		if (id != last) {
			char **key = ARENA_NEW(a->mem, char *);
			*key = key_text(a->mem, "conversation", id);
			set = add_key_set(a, key, 1);
			last = id;
		}
		pb_AudienceAnswer *out = add_answer(a, db_id(&rows, i, 1), id);
		out->as_of = db_id(&rows, i, 2);
		out->unchanged_since = db_id(&rows, i, 3);
		out->member = member;
		out->key_set = member ? set : 0;
	}
	return STATUS_OK;
}

static bool answered(const pb_ListAudiencesReply *reply, uint64_t stream_id)
{
	for (size_t i = 0; i < reply->answers_count; i++)
		if (reply->answers[i].stream_id == stream_id)
			return true;
	return false;
}

enum status audiences_list(struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq,
	int64_t now_ms, pb_ListAudiencesReply *out)
{
	struct answers a = {.mem = mem, .reply = out};
	uint64_t *teams = ARENA_ARRAY(mem, rq->streams_count, uint64_t), *others = ARENA_ARRAY(mem, rq->streams_count, uint64_t);
	size_t team_count = 0, other_count = 0;
	struct roster r = {0};
	const char *generation = NULL;
	enum status st = STATUS_OK;

	for (size_t i = 0; i < rq->streams_count; i++)
		if (rq->streams[i].rank == RANK_TEAM)
			teams[team_count++] = rq->streams[i].stream_id;
	struct roster_query query = {.user_ids = rq->user_ids,
		.user_count = rq->user_ids_count,
		.team_ids = teams,
		.team_count = team_count,
		.channels = ROSTER_RESTRICTED,
		.now_ms = now_ms};
	bool listed = rq->streams_count > 0, slots_only = !listed && rq->slots_of_count > 0;
	if (rq->user_ids_count > 0 && !slots_only && (listed ? team_count > 0 : !rq->only_conversations))
		st = roster_load(conn, mem, &query, &r);
	if (st == STATUS_OK)
		st = log_generation(conn, mem, &generation);
	if (st != STATUS_OK)
		return st;
	out->generation = arena_strdup(mem, generation);
	if (rq->user_ids_count * (team_count > 0 ? team_count : r.team_count) > AUDIENCE_ANSWERS_MAX)
		return STATUS_TOO_LARGE;
	for (size_t t = 0; t < r.team_count; t++) {
		struct board b = board_open(mem, &r, &r.teams[t]);
		for (size_t u = 0; u < rq->user_ids_count; u++) {
			const struct roster_member *m = roster_member(&r, b.team->eval.id, rq->user_ids[u]);
			if (team_count == 0 && (m == NULL || !m->standing.member))
				continue; /* not asked about this stream */
			answer(&a, &b, rq->user_ids[u], m);
		}
	}
	for (size_t t = 0; t < team_count; t++)
		if (roster_team(&r, teams[t]) == NULL)
			others[other_count++] = teams[t];
	if (rq->user_ids_count > 0 && !slots_only && (listed || !rq->only_teams))
		st = conversations(&a, conn, rq, others, other_count);
	if (st != STATUS_OK)
		return st;
	if (rq->slots_of_count > 0)
		st = slots_list(conn, mem, rq, now_ms, out);
	if (st != STATUS_OK)
		return st;
	/* Streams that are neither a team's nor a conversation's: nobody is in them. */
	for (size_t t = 0; t < other_count; t++)
		if (!answered(out, others[t]))
			for (size_t u = 0; u < rq->user_ids_count; u++)
				add_answer(&a, rq->user_ids[u], others[t]);
	return STATUS_OK;
}

void serve_list_audiences(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListAudiencesRequest *rq = request;
	struct db_conn *conn = NULL;

	if (rq->user_ids_count > AUDIENCE_USERS_MAX || rq->slots_of_count > AUDIENCE_SLOTS_MAX ||
		rq->user_ids_count * rq->slots_of_count > AUDIENCE_ANSWERS_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "user_ids", NULL);
		return;
	}
	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	read_end(call, conn, audiences_list(conn, call->mem, rq, clock_wall_ms(), reply));
}
