/*
 * deflate - see deflate.h.
 */
#include "services/gateway/deflate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/base/log.h"
#include "services/gateway/memory.h"

/* Of zlib's levels of memory the one whose tables are emptied fastest (8 KiB a message) and that compresses frames of our size no
 * worse than the default, which takes eight times as much. */
#define MEMORY_LEVEL 5
#define WINDOW_FULL  15
/* The smallest that zlib has for raw data. Its compressor keeps 262 bytes of a window to itself, so of 512 no reference goes back
 * further than 250, and an inflater with 256 can read what it wrote. */
#define WINDOW_SMALL 9
#define TAIL         4 /* 00 00 ff ff, which a message goes without: section 7.2.1 */
#define ROOM_FIRST   16384
#define ROOM_KEPT    (1u << 20) /* what a larger message took is given back after it */
#define WINDOW_BYTES 32768
/* Last blocks that one message may have: each costs a window to begin again behind it. */
#define LAST_BLOCKS_MOST 256

struct deflate {
	int level;
	size_t least_bytes;
	z_stream out[DEFLATE_CLASSES];
	bool out_is_there[DEFLATE_CLASSES];
	uint8_t *packed; /* what is compressed lands here first */
	size_t packed_room;
	z_stream in;
	bool in_is_there;
	uint8_t *plain; /* the message that came in last */
	size_t plain_room;
	struct deflate_counts counts;
};

struct deflate *deflate_create(int level, size_t least_bytes)
{
	struct deflate *d = memory_new(sizeof *d);

	d->level = level;
	d->least_bytes = least_bytes;
	return d;
}

void deflate_destroy(struct deflate *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < DEFLATE_CLASSES; i++)
		if (d->out_is_there[i])
			deflateEnd(&d->out[i]);
	if (d->in_is_there)
		inflateEnd(&d->in);
	free(d->packed);
	free(d->plain);
	free(d);
}

struct deflate_counts *deflate_counts(struct deflate *d)
{
	return &d->counts;
}

/* Ends the process where zlib finds no memory, as every other place does. The inflater takes its window when it first needs it. */
static void memory_was_there(int rv)
{
	if (rv != Z_MEM_ERROR)
		return;
	log_error("out_of_memory", LOG_STR("where", "zlib"));
	abort();
}

/* ---- what goes */

static z_stream *compressor(struct deflate *d, size_t no)
{
	z_stream *z = &d->out[no];

	if (d->out_is_there[no]) {
		deflateReset(z);
	} else {
		memory_was_there(deflateInit2(z, d->level, Z_DEFLATED,
			no + 1 == DEFLATE_FULL ? -WINDOW_FULL : -WINDOW_SMALL, MEMORY_LEVEL, Z_DEFAULT_STRATEGY));
		d->out_is_there[no] = true;
	}
	return z;
}

/* The twin of a frame, or the frame itself. */
static struct frame *compress_frame(struct deflate *d, struct frame *frame, size_t no)
{
	size_t length = 0;
	const uint8_t *payload = frame_payload(frame, &length);

	if (length < d->least_bytes || length <= TAIL)
		return frame;
	z_stream *z = compressor(d, no);
	/* No longer than the payload, or it is not worth it. */
	if (d->packed_room < length) {
		d->packed = memory_resize(d->packed, length);
		d->packed_room = length;
	}
	z->next_in = (Bytef *)payload;
	z->avail_in = (uInt)length;
	z->next_out = d->packed;
	z->avail_out = (uInt)length;
	d->counts.compressed++;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0)
		return frame;
	uint8_t *at;
	size_t packed = length - z->avail_out - TAIL;
	struct frame *twin = frame_make_empty((enum frame_opcode)(frame->bytes[0] & 0x0f), true, packed, &at);
	memcpy(at, d->packed, packed);
	return twin;
}

struct frame *deflate_frame(struct deflate *d, struct frame *frame, enum deflate_class class)
{
	assert(class != DEFLATE_NONE);
	struct frame **packed = &frame->packed[class - 1];

	if (*packed == NULL)
		*packed = compress_frame(d, frame, class - 1u);
	if (*packed != frame) {
		d->counts.sent++;
		d->counts.saved += frame->length - (*packed)->length;
	}
	return *packed;
}

