/* What is on its way to become an attachment: attachments.h has its calls. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/events/attachments.h"
#include "common/events/media.h"
#include "services/messaging/attachments.h"
#include "services/messaging/file_store.h"
#include "services/messaging/guard.h"
#include "services/messaging/metadata.h"
#include "services/messaging/previews.h"

#define MIB ((uint64_t)1 << 20)

/* An upload is called after its uploader too, so that nobody puts to another's or finishes it. suffix: "", or of what was made of it. */
static void upload_name(char out[FILE_UPLOAD_LENGTH + 1], uint64_t actor, uint64_t upload, const char *suffix)
{
	snprintf(out, FILE_UPLOAD_LENGTH + 1, "%016" PRIx64 "-%016" PRIx64 "%s", actor, upload, suffix);
}

/* There is a folder, and somebody whose upload it is. */
static enum status may_upload(const struct service *s, const struct rpc_call *call, struct refusal *out_no)
{
	if (s->files == NULL) {
		*out_no = (struct refusal){.detail = "no folder for files is configured"};
		return STATUS_NOT_IMPLEMENTED;
	}
	if (call->header->actor_id == 0) {
		*out_no = (struct refusal){.why = "actor"};
		return STATUS_FORBIDDEN;
	}
	return STATUS_OK;
}

/* ---- begin */

static const struct db_stmt used_stmt = {
	"messaging_files_used",
	"SELECT coalesce(sum(bytes), 0)::int8 FROM messaging.attachments WHERE uploader_id = $1",
};

struct beginning {
	uint64_t quota_bytes;
	pb_CreateUploadReply *reply;
};

static enum status begin_read(struct db_conn *conn, struct rpc_call *call, const struct rights *r, void *arg,
	struct epochs *out_found, struct refusal *out_no)
{
	static const struct db_stmt epochs_stmt = {"messaging_upload_epochs", EPOCHS_SQL};
	const struct beginning *b = arg;
	struct db_params params;
	struct db_rows rows = {0};

	db_params_begin(&params, call->mem);
	guard_put(&params, r, call);
	enum status st = db_query(conn, call->mem, &epochs_stmt, &params, &rows);
	if (st != STATUS_OK || rows.count == 0) /* no row: judged again */
		return st;
	*out_found = guard_epochs(&rows, 0);
	if (b->quota_bytes == 0)
		return STATUS_OK;
	db_params_begin(&params, call->mem);
	db_put_id(&params, call->header->actor_id);
	st = db_query(conn, call->mem, &used_stmt, &params, &rows);
	if (st == STATUS_OK && db_id(&rows, 0, 0) >= b->quota_bytes) {
		out_no->why = "files_quota";
		return STATUS_AT_LIMIT;
	}
	return st;
}

void create_upload(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_CreateUploadRequest *rq = request;
	struct beginning b = {(uint64_t)s->config->files_quota_mb * MIB, reply};
	struct refusal no = {0};

	enum status st = may_upload(s, call, &no);
	if (st == STATUS_OK)
		st = guard_read(s, call, s->db, rq->channel_id, PERMISSION_attach_files, begin_read, &b, &no);
	if (st == STATUS_OK)
		st = service_next_id(s, &b.reply->upload_id);
	b.reply->max_bytes = (uint64_t)s->config->files_max_mb * MIB;
	guard_answer(call, st, &no);
}

/* ---- fill */

void put_upload(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_PutUploadRequest *rq = request;
	struct iovec *parts = ARENA_ARRAY(call->mem, rq->parts_count, struct iovec);
	char name[FILE_UPLOAD_LENGTH + 1];
	struct refusal no = {0};
	uint64_t bytes = 0;

	enum status st = may_upload(s, call, &no);
	for (size_t i = 0; i < rq->parts_count; i++) {
		parts[i] = (struct iovec){rq->parts[i]->bytes, rq->parts[i]->size};
		bytes += rq->parts[i]->size;
	}
	uint64_t most = (uint64_t)s->config->files_max_mb * MIB;
	if (st == STATUS_OK && (bytes > FILE_PIECE_BYTES || rq->offset > most || bytes > most - rq->offset))
		st = STATUS_TOO_LARGE;
	upload_name(name, call->header->actor_id, rq->upload_id, "");
	if (st == STATUS_OK)
		st = file_put(s->files, name, rq->offset, parts, (int)rq->parts_count);
	guard_answer(call, st, &no);
}

