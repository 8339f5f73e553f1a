#include "common/bus/frame.h"

#include <string.h>

#include "common/base/log.h"

/* Of a batch without its events: names, numbers and lengths. */
#define FRAME_OVERHEAD_BYTES 512

static pb_BusFrame frame_of(const struct frame_origin *origin)
{
	return (pb_BusFrame){
		.publisher = (char *)(uintptr_t)origin->publisher, /* nanopb's structs know no const; it only reads them */
		.epoch = origin->epoch,
		.generation = (char *)(uintptr_t)origin->generation,
	};
}

static void frame_send_encoded(struct arena *mem, const pb_BusFrame *frame, frame_send *send, void *arg)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;

	enum status st = pb_encode_arena(mem, pb_BusFrame_fields, frame, &bytes, &length);
	if (st == STATUS_OK)
		send(arg, bytes, length);
	else /* a hole in the numbers, which the receivers repair */
		log_error("frame_not_encodable", LOG_STATUS("status", st));
}

static void row_of(struct arena *mem, const struct logged_event *ev, pb_LoggedEvent *out)
{
	*out = (pb_LoggedEvent){
		.rank = ev->stream.rank,
		.stream_id = ev->stream.id,
		.seq = ev->seq,
		.kind = ev->kind,
		.audience = (char *)(uintptr_t)ev->audience,
		.at_ms = (uint64_t)ev->at_ms,
		.actor_id = ev->actor_id,
		.payload = pb_bytes_from(mem, ev->payload, ev->payload_length),
	};
	if (ev->request_id_length > 0)
		out->request_id = pb_bytes_from(mem, ev->request_id, ev->request_id_length);
}

static size_t event_bytes(const struct logged_event *ev)
{
	/* Every field with the longest number it can hold. */
	return ev->payload_length + ev->request_id_length + strlen(ev->audience) + 96;
}

/* Where the part that begins at `begin` ends. */
static size_t part_end(const struct logged_event *events, size_t count, size_t begin)
{
	size_t bytes = FRAME_OVERHEAD_BYTES;
	size_t end = begin;

	while (end < count) {
		bytes += event_bytes(&events[end]);
		if (bytes > FRAME_MAX_BYTES && end > begin)
			break;
		end++;
	}
	return end;
}

void frame_write_batch(struct arena *mem, const struct frame_origin *origin, uint64_t number,
	const struct logged_event *events, size_t count, frame_send *send, void *arg)
{
	pb_LoggedEvent *rows = ARENA_ARRAY(mem, count, pb_LoggedEvent);
	uint32_t parts = 0;

	for (size_t at = 0; at < count; at = part_end(events, count, at))
		parts++;
	for (size_t i = 0; i < count; i++)
		row_of(mem, &events[i], &rows[i]);
	size_t begin = 0;
	for (uint32_t part = 0; part < parts; part++) {
		size_t end = part_end(events, count, begin);
		pb_BusFrame frame = frame_of(origin);
		frame.which_body = pb_BusFrame_batch_tag;
		frame.body.batch.number = number;
		frame.body.batch.part = part;
		frame.body.batch.parts = parts;
		frame.body.batch.events = &rows[begin];
		frame.body.batch.events_count = (pb_size_t)(end - begin); /* a part has fewer than 256 KiB / 96 of them */
		frame_send_encoded(mem, &frame, send, arg);
		begin = end;
	}
}

void frame_write_ephemeral(struct arena *mem, const struct frame_origin *origin, const struct logged_event *targets,
	size_t target_count, uint32_t kind, int64_t at_ms, const uint8_t *payload, size_t payload_length, frame_send *send, void *arg)
{
	pb_Target *list = ARENA_ARRAY(mem, target_count, pb_Target);
	pb_EphemeralEvent ev = {.kind = kind, .at_ms = (uint64_t)at_ms, .payload = pb_bytes_from(mem, payload, payload_length)};
	pb_BusFrame frame = frame_of(origin);

	for (size_t i = 0; i < target_count; i++) {
		list[i] = (pb_Target){.rank = targets[i].stream.rank, .stream_id = targets[i].stream.id};
		list[i].audience = (char *)(uintptr_t)targets[i].audience;
	}
	ev.targets = list;
	/* Nobody is in so many teams; and what is ephemeral may be shed. */
	ev.targets_count = (pb_size_t)(target_count < 4096 ? target_count : 4096);
	frame.which_body = pb_BusFrame_batch_tag;
	frame.body.batch.parts = 1;
	frame.body.batch.ephemeral = &ev;
	frame.body.batch.ephemeral_count = 1;
	frame_send_encoded(mem, &frame, send, arg);
}

