#include "services/messaging/lists.h"

#include <string.h>

#include "services/messaging/conversations.h"
#include "services/messaging/guard.h"
#include "services/messaging/views.h"
#include "services/messaging/visible.h"

uint32_t list_limit(uint32_t asked, uint32_t most)
{
	return asked == 0 ? LIST_DEFAULT : asked > most ? most : asked;
}

void list_take(struct arena *mem, const struct db_rows *rows, int first, uint32_t limit, pb_ListMessagesReply *out)
{
	*out = (pb_ListMessagesReply){.messages = ARENA_ARRAY(mem, (size_t)rows->count, pb_MessageView)};
	for (int i = 0; i < rows->count && !db_is_null(rows, i, first); i++) {
		if (out->messages_count == limit) {
			out->more = true;
			return;
		}
		pb_MessageView *view = &out->messages[out->messages_count++];
		message_from_row(mem, rows, i, first, view);
		message_marks_from_row(mem, rows, i, first + MESSAGE_COLUMN_COUNT, view);
	}
}

/* ---- messages. $4 channel, $5 limit, $6 before, $7 after; 0: none. $8 lines of the system too. Beside the page every row has what the
 * cursors are. */

/* clang-format off */
#define SEQ_OF(parameter)                                                                                            \
	"(SELECT x.seq FROM messaging.messages x WHERE x.id = " parameter " AND x.channel_id = $4)"
/* with: further columns of e; page: what picks the messages; order: of the page. */
#define PAGE_SQL(with, page, order)                                                                                  \
	"WITH e AS MATERIALIZED (SELECT e.*, coalesce(" SEQ_OF("$6") ", 0) AS before_seq, coalesce(" SEQ_OF("$7")    \
	", 0) AS after_seq" with " FROM (" EPOCHS_SQL ") e)"                                                         \
	" SELECT " EPOCHS_COLUMNS ", e.before_seq, e.after_seq, e.root_id, " MESSAGE_COLUMNS ", "                    \
	MESSAGE_MARKS("$3")                                                                                          \
	" FROM e LEFT JOIN LATERAL (SELECT m.* FROM messaging.messages m WHERE " page " AND m.deleted_at_ms IS NULL" \
	"  AND ($8 OR m.kind <> 3) AND m.seq > e.after_seq AND m.seq < coalesce(nullif(e.before_seq, 0), 9223372036854775807)"               \
	"  ORDER BY m.seq " order " LIMIT $5) m ON true"                                                             \
	" LEFT JOIN messaging.people p ON p.id = m.author_id ORDER BY m.seq " order
#define PAGE_COLUMNS (EPOCHS_COUNT + 3)

#define NO_ROOT ", 0::int8 AS root_id"
#define ROOT                                                                                                         \
	", (SELECT coalesce(x.root_id, x.id) FROM messaging.messages x WHERE x.id = $9 AND x.channel_id = $4"        \
	" AND x.deleted_at_ms IS NULL) AS root_id"
#define IN_CHANNEL "m.channel_id = $4"
#define IN_CHAIN   "m.root_id = e.root_id AND (e.root_id = $9 OR m.parent_id = $9)"
/* clang-format on */

/* [replies][oldest first] */
static const struct db_stmt page_stmts[2][2] = {
	{{"messaging_page_down", PAGE_SQL(NO_ROOT, IN_CHANNEL, "DESC")},
		{"messaging_page_up", PAGE_SQL(NO_ROOT, IN_CHANNEL, "ASC")}},
	{{"messaging_replies_down", PAGE_SQL(ROOT, IN_CHAIN, "DESC")},
		{"messaging_replies_up", PAGE_SQL(ROOT, IN_CHAIN, "ASC")}},
};

struct page {
	const pb_ListMessagesRequest *rq;
	pb_ListMessagesReply *reply;
	bool replies;
};

