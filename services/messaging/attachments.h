/*
 * attachments - files for messages: an upload is begun, filled and finished by calls of one person for one channel, and is his until a
 * message of his there refers to it; then it shares the message's fate. Bytes are in a file_store, once for each content.
 */
#pragma once

#include "common/db/committer.h"
#include "services/messaging/service.h"

#define ATTACHMENTS_MAX     10
#define FILE_PIECE_BYTES    ((size_t)256 << 10) /* of one call */
#define FILE_PART_BYTES     ((size_t)32 << 10)  /* a bytes field of nanopb ends at 64 KiB */

void create_upload(void *service, struct rpc_call *call, const void *request, void *reply);
void put_upload(void *service, struct rpc_call *call, const void *request, void *reply);
void finish_upload(void *service, struct rpc_call *call, const void *request, void *reply);
void drop_upload(void *service, struct rpc_call *call, const void *request, void *reply);
void get_attachment(void *service, struct rpc_call *call, const void *request, void *reply);
void read_attachment(void *service, struct rpc_call *call, const void *request, void *reply);

/* ---- for posts */

/*
 * attachments_find - the attachments that a post names, in its order. They are the actor's, of this channel, and no message's yet; that
 * is asked again under the lock. STATUS_OK; STATUS_FIELD_INVALID: one is not, or is named twice, or there are too many.
 */
enum status attachments_find(struct service *s, struct rpc_call *call, uint64_t channel, const uint64_t *ids, size_t count,
	pb_AttachmentView **out_views);
/* As stored beside the message; *out_bytes NULL for none. */
enum status attachments_encode(struct arena *mem, const pb_AttachmentView *views, size_t count, const uint8_t **out_bytes,
	size_t *out_length);
/* The attachments stored beside a message. */
void attachments_from_row(struct arena *mem, const struct db_rows *rows, int row, int column, pb_MessageView *out);

/* a: messaging.attachments. */
#define ATTACHMENT_COLUMNS                                                                                           \
	"a.id, a.uploader_id, a.name, a.bytes, a.mime, a.ext, a.width, a.height, a.animated, a.created_at_ms, a.key," \
	" a.preview_bytes, a.preview_mime, a.preview_ext, a.preview_width, a.preview_height"
void attachment_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_AttachmentView *out);
