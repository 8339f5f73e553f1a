#include "services/api/files.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/events/media.h"
#include "common/ops/ops.h"
#include "services/api/serve.h"
#include "services/api/transfers.h"

/* One call has so much; a bytes field of a call ends at 64 KiB. */
#define PIECE_BYTES ((size_t)128 << 10)
#define PART_BYTES  ((size_t)32 << 10)
#define PARTS       (PIECE_BYTES / PART_BYTES)
/* Fields and what is around them. */
#define BESIDE_FILE_BYTES ((uint64_t)64 << 10)
#define FINISH_MS         20000 /* with a preview */

/* A file of this length takes seconds, and each call of them its own deadline. */
static void next_deadline(struct exchange *x, int64_t ms)
{
	x->deadline_mono_ms = clock_mono_ms() + ms;
}

static enum status count_transfer(struct exchange *x, enum transfer what, uint64_t who)
{
	enum status st = transfers_begin(x->api->transfers, what, who);

	if (st == STATUS_OK)
		return st;
	exchange_fail(x, st, NULL, NULL, st == STATUS_RATE_LIMITED ? "too many files at once" : NULL);
	x->outcome.retry_after_ms = 1000;
	return st;
}

/* ---- up */

struct receiving {
	struct exchange *x;
	struct upload *up;
	struct multipart parts;
	struct arena *mem; /* of one call */
	pb_bytes_array_t *pieces[PARTS];
	size_t have; /* in pieces */
	uint64_t sent;
	bool has_file;
	crypto_generichash_state hash;
};

static enum status body_read(void *arg, void *bytes, size_t most, size_t *out_n)
{
	return http_body_read(((struct receiving *)arg)->x->rq, bytes, most, out_n);
}

static enum status send_piece(struct receiving *r)
{
	struct exchange *x = r->x;
	pb_PutUploadRequest request = {.upload_id = r->up->id, .offset = r->sent, .parts = r->pieces};
	pb_Empty nothing;
	enum status st = STATUS_BUSY;

	for (size_t left = r->have; left > 0; left -= r->pieces[request.parts_count++]->size)
		r->pieces[request.parts_count]->size = (pb_size_t)(left < PART_BYTES ? left : PART_BYTES);
	next_deadline(x, SERVE_DEADLINE_MS);
	if (exchange_enter(x, OWNER_messaging, r->up->id, false))
		st = exchange_leave(x, OWNER_messaging,
			messaging_put_upload(x->api->owners[OWNER_messaging].client, r->mem, &x->call, &request, &nothing, &x->outcome));
	/* What was said lives as long as the call. */
	x->outcome = (struct rpc_outcome){.status = st, .retry_after_ms = x->outcome.retry_after_ms};
	arena_reset(r->mem);
	r->sent += r->have;
	r->have = 0;
	return st;
}

static enum status receive_file(struct receiving *r)
{
	uint64_t total = 0;
	size_t n;

	crypto_generichash_init(&r->hash, NULL, 0, sizeof r->up->hash);
	for (size_t i = 0; i < PARTS; i++)
		r->pieces[i] = arena_alloc(r->x->mem, PB_BYTES_ARRAY_T_ALLOCSIZE(PART_BYTES));
	for (;;) {
		uint8_t *at = r->pieces[r->have / PART_BYTES]->bytes + r->have % PART_BYTES;
		enum status st = multipart_read(&r->parts, at, PART_BYTES - r->have % PART_BYTES, &n);
		if (st != STATUS_OK)
			return st;
		crypto_generichash_update(&r->hash, at, n);
		r->have += n;
		total += n;
		if (total > r->up->max_bytes)
			return exchange_fail(r->x, STATUS_TOO_LARGE, NULL, NULL, "the file is too large");
		if (r->have == PIECE_BYTES || (n == 0 && r->have > 0)) {
			st = send_piece(r);
			if (st != STATUS_OK)
				return st;
		}
		if (n == 0)
			break;
	}
	crypto_generichash_final(&r->hash, r->up->hash, sizeof r->up->hash);
	r->up->bytes = total;
	if (total == 0)
		return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, r->up->file_field, "is empty");
	return STATUS_OK;
}

static enum status receive_text(struct receiving *r, const char **out, const char *field)
{
	char *text = arena_alloc(r->x->mem, UPLOAD_TEXT_BYTES + 1);
	size_t have = 0, n;

	for (;;) {
		enum status st = multipart_read(&r->parts, text + have, UPLOAD_TEXT_BYTES + 1 - have, &n);
		if (st != STATUS_OK)
			return st;
		have += n;
		if (n == 0)
			break;
		if (have > UPLOAD_TEXT_BYTES)
			return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, field, "is too long");
	}
	if (!text_is_utf8(text, have))
		return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, field, "must be UTF-8");
	text[have] = '\0';
	*out = text;
	return STATUS_OK;
}

static enum status receive_part(struct receiving *r, const struct multipart_part *part)
{
	struct upload *up = r->up;

