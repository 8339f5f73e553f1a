/*
 * audit_read - the audit log as it is asked for: lists by filter, and the check of the whole chain.
 */
#include <string.h>

#include "common/base/clock.h"
#include "services/moderation/audit.h"

#define AUDIT_COLUMNS                                                                                        \
	"a.team_id, a.no, a.id, a.at_ms, a.actor_id, " PERSON_COLUMNS("p") ", a.action, a.target_kind,"     \
	" a.target_id, a.changes, a.why, a.cause_seq, a.prev_hash, a.hash"
#define AUDIT_FROM " FROM moderation.audit a LEFT JOIN moderation.people p ON p.id = a.actor_id"

static pb_bytes_array_t *bytes_of(const struct db_rows *rows, int row, int column, struct arena *mem)
{
	size_t length = 0;
	const uint8_t *bytes = db_bytea(rows, row, column, &length);

	return pb_bytes_from(mem, bytes, bytes == NULL || length > UINT16_MAX ? 0 : length);
}

static char *text_of(const struct db_rows *rows, int row, int column, struct arena *mem)
{
	return arena_strdup(mem, db_text(rows, row, column));
}

static void entry_from_row(const struct db_rows *rows, int row, struct arena *mem, pb_AuditView *out)
{
	int rest = 5 + PERSON_COLUMN_COUNT;

	*out = (pb_AuditView){.team_id = db_id(rows, row, 0),
		.no = db_id(rows, row, 1),
		.id = db_id(rows, row, 2),
		.at_ms = db_id(rows, row, 3),
		.actor_id = db_id(rows, row, 4),
		.action = text_of(rows, row, rest, mem),
		.target_kind = text_of(rows, row, rest + 1, mem),
		.target_id = db_id(rows, row, rest + 2),
		.changes = text_of(rows, row, rest + 3, mem),
		.why = text_of(rows, row, rest + 4, mem),
		.cause_seq = db_id(rows, row, rest + 5),
		.prev_hash = bytes_of(rows, row, rest + 6, mem),
		.hash = bytes_of(rows, row, rest + 7, mem)};
	out->has_actor = out->actor_id != 0;
	if (out->has_actor)
		person_from_row(rows, row, 5, mem, out->actor_id, &out->actor);
}

/* ---- list
 *
 * A statement for each filter that an index answers; what else was asked for is compared on the way. $1 team, $2 after
 * or before this number, $3 limit, $4 actor or 0, $5 action or '', $6 target or 0. */

enum { BY_NOTHING, BY_ACTOR, BY_TARGET, BY_ACTION, FILTERS };

#define LIST(name, filter, side, order)                                                                      \
	{                                                                                                    \
		"moderation_audit_" name, "SELECT " AUDIT_COLUMNS AUDIT_FROM                                 \
					  " WHERE a.team_id = $1 AND a.no " side " $2 AND " filter           \
					  " AND ($4 = 0 OR a.actor_id = $4) AND ($5 = '' OR a.action = $5)"  \
					  " AND ($6 = 0 OR a.target_id = $6) ORDER BY a.no " order " LIMIT $3" \
	}
#define BOTH(name, filter) {LIST(name "_down", filter, "<", "DESC"), LIST(name "_up", filter, ">", "ASC")}
static const struct db_stmt list_stmts[FILTERS][2] = {
	[BY_NOTHING] = BOTH("all", "true"),
	[BY_ACTOR] = BOTH("actor", "a.actor_id = $4"),
	[BY_TARGET] = BOTH("target", "a.target_id = $6"),
	[BY_ACTION] = BOTH("action", "a.action = $5"),
};

static const struct db_stmt no_stmt = {"moderation_audit_no",
	"SELECT no FROM moderation.audit WHERE team_id = $1 AND id = $2"};

