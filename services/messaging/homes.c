#include "services/messaging/homes.h"

#include <stdlib.h>

static const struct db_stmt epochs_stmt = {
	"messaging_search_epochs",
	"SELECT coalesce(s.authz_epoch, 0), coalesce(em.epoch, 0), coalesce(eu.authz_epoch, 0)"
	" FROM unnest($2::int2[], $3::int8[]) WITH ORDINALITY AS q(rank, id, n)"
	" LEFT JOIN LATERAL (SELECT s.authz_epoch FROM log.streams s WHERE s.rank = q.rank AND s.id = q.id OFFSET 0) s ON true"
	" LEFT JOIN LATERAL (SELECT em.epoch FROM moderation.member_epochs em WHERE em.rank = q.rank AND em.stream_id = q.id"
	"  AND em.user_id = $1 OFFSET 0) em ON true"
	" LEFT JOIN LATERAL (SELECT eu.authz_epoch FROM log.streams eu WHERE eu.rank = 2 AND eu.id = $1 OFFSET 0) eu ON true"
	" ORDER BY q.n",
};

static int by_stream(const void *a, const void *b)
{
	return stream_compare(*(const struct stream *)a, *(const struct stream *)b);
}

void homes_find(struct arena *mem, const struct visible *v, struct homes *out)
{
	struct stream *all = ARENA_ARRAY(mem, v->count, struct stream);

	*out = (struct homes){.streams = all, .of = ARENA_ARRAY(mem, v->count, size_t)};
	for (size_t i = 0; i < v->count; i++)
		all[i] = v->rights[i].stream;
	qsort(all, v->count, sizeof *all, by_stream);
	for (size_t i = 0; i < v->count; i++)
		if (out->count == 0 || stream_compare(all[out->count - 1], all[i]) != 0)
			all[out->count++] = all[i];
	for (size_t i = 0; i < v->count; i++) {
		struct stream *at = bsearch(&v->rights[i].stream, all, out->count, sizeof *all, by_stream);
		out->of[i] = (size_t)(at - all);
	}
}

enum status homes_compare(struct db_conn *conn, struct rpc_call *call, const struct visible *v,
	const struct homes *homes, struct refusal *out_no)
{
	int16_t *ranks = ARENA_ARRAY(call->mem, homes->count, int16_t);
	uint64_t *ids = ARENA_ARRAY(call->mem, homes->count, uint64_t);
	struct db_params p;
	struct db_rows rows = {0};

	for (size_t i = 0; i < homes->count; i++) {
		ranks[i] = (int16_t)homes->streams[i].rank;
		ids[i] = homes->streams[i].id;
	}
	db_params_begin(&p, call->mem);
	db_put_id(&p, call->header->actor_id);
	db_put_i16s(&p, ranks, homes->count);
	db_put_ids(&p, ids, homes->count);
	enum status st = db_query(conn, call->mem, &epochs_stmt, &p, &rows);
	for (size_t i = 0; i < v->count && st == STATUS_OK; i++) {
		struct epochs found = guard_epochs(&rows, (int)homes->of[i]);
		found.generation = v->generation;
		st = guard_compare(&v->rights[i], call, &found, out_no);
	}
	return st;
}
