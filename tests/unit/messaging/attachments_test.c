/* Files for messages: uploads, whose they are, what becomes of them; on a store in a folder. */
#include "tests/unit/messaging/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "common/events/attachments.h"
#include "services/messaging/attachments.h"
#include "services/messaging/file_store.h"
#include "services/messaging/files_job.h"
#include "services/messaging/previews.h"
#include "services/messaging/purge.h"
#include "tests/unit/messaging/file_memory.h"

#define HOUR INT64_C(3600000)

static pb_Empty empty;
static pb_CreateUploadReply begun;
static pb_AttachmentReply file;
static pb_MessageReply message;
static pb_ReadAttachmentReply piece;
static char folder[96];

static void prepare(struct fixture *fx)
{
	fx->config.files_max_mb = 1;
	fx->config.files_per_message = 3;
	fx->config.files_grace_h = 24;
	snprintf(folder, sizeof folder, "%s/files", fx->directory);
	ck_assert_int_eq(file_disk_create(folder, &fx->service.files), STATUS_OK);
}

static void prepare_little(struct fixture *fx)
{
	prepare(fx);
	fx->config.files_quota_mb = 1;
}

static void with_files(struct fixture *fx)
{
	fixture_prepare = prepare;
	fixture_create(fx);
}

static int unlink_one(const char *path, const struct stat *found, int kind, struct FTW *where)
{
	return remove(path);
}

static void destroy(struct fixture *fx)
{
	struct file_store *files = fx->service.files;

	fixture_destroy(fx);
	file_store_destroy(files);
	nftw(folder, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	rmdir(fx->directory);
}

static int kept; /* files in the store, uploads too */
static int count_files(const char *path, const struct stat *found, int kind, struct FTW *where)
{
	kept += kind == FTW_F;
	return 0;
}

static int files_kept(void)
{
	kept = 0;
	nftw(folder, count_files, 16, FTW_PHYS);
	return kept;
}

static enum status put(struct fixture *fx, uint64_t upload, uint64_t offset, const char *bytes)
{
	pb_bytes_array_t *part = pb_bytes_from(fx->mem, bytes, strlen(bytes));

	return DO(fx, false, put_upload, pb_PutUploadRequest, &empty, .upload_id = upload, .offset = offset, .parts_count = 1,
		.parts = &part);
}

static enum status finish(struct fixture *fx, uint64_t upload, uint64_t channel, const char *name, uint64_t bytes)
{
	return DO(fx, true, finish_upload, pb_FinishUploadRequest, &file, .upload_id = upload, .channel_id = channel,
		.name = (char *)name, .bytes = bytes);
}

static uint64_t begin(struct fixture *fx, uint64_t channel)
{
	ck_assert_int_eq(DO(fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_OK);
	return begun.upload_id;
}

static pb_AttachmentView uploaded(struct fixture *fx, uint64_t channel, const char *name, const char *bytes)
{
	uint64_t upload = begin(fx, channel);

	ck_assert_int_eq(put(fx, upload, 0, bytes), STATUS_OK);
	ck_assert_int_eq(finish(fx, upload, channel, name, strlen(bytes)), STATUS_OK);
	return file.attachment;
}

static enum status post_with(struct fixture *fx, uint64_t channel, const char *content, uint64_t *ids, size_t count)
{
	return DO(fx, true, post_message, pb_PostMessageRequest, &message, .channel_id = channel, .content = (char *)content,
		.attachment_ids = ids, .attachment_ids_count = (pb_size_t)count);
}

static enum status get(struct fixture *fx, const pb_AttachmentView *a)
{
	char sign[ATTACHMENT_SIGN_SIZE];

	attachment_sign(a, 0, clock_wall_ms(), sign);
	return DO(fx, false, get_attachment, pb_GetAttachmentRequest, &file, .attachment_id = a->id, .sign = sign);
}

static struct files_gone round_at(struct fixture *fx, int64_t now_ms)
{
	struct files_gone gone;
	struct db_conn *conn = NULL;

	ck_assert_int_eq(db_acquire(fx->service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(files_round(&fx->service, conn, fx->mem, now_ms, &gone), STATUS_OK);
	db_release(conn);
	return gone;
}

START_TEST(what_is_uploaded_in_pieces_is_one_file_with_a_type_of_its_own)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_uint_eq(begun.max_bytes, 1 << 20);
	ck_assert_int_eq(put(&fx, upload, 5, "world"), STATUS_OK);
	ck_assert_int_eq(put(&fx, upload, 0, "hello"), STATUS_OK);
	ck_assert_int_eq(put(&fx, upload, 0, "hello"), STATUS_OK); /* said again */
	ck_assert_int_eq(finish(&fx, upload, channel, "../a.b.PNG", 10), STATUS_OK);
	ck_assert_str_eq(file.attachment.name, "a.b.PNG");
	ck_assert_str_eq(file.attachment.ext, "PNG");
	ck_assert_str_eq(file.attachment.mime, "text/plain; charset=utf-8");
	ck_assert_uint_eq(file.attachment.bytes, 10);
	ck_assert_uint_eq(file.attachment.uploader_id, 5);
	uint64_t id = file.attachment.id;
	ck_assert_int_eq(DO(&fx, false, read_attachment, pb_ReadAttachmentRequest, &piece, .attachment_id = id, .offset = 3, .limit = 4),
		STATUS_OK);
	ck_assert_uint_eq(piece.parts_count, 1);
	ck_assert_uint_eq(piece.parts[0]->size, 4);
	ck_assert_mem_eq(piece.parts[0]->bytes, "lowo", 4);
	ck_assert_int_eq(DO(&fx, false, read_attachment, pb_ReadAttachmentRequest, &piece, .attachment_id = id, .preview = true, .limit = 4),
		STATUS_NOT_FOUND);
	struct stat found;
	ck_assert_int_eq(stat(folder, &found), 0);
	ck_assert_int_eq(found.st_mode & 0777, 0700);
	destroy(&fx);
}
END_TEST

START_TEST(a_repeated_finish_gives_the_first_attachment)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, "hello"), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_OK);
	uint64_t id = file.attachment.id;
	fx.same_request = true;
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_OK);
	ck_assert_uint_eq(file.attachment.id, id);
	ck_assert(fx.outcome.replayed);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.attachments"), 1);
	/* As another change it is one of nothing: perhaps of what another copy has not committed yet. */
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_BUSY);
	destroy(&fx);
}
END_TEST