/* The number of the entry that a page begins behind. NOT_FOUND when the team has no such entry. */
static enum status no_of(struct db_conn *conn, struct arena *mem, uint64_t team_id, uint64_t id, uint64_t *out_no)
{
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, team_id);
	db_put_id(&p, id);
	enum status st = db_query(conn, mem, &no_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	*out_no = db_id(&rows, 0, 0);
	return STATUS_OK;
}

static enum status list(struct db_conn *conn, struct arena *mem, const pb_ListAuditRequest *rq, uint32_t limit,
	uint64_t edge_no, pb_ListAuditReply *out)
{
	bool up = rq->after != 0;
	int filter = rq->target_id != 0 ? BY_TARGET : rq->actor_id != 0 ? BY_ACTOR : rq->action != NULL ? BY_ACTION : BY_NOTHING;
	struct db_params p;
	struct db_rows rows = {0};

	db_params_begin(&p, mem);
	db_put_id(&p, rq->team_id);
	db_put_i64(&p, edge_no == 0 && !up ? INT64_MAX : (int64_t)edge_no);
	db_put_i64(&p, limit + 1);
	db_put_id(&p, rq->actor_id);
	db_put_text(&p, rq->action != NULL ? rq->action : "");
	db_put_id(&p, rq->target_id);
	enum status st = db_query(conn, mem, &list_stmts[filter][up], &p, &rows);
	if (st != STATUS_OK)
		return st;
	size_t count = (size_t)rows.count < limit ? (size_t)rows.count : limit;
	out->more = (size_t)rows.count > limit;
	out->entries = ARENA_ARRAY(mem, count, pb_AuditView);
	out->entries_count = (pb_size_t)count;
	for (size_t i = 0; i < count; i++)
		entry_from_row(&rows, (int)i, mem, &out->entries[i]);
	return STATUS_OK;
}

void serve_list_audit(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ListAuditRequest *rq = request;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	uint32_t limit;
	uint64_t edge = rq->before != 0 ? rq->before : rq->after, edge_no = 0;
	const char *field = list_limit(rq->limit, LIST_MAX, &limit) != STATUS_OK             ? "limit"
			    : rq->action != NULL && !audit_action_known(rq->action)         ? "action"
			    : rq->before != 0 && rq->after != 0                             ? "after"
											    : NULL;

	if (field != NULL) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, field, NULL);
		return;
	}
	if (read_begin(service, call, rq->team_id, 0, PERMISSION_view_audit_log, &conn, f) != STATUS_OK)
		return;
	enum status st = edge == 0 ? STATUS_OK : no_of(conn, call->mem, rq->team_id, edge, &edge_no);
	if (st == STATUS_NOT_FOUND) {
		db_release(conn);
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, rq->before != 0 ? "before" : "after", NULL);
		return;
	}
	if (st == STATUS_OK)
		st = list(conn, call->mem, rq, limit, edge_no, reply);
	read_end(call, conn, st);
}

/* ---- verify */

#define VERIFY_PAGE 500
#define VERIFY_MOST 10000 /* of one call; the caller goes on behind the last */

static const struct db_stmt page_stmt = {"moderation_audit_page",
	"SELECT " AUDIT_COLUMNS AUDIT_FROM " WHERE a.team_id = $1 AND a.no > $2 ORDER BY a.no LIMIT $3"};
static const struct db_stmt end_stmt = {"moderation_audit_end",
	"SELECT no, hash FROM moderation.audit_heads WHERE team_id = $1"};

struct chain {
	uint64_t no;
	uint8_t hash[AUDIT_HASH_BYTES];
};

static bool equals(const pb_bytes_array_t *bytes, const uint8_t hash[AUDIT_HASH_BYTES])
{
	return bytes != NULL && bytes->size == AUDIT_HASH_BYTES && memcmp(bytes->bytes, hash, AUDIT_HASH_BYTES) == 0;
}

