/*
 * frames - what house's websocket sends, as watch sees it: a frame taken apart, a line for people, and the positions that a
 * client has to keep to resume (house.md, 1.4). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/json/reader.h"

struct frame {
	const char *type;
	const char *timestamp; /* "" when absent */
	json_t *data;          /* borrowed from the arena; NULL when absent */
	const char *stream;    /* NULL unless the frame is an event that can be resumed */
	uint64_t seq;
};

/* STATUS_MALFORMED: not an object with a type. */
enum status frame_parse(struct arena *mem, const char *text, size_t length, struct frame *out);
/* Is it an event, and not one of the server's own frames? */
bool frame_is_event(const struct frame *frame);
/* "10:30:00.000 channel_message channel_id=... content="hello"": one line, whatever the data holds. */
const char *frame_line(struct arena *mem, const struct frame *frame);

struct positions {
	struct arena *mem; /* that of the whole command: streams are few */
	char generation[128];
	struct position {
		const char *stream;
		uint64_t seq;
	} *list;
	size_t count, capacity;
};
/* What an event, a position frame or an answer to subscribe says. */
void positions_take(struct positions *positions, const struct frame *frame);
/* {"op":"subscribe","topics":[...],"ref":1}, with "since" when there are positions. */
const char *frame_subscribe(struct arena *mem, const char *const *topics, size_t topic_count, const struct positions *since,
	size_t *out_length);
/* Streams that the answer to subscribe calls not recovered, into mem. */
const char **frame_lost_streams(struct arena *mem, const struct frame *frame, size_t *out_count);
