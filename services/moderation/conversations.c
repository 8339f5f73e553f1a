#include "services/moderation/conversations.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "services/moderation/rows.h"

bool conversation_has_key(uint32_t kind, size_t count)
{
	return kind == CHANNEL_DIRECT ? count == 2 : count >= 3;
}

void conversation_key(const uint64_t *ids, size_t count, uint8_t out[CONVERSATION_KEY_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, CONVERSATION_KEY_BYTES);
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[8];
		for (int b = 0; b < 8; b++)
			bytes[b] = (uint8_t)(ids[i] >> (56 - 8 * b));
		crypto_generichash_update(&state, bytes, sizeof bytes);
	}
	crypto_generichash_final(&state, out, CONVERSATION_KEY_BYTES);
}

struct stream conversation_key_stream(const uint64_t *ids, size_t count)
{
	return STREAM_USER(ids[0]);
}

int conversation_compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x == y ? 0 : x < y ? -1 : 1;
}

static const struct db_stmt free_key_stmt = {"moderation_conversation_free_key",
	"UPDATE moderation.conversations v SET member_key = NULL FROM messaging.channel_facts f"
	" WHERE v.member_key = $1 AND f.id = v.channel_id AND f.deleted_at_ms IS NOT NULL"};

enum status conversation_free_key(struct change *c, const uint8_t key[CONVERSATION_KEY_BYTES])
{
	struct db_params p;

	change_params(c, &p);
	db_put_bytea(&p, key, CONVERSATION_KEY_BYTES);
	return change_query(c, &free_key_stmt, &p, NULL);
}

/* ---- people */

const struct db_stmt conversation_people_stmt = {"moderation_conversation_people",
	"SELECT q.id, m.user_id, " PERSON_COLUMNS("p") " FROM unnest($1::bigint[]) q(id)"
	" CROSS JOIN LATERAL (SELECT m.user_id, m.joined_at_ms FROM moderation.channel_members m"
	"   WHERE m.channel_id = q.id AND m.left_at_ms IS NULL AND m.team_id IS NULL OFFSET 0) m"
	" LEFT JOIN LATERAL (SELECT p.* FROM moderation.people p WHERE p.id = m.user_id OFFSET 0) p ON true"
	" WHERE $2 = 0 OR EXISTS (SELECT 1 FROM moderation.channel_members own"
	"   WHERE own.channel_id = q.id AND own.user_id = $2 AND own.left_at_ms IS NULL)"
	" ORDER BY q.id, m.joined_at_ms, m.user_id"};

void conversation_people(const struct db_rows *rows, struct arena *mem, pb_ConversationMembersReply *out)
{
	pb_UserView *users = ARENA_ARRAY(mem, (size_t)rows->count, pb_UserView);

	out->conversations = ARENA_ARRAY(mem, (size_t)rows->count, pb_ConversationMembers);
	for (int i = 0; i < rows->count; i++) {
		uint64_t id = db_id(rows, i, 0);
		if (out->conversations_count == 0 ||
			out->conversations[out->conversations_count - 1].channel_id != id)
			out->conversations[out->conversations_count++] =
				(pb_ConversationMembers){.channel_id = id, .users = &users[i]};
		person_from_row(rows, i, 2, mem, db_id(rows, i, 1), &users[i]);
		out->conversations[out->conversations_count - 1].users_count++;
	}
}

void serve_list_conversations(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_ConversationMembersRequest *rq = request;
	struct db_conn *conn = NULL;
	struct db_params p;
	struct db_rows rows = {0};

	if (rq->channel_ids_count > JUDGE_CHANNELS_MAX) {
		rpc_fail(call, STATUS_FIELD_INVALID, NULL, "channel_ids", NULL);
		return;
	}
	if (read_begin_session(service, call, &conn) != STATUS_OK)
		return;
	db_params_begin(&p, call->mem);
	db_put_ids(&p, rq->channel_ids, rq->channel_ids_count);
	db_put_id(&p, call->header->actor_id);
	enum status st = db_query(conn, call->mem, &conversation_people_stmt, &p, &rows);
	if (st == STATUS_OK)
		conversation_people(&rows, call->mem, reply);
	read_end(call, conn, st);
}

/* ---- claim */

