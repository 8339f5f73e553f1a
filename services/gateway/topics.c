/*
 * topics - see topics.h.
 */
#include "services/gateway/topics.h"

#include <string.h>

bool topics_in_conversation(const struct member *member)
{
	char key[AUDIENCE_SIZE];

	if (member->feed->stream.rank != RANK_TEAM || member->keys == NULL)
		return false;
	audience_key(key, "conversation", member->feed->stream.id);
	return key_set_has(member->keys, key_find(member->feed->keys, key));
}

/* Conversations are shown as a whole by the user's own topic. */
static bool has_own_topic(const struct subscription *sub)
{
	return sub->class == TOPIC_GLOBAL || (sub->class == TOPIC_WHOLE && topics_in_conversation(sub->member));
}

size_t topics_count(const struct client *client)
{
	size_t count = (client->flags & CLIENT_GLOBAL) != 0;

	for (const struct member *member = client->members; member != NULL; member = member->next)
		for (const struct subscription *sub = member->subs; sub != NULL; sub = sub->next)
			count += !has_own_topic(sub);
	return count;
}

bool topics_have(const struct client *client, const struct topic_wish *wish)
{
	for (const struct member *member = client->members; member != NULL; member = member->next) {
		switch (wish->kind) {
		case TOPIC_KIND_CHANNEL:
			if (subscription_find(member, TOPIC_CHANNEL, wish->id) != NULL)
				return true;
			break;
		case TOPIC_KIND_USER:
		case TOPIC_KIND_TEAM: {
			uint32_t rank = wish->kind == TOPIC_KIND_USER ? RANK_USER : RANK_TEAM;
			if (stream_compare(member->feed->stream, (struct stream){rank, wish->id}) == 0 &&
				subscription_find(member, TOPIC_WHOLE, 0) != NULL)
				return true;
			break;
		}
		case TOPIC_KIND_GLOBAL:
			return (client->flags & CLIENT_GLOBAL) != 0;
		}
	}
	return false;
}

void topics_remove(struct subscribe *sub)
{
	struct client *client = sub->client;
	struct member *next = NULL;

	for (size_t i = 0; i < sub->topic_count; i++) {
		struct topic_wish *wish = &sub->topics[i];
		if (wish->status != STATUS_OK)
			continue;
		if (wish->kind == TOPIC_KIND_GLOBAL)
			client->flags &= ~CLIENT_GLOBAL;
		if (wish->kind == TOPIC_KIND_USER && wish->id == client->user->id)
			client->flags &= ~CLIENT_DIRECT;
		for (struct member *member = client->members; member != NULL; member = member->next) {
			struct subscription *found = NULL;
			if (wish->kind == TOPIC_KIND_CHANNEL)
				found = subscription_find(member, TOPIC_CHANNEL, wish->id);
			else if (wish->kind == TOPIC_KIND_GLOBAL)
				found = subscription_find(member, TOPIC_GLOBAL, 0);
			else if (topics_in_conversation(member))
				found = wish->kind == TOPIC_KIND_USER && wish->id == client->user->id
						? subscription_find(member, TOPIC_WHOLE, 0)
						: NULL;
			else if (member->feed->stream.id == wish->id &&
				 member->feed->stream.rank ==
					 (wish->kind == TOPIC_KIND_USER ? RANK_USER : RANK_TEAM))
				found = subscription_find(member, TOPIC_WHOLE, 0);
			if (found != NULL)
				subscription_remove(found);
		}
	}
	for (struct member *member = client->members; member != NULL; member = next) {
		next = member->next;
		if (!member->live || member->subs != NULL)
			continue;
		member->announced = false;
		if (member->feed->stream.rank != RANK_USER) /* that one is watched for revocations */
			member_remove(member);
	}
}