START_TEST(nobody_puts_to_or_finishes_another_persons_upload)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, "hello"), STATUS_OK);
	fx.user = 6;
	ck_assert_int_eq(put(&fx, upload, 0, "HELLO"), STATUS_OK); /* one of his own, of the same number */
	ck_assert_int_eq(DO(&fx, false, drop_upload, pb_DropUploadRequest, &empty, .upload_id = upload), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_BUSY);
	fx.user = 5;
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_OK);
	ck_assert_int_eq(DO(&fx, false, read_attachment, pb_ReadAttachmentRequest, &piece, .attachment_id = file.attachment.id, .limit = 9),
		STATUS_OK);
	ck_assert_mem_eq(piece.parts[0]->bytes, "hello", 5);
	destroy(&fx);
}
END_TEST

START_TEST(whoever_may_not_attach_is_refused_at_every_step)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a", "hello");
	uint64_t upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, "hello"), STATUS_OK);
	TELL(&fx, bits[5] = bits_without(OWNED_ROLES, PERMISSION_attach_files));
	pg_exec(fx.url, "UPDATE log.streams SET authz_epoch = authz_epoch + 1 WHERE rank = 1");
	ck_assert_int_eq(DO(&fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "attach_files");
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 5), STATUS_FORBIDDEN);
	ck_assert_int_eq(post_with(&fx, channel, "look", &a.id, 1), STATUS_FORBIDDEN);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.attachments"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 0);
	TELL(&fx, hidden[6] = true);
	fx.user = 6;
	ck_assert_int_eq(DO(&fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_NOT_FOUND);
	fx.user = 0;
	ck_assert_int_eq(DO(&fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_FORBIDDEN);
	destroy(&fx);
}
END_TEST

START_TEST(without_a_folder_nothing_can_be_uploaded)
{
	struct fixture fx;

	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	ck_assert_int_eq(DO(&fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_NOT_IMPLEMENTED);
	ck_assert_int_eq(put(&fx, 1, 0, "x"), STATUS_NOT_IMPLEMENTED);
	ck_assert_int_eq(finish(&fx, 1, channel, "a", 1), STATUS_NOT_IMPLEMENTED);
	fixture_destroy(&fx);
}
END_TEST

START_TEST(sizes_names_and_quotas_have_bounds)
{
	struct fixture fx;

	fixture_prepare = prepare_little;
	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, (1 << 20) - 2, "abc"), STATUS_TOO_LARGE);
	ck_assert_int_eq(put(&fx, upload, UINT64_MAX, "abc"), STATUS_TOO_LARGE);
	ck_assert_int_eq(put(&fx, upload, 0, "abc"), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a/", 3), STATUS_FIELD_INVALID);
	ck_assert_str_eq(fx.outcome.field, "name");
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 4), STATUS_FIELD_INVALID); /* a piece is missing */
	pg_exec(fx.url, "INSERT INTO messaging.file_contents VALUES ('\\x00', 1048574, NULL);"
			"INSERT INTO messaging.attachments (id, channel_id, uploader_id, name, bytes, mime, ext, sha256, key, created_at_ms)"
			" VALUES (1, 1, 5, 'x', 1048574, 'x', '', '\\x00', '\\x00', 9223372036854775807)");
	ck_assert_int_eq(finish(&fx, upload, channel, "a", 3), STATUS_AT_LIMIT);
	ck_assert_str_eq(fx.outcome.why, "files_quota");
	pg_exec(fx.url, "UPDATE messaging.attachments SET bytes = 1048576");
	ck_assert_int_eq(DO(&fx, false, create_upload, pb_CreateUploadRequest, &begun, .channel_id = channel), STATUS_AT_LIMIT);
	destroy(&fx);
}
END_TEST

