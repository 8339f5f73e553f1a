/*
 * multipart - a multipart/form-data body (RFC 7578) taken apart as it comes, in a buffer of fixed size: neither a part nor the
 * whole is ever in memory. Pure but for the caller's read function. One thread.
 *
 * Bounds: a boundary of 70 characters (RFC 2046), the headers of a part fit the buffer, MULTIPART_PARTS_MOST parts. What the
 * body may have in all is the reader's to bound.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/status.h"

#define MULTIPART_BUFFER       8192
#define MULTIPART_BOUNDARY_MOST 70
#define MULTIPART_PARTS_MOST   32

/* Fills up to `most` bytes; *out_n 0: the body has ended. What it returns besides OK is passed on. */
typedef enum status multipart_read_fn(void *arg, void *bytes, size_t most, size_t *out_n);

struct multipart {
	multipart_read_fn *read;
	void *arg;
	char delimiter[MULTIPART_BOUNDARY_MOST + 5]; /* CR LF -- boundary */
	size_t delimiter_length;
	char buffer[MULTIPART_BUFFER];
	size_t begin, end; /* what of it is not taken yet */
	size_t parts;
	enum { MULTIPART_OUTSIDE, MULTIPART_INSIDE, MULTIPART_BETWEEN, MULTIPART_OVER } where;
};

/* What a part's headers say. Strings are in the arena given, valid UTF-8 without NUL. */
struct multipart_part {
	const char *name;     /* "" when it has none */
	const char *filename; /* NULL: a plain field */
};

/*
 * multipart_begin - content_type is the header of the request. STATUS_BAD_MEDIA when it is not multipart/form-data with a boundary.
 */
enum status multipart_begin(
	struct multipart *m, const char *content_type, multipart_read_fn *read, void *arg);
/*
 * multipart_next - goes to the next part; what is left of the present one is read and dropped.
 *
 * STATUS_OK; STATUS_NOT_FOUND behind the last part (what comes after it is not read); STATUS_MALFORMED; what read returned.
 */
enum status multipart_next(struct multipart *m, struct arena *mem, struct multipart_part *out);
/* Bytes of the present part; *out_n 0: it has ended. STATUS_OK, STATUS_MALFORMED, what read returned. */
enum status multipart_read(struct multipart *m, void *bytes, size_t most, size_t *out_n);
