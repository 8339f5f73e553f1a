/*
 * events - one event as bytes and as a struct, its stream and its audience. Used by whoever writes, carries or
 * renders events. Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/events/kinds.h"
#include "proto/bus.pb.h"
#include "proto/events.pb.h"

#define EVENT_MAX_BYTES 32768

struct stream {
	uint32_t rank; /* enum stream_rank */
	uint64_t id;
};
static inline int stream_compare(struct stream a, struct stream b)
{
	if (a.rank != b.rank)
		return a.rank < b.rank ? -1 : 1;
	return a.id == b.id ? 0 : a.id < b.id ? -1 : 1;
}
#define STREAM_TEAM(team) ((struct stream){RANK_TEAM, (team)})
#define STREAM_USER(user) ((struct stream){RANK_USER, (user)})
#define STREAM_GLOBAL ((struct stream){RANK_GLOBAL, 0})
#define STREAM_INTERNAL ((struct stream){RANK_GLOBAL, 1}) /* the installation's own: no client is ever let into it */

/* "1-0000a1b2c3d4e5f6": how a stream is spelled to clients that resume. */
#define STREAM_TEXT_SIZE 24
void stream_to_text(struct stream s, char out[STREAM_TEXT_SIZE]);
enum status stream_from_text(const char *text, struct stream *out);

/* The log's generation as a number that travels with what was read under it, for comparing only. Never 0. */
uint64_t generation_mark(const char *generation);

/* Audience keys: opaque text, at most 63 bytes. `all`, `team:ID`, `channel:ID`, `conversation:ID`, `user:ID`,
 * `role:ID`, `group:ID`, `category:ID`, `can:TEAM:permission`; ids in decimal. */
#define AUDIENCE_SIZE 64
void audience_all(char out[AUDIENCE_SIZE]);
void audience_key(char out[AUDIENCE_SIZE], const char *class_name, uint64_t id); /* "team", "channel", "user", ... */
void audience_can(char out[AUDIENCE_SIZE], uint64_t team, enum permission permission);

/* A logged event on its way: what LoggedEvent says, with borrowed payload. */
struct logged_event {
	struct stream stream;
	uint64_t seq;
	uint32_t kind;
	char audience[AUDIENCE_SIZE];
	int64_t at_ms;
	uint64_t actor_id;
	const uint8_t *request_id;
	size_t request_id_length;
	const uint8_t *payload;
	size_t payload_length;
};

/* A row of the log or of a fetch as the struct; its bytes are borrowed from the row. */
void logged_event_from_row(const pb_LoggedEvent *row, struct logged_event *out);

/* Encodes into mem; without a trace id of its own the event takes the thread's (log.h). STATUS_TOO_LARGE over EVENT_MAX_BYTES, STATUS_INTERNAL when nanopb refuses. */
enum status event_encode(struct arena *mem, const pb_Event *event, const uint8_t **out_bytes, size_t *out_length);
/* The trace id of the request that caused the event as 32 hex digits, "" when it has none. Returns out. */
const char *event_trace(const pb_Event *event, char out[IDS_TRACE_SIZE]);
/* Decodes; what nanopb allocates is released with mem. STATUS_MALFORMED. */
enum status event_decode(struct arena *mem, const uint8_t *bytes, size_t length, pb_Event *out_event);

/* Deep copies of views into mem (a decoded call's views die with the call). */
void user_view_copy(struct arena *mem, const pb_UserView *from, pb_UserView *out);

/* nanopb bytes from memory: a pb_bytes_array_t in mem. length < 65536. */
pb_bytes_array_t *pb_bytes_from(struct arena *mem, const void *bytes, size_t length);
/* Encodes any nanopb message into mem. */
enum status pb_encode_arena(struct arena *mem, const pb_msgdesc_t *fields, const void *message, const uint8_t **out_bytes, size_t *out_length);
/* Decodes any nanopb message; zeroes out first; allocations are released with mem. STATUS_MALFORMED. */
enum status pb_decode_arena(struct arena *mem, const pb_msgdesc_t *fields, void *message, const uint8_t *bytes, size_t length);
/* The same for whoever knows the size of the message: cheaper. */
enum status pb_decode_sized(struct arena *mem, const pb_msgdesc_t *fields, size_t size, void *message, const uint8_t *bytes, size_t length);