START_TEST(a_message_shows_its_files_wherever_it_is_and_each_file_is_for_one_message)
{
	struct fixture fx;
	char audience[AUDIENCE_SIZE];
	pb_ListMessagesReply page;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), other = made_channel(&fx, false);
	uint64_t ids[] = {uploaded(&fx, channel, "b", "two").id, uploaded(&fx, channel, "a", "one").id, uploaded(&fx, other, "c", "c").id,
		uploaded(&fx, channel, "d", "d").id};
	uint64_t doubled[] = {ids[0], ids[0]}, many[] = {ids[0], ids[1], ids[3], 77};
	ck_assert_int_eq(post_with(&fx, channel, "", ids, 2), STATUS_OK); /* words are not needed */
	pb_MessageView m = message.message;
	ck_assert_uint_eq(m.attachments_count, 2);
	ck_assert_str_eq(m.attachments[0].name, "b");
	ck_assert_str_eq(m.attachments[1].name, "a");
	pb_Event event = event_back(&fx, STREAM_TEAM(TEAM), 0, audience);
	ck_assert_uint_eq(event.body.message_posted.message.attachments_count, 2);
	ck_assert_int_eq(DO(&fx, false, get_message, pb_MessageRequest, &message, .channel_id = channel, .message_id = m.id), STATUS_OK);
	ck_assert_uint_eq(message.message.attachments_count, 2);
	ck_assert_uint_eq(message.message.attachments[1].id, ids[1]);
	ck_assert_uint_eq(message.message.attachments[1].key->size, ATTACHMENT_KEY_BYTES);
	ck_assert_int_eq(DO(&fx, false, list_messages, pb_ListMessagesRequest, &page, .channel_id = channel), STATUS_OK);
	ck_assert_uint_eq(page.messages[0].attachments_count, 2);
	ck_assert_int_eq(get(&fx, &m.attachments[0]), STATUS_OK);

	const struct {
		uint64_t *ids;
		size_t count;
	} refused[] = {{ids, 1}, {&ids[2], 1}, {doubled, 2}, {many, 4}, {&many[3], 1}};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		ck_assert_int_eq(post_with(&fx, channel, "again", refused[i].ids, refused[i].count), STATUS_FIELD_INVALID);
		ck_assert_str_eq(fx.outcome.field, "attachments");
	}
	fx.user = 6;
	ck_assert_int_eq(post_with(&fx, channel, "not mine", &ids[3], 1), STATUS_FIELD_INVALID);
	ck_assert_int_eq(post_with(&fx, channel, "", NULL, 0), STATUS_FIELD_INVALID);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	assert_streams_whole(&fx);
	destroy(&fx);
}
END_TEST

