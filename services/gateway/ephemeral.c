/*
 * ephemeral - events that are told once and not kept: who types, who is there. They have no place in a stream's order, are the first to be
 * let go, and reach nobody twice. See stream.h.
 */
#include "services/gateway/deliver.h"

/* Whose presence it is learns it by his own topic, with his choice and once, whatever else shows it to him. */
static bool hears_of_himself(const struct client *client)
{
	const struct member *member = member_find(client, STREAM_USER(client->user->id));

	return member != NULL && member->subs != NULL;
}

/* Appends to everybody of a list who was not reached by another target or list. subject: comes elsewhere to who hears of himself; 0:
 * nobody. Closes nobody. */
static void ephemeral_list(
	struct hub *hub, struct delivery *d, const struct topic_list *list, uint64_t stamp, uint64_t subject)
{
	for (uint32_t i = list != NULL ? list->count : 0; i-- > 0;) {
		const struct topic_entry *entry = &list->entries[i];
		struct client *client = entry->client;
		if (client->stamp == stamp ||
			(entry->keys != NULL && !key_set_holds(entry->keys, d->key, d->serial)))
			continue;
		if ((client->user->id == subject && hears_of_himself(client)) || !event_allows(d->body, client))
			continue;
		client->stamp = stamp;
		struct frame *frame = delivery_frame(hub, d, client);
		if (frame == NULL)
			continue;
		if (entry->sub->member->catchup == NULL)
			client_append_ephemeral(client, frame, d->bulk);
	}
}

void stream_ephemeral(struct hub *hub, struct bus_event *ev)
{
	const pb_EphemeralEvent *ephemeral = bus_event_ephemeral(ev);
	const pb_Event *body = bus_event_body(ev);
	uint64_t stamp = ++hub->last_serial;

	if (ephemeral == NULL || body == NULL)
		return;
	for (pb_size_t t = 0; t < ephemeral->targets_count; t++) {
		const pb_Target *target = &ephemeral->targets[t];
		struct stream s = {target->rank, target->stream_id};
		struct feed *feed = feed_find(hub, s);
		if (feed == NULL || target->audience == NULL)
			continue;
		struct logged_event logged = {
			.stream = s, .kind = ephemeral->kind, .at_ms = (int64_t)ephemeral->at_ms};
		uint32_t key = feed->constant ? 0 : key_find(feed->keys, target->audience);
		if (key == KEY_NONE)
			continue;
		uint64_t subject = body->which_body == EVENT_KIND_presence_changed && s.rank != RANK_USER
					   ? body->body.presence_changed.user.id
					   : 0;
		for (size_t no = 0; no < dialect_count; no++) {
			struct topic_lists *lists = feed->topics[no];
			struct placement place = {0};
			if (lists == NULL || !dialects[no]->place(&logged, body, &place))
				continue;
			struct delivery d = {
				.logged = &logged, .body = body, .serial = ++hub->last_serial, .key = key};
			struct topic_list *channel =
				place.channel_id != 0 ? table_get(&lists->channels, place.channel_id) : NULL;
			d.bulk = (channel != NULL ? channel->count : 0) + lists->whole.count >
				 hub->options.slice;
			if (place.whole)
				ephemeral_list(hub, &d, &lists->whole, stamp, subject);
			ephemeral_list(hub, &d, channel, stamp, subject);
			if (place.global)
				ephemeral_list(hub, &d, &lists->global, stamp, subject);
			for (size_t i = 0; i < DIALECT_VARIANTS; i++)
				frame_unref(d.frames[i]);
		}
	}
}
