/*
 * deliver_own - see deliver_parts.h: what the events of somebody's own stream mean for his clients.
 */
#include "services/gateway/deliver_parts.h"

static void joined_conversation(struct feed *feed, const pb_ChannelView *channel)
{
	if (channel->team_id != 0 || channel->id == 0)
		return;
	for (uint32_t i = feed->member_count; i-- > 0;)
		client_conversation_joined(feed->members[i]->client, channel->id);
}

static void left_conversation(struct feed *feed, const pb_ChannelRef *channel)
{
	for (uint32_t i = channel->team_id == 0 ? feed->member_count : 0; i-- > 0;)
		client_conversation_left(feed->members[i]->client);
}

void deliver_own_event(struct feed *feed, const pb_Event *body)
{
	switch ((int)body->which_body) {
	case EVENT_KIND_session_revoked: {
		const pb_SessionRevoked *e = &body->body.session_revoked;
		enum close_reason reason = e->why == CLOSE_WHY_DISABLED  ? CLOSE_DISABLED
					   : e->why == CLOSE_WHY_CHANGED ? CLOSE_TOKEN_CHANGED
									 : CLOSE_BAD_TOKEN;
		for (uint32_t i = feed->member_count; i-- > 0;) {
			struct client *client = feed->members[i]->client;
			if (e->session_id != 0 ? client->session_id == e->session_id
					       : client->session_id != e->but_session_id)
				client_close(client, reason, true);
		}
		return;
	}
	case EVENT_KIND_account_closed:
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_close(feed->members[i]->client,
				body->body.account_closed.why == CLOSE_WHY_REVOKED ? CLOSE_BAD_TOKEN
										   : CLOSE_DISABLED,
				true);
		return;
	case EVENT_KIND_member_joined:
	case EVENT_KIND_team_created:
	case EVENT_KIND_member_removed: {
		uint64_t team =
			body->which_body == EVENT_KIND_member_joined ? body->body.member_joined.member.team_id
			: body->which_body == EVENT_KIND_team_created ? body->body.team_created.team.id
								      : 0;
		for (uint32_t i = feed->member_count; i-- > 0;)
			client_teams_changed(feed->members[i]->client, team);
		return;
	}
	case EVENT_KIND_conversation_created:
		joined_conversation(feed, &body->body.conversation_created.channel);
		return;
	case EVENT_KIND_channel_member_joined:
		joined_conversation(feed, &body->body.channel_member_joined.channel);
		return;
	case EVENT_KIND_channel_member_left:
		left_conversation(feed, &body->body.channel_member_left.channel);
		return;
	case EVENT_KIND_channel_member_kicked:
		left_conversation(feed, &body->body.channel_member_kicked.channel);
		return;
	default:
		return;
	}
}
