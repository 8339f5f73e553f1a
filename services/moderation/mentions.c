/*
 * mentions - who and what a text may mention in a channel: people who can view it now, roles of its team, channels that
 * the actor can view. What anybody does about the answer is the caller's; epochs let him check it at his commit.
 */
#include "common/base/clock.h"
#include "services/moderation/change.h"
#include "services/moderation/roster.h"

/* The base role is everyone, which has a token of its own. */
static const struct db_stmt roles_stmt = {"moderation_mentionable_roles",
	"SELECT r.id, r.mentionable FROM unnest($1::bigint[]) q(id)"
	" CROSS JOIN LATERAL (SELECT * FROM moderation.roles r WHERE r.id = q.id OFFSET 0) r"
	" WHERE r.team_id = $2 AND NOT r.is_base"};

static enum status fill_roles(struct db_conn *conn, struct arena *mem, const pb_JudgeMentionsRequest *rq,
	uint64_t team, pb_JudgeMentionsReply *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	if (rq->role_ids_count == 0 || team == 0)
		return STATUS_OK;
	db_params_begin(&p, mem);
	db_put_ids(&p, rq->role_ids, rq->role_ids_count);
	db_put_id(&p, team);
	enum status st = db_query(conn, mem, &roles_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	out->roles = ARENA_ARRAY(mem, (size_t)rows.count, pb_MentionableRole);
	out->roles_count = (pb_size_t)rows.count;
	for (int i = 0; i < rows.count; i++)
		out->roles[i] = (pb_MentionableRole){db_id(&rows, i, 0), db_bool(&rows, i, 1)};
	return STATUS_OK;
}

static bool views(
	const struct roster *r, const struct roster_channel *c, uint64_t user, const struct roster_member *member)
{
	struct eval_facts facts = roster_facts(r, user, c->team, c, member);
	return eval_rights(&facts, EVAL_ASK_NOTHING).status == STATUS_OK;
}

static void fill_people_and_channels(const struct roster *r, const struct roster_channel *c, uint64_t actor,
	const pb_JudgeMentionsRequest *rq, struct arena *mem, pb_JudgeMentionsReply *out)
{
	out->users = ARENA_ARRAY(mem, rq->user_ids_count, pb_MentionableUser);
	for (size_t i = 0; i < rq->user_ids_count; i++) {
		const struct roster_member *member = roster_member(r, c->stream.id, rq->user_ids[i]);
		/* Members are called, not everybody who may read a public channel. */
		if ((c->team != NULL && (member == NULL || !member->standing.member)) ||
			!views(r, c, rq->user_ids[i], member))
			continue;
		out->users[out->users_count++] = (pb_MentionableUser){
			.user_id = rq->user_ids[i], .member_epoch = member != NULL ? member->epoch : 0};
	}
	out->channel_ids = ARENA_ARRAY(mem, rq->channel_ids_count, uint64_t);
	for (size_t i = 0; i < rq->channel_ids_count; i++) {
		const struct roster_channel *other = roster_channel(r, rq->channel_ids[i]);
		if (other != NULL && other->team != NULL && other->team == c->team &&
			views(r, other, actor, roster_member(r, other->stream.id, actor)))
			out->channel_ids[out->channel_ids_count++] = other->eval.id;
	}
}

static enum status judge_mentions(struct db_conn *conn, struct rpc_call *call, const pb_JudgeMentionsRequest *rq,
	pb_JudgeMentionsReply *out)
{
	struct arena *mem = call->mem;
	uint64_t *users = ARENA_ARRAY(mem, (size_t)rq->user_ids_count + 1, uint64_t);
	uint64_t *channels = ARENA_ARRAY(mem, (size_t)rq->channel_ids_count + 1, uint64_t);
	struct roster r;

	for (size_t i = 0; i < rq->user_ids_count; i++)
		users[i] = rq->user_ids[i];
	users[rq->user_ids_count] = call->header->actor_id;
	for (size_t i = 0; i < rq->channel_ids_count; i++)
		channels[i] = rq->channel_ids[i];
	channels[rq->channel_ids_count] = rq->channel_id;
	struct roster_query query = {.user_ids = users,
		.user_count = (size_t)rq->user_ids_count + 1,
		.channels = ROSTER_LISTED,
		.channel_ids = channels,
		.channel_count = (size_t)rq->channel_ids_count + 1,
		.now_ms = clock_wall_ms()};
	enum status st = roster_load(conn, mem, &query, &r);
	if (st != STATUS_OK)
		return st;
	const struct roster_channel *c = roster_channel(&r, rq->channel_id);
	if (c == NULL || c->eval.deleted || (c->view.team_id != 0 && c->team == NULL))
		return STATUS_NOT_FOUND;
	*out = (pb_JudgeMentionsReply){.rank = c->stream.rank,
		.stream_id = c->stream.id,
		.stream_epoch = c->team != NULL ? c->team->stream_epoch : c->stream_epoch,
		.generation = r.generation,
		.has_channel = true,
		.channel = c->view};
	fill_people_and_channels(&r, c, call->header->actor_id, rq, mem, out);
	return fill_roles(conn, mem, rq, c->view.team_id, out);
}

void serve_judge_mentions(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_JudgeMentionsRequest *rq = request;
	struct db_conn *conn = NULL;

	if (rq->user_ids_count > MENTIONS_MAX || rq->role_ids_count > MENTIONS_MAX ||
		rq->channel_ids_count > MENTIONS_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "mentions", NULL);
		return;
	}
	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	read_end(call, conn, judge_mentions(conn, call, rq, reply));
}