START_TEST(a_repeated_post_with_files_gives_the_first_message)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), id = uploaded(&fx, channel, "a", "one").id;
	ck_assert_int_eq(post_with(&fx, channel, "look", &id, 1), STATUS_OK);
	uint64_t first = message.message.id;
	fx.same_request = true;
	ck_assert_int_eq(post_with(&fx, channel, "look", &id, 1), STATUS_OK);
	ck_assert_uint_eq(message.message.id, first);
	ck_assert_uint_eq(message.message.attachments_count, 1);
	ck_assert(fx.outcome.replayed);
	destroy(&fx);
}
END_TEST

struct rival {
	struct fixture *fx;
	uint64_t channel, id;
	_Atomic int *written;
	struct rpc_context context;
};

static void *rival_posts(void *arg)
{
	struct rival *r = arg;
	struct arena *mem = arena_create();
	struct rpc_outcome outcome;
	pb_MessageReply reply;

	enum status st = messaging_post_message(r->fx->client, mem, &r->context,
		&(pb_PostMessageRequest){.channel_id = r->channel,
			.content = (char *)"mine",
			.attachment_ids = &r->id,
			.attachment_ids_count = 1},
		&reply, &outcome);
	ck_assert(st == STATUS_OK || st == STATUS_FIELD_INVALID);
	atomic_fetch_add(r->written, st == STATUS_OK);
	arena_destroy(mem);
	return NULL;
}

START_TEST(of_many_posts_that_name_one_file_at_once_one_gets_it)
{
	struct fixture fx;
	_Atomic int written = 0;
	pthread_t threads[8];
	struct rival rivals[8];

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), id = uploaded(&fx, channel, "a", "one").id;
	for (size_t i = 0; i < 8; i++) {
		rivals[i] = (struct rival){&fx, channel, id, &written, fixture_context(&fx, true)};
		pthread_create(&threads[i], NULL, rival_posts, &rivals[i]);
	}
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(written, 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE attachments IS NOT NULL"), 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages"), 1);
	destroy(&fx);
}
END_TEST

START_TEST(only_a_good_signature_fetches_and_only_while_it_is_there)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a", "one"), b = uploaded(&fx, channel, "b", "two"), unknown = a;
	fx.user = 0;
	ck_assert_int_eq(get(&fx, &a), STATUS_OK);
	ck_assert_int_eq(DO(&fx, false, get_attachment, pb_GetAttachmentRequest, &file, .attachment_id = a.id), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "signature");
	a.key = b.key;
	ck_assert_int_eq(get(&fx, &a), STATUS_FORBIDDEN);
	/* What is not there is told from it by nothing, by no key that somebody could think of either. */
	unknown.id = 77;
	ck_assert_int_eq(get(&fx, &unknown), STATUS_FORBIDDEN);
	ck_assert_str_eq(fx.outcome.why, "signature");
	unknown.key = pb_bytes_from(fx.mem, (const uint8_t[ATTACHMENT_KEY_BYTES]){0}, ATTACHMENT_KEY_BYTES);
	ck_assert_int_eq(get(&fx, &unknown), STATUS_FORBIDDEN);
	ck_assert_int_eq(DO(&fx, false, get_attachment, pb_GetAttachmentRequest, &file, .attachment_id = 77), STATUS_FORBIDDEN);
	pg_exec(fx.url, "UPDATE messaging.channels SET deleted_at_ms = 1");
	ck_assert_int_eq(get(&fx, &b), STATUS_NOT_FOUND);
	ck_assert_int_eq(get(&fx, &a), STATUS_FORBIDDEN);
	destroy(&fx);
}
END_TEST

