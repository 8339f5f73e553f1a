/*
 * Publishing by websocket: sender number n of a group is the n-th socket of it. Such a message is not answered, so
 * it counts as acknowledged when it is sent: one that nobody gets is lost.
 */
#include "tests/bench/load_socket.h"

#include <stdlib.h>

struct publisher {
	struct load *load;
	struct ws *ws;
	struct socket **sockets; /* of each sender */
	uint32_t next;           /* rate: whose turn it is */
	int64_t next_due_ns;
};

struct publisher *publish_start(struct load *load, struct ws *ws)
{
	if (load->protocol->publish == NULL)
		return NULL;
	struct publisher *publisher = calloc(1, sizeof(*publisher));
	*publisher = (struct publisher){.load = load,
		.ws = ws,
		.sockets = calloc(load->sender_count, sizeof(struct socket *)),
		.next_due_ns = now_ns()};
	uint32_t from = 0;
	for (size_t i = 0; i < load->sender_count; i++) {
		const struct group *group = &load->groups[load->senders[i].group];
		uint32_t at = from;
		while (at < ws->count && ws->sockets[at].group != group)
			at++;
		if (at == ws->count) {
			fprintf(stderr, "load: %s has fewer sockets than senders\n", group->topic);
			exit(2);
		}
		publisher->sockets[i] = &ws->sockets[at];
		from = at + 1;
	}
	return publisher;
}

static void publish(struct publisher *publisher, uint32_t number, int64_t at_ns)
{
	struct load *load = publisher->load;
	struct sender *sender = &load->senders[number];
	char content[4096];
	if (publisher->sockets[number]->state != SOCKET_READY)
		return;
	content_write(load, number, sender->posted++, at_ns, content);
	load->protocol->publish(publisher->ws, publisher->sockets[number], sender, content);
	sender->acked++;
	if (at_ns >= load->begin_ns && at_ns < load->end_ns) {
		sender->counted++;
		load->posts++;
	}
}

int publish_turn(struct publisher *publisher, int most_ms)
{
	const struct load *load = publisher->load;
	if (load->mode == MODE_WINDOW) {
		for (uint32_t i = 0; i < load->sender_count; i++)
			if (atomic_load(&load->senders[i].delivered) >= load->senders[i].posted)
				publish(publisher, i, now_ns());
		return most_ms;
	}
	int64_t pause_ns = (int64_t)(1e9 / load->rate), now = now_ns();
	for (; publisher->next_due_ns <= now; publisher->next_due_ns += pause_ns) {
		publish(publisher, publisher->next, now);
		publisher->next = (publisher->next + 1) % (uint32_t)load->sender_count;
	}
	int64_t ms = (publisher->next_due_ns - now) / 1000000 + 1;
	return ms < most_ms ? (int)ms : most_ms;
}

void publish_finish(struct publisher *publisher)
{
	if (publisher == NULL)
		return;
	free(publisher->sockets);
	free(publisher);
}
