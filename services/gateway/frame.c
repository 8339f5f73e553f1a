/*
 * frame - see frame.h.
 */
#include "services/gateway/frame.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#define CONTROL_MAX      125  /* RFC 6455, section 5.5 */
#define FRAME_COMPRESSED 0x40 /* RSV1: RFC 7692, section 6 */
#define FRAME_TEXTS_MOST 1024 /* of one event: as many as it may name messages or reactions */

/* The fragments of an unfinished message. */
struct frame_message {
	enum frame_opcode opcode;
	bool compressed;
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
		*message = (struct frame_message){.opcode = opcode, .compressed = out->compressed};
		parser->message = message;
	}
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
	message->finished = true;
	out->opcode = message->opcode;
	out->compressed = message->compressed;
	out->bytes = message->bytes;
	out->length = message->length;
	return FRAME_STEP_MESSAGE;
}

/* The text of a frame as far as it is here, still masked: the first wrong byte ends the connection, although more of the frame
 * is to come. */
static bool text_so_far(struct frame_parser *parser, const uint8_t *bytes, size_t length, const uint8_t mask[4])
{
	while (parser->checked < length) {
		uint8_t plain[256];
		size_t count = length - parser->checked;
		if (count > sizeof plain)
			count = sizeof plain;
		for (size_t i = 0; i < count; i++)
			plain[i] = bytes[parser->checked + i] ^ mask[(parser->checked + i) & 3];
		if (!utf8_feed(&parser->utf8, plain, count))
			return false;
		parser->checked += (uint32_t)count;
	}
	return true;
}

/* What the first two bytes say. False: they break a rule. */
static bool header_is_fine(const struct frame_parser *parser, const uint8_t bytes[2])
{
	bool fin = (bytes[0] & 0x80) != 0;
	uint8_t reserved = bytes[0] & 0x70, opcode = bytes[0] & 0x0f;
	bool begins = opcode == FRAME_TEXT || opcode == FRAME_BINARY;

	if (reserved != 0 && !(reserved == FRAME_COMPRESSED && parser->deflate && begins))
		return false;
	if ((bytes[1] & 0x80) == 0) /* not masked */
		return false;
	if (opcode > FRAME_PONG || (opcode > FRAME_BINARY && opcode < FRAME_CLOSE))
		return false;
	if (opcode >= FRAME_CLOSE)
		return fin && (bytes[1] & 0x7f) <= CONTROL_MAX;
	return begins == (parser->message == NULL);
}

enum frame_step frame_next(
	struct frame_parser *parser, uint8_t *bytes, size_t length, size_t most_bytes, struct frame_in *out)
{
	*out = (struct frame_in){.need = 2};
	if (parser->message != NULL && parser->message->finished)
		frame_parser_finish(parser);
	if (length < 2)
		return FRAME_STEP_MORE;
	if (!header_is_fine(parser, bytes))
		return failed(out, FRAME_CLOSE_PROTOCOL);

	bool fin = (bytes[0] & 0x80) != 0;
	enum frame_opcode opcode = (enum frame_opcode)(bytes[0] & 0x0f);
	uint64_t payload = bytes[1] & 0x7f;
	bool is_control = opcode >= FRAME_CLOSE;
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
	const struct frame_message *message = is_control ? NULL : parser->message;
	out->compressed = message != NULL ? message->compressed : (bytes[0] & FRAME_COMPRESSED) != 0;
	bool text = !is_control && !out->compressed && (message != NULL ? message->opcode : opcode) == FRAME_TEXT;
	size_t before = message != NULL ? message->length : 0;
	size_t most = out->compressed ? frame_most_compressed(most_bytes) : most_bytes;
	if (!is_control && (payload > most || before > most - payload))
		return failed(out, FRAME_CLOSE_TOO_BIG);

	const uint8_t *mask = bytes + header - 4;
	size_t here = length > header ? length - header : 0;
	if (here > payload)
		here = (size_t)payload;
	if (text && message == NULL && parser->checked == 0)
		parser->utf8 = (struct utf8){0};
	if (text && !text_so_far(parser, bytes + header, here, mask))
		return failed(out, FRAME_CLOSE_BAD_TEXT);
	out->need = header + (size_t)payload;
	if (length < out->need)
		return FRAME_STEP_MORE;
	if (text && fin && !utf8_done(&parser->utf8))
		return failed(out, FRAME_CLOSE_BAD_TEXT);

	if (!is_control)
		parser->checked = 0;
	out->consumed = out->need;
	out->bytes = bytes + header;
	out->length = (size_t)payload;
	unmask(out->bytes, out->length, mask);
	if (is_control)
		return control(opcode, out);
	if (opcode == FRAME_CONTINUATION || !fin)
		return fragment(parser, opcode, fin, out);
	out->opcode = opcode;
	return FRAME_STEP_MESSAGE;
}

struct frame *frame_make_empty(enum frame_opcode opcode, bool compressed, size_t length, uint8_t **out_payload)
{
	size_t header = length < 126 ? 2 : length < 65536 ? 4 : 10;
	struct frame *frame = frame_alloc(header + length);

	frame->bytes[0] = (uint8_t)(0x80 | (compressed ? FRAME_COMPRESSED : 0) | opcode);
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
	*out_payload = frame->bytes + header;
	return frame;
}

struct frame *frame_make(enum frame_opcode opcode, const void *payload, size_t length)
{
	uint8_t *at;
	struct frame *frame = frame_make_empty(opcode, false, length, &at);

	if (length > 0)
		memcpy(at, payload, length);
	return frame;
}

struct frame *frame_make_texts(const struct texts *texts)
{
	struct frame *parts[FRAME_TEXTS_MOST];
	size_t length = 0, count = texts->count < FRAME_TEXTS_MOST ? texts->count : FRAME_TEXTS_MOST;

	if (texts->count == 1)
		return frame_make(FRAME_TEXT, texts->items[0].bytes, texts->items[0].length);
	for (size_t i = 0; i < count; i++) {
		parts[i] = frame_make(FRAME_TEXT, texts->items[i].bytes, texts->items[i].length);
		length += parts[i]->length;
	}
	struct frame *frame = frame_alloc(length);
	length = 0;
	for (size_t i = 0; i < count; i++) {
		memcpy(frame->bytes + length, parts[i]->bytes, parts[i]->length);
		length += parts[i]->length;
		frame_unref(parts[i]);
	}
	/* What begins with one header and goes on with the next is not to be taken for one message. */
	for (size_t i = 0; i < sizeof frame->packed / sizeof *frame->packed; i++)
		frame->packed[i] = frame;
	return frame;
}

const uint8_t *frame_payload(const struct frame *frame, size_t *out_length)
{
	size_t header = frame->bytes[1] < 126 ? 2 : frame->bytes[1] == 126 ? 4 : 10;

	*out_length = frame->length - header;
	return frame->bytes + header;
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
