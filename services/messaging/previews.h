/*
 * previews - what is done with pictures by another program (services/preview) in a sandbox: small ones are made of them, and what is
 * beside the picture in its file is found. Decoders of images, and whatever else reads them, are where a file from outside does harm. One
 * process for each deed, so that nothing of one picture is there when the next comes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/base/preview_answer.h"

struct file_store;
struct previews;

/* An upload. The program gets a copy in memory, for as long as it runs. */
struct picture {
	struct file_store *store;
	const char *upload;
	uint64_t bytes;
};

struct preview {
	uint32_t width, height; /* of the picture itself, upright */
	bool animated;
	/* -- the preview; length 0: there is none */
	void *bytes; /* in mem */
	size_t length;
	const char *mime, *ext; /* static */
	uint32_t preview_width, preview_height;
};

/* program: a path, or a name that lies beside this process's own program or in the PATH. most: of each deed at once. Says in the log when it
 * is not there; then none are made. NULL when memory is out. */
struct previews *previews_create(const char *program, int most);
void previews_destroy(struct previews *previews); /* NULL is fine */

/*
 * previews_make - blocks until it is made, the program gave up or its time ended: some seconds.
 *
 * until  the caller's deadline, monotonic
 *
 * STATUS_OK; anything else: there is none, and why is in the log. previews may be NULL.
 */
enum status previews_make(struct previews *previews, struct arena *mem, const struct picture *picture, int64_t until_mono_ms,
	struct preview *out);

/* What of a picture's file stays, as services/preview/strip.h has it. */
struct stripped {
	const struct strip_piece *pieces; /* those of the picture ascend */
	size_t count;
	const uint8_t *made;
	uint64_t bytes; /* of all pieces */
};

/*
 * previews_strip - the same for what of the file is the picture: some milliseconds.
 *
 * STATUS_OK; STATUS_BAD_MEDIA: it is no picture; STATUS_NOT_IMPLEMENTED: there is no program, or previews is NULL; STATUS_BUSY: it could not
 * be found out, logged, and may be asked again.
 */
enum status previews_strip(struct previews *previews, struct arena *mem, const struct picture *picture, int64_t until_mono_ms,
	struct stripped *out);
