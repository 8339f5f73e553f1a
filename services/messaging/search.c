#include "services/messaging/search.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/ids.h"
#include "services/messaging/guard.h"
#include "services/messaging/homes.h"
#include "services/messaging/lists.h"
#include "services/messaging/search_query.h"
#include "services/messaging/views.h"
#include "services/messaging/visible.h"

#define ID_TIME_BITS 22 /* below the milliseconds in an S id: node and counter */

/* ---- channels that are named: the first that may not be searched is what is answered */

struct search {
	const pb_SearchMessagesRequest *rq;
	pb_SearchMessagesReply *reply;
	const struct service *service;
	uint64_t *named; /* ascending, each once */
	size_t named_count;
	bool read; /* there was a channel to read at all */
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void name_channels(struct arena *mem, struct search *s)
{
	const pb_SearchMessagesRequest *rq = s->rq;

	s->named = arena_memdup(mem, rq->channel_ids, rq->channel_ids_count * sizeof *s->named);
	qsort(s->named, rq->channel_ids_count, sizeof *s->named, by_number);
	for (pb_size_t i = 0; i < rq->channel_ids_count; i++)
		if (s->named_count == 0 || s->named[s->named_count - 1] != s->named[i])
			s->named[s->named_count++] = s->named[i];
}

static enum status named_channels(struct db_conn *conn, struct rpc_call *call, void *arg, uint64_t **out_channels,
	size_t *out_count, struct refusal *out_no)
{
	const struct search *s = arg;

	*out_channels = s->named;
	*out_count = s->named_count;
	return STATUS_OK;
}

/* Both are in order. */
static enum status named_allowed(const struct search *s, const struct visible *v, struct refusal *out_no)
{
	if (v->count != s->named_count)
		return STATUS_NOT_FOUND;
	for (size_t i = 0; i < v->count; i++) {
		if (s->rq->team_id != 0 && v->rights[i].team_id != s->rq->team_id)
			return STATUS_NOT_FOUND;
		enum status st = rights_need(&v->rights[i], PERMISSION_read_history, &out_no->why);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

/* ---- bounds */

/* The least id of that moment; 0 before the first there can be. */
static uint64_t id_at(uint64_t wall_ms)
{
	int64_t since = (int64_t)wall_ms - IDS_EPOCH_WALL_MS;

	return since <= 0 ? 0 : (uint64_t)since << ID_TIME_BITS;
}

static void bounds(const pb_SearchMessagesRequest *rq, struct search_query *q)
{
	uint64_t from = id_at(rq->after_ms), to = id_at(rq->before_ms);

	q->after = rq->after;
	if (from > 0 && q->after < from - 1)
		q->after = from - 1;
	q->before = rq->before;
	if (rq->before_ms != 0 && to == 0) /* before anything was written */
		to = 1;
	if (to != 0 && (q->before == 0 || q->before > to))
		q->before = to;
}

static const char *wrong_field(const pb_SearchMessagesRequest *rq)
{
	if (rq->text != NULL && !text_fits(rq->text, 0, SEARCH_TEXT_MAX))
		return "text";
	if (rq->channel_ids_count > SEARCH_CHANNELS_MAX)
		return "channel_ids";
	if (rq->author_ids_count > SEARCH_AUTHORS_MAX)
		return "author_ids";
	if (rq->kinds_count > MESSAGE_SYSTEM)
		return "kinds";
	for (pb_size_t i = 0; i < rq->kinds_count; i++)
		if (rq->kinds[i] < MESSAGE_TEXT || rq->kinds[i] > MESSAGE_SYSTEM)
			return "kinds";
	if (rq->after_ms > INT64_MAX || rq->before_ms > INT64_MAX)
		return rq->after_ms > INT64_MAX ? "after_ms" : "before_ms";
	return NULL;
}

/* ---- the answer */

static enum status fill(struct db_conn *conn, struct rpc_call *call, struct visible *v, const struct homes *homes,
	const struct search *s)
{
	static const uint32_t usual_kinds[] = {MESSAGE_TEXT, MESSAGE_ME};
	const pb_SearchMessagesRequest *rq = s->rq;
	struct search_answer answer;
	struct search_query q = {.config = s->service->config->search_config,
		.text = rq->text,
		.channels = v->channel_ids,
		.channel_count = v->count,
		.streams = homes->streams,
		.stream_count = homes->count,
		.authors = rq->author_ids,
		.author_count = rq->author_ids_count,
		.kinds = rq->kinds_count > 0 ? rq->kinds : usual_kinds,
		.kind_count = rq->kinds_count > 0 ? rq->kinds_count : sizeof usual_kinds / sizeof *usual_kinds,
		.pinned = rq->pinned,
		.replied = rq->replied,
		.reader = call->header->actor_id,
		.bookmarked = rq->bookmarked,
		.limit = rq->limit == 0 ? LIST_DEFAULT : rq->limit > LIST_MOST ? LIST_MOST : rq->limit,
		.newest_first = rq->newest_first,
		.from = rq->has_from ? &rq->from : NULL};
	size_t count = 0;

	bounds(rq, &q);
	enum status st = search_run(conn, call->mem, &q, &answer);
	if (st != STATUS_OK)
		return st;
	*s->reply = (pb_SearchMessagesReply){
		.total = answer.total, .capped = answer.capped, .partial = answer.partial, .has_next = answer.more};
	if (answer.more) {
		const struct search_hit *last = &answer.hits[answer.count - 1];
		s->reply->next = (pb_SearchCursor){last->rank, last->message_id, answer.total, answer.capped};
	}
	st = search_show(conn, call->mem, &q, &answer, &s->reply->found, &count);
	s->reply->found_count = (pb_size_t)count;
	return st;
}

static enum status search_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	struct search *s = arg;
	struct homes homes;

	s->read = true;
	if (s->named_count > 0) {
		enum status allowed = named_allowed(s, v, out_no);
		if (allowed != STATUS_OK)
			return allowed;
	}
	visible_keep(v, PERMISSION_read_history);
	homes_find(call->mem, v, &homes);
	enum status st = db_begin_snapshot(conn);
	if (st == STATUS_OK)
		st = homes_compare(conn, call, v, &homes, out_no);
	if (st == STATUS_OK)
		st = fill(conn, call, v, &homes, s);
	db_rollback(conn);
	return st;
}

void search_messages(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct search search = {.rq = request, .reply = reply, .service = s};
	struct refusal no = {.field = wrong_field(search.rq)};
	enum status st = STATUS_FIELD_INVALID;

	if (no.field == NULL && search.rq->channel_ids_count > 0) {
		name_channels(call->mem, &search);
		st = visible_read_listed(s, call, s->reads, named_channels, search_read, &search, &no);
		if (st == STATUS_OK && !search.read) /* none is for the actor to know of */
			st = STATUS_NOT_FOUND;
	} else if (no.field == NULL) {
		st = visible_read(s, call, s->reads, search.rq->team_id, search_read, &search, &no);
	}
	guard_answer(call, st, &no);
}
