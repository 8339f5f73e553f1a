#include "common/events/events.h"

#include <inttypes.h>
#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"

void stream_to_text(struct stream s, char out[STREAM_TEXT_SIZE])
{
	/* A rank beyond one digit is none of ours, and is cut rather than written past the end. */
	snprintf(out, STREAM_TEXT_SIZE, "%" PRIu32 "-%016" PRIx64, s.rank % 100000, s.id);
}

uint64_t generation_mark(const char *generation)
{
	uint64_t mark = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (const char *at = generation; *at != '\0'; at++)
		mark = (mark ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
	return mark != 0 ? mark : 1;
}

enum status stream_from_text(const char *text, struct stream *out)
{
	struct stream s = {0, 0};

	if (text == NULL || text[0] < '1' || text[0] > '3' || text[1] != '-')
		return STATUS_MALFORMED;
	s.rank = (uint32_t)(text[0] - '0');
	for (int i = 2; i < 18; i++) {
		char c = text[i];
		uint64_t digit;
		if (c >= '0' && c <= '9')
			digit = (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (uint64_t)(c - 'a') + 10;
		else
			return STATUS_MALFORMED;
		s.id = s.id << 4 | digit;
	}
	if (text[18] != '\0')
		return STATUS_MALFORMED;
	*out = s;
	return STATUS_OK;
}

void audience_all(char out[AUDIENCE_SIZE])
{
	snprintf(out, AUDIENCE_SIZE, "all");
}

void audience_key(char out[AUDIENCE_SIZE], const char *class_name, uint64_t id)
{
	snprintf(out, AUDIENCE_SIZE, "%s:%" PRIu64, class_name, id);
}

void audience_can(char out[AUDIENCE_SIZE], uint64_t team, enum permission permission)
{
	const char *name = permission_name(permission);

	assert(name != NULL);
	snprintf(out, AUDIENCE_SIZE, "can:%" PRIu64 ":%s", team, name);
}

void logged_event_from_row(const pb_LoggedEvent *row, struct logged_event *out)
{
	*out = (struct logged_event){
		.stream = {row->rank, row->stream_id},
		.seq = row->seq,
		.kind = row->kind,
		.at_ms = (int64_t)row->at_ms,
		.actor_id = row->actor_id,
	};
	snprintf(out->audience, sizeof out->audience, "%s", row->audience != NULL ? row->audience : "");
	if (row->request_id != NULL) {
		out->request_id = row->request_id->bytes;
		out->request_id_length = row->request_id->size;
	}
	if (row->payload != NULL) {
		out->payload = row->payload->bytes;
		out->payload_length = row->payload->size;
	}
}

enum status pb_encode_arena(struct arena *mem, const pb_msgdesc_t *fields, const void *message,
	const uint8_t **out_bytes, size_t *out_length)
{
	size_t size = 0;

	if (!pb_get_encoded_size(&size, fields, message))
		return STATUS_INTERNAL;
	uint8_t *bytes = arena_alloc(mem, size);
	pb_ostream_t stream = pb_ostream_from_buffer(bytes, size);
	if (!pb_encode(&stream, fields, message))
		return STATUS_INTERNAL;
	*out_bytes = bytes;
	*out_length = stream.bytes_written;
	return STATUS_OK;
}

/* What nanopb allocated, found through a copy of the message of our own: the caller may lay out his on the
 * stack and change it as he likes, and the release still finds what it has to free. */
struct allocated {
	const pb_msgdesc_t *fields;
	max_align_t message[];
};

static void allocated_release(void *resource)
{
	struct allocated *a = resource;

	pb_release(a->fields, a->message);
}

static void release_with(struct arena *mem, const pb_msgdesc_t *fields, const void *message, size_t size)
{
	struct allocated *a = arena_alloc(mem, sizeof *a + size + sizeof(max_align_t));

	a->fields = fields;
	memcpy(a->message, message, size);
	arena_defer(mem, allocated_release, a);
}

enum status pb_decode_sized(struct arena *mem, const pb_msgdesc_t *fields, size_t size, void *message,
	const uint8_t *bytes, size_t length)
{
	pb_istream_t stream = pb_istream_from_buffer(bytes, length);

	memset(message, 0, size);
	/* nanopb frees by itself what a failed decode had allocated. */
	if (!pb_decode_ex(&stream, fields, message, PB_DECODE_NOINIT)) {
		memset(message, 0, size);
		return STATUS_MALFORMED;
	}
	release_with(mem, fields, message, size);
	return STATUS_OK;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* How many bytes of the struct its fields reach over: all that pb_release looks at (has_ and _count members lie
 * before their field). The message has to be initialised, for the iterator follows its pointers. */
static size_t message_extent(const pb_msgdesc_t *fields, void *message)
{
	const char *start = message;
	pb_field_iter_t field;
	size_t extent = 0;

	if (!pb_field_iter_begin(&field, fields, message))
		return 0;
	do {
		size_t width = field.data_size;
		if (PB_ATYPE(field.type) == PB_ATYPE_POINTER)
			width = sizeof(void *);
		else if (PB_HTYPE(field.type) == PB_HTYPE_REPEATED)
			width *= field.array_size;
		extent = larger(extent, (size_t)((const char *)field.pField - start) + width);
	} while (pb_field_iter_next(&field));
	return extent;
}

enum status pb_decode_arena(struct arena *mem, const pb_msgdesc_t *fields, void *message, const uint8_t *bytes,
	size_t length)
{
	pb_istream_t stream = pb_istream_from_buffer(bytes, length);

	if (!pb_decode(&stream, fields, message)) {
		pb_istream_t nothing = pb_istream_from_buffer(bytes, 0);
		(void)pb_decode(&nothing, fields, message); /* zeroes it */
		return STATUS_MALFORMED;
	}
	release_with(mem, fields, message, message_extent(fields, message));
	return STATUS_OK;
}

pb_bytes_array_t *pb_bytes_from(struct arena *mem, const void *bytes, size_t length)
{
	assert(length <= UINT16_MAX); /* pb_size_t */
	pb_bytes_array_t *array = arena_alloc(mem, PB_BYTES_ARRAY_T_ALLOCSIZE(length));
	array->size = (pb_size_t)length;
	if (length > 0)
		memcpy(array->bytes, bytes, length);
	return array;
}

/* The thread's trace id, 32 hex digits, as 16 bytes. */
static void trace_bytes(pb_Event *event)
{
	const char *trace = log_trace();

	if (strlen(trace) == 2 * sizeof event->trace.bytes &&
		sodium_hex2bin(event->trace.bytes, sizeof event->trace.bytes, trace, 2 * sizeof event->trace.bytes, NULL, NULL, NULL) == 0)
		event->trace.size = sizeof event->trace.bytes;
}

const char *event_trace(const pb_Event *event, char out[IDS_TRACE_SIZE])
{
	out[0] = 0;
	if (event->trace.size == sizeof event->trace.bytes)
		sodium_bin2hex(out, IDS_TRACE_SIZE, event->trace.bytes, sizeof event->trace.bytes);
	return out;
}

enum status event_encode(struct arena *mem, const pb_Event *event, const uint8_t **out_bytes, size_t *out_length)
{
	pb_Event traced = *event;
	const uint8_t *bytes = NULL;
	size_t length = 0;

	if (traced.trace.size == 0)
		trace_bytes(&traced);
	enum status st = pb_encode_arena(mem, pb_Event_fields, &traced, &bytes, &length);
	if (st != STATUS_OK)
		return st;
	if (length > EVENT_MAX_BYTES)
		return STATUS_TOO_LARGE;
	*out_bytes = bytes;
	*out_length = length;
	return STATUS_OK;
}

enum status event_decode(struct arena *mem, const uint8_t *bytes, size_t length, pb_Event *out_event)
{
	return pb_decode_sized(mem, pb_Event_fields, sizeof *out_event, out_event, bytes, length);
}

void user_view_copy(struct arena *mem, const pb_UserView *from, pb_UserView *out)
{
	*out = *from;
	out->username = arena_strdup(mem, from->username);
	out->display_name = arena_strdup(mem, from->display_name);
	out->avatar = arena_strdup(mem, from->avatar);
	out->banner = arena_strdup(mem, from->banner);
	out->status.text = arena_strdup(mem, from->status.text);
	out->status.emoji = arena_strdup(mem, from->status.emoji);
	out->bio = arena_strdup(mem, from->bio);
	out->tagline = arena_strdup(mem, from->tagline);
}
