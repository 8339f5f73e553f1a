#include "services/api/dialects/house/house.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/config.h"
#include "common/dialects/house/snippet.h"
#include "common/events/kinds.h"

#define QUERY_MOST    256
#define CHANNELS_MOST 50
#define AUTHORS_MOST  20
#define ID_LENGTH     36

/* ---- decoding */

static enum status wrong(struct exchange *x, const char *name, const char *detail)
{
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, name, detail);
}

/* Ids apart by commas; NULL when absent. */
static enum status ids_of(struct exchange *x, const char *name, size_t most, pb_size_t *out_count, uint64_t **out)
{
	const char *value = NULL;
	size_t count = 0;
	enum status st = house_query(x, name, most * (ID_LENGTH + 2), &value);

	*out_count = 0;
	*out = NULL;
	if (st != STATUS_OK || value == NULL)
		return st;
	const char **items = config_list(x->mem, value, &count);
	if (count == 0 || count > most)
		return wrong(x, name, count == 0 ? "must be ids apart by commas" : "has too many ids");
	*out = ARENA_ARRAY(x->mem, count, uint64_t);
	for (size_t i = 0; i < count; i++)
		if (ids_from_uuid(items[i], strlen(items[i]), &(*out)[i]) != STATUS_OK)
			return wrong(x, name, "must be ids apart by commas");
	*out_count = (pb_size_t)count;
	return STATUS_OK;
}

static enum status kinds_of(struct exchange *x, pb_SearchMessagesRequest *rq)
{
	const char *value = NULL;
	size_t count = 0;
	enum status st = house_query(x, "kind", 64, &value);

	if (st != STATUS_OK || value == NULL)
		return st;
	const char **items = config_list(x->mem, value, &count);
	if (count == 0 || count > MESSAGE_SYSTEM)
		return wrong(x, "kind", "must be text, me or system, apart by commas");
	rq->kinds = ARENA_ARRAY(x->mem, count, uint32_t);
	for (size_t i = 0; i < count; i++)
		if (!message_kind_from_word(items[i], &rq->kinds[i]))
			return wrong(x, "kind", "must be text, me or system, apart by commas");
	rq->kinds_count = (pb_size_t)count;
	return STATUS_OK;
}

/* A message's id or a time. */
static enum status edge_of(struct exchange *x, const char *name, uint64_t *out_id, uint64_t *out_ms)
{
	const char *value = NULL;
	int64_t wall_ms = 0;
	enum status st = house_query(x, name, 64, &value);

	if (st != STATUS_OK || value == NULL || ids_from_uuid(value, strlen(value), out_id) == STATUS_OK)
		return st;
	if (clock_parse_rfc3339(value, strlen(value), &wall_ms) != 0 || wall_ms <= 0)
		return wrong(x, name, "must be the id of a message or a time");
	*out_ms = (uint64_t)wall_ms;
	return STATUS_OK;
}

static enum status sort_of(struct exchange *x, pb_SearchMessagesRequest *rq)
{
	const char *value = NULL;
	enum status st = house_query(x, "sort", 8, &value);

	if (st != STATUS_OK || value == NULL)
		return st;
	if (strcmp(value, "rank") != 0 && strcmp(value, "new") != 0)
		return wrong(x, "sort", "must be rank or new");
	rq->newest_first = value[0] == 'n';
	return STATUS_OK;
}

/* "rank.id.total.capped" in hexadecimal; opaque to clients. */
static const char *cursor_text(struct exchange *x, const pb_SearchCursor *c)
{
	return arena_printf(x->mem, "%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%d", c->rank, c->message_id, c->total, c->capped);
}

static enum status cursor_of(struct exchange *x, pb_SearchMessagesRequest *rq)
{
	const char *value = NULL;
	uint64_t numbers[4] = {0};
	enum status st = house_query(x, "cursor", 80, &value);

	if (st != STATUS_OK || value == NULL)
		return st;
	for (size_t i = 0; i < 4; i++) {
		size_t digits = strspn(value, "0123456789abcdef");
		if (digits == 0 || digits > 16 || value[digits] != (i < 3 ? '.' : '\0'))
			return wrong(x, "cursor", "is not one of ours");
		numbers[i] = strtoull(value, NULL, 16);
		value += digits + (i < 3);
	}
	if (numbers[0] > INT64_MAX || numbers[1] == 0 || numbers[1] > INT64_MAX)
		return wrong(x, "cursor", "is not one of ours");
	rq->has_from = true;
	rq->from = (pb_SearchCursor){numbers[0], numbers[1], numbers[2], numbers[3] != 0};
	return STATUS_OK;
}

static enum status request_of(struct exchange *x, pb_SearchMessagesRequest *rq)
{
	const char *text = NULL;
	enum status st = house_query(x, "query", QUERY_MOST, &text);

	*rq = (pb_SearchMessagesRequest){.text = (char *)text};
	if (st == STATUS_OK)
		st = ids_of(x, "channel", CHANNELS_MOST, &rq->channel_ids_count, &rq->channel_ids);
	if (st == STATUS_OK)
		st = ids_of(x, "author", AUTHORS_MOST, &rq->author_ids_count, &rq->author_ids);
	if (st == STATUS_OK)
		st = house_query_id(x, "team", &rq->team_id);
	if (st == STATUS_OK)
		st = kinds_of(x, rq);
	if (st == STATUS_OK)
		st = house_query_flag(x, "pinned", &rq->pinned);
	if (st == STATUS_OK)
		st = house_query_flag(x, "bookmarked", &rq->bookmarked);
	if (st == STATUS_OK)
		st = house_query_flag(x, "has_replies", &rq->replied);
	if (st == STATUS_OK)
		st = edge_of(x, "after", &rq->after, &rq->after_ms);
	if (st == STATUS_OK)
		st = edge_of(x, "before", &rq->before, &rq->before_ms);
	if (st == STATUS_OK)
		st = sort_of(x, rq);
	if (st == STATUS_OK)
		st = house_limit(x, &rq->limit);
	return st == STATUS_OK ? cursor_of(x, rq) : st;
}

/* ---- rendering */

static void write_found(struct json_writer *w, const pb_FoundMessage *found)
{
	jw_object(w);
	jw_key(w, "message");
	house_message(w, &found->message, 0);
	jw_kv(w, str, "snippet", house_snippet(w->mem, found));
	jw_kv(w, f64, "rank", (double)found->rank / 1e6);
	jw_object_end(w);
}

enum status house_search_messages(struct exchange *x)
{
	pb_SearchMessagesRequest rq;
	pb_SearchMessagesReply reply;
	struct json_writer w;
	enum status st = request_of(x, &rq);

	if (st == STATUS_OK)
		st = ASK(x, messaging, search_messages, rq.team_id, &rq, &reply);
	if (st != STATUS_OK)
		return st;
	house_begin(x, &w);
	jw_object(&w);
	jw_key(&w, "items");
	jw_array(&w);
	for (size_t i = 0; i < reply.found_count; i++)
		write_found(&w, &reply.found[i]);
	jw_array_end(&w);
	jw_kv(&w, u64, "total", reply.total);
	jw_kv(&w, bool, "total_exact", !reply.capped);
	jw_kv(&w, bool, "complete", !reply.partial);
	jw_kv(&w, str, "next", reply.has_next ? house_same_with(x, "cursor", cursor_text(x, &reply.next)) : NULL);
	jw_object_end(&w);
	return house_finish(x, 200, &w);
}
