/*
 * frame - see frame.h.
 */
#include "services/gateway/frame.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#define CONTROL_MAX 125 /* RFC 6455, section 5.5 */

/* The fragments of an unfinished message. */
struct frame_message {
	enum frame_opcode opcode;
	struct utf8 utf8;
	bool finished; /* handed out; let go at the next step */
	size_t length, capacity;
	uint8_t *bytes;
};

bool utf8_feed(struct utf8 *state, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		uint8_t c = bytes[i];
		if (state->need > 0) {
			if (c < state->low || c > state->high)
				return false;
			state->need--;
			state->low = 0x80;
			state->high = 0xbf;
			continue;
		}
		if (c < 0x80)
			continue;
		state->low = 0x80;
		state->high = 0xbf;
		if (c >= 0xc2 && c <= 0xdf) {
			state->need = 1;
		} else if (c >= 0xe0 && c <= 0xef) {
			state->need = 2;
			if (c == 0xe0)
				state->low = 0xa0; /* no overlong forms */
			else if (c == 0xed)
				state->high = 0x9f; /* no surrogates */
		} else if (c >= 0xf0 && c <= 0xf4) {
			state->need = 3;
			if (c == 0xf0)
				state->low = 0x90;
			else if (c == 0xf4)
				state->high = 0x8f; /* at most U+10FFFF */
		} else {
			return false;
		}
	}
	return true;
}

static void message_free(struct frame_message *message)
{
	if (message == NULL)
		return;
	free(message->bytes);
	free(message);
}

void frame_parser_finish(struct frame_parser *parser)
{
	message_free(parser->message);
	parser->message = NULL;
}

static enum frame_step failed(struct frame_in *out, uint16_t code)
{
	out->code = code;
	return FRAME_STEP_FAILED;
}

static void unmask(uint8_t *bytes, size_t length, const uint8_t mask[4])
{
	uint64_t wide;
	uint8_t twice[8];
	size_t i = 0;

	memcpy(twice, mask, 4);
	memcpy(twice + 4, mask, 4);
	memcpy(&wide, twice, sizeof wide);
	for (; i + 8 <= length; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, sizeof word);
		word ^= wide;
		memcpy(bytes + i, &word, sizeof word);
	}
	for (; i < length; i++)
		bytes[i] ^= mask[i & 3];
}

