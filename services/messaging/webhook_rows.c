#include "services/messaging/webhook_rows.h"

#include <sodium.h>
#include <string.h>

#include "services/messaging/lists.h"
#include "services/messaging/views.h"
#include "services/messaging/visible.h"

_Static_assert(WEBHOOK_HASH_BYTES == crypto_generichash_BYTES, "hashes are BLAKE2b-256");

static char *copied(struct arena *mem, const struct db_rows *rows, int row, int column)
{
	return arena_strdup(mem, db_text(rows, row, column));
}

void webhook_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_WebhookView *out)
{
	int c = first;

	*out = (pb_WebhookView){0};
	out->id = db_id(rows, row, c++);
	out->team_id = db_id(rows, row, c++);
	out->channel_id = db_id(rows, row, c++);
	out->kind = (uint32_t)db_i64(rows, row, c++);
	out->name = copied(mem, rows, row, c++);
	out->avatar = copied(mem, rows, row, c++);
	out->bot_id = db_id(rows, row, c++);
	out->owner_id = db_id(rows, row, c++);
	out->trigger = copied(mem, rows, row, c++);
	out->url = copied(mem, rows, row, c++);
	out->created_at_ms = db_id(rows, row, c++);
	out->updated_at_ms = db_id(rows, row, c++);
	out->deleted_at_ms = db_id(rows, row, c++);
}

/* ---- tokens */

void webhook_token(char out[WEBHOOK_TOKEN_SIZE])
{
	unsigned char random[32];

	randombytes_buf(random, sizeof random);
	sodium_bin2base64(out, WEBHOOK_TOKEN_SIZE, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof random);
}

void webhook_token_hash(const char *token, uint8_t out[WEBHOOK_HASH_BYTES])
{
	crypto_generichash(out, WEBHOOK_HASH_BYTES, (const unsigned char *)token, strlen(token), NULL, 0);
}

bool webhook_token_fits(const struct webhook *webhook, const char *token)
{
	uint8_t hash[WEBHOOK_HASH_BYTES];

	webhook_token_hash(token, hash);
	return sodium_memcmp(hash, webhook->token_hash, sizeof hash) == 0;
}

/* ---- one */

/* clang-format off */
#define FIND_SQL(where)                                                                                              \
	"SELECT " WEBHOOK_COLUMNS ", w.token_hash, w.secret,"                                                     \
	" w.deleted_at_ms IS NOT NULL OR w.ending OR w.halted OR w.owner_halted,"                                    \
	" coalesce(u.authz_epoch, 0), coalesce(o.authz_epoch, 0), " PERSON_COLUMNS " FROM messaging.webhooks w"                                  \
	" LEFT JOIN LATERAL (SELECT * FROM messaging.people x WHERE x.id = coalesce(w.bot_id, " SYSTEM_ID ") OFFSET 0) p ON true" \
	" LEFT JOIN log.streams u ON u.rank = 2 AND u.id = w.bot_id"                                                 \
	" LEFT JOIN log.streams o ON o.rank = 2 AND o.id = w.owner_id WHERE " where
#define TEXT_OF_(number) #number
#define TEXT_OF(number)  TEXT_OF_(number)
#define SYSTEM_ID        TEXT_OF(SYSTEM_ACCOUNT_NUMBER)
/* clang-format on */
static const struct db_stmt find_stmt = {"messaging_webhook_find", FIND_SQL("w.id = $1")};
static const struct db_stmt find_word_stmt = {"messaging_webhook_find_word",
	FIND_SQL("w.channel_id = $1 AND w.trigger = $2 AND w.kind = 2 AND w.deleted_at_ms IS NULL ORDER BY w.id LIMIT 1")};