struct claim {
	uint64_t id; /* of a new one */
	uint64_t generation;
	uint64_t ids[CONVERSATION_MEMBERS_MAX];
	size_t count;
	const pb_UserView **users; /* those that are described */
	size_t user_count;
	uint32_t kind;
	uint8_t key[CONVERSATION_KEY_BYTES];
};

/* Everybody of the set, the actor among them, ascending. */
static enum status gather(struct change *c, const pb_ClaimConversationRequest *rq, struct claim *claim)
{
	claim->ids[claim->count++] = change_actor_id(c);
	if (rq->users_count >= CONVERSATION_MEMBERS_MAX + 1)
		return change_field(c, "user_ids");
	claim->users = ARENA_ARRAY(c->mem, (size_t)rq->users_count + 1, const pb_UserView *);
	if (c->call->header->has_actor)
		claim->users[claim->user_count++] = &c->call->header->actor;
	for (size_t i = 0; i < rq->users_count; i++) {
		if (rq->users[i].id == 0)
			return change_field(c, "user_ids");
		if (rq->users[i].id == change_actor_id(c))
			continue;
		if (claim->count == CONVERSATION_MEMBERS_MAX)
			return change_field(c, "user_ids");
		claim->users[claim->user_count++] = &rq->users[i];
		claim->ids[claim->count++] = rq->users[i].id;
	}
	if (claim->count < 2)
		return change_field(c, "user_ids");
	qsort(claim->ids, claim->count, sizeof *claim->ids, conversation_compare_ids);
	for (size_t i = 1; i < claim->count; i++)
		if (claim->ids[i] == claim->ids[i - 1])
			return change_field(c, "user_ids");
	claim->kind = claim->count == 2 ? CHANNEL_DIRECT : CHANNEL_GROUP;
	conversation_key(claim->ids, claim->count, claim->key);
	return STATUS_OK;
}

static const struct db_stmt known_stmt = {"moderation_conversation_known",
	"SELECT count(*) FROM unnest($1::bigint[]) q(id)"
	" WHERE EXISTS (SELECT 1 FROM log.streams s WHERE s.rank = 2 AND s.id = q.id)"
	" AND NOT EXISTS (SELECT 1 FROM moderation.people p WHERE p.id = q.id AND p.erased)"};

static enum status prepare_claim_conversation(struct change *c)
{
	struct claim *claim = ARENA_NEW(c->mem, struct claim);
	struct db_params p;
	struct db_rows rows = {0};

	c->data = claim;
	if (change_by_system(c))
		return change_refuse(c, STATUS_FORBIDDEN, "account", NULL); /* somebody begins a conversation */
	enum status st = gather(c, c->request, claim);
	if (st == STATUS_OK)
		st = change_load_session(c);
	if (st == STATUS_OK)
		st = ids_next(c->service->ids, clock_wall_ms(), clock_mono_ms(), &claim->id);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&p, c->mem);
	db_put_ids(&p, claim->ids, claim->count);
	st = db_query(c->conn, c->mem, &known_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	claim->generation = db_generation(c->conn);
	if (db_id(&rows, 0, 0) != claim->count)
		return change_refuse(c, STATUS_FIELD_INVALID, "unknown", "user_ids");
	change_stream(c, conversation_key_stream(claim->ids, claim->count));
	return STATUS_OK;
}

static const struct db_stmt find_stmt = {"moderation_conversation_find",
	"SELECT v.channel_id, v.kind, v.created_by, s.authz_epoch, e.epoch FROM moderation.conversations v"
	" JOIN LATERAL (SELECT s.authz_epoch FROM log.streams s WHERE s.rank = 1 AND s.id = v.channel_id OFFSET 0) s ON true"
	" LEFT JOIN LATERAL (SELECT e.epoch FROM moderation.members e"
	"   WHERE e.team_id = v.channel_id AND e.user_id = $2 OFFSET 0) e ON true WHERE v.member_key = $1"};
static const struct db_stmt insert_stmt = {"moderation_conversation_insert",
	"INSERT INTO moderation.conversations (channel_id, kind, member_key, created_by, created_at_ms)"
	" VALUES ($1, $2, $3, $4, $5)"};
static const struct db_stmt insert_members_stmt = {"moderation_conversation_members",
	"INSERT INTO moderation.channel_members (channel_id, user_id, rank, stream_id, role, added_by, joined_at_ms)"
	" SELECT $1, q.id, 1, $1, CASE WHEN $4 AND q.id = $3 THEN 1 ELSE 3 END, nullif($3, q.id), $5"
	" FROM unnest($2::bigint[]) q(id)"};
