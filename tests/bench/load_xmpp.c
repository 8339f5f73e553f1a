/*
 * XMPP over websockets (RFC 7395), one stanza in a frame: SASL ANONYMOUS, a resource, a room (XEP-0045) that is
 * the group's topic. Every socket is an occupant of the room, and some of them speak. A stanza names who it is for, so
 * what all must get alike is the body.
 */
#include "tests/bench/load_socket.h"

#include <string.h>

enum step { STEP_AUTHENTICATE, STEP_BIND, STEP_JOIN, STEP_ENTER };

static void say(struct ws *ws, struct socket *s, const char *text)
{
	send_frame(ws, s, 1, text, strlen(text));
}

static void opened(struct ws *ws, struct socket *s)
{
	say(ws, s, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>");
}

static void join(struct ws *ws, struct socket *s)
{
	char text[256];
	snprintf(text, sizeof(text),
		"<presence to='%s/s%zu'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
		s->group->topic, (size_t)(s - ws->sockets));
	s->step = STEP_ENTER;
	say(ws, s, text);
}

static void message(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	static const char begin[] = "<body>", end[] = "</body>";
	const uint8_t *body = memmem(payload, length, begin, sizeof(begin) - 1);
	const uint8_t *behind = memmem(payload, length, end, sizeof(end) - 1);
	if (body == NULL || behind == NULL || !has_text(payload, length, s->group->topic)) {
		ws->load->faults.corrupt++;
		return;
	}
	socket_message(ws, s, body, (size_t)(behind + sizeof(end) - 1 - body), at_ns);
}

static void got(struct ws *ws, struct socket *s, const uint8_t *payload, size_t length, int64_t at_ns)
{
	bool features = starts_with(payload, length, "<stream:features");
	if (starts_with(payload, length, "<message ") && has_text(payload, length, "<body>")) {
		message(ws, s, payload, length, at_ns);
		return;
	}
	ws->load->others++;
	if (has_text(payload, length, "type='error'") || starts_with(payload, length, "<failure") ||
		starts_with(payload, length, "<stream:error"))
		socket_failed(ws, s, "got", payload, length);
	else if (features && s->step == STEP_AUTHENTICATE) {
		s->step = STEP_BIND;
		say(ws, s, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
	} else if (starts_with(payload, length, "<success"))
		opened(ws, s);
	else if (features && s->step == STEP_BIND) {
		s->step = STEP_JOIN;
		say(ws, s,
			"<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
	} else if (starts_with(payload, length, "<iq ") && s->step == STEP_JOIN)
		join(ws, s);
	/* The subject is the last that a room says to who enters. */
	else if (s->step == STEP_ENTER && s->state != SOCKET_READY &&
		 starts_with(payload, length, "<message ") && has_text(payload, length, "<subject"))
		socket_ready(ws, s);
}

static void publish(struct ws *ws, struct socket *s, const struct sender *sender, const char *content)
{
	char text[ENVELOPE_SIZE];
	(void)sender;
	snprintf(text, sizeof(text),
		"<message xmlns='jabber:client' to='%s' type='groupchat'><body>%.*s</body></message>",
		s->group->topic, (int)ws->load->content_bytes, content);
	say(ws, s, text);
}

const struct protocol protocol_xmpp = {.name = "xmpp",
	.subprotocol = "xmpp",
	.before = "<body>",
	.after = "</body>",
	.opened = opened,
	.got = got,
	.publish = publish,
	.opcode = 1};