static enum status find(struct service *s, struct arena *mem, const struct db_stmt *stmt, const struct db_params *params,
	int64_t deadline_mono_ms, struct webhook *out)
{
	struct db_conn *conn = NULL;
	struct db_rows rows = {0};
	size_t length = 0;
	int c = WEBHOOK_COLUMN_COUNT;

	enum status st = db_acquire(s->db, deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	st = db_query(conn, mem, stmt, params, &rows);
	uint64_t generation = db_generation(conn);
	db_release(conn);
	if (st != STATUS_OK)
		return st;
	if (rows.count == 0)
		return STATUS_NOT_FOUND;
	*out = (struct webhook){.generation = generation};
	webhook_from_row(mem, &rows, 0, 0, &out->view);
	const uint8_t *hash = db_bytea(&rows, 0, c++, &length);
	if (length != sizeof out->token_hash)
		return STATUS_INTERNAL;
	memcpy(out->token_hash, hash, length);
	out->secret = copied(mem, &rows, 0, c++);
	out->idle = db_bool(&rows, 0, c++);
	out->author_epoch = db_id(&rows, 0, c++);
	out->owner_epoch = db_id(&rows, 0, c++);
	out->author = (pb_UserView){.id = out->view.bot_id != 0 ? out->view.bot_id : SYSTEM_ACCOUNT_ID};
	person_from_row(mem, &rows, 0, c, &out->author);
	return STATUS_OK;
}

enum status webhook_find(struct service *s, struct arena *mem, uint64_t id, int64_t deadline_mono_ms, struct webhook *out)
{
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_id(&params, id);
	return find(s, mem, &find_stmt, &params, deadline_mono_ms, out);
}

enum status webhook_find_word(struct service *s, struct arena *mem, uint64_t channel, const char *word,
	int64_t deadline_mono_ms, struct webhook *out)
{
	struct db_params params;

	db_params_begin(&params, mem);
	db_put_id(&params, channel);
	db_put_text(&params, word);
	return find(s, mem, &find_word_stmt, &params, deadline_mono_ms, out);
}

enum status webhook_managed(const struct rights *r, const struct rpc_call *call, uint64_t owner, const char **out_why)
{
	bool own = owner != 0 && owner == call->header->actor_id;

	if (own && bits_has(r->bits, PERMISSION_manage_own_webhooks) && r->status == STATUS_OK)
		return STATUS_OK;
	return rights_need(r, PERMISSION_manage_channel_webhooks, out_why);
}

/* ---- get */

static const struct db_stmt get_stmt = {
	"messaging_webhook_get",
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", " WEBHOOK_COLUMNS
	" FROM e LEFT JOIN messaging.webhooks w ON w.id = $4 AND w.channel_id = $5 AND w.deleted_at_ms IS NULL AND NOT w.ending",
};

struct getting {
	uint64_t id;
	pb_WebhookReply *reply;
};

static enum status get_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const struct getting *g = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, g->id);
	db_put_id(&params, r->channel_id);
	enum status st = db_query(conn, call->mem, &get_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (db_is_null(&rows, 0, EPOCHS_COUNT))
		return STATUS_NOT_FOUND;
	*g->reply = (pb_WebhookReply){.has_webhook = true};
	webhook_from_row(call->mem, &rows, 0, EPOCHS_COUNT, &g->reply->webhook);
	return webhook_managed(r, call, g->reply->webhook.owner_id, &out_no->why);
}

void get_webhook(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_WebhookRequest *rq = request;
	struct getting g = {rq->webhook_id, reply};
	struct refusal no = {0};
	struct webhook webhook;

	/* Which channel it is in is not known before; the primary knows it at once. */
	enum status st = webhook_find(s, call->mem, rq->webhook_id, call->deadline_mono_ms, &webhook);
	if (st == STATUS_OK)
		st = guard_read(s, call, s->db, webhook.view.channel_id, GUARD_VIEW, get_read, &g, &no);
	guard_answer(call, st, &no);
}

/* ---- list */

struct listing {
	const pb_ListWebhooksRequest *rq;
	pb_ListWebhooksReply *reply;
};

/* Of a channel. $4 channel, $5 whose (0: everybody's), $6 before, $7 after, $8 limit */
/* clang-format off */
#define CHANNEL_SQL(order)                                                                                           \
	"WITH e AS (" EPOCHS_SQL ") SELECT " EPOCHS_COLUMNS ", " WEBHOOK_COLUMNS                                     \
	" FROM e LEFT JOIN LATERAL (SELECT * FROM messaging.webhooks x WHERE x.channel_id = $4"                      \
	"  AND x.deleted_at_ms IS NULL AND NOT x.ending AND ($5 = 0 OR x.owner_id = $5) AND x.id > $7"               \
	"  AND ($6 = 0 OR x.id < $6) ORDER BY x.id " order " LIMIT $8) w ON true ORDER BY w.id " order
/* Of a team. $3 channels where everybody's are shown, $4 whose (0: everybody's), $5 before, $6 after, $7 limit */
#define TEAM_SQL(order)                                                                                              \
	"SELECT " VISIBLE_EPOCHS_COLUMNS ", c.id, " WEBHOOK_COLUMNS " FROM messaging.channels c " VISIBLE_EPOCHS_JOINS \
	" JOIN messaging.webhooks w ON w.channel_id = c.id WHERE c.id = ANY ($2::int8[]) AND c.deleted_at_ms IS NULL" \
	" AND w.deleted_at_ms IS NULL AND NOT w.ending AND (w.owner_id = $1 OR c.id = ANY ($3::int8[]))"             \
	" AND ($4 = 0 OR w.owner_id = $4) AND w.id > $6 AND ($5 = 0 OR w.id < $5) ORDER BY w.id " order " LIMIT $7"