static const struct db_stmt insert_epochs_stmt = {"moderation_conversation_epochs",
	"INSERT INTO moderation.members (team_id, user_id, joined_at_ms, left_at_ms, epoch, changed_seq)"
	" SELECT $1, q.id, $4, $4, 1, q.seq FROM unnest($2::bigint[], $3::bigint[]) q(id, seq)"};

static enum status insert_rows(struct change *c, const struct claim *claim, const uint64_t *seqs)
{
	struct db_params p;

	change_params(c, &p);
	db_put_id(&p, claim->id);
	db_put_i16(&p, (int16_t)claim->kind);
	db_put_bytea(&p, claim->key, sizeof claim->key);
	db_put_id(&p, change_actor_id(c));
	db_put_i64(&p, c->now_ms);
	enum status st = change_query(c, &insert_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, claim->id);
	db_put_ids(&p, claim->ids, claim->count);
	db_put_id(&p, change_actor_id(c));
	db_put_bool(&p, claim->kind == CHANNEL_GROUP);
	db_put_i64(&p, c->now_ms);
	st = change_query(c, &insert_members_stmt, &p, NULL);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_id(&p, claim->id);
	db_put_ids(&p, claim->ids, claim->count);
	db_put_ids(&p, seqs, claim->count);
	db_put_i64(&p, c->now_ms);
	st = change_query(c, &insert_epochs_stmt, &p, NULL);
	return st == STATUS_OK ? rows_put_users(c, claim->users, claim->user_count) : st;
}

static enum status make(struct change *c, const struct claim *claim, pb_ClaimConversationReply *reply)
{
	struct stream s = {RANK_TEAM, claim->id};
	uint64_t seqs[CONVERSATION_MEMBERS_MAX];
	char key[AUDIENCE_SIZE];

	enum status st = log_tx_create_stream(c->tx, s);
	if (st == STATUS_CONFLICT)
		return STATUS_STALE; /* an id that exists: prepare takes another */
	audience_key(key, "conversation", claim->id);
	for (size_t i = 0; i < claim->count && st == STATUS_OK; i++)
		st = change_audience(c, s, claim->ids[i], key, NULL, &seqs[i]);
	if (st == STATUS_OK)
		st = insert_rows(c, claim, seqs);
	*reply = (pb_ClaimConversationReply){.channel_id = claim->id,
		.created = true,
		.kind = claim->kind,
		.created_by = change_actor_id(c),
		.member_epoch = 1};
	return st;
}

static enum status work_claim_conversation(struct change *c, struct log_tx *tx)
{
	const struct claim *claim = c->data;
	pb_ClaimConversationReply *reply = c->reply;
	pb_ConversationMembersReply people = {0};
	struct db_params p;
	struct db_rows rows = {0};

	enum status st = conversation_free_key(c, claim->key);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_bytea(&p, claim->key, sizeof claim->key);
	db_put_id(&p, change_actor_id(c));
	st = change_query(c, &find_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	if (rows.count > 0)
		*reply = (pb_ClaimConversationReply){.channel_id = db_id(&rows, 0, 0),
			.kind = (uint32_t)db_i64(&rows, 0, 1),
			.created_by = db_id(&rows, 0, 2),
			.stream_epoch = db_id(&rows, 0, 3),
			.member_epoch = db_id(&rows, 0, 4)};
	else
		st = make(c, claim, reply);
	if (st != STATUS_OK)
		return st;
	change_params(c, &p);
	db_put_ids(&p, &reply->channel_id, 1);
	db_put_id(&p, 0);
	st = change_query(c, &conversation_people_stmt, &p, &rows);
	if (st != STATUS_OK)
		return st;
	conversation_people(&rows, c->mem, &people);
	if (people.conversations_count != 1)
		return STATUS_INTERNAL;
	reply->generation = claim->generation;
	reply->users = people.conversations[0].users;
	reply->users_count = people.conversations[0].users_count;
	return STATUS_OK;
}

/* Its repeat finds the conversation: nothing is kept under the request id, which belongs to open_conversation. */
void serve_claim_conversation(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct change c = {.service = service,
		.call = call,
		.request = request,
		.reply = reply,
		.prepare = prepare_claim_conversation,
		.work = work_claim_conversation,
		.rows_repeat = true};
	change_run(&c);
}
