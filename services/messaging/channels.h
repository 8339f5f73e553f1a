/*
 * channels - creating, changing and deleting channels, and one channel by its id. Lists are lists.c's.
 *
 * Which audience key a channel's events have is moderation's to say (Rights.audience). The two changes made
 * here that move it are creating a private channel and switching `private`; both write the audience event
 * first, so that gateways have asked for the new keys before the event that follows reaches them, and send
 * that event with the key that holds after it: whoever may see the channel then has that key, and nobody else
 * does.
 */
#pragma once

#include "services/messaging/guard.h"

rpc_handler create_channel, get_channel, update_channel, delete_channel;

/* set_channel_state's deletion: answers with the channel as it was. Ends the call. */
void channel_delete(struct service *s, struct rpc_call *call, uint64_t channel_id, pb_ChannelReply *reply);
/* For `work`: the row of a channel that is not deleted. */
enum status channel_live_row(struct log_tx *tx, struct arena *mem, uint64_t id, pb_ChannelView *out);

/* ---- for `work` of whatever makes a channel appear */

/* Is there room for one more in the team? Behind which position: out_position, which may be NULL. AT_LIMIT. */
enum status channel_room(struct log_tx *tx, uint64_t team_id, int32_t *out_position);
/* The audience events of a channel that appears under a key of its own: the creator gets it at once (0:
 * nobody), then everybody is asked about, because roles with `administrator` see it too. out_seq: of the
 * latter, may be NULL. */
enum status channel_key_appears(struct log_tx *tx, const struct change *c, char *key, uint64_t creator,
	const char *why, uint64_t *out_seq);
/* Has the channel that the change was judged in a key of its own, not the team's? */
bool channel_has_own_key(const struct rights *r);
/* Kinds that have no calls of their own for being made. */
bool channel_kind_is_plain(uint32_t kind);
