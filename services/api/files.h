/*
 * files - uploads and downloads for every dialect: a multipart body goes to messaging piece by piece as it comes, a file comes from
 * there piece by piece while it is sent. A dialect names the fields and renders what came of it. One worker thread.
 */
#pragma once

#include "common/http/multipart.h"
#include "services/api/exchange.h"

#define UPLOAD_TEXTS_MOST 4
#define UPLOAD_TEXT_BYTES 4096

struct upload {
	/* -- filled by the dialect */
	uint64_t channel_id;
	const char *file_field;                      /* the part that is the file; other files are refused */
	const char *text_fields[UPLOAD_TEXTS_MOST];  /* other parts that it wants; the rest is let be */
	/* -- filled here */
	const char *texts[UPLOAD_TEXTS_MOST]; /* in mem, UTF-8 without NUL; NULL: was not there */
	pb_AttachmentView attachment;
	/* -- files.c only */
	uint64_t id, bytes, max_bytes;
	const char *name;
	uint8_t hash[REQUEST_HASH_BYTES];
	bool received;
};

/*
 * upload_receive - the file in the body of this request, which is of a route with COST_UPLOAD, as an attachment that a message of the
 * actor in this channel may name. up: in x->mem, zeroed but for what the dialect fills; when the handler runs again, the one of the
 * first time goes on.
 *
 * STATUS_OK; STATUS_BAD_MEDIA (no multipart/form-data), STATUS_MALFORMED, STATUS_LATE, STATUS_TOO_LARGE, STATUS_RATE_LIMITED,
 * STATUS_FIELD_INVALID (field: file_field), and what messaging refuses. outcome says more.
 */
enum status upload_receive(struct exchange *x, struct upload **up);

/* Which file is asked for. */
struct download {
	uint64_t attachment_id, user_id; /* user_id: as signed; 0: everybody */
	const char *sign;
	bool preview, save; /* save: to be kept rather than shown */
};
/*
 * download_send - fills the response with the file: 200, 206, 304 or 416.
 *
 * STATUS_OK; STATUS_FORBIDDEN with why "signature"; STATUS_NOT_FOUND (also: no preview); STATUS_RATE_LIMITED, STATUS_BUSY; STATUS_INTERNAL:
 * its bytes are not there.
 */
enum status download_send(struct exchange *x, const struct download *which);