START_TEST(files_go_with_their_message_and_the_last_of_a_content_takes_it_along)
{
	struct fixture fx;
	int64_t now = clock_wall_ms();

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a", "same"), b = uploaded(&fx, channel, "b", "same");
	ck_assert_int_eq(files_kept(), 1);
	ck_assert_int_eq(post_with(&fx, channel, "one", &a.id, 1), STATUS_OK);
	pb_MessageView one = message.message;
	ck_assert_int_eq(post_with(&fx, channel, "two", &b.id, 1), STATUS_OK);
	pb_MessageView two = message.message;
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel, .message_id = one.id), STATUS_OK);
	ck_assert_int_eq(get(&fx, &a), STATUS_NOT_FOUND);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.messages WHERE attachments IS NOT NULL"), 1);
	struct files_gone gone = round_at(&fx, now + 2 * HOUR);
	ck_assert_uint_eq(gone.attachments, 1);
	ck_assert_uint_eq(gone.contents, 0); /* the other has it */
	gone = round_at(&fx, now + 5 * HOUR);
	ck_assert_uint_eq(gone.contents, 0);
	ck_assert_int_eq(files_kept(), 1);
	ck_assert_int_eq(get(&fx, &b), STATUS_OK);
	ck_assert_int_eq(DO(&fx, true, delete_message, pb_MessageRequest, &empty, .channel_id = channel, .message_id = two.id), STATUS_OK);
	gone = round_at(&fx, now + 6 * HOUR);
	ck_assert_uint_eq(gone.attachments, 1);
	gone = round_at(&fx, now + 8 * HOUR);
	ck_assert_uint_eq(gone.contents, 1);
	ck_assert_int_eq(files_kept(), 0);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.file_contents"), 0);
	destroy(&fx);
}
END_TEST

START_TEST(what_no_message_names_goes_after_its_grace_and_what_one_names_stays)
{
	struct fixture fx;
	int64_t now = clock_wall_ms();

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a", "one"), b = uploaded(&fx, channel, "b", "two");
	uint64_t unfinished = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, unfinished, 0, "half"), STATUS_OK);
	ck_assert_int_eq(post_with(&fx, channel, "b", &b.id, 1), STATUS_OK);
	struct files_gone gone = round_at(&fx, now + 23 * HOUR);
	ck_assert_uint_eq(gone.attachments, 0);
	ck_assert_uint_eq(gone.uploads, 1);
	ck_assert_int_eq(get(&fx, &a), STATUS_OK);
	gone = round_at(&fx, now + 25 * HOUR);
	ck_assert_uint_eq(gone.attachments, 1);
	ck_assert_int_eq(get(&fx, &a), STATUS_FORBIDDEN);
	ck_assert_int_eq(post_with(&fx, channel, "too late", &a.id, 1), STATUS_FIELD_INVALID);
	gone = round_at(&fx, now + 27 * HOUR);
	ck_assert_uint_eq(gone.contents, 1);
	ck_assert_int_eq(get(&fx, &b), STATUS_OK);
	ck_assert_int_eq(files_kept(), 1);
	destroy(&fx);
}
END_TEST

#define PICTURE "GIF89a picture and where it was taken"
static const struct strip_piece bare[] = {{0, 14}, {STRIP_MADE, 3}, {14, 4}}; /* "GIF89a picturenew and" */
#define BARE    "GIF89a picturenew and"

/* The program that looks at images, as a script: it says that these pieces stay, or ends with this code. */
static void make_script(int code, char out_path[128])
{
	const struct strip_answer answer = {.magic = STRIP_MAGIC, .count = 3, .made_length = 3, .made = "new"};
	char said[128];

	snprintf(said, sizeof said, "%s/said", folder);
	snprintf(out_path, 128, "%s/script", folder);
	FILE *file_said = fopen(said, "we"), *file_script = fopen(out_path, "we");
	ck_assert_uint_eq(fwrite(&answer, sizeof answer, 1, file_said), 1);
	ck_assert_uint_eq(fwrite(bare, sizeof *bare, 3, file_said), 3);
	fprintf(file_script, "#!/bin/sh\ntest \"$1\" = strip || exit 1\ncat %s\nexit %d\n", said, code);
	fchmod(fileno(file_script), 0700);
	fclose(file_said);
	fclose(file_script);
}

