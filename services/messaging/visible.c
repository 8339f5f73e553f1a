#include "services/messaging/visible.h"

#include <stdlib.h>

#define JUDGED_AT_ONCE 1000 /* channels in one question to moderation */

static int by_channel(const void *a, const void *b)
{
	const struct rights *x = a, *y = b;

	return x->channel_id < y->channel_id ? -1 : x->channel_id > y->channel_id;
}

static enum status gather_judged(
	struct service *s, struct rpc_call *call, const pb_JudgeManyRequest *request, struct visible *v)
{
	struct rpc_context context = rights_context(call);
	pb_JudgeManyReply reply;
	struct rpc_outcome outcome;

	enum status st = moderation_judge_many(s->moderation, call->mem, &context, request, &reply, &outcome);
	if (st != STATUS_OK)
		return st;
	v->rights = arena_grow(call->mem, v->rights, v->count * sizeof *v->rights,
		(v->count + reply.rights_count) * sizeof *v->rights);
	for (pb_size_t i = 0; i < reply.rights_count; i++) {
		struct rights *r = &v->rights[v->count];
		rights_from_answer(&reply.rights[i], call->header->actor_id == 0, r);
		/* Not into the cache: a listing of everything would push out what is posted by. */
		if (r->status == STATUS_OK && r->channel_id != 0)
			v->count++;
	}
	return STATUS_OK;
}

static enum status gather_team(struct service *s, struct rpc_call *call, uint64_t team, struct visible *v)
{
	bool conversations = team == VISIBLE_CONVERSATIONS;

	return gather_judged(s, call,
		&(pb_JudgeManyRequest){.user_id = call->header->actor_id,
			.team_id = conversations ? 0 : team,
			.conversations = conversations},
		v);
}

static enum status gather_listed(
	struct service *s, struct rpc_call *call, uint64_t *channels, size_t count, struct visible *v)
{
	enum status st = STATUS_OK;

	*v = (struct visible){0};
	for (size_t from = 0; st == STATUS_OK && from < count; from += JUDGED_AT_ONCE) {
		size_t left = count - from;
		st = gather_judged(s, call,
			&(pb_JudgeManyRequest){.user_id = call->header->actor_id,
				.channel_ids_count = (pb_size_t)(left < JUDGED_AT_ONCE ? left : JUDGED_AT_ONCE),
				.channel_ids = channels + from},
			v);
	}
	return st;
}

/* By channel id. */
static void arrange(struct arena *mem, struct visible *v)
{
	if (v->count == 0)
		return;
	qsort(v->rights, v->count, sizeof *v->rights, by_channel);
	v->channel_ids = ARENA_ARRAY(mem, v->count, uint64_t);
	for (size_t i = 0; i < v->count; i++)
		v->channel_ids[i] = v->rights[i].channel_id;
}

static enum status gather(struct service *s, struct rpc_call *call, uint64_t team, struct visible *v)
{
	struct rpc_context context = rights_context(call);
	pb_TeamIdsRequest request = {.user_id = call->header->actor_id};
	pb_TeamIdsReply teams = {0};
	struct rpc_outcome outcome;
	enum status st = STATUS_OK;

	*v = (struct visible){0};
	if (team != VISIBLE_EVERYTHING)
		st = gather_team(s, call, team, v);
	else
		st = gather_team(s, call, VISIBLE_CONVERSATIONS, v);
	if (team == VISIBLE_EVERYTHING && st == STATUS_OK && call->header->served_kinds != 0)
		return gather_team(s, call, call->header->served_team, v);
	if (team == VISIBLE_EVERYTHING && st == STATUS_OK)
		st = moderation_list_team_ids(s->moderation, call->mem, &context, &request, &teams, &outcome);
	for (pb_size_t i = 0; st == STATUS_OK && i < teams.team_ids_count; i++) {
		st = gather_team(s, call, teams.team_ids[i], v);
		if (st == STATUS_NOT_FOUND) /* left or deleted since the list was made */
			st = STATUS_OK;
	}
	return st;
}

void visible_put(struct db_params *params, const struct visible *v, const struct rpc_call *call)
{
	db_put_id(params, call->header->actor_id);
	db_put_ids(params, v->channel_ids, v->count);
}