void drop_upload(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	const pb_DropUploadRequest *rq = request;
	char name[FILE_UPLOAD_LENGTH + 1];
	struct refusal no = {0};

	enum status st = may_upload(s, call, &no);
	upload_name(name, call->header->actor_id, rq->upload_id, "");
	if (st == STATUS_OK)
		st = file_drop(s->files, name);
	guard_answer(call, st, &no);
}

/* ---- finish */

struct finishing {
	struct change change;
	const pb_FinishUploadRequest *rq;
	pb_AttachmentReply *reply;
	uint64_t quota_bytes;
	bool missing; /* nothing lies there by its name */
	pb_AttachmentView view;
	uint8_t hash[FILE_HASH_BYTES], preview_hash[FILE_HASH_BYTES];
	char name[FILE_UPLOAD_LENGTH + 1], bare_name[FILE_UPLOAD_LENGTH + 1], preview_name[FILE_UPLOAD_LENGTH + 1];
	const char *stored; /* name or bare_name: what is to be kept */
};

static enum status hash_upload(struct service *s, struct arena *mem, const char *name, uint64_t bytes, uint8_t out[FILE_HASH_BYTES])
{
	unsigned char *piece = arena_alloc(mem, FILE_PIECE_BYTES);
	crypto_hash_sha256_state state;
	size_t n = 0;

	crypto_hash_sha256_init(&state);
	for (uint64_t at = 0; at < bytes; at += n) {
		enum status st = file_fetch(s->files, name, at, piece, FILE_PIECE_BYTES, &n);
		if (st != STATUS_OK || n == 0)
			return STATUS_BUSY;
		crypto_hash_sha256_update(&state, piece, n);
	}
	crypto_hash_sha256_final(&state, out);
	return STATUS_OK;
}

/* What is to be kept, and its hash: the upload, or of an image what is the picture. One that cannot be read as what it begins like is
 * somebody's file, and no image: nobody is shown it where it stands, and what may be in it is not said to be gone. */
static enum status make_bare(struct service *s, struct finishing *f)
{
	enum status st = STATUS_OK;
	uint64_t bare = 0;

	f->stored = f->name;
	if (media_has_preview(f->view.mime) && s->config->keep_metadata == 0) {
		st = metadata_remove(s, f->change.call, f->name, f->view.bytes, f->bare_name, &bare, f->hash);
		if (st == STATUS_NOT_IMPLEMENTED)
			f->change.no = (struct refusal){.detail = "no program is installed that takes metadata out of images"};
		if (st == STATUS_BAD_MEDIA) {
			f->view.mime = (char *)MEDIA_UNKNOWN;
			st = STATUS_OK;
		}
		if (st != STATUS_OK || bare > 0) {
			f->stored = f->bare_name;
			f->view.bytes = bare;
			return st;
		}
	}
	return hash_upload(s, f->change.call->mem, f->name, f->view.bytes, f->hash);
}

/* A picture of a picture; without one the upload is as good. */
static void make_preview(struct service *s, struct finishing *f)
{
	const struct picture picture = {s->files, f->stored, f->view.bytes};
	struct rpc_call *call = f->change.call;
	struct preview preview;

	if (!media_has_preview(f->view.mime) ||
		previews_make(s->previews, call->mem, &picture, call->deadline_mono_ms, &preview) != STATUS_OK)
		return;
	f->view.width = preview.width;
	f->view.height = preview.height;
	f->view.animated = preview.animated;
	struct iovec bytes = {preview.bytes, preview.length};
	if (preview.length == 0 || file_put(s->files, f->preview_name, 0, &bytes, 1) != STATUS_OK)
		return;
	crypto_hash_sha256(f->preview_hash, preview.bytes, preview.length);
	f->view.has_preview = true;
	f->view.preview = (pb_PreviewView){.bytes = preview.length,
		.mime = (char *)preview.mime,
		.ext = (char *)preview.ext,
		.width = preview.preview_width,
		.height = preview.preview_height};
}

