/*
 * nginx with nchan: the path of the upgrade subscribes (nchan_subscriber), a text frame is a message as it was
 * posted (nchan_publisher).
 */
#include "tests/bench/load_socket.h"

static void opened(struct ws *ws, struct socket *s)
{
	socket_ready(ws, s);
}

static void got(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	socket_message(ws, s, payload, length, at_ns);
}

const struct protocol protocol_nchan = {.name = "nchan",
	.before = "\"content\":\"",
	.after = "\"}}",
	.enveloped = true,
	.posts_envelope = true,
	.opened = opened,
	.got = got,
	.opcode = 1};