/* ---- what comes */

static enum frame_step refused(struct frame_in *in, uint16_t code)
{
	in->code = code;
	return FRAME_STEP_FAILED;
}

static z_stream *inflater(struct deflate *d)
{
	if (d->in_is_there) {
		inflateReset(&d->in);
	} else {
		memory_was_there(inflateInit2(&d->in, -WINDOW_FULL));
		d->in_is_there = true;
	}
	return &d->in;
}

/* Room for more, but not for more than most_bytes and one. */
static void plain_grow(struct deflate *d, size_t most_bytes)
{
	size_t room = d->plain_room < ROOM_FIRST ? ROOM_FIRST : 2 * d->plain_room;

	if (room > most_bytes + 1)
		room = most_bytes + 1;
	d->plain = memory_resize(d->plain, room);
	d->plain_room = room;
}

/* A message that is being inflated. */
struct inflation {
	size_t most_bytes, length;
	bool ended; /* by a last block */
	unsigned last_blocks;
};

/* A last block need not be the last one of a message (section 7.2.3.4), and what comes after it may refer to what came before. */
static void begin_again(struct deflate *d, struct inflation *now)
{
	size_t window = now->length < WINDOW_BYTES ? now->length : WINDOW_BYTES;

	inflateReset(&d->in);
	inflateSetDictionary(&d->in, d->plain + now->length - window, (uInt)window);
	now->ended = false;
}

/* Inflates all of bytes. 0, or the code to close with. */
static uint16_t inflate_some(struct deflate *d, const uint8_t *bytes, size_t count, struct inflation *now)
{
	z_stream *z = &d->in;

	z->next_in = (Bytef *)bytes;
	z->avail_in = (uInt)count;
	for (;;) {
		if (now->length == d->plain_room)
			plain_grow(d, now->most_bytes);
		if (now->ended && z->avail_in > 0)
			begin_again(d, now);
		z->next_out = d->plain + now->length;
		z->avail_out = (uInt)(d->plain_room - now->length);
		int rv = inflate(z, Z_SYNC_FLUSH);
		memory_was_there(rv);
		now->length = d->plain_room - z->avail_out;
		if (now->length > now->most_bytes)
			return FRAME_CLOSE_TOO_BIG;
		if (rv == Z_STREAM_END)
			now->ended = true;
		else if (rv != Z_OK && rv != Z_BUF_ERROR)
			return FRAME_CLOSE_BAD_TEXT;
		if (now->ended && ++now->last_blocks > LAST_BLOCKS_MOST)
			return FRAME_CLOSE_BAD_TEXT;
		if (z->avail_in == 0 && (z->avail_out > 0 || now->ended))
			return 0;
	}
}

enum frame_step deflate_message(struct deflate *d, size_t most_bytes, struct frame_in *in)
{
	static const uint8_t tail[TAIL] = {0x00, 0x00, 0xff, 0xff};
	struct inflation now = {.most_bytes = most_bytes};

	assert(in->compressed);
	if (d->plain_room > ROOM_KEPT) {
		free(d->plain);
		d->plain = NULL;
		d->plain_room = 0;
	}
	z_stream *z = inflater(d);
	uint16_t code = inflate_some(d, in->bytes, in->length, &now);
	/* Whoever cannot flush otherwise ends with a last block, and should add a byte for the tail to follow; whoever forgets it is
	 * understood as well, and so is a message without any block. */
	if (code == 0 && !now.ended && in->length > 0) {
		code = inflate_some(d, tail, sizeof tail, &now);
		/* Behind a block, and at the end of a byte: zlib says so in data_type. */
		if (code == 0 && !now.ended && (z->data_type & 0xff) != 128)
			code = FRAME_CLOSE_BAD_TEXT;
	}
	if (code != 0)
		return refused(in, code);
	if (in->opcode == FRAME_TEXT) {
		struct utf8 utf8 = {0};
		if (!utf8_feed(&utf8, d->plain, now.length) || !utf8_done(&utf8))
			return refused(in, FRAME_CLOSE_BAD_TEXT);
	}
	d->counts.inflated++;
	in->bytes = d->plain;
	in->length = now.length;
	in->compressed = false;
	return FRAME_STEP_MESSAGE;
}
