/*
 * socket.io 5 over engine.io 4 (github.com/socketio/socket.io-protocol and engine.io-protocol), websocket from
 * the start. "0": engine.io opened; "2" and "3": its ping and pong; "40": the namespace is entered; "42": an event,
 * of which the server of tests/bench/gateway/servers has `join`, `joined` and `m`.
 */
#include "tests/bench/load_socket.h"

#include <string.h>

static void opened(struct ws *ws, struct socket *s)
{
	(void)ws;
	(void)s;
}

static void got(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	static const char message[] = "42[\"m\",", joined[] = "42[\"joined\"]";
	char text[128];
	if (starts_with(payload, length, message) && payload[length - 1] == ']')
		socket_message(ws, s, payload + sizeof(message) - 1, length - sizeof(message), at_ns);
	else if (length == 1 && payload[0] == '2')
		send_frame(ws, s, 1, "3", 1);
	else if (starts_with(payload, length, "0{"))
		send_frame(ws, s, 1, "40", 2);
	else if (starts_with(payload, length, "40{"))
		send_frame(ws, s, 1, text,
			(size_t)snprintf(text, sizeof(text), "42[\"join\",\"%s\"]", s->group->topic));
	else if (starts_with(payload, length, joined))
		socket_ready(ws, s);
	else
		socket_failed(ws, s, "got", payload, length);
}

const struct protocol protocol_socketio = {.name = "socketio",
	.before = "\"content\":\"",
	.after = "\"}}",
	.enveloped = true,
	.opened = opened,
	.got = got,
	.opcode = 1};