/* clang-format on */
static const struct db_stmt channel_stmts[2] = {
	{"messaging_webhooks_up", CHANNEL_SQL("ASC")},
	{"messaging_webhooks_down", CHANNEL_SQL("DESC")},
};
static const struct db_stmt team_stmts[2] = {
	{"messaging_team_webhooks_up", TEAM_SQL("ASC")},
	{"messaging_team_webhooks_down", TEAM_SQL("DESC")},
};

static bool goes_down(const pb_ListWebhooksRequest *rq)
{
	return rq->before != 0 && rq->after == 0;
}

static void put_page(struct db_params *params, const pb_ListWebhooksRequest *rq, uint64_t owner)
{
	db_put_id(params, owner);
	db_put_id(params, rq->before);
	db_put_id(params, rq->after);
	db_put_i64(params, (int64_t)list_limit(rq->limit, LIST_MOST) + 1);
}

/* Rows whose columns from `first` on are a webhook; ends at the first row without one. */
static void take(struct arena *mem, const struct db_rows *rows, int first, const pb_ListWebhooksRequest *rq,
	pb_ListWebhooksReply *out)
{
	uint32_t limit = list_limit(rq->limit, LIST_MOST);

	*out = (pb_ListWebhooksReply){.webhooks = ARENA_ARRAY(mem, (size_t)rows->count, pb_WebhookView)};
	for (int i = 0; i < rows->count && !db_is_null(rows, i, first); i++) {
		if (out->webhooks_count == limit) {
			out->more = true;
			return;
		}
		webhook_from_row(mem, rows, i, first, &out->webhooks[out->webhooks_count++]);
	}
}

static enum status channel_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	const struct listing *l = arg;
	uint64_t actor = call->header->actor_id, owner = l->rq->owner_id;
	struct db_params params;
	struct db_rows rows = {0};

	/* Who may manage only his own is shown only these. */
	const char *why = NULL;
	enum status allowed = webhook_managed(r, call, 0, &why);
	if (allowed != STATUS_OK && owner == 0)
		owner = actor;
	if (allowed != STATUS_OK && owner == actor)
		allowed = webhook_managed(r, call, actor, &why);
	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	db_put_id(&params, l->rq->channel_id);
	put_page(&params, l->rq, owner);
	enum status st = db_query(conn, call->mem, &channel_stmts[goes_down(l->rq)], &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	out_no->why = why;
	if (allowed != STATUS_OK)
		return allowed;
	take(call->mem, &rows, EPOCHS_COUNT, l->rq, l->reply);
	return STATUS_OK;
}

static enum status team_read(
	struct db_conn *conn, struct rpc_call *call, struct visible *v, void *arg, struct refusal *out_no)
{
	const struct listing *l = arg;
	const int first = VISIBLE_EPOCHS_COUNT + 1;
	uint64_t *all = ARENA_ARRAY(call->mem, v->count, uint64_t);
	size_t all_count = 0, own_count = 0;
	struct db_params params;
	struct db_rows rows = {0};

	for (size_t i = 0; i < v->count; i++) {
		const struct rights *r = &v->rights[i];
		bool every = bits_has(r->bits, PERMISSION_manage_channel_webhooks);
		if (every)
			all[all_count++] = r->channel_id;
		if (!every && !bits_has(r->bits, PERMISSION_manage_own_webhooks))
			continue;
		v->rights[own_count] = *r;
		v->channel_ids[own_count++] = r->channel_id;
	}
	v->count = own_count;
	if (own_count == 0) {
		out_no->why = permission_name(PERMISSION_manage_webhooks);
		return STATUS_FORBIDDEN;
	}
	db_params_begin(&params, call->mem);
	visible_put(&params, v, call);
	db_put_ids(&params, all, all_count);
	put_page(&params, l->rq, l->rq->owner_id);
	enum status st = db_query(conn, call->mem, &team_stmts[goes_down(l->rq)], &params, &rows);
	for (int i = 0; i < rows.count && st == STATUS_OK; i++)
		st = visible_compare(v, call, &rows, i, db_id(&rows, i, VISIBLE_EPOCHS_COUNT), out_no);
	if (st == STATUS_OK)
		take(call->mem, &rows, first, l->rq, l->reply);
	return st;
}

void list_webhooks(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct listing l = {request, reply};
	struct refusal no = {0};
	enum status st;

	if (l.rq->channel_id != 0)
		st = guard_read(s, call, s->reads, l.rq->channel_id, GUARD_VIEW, channel_read, &l, &no);
	else
		st = visible_read(s, call, s->reads, l.rq->team_id, team_read, &l, &no);
	guard_answer(call, st, &no);
}
