/*
 * preview_answer - what guildhall-preview writes to its standard output. Its standard input is the picture, a file. Both sides are built
 * together, on one machine.
 *
 * Without an argument: a preview_answer, and behind it the bytes of the preview. With the argument STRIP_ARGUMENT: a strip_answer, and
 * behind it its pieces.
 */
#pragma once

#include <stdint.h>

#define PREVIEW_MAGIC      UINT32_C(0x47505631)
#define PREVIEW_BYTES_MOST ((uint32_t)4 << 20)

enum preview_format { PREVIEW_NONE, PREVIEW_JPEG, PREVIEW_GIF };

struct preview_answer {
	uint32_t magic;
	uint32_t width, height; /* of the picture, upright */
	uint32_t animated;
	uint32_t format; /* enum preview_format; NONE: the picture is too large to decode */
	uint32_t preview_width, preview_height;
	uint32_t length;
};

#define STRIP_ARGUMENT    "strip"
#define STRIP_MAGIC       UINT32_C(0x47535431)
#define STRIP_PIECES_MOST 8192
#define STRIP_MADE_MOST   128

/* A run of bytes of the picture; or, from STRIP_MADE on, of the bytes made. */
#define STRIP_MADE (UINT64_C(1) << 63)
struct strip_piece {
	uint64_t at, length;
};

/* The picture without what is beside it: these pieces, one after the other. */
struct strip_answer {
	uint32_t magic;
	uint32_t count; /* of pieces */
	uint32_t made_length;
	uint8_t made[STRIP_MADE_MOST];
};