static void previewer_ends_with(int code)
{
	char path[128];

	make_script(code, path);
}

static void prepare_previewer(struct fixture *fx)
{
	char path[128];

	prepare(fx);
	make_script(0, path);
	fx->service.previews = previews_create(path, 1);
}

static void with_previewer(struct fixture *fx)
{
	fixture_prepare = prepare_previewer;
	fixture_create(fx);
}

static void destroy_with_previewer(struct fixture *fx)
{
	struct previews *previews = fx->service.previews;

	destroy(fx);
	previews_destroy(previews);
}

static const char *stored(struct fixture *fx, uint64_t id)
{
	ck_assert_int_eq(DO(fx, false, read_attachment, pb_ReadAttachmentRequest, &piece, .attachment_id = id, .limit = 1000), STATUS_OK);
	return piece.parts_count == 0 ? "" : arena_strndup(fx->mem, (const char *)piece.parts[0]->bytes, piece.parts[0]->size);
}

START_TEST(of_an_image_what_is_the_picture_is_kept_and_nothing_else)
{
	struct fixture fx;

	with_previewer(&fx);
	int others = files_kept(); /* the script's */
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a.gif", PICTURE);
	ck_assert_str_eq(a.mime, "image/gif");
	ck_assert_uint_eq(a.bytes, strlen(BARE));
	ck_assert_str_eq(stored(&fx, a.id), BARE);
	ck_assert_int_eq(files_kept(), others + 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.file_contents c JOIN messaging.attachments a USING (sha256)"
				     " WHERE c.sha256 = sha256('" BARE "'::bytea) AND c.bytes = a.bytes"),
		1);
	destroy_with_previewer(&fx);
}
END_TEST

START_TEST(an_image_that_is_finished_again_is_stripped_once)
{
	struct fixture fx;

	with_previewer(&fx);
	int others = files_kept();
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, PICTURE), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_OK);
	uint64_t id = file.attachment.id;
	fx.same_request = true;
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_OK);
	ck_assert_uint_eq(file.attachment.id, id);
	/* Its answer was lost, and so was what it said to the store after it. */
	fx.same_request = true;
	ck_assert_int_eq(put(&fx, upload, 0, PICTURE), STATUS_OK);
	fx.same_request = true;
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_OK);
	ck_assert_uint_eq(file.attachment.id, id);
	ck_assert_str_eq(stored(&fx, id), BARE);
	ck_assert_int_eq(files_kept(), others + 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.attachments"), 1);
	destroy_with_previewer(&fx);
}
END_TEST

START_TEST(an_image_that_cannot_be_stripped_now_is_put_off_and_taken_later)
{
	struct fixture fx;

	with_previewer(&fx);
	previewer_ends_with(2);
	int others = files_kept();
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, PICTURE), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_BUSY);
	ck_assert_int_eq(files_kept(), others + 1);
	ck_assert_int_eq(number(&fx, "SELECT count(*) FROM messaging.attachments"), 0);
	previewer_ends_with(0);
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_OK);
	ck_assert_str_eq(stored(&fx, file.attachment.id), BARE);
	destroy_with_previewer(&fx);
}
END_TEST

START_TEST(without_the_program_images_are_refused)
{
	struct fixture fx;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false), upload = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, upload, 0, PICTURE), STATUS_OK);
	ck_assert_int_eq(finish(&fx, upload, channel, "a.gif", strlen(PICTURE)), STATUS_NOT_IMPLEMENTED);
	destroy(&fx);
}
END_TEST

START_TEST(what_is_no_image_after_all_is_kept_as_it_is_and_called_none)
{
	struct fixture fx;

	with_previewer(&fx);
	previewer_ends_with(1);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a.gif", PICTURE);
	ck_assert_str_eq(a.mime, "application/octet-stream");
	ck_assert_str_eq(stored(&fx, a.id), PICTURE);
	destroy_with_previewer(&fx);
}
END_TEST