	if (strcmp(part->name, up->file_field) == 0 && part->filename != NULL) {
		if (r->has_file)
			return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, up->file_field, "must be one file");
		r->has_file = true;
		up->name = part->filename;
		return receive_file(r);
	}
	if (part->filename != NULL)
		return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, up->file_field, "must be the only file");
	for (size_t i = 0; i < UPLOAD_TEXTS_MOST && up->text_fields[i] != NULL; i++)
		if (strcmp(part->name, up->text_fields[i]) == 0)
			return receive_text(r, &up->texts[i], up->text_fields[i]);
	return STATUS_OK; /* dropped by multipart_next */
}

/* What went wrong with the body itself, as far as nobody said more. */
static enum status body_failed(struct exchange *x, enum status st)
{
	if (x->outcome.detail != NULL || x->outcome.status == st)
		return st;
	if (st == STATUS_MALFORMED)
		return exchange_fail(x, st, NULL, NULL, "the body is not whole, or no multipart/form-data");
	if (st == STATUS_LATE)
		return exchange_fail(x, st, NULL, NULL, "the upload took too long");
	if (st == STATUS_TOO_LARGE)
		return exchange_fail(x, st, NULL, NULL, "the file is too large");
	return exchange_fail(x, st, NULL, NULL, NULL);
}

static enum status receive_parts(struct receiving *r)
{
	struct multipart_part part;
	enum status st;

	while ((st = multipart_next(&r->parts, r->x->mem, &part)) == STATUS_OK) {
		st = receive_part(r, &part);
		if (st != STATUS_OK)
			return st;
	}
	if (st == STATUS_NOT_FOUND && !r->has_file)
		return exchange_fail(r->x, STATUS_FIELD_INVALID, NULL, r->up->file_field, "must be a file");
	return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* What follows the last part, so that the connection can go on. */
static void read_rest(struct exchange *x)
{
	char rest[512];
	size_t n;

	while (http_body_read(x->rq, rest, sizeof rest, &n) == STATUS_OK && n > 0)
		;
}

static enum status receive(struct exchange *x, struct upload *up)
{
	struct receiving *r = ARENA_NEW(x->mem, struct receiving);

	r->x = x;
	r->up = up;
	if (x->rq->stream == NULL || multipart_begin(&r->parts, http_request_header(x->rq, "Content-Type"), body_read, r) != STATUS_OK)
		return exchange_fail(x, STATUS_BAD_MEDIA, NULL, NULL, "the body must be multipart/form-data");
	http_body_bound(x->rq, up->max_bytes + BESIDE_FILE_BYTES, clock_mono_ms() + x->api->config->upload_s * 1000);
	r->mem = arena_create();
	x->outcome = (struct rpc_outcome){0};
	enum status st = receive_parts(r);
	if (st != STATUS_OK)
		st = body_failed(x, st);
	else
		read_rest(x);
	arena_destroy(r->mem);
	return st;
}

/* Nobody will finish it; if this is not heard, an hour later it goes by itself. */
static void drop(struct exchange *x, const struct upload *up)
{
	const struct rpc_outcome why = x->outcome;
	pb_Empty nothing;

	next_deadline(x, SERVE_DEADLINE_MS);
	ASK(x, messaging, drop_upload, up->id, &((pb_DropUploadRequest){up->id}), &nothing);
	x->outcome = why;
}

static enum status begin_and_receive(struct exchange *x, struct upload *up)
{
	pb_CreateUploadReply begun;

	/* Judged before the first byte of the file is read. */
	enum status st = ASK(x, messaging, create_upload, up->channel_id, &((pb_CreateUploadRequest){up->channel_id}), &begun);
	if (st != STATUS_OK)
		return st;
	up->id = begun.upload_id;
	up->max_bytes = begun.max_bytes;
	st = receive(x, up);
	if (st != STATUS_OK)
		drop(x, up);
	up->received = st == STATUS_OK;
	return st;
}

enum status upload_receive(struct exchange *x, struct upload **up)
{
	pb_AttachmentReply reply;
	enum status st = STATUS_OK;

	if (x->upload != NULL)
		*up = x->upload;
	if (!(*up)->received) {
		st = count_transfer(x, TRANSFER_UPLOAD, x->actor.id);
		if (st != STATUS_OK)
			return st;
		st = begin_and_receive(x, *up);
		transfers_end(x->api->transfers, TRANSFER_UPLOAD, x->actor.id);
	}
	if (st == STATUS_OK) {
		x->upload = *up;
		if (x->key_field != NULL)
			request_hash_file(x->body_hash, x->rq->path, (*up)->name, (*up)->hash);
		next_deadline(x, FINISH_MS);
		st = CALL(x, messaging, finish_upload, (*up)->channel_id,
			&((pb_FinishUploadRequest){(*up)->id, (*up)->channel_id, (char *)(*up)->name, (*up)->bytes}), &reply);
		if (st == STATUS_FIELD_INVALID && x->outcome.field != NULL && strcmp(x->outcome.field, "Idempotency-Key") != 0)
			x->outcome.field = (*up)->file_field;
	}
	if (st == STATUS_OK) {
		(*up)->attachment = reply.attachment;
		next_deadline(x, SERVE_DEADLINE_MS);
		metric_add(uploads_done, 1);
	} else if (st != STATUS_STALE) {
		if ((*up)->received)
			drop(x, *up);
		metric_add(uploads_failed, 1);
	}
	return st;
}

/* ---- down */

struct sending {
	struct exchange *x;
	struct arena *mem; /* of the present piece */
	uint64_t id, who;
	bool preview;
	/* -- the piece */
	uint64_t from;
	const pb_ReadAttachmentReply *piece;
	pb_ReadAttachmentReply reply;
};

static void sending_end(void *arg)
{
	struct sending *s = arg;

	transfers_end(s->x->api->transfers, TRANSFER_DOWNLOAD, s->who);
	arena_destroy(s->mem);
}

static enum status fetch_piece(struct sending *s, uint64_t from)
{
	struct exchange *x = s->x;
	const pb_ReadAttachmentRequest request = {s->id, s->preview, from, PIECE_BYTES};
	enum status st = STATUS_BUSY;

