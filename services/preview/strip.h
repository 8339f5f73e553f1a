/*
 * strip - what of a picture's file is the picture (strip.tbl.h), without its pixels being decoded or written anew: a plan of the bytes
 * that stay, which whoever has the file follows. JPEG, PNG, GIF and WebP. Pure.
 *
 * How the picture is to be turned stays, as the only thing of its EXIF. What comes behind its end goes. A file that ends in its middle,
 * or whose parts can be told no further, keeps what there is of the picture up to there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/preview_answer.h"

struct strip {
	struct strip_answer answer;
	struct strip_piece pieces[STRIP_PIECES_MOST];
};

/* False: it is no picture of these, or has more parts than there is room for. What stays is never more than there was and
 * STRIP_MADE_MOST. */
bool strip_plan(const void *bytes, size_t length, struct strip *out);
