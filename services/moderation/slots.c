/*
 * slots - see slots.h.
 */
#include "services/moderation/slots.h"

#include "services/moderation/roster.h"

#define MEMBERS_LISTED 500

static const struct db_stmt members_stmt = {"moderation_slots_members",
	"SELECT w.id, m.user_id FROM unnest($1::bigint[]) w(id) CROSS JOIN LATERAL (SELECT m.user_id"
	"   FROM moderation.channel_members m WHERE m.channel_id = w.id AND m.left_at_ms IS NULL ORDER BY m.user_id LIMIT 500) m"
	" ORDER BY w.id, m.user_id"};

static enum status members_read(
	struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq, pb_ListAudiencesReply *out)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_ids(&p, rq->slots_of, rq->slots_of_count);
	enum status st = db_query(conn, mem, &members_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	for (int i = 0; i < rows.count; i++) {
		for (pb_size_t c = 0; c < out->slots_count; c++) {
			pb_ChannelSlots *slots = &out->slots[c];
			if (slots->channel_id != db_id(&rows, i, 0))
				continue;
			if (slots->member_ids == NULL)
				slots->member_ids = ARENA_ARRAY(mem, MEMBERS_LISTED, uint64_t);
			slots->member_ids[slots->member_ids_count++] = db_id(&rows, i, 1);
		}
	}
	return STATUS_OK;
}

static pb_SlotOf slot_of(const struct roster *r, const struct roster_channel *c, uint64_t user)
{
	struct eval_facts facts = roster_facts(r, user, c->team, c, roster_member(r, c->stream.id, user));
	struct eval_answer a = eval_rights(&facts, EVAL_ASK_NOTHING);

	return (pb_SlotOf){.user_id = user,
		.status = a.status,
		.has_bits = true,
		.bits = {a.bits.low, a.bits.high},
		.role = a.channel_role};
}

enum status slots_list(struct db_conn *conn, struct arena *mem, const pb_ListAudiencesRequest *rq, int64_t now_ms,
	pb_ListAudiencesReply *out)
{
	struct roster r = {0};
	struct roster_query query = {.user_ids = rq->user_ids,
		.user_count = rq->user_ids_count,
		.channels = ROSTER_LISTED,
		.channel_ids = rq->slots_of,
		.channel_count = rq->slots_of_count,
		.now_ms = now_ms};

	enum status st = roster_load(conn, mem, &query, &r);
	if (st != STATUS_OK)
		return st;
	out->slots = ARENA_ARRAY(mem, rq->slots_of_count, pb_ChannelSlots);
	for (size_t i = 0; i < r.channel_count; i++) {
		const struct roster_channel *c = &r.channels[i];
		bool asked = false;
		/* A thread brings its parent along. */
		for (pb_size_t k = 0; k < rq->slots_of_count && !asked; k++)
			asked = rq->slots_of[k] == c->eval.id;
		if (!asked || (c->view.team_id != 0 && c->team == NULL))
			continue;
		pb_ChannelSlots *slots = &out->slots[out->slots_count++];
		*slots = (pb_ChannelSlots){.channel_id = c->eval.id,
			.rank = c->stream.rank,
			.stream_id = c->stream.id,
			.as_of = c->team != NULL ? c->team->as_of : c->as_of,
			.has_channel = !c->eval.deleted,
			.channel = c->view};
		slots->users = ARENA_ARRAY(mem, rq->user_ids_count, pb_SlotOf);
		for (pb_size_t u = 0; u < rq->user_ids_count; u++)
			slots->users[slots->users_count++] = slot_of(&r, c, rq->user_ids[u]);
	}
	return out->slots_count > 0 ? members_read(conn, mem, rq, out) : STATUS_OK;
}
