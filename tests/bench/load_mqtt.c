/*
 * MQTT 3.1.1 over websockets (OASIS standard, sections 3 and 6), QoS 0: a message is not acknowledged, as a
 * broadcast is not either. The broker writes each packet as one binary frame; another way is a failure, not a fault.
 */
#include "tests/bench/load_socket.h"

#include <string.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, SUBSCRIBE = 0x82, SUBACK = 0x90 };

static size_t put_length(uint8_t *out, size_t length)
{
	size_t n = 0;

	do {
		out[n] = (uint8_t)(length & 0x7f);
		length >>= 7;
		out[n++] |= length > 0 ? 0x80 : 0;
	} while (length > 0);
	return n;
}

static size_t put_text(uint8_t *out, const char *text)
{
	size_t length = strlen(text);

	out[0] = (uint8_t)(length >> 8);
	out[1] = (uint8_t)length;
	memcpy(out + 2, text, length);
	return length + 2;
}

static void send_packet(struct ws *ws, struct socket *s, uint8_t type, const uint8_t *body, size_t length)
{
	uint8_t packet[ENVELOPE_SIZE + 256];
	packet[0] = type;
	size_t at = 1 + put_length(packet + 1, length);
	memcpy(packet + at, body, length);
	send_frame(ws, s, 2, packet, at + length);
}

static void opened(struct ws *ws, struct socket *s)
{
	char name[16];
	/* Protocol name and level, a clean session, no keep-alive. */
	uint8_t body[32] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0};
	snprintf(name, sizeof(name), "s%zu", (size_t)(s - ws->sockets));
	send_packet(ws, s, CONNECT, body, 10 + put_text(body + 10, name));
}

static void subscribe(struct ws *ws, struct socket *s)
{
	uint8_t body[128] = {0, 1};
	size_t length = 2 + put_text(body + 2, s->group->topic);
	body[length++] = 0;
	send_packet(ws, s, SUBSCRIBE, body, length);
}

/* Behind the topic; NULL when this is no message for the socket's group. */
static const uint8_t *message_of(const struct socket *s, const uint8_t *body, size_t length)
{
	size_t topic = strlen(s->group->topic);
	if (length < 2 + topic || ((size_t)body[0] << 8 | body[1]) != topic ||
		memcmp(body + 2, s->group->topic, topic) != 0)
		return NULL;
	return body + 2 + topic;
}

static void got(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	size_t size = 0, at = 1;
	for (unsigned shift = 0; at < length && shift < 28; shift += 7) {
		size |= (size_t)(payload[at] & 0x7f) << shift;
		if ((payload[at++] & 0x80) == 0)
			break;
	}
	const uint8_t *body = payload + at, *message;
	if (length < 2 || size != length - at)
		socket_failed(ws, s, "got a frame that is not one packet", NULL, 0);
	else if (payload[0] == CONNACK && size == 2 && body[1] == 0)
		subscribe(ws, s);
	else if (payload[0] == SUBACK && size == 3 && body[2] == 0)
		socket_ready(ws, s);
	else if (payload[0] == PUBLISH && (message = message_of(s, body, size)) != NULL)
		socket_message(ws, s, message, (size_t)(body + size - message), at_ns);
	else
		socket_failed(ws, s, "got another packet", NULL, 0);
}

static void publish(struct ws *ws, struct socket *s, const struct sender *sender, const char *content)
{
	uint8_t body[ENVELOPE_SIZE + 128];
	size_t length = put_text(body, s->group->topic);
	length += envelope_write(ws->load, sender, content, (char *)body + length);
	send_packet(ws, s, PUBLISH, body, length);
}

const struct protocol protocol_mqtt = {.name = "mqtt",
	.subprotocol = "mqtt",
	.before = "\"content\":\"",
	.after = "\"}}",
	.enveloped = true,
	.opened = opened,
	.got = got,
	.publish = publish,
	.opcode = 2};
