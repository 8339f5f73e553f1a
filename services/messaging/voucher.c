#include "services/messaging/voucher.h"

#include "services/messaging/guard.h"

enum status voucher_allowed(struct service *s, struct rpc_call *call, const struct voucher *voucher, uint64_t channel,
	enum rights_from from, struct rights *out, const char **out_why)
{
	struct rpc_call *as = arena_memdup(call->mem, call, sizeof *as);
	pb_RpcHeader *header = arena_memdup(call->mem, call->header, sizeof *header);

	header->session_id = 0;
	header->actor_id = voucher->user_id;
	header->actor_epoch = voucher->account_epoch;
	header->actor_generation = voucher->generation;
	header->has_actor = false;
	as->header = header;
	enum status st = rights_of_channel(s, as, channel, from, out);
	if (st != STATUS_OK)
		return st == STATUS_STALE ? STATUS_BUSY : st; /* nobody here has a session to begin anew */
	st = rights_need_post(out, false, out_why);
	if (st == STATUS_OK || st == STATUS_ARCHIVED || !guard_refuses(st))
		return st;
	*out_why = "token";
	return STATUS_NOT_FOUND;
}

bool voucher_agrees(const struct rights *his, const struct rights *others)
{
	return his->generation == others->generation && his->stream_epoch == others->stream_epoch;
}
