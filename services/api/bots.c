#include "services/api/bots.h"

#include "common/db/committer.h"
#include "services/api/accounts.h"
#include "services/api/accounts_end.h"
#include "services/api/accounts_rows.h"
#include "services/api/change.h"
#include "services/api/tokens.h"

#define BOTS_FROM                                                                                            \
	"SELECT " ACCOUNT_COLUMNS " FROM auth.accounts a WHERE a.owner_id = $1 AND a.erased_at_ms IS NULL "
static const struct db_stmt list_after = {
	"bots_list_after", BOTS_FROM "AND a.id > $2 ORDER BY a.id LIMIT $3"};
static const struct db_stmt list_before = {
	"bots_list_before", BOTS_FROM "AND a.id < $2 ORDER BY a.id DESC LIMIT $3"};
static const struct db_stmt get_one = {"bots_get", BOTS_FROM "AND a.id = $2"};

enum status bots_list(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t before, uint64_t after,
	uint32_t limit, int64_t deadline_mono_ms, pb_UserView **out_bots, size_t *out_count, bool *out_more)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_id(&params, owner_id);
	db_put_id(&params, before != 0 ? before : after);
	db_put_i64(&params, (int64_t)limit + 1);
	enum status st = db_query_alone(
		api->db, mem, before != 0 ? &list_before : &list_after, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	*out_more = (uint32_t)rows.count > limit;
	*out_count = *out_more ? limit : (size_t)rows.count;
	*out_bots = ARENA_ARRAY(mem, *out_count, pb_UserView);
	for (size_t i = 0; i < *out_count; i++)
		accounts_row(&rows, (int)i, 0, &(*out_bots)[i]);
	return STATUS_OK;
}

enum status bots_get(struct api *api, struct arena *mem, uint64_t owner_id, uint64_t bot_id,
	int64_t deadline_mono_ms, pb_UserView *out)
{
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_id(&params, owner_id);
	db_put_id(&params, bot_id);
	enum status st = db_query_alone(api->db, mem, &get_one, &params, deadline_mono_ms, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	accounts_row(&rows, 0, 0, out);
	return STATUS_OK;
}

enum status bots_delete(struct api *api, struct arena *mem, const struct rpc_context *by, uint64_t bot_id,
	struct rpc_outcome *out)
{
	return account_erase_bot(api, mem, by, by->actor_id, bot_id, out);
}

/* ---- the owner's end */

static const struct db_stmt of_owner = {"bots_of_owner",
	"SELECT a.id, o.erased_at_ms IS NOT NULL FROM auth.accounts o JOIN auth.accounts a ON a.owner_id = "
	"o.id "
	"WHERE o.id = $1 AND (o.erased_at_ms IS NOT NULL OR o.disabled_at_ms IS NOT NULL) "
	"AND a.erased_at_ms IS NULL ORDER BY a.id"};

/* What was resolved before is not to be written with any more, and the sockets close. */
static enum status lock_out_work(struct log_tx *tx, void *arg)
{
	uint64_t bot_id = *(const uint64_t *)arg;

	log_tx_raise_epoch(tx, STREAM_USER(bot_id));
	return account_append_closed(tx, bot_id, CLOSE_WHY_DISABLED);
}

static enum status lock_out(struct api *api, struct arena *mem, const struct rpc_context *by, uint64_t bot_id)
{
	struct rpc_outcome outcome;
	struct commit_op op;

	change_begin(&op, by, lock_out_work, &bot_id);
	change_stream(&op, STREAM_USER(bot_id));
	enum status st = change_commit(api, mem, &op, NULL, &outcome);
	if (st == STATUS_OK)
		tokens_drop_account(api->tokens, bot_id);
	return st;
}

enum status bots_follow_owner(struct api *api, struct arena *mem, uint64_t owner_id, int64_t deadline_mono_ms)
{
	struct rpc_context by = {.deadline_mono_ms = deadline_mono_ms};
	struct rpc_outcome outcome;
	struct db_params params;
	struct db_rows rows;

	db_params_begin(&params, mem);
	db_put_id(&params, owner_id);
	enum status st = db_query_alone(api->db, mem, &of_owner, &params, deadline_mono_ms, &rows);
	for (int i = 0; st == STATUS_OK && i < rows.count; i++) {
		uint64_t bot_id = db_id(&rows, i, 0);
		st = db_bool(&rows, i, 1) ? account_erase_bot(api, mem, &by, owner_id, bot_id, &outcome)
					  : lock_out(api, mem, &by, bot_id);
		if (st == STATUS_NOT_FOUND) /* erased meanwhile */
			st = STATUS_OK;
	}
	return st;
}