static pb_StreamHead *heads_of(struct arena *mem, const struct frame_head *heads, size_t count)
{
	pb_StreamHead *list = ARENA_ARRAY(mem, count, pb_StreamHead);

	for (size_t i = 0; i < count; i++)
		list[i] = (pb_StreamHead){.rank = heads[i].stream.rank, .stream_id = heads[i].stream.id, .seq = heads[i].seq};
	return list;
}

void frame_write_heartbeat(struct arena *mem, const struct frame_origin *origin, uint64_t last_batch,
	const struct frame_head *heads, size_t count, bool leaving, bool database_up, frame_send *send, void *arg)
{
	pb_BusFrame frame = frame_of(origin);
	size_t skipped = count > FRAME_HEADS_MOST ? count - FRAME_HEADS_MOST : 0;

	frame.which_body = pb_BusFrame_heartbeat_tag;
	frame.body.heartbeat.last_batch = last_batch;
	frame.body.heartbeat.heads = heads_of(mem, heads + skipped, count - skipped);
	frame.body.heartbeat.heads_count = (pb_size_t)(count - skipped);
	frame.body.heartbeat.leaving = leaving;
	frame.body.heartbeat.database_up = database_up;
	frame_send_encoded(mem, &frame, send, arg);
}

void frame_write_watermark(struct arena *mem, const struct frame_origin *origin, const struct frame_head *heads, size_t count,
	frame_send *send, void *arg)
{
	size_t begin = 0;

	do {
		size_t some = count - begin < FRAME_HEADS_MOST ? count - begin : FRAME_HEADS_MOST;
		pb_BusFrame frame = frame_of(origin);
		frame.which_body = pb_BusFrame_watermark_tag;
		if (some > 0)
			frame.body.watermark.heads = heads_of(mem, heads + begin, some);
		frame.body.watermark.heads_count = (pb_size_t)some;
		frame_send_encoded(mem, &frame, send, arg);
		begin += some;
	} while (begin < count);
}

/* ---- reading */

static bool copy_text(char *out, size_t size, const struct wire_field *field)
{
	if (field->type != WIRE_BYTES || field->length >= size || memchr(field->bytes, '\0', field->length) != NULL)
		return false;
	memcpy(out, field->bytes, field->length);
	out[field->length] = '\0';
	return true;
}

static bool read_numbers(struct frame *frame)
{
	struct wire_reader r = wire_reader_on(frame->body, frame->body_length);
	struct wire_field f;

	while (wire_next(&r, &f)) {
		if (f.type != WIRE_VARINT)
			continue;
		if (frame->kind == FRAME_BATCH) {
			if (f.number == pb_Batch_number_tag)
				frame->number = f.value;
			else if (f.number == pb_Batch_part_tag)
				frame->part = (uint32_t)f.value;
			else if (f.number == pb_Batch_parts_tag)
				frame->parts = (uint32_t)f.value;
		} else if (frame->kind == FRAME_HEARTBEAT) {
			if (f.number == pb_Heartbeat_last_batch_tag)
				frame->number = f.value;
			else if (f.number == pb_Heartbeat_leaving_tag)
				frame->leaving = f.value != 0;
			else if (f.number == pb_Heartbeat_database_up_tag)
				frame->database_up = f.value != 0;
		}
	}
	if (frame->kind == FRAME_BATCH && frame->parts == 0)
		frame->parts = 1;
	return !r.malformed && (frame->kind != FRAME_BATCH || frame->part < frame->parts);
}

enum status frame_read(const uint8_t *bytes, size_t length, struct frame *out)
{
	struct wire_reader r = wire_reader_on(bytes, length);
	struct frame frame = {0};
	struct wire_field f;
	bool fine = true;