/* What was uploaded, looked at: its type, what of it is kept and its hash, a preview. */
static enum status look_at(struct service *s, struct finishing *f)
{
	struct arena *mem = f->change.call->mem;
	unsigned char *begin = arena_alloc(mem, MEDIA_LOOK_BYTES);
	const char *name = f->rq->name != NULL ? media_name(mem, f->rq->name) : NULL;
	uint64_t bytes = 0;
	size_t n = 0;

	if (name == NULL) {
		f->change.no = (struct refusal){.field = "name", .detail = "must be a file's name of at most 255 characters"};
		return STATUS_FIELD_INVALID;
	}
	enum status st = file_length(s->files, f->name, &bytes);
	if (st == STATUS_OK)
		st = file_fetch(s->files, f->name, 0, begin, MEDIA_LOOK_BYTES, &n);
	f->missing = st == STATUS_NOT_FOUND;
	if (st == STATUS_NOT_FOUND || (st == STATUS_OK && bytes != f->rq->bytes)) {
		f->change.no = (struct refusal){.field = "bytes", .detail = "the file is not whole"};
		st = STATUS_FIELD_INVALID;
	}
	if (st == STATUS_OK && bytes > (uint64_t)s->config->files_max_mb * MIB)
		st = STATUS_TOO_LARGE;
	if (st != STATUS_OK)
		return st;
	f->view.name = (char *)name;
	f->view.ext = (char *)media_extension(mem, name);
	f->view.bytes = bytes;
	f->view.mime = (char *)media_type(begin, n);
	st = make_bare(s, f);
	if (st == STATUS_OK)
		make_preview(s, f);
	return st;
}

/* Says of both contents that somebody is about to refer to them: the collection leaves them alone for an hour. Before they take
 * their places, since it may be removing the same ones just now. */
static const struct db_stmt touch_stmt = {
	"messaging_files_touch",
	"INSERT INTO messaging.file_contents AS c (sha256, bytes, loose_at_ms)"
	" SELECT w.sha256, w.bytes, $3 FROM unnest($1::bytea[], $2::int8[]) AS w(sha256, bytes) ORDER BY w.sha256"
	" ON CONFLICT (sha256) DO UPDATE SET loose_at_ms = EXCLUDED.loose_at_ms",
};

static enum status touch_contents(struct service *s, const struct finishing *f)
{
	struct rpc_call *call = f->change.call;
	const void *hashes[] = {f->hash, f->preview_hash};
	const size_t lengths[] = {FILE_HASH_BYTES, FILE_HASH_BYTES};
	const int64_t bytes[] = {(int64_t)f->view.bytes, (int64_t)f->view.preview.bytes};
	bool same = memcmp(f->hash, f->preview_hash, FILE_HASH_BYTES) == 0;
	size_t count = f->view.has_preview && !same ? 2 : 1;
	struct db_conn *conn = NULL;
	struct db_params params;

	enum status st = db_acquire(s->db, call->deadline_mono_ms, &conn);
	if (st != STATUS_OK)
		return st;
	db_params_begin(&params, call->mem);
	db_put_byteas(&params, hashes, lengths, count);
	db_put_i64s(&params, bytes, count);
	db_put_i64(&params, clock_wall_ms());
	st = db_query(conn, call->mem, &touch_stmt, &params, NULL);
	db_release(conn);
	return st;
}

static enum status finish_allowed(struct change *c)
{
	return rights_need(&c->rights, PERMISSION_attach_files, &c->no.why);
}

static const struct db_stmt insert_stmt = {
	"messaging_attachment_insert",
	"INSERT INTO messaging.attachments (id, channel_id, uploader_id, name, bytes, mime, ext, width, height, animated, sha256,"
	" key, created_at_ms, preview_sha256, preview_bytes, preview_mime, preview_ext, preview_width, preview_height)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
};

static enum status finish_work(struct log_tx *tx, void *arg)
{
	struct finishing *f = arg;
	struct change *c = &f->change;
	const pb_AttachmentView *view = &f->view;
	const pb_PreviewView *preview = view->has_preview ? &view->preview : NULL;
	struct db_params params;
	struct db_rows rows = {0};

