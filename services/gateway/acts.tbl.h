/* What frames of clients may ask of the owners beyond typing and presence, one row each.
 *
 *  owner       call                  request            */
ACT(messaging,  create_channel,       CreateChannelRequest)
ACT(messaging,  delete_message,       MessageRequest)
ACT(messaging,  post_message,         PostMessageRequest)
ACT(messaging,  update_channel,       UpdateChannelRequest)
ACT(messaging,  update_message,       UpdateMessageRequest)
ACT(moderation, get_mount_team,       MountTeamRequest)
ACT(moderation, join_channel,         ChannelMemberRequest)
ACT(moderation, judge_many,           JudgeManyRequest)
ACT(moderation, leave_channel,        ChannelMemberRequest)
ACT(moderation, seed_channel,         SeedChannelRequest)