static enum status page_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const struct page *page = arg;
	const pb_ListMessagesRequest *rq = page->rq;
	uint32_t limit = list_limit(rq->limit, LIST_MOST);
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, rq->channel_id);
	db_put_i64(&params, (int64_t)limit + 1);
	db_put_id(&params, rq->before);
	db_put_id(&params, rq->after);
	db_put_bool(&params, rq->system);
	if (page->replies)
		db_put_id(&params, rq->parent_id);
	enum status st =
		db_query(conn, call->mem, &page_stmts[page->replies][rq->after != 0], &params, &rows);
	if (st != STATUS_OK ||
		rows.count == 0) /* no row: this server does not know the stream yet; judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (page->replies && db_is_null(&rows, 0, EPOCHS_COUNT + 2))
		return STATUS_NOT_FOUND;
	if (rq->before != 0 && db_id(&rows, 0, EPOCHS_COUNT) == 0)
		out_no->field = "before";
	if (rq->after != 0 && db_id(&rows, 0, EPOCHS_COUNT + 1) == 0)
		out_no->field = "after";
	if (out_no->field != NULL)
		return STATUS_FIELD_INVALID;
	list_take(call->mem, &rows, PAGE_COLUMNS, limit, page->reply);
	return STATUS_OK;
}

static void page_answer(struct service *s, struct rpc_call *call, struct page *page)
{
	struct refusal no;

	enum status st = guard_read(
		s, call, s->reads, page->rq->channel_id, PERMISSION_read_history, page_read, page, &no);
	guard_answer(call, st, &no);
}

void list_messages(void *service, struct rpc_call *call, const void *request, void *reply)
{
	page_answer(service, call, &(struct page){request, reply, false});
}

void list_replies(void *service, struct rpc_call *call, const void *request, void *reply)
{
	page_answer(service, call, &(struct page){request, reply, true});
}

/* ---- channels */

/* clang-format off */
#define CHANNELS_SQL(order)                                                                                          \
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", " CHANNEL_COLUMNS " FROM messaging.channels c " VISIBLE_EPOCHS_JOINS    \
	" WHERE c.id = ANY ($2::int8[]) AND c.deleted_at_ms IS NULL AND ($3 OR c.archived_at_ms IS NULL)"           \
	" AND ($4 = 0 OR c.id < $4) AND c.id > $5 AND strpos(lower(c.name), lower($7)) > 0"                         \
	" ORDER BY c.id " order " LIMIT $6"
/* clang-format on */
static const struct db_stmt channels_stmts[2] = {
	{"messaging_channels_up", CHANNELS_SQL("ASC")},
	{"messaging_channels_down", CHANNELS_SQL("DESC")},
};

struct channel_list {
	const pb_ListChannelsRequest *rq;
	pb_ListChannelsReply *reply;
};

static enum status channels_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	const struct channel_list *list = arg;
	const pb_ListChannelsRequest *rq = list->rq;
	uint32_t limit = list_limit(rq->limit, CHANNELS_MOST);
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	db_put_bool(&params, rq->archived);
	db_put_id(&params, rq->before);
	db_put_id(&params, rq->after);
	db_put_i64(&params, (int64_t)limit + 1);
	db_put_text(&params, rq->query != NULL ? rq->query : "");
	enum status st =
		db_query(conn, call->mem, &channels_stmts[rq->before != 0 && rq->after == 0], &params, &rows);
	if (st != STATUS_OK)
		return st;
	*list->reply = (pb_ListChannelsReply){
		.channels = ARENA_ARRAY(call->mem, (size_t)rows.count, pb_ChannelView)};
	for (int i = 0; i < rows.count; i++) {
		if (list->reply->channels_count == limit) {
			list->reply->more = true;
			break;
		}
		pb_ChannelView *view = &list->reply->channels[list->reply->channels_count++];
		channel_from_row(call->mem, &rows, i, VISIBLE_EPOCHS_COUNT, view);
		st = visible_compare(v, call, &rows, i, view->id, out_no);
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_OK;
}

void list_channels(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct channel_list list = {request, reply};
	struct refusal no = {0};
	enum status st = STATUS_OK;

	if (list.rq->query != NULL && !text_fits(list.rq->query, 0, CHANNEL_NAME_MAX)) {
		no.field = "query";
		st = STATUS_FIELD_INVALID;
	}
	if (st == STATUS_OK)
		st = visible_read(s, call, s->reads, list.rq->team_id, channels_read, &list, &no);
	if (st == STATUS_OK)
		st = conversations_fill(s, call, list.reply->channels, list.reply->channels_count);
	guard_answer(call, st, &no);
}