static void prepare_keeping(struct fixture *fx)
{
	prepare(fx);
	fx->config.keep_metadata = 1;
}

START_TEST(images_are_kept_as_they_are_sent_where_that_is_wanted)
{
	struct fixture fx;

	fixture_prepare = prepare_keeping;
	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a.gif", PICTURE);
	ck_assert_str_eq(a.mime, "image/gif");
	ck_assert_str_eq(stored(&fx, a.id), PICTURE);
	destroy(&fx);
}
END_TEST

/* Nothing above the store knows where the bytes lie. */
static void prepare_memory(struct fixture *fx)
{
	prepare_previewer(fx);
	file_store_destroy(fx->service.files);
	fx->service.files = file_memory_create();
}

START_TEST(files_need_no_folder_to_be_kept_and_collected)
{
	struct fixture fx;
	int64_t now = clock_wall_ms();

	fixture_prepare = prepare_memory;
	fixture_create(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a.gif", PICTURE);
	ck_assert_str_eq(stored(&fx, a.id), BARE);
	uint64_t unfinished = begin(&fx, channel);
	ck_assert_int_eq(put(&fx, unfinished, 0, "half"), STATUS_OK);
	struct files_gone gone = round_at(&fx, now + 25 * HOUR);
	ck_assert_uint_eq(gone.attachments, 1);
	ck_assert_uint_eq(gone.uploads, 1);
	ck_assert_uint_eq(round_at(&fx, now + 27 * HOUR).contents, 1);
	destroy_with_previewer(&fx);
}
END_TEST

START_TEST(a_purged_channel_lets_its_files_go)
{
	struct fixture fx;
	struct db_conn *conn = NULL;
	uint64_t rows = 0;

	with_files(&fx);
	uint64_t channel = made_channel(&fx, false);
	pb_AttachmentView a = uploaded(&fx, channel, "a", "one");
	ck_assert_int_eq(post_with(&fx, channel, "one", &a.id, 1), STATUS_OK);
	pg_exec(fx.url, "UPDATE messaging.channels SET deleted_at_ms = 1");
	ck_assert_int_eq(db_acquire(fx.service.db, clock_mono_ms() + PATIENCE_MS, &conn), STATUS_OK);
	ck_assert_int_eq(purge_round(conn, fx.mem, 2, &rows), STATUS_OK);
	db_release(conn);
	ck_assert_uint_eq(round_at(&fx, clock_wall_ms() + HOUR).attachments, 1);
	ck_assert_uint_eq(round_at(&fx, clock_wall_ms() + 3 * HOUR).contents, 1);
	ck_assert_int_eq(files_kept(), 0);
	destroy(&fx);
}
END_TEST

TESTS("attachments", what_is_uploaded_in_pieces_is_one_file_with_a_type_of_its_own, a_repeated_finish_gives_the_first_attachment,
	nobody_puts_to_or_finishes_another_persons_upload, whoever_may_not_attach_is_refused_at_every_step,
	without_a_folder_nothing_can_be_uploaded, sizes_names_and_quotas_have_bounds,
	a_message_shows_its_files_wherever_it_is_and_each_file_is_for_one_message, a_repeated_post_with_files_gives_the_first_message,
	of_many_posts_that_name_one_file_at_once_one_gets_it, only_a_good_signature_fetches_and_only_while_it_is_there,
	files_go_with_their_message_and_the_last_of_a_content_takes_it_along,
	what_no_message_names_goes_after_its_grace_and_what_one_names_stays, a_purged_channel_lets_its_files_go,
	of_an_image_what_is_the_picture_is_kept_and_nothing_else, an_image_that_is_finished_again_is_stripped_once,
	an_image_that_cannot_be_stripped_now_is_put_off_and_taken_later, without_the_program_images_are_refused, what_is_no_image_after_all_is_kept_as_it_is_and_called_none,
	images_are_kept_as_they_are_sent_where_that_is_wanted, files_need_no_folder_to_be_kept_and_collected)
