/*
 * change - a commit of api's own, from a call's context to an outcome. Step lane of the committer.
 */
#pragma once

#include "common/db/committer.h"
#include "common/rpc/rpc.h"
#include "services/api/api.h"

/* Actor, his epoch (compared under the lock unless the system acts), request id and deadline. No stream yet.
 */
void change_begin(struct commit_op *op, const struct rpc_context *by,
	enum status (*work)(struct log_tx *tx, void *arg), void *arg);
void change_stream(struct commit_op *op, struct stream s);
/* Blocks until it is committed or refused. out_result may be NULL. While this runs, work may allocate from
 * mem: the caller waits. Returns out->status. */
enum status change_commit(struct api *api, struct arena *mem, struct commit_op *op,
	struct commit_result *out_result, struct rpc_outcome *out);
/* Records a refusal found before the commit. Returns st. */
enum status change_refuse(struct rpc_outcome *out, enum status st, const char *field, const char *detail);