	arena_reset(s->mem);
	s->piece = NULL;
	next_deadline(x, SERVE_DEADLINE_MS);
	if (exchange_enter(x, OWNER_messaging, s->id, false))
		st = exchange_leave(x, OWNER_messaging,
			messaging_read_attachment(
				x->api->owners[OWNER_messaging].client, s->mem, &x->call, &request, &s->reply, &x->outcome));
	x->outcome = (struct rpc_outcome){.status = st};
	if (st == STATUS_OK) {
		s->from = from;
		s->piece = &s->reply;
	}
	return st;
}

/* http_file.read: the worker's thread, behind the handler, which has fetched the first piece. */
static enum status read_file(void *arg, uint64_t from, size_t most, const void **out_bytes, size_t *out_n)
{
	struct sending *s = arg;

	for (int tries = 0; tries < 2; tries++) {
		uint64_t at = s->from;
		for (pb_size_t i = 0; s->piece != NULL && i < s->piece->parts_count; i++) {
			const pb_bytes_array_t *part = s->piece->parts[i];
			if (from >= at && from < at + part->size) {
				size_t skip = (size_t)(from - at), n = part->size - skip;
				*out_bytes = part->bytes + skip;
				*out_n = n < most ? n : most;
				return STATUS_OK;
			}
			at += part->size;
		}
		enum status st = tries == 0 ? fetch_piece(s, from) : STATUS_INTERNAL; /* it is shorter than its row says */
		if (st != STATUS_OK)
			return st;
	}
	return STATUS_INTERNAL;
}

/* The name of a preview is the picture's, with an end that is true of it. */
static const char *preview_name(struct exchange *x, const pb_AttachmentView *a)
{
	size_t length = strlen(a->name), ext = strlen(a->ext);

	if (ext > 0 && length > ext && strcmp(a->name + length - ext, a->ext) == 0)
		length -= ext + 1;
	return arena_printf(x->mem, "%.*s.%s", (int)length, a->name, a->preview.ext);
}

enum status download_send(struct exchange *x, const struct download *which)
{
	pb_AttachmentReply reply;

	enum status st = ASK(x, messaging, get_attachment, which->attachment_id,
		&((pb_GetAttachmentRequest){which->attachment_id, which->user_id, (char *)which->sign}), &reply);
	if (st != STATUS_OK)
		return st;
	const pb_AttachmentView *a = &reply.attachment;
	if (which->preview && !a->has_preview)
		return exchange_fail(x, STATUS_NOT_FOUND, NULL, NULL, "it has no preview");
	struct sending *s = ARENA_NEW(x->mem, struct sending);
	*s = (struct sending){.x = x,
		.id = a->id,
		.who = limits_key_address(x->api->limits, x->rq->remote),
		.preview = which->preview};
	st = count_transfer(x, TRANSFER_DOWNLOAD, s->who);
	if (st != STATUS_OK)
		return st;
	s->mem = arena_create();
	arena_defer(x->mem, sending_end, s); /* when the response is written */
	const char *mime = which->preview ? a->preview.mime : a->mime;
	const struct http_file file = {
		.content_type = mime,
		.name = which->preview ? preview_name(x, a) : a->name,
		.download = which->save || !media_shown(mime),
		/* An attachment never changes. */
		.etag = arena_printf(x->mem, "\"%016" PRIx64 "%s\"", a->id, which->preview ? "-p" : ""),
		.modified_ms = (int64_t)a->created_at_ms,
		.length = which->preview ? a->preview.bytes : a->bytes,
		.read = read_file,
		.arg = s,
	};
	http_response_file(x->rq, x->rs, &file);
	/* Its first piece, while it can still be said that it is not there. */
	if (x->rs->file != NULL && strcmp(x->rq->method, "HEAD") != 0)
		st = fetch_piece(s, x->rs->file_from);
	if (st != STATUS_OK)
		return st;
	if (x->rs->code < 400)
		http_response_header(x->rs, "Cache-Control", "private, max-age=86400, immutable");
	metric_add(downloads, 1);
	return STATUS_OK;
}
