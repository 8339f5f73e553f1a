/*
 * client_send - see client_parts.h: what goes to a client, and what is done when it does not take it.
 */
#include "services/gateway/client_parts.h"

#include <stdlib.h>

#include "common/ops/ops.h"
#include "services/gateway/catchup.h"
#include "services/gateway/deflate.h"
#include "services/gateway/memory.h"

#define RECENT_IDS 8 /* copies of one event come close together */

void client_list_add(struct client_list *list, struct client *client)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity == 0 ? 64 : list->capacity * 2;
		list->items = memory_resize(list->items, list->capacity * sizeof *list->items);
	}
	list->items[list->count++] = client;
}

void client_list_finish(struct client_list *list)
{
	free(list->items);
	*list = (struct client_list){0};
}

bool client_first_copy(struct client *client, uint64_t event_id)
{
	if (event_id == 0)
		return true;
	if (client->recent == NULL)
		client->recent = memory_new(RECENT_IDS * sizeof *client->recent);
	for (size_t i = 0; i < RECENT_IDS; i++)
		if (client->recent[i] == event_id)
			return false;
	client->recent[client->recent_at] = event_id;
	client->recent_at = (uint8_t)((client->recent_at + 1) % RECENT_IDS);
	return true;
}

void client_mark(struct client *client, bool bulk)
{
	struct hub *hub = client->hub;

	if (bulk) {
		if ((client->flags & (CLIENT_IN_BULK | CLIENT_IN_URGENT | CLIENT_BLOCKED)) == 0) {
			client->flags |= CLIENT_IN_BULK;
			client_list_add(&hub->bulk, client);
		}
	} else if ((client->flags & (CLIENT_IN_URGENT | CLIENT_BLOCKED)) == 0) {
		client->flags |= CLIENT_IN_URGENT;
		client_list_add(&hub->urgent, client);
	}
}

bool client_append(struct client *client, struct frame *frame, bool bulk)
{
	struct hub *hub = client->hub;

	if (client->state != CLIENT_READY)
		return false;
	if (client->deflate != DEFLATE_NONE)
		frame = deflate_frame(hub->deflate, frame, (enum deflate_class)client->deflate);
	if (!queue_push(&hub->pool, &client->queue, frame, hub->options.queue_bytes)) {
		client_stuck(client);
		return false;
	}
	client_mark(client, bulk);
	hub->events_sent++;
	return true;
}

void client_append_ephemeral(struct client *client, struct frame *frame, bool bulk)
{
	struct hub *hub = client->hub;
	uint32_t half = hub->options.queue_bytes / 2;

	if ((hub->pressed && client->queue.bytes > 0) || client->queue.bytes > half || frame->length > half)
		hub->ephemeral_shed++;
	else
		client_append(client, frame, bulk);
}

void client_send(struct client *client, struct frame *frame)
{
	struct hub *hub = client->hub;

	if (client->state <= CLIENT_READY) {
		if (queue_push(&hub->pool, &client->queue, frame, hub->options.queue_bytes))
			client_mark(client, false);
		else
			client_stuck(client);
	}
	frame_unref(frame);
}

void client_send_text(struct client *client, const char *text, size_t length)
{
	client_send(client, frame_make(FRAME_TEXT, text, length));
}

void client_stuck(struct client *client)
{
	metric_add(ws_slow_readers, 1);
	client_close(client, CLOSE_SLOW_READER, true);
}

static int longest_first(const void *a, const void *b)
{
	uint32_t left = (*(struct client *const *)a)->queue.bytes, right = (*(struct client *const *)b)->queue.bytes;

	return (left < right) - (left > right);
}

void clients_relieve(struct hub *hub, struct client **clients, size_t count, uint64_t target)
{
	qsort(clients, count, sizeof *clients, longest_first);
	for (size_t i = 0; i < count && hub->pool.bytes > target; i++) {
		metric_add(ws_queue_relieved, 1);
		client_stuck(clients[i]);
	}
}

void client_drained(struct client *client)
{
	struct member *next = NULL;

	client->flags &= ~CLIENT_CATCHING;
	for (struct member *member = client->members; member != NULL; member = next) {
		next = member->next;
		if (member->catchup == NULL)
			continue;
		client->flags |= CLIENT_CATCHING;
		catchup_pump(member); /* clears it again when the last one is done */
		if (client->state != CLIENT_READY)
			return;
	}
}