const struct rights *visible_of(const struct visible *v, uint64_t channel)
{
	return bsearch(&(struct rights){.channel_id = channel}, v->rights, v->count, sizeof *v->rights, by_channel);
}

enum status visible_compare(const struct visible *v, const struct rpc_call *call, const struct db_rows *rows,
	int row, uint64_t channel, struct refusal *out_no)
{
	struct epochs found = guard_epochs(rows, row);

	found.generation = v->generation;
	const struct rights *r = visible_of(v, channel);

	return r == NULL ? STATUS_INTERNAL : guard_compare(r, call, &found, out_no);
}

/* All were judged anew, so the first tells for all. */
static bool judged_elsewhere(const struct visible *v, const struct rpc_call *call)
{
	return guard_elsewhere(&v->rights[0], call, &(struct epochs){.generation = v->generation});
}

void visible_keep(struct visible *v, enum permission needed)
{
	size_t kept = 0;

	for (size_t i = 0; i < v->count; i++)
		if (bits_has(v->rights[i].bits, needed)) {
			v->rights[kept] = v->rights[i];
			v->channel_ids[kept++] = v->channel_ids[i];
		}
	v->count = kept;
}

/* What a reading is over: a team (0: every team of the actor), or what `list` names. */
struct over {
	uint64_t team;
	bool and_conversations;
	visible_list_fn *list;
	void *arg;
};

static enum status gather_over(struct service *s, struct rpc_call *call, struct db *db, const struct over *over,
	struct visible *v, struct refusal *out_no)
{
	struct db_conn *conn = NULL;
	uint64_t *channels = NULL;
	size_t count = 0;

	if (over->list == NULL) {
		enum status team = gather(s, call, over->team, v);
		return team == STATUS_OK && over->and_conversations ? gather_team(s, call, VISIBLE_CONVERSATIONS, v) : team;
	}
	*v = (struct visible){0};
	enum status st = db_acquire(db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	st = over->list(conn, call, over->arg, &channels, &count, out_no);
	db_release(conn);
	return st == STATUS_OK ? gather_listed(s, call, channels, count, v) : st;
}

static enum status read_over(struct service *s, struct rpc_call *call, struct db *db, const struct over *over,
	visible_read_fn *fn, void *arg, struct refusal *out_no)
{
	for (int tries = 0; tries <= JUDGE_TRIES; tries++) {
		struct visible v;
		struct db_conn *conn = NULL;

		*out_no = (struct refusal){0};
		enum status st = gather_over(s, call, db, over, &v, out_no);
		if (st == STATUS_STALE) /* moderation's word for an ended session */
			out_no->why = "session";
		if (st != STATUS_OK || v.count == 0)
			return st;
		arrange(call->mem, &v);
		st = db_acquire(db, call->deadline_mono_ms, &conn);
		if (st != STATUS_OK)
			return st;
		v.generation = db_generation(conn);
		if (db != s->db && judged_elsewhere(&v, call)) {
			db_release(conn);
			db = s->db;
			continue;
		}
		st = fn(conn, call, &v, arg, out_no);
		db_release(conn);
		if (st != STATUS_STALE || out_no->why != NULL)
			return st;
	}
	return STATUS_BUSY;
}

enum status visible_read(struct service *s, struct rpc_call *call, struct db *db, uint64_t team,
	visible_read_fn *fn, void *arg, struct refusal *out_no)
{
	return read_over(s, call, db, &(struct over){.team = team}, fn, arg, out_no);
}

enum status visible_read_with_conversations(struct service *s, struct rpc_call *call, struct db *db, uint64_t team,
	visible_read_fn *fn, void *arg, struct refusal *out_no)
{
	return read_over(s, call, db, &(struct over){.team = team, .and_conversations = true}, fn, arg, out_no);
}

enum status visible_read_listed(struct service *s, struct rpc_call *call, struct db *db, visible_list_fn *list,
	visible_read_fn *fn, void *arg, struct refusal *out_no)
{
	return read_over(s, call, db, &(struct over){.list = list, .arg = arg}, fn, arg, out_no);
}
