/*
 * judge - the answers about rights: one place in one statement, a list of places from one snapshot.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "services/moderation/change.h"
#include "services/moderation/roster.h"

/* What is the same for both ways of loading. */
static void fill_answer(const struct eval_facts *facts, struct arena *mem, pb_Rights *out)
{
	struct eval_answer a = eval_rights(facts, EVAL_ASK_NOTHING);
	char why[EVAL_WHY_SIZE];

	out->has_bits = true;
	out->status = a.status;
	out->valid_until_ms = (uint64_t)a.valid_until_ms;
	out->member = a.member;
	out->owner = a.owner;
	out->channel_role = a.channel_role;
	out->highest_position = a.highest_position;
	if (a.status == STATUS_OK || a.rule == RULE_DELETED)
		out->bits = (pb_Bits){a.bits.low, a.bits.high};
	if (a.status == STATUS_OK) {
		if (a.rule == RULE_NONE && facts->channel != NULL &&
			!bits_has(a.bits, PERMISSION_send_messages))
			a = eval_rights(facts, PERMISSION_send_messages); /* what people ask about most */
	}
	if (a.rule != RULE_NONE) {
		eval_why(&a, why);
		out->why = arena_strdup(mem, why);
	}
	if (facts->standing != NULL && facts->standing->role_count > 0) {
		out->role_ids_count = (pb_size_t)facts->standing->role_count;
		out->role_ids = arena_memdup(
			mem, facts->standing->role_ids, facts->standing->role_count * sizeof(uint64_t));
	}
}

/* The key that the channel's events would have were it not private: whoever opens it tells of it with this
 * key. */
static char *open_audience(const struct facts *f, struct arena *mem)
{
	char key[AUDIENCE_SIZE];
	struct eval_channel open = f->channel;

	if (f->eval.channel == NULL || f->eval.team == NULL || !open.private || f->eval.parent != NULL)
		facts_audience(f, key);
	else {
		open.private = false;
		bool own = eval_channel_restricted(&f->team, f->eval.roles, f->eval.role_count,
			f->eval.overrides, f->eval.override_count, &open);
		audience_key(key, own ? "channel" : "team", own ? open.id : f->team.id);
	}
	return arena_strdup(mem, key);
}

/* Of a team: has a new open channel of the kind a key of its own from the beginning? */
static bool new_restricted(const struct facts *f, uint32_t kind)
{
	struct eval_channel made = {.kind = kind};

	return eval_channel_restricted(&f->team, f->eval.roles, f->eval.role_count, f->eval.overrides,
		f->eval.override_count, &made);
}

static void rights_of_facts(
	const struct facts *f, const pb_JudgeRequest *rq, struct arena *mem, pb_Rights *out)
{
	char key[AUDIENCE_SIZE];

	*out = (pb_Rights){.team_id = rq->team_id, .channel_id = rq->channel_id, .has_bits = true};
	if (!f->found) {
		out->status = STATUS_NOT_FOUND;
		return;
	}
	if (f->eval.channel != NULL)
		out->team_id = f->channel_view.team_id;
	out->rank = f->stream.rank;
	out->stream_id = f->stream.id;
	out->stream_epoch = f->stream_epoch;
	out->member_epoch = f->member_epoch;
	out->generation = f->generation;
	out->as_of = f->as_of;
	out->nickname = (char *)f->nickname;
	out->joined_seq = f->joined_seq;
	fill_answer(&f->eval, mem, out);
	facts_audience(f, key);
	out->audience = arena_strdup(mem, key);
	out->open_audience = open_audience(f, mem);
	out->new_restricted =
		f->eval.channel == NULL && rq->new_kind != 0 && new_restricted(f, rq->new_kind);
	/* The system (nobody) is not judged, but what it does has to name the channel; and so has to be told what is undeleted. */
	bool deleted = out->why != NULL && strcmp(out->why, "deleted") == 0;
	out->has_channel =
		f->eval.channel != NULL && (out->status == STATUS_OK || deleted || rq->user_id == 0);
	if (out->has_channel)
		out->channel = f->channel_view;
}

void serve_judge(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_JudgeRequest *rq = request;
	pb_JudgeReply *out = reply;
	struct db_conn *conn = NULL;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct facts_query query = {.actor_id = call->header->actor_id,
		.team_id = rq->team_id,
		.channel_id = rq->channel_id,
		.user_ids = &rq->user_id,
		.user_count = 1,
		.now_ms = clock_wall_ms()};

	enum status st = db_acquire(m->db, call->deadline_mono_ms, &conn);
	if (st == STATUS_OK)
		st = facts_load(conn, call->mem, &query, f);
	db_release(conn);
	if (st == STATUS_OK && change_session_check(call, f) != STATUS_OK) {
		rpc_fail(call, STATUS_STALE, "session", NULL, NULL);
		return;
	}
	if (st != STATUS_OK) {
		rpc_fail(call, st, NULL, NULL, NULL);
		return;
	}
	if (f->eval.channel != NULL && !rpc_serves(call, f->channel_view.team_id, f->channel_view.kind))
		f->found = false;
	out->has_rights = true;
	rights_of_facts(f, rq, call->mem, &out->rights);
	rpc_finish(call);
}

static void rights_of_channel(const struct roster *r, uint64_t user, const struct roster_channel *c,
	struct arena *mem, pb_Rights *out)
{
	const struct roster_member *member = roster_member(r, c->stream.id, user);
	struct eval_facts facts = roster_facts(r, user, c->team, c, member);
	const struct roster_channel *judged = facts.parent != NULL ? roster_channel(r, facts.parent->id) : c;
	char key[AUDIENCE_SIZE];

