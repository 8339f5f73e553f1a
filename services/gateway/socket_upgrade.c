/*
 * socket_upgrade - the request that a client begins with: whose it is, whether it is one too many, which dialect it asks for. See
 * socket_parts.h.
 */
#include <stdlib.h>
#include <string.h>

#include "common/ops/ops.h"
#include "services/gateway/deflate.h"
#include "services/gateway/memory.h"
#include "services/gateway/socket_parts.h"

void socket_refuse(struct sockets *sockets, struct socket *s, int code)
{
	char text[512];
	size_t length = handshake_refuse(code, text, sizeof text);

	socket_say_last(sockets, s, text, length);
}

/* 0, or the HTTP status to refuse the upgrade with. */
static int judge(struct sockets *sockets, struct socket *s, const struct handshake *hs)
{
	struct socket_limits *limits = sockets->options.limits;
	int64_t now_mono_ms = sockets->hub->now_mono_ms;

	if (!s->entered) { /* a proxy's: now it is known for whom it speaks */
		s->key = limits_key(limits, &s->peer, hs->forwarded, hs->forwarded_count);
		if (!limits_enter(limits, s->key, now_mono_ms)) {
			metric_add(ws_refused_address_sockets, 1);
			return 429;
		}
		s->entered = true;
	}
	int code = limits_handshake(limits, s->key, now_mono_ms);
	if (code == 429)
		metric_add(ws_refused_address_rate, 1);
	else if (code != 0)
		metric_add(ws_refused_rate, 1);
	return code;
}

bool socket_upgrade(struct sockets *sockets, struct socket *s, char *bytes, size_t length)
{
	struct client *client = &s->client;
	struct handshake hs;
	int code = handshake_parse(bytes, length, &hs);
	size_t no = 0;

	if (code != 101) {
		metric_add(ws_refused_request, 1);
		socket_refuse(sockets, s, code);
		return false;
	}
	code = judge(sockets, s, &hs);
	if (code != 0) {
		socket_refuse(sockets, s, code);
		return false;
	}
	while (no < dialect_count && !dialects[no]->accepts(hs.path))
		no++;
	if (no == dialect_count) {
		metric_add(ws_refused_request, 1);
		socket_refuse(sockets, s, 404);
		return false;
	}
	if (!origins_allow(sockets->options.origins, hs.origin)) {
		metric_add(ws_refused_origin, 1);
		socket_refuse(sockets, s, 403);
		return false;
	}
	if (client->hub->draining) {
		metric_add(ws_refused_draining, 1);
		socket_refuse(sockets, s, 503);
		return false;
	}
	if (!client_connected(client, no, &hs)) {
		metric_add(ws_refused_request, 1);
		socket_refuse(sockets, s, 400);
		return false;
	}
	if (client->hub->deflate == NULL || (client->flags & CLIENT_PLAIN) != 0)
		hs.extensions = (struct extensions){0};
	client->deflate = (uint8_t)hs.extensions.deflate;
	s->parser.deflate = client->deflate != DEFLATE_NONE;
	/* Past the queue: a close that throws the queue away must not take the answer along. An empty kernel
	 * buffer has room. */
	char text[384];
	size_t accepted = handshake_accept(hs.key, &hs.extensions, text, sizeof text);
	if (client->door != DOOR_NONE) {
		s->answer = memory_text(text);
		s->handshaken = true;
		return true;
	}
	if (!socket_say(sockets, s, text, accepted)) {
		client_end(client);
		return false;
	}
	s->handshaken = true;
	return true;
}
