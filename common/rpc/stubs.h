/*
 * rpc/stubs - the typed side of rpc.h, derived from the oneofs in proto/. For every arm `x` of an owner's request:
 *   extern const struct rpc_method rpc_<owner>_x;
 *   enum status <owner>_x(client, mem, ctx, const pb_...Request *, pb_...Reply *out, struct rpc_outcome *out_outcome)
 *   void <owner>_x_async(client, ctx, request, done, arg)
 * e.g. moderation_judge(c, mem, &ctx, &(pb_JudgeRequest){...}, &reply, &outcome).
 * A new arm in the proto is a new stub by itself; the owner's binding table misses it until it is served
 * (rpc_bindings_complete below, checked at start).
 */
#pragma once

#include "common/rpc/rpc.h"
#include "proto/api.pb.h"
#include "proto/messaging.pb.h"
#include "proto/moderation.pb.h"
#include "proto/presence.pb.h"

/* Rules other than ONEOF (the header) produce nothing. */
#define RPC_STUB_OPTIONAL(field, tag, owner, Owner)
#define RPC_STUB_SINGULAR(field, tag, owner, Owner)
#define RPC_STUB_ARM_(union_name, arm, member) arm
#define RPC_STUB_ONEOF(field, tag, owner, Owner) RPC_STUB_EXPAND_(RPC_STUB_ARM_ field, tag, owner, Owner)
#define RPC_STUB_EXPAND_(arm, tag, owner, Owner) RPC_STUB_DECLARE_(arm, tag, owner, Owner)
#define RPC_STUB_DECLARE_(arm, tag, owner, Owner)                                                                  \
	extern const struct rpc_method rpc_##owner##_##arm;                                                        \
	static inline enum status owner##_##arm(struct rpc_client *client, struct arena *mem,                      \
		const struct rpc_context *ctx, const pb_##Owner##Request_call_##arm##_MSGTYPE *request,            \
		pb_##Owner##Reply_call_##arm##_MSGTYPE *out_reply, struct rpc_outcome *out_outcome)                \
	{                                                                                                          \
		return rpc_call(client, mem, ctx, &rpc_##owner##_##arm, request, out_reply, out_outcome);          \
	}                                                                                                          \
	static inline void owner##_##arm##_async(struct rpc_client *client, const struct rpc_context *ctx,         \
		const pb_##Owner##Request_call_##arm##_MSGTYPE *request, rpc_done *done, void *arg)                \
	{                                                                                                          \
		rpc_call_async(client, ctx, &rpc_##owner##_##arm, request, done, arg);                             \
	}
#define RPC_STUB_API_(a, allocation, rule, type, field, tag) RPC_STUB_##rule(field, tag, api, Api)
#define RPC_STUB_MESSAGING_(a, allocation, rule, type, field, tag) RPC_STUB_##rule(field, tag, messaging, Messaging)
#define RPC_STUB_MODERATION_(a, allocation, rule, type, field, tag) RPC_STUB_##rule(field, tag, moderation, Moderation)
#define RPC_STUB_PRESENCE_(a, allocation, rule, type, field, tag) RPC_STUB_##rule(field, tag, presence, Presence)
pb_ApiRequest_FIELDLIST(RPC_STUB_API_, 0)
pb_MessagingRequest_FIELDLIST(RPC_STUB_MESSAGING_, 0)
pb_ModerationRequest_FIELDLIST(RPC_STUB_MODERATION_, 0)
pb_PresenceRequest_FIELDLIST(RPC_STUB_PRESENCE_, 0)

/* All methods of an owner ("api", "messaging", ...), NULL-terminated: for the completeness check and for tests. */
const struct rpc_method *const *rpc_methods_of(const char *owner);
/* Every method of the owner is bound exactly once? Logs the ones that are not. */
bool rpc_bindings_complete(const char *owner, const struct rpc_binding *bindings, size_t count);
