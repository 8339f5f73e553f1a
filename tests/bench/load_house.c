/*
 * The house dialect (docs/dialects/house.md): what a socket of ours says and hears, resuming included.
 */
#include "tests/bench/load_socket.h"

#include <string.h>

#define BUSY_NS 100000000LL /* before a subscription is tried again */

static bool type_is(const uint8_t *payload, size_t length, const char *type)
{
	char text[64];
	int size = snprintf(text, sizeof(text), "\"type\":\"%s\"", type);
	return memmem(payload, length < 128 ? length : 128, text, (size_t)size) != NULL;
}

static void subscribe(struct ws *ws, struct socket *s)
{
	const char *since = ws->load->since;
	char text[900];
	int size = snprintf(text, sizeof(text), "{\"op\":\"subscribe\",\"topics\":[\"%s\"]%s%s,\"ref\":1}", s->group->topic,
		*since ? ",\"since\":" : "", since);
	s->state = SOCKET_SUBSCRIBING;
	send_frame(ws, s, 1, text, (size_t)size);
}

/* As a client would: what is busy is asked again a little later. */
static void subscribe_later(struct ws *ws, struct socket *s)
{
	ws->load->busy++;
	s->state = SOCKET_BUSY;
	s->again_ns = now_ns() + BUSY_NS;
	s->next_busy = NULL;
	*ws->last_busy = s;
	ws->last_busy = &s->next_busy;
}

void house_subscribe_again(struct ws *ws)
{
	while (ws->first_busy != NULL && ws->first_busy->again_ns <= now_ns()) {
		struct socket *s = ws->first_busy;
		ws->first_busy = s->next_busy;
		if (ws->first_busy == NULL)
			ws->last_busy = &ws->first_busy;
		if (s->state == SOCKET_BUSY)
			subscribe(ws, s);
	}
}

static void other_text(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length)
{
	static const char busy[] = "\"code\":\"busy\"";
	ws->load->others++;
	if (s->state == SOCKET_SUBSCRIBING && type_is(payload, length, "error") &&
		memmem(payload, length, busy, sizeof(busy) - 1) != NULL)
		subscribe_later(ws, s);
	else if (type_is(payload, length, "error"))
		socket_failed(ws, s, "got", payload, length);
	else if (s->state == SOCKET_HELLO && type_is(payload, length, "hello"))
		subscribe(ws, s);
	else if (s->state == SOCKET_SUBSCRIBING && type_is(payload, length, "subscribed")) {
		static const char not_recovered[] = "\"recovered\":false";
		if (*ws->load->since && memmem(payload, length, not_recovered, sizeof(not_recovered) - 1) != NULL)
			socket_failed(ws, s, "was not recovered", payload, length);
		s->state = SOCKET_READY;
		if (ws->load->missed == 0)
			socket_ready(ws, s);
	}
}

/* What a socket missed: the same bytes in the same order for all of them. */
static void resumed(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length)
{
	if (s->resumed == ws->load->missed) {
		ws->load->faults.doubled++;
		return;
	}
	for (size_t i = 0; i < length; i++)
		s->hash = (s->hash ^ payload[i]) * 0x100000001b3;
	if (++s->resumed == ws->load->missed)
		socket_ready(ws, s);
}

static void got(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	static const char message[] = "{\"type\":\"channel_message\"";
	bool is_message = length > sizeof(message) - 1 && memcmp(payload, message, sizeof(message) - 1) == 0;
	if (is_message && ws->load->missed > 0)
		resumed(ws, s, payload, length);
	else if (is_message)
		socket_message(ws, s, payload, length, at_ns);
	else
		other_text(ws, s, payload, length);
}

/* The server speaks first. */
static void opened(struct ws *ws, struct socket *s)
{
	(void)ws;
	(void)s;
}

const struct protocol protocol_house = {.name = "house",
	.before = "\"content\":\"",
	.after = "\"}}",
	.enveloped = true,
	.opened = opened,
	.got = got,
	.opcode = 1};
