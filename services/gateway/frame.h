/*
 * frame - RFC 6455 framing: frames and messages out of bytes that come in any portions, and frames to send.
 * Pure; the bytes are parsed and unmasked in place, in the loop's buffer or in the one that a socket with an
 * unfinished frame keeps. Text that is no UTF-8 fails at its first wrong byte, also in the middle of a frame. Of
 * extensions only permessage-deflate (RFC 7692) is known: a compressed message is put together here and inflated
 * by deflate.h; where it was not agreed upon every reserved bit is an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json/texts.h"
#include "services/gateway/queue.h"

enum frame_opcode {
	FRAME_CONTINUATION = 0,
	FRAME_TEXT = 1,
	FRAME_BINARY = 2,
	FRAME_CLOSE = 8,
	FRAME_PING = 9,
	FRAME_PONG = 10
};

/* Close codes of RFC 6455, section 7.4, that framing itself gives. */
#define FRAME_CLOSE_NORMAL   1000
#define FRAME_CLOSE_PROTOCOL 1002
#define FRAME_CLOSE_BAD_TEXT 1007
#define FRAME_CLOSE_TOO_BIG  1009

/* The valid beginning of UTF-8 text that may go on. Zeroed: nothing yet. NUL is a character as any other
 * here. */
struct utf8 {
	uint8_t need;      /* continuation bytes still due */
	uint8_t low, high; /* bounds of the next one */
};
bool utf8_feed(struct utf8 *state, const uint8_t *bytes, size_t length); /* false: this is not UTF-8 */
static inline bool utf8_done(const struct utf8 *state)
{
	return state->need == 0;
}

/* What one connection remembers between frames. Zeroed: a new one. */
struct frame_parser {
	struct frame_message *message; /* the fragments so far, NULL unless a message came in some */
	uint32_t checked;              /* bytes of an unfinished frame of text that utf8 has seen */
	struct utf8 utf8;              /* of the text message that is coming in */
	bool deflate;                  /* permessage-deflate was agreed upon: RSV1 may begin a message */
};
void frame_parser_finish(struct frame_parser *parser);

enum frame_step {
	FRAME_STEP_MORE,    /* the bytes end inside a frame: out->need says how many it takes in all */
	FRAME_STEP_NOTHING, /* a fragment was taken; go on */
	FRAME_STEP_MESSAGE, /* a whole text or binary message */
	FRAME_STEP_CONTROL, /* a ping, pong or close; may stand between fragments */
	FRAME_STEP_FAILED,  /* out->code is what to close with; parse no further */
};

struct frame_in {
	enum frame_opcode opcode;
	uint8_t *bytes; /* unmasked; lives until the next step or until the buffer goes */
	size_t length;
	bool compressed; /* of a message: as RFC 7692 says, and not looked at yet */
	uint16_t code;   /* of a close frame: the code it gave, 0 when none; of a failure: ours */
	size_t need;
	size_t consumed; /* bytes of the buffer that are done with */
};

/* Takes the next frame from bytes. most_bytes bounds a message, all its fragments together; a compressed one may be a little
 * longer than what it holds, and is bounded by frame_most_compressed(most_bytes). */
enum frame_step frame_next(
	struct frame_parser *parser, uint8_t *bytes, size_t length, size_t most_bytes, struct frame_in *out);

static inline size_t frame_most_compressed(size_t most_bytes)
{
	return most_bytes + most_bytes / 16 + 64; /* what stored and empty blocks cost a sender that gains nothing */
}

/* A frame to send, FIN set, one reference. */
struct frame *frame_make(enum frame_opcode opcode, const void *payload, size_t length);
/* The same in two steps: space for length bytes at *out_payload; compressed sets RSV1. */
struct frame *frame_make_empty(enum frame_opcode opcode, bool compressed, size_t length, uint8_t **out_payload);
/* Several texts, a frame each, as one: they travel together. Never compressed. texts->count > 0. */
struct frame *frame_make_texts(const struct texts *texts);
/* What a frame of ours carries. */
const uint8_t *frame_payload(const struct frame *frame, size_t *out_length);
/* Code and reason (cut at 123 bytes, at a code point; may be NULL). */
struct frame *frame_make_close(uint16_t code, const char *reason);
