/*
 * service - what all files of moderation share: the one context made in main, the handlers of its calls
 * (bound in calls.c) and bounds of the domain model's section "Limits".
 */
#pragma once

#include "common/base/config.h"
#include "common/base/ids.h"
#include "common/db/committer.h"
#include "common/db/db.h"
#include "common/rpc/rpc.h"
#include "proto/moderation.pb.h"

struct moderation {
	const struct config *config;
	struct db *db; /* the primary: rights and what is read by them come from the same server */
	struct committer *committer;
	struct ids *ids;
	const char *instance;
};

enum {
	TEAM_NAME_MAX = 64,
	TEAM_SLUG_MAX = 32,
	TEAM_DESCRIPTION_MAX = 1000,
	URL_BYTES_MAX = 2048,
	NICKNAME_MAX = 32,
	REASON_MAX = 512,
	TEAMS_PER_ACCOUNT_MAX = 200,
	SEED_MAX = 200,
	ROLE_NAME_MAX = 32,
	ROLES_PER_TEAM_MAX = 100, /* the base role among them */
	ROLES_PER_MEMBER_MAX = 50,
	OVERRIDES_PER_PLACE_MAX = 100,
	LIST_DEFAULT = 50,
	LIST_MAX = 100,
	LIST_BANS_MAX = 1000,
	CONVERSATION_MEMBERS_MAX = 50,
	CONVERSATIONS_PRESENT_MAX = 200, /* of one person, in which he is shown as present: as many as he may have teams */
	AUDIENCE_USERS_MAX = 4096, /* of one list_audiences: a gateway asks in pages */
	JUDGE_CHANNELS_MAX = 1000,
	INVITES_PER_TEAM_MAX = 1000,
	INVITES_PER_MEMBER_MAX = 100,
	INVITE_USES_MAX = 1000000,
	MENTIONS_MAX = 128, /* of each kind in one judge_mentions */
};

/* The arms of ModerationRequest, in its order. Each takes its own request and reply (rpc.h: rpc_handler). */
rpc_handler serve_judge, serve_judge_many, serve_judge_mentions, serve_list_audiences;
rpc_handler serve_get_mount_team, serve_create_team, serve_get_team, serve_list_teams, serve_update_team, serve_delete_team;
rpc_handler serve_list_members, serve_get_member, serve_join_team, serve_add_member, serve_update_member,
	serve_remove_member;
rpc_handler serve_ban_member, serve_unban_member, serve_list_bans, serve_get_ban;
rpc_handler serve_ban_channel_user, serve_unban_channel_user, serve_list_channel_bans, serve_get_channel_ban;
rpc_handler serve_kick_channel_member, serve_join_channel, serve_add_channel_member, serve_leave_channel,
	serve_set_channel_role, serve_list_channel_members, serve_seed_channel,
	serve_copy_channel_overrides, serve_invite_channel_members;
rpc_handler serve_claim_conversation, serve_list_conversations;
rpc_handler serve_put_person, serve_erase_person, serve_list_team_ids;
rpc_handler serve_create_invite, serve_list_invites, serve_get_invite, serve_delete_invite, serve_use_invite;
rpc_handler serve_set_timeout, serve_clear_timeout;
rpc_handler serve_list_audit, serve_transfer_team, serve_verify_audit;
rpc_handler serve_create_role, serve_update_role, serve_delete_role, serve_list_roles, serve_reorder_roles;
rpc_handler serve_add_member_role, serve_remove_member_role;
rpc_handler serve_set_override, serve_remove_override, serve_list_overrides, serve_explain;
rpc_handler serve_list_permissions, serve_get_rules, serve_set_rules, serve_clear_rules;
rpc_handler serve_list_settings, serve_get_setting, serve_set_settings;
rpc_handler serve_fetch_events, serve_stream_heads;

/* Every call of moderation, each bound once; rpc_bindings_complete is asked at start. */
const struct rpc_binding *moderation_bindings(size_t *out_count);
