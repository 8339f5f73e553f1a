#include "services/messaging/guard.h"

#include <string.h>

#include "services/messaging/views.h"

void guard_put(struct db_params *params, const struct rights *r, const struct rpc_call *call)
{
	db_put_i16(params, (int16_t)r->stream.rank);
	db_put_id(params, r->stream.id);
	db_put_id(params, call->header->actor_id);
}

struct epochs guard_epochs(const struct db_rows *rows, int row)
{
	return (struct epochs){
		.stream = db_id(rows, row, 0), .member = db_id(rows, row, 1), .actor = db_id(rows, row, 2)};
}

/* Read under different generations of the log, equal numbers mean nothing. */
static bool elsewhere(uint64_t generation, const struct epochs *found)
{
	return generation != 0 && found->generation != 0 && generation != found->generation;
}

bool guard_elsewhere(const struct rights *r, const struct rpc_call *call, const struct epochs *found)
{
	return elsewhere(r->generation, found) ||
	       (call->header->actor_id != 0 && elsewhere(call->header->actor_generation, found));
}

enum status guard_compare(const struct rights *r, const struct rpc_call *call, const struct epochs *found,
	struct refusal *out_no)
{
	bool is_system = call->header->actor_id == 0;

	if (!is_system && (found->actor != call->header->actor_epoch ||
				  elsewhere(call->header->actor_generation, found))) {
		*out_no = (struct refusal){.why = "session"};
		return STATUS_STALE;
	}
	if (elsewhere(r->generation, found) || found->stream != r->stream_epoch || (!is_system && found->member != r->member_epoch))
		return STATUS_STALE;
	return STATUS_OK;
}

/* Moderation answers STALE for one reason only: the actor's session ended. */
static enum status unjudged(enum status st, struct refusal *out_no)
{
	if (st == STATUS_STALE)
		out_no->why = "session";
	return st;
}

static enum status refused(const struct rights *r, int needed, struct refusal *out_no)
{
	if (needed != GUARD_VIEW)
		return rights_need(r, (enum permission)needed, &out_no->why);
	out_no->why = r->why;
	return r->status;
}

enum status guard_read(struct service *s, struct rpc_call *call, struct db *db, uint64_t channel, int needed,
	guard_read_fn *fn, void *arg, struct refusal *out_no)
{
	enum rights_from from = RIGHTS_CACHED;

	for (int tries = 0; tries <= JUDGE_TRIES; tries++, from = RIGHTS_FRESH) {
		struct rights r;
		struct epochs found = {0};
		struct db_conn *conn = NULL;

		*out_no = (struct refusal){0};
		enum status st = rights_of_channel(s, call, channel, from, &r);
		if (st != STATUS_OK)
			return unjudged(st, out_no);
		st = refused(&r, needed, out_no);
		if (st != STATUS_OK && r.cached)
			continue;
		if (st != STATUS_OK)
			return st;
		st = db_acquire(db, call->deadline_mono_ms, &conn);
		if (st != STATUS_OK)
			return st;
		enum status found_st = fn(conn, call, &r, arg, &found, out_no);
		found.generation = db_generation(conn);
		db_release(conn);
		if (found_st != STATUS_OK && !guard_refuses(found_st))
			return found_st;
		if (db != s->db && guard_elsewhere(&r, call, &found)) {
			db = s->db;
			continue;
		}
		struct refusal no = {0};
		st = guard_compare(&r, call, &found, &no);
		bool by_rights = found_st != STATUS_OK && found_st != STATUS_NOT_FOUND &&
				 found_st != STATUS_FIELD_INVALID;
		if (st == STATUS_OK && !(by_rights && r.cached))
			return found_st;
		if (no.why != NULL) {
			*out_no = no;
			return st;
		}
		rights_cache_drop(s->rights, call->header->actor_id, channel);
	}
	return STATUS_BUSY;
}

static void copy_refusal(struct arena *mem, const struct commit_result *result, struct refusal *out)
{
	*out = (struct refusal){
		.why = arena_strdup(mem, result->why),
		.field = arena_strdup(mem, result->field),
		.detail = arena_strdup(mem, result->detail),
	};
}

static enum status commit(struct service *s, struct change *c, struct commit_result *out_result)
{
	struct commit_op op = {0};
	const pb_RpcHeader *header = c->call->header;

	commit_op_from_call(&op, c->call);
	op.streams[0] = c->own_stream ? STREAM_USER(header->actor_id) : c->rights.stream;
	op.stream_count = 1;
	op.checks[0] = (struct commit_check){
		.stream = c->rights.stream,
		.stream_epoch = c->rights.stream_epoch,
		.check_stream = true,
		.user_id = header->actor_id,
		.member_epoch = c->rights.member_epoch,
		.generation = c->rights.generation,
	};
	op.check_count = 1;
	op.keeps_rights = c->keeps_rights;
	op.work = c->work;
	op.arg = c;
	return committer_run(s->committer, c->call->mem, &op, out_result);
}