	*out = (pb_Rights){.team_id = c->view.team_id,
		.channel_id = c->eval.id,
		.has_bits = true,
		.rank = c->stream.rank,
		.stream_id = c->stream.id,
		.stream_epoch = c->team != NULL ? c->team->stream_epoch : c->stream_epoch,
		.as_of = c->team != NULL ? c->team->as_of : c->as_of,
		.member_epoch = member != NULL ? member->epoch : 0,
		.generation = r->generation,
		.nickname = member != NULL ? (char *)member->nickname : NULL,
		.joined_seq = roster_joined_seq(r, c, user, member)};
	fill_answer(&facts, mem, out);
	if (c->team == NULL)
		audience_key(key, "conversation", c->eval.id);
	else if (judged->restricted)
		audience_key(key, "channel", judged->eval.id);
	else
		audience_key(key, "team", c->team->eval.id);
	out->audience = arena_strdup(mem, key);
	out->has_channel = out->status == STATUS_OK;
	if (out->has_channel)
		out->channel = c->view;
}

#define MEMBERS_MOST 500
static const struct db_stmt members_stmt = {"moderation_judged_members",
	"SELECT c.id, ARRAY(SELECT m.user_id FROM moderation.channel_members m WHERE m.channel_id = c.id"
	" AND m.left_at_ms IS NULL ORDER BY m.user_id LIMIT $2) FROM unnest($1::int8[]) WITH ORDINALITY c(id, n) ORDER BY c.n"};

/* Of a crowd not all are listed: the person himself is. */
static void list_oneself(pb_Rights *rights, uint64_t user_id)
{
	if (rights->channel_role == CHANNEL_ROLE_NONE || rights->member_ids_count < MEMBERS_MOST)
		return;
	for (pb_size_t i = 0; i < rights->member_ids_count; i++)
		if (rights->member_ids[i] == user_id)
			return;
	rights->member_ids[rights->member_ids_count - 1] = user_id;
}

/* Of those that the person may know of. */
static enum status fill_members(struct db_conn *conn, struct arena *mem, uint64_t user_id, pb_JudgeManyReply *out)
{
	uint64_t *ids = ARENA_ARRAY(mem, out->rights_count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < out->rights_count; i++)
		ids[i] = out->rights[i].status == STATUS_OK ? out->rights[i].channel_id : 0;
	db_params_begin(&p, mem);
	db_put_ids(&p, ids, out->rights_count);
	db_put_i64(&p, MEMBERS_MOST);
	enum status st = db_query(conn, mem, &members_stmt, &p, &rows);
	for (int i = 0; st == STATUS_OK && i < rows.count && (size_t)i < out->rights_count; i++) {
		out->rights[i].member_ids_count =
			(pb_size_t)ids_from_row(&rows, i, 1, mem, &out->rights[i].member_ids);
		list_oneself(&out->rights[i], user_id);
	}
	return st;
}

static int compare_rights(const void *a, const void *b)
{
	const pb_ChannelView *x = &((const pb_Rights *)a)->channel, *y = &((const pb_Rights *)b)->channel;
	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	return x->id == y->id ? 0 : x->id < y->id ? -1 : 1;
}

void serve_judge_many(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	const pb_JudgeManyRequest *rq = request;
	pb_JudgeManyReply *out = reply;
	struct db_conn *conn = NULL;
	struct roster r;
	bool listed = rq->channel_ids_count > 0;

	if (rq->channel_ids_count > JUDGE_CHANNELS_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "channel_ids", NULL);
		return;
	}
	struct roster_query query = {.user_ids = &rq->user_id,
		.user_count = 1,
		.team_ids = &rq->team_id,
		.team_count = rq->team_id != 0,
		.channels = listed		? ROSTER_LISTED
			    : rq->conversations ? ROSTER_CONVERSATIONS
						: ROSTER_ALL,
		.channel_ids = rq->channel_ids,
		.channel_count = rq->channel_ids_count,
		.now_ms = clock_wall_ms()};
	if (read_begin_session(m, call, &conn) != STATUS_OK)
		return;
	enum status st = roster_load(conn, call->mem, &query, &r);
	if (st != STATUS_OK)
		goto out;
	out->rights = ARENA_ARRAY(call->mem, listed ? rq->channel_ids_count : r.channel_count, pb_Rights);
	if (listed) {
		/* One answer for each, in the order asked. */
		for (size_t i = 0; i < rq->channel_ids_count; i++) {
			const struct roster_channel *c = roster_channel(&r, rq->channel_ids[i]);
			pb_Rights *rights = &out->rights[out->rights_count++];
			if (c == NULL || (c->view.team_id != 0 && c->team == NULL))
				*rights = (pb_Rights){.channel_id = rq->channel_ids[i],
					.has_bits = true,
					.status = STATUS_NOT_FOUND};
			else
				rights_of_channel(&r, rq->user_id, c, call->mem, rights);
			if (rights->status == STATUS_OK &&
				!rpc_serves(call, rights->team_id, rights->channel.kind))
				*rights = (pb_Rights){.channel_id = rq->channel_ids[i],
					.has_bits = true,
					.status = STATUS_NOT_FOUND};
		}
		goto members;
	}
	for (size_t i = 0; i < r.channel_count; i++) {
		pb_Rights *rights = &out->rights[out->rights_count];
		rights_of_channel(&r, rq->user_id, &r.channels[i], call->mem, rights);
		if (rights->status == STATUS_OK && rpc_serves(call, rights->team_id, rights->channel.kind))
			out->rights_count++;
	}
	qsort(out->rights, out->rights_count, sizeof *out->rights, compare_rights);
members:
	if (rq->members)
		st = fill_members(conn, call->mem, rq->user_id, out);
out:
	read_end(call, conn, st);
}
