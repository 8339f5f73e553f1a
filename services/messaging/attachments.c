#include "services/messaging/attachments.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/events/attachments.h"
#include "services/messaging/file_store.h"
#include "services/messaging/guard.h"

/* ---- rows */

void attachment_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_AttachmentView *out)
{
	int c = first;
	size_t length = 0;

	*out = (pb_AttachmentView){0};
	out->id = db_id(rows, row, c++);
	out->uploader_id = db_id(rows, row, c++);
	out->name = arena_strdup(mem, db_text(rows, row, c++));
	out->bytes = db_id(rows, row, c++);
	out->mime = arena_strdup(mem, db_text(rows, row, c++));
	out->ext = arena_strdup(mem, db_text(rows, row, c++));
	out->width = (uint32_t)db_i64(rows, row, c++);
	out->height = (uint32_t)db_i64(rows, row, c++);
	out->animated = db_bool(rows, row, c++);
	out->created_at_ms = db_id(rows, row, c++);
	const uint8_t *key = db_bytea(rows, row, c++, &length);
	out->key = pb_bytes_from(mem, key, length);
	out->has_preview = !db_is_null(rows, row, c);
	if (!out->has_preview)
		return;
	out->preview.bytes = db_id(rows, row, c++);
	out->preview.mime = arena_strdup(mem, db_text(rows, row, c++));
	out->preview.ext = arena_strdup(mem, db_text(rows, row, c++));
	out->preview.width = (uint32_t)db_i64(rows, row, c++);
	out->preview.height = (uint32_t)db_i64(rows, row, c++);
}

enum status attachments_encode(struct arena *mem, const pb_AttachmentView *views, size_t count, const uint8_t **out_bytes,
	size_t *out_length)
{
	const pb_AttachmentsView all = {
		.attachments_count = (pb_size_t)count, .attachments = (pb_AttachmentView *)views};

	*out_bytes = NULL;
	*out_length = 0;
	return count == 0 ? STATUS_OK : pb_encode_arena(mem, pb_AttachmentsView_fields, &all, out_bytes, out_length);
}

void attachments_from_row(struct arena *mem, const struct db_rows *rows, int row, int column, pb_MessageView *out)
{
	pb_AttachmentsView all;
	size_t length = 0;

	if (db_is_null(rows, row, column))
		return;
	const uint8_t *bytes = db_bytea(rows, row, column, &length);
	/* What we wrote ourselves; a text without its files is still the text. */
	if (pb_decode_arena(mem, pb_AttachmentsView_fields, &all, bytes, length) != STATUS_OK)
		return;
	out->attachments = all.attachments;
	out->attachments_count = all.attachments_count;
}

/* ---- for posts */

static const struct db_stmt find_stmt = {
	"messaging_attachments_find",
	"SELECT " ATTACHMENT_COLUMNS " FROM unnest($1::int8[]) WITH ORDINALITY AS w(id, at)"
	" CROSS JOIN LATERAL (SELECT * FROM messaging.attachments x WHERE x.id = w.id OFFSET 0) a"
	" WHERE a.uploader_id = $2 AND a.channel_id = $3 AND a.message_id IS NULL AND a.deleted_at_ms IS NULL ORDER BY w.at",
};

enum status attachments_find(struct service *s, struct rpc_call *call, uint64_t channel, const uint64_t *ids, size_t count,
	pb_AttachmentView **out_views)
{
	struct db_conn *conn = NULL;
	struct db_params params;
	struct db_rows rows = {0};

	if (count > (size_t)s->config->files_per_message || count > ATTACHMENTS_MAX)
		return STATUS_FIELD_INVALID;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			if (ids[i] == ids[k])
				return STATUS_FIELD_INVALID;
	enum status st = db_acquire(s->db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, call->mem);
	db_put_ids(&params, ids, count);
	db_put_id(&params, call->header->actor_id);
	db_put_id(&params, channel);
	st = db_query(conn, call->mem, &find_stmt, &params, &rows);
	db_release(conn);
	if (st != STATUS_OK)
		return st;
	if ((size_t)rows.count != count)
		return STATUS_FIELD_INVALID;
	*out_views = ARENA_ARRAY(call->mem, count, pb_AttachmentView);
	for (size_t i = 0; i < count; i++)
		attachment_from_row(call->mem, &rows, (int)i, 0, &(*out_views)[i]);
	return STATUS_OK;
}

