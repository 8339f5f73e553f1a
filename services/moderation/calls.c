/*
 * calls - which handler serves which call. The arms of ModerationRequest are the list; a row that is missing
 * here is found at start (rpc_bindings_complete) and by a test.
 */
#include "common/db/log.h"
#include "common/rpc/stubs.h"
#include "services/moderation/service.h"

void serve_fetch_events(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	log_serve_fetch_events(m->db, call, request, reply);
}

void serve_stream_heads(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct moderation *m = service;
	log_serve_stream_heads(m->db, call, request, reply);
}

#define CALL(name)                                                                                           \
	{                                                                                                    \
		&rpc_moderation_##name, serve_##name                                                         \
	}
static const struct rpc_binding bindings[] = {
	CALL(judge),
	CALL(judge_many),
	CALL(list_audiences),
	CALL(create_team),
	CALL(get_team),
	CALL(list_teams),
	CALL(update_team),
	CALL(delete_team),
	CALL(list_members),
	CALL(get_member),
	CALL(join_team),
	CALL(add_member),
	CALL(update_member),
	CALL(remove_member),
	CALL(ban_member),
	CALL(unban_member),
	CALL(list_bans),
	CALL(get_ban),
	CALL(ban_channel_user),
	CALL(unban_channel_user),
	CALL(list_channel_bans),
	CALL(get_channel_ban),
	CALL(kick_channel_member),
	CALL(join_channel),
	CALL(add_channel_member),
	CALL(leave_channel),
	CALL(set_channel_role),
	CALL(list_channel_members),
	CALL(seed_channel),
	CALL(put_person),
	CALL(erase_person),
	CALL(list_team_ids),
	CALL(judge_mentions),
	CALL(create_invite),
	CALL(list_invites),
	CALL(get_invite),
	CALL(delete_invite),
	CALL(use_invite),
	CALL(set_timeout),
	CALL(clear_timeout),
	CALL(list_audit),
	CALL(transfer_team),
	CALL(verify_audit),
	CALL(claim_conversation),
	CALL(list_conversations),
	CALL(create_role),
	CALL(update_role),
	CALL(delete_role),
	CALL(list_roles),
	CALL(reorder_roles),
	CALL(add_member_role),
	CALL(remove_member_role),
	CALL(set_override),
	CALL(remove_override),
	CALL(list_overrides),
	CALL(explain),
	CALL(list_permissions),
	CALL(get_rules),
	CALL(set_rules),
	CALL(clear_rules),
	CALL(copy_channel_overrides),
	CALL(list_settings),
	CALL(get_setting),
	CALL(set_settings),
	CALL(invite_channel_members),
	CALL(get_mount_team),
	CALL(fetch_events),
	CALL(stream_heads),
};
#undef CALL

const struct rpc_binding *moderation_bindings(size_t *out_count)
{
	*out_count = sizeof bindings / sizeof *bindings;
	return bindings;
}
