#include "services/api/change.h"

#include <assert.h>

void change_begin(struct commit_op *op, const struct rpc_context *by,
	enum status (*work)(struct log_tx *tx, void *arg), void *arg)
{
	*op = (struct commit_op){
		.actor_id = by->actor_id,
		.actor_epoch = by->actor_epoch,
		.actor_generation = by->actor_generation,
		.check_actor = by->actor_id != 0,
		.request_id = by->request_id,
		.request_id_length = by->request_id_length,
		.body_hash = by->body_hash,
		.deadline_mono_ms = by->deadline_mono_ms,
		.work = work,
		.arg = arg,
	};
}

void change_stream(struct commit_op *op, struct stream s)
{
	assert(op->stream_count < COMMIT_STREAMS_MAX);
	op->streams[op->stream_count++] = s;
}

enum status change_commit(struct api *api, struct arena *mem, struct commit_op *op,
	struct commit_result *out_result, struct rpc_outcome *out)
{
	struct commit_result result = {0};
	enum status st = committer_run(api->committer, mem, op, &result);

	*out = (struct rpc_outcome){
		.status = st,
		.why = result.why,
		.field = result.field,
		.detail = result.detail,
		.replayed = result.replayed,
	};
	if (out_result != NULL)
		*out_result = result;
	return st;
}

enum status change_refuse(struct rpc_outcome *out, enum status st, const char *field, const char *detail)
{
	*out = (struct rpc_outcome){.status = st, .field = field, .detail = detail};
	return st;
}
