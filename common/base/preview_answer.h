/*
 * preview_answer - what guildhall-preview writes to its standard output: this, and behind it the bytes of the preview. Both sides are built
 * together, on one machine. Its standard input is the picture, a file.
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