static enum status find_nothing(struct log_tx *tx, void *arg)
{
	return STATUS_NOT_FOUND;
}

enum status guard_repeated(struct service *s, struct rpc_call *call, enum status refused,
	struct commit_result *out_result, struct refusal *no)
{
	struct commit_op op = {.streams = {STREAM_USER(call->header->actor_id)},
		.stream_count = 1,
		.keeps_rights = true,
		.work = find_nothing};

	commit_op_from_call(&op, call);
	if (op.actor_id == 0 || op.request_id_length == 0)
		return refused;
	enum status st = committer_run(s->committer, call->mem, &op, out_result);
	if (st == STATUS_NOT_FOUND)
		return refused;
	copy_refusal(call->mem, out_result, no);
	return st;
}

static enum status answer_again(
	struct rpc_call *call, const struct commit_result *result, void *reply, bool *out_replayed)
{
	*out_replayed = true;
	if (result->reply == NULL)
		return STATUS_OK;
	return pb_decode_sized(call->mem, call->method->reply, call->method->reply_size, reply, result->reply,
		result->reply_length);
}

enum status guard_refused(
	struct service *s, struct change *c, enum status refused, void *reply, bool *out_replayed)
{
	struct commit_result result = {0};

	enum status st = guard_repeated(s, c->call, refused, &result, &c->no);
	return st == STATUS_OK ? answer_again(c->call, &result, reply, out_replayed) : st;
}

enum status guard_change(struct service *s, struct change *c, void *reply, bool *out_replayed)
{
	enum rights_from from = RIGHTS_CACHED;
	struct rpc_call *call = c->call;

	*out_replayed = false;
	for (int tries = 0; tries <= JUDGE_TRIES; tries++, from = RIGHTS_FRESH) {
		struct commit_result result = {0};

		c->no = (struct refusal){0};
		enum status st = c->channel_id != 0
					 ? rights_of_channel(s, call, c->channel_id, from, &c->rights)
					 : rights_of_team(s, call, c->team_id, c->new_kind, &c->rights);
		if (st != STATUS_OK)
			return unjudged(st, &c->no);
		st = refused(&c->rights, GUARD_VIEW, &c->no);
		if (c->deleted_too && rights_deleted(&c->rights)) {
			c->no = (struct refusal){0};
			st = STATUS_OK;
		}
		if (st == STATUS_OK && c->allowed != NULL)
			st = c->allowed(c);
		if (st != STATUS_OK && c->rights.cached)
			continue;
		if (st != STATUS_OK)
			return guard_refused(s, c, st, reply, out_replayed);
		st = commit(s, c, &result);
		if (st == STATUS_OK && result.replayed)
			return answer_again(call, &result, reply, out_replayed);
		if (st == STATUS_OK)
			return STATUS_OK;
		copy_refusal(call->mem, &result, &c->no);
		bool session = c->no.why != NULL && strcmp(c->no.why, "session") == 0;
		if (st == STATUS_STALE ? session : !(st == STATUS_FORBIDDEN && c->rights.cached))
			return st;
		rights_cache_drop(s->rights, call->header->actor_id, c->channel_id);
	}
	return STATUS_BUSY;
}

void guard_store(struct log_tx *tx, struct change *c, const void *reply)
{
	log_tx_reply(tx, c->call->method->reply, reply);
}

void guard_event(const struct change *c, uint32_t kind, pb_Event *out)
{
	const pb_RpcHeader *header = c->call->header;

	*out = (pb_Event){.which_body = (pb_size_t)kind};
	if (header->actor_id == 0 || !header->has_actor)
		return;
	out->has_actor = true;
	out->actor = author_view(&header->actor);
	if (header->client_label[0] != '\0')
		out->client_label = (char *)header->client_label;
}

enum status guard_refuse(struct log_tx *tx, enum status st, const char *why, const char *field)
{
	log_tx_refuse(tx, why, field, NULL);
	return st;
}

void guard_answer(struct rpc_call *call, enum status st, const struct refusal *no)
{
	guard_answer_change(call, st, no, false);
}

void guard_answer_change(struct rpc_call *call, enum status st, const struct refusal *no, bool replayed)
{
	if (st != STATUS_OK)
		rpc_fail(call, st, no->why, no->field, no->detail);
	else if (replayed)
		rpc_finish_replayed(call);
	else
		rpc_finish(call);
}