	while (fine && wire_next(&r, &f)) {
		enum frame_kind kind = FRAME_NOTHING;
		switch (f.number) {
		case pb_BusFrame_publisher_tag:
			fine = copy_text(frame.publisher, sizeof frame.publisher, &f);
			break;
		case pb_BusFrame_epoch_tag:
			fine = f.type == WIRE_64;
			frame.epoch = f.value;
			break;
		case pb_BusFrame_generation_tag:
			fine = copy_text(frame.generation, sizeof frame.generation, &f);
			break;
		case pb_BusFrame_batch_tag:
			kind = FRAME_BATCH;
			break;
		case pb_BusFrame_heartbeat_tag:
			kind = FRAME_HEARTBEAT;
			break;
		case pb_BusFrame_watermark_tag:
			kind = FRAME_WATERMARK;
			break;
		}
		if (kind != FRAME_NOTHING) {
			fine = f.type == WIRE_BYTES && frame.kind == FRAME_NOTHING;
			frame.kind = kind;
			frame.body = f.bytes;
			frame.body_length = f.length;
		}
	}
	if (!fine || r.malformed || !read_numbers(&frame))
		return STATUS_MALFORMED;
	*out = frame;
	return STATUS_OK;
}

static bool read_event(const struct wire_field *whole, struct logged_event *out)
{
	struct wire_reader r = wire_reader_on(whole->bytes, whole->length);
	struct wire_field f;
	bool fine = true;

	*out = (struct logged_event){0};
	while (fine && wire_next(&r, &f)) {
		switch (f.number) {
		case pb_LoggedEvent_rank_tag:
			out->stream.rank = (uint32_t)f.value;
			break;
		case pb_LoggedEvent_stream_id_tag:
			out->stream.id = f.value;
			break;
		case pb_LoggedEvent_seq_tag:
			out->seq = f.value;
			break;
		case pb_LoggedEvent_kind_tag:
			out->kind = (uint32_t)f.value;
			break;
		case pb_LoggedEvent_audience_tag:
			fine = copy_text(out->audience, sizeof out->audience, &f);
			break;
		case pb_LoggedEvent_at_ms_tag:
			out->at_ms = (int64_t)f.value;
			break;
		case pb_LoggedEvent_actor_id_tag:
			out->actor_id = f.value;
			break;
		case pb_LoggedEvent_request_id_tag:
			out->request_id = f.bytes;
			out->request_id_length = f.length;
			break;
		case pb_LoggedEvent_payload_tag:
			out->payload = f.bytes;
			out->payload_length = f.length;
			fine = f.length <= EVENT_MAX_BYTES;
			break;
		}
	}
	return fine && !r.malformed;
}

bool frame_next_event(struct wire_reader *reader, struct logged_event *out)
{
	struct wire_field f;

	while (wire_next(reader, &f)) {
		if (f.number != pb_Batch_events_tag || f.type != WIRE_BYTES)
			continue;
		reader->malformed = !read_event(&f, out);
		return !reader->malformed;
	}
	return false;
}

bool frame_next_ephemeral(struct wire_reader *reader, const uint8_t **out_bytes, size_t *out_length)
{
	struct wire_field f;

	while (wire_next(reader, &f)) {
		if (f.number != pb_Batch_ephemeral_tag || f.type != WIRE_BYTES)
			continue;
		*out_bytes = f.bytes;
		*out_length = f.length;
		return true;
	}
	return false;
}

bool frame_next_head(struct wire_reader *reader, const struct frame *frame, struct frame_head *out)
{
	uint32_t number = frame->kind == FRAME_HEARTBEAT ? pb_Heartbeat_heads_tag : pb_Watermark_heads_tag;
	struct wire_field f;

	while (wire_next(reader, &f)) {
		if (f.number != number || f.type != WIRE_BYTES)
			continue;
		struct wire_reader r = wire_reader_on(f.bytes, f.length);
		*out = (struct frame_head){0};
		while (wire_next(&r, &f)) {
			if (f.number == pb_StreamHead_rank_tag)
				out->stream.rank = (uint32_t)f.value;
			else if (f.number == pb_StreamHead_stream_id_tag)
				out->stream.id = f.value;
			else if (f.number == pb_StreamHead_seq_tag)
				out->seq = f.value;
		}
		reader->malformed = r.malformed;
		return !r.malformed;
	}
	return false;
}