/* May a peer send this code? 1012..1014 are registered since the RFC. */
static bool code_is_sendable(uint16_t code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

static enum frame_step control(enum frame_opcode opcode, struct frame_in *out)
{
	out->code = 0;
	if (opcode == FRAME_CLOSE && out->length > 0) {
		if (out->length == 1)
			return failed(out, FRAME_CLOSE_PROTOCOL);
		uint16_t code = (uint16_t)(out->bytes[0] << 8 | out->bytes[1]);
		if (!code_is_sendable(code))
			return failed(out, FRAME_CLOSE_PROTOCOL);
		struct utf8 utf8 = {0};
		if (!utf8_feed(&utf8, out->bytes + 2, out->length - 2) || !utf8_done(&utf8))
			return failed(out, FRAME_CLOSE_BAD_TEXT);
		out->code = code;
	}
	out->opcode = opcode;
	return FRAME_STEP_CONTROL;
}

static void *grown(void *old, size_t bytes)
{
	void *p = realloc(old, bytes);

	if (p == NULL) {
		log_error("out_of_memory", LOG_U64("bytes", bytes));
		abort();
	}
	return p;
}

/* A fragment joins those before it. */
static enum frame_step fragment(
	struct frame_parser *parser, enum frame_opcode opcode, bool fin, struct frame_in *out)
{
	struct frame_message *message = parser->message;

	if (message == NULL) {
		message = grown(NULL, sizeof *message);
		*message = (struct frame_message){.opcode = opcode};
		parser->message = message;
	}
	if (message->opcode == FRAME_TEXT && !utf8_feed(&message->utf8, out->bytes, out->length))
		return failed(out, FRAME_CLOSE_BAD_TEXT);
	if (message->length + out->length > message->capacity) {
		/* Doubling, so that many small fragments do not copy the message each time. */
		size_t capacity = message->capacity * 2;
		if (capacity < message->length + out->length)
			capacity = message->length + out->length;
		message->bytes = grown(message->bytes, capacity);
		message->capacity = capacity;
	}
	if (out->length > 0)
		memcpy(message->bytes + message->length, out->bytes, out->length);
	message->length += out->length;
	if (!fin)
		return FRAME_STEP_NOTHING;
	if (message->opcode == FRAME_TEXT && !utf8_done(&message->utf8))
		return failed(out, FRAME_CLOSE_BAD_TEXT);
	message->finished = true;
	out->opcode = message->opcode;
	out->bytes = message->bytes;
	out->length = message->length;
	return FRAME_STEP_MESSAGE;
}

enum frame_step frame_next(
	struct frame_parser *parser, uint8_t *bytes, size_t length, size_t most_bytes, struct frame_in *out)
{
	*out = (struct frame_in){.need = 2};
	if (parser->message != NULL && parser->message->finished)
		frame_parser_finish(parser);
	if (length < 2)
		return FRAME_STEP_MORE;

	bool fin = (bytes[0] & 0x80) != 0;
	uint8_t opcode = bytes[0] & 0x0f;
	uint64_t payload = bytes[1] & 0x7f;
	bool is_control = (opcode & 8) != 0;

	if ((bytes[0] & 0x70) != 0 || (bytes[1] & 0x80) == 0)
		return failed(out, FRAME_CLOSE_PROTOCOL); /* a reserved bit, or not masked */
	if (opcode > FRAME_PONG || (opcode > FRAME_BINARY && opcode < FRAME_CLOSE))
		return failed(out, FRAME_CLOSE_PROTOCOL);
	if (is_control && (!fin || payload > CONTROL_MAX))
		return failed(out, FRAME_CLOSE_PROTOCOL);
	if (!is_control && (opcode == FRAME_CONTINUATION) != (parser->message != NULL))
		return failed(out, FRAME_CLOSE_PROTOCOL);

	size_t header = 2 + 4;
	if (payload == 126) {
		header += 2;
		out->need = 4;
		if (length < 4)
			return FRAME_STEP_MORE;
		payload = (uint64_t)bytes[2] << 8 | bytes[3];
		if (payload < 126)
			return failed(out, FRAME_CLOSE_PROTOCOL); /* section 5.2: the shortest form */
	} else if (payload == 127) {
		header += 8;
		out->need = 10;
		if (length < 10)
			return FRAME_STEP_MORE;
		payload = 0;
		for (int i = 2; i < 10; i++)
			payload = payload << 8 | bytes[i];
		if (payload < 65536 || payload >> 63 != 0)
			return failed(out, FRAME_CLOSE_PROTOCOL);
	}
	size_t before = !is_control && parser->message != NULL ? parser->message->length : 0;
	if (!is_control && (payload > most_bytes || before > most_bytes - payload))
		return failed(out, FRAME_CLOSE_TOO_BIG);
	out->need = header + (size_t)payload;
	if (length < out->need)
		return FRAME_STEP_MORE;

	out->consumed = out->need;
	out->bytes = bytes + header;
	out->length = (size_t)payload;
	unmask(out->bytes, out->length, bytes + header - 4);
	if (is_control)
		return control((enum frame_opcode)opcode, out);
	if (opcode == FRAME_CONTINUATION || !fin)
		return fragment(parser, (enum frame_opcode)opcode, fin, out);
	if (opcode == FRAME_TEXT) {
		struct utf8 utf8 = {0};
		if (!utf8_feed(&utf8, out->bytes, out->length) || !utf8_done(&utf8))
			return failed(out, FRAME_CLOSE_BAD_TEXT);
	}
	out->opcode = (enum frame_opcode)opcode;
	return FRAME_STEP_MESSAGE;
}

struct frame *frame_make(enum frame_opcode opcode, const void *payload, size_t length)
{
	size_t header = length < 126 ? 2 : length < 65536 ? 4 : 10;
	struct frame *frame = frame_alloc(header + length);

	frame->bytes[0] = (uint8_t)(0x80 | opcode);
	if (header == 2) {
		frame->bytes[1] = (uint8_t)length;
	} else if (header == 4) {
		frame->bytes[1] = 126;
		frame->bytes[2] = (uint8_t)(length >> 8);
		frame->bytes[3] = (uint8_t)length;
	} else {
		frame->bytes[1] = 127;
		for (int i = 0; i < 8; i++)
			frame->bytes[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
	}
	if (length > 0)
		memcpy(frame->bytes + header, payload, length);
	return frame;
}

struct frame *frame_make_close(uint16_t code, const char *reason)
{
	uint8_t payload[CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
	size_t length = reason != NULL ? strlen(reason) : 0;

	if (length > CONTROL_MAX - 2) {
		length = CONTROL_MAX - 2;
		while (length > 0 && ((uint8_t)reason[length] & 0xc0) == 0x80)
			length--;
	}
	if (length > 0)
		memcpy(payload + 2, reason, length);
	return frame_make(FRAME_CLOSE, payload, 2 + length);
}
