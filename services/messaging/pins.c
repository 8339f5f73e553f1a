#include "services/messaging/pins.h"

#include "services/messaging/guard.h"
#include "services/messaging/lists.h"
#include "services/messaging/messages.h"
#include "services/messaging/views.h"

/* ---- pinning */

struct pinning {
	struct change change;
	const pb_MessageRequest *rq;
	bool on;
	/* -- under the lock */
	uint64_t pins, changes; /* of the channel; of the message, so far */
	pb_MessageView message;
};

static enum status pinning_allowed(struct change *c)
{
	return rights_need(&c->rights, PERMISSION_pin_messages, &c->no.why);
}

static const struct db_stmt look_stmt = {
	"messaging_pin_look",
	"SELECT (SELECT count(*) FROM messaging.pins q WHERE q.channel_id = $2), "
	"cardinality(m.pin_seqs), " MESSAGE_COLUMNS ", " MESSAGE_MARKS_OF_EVENT ", " MESSAGE_BOOKMARKERS " FROM messaging.messages m LEFT JOIN messaging.people p ON p.id = m.author_id"
		     " WHERE m.id = $1 AND m.channel_id = $2 AND m.deleted_at_ms IS NULL",
};
static const struct db_stmt pin_stmt = {
	"messaging_pin",
	"WITH pin AS (INSERT INTO messaging.pins (channel_id, message_id, at_ms) VALUES ($2, $1, $3))"
	" UPDATE messaging.messages SET pinned_at_ms = $3, pinned_by = $4, pin_seqs = pin_seqs || $5::int8 "
	"WHERE id = $1",
};
static const struct db_stmt unpin_stmt = {
	"messaging_unpin",
	"WITH pin AS (DELETE FROM messaging.pins WHERE channel_id = $2 AND message_id = $1)"
	" UPDATE messaging.messages SET pinned_at_ms = NULL, pinned_by = NULL, pin_seqs = pin_seqs || "
	"$3::int8 WHERE id = $1",
};

static enum status pinning_look(struct log_tx *tx, struct pinning *p)
{
	const int marks = 2 + MESSAGE_COLUMN_COUNT;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, p->rq->message_id);
	db_put_id(&params, p->rq->channel_id);
	enum status st = log_tx_query(tx, &look_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	p->pins = db_id(&rows, 0, 0);
	p->changes = db_id(&rows, 0, 1);
	message_from_row(log_tx_mem(tx), &rows, 0, 2, &p->message);
	message_marks_from_row(log_tx_mem(tx), &rows, 0, marks, &p->message);
	message_bookmarkers_from_row(log_tx_mem(tx), &rows, 0, marks + MESSAGE_MARKS_COUNT, &p->message);
	return STATUS_OK;
}

/* seq: of the event, which has the content and goes with it. */
static enum status pinning_write(struct log_tx *tx, const struct pinning *p, uint64_t seq)
{
	struct db_params params;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, p->rq->message_id);
	db_put_id(&params, p->rq->channel_id);
	if (p->on) {
		db_put_id(&params, p->message.pinned_at_ms);
		db_put_id_or_null(&params, p->message.pinned_by);
	}
	db_put_id(&params, seq);
	return log_tx_query(tx, p->on ? &pin_stmt : &unpin_stmt, &params, NULL);
}

static enum status pinning_work(struct log_tx *tx, void *arg)
{
	struct pinning *p = arg;
	struct change *c = &p->change;
	uint64_t seq = 0;
	pb_Event event;

	enum status st = pinning_look(tx, p);
	if (st != STATUS_OK || (p->message.pinned_at_ms != 0) == p->on)
		return st;
	if (p->on && p->pins >= PINS_PER_CHANNEL)
		return guard_refuse(tx, STATUS_AT_LIMIT, "pins", NULL);
	if (p->on && p->changes >= PIN_CHANGES_MAX)
		return guard_refuse(tx, STATUS_AT_LIMIT, "pin_changes", NULL);
	p->message.pinned_at_ms = p->on ? (uint64_t)log_tx_now_ms(tx) : 0;
	p->message.pinned_by = p->on ? c->call->header->actor_id : 0;
	guard_event(c, p->on ? EVENT_KIND_message_pinned : EVENT_KIND_message_unpinned, &event);
	event.body.message_pinned =
		(pb_MessagePinned){.has_channel = true, .has_message = true, .message = p->message};
	rights_channel_ref(&c->rights, &event.body.message_pinned.channel);
	st = log_tx_append(tx, c->rights.stream, c->rights.audience, &event, &seq);
	return st == STATUS_OK ? pinning_write(tx, p, seq) : st;
}