	if (f->quota_bytes != 0) {
		db_params_begin(&params, log_tx_mem(tx));
		db_put_id(&params, c->call->header->actor_id);
		enum status st = log_tx_query(tx, &used_stmt, &params, &rows);
		if (st != STATUS_OK)
			return st;
		if (db_id(&rows, 0, 0) + view->bytes > f->quota_bytes)
			return guard_refuse(tx, STATUS_AT_LIMIT, "files_quota", NULL);
	}
	db_params_begin(&params, log_tx_mem(tx));
	db_put_id(&params, view->id);
	db_put_id(&params, f->rq->channel_id);
	db_put_id(&params, view->uploader_id);
	db_put_text(&params, view->name);
	db_put_i64(&params, (int64_t)view->bytes);
	db_put_text(&params, view->mime);
	db_put_text(&params, view->ext);
	db_put_i32(&params, (int32_t)view->width);
	db_put_i32(&params, (int32_t)view->height);
	db_put_bool(&params, view->animated);
	db_put_bytea(&params, f->hash, sizeof f->hash);
	db_put_bytea(&params, view->key->bytes, view->key->size);
	db_put_id(&params, view->created_at_ms);
	db_put_bytea(&params, preview != NULL ? f->preview_hash : NULL, sizeof f->preview_hash);
	db_put_id_or_null(&params, preview != NULL ? preview->bytes : 0);
	db_put_text(&params, preview != NULL ? preview->mime : NULL);
	db_put_text(&params, preview != NULL ? preview->ext : NULL);
	db_put_i32(&params, preview != NULL ? (int32_t)preview->width : 0);
	db_put_i32(&params, preview != NULL ? (int32_t)preview->height : 0);
	enum status st = log_tx_query(tx, &insert_stmt, &params, NULL);
	if (st != STATUS_OK)
		return st;
	*f->reply = (pb_AttachmentReply){.has_attachment = true, .attachment = *view};
	guard_store(tx, c, f->reply);
	log_tx_object(tx, view->id);
	return STATUS_OK;
}

void finish_upload(void *service, struct rpc_call *call, const void *request, void *reply)
{
	struct service *s = service;
	struct finishing f = {.rq = request, .reply = reply};
	uint8_t key[ATTACHMENT_KEY_BYTES];
	bool replayed = false;

	f.quota_bytes = (uint64_t)s->config->files_quota_mb * MIB;
	f.change = (struct change){.channel_id = f.rq->channel_id,
		.keeps_rights = true,
		.allowed = finish_allowed,
		.work = finish_work,
		.call = call};
	randombytes_buf(key, sizeof key);
	f.view.uploader_id = call->header->actor_id;
	f.view.created_at_ms = (uint64_t)clock_wall_ms();
	f.view.key = pb_bytes_from(call->mem, key, sizeof key);
	upload_name(f.name, call->header->actor_id, f.rq->upload_id, "");
	f.stored = f.name;
	enum status st = may_upload(s, call, &f.change.no);
	if (st == STATUS_OK)
		st = service_next_id(s, &f.view.id);
	/* What is made of it has a name of this call's own: another copy may be finishing the same upload. */
	upload_name(f.bare_name, call->header->actor_id, f.view.id, "-b");
	upload_name(f.preview_name, call->header->actor_id, f.view.id, "-p");
	if (st == STATUS_OK)
		st = look_at(s, &f);
	if (st == STATUS_OK)
		st = touch_contents(s, &f);
	if (st == STATUS_OK)
		st = file_keep(s->files, f.stored, f.hash);
	if (st == STATUS_OK && f.view.has_preview)
		st = file_keep(s->files, f.preview_name, f.preview_hash);
	if (st == STATUS_OK)
		st = guard_change(s, &f.change, reply, &replayed);
	else if (s->files != NULL && guard_refuses(st)) /* a repeat of one that is finished finds nothing to finish */
		st = guard_refused(s, &f.change, st, reply, &replayed);
	/* What nobody needs any more; what is left when this is not reached is swept. */
	if (f.stored == f.bare_name)
		file_drop(s->files, st == STATUS_OK ? f.name : f.bare_name);
	/* Another copy may be finishing it in this moment; a repeat will find what it made. */
	if (st == STATUS_FIELD_INVALID && f.missing) {
		f.change.no = (struct refusal){0};
		st = STATUS_BUSY;
	}
	guard_answer_change(call, st, &f.change.no, replayed);
}
