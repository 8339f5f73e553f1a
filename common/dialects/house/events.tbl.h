/* Every event of proto/events.proto in house; a forgotten one does not compile. Sorted as in the proto.
 *
 * EVENT            its place, if it has one, is its stream (a team)
 * EVENT_IN_CHANNEL its place is body.<event>.channel, a ChannelRef or ChannelView
 * EVENT_NOT_SENT   with the reason: [private] between servers or for moderators only, [refetch] clients ask by REST
 *
 * topics: PLACE_CHANNEL, PLACE_TEAM and PLACE_GLOBAL show the copy in the stream of the team or conversation, OWN the copy in
 * a user's stream on that user's topic. The types of given events may not change.
 *
 *               event                     wire name               topics                       renderer               */
EVENT_NOT_SENT(  account_created,                                                               "[private] its user has no socket yet")
EVENT(           account_updated,          "user_updated",         PLACE_TEAM | OWN,            render_user_updated)
EVENT(           account_closed,           "session_revoked",      OWN,                         render_account_closed)
EVENT(           session_revoked,          "session_revoked",      OWN,                         render_session_revoked)
EVENT(           session_opened,           "session_opened",       OWN,                         render_session_opened)
EVENT_NOT_SENT(  audience_changed,                                                              "[private] gateways open and close keys by it")
EVENT_NOT_SENT(  audience_recheck,                                                              "[private] gateways ask for keys again by it")
EVENT(           team_created,             "team_created",         PLACE_TEAM | OWN,            render_team_created)
EVENT(           team_updated,             "team_updated",         PLACE_TEAM,                  render_team_updated)
EVENT(           team_deleted,             "team_deleted",         PLACE_TEAM,                  render_team_deleted)
EVENT(           member_joined,            "team_member_joined",   PLACE_TEAM | OWN,            render_team_member_joined)
EVENT(           member_removed,           "team_member_left",     PLACE_TEAM | OWN,            render_team_member_left)
EVENT(           member_updated,           "team_member_updated",  PLACE_TEAM,                  render_team_member_updated)
EVENT(           member_timed_out,         "user_timed_out",       PLACE_TEAM | OWN,            render_user_timed_out)
EVENT(           member_banned,            "team_user_banned",     PLACE_TEAM | OWN,            render_team_user_banned)
EVENT(           member_unbanned,          "team_user_unbanned",   PLACE_TEAM | OWN,            render_team_user_unbanned)
EVENT_IN_CHANNEL(channel_member_joined,    "member_joined",        PLACE_CHANNEL | PLACE_TEAM,  render_member_joined)
EVENT_IN_CHANNEL(channel_member_left,      "member_left",          PLACE_CHANNEL | PLACE_TEAM,  render_member_left)
EVENT_IN_CHANNEL(channel_member_kicked,    "user_kicked",          PLACE_CHANNEL | PLACE_TEAM | OWN, render_user_kicked)
EVENT_IN_CHANNEL(channel_member_updated,   "member_role_updated",  PLACE_CHANNEL | PLACE_TEAM,  render_channel_member_updated)
EVENT_IN_CHANNEL(channel_user_banned,      "user_banned",          PLACE_CHANNEL | PLACE_TEAM | OWN, render_user_banned)
EVENT_IN_CHANNEL(channel_user_unbanned,    "user_unbanned",        PLACE_CHANNEL | PLACE_TEAM | OWN, render_user_unbanned)
EVENT(           invite_created,           "invite_created",       PLACE_TEAM,                  render_invite_created)
EVENT(           invite_deleted,           "invite_deleted",       PLACE_TEAM,                  render_invite_deleted)
EVENT_IN_CHANNEL(channel_created,          "channel_created",      PLACE_TEAM | PLACE_GLOBAL,   render_channel_created)
EVENT_IN_CHANNEL(channel_updated,          "channel_updated",      PLACE_CHANNEL | PLACE_TEAM,  render_channel_updated)
EVENT_IN_CHANNEL(channel_deleted,          "channel_deleted",      PLACE_CHANNEL | PLACE_TEAM,  render_channel_deleted)
EVENT_IN_CHANNEL(channel_undeleted,        "channel_created",      PLACE_TEAM | PLACE_GLOBAL,   render_channel_undeleted)
EVENT_IN_CHANNEL(channel_archived,         "channel_archived",     PLACE_CHANNEL | PLACE_TEAM,  render_channel_archived)
EVENT_IN_CHANNEL(channel_restored,         "channel_restored",     PLACE_CHANNEL | PLACE_TEAM,  render_channel_restored)
EVENT_IN_CHANNEL(message_posted,           "channel_message",      PLACE_CHANNEL | PLACE_TEAM,  render_message_posted)
EVENT_IN_CHANNEL(message_updated,          "message_updated",      PLACE_CHANNEL | PLACE_TEAM,  render_message_updated)
EVENT_IN_CHANNEL(message_deleted,          "message_deleted",      PLACE_CHANNEL | PLACE_TEAM,  render_message_deleted)
EVENT_IN_CHANNEL(read_state_changed,       "unread_updated",       OWN,                         render_unread_updated)
EVENT(           status_changed,           "status_updated",       PLACE_TEAM | OWN,            render_status_updated)
EVENT_IN_CHANNEL(typing_changed,           "user_typing",          PLACE_CHANNEL | PLACE_TEAM,  render_user_typing)
EVENT(           presence_changed,         "presence_updated",     PLACE_TEAM | OWN,            render_presence_updated)
