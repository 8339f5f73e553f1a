/*
 * bus/frame - what one message on the bus says, as bytes and back. Writing goes through nanopb into an arena; reading walks the
 * bytes in place, because most events of a frame are of streams that nobody here follows. Bytes from outside. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/events/events.h"
#include "common/events/wire_reader.h"

#define FRAME_MAX_BYTES       (256 * 1024)
#define FRAME_NAME_SIZE       64
#define FRAME_GENERATION_SIZE 96
#define FRAME_HEADS_MOST      8192 /* of one heartbeat or watermark */

/* ---- writing. `send` gets each frame in order; bytes are borrowed for the call. */
struct frame_origin {
	const char *publisher;
	uint64_t epoch;
	const char *generation;
};
typedef void frame_send(void *arg, const uint8_t *bytes, size_t length);
struct frame_head {
	struct stream stream;
	uint64_t seq;
};

/* In as many parts as FRAME_MAX_BYTES asks for; a part carries whole events. */
void frame_write_batch(struct arena *mem, const struct frame_origin *origin, uint64_t number,
	const struct logged_event *events, size_t count, frame_send *send, void *arg);
void frame_write_ephemeral(struct arena *mem, const struct frame_origin *origin, const struct logged_event *targets,
	size_t target_count, uint32_t kind, int64_t at_ms, const uint8_t *payload, size_t payload_length, frame_send *send, void *arg);
/* The last FRAME_HEADS_MOST heads: a loss in what is left out is found by the number of the batch. */
void frame_write_heartbeat(struct arena *mem, const struct frame_origin *origin, uint64_t last_batch,
	const struct frame_head *heads, size_t count, bool leaving, bool database_up, frame_send *send, void *arg);
/* In as many frames as it takes; one without heads still tells the generation. */
void frame_write_watermark(struct arena *mem, const struct frame_origin *origin, const struct frame_head *heads, size_t count,
	frame_send *send, void *arg);

/* ---- reading */
enum frame_kind { FRAME_NOTHING, FRAME_BATCH, FRAME_HEARTBEAT, FRAME_WATERMARK };
struct frame {
	char publisher[FRAME_NAME_SIZE];
	uint64_t epoch;
	char generation[FRAME_GENERATION_SIZE]; /* "": the publisher does not know it yet */
	enum frame_kind kind;
	uint64_t number; /* batch; 0: unnumbered. Heartbeat: the last one */
	uint32_t part, parts;
	bool leaving, database_up;
	const uint8_t *body; /* borrowed from the bytes read */
	size_t body_length;
};
/* STATUS_MALFORMED: not such a message. Unknown kinds are FRAME_NOTHING. What lies in the body is found broken only when it
 * is walked over. */
enum status frame_read(const uint8_t *bytes, size_t length, struct frame *out);

/* Walks over the body: wire_reader_on(frame->body, frame->body_length). Each gives the next one of its sort and false at the
 * end; reader->malformed tells whether the end came too early. */
bool frame_next_event(struct wire_reader *reader, struct logged_event *out); /* bytes borrowed */
bool frame_next_ephemeral(struct wire_reader *reader, const uint8_t **out_bytes, size_t *out_length);
bool frame_next_head(struct wire_reader *reader, const struct frame *frame, struct frame_head *out);
