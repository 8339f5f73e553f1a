/*
 * deflate - permessage-deflate (RFC 7692) for the sockets of one loop: frames that many of them get, compressed once, and messages
 * that come in. There is one compressor for each class and one inflater a loop, made when first needed and used again for every
 * message: nothing belongs to a socket. zlib is used nowhere else.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "services/gateway/extensions.h"
#include "services/gateway/frame.h"

struct deflate;

/* What was done since it was last told to the metrics. */
struct deflate_counts {
	uint64_t compressed; /* frames, each once per class */
	uint64_t sent;       /* of those, to sockets */
	uint64_t saved;      /* bytes that were not sent */
	uint64_t inflated;   /* messages */
};

/* level: zlib's, 1 to 9; payloads below least_bytes go as they are. */
struct deflate *deflate_create(int level, size_t least_bytes);
void deflate_destroy(struct deflate *deflate);
struct deflate_counts *deflate_counts(struct deflate *deflate);

/* The frame as a client of this class gets it: compressed, or itself where that saves nothing. Borrowed from the frame,
 * which keeps it: the second socket of a class costs a look. Text and binary frames only. */
struct frame *deflate_frame(struct deflate *deflate, struct frame *frame, enum deflate_class class);

/*
 * deflate_message - inflates what in holds (compressed).
 *
 * Returns FRAME_STEP_MESSAGE; in->bytes then live until the next call. FRAME_STEP_FAILED with in->code: more than
 * most_bytes come out of it (nothing beyond them is inflated), it is not whole blocks of RFC 1951, or text that is no UTF-8.
 */
enum frame_step deflate_message(struct deflate *deflate, size_t most_bytes, struct frame_in *in);
