/*
 * voucher - somebody on whose behalf a thing is done beside its author: of a webhook its owner. He has to have the right to post where it
 * posts, and to have it still at the commit.
 */
#pragma once

#include "services/messaging/rights.h"

struct voucher {
	uint64_t user_id;
	uint64_t account_epoch, generation; /* of his own stream, read under the generation */
};

/*
 * voucher_allowed - may he post in this channel? STATUS_OK; ARCHIVED; NOT_FOUND with out_why "token": he may not, and what he vouched for
 * is as unknown; BUSY (also: his account changed meanwhile) and what else a judgement ends with. out: as judged. call: memory,
 * deadline and trace; its actor is not looked at. May block for one call.
 */
enum status voucher_allowed(struct service *s, struct rpc_call *call, const struct voucher *voucher, uint64_t channel,
	enum rights_from from, struct rights *out, const char **out_why);
/* Were both judged by the same epoch of the stream? */
bool voucher_agrees(const struct rights *his, const struct rights *others);