/* ---- read */

#define GET_COLUMNS 3

/* While its channel is deleted it is not there; who brings the channel back brings it back. */
static const struct db_stmt get_stmt = {
	"messaging_attachment_get",
	"SELECT a.deleted_at_ms IS NOT NULL OR NOT EXISTS (SELECT FROM messaging.channels c WHERE c.id = a.channel_id"
	"  AND c.deleted_at_ms IS NULL), a.sha256, a.preview_sha256, " ATTACHMENT_COLUMNS
	" FROM messaging.attachments a WHERE a.id = $1",
};

/* NOT_FOUND with a row: it was there. */
static enum status find_row(struct service *s, struct rpc_call *call, uint64_t id, struct db_rows *out_rows)
{
	struct db_params params;

	db_params_begin(&params, call->mem);
	db_put_id(&params, id);
	enum status st = db_query_alone(s->db, call->mem, &get_stmt, &params, call->deadline_mono_ms, out_rows);
	if (st != STATUS_OK)
		return st;
	return out_rows->count == 0 || db_bool(out_rows, 0, 0) ? STATUS_NOT_FOUND : STATUS_OK;
}

void get_attachment(void *service, struct rpc_call *call, const void *request, void *reply)
{
	const pb_GetAttachmentRequest *rq = request;
	pb_AttachmentReply *answer = reply;
	pb_AttachmentView *view = &answer->attachment;
	static const uint8_t no_key[ATTACHMENT_KEY_BYTES];
	struct db_rows rows = {0};
	struct refusal no = {0};

	enum status st = find_row(service, call, rq->attachment_id, &rows);
	bool known = rows.count > 0;
	if (known)
		attachment_from_row(call->mem, &rows, 0, GET_COLUMNS, view);
	else
		*view = (pb_AttachmentView){.id = rq->attachment_id, .key = pb_bytes_from(call->mem, no_key, sizeof no_key)};
	/* Also where there is nothing to compare with: neither the answer nor its time says what exists to who has no URL of it. */
	bool fits = rq->sign != NULL && attachment_signed(view, rq->user_id, clock_wall_ms(), rq->sign);
	if ((st == STATUS_OK || st == STATUS_NOT_FOUND) && !(known && fits)) {
		no.why = "signature";
		st = STATUS_FORBIDDEN;
	}
	answer->has_attachment = st == STATUS_OK;
	guard_answer(call, st, &no);
}

void read_attachment(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_ReadAttachmentRequest *rq = request;
	pb_ReadAttachmentReply *answer = reply;
	int column = rq->preview ? 2 : 1;
	struct db_rows rows = {0};
	struct refusal no = {0};
	size_t hash_length = 0, have = 0;

	enum status st = find_row(s, call, rq->attachment_id, &rows);
	if (st == STATUS_OK && (s->files == NULL || db_is_null(&rows, 0, column)))
		st = STATUS_NOT_FOUND;
	size_t left = rq->limit < FILE_PIECE_BYTES ? rq->limit : FILE_PIECE_BYTES;
	answer->parts = ARENA_ARRAY(call->mem, FILE_PIECE_BYTES / FILE_PART_BYTES, pb_bytes_array_t *);
	while (st == STATUS_OK && left > 0) {
		size_t n = 0, most = left < FILE_PART_BYTES ? left : FILE_PART_BYTES;
		pb_bytes_array_t *part = arena_alloc(call->mem, PB_BYTES_ARRAY_T_ALLOCSIZE(most));
		st = file_read(s->files, db_bytea(&rows, 0, column, &hash_length), rq->offset + have, part->bytes, most, &n);
		part->size = (pb_size_t)n;
		if (st == STATUS_NOT_FOUND) { /* its row says that it is there */
			log_error("file_missing", LOG_ID("attachment", rq->attachment_id));
			st = STATUS_INTERNAL;
		}
		if (st != STATUS_OK || n == 0)
			break;
		answer->parts[answer->parts_count++] = part;
		have += n;
		left -= n;
		if (n < most)
			break;
	}
	guard_answer(call, st, &no);
}
