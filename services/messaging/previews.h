/*
 * previews - small pictures of pictures, made by another program (services/preview) in a sandbox: decoders of images are where a
 * file from outside does harm. One process for each picture, so that nothing of one is there when the next comes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/status.h"
#include "common/base/preview_answer.h"

struct previews;

struct preview {
	uint32_t width, height; /* of the picture itself, upright */
	bool animated;
	/* -- the preview; length 0: there is none */
	void *bytes; /* in mem */
	size_t length;
	const char *mime, *ext; /* static */
	uint32_t preview_width, preview_height;
};

/* program: a path, or a name that lies beside this process's own program or in the PATH. most: made at once. Says in the log when it
 * is not there; then none are made. NULL when memory is out. */
struct previews *previews_create(const char *program, int most);
void previews_destroy(struct previews *previews); /* NULL is fine */

/*
 * previews_make - blocks until it is made, the program gave up or its time ended: some seconds.
 *
 * fd     the picture, readable from its beginning to length; its position is not used
 * until  the caller's deadline, monotonic
 *
 * STATUS_OK; anything else: there is none, and why is in the log. previews may be NULL.
 */
enum status previews_make(
	struct previews *previews, struct arena *mem, int fd, uint64_t length, int64_t until_mono_ms, struct preview *out);
