/*
 * crust_list - the answer to `channels`: those of the team that its user may see, then his conversations, each with what is his own.
 * See crust.h.
 */
#include <stdlib.h>

#include "common/dialects/crust/order.h"
#include "common/dialects/crust/shapes.h"
#include "services/gateway/client.h"
#include "services/gateway/dialects/crust.h"
#include "services/gateway/memory.h"
#include "services/gateway/slots.h"

struct listing {
	struct crust_asked asked; /* first */
	struct arena *mem;
	const pb_Rights **rights;
	size_t count, capacity;
	bool conversations; /* they are being asked for */
};

static void listed(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why);

static void listing_ask(struct client *client, struct listing *listing)
{
	const struct crust_session *session = client->session;
	struct hub *hub = client->hub;
	pb_JudgeManyRequest request = {.user_id = client->user->id,
		.team_id = listing->conversations ? 0 : session->team_id,
		.conversations = listing->conversations,
		.members = true};

	hub->options.ports->ask_act(
		hub->options.arg, hub_ask(hub, &listing->asked.question), client, ACT_judge_many, &request);
}

static bool is_listed(const pb_Rights *rights)
{
	const pb_ChannelView *channel = &rights->channel;

	return rights->has_channel && rights->status == STATUS_OK && channel->archived_at_ms == 0 &&
	       channel->deleted_at_ms == 0 &&
	       (channel->kind == CHANNEL_TEXT || channel->kind == CHANNEL_DIRECT || channel->kind == CHANNEL_GROUP);
}

/* A copy that outlives the answer. */
static void listing_take(struct listing *listing, const pb_JudgeManyReply *got)
{
	for (pb_size_t i = 0; i < got->rights_count; i++) {
		const uint8_t *bytes = NULL;
		size_t length = 0;
		pb_Rights *copy = ARENA_NEW(listing->mem, pb_Rights);
		if (!is_listed(&got->rights[i]) ||
			pb_encode_arena(listing->mem, pb_Rights_fields, &got->rights[i], &bytes, &length) != STATUS_OK ||
			pb_decode_arena(listing->mem, pb_Rights_fields, copy, bytes, length) != STATUS_OK)
			continue;
		if (listing->count == listing->capacity) {
			size_t capacity = listing->capacity == 0 ? 64 : listing->capacity * 2;
			listing->rights = arena_grow(listing->mem, listing->rights,
				listing->count * sizeof(const pb_Rights *), capacity * sizeof(const pb_Rights *));
			listing->capacity = capacity;
		}
		listing->rights[listing->count++] = copy;
	}
}

static int by_name(const void *a, const void *b)
{
	return crust_channel_order(&(*(const pb_Rights *const *)a)->channel, &(*(const pb_Rights *const *)b)->channel);
}

static void listing_send(struct client *client, struct listing *listing)
{
	struct json_writer w;
	size_t length = 0;

	qsort(listing->rights, listing->count, sizeof *listing->rights, by_name);
	crust_begin(&w, listing->mem, 1024);
	jw_object(&w);
	jw_key(&w, "channels");
	jw_array(&w);
	for (size_t i = 0; i < listing->count; i++) {
		const pb_Rights *rights = listing->rights[i];
		const struct slot *slot = slots_find(client->user, rights->channel_id);
		struct crust_channel_own own = {.bits = {rights->bits.low, rights->bits.high}};
		pb_ChannelView channel = rights->channel;
		channel.member_ids = rights->member_ids;
		channel.member_ids_count = rights->member_ids_count;
		if (slot != NULL) {
			own.flag = slot->flag;
			own.unread = (struct crust_unread){.last_message_id = slot->last_read_id,
				.count = slot_unread(slot),
				.thread_count = slot->thread_count,
				.thread_total = slot->thread_total};
		}
		crust_channel(&w, &channel, &own);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	const char *text = jw_end(&w, &length);
	client_send_text(client, text, length);
}

static void listed(struct hub *hub, struct question *question, enum status st, const void *reply, const char *why)
{
	struct listing *listing = (struct listing *)question;
	struct client *client = crust_who_asked(hub, &listing->asked);

	if (client != NULL && st == STATUS_OK) {
		listing_take(listing, reply);
		if (!listing->conversations) {
			listing->conversations = true;
			listing_ask(client, listing);
			return;
		}
		listing_send(client, listing);
	} else if (client != NULL) {
		crust_refused(client, &listing->asked, st, why);
	}
	arena_destroy(listing->mem);
	free(listing);
}

void crust_list_channels(struct client *client)
{
	struct listing *listing = memory_new(sizeof *listing);

	*listing = (struct listing){.asked = {.question.answered = listed, .socket_id = client->socket_id, .missing = CRUST_NO_CHANNEL}, .mem = arena_create()};
	listing_ask(client, listing);
}