static void pin(void *service, struct rpc_call *call, pb_MessageRequest *rq, void *reply, bool on)
{
	struct pinning p = {.rq = rq, .on = on};
	bool replayed = false;

	if (!message_settle(service, call, rq->message_id, &rq->channel_id))
		return;

	p.change = (struct change){.channel_id = rq->channel_id,
		.keeps_rights = true,
		.allowed = pinning_allowed,
		.work = pinning_work,
		.call = call};
	enum status st = guard_change(service, &p.change, reply, &replayed);
	guard_answer_change(call, st, &p.change.no, replayed);
}

void pin_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pin(service, call, (pb_MessageRequest *)request, reply, true);
}

void unpin_message(void *service, struct rpc_call *call, const void *request, void *reply)
{
	pin(service, call, (pb_MessageRequest *)request, reply, false);
}

/* ---- list: a channel's pins are few, all are sorted. $4 channel, $5 limit, $6 before, $7 after */

/* clang-format off */
#define PIN_OF(parameter)                                                                                            \
	"(SELECT q.at_ms FROM messaging.pins q WHERE q.channel_id = $4 AND q.message_id = " parameter ")"
#define PINS_SQL(order)                                                                                              \
	"WITH e AS MATERIALIZED (SELECT e.*, " PIN_OF("$6") " AS before_ms, " PIN_OF("$7") " AS after_ms"            \
	" FROM (" EPOCHS_SQL ") e)"                                                                                  \
	" SELECT " EPOCHS_COLUMNS ", e.before_ms, e.after_ms, " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$3")             \
	" FROM e LEFT JOIN LATERAL (SELECT x.*, q.at_ms AS pin_ms FROM messaging.pins q, LATERAL ("                  \
	"  SELECT y.* FROM messaging.messages y WHERE y.id = q.message_id OFFSET 0) x"                               \
	"  WHERE q.channel_id = $4 AND x.deleted_at_ms IS NULL"                                                      \
	"  AND ($6 = 0 OR (q.at_ms, q.message_id) < (e.before_ms, $6))"                                              \
	"  AND ($7 = 0 OR (q.at_ms, q.message_id) > (e.after_ms, $7))"                                               \
	"  ORDER BY q.at_ms " order ", q.message_id " order " LIMIT $5) m ON true"                                   \
	" LEFT JOIN messaging.people p ON p.id = m.author_id ORDER BY m.pin_ms " order ", m.id " order
#define PINS_COLUMNS (EPOCHS_COUNT + 2)
/* clang-format on */
static const struct db_stmt pins_stmts[2] = {
	{"messaging_pins_down", PINS_SQL("DESC")},
	{"messaging_pins_up", PINS_SQL("ASC")},
};

struct pin_list {
	const pb_ListPinsRequest *rq;
	pb_ListMessagesReply *reply;
};

static enum status pins_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const struct pin_list *list = arg;
	const pb_ListPinsRequest *rq = list->rq;
	uint32_t limit = list_limit(rq->limit, LIST_MOST);
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, rq->channel_id);
	db_put_i64(&params, (int64_t)limit + 1);
	db_put_id(&params, rq->before);
	db_put_id(&params, rq->after);
	enum status st = db_query(conn, call->mem, &pins_stmts[rq->after != 0], &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (rq->before != 0 && db_is_null(&rows, 0, EPOCHS_COUNT))
		out_no->field = "before";
	if (rq->after != 0 && db_is_null(&rows, 0, EPOCHS_COUNT + 1))
		out_no->field = "after";
	if (out_no->field != NULL)
		return STATUS_FIELD_INVALID;
	list_take(call->mem, &rows, PINS_COLUMNS, limit, list->reply);
	return STATUS_OK;
}

void list_pins(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct pin_list list = {request, reply};
	struct refusal no;

	enum status st = guard_read(
		s, call, s->reads, list.rq->channel_id, PERMISSION_read_history, pins_read, &list, &no);
	guard_answer(call, st, &no);
}
