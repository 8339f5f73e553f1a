#include "services/messaging/touch.h"

#include "services/messaging/views.h"

enum status touch_allowed(struct change *c)
{
	const struct touch *t = (const struct touch *)c;

	if (bits_has(c->rights.bits, t->any))
		return STATUS_OK;
	return rights_need(&c->rights, t->own, &c->no.why);
}

static const struct db_stmt touch_stmt = {
	"messaging_message_row",
	"SELECT m.event_seqs || m.pin_seqs, cardinality(m.event_seqs), " MESSAGE_COLUMNS ", " MESSAGE_MARKS("$3") ", "
	MESSAGE_BOOKMARKERS " FROM messaging.messages m LEFT JOIN messaging.people p ON p.id = m.author_id"
	" WHERE m.id = $1 AND m.channel_id = $2 AND m.deleted_at_ms IS NULL",
};

enum status touch_load(struct log_tx *tx, struct touch *t)
{
	struct change *c = &t->change;
	struct db_params params;
	struct db_rows rows = {0};
	int64_t *later = NULL;
	const int marks = 2 + MESSAGE_COLUMN_COUNT;

	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, t->message_id);
	db_put_id(&params, t->channel_id);
	db_put_id(&params, c->call->header->actor_id);
	enum status st = log_tx_query(tx, &touch_stmt, &params, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	size_t count = db_i64s(&rows, 0, 0, log_tx_mem(tx), &later);
	t->edits = db_id(&rows, 0, 1);
	message_from_row(c->call->mem, &rows, 0, 2, &t->message);
	message_marks_from_row(c->call->mem, &rows, 0, marks, &t->message);
	message_bookmarkers_from_row(c->call->mem, &rows, 0, marks + MESSAGE_MARKS_COUNT, &t->message);
	t->seqs = ARENA_ARRAY(log_tx_mem(tx), count + 1, uint64_t);
	t->seqs[0] = t->message.seq;
	for (size_t i = 0; i < count; i++)
		t->seqs[i + 1] = (uint64_t)later[i];
	t->seq_count = count + 1;

	bool own = t->message.has_author && t->message.author.id == c->call->header->actor_id;
	if (own && bits_has(c->rights.bits, t->own))
		return STATUS_OK;
	const char *why = NULL;
	st = rights_need(&c->rights, t->any, &why);
	return st == STATUS_OK ? STATUS_OK : guard_refuse(tx, st, why, NULL);
}