/* NULL when the entry is right behind the chain's end, which it then becomes; else what is wrong. */
static const char *link_next(struct arena *mem, struct chain *chain, const pb_AuditView *entry)
{
	uint8_t hash[AUDIT_HASH_BYTES];

	if (entry->no != chain->no + 1)
		return "missing";
	if (!equals(entry->prev_hash, chain->hash))
		return "prev_hash";
	if (entry->changes == NULL || entry->action == NULL || entry->target_kind == NULL)
		return "hash";
	audit_hash(mem, entry, chain->hash, hash);
	if (!equals(entry->hash, hash))
		return "hash";
	chain->no = entry->no;
	memcpy(chain->hash, hash, sizeof hash);
	return NULL;
}

/* Cutting entries off the end leaves a chain that is right in itself: that one ends where it should is told by its head. */
static enum status end_check(struct db_conn *conn, struct arena *mem, uint64_t team_id, const struct chain *chain,
	pb_VerifyAuditReply *out)
{
	struct db_params p;
	struct db_rows rows = {0};
	size_t length = 0;

	db_params_begin(&p, mem);
	db_put_id(&p, team_id);
	enum status st = db_query(conn, mem, &end_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	out->complete = true;
	uint64_t no = rows.count == 0 ? 0 : db_id(&rows, 0, 0);
	const uint8_t *hash = rows.count == 0 ? NULL : db_bytea(&rows, 0, 1, &length);
	bool same = no == chain->no && (no == 0 || (length == AUDIT_HASH_BYTES && memcmp(hash, chain->hash, length) == 0));
	if (!same) {
		out->broken_no = chain->no + (no == chain->no ? 0 : 1);
		out->broken = arena_strdup(mem, "end");
	}
	return STATUS_OK;
}

static enum status verify(struct db_conn *conn, struct arena *mem, uint64_t team_id, struct chain *chain,
	pb_VerifyAuditReply *out)
{
	while (out->checked < VERIFY_MOST) {
		struct db_params p;
		struct db_rows rows = {0};
		pb_AuditView entry;

		db_params_begin(&p, mem);
		db_put_id(&p, team_id);
		db_put_id(&p, chain->no);
		db_put_i64(&p, VERIFY_PAGE);
		enum status st = db_query(conn, mem, &page_stmt, &p, &rows);
		if (st != STATUS_OK)
			return st;
		for (int i = 0; i < rows.count; i++) {
			entry_from_row(&rows, i, mem, &entry);
			const char *wrong = link_next(mem, chain, &entry);
			if (wrong != NULL) {
				out->broken_no = strcmp(wrong, "missing") == 0 ? chain->no + 1 : entry.no;
				out->broken = arena_strdup(mem, wrong);
				return STATUS_OK;
			}
			out->checked++;
		}
		if (rows.count < VERIFY_PAGE)
			return end_check(conn, mem, team_id, chain, out);
	}
	return STATUS_OK;
}

void serve_verify_audit(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_VerifyAuditRequest *rq = request;
	pb_VerifyAuditReply *out = reply;
	struct facts *f = ARENA_NEW(call->mem, struct facts);
	struct db_conn *conn = NULL;
	struct chain chain = {.no = rq->after_no};

	if (rq->after_no != 0) {
		if (rq->after_hash == NULL || rq->after_hash->size != AUDIT_HASH_BYTES) {
			rpc_fail(call, STATUS_FIELD_INVALID, NULL, "after_hash", NULL);
			return;
		}
		memcpy(chain.hash, rq->after_hash->bytes, AUDIT_HASH_BYTES);
	}
	if (read_begin(service, call, rq->team_id, 0, PERMISSION_view_audit_log, &conn, f) != STATUS_OK)
		return;
	enum status st = verify(conn, call->mem, rq->team_id, &chain, out);
	out->last_no = chain.no;
	out->last_hash = pb_bytes_from(call->mem, chain.hash, sizeof chain.hash);
	read_end(call, conn, st);
}
