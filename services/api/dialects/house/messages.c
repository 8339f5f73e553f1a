#include <string.h>

#include "common/base/text.h"
#include "common/dialects/house/markup.h"
#include "services/api/dialects/house/house.h"

#define CONTENT_MOST 4000
#define NONCE_MOST   64
#define FILES_MOST   10

static enum status path_message(struct exchange *x, pb_MessageRequest *out)
{
	enum status st = house_path_id(x, "channel", &out->channel_id);

	return st == STATUS_OK ? house_path_id(x, "message", &out->message_id) : st;
}

/* The text of a message, as canonical. What counts is how long that is: a client may send back what it was shown, where
 * every mention is longer. */
static void body_content(struct exchange *x, struct json_reader *r, bool with_files, const char **out)
{
	const char *content = NULL;

	json_str(r, "content", with_files ? JSON_OPTIONAL : JSON_REQUIRED, with_files ? 0 : 1,
		CONTENT_MOST * HOUSE_MARKUP_GROWTH, &content);
	*out = "";
	if (content == NULL)
		return;
	*out = house_markup_read(x->mem, content);
	if (text_code_points(*out, strlen(*out)) > CONTENT_MOST)
		json_fail(r, STATUS_FIELD_INVALID, "content", "must have 1 to 4000 characters");
}

static void write_view(struct json_writer *w, const pb_MessageView *message)
{
	house_message(w, message, 0);
}

static enum status create(struct exchange *x, uint64_t channel, uint64_t parent)
{
	const char *content = NULL, *nonce = NULL;
	uint64_t *files = NULL;
	size_t file_count = 0;
	struct json_reader r;
	pb_MessageReply reply;

	house_body(x, &r);
	json_uuids(&r, "attachments", JSON_OPTIONAL, FILES_MOST, &files, &file_count);
	body_content(x, &r, file_count > 0, &content);
	json_str(&r, "nonce", JSON_OPTIONAL, 1, NONCE_MOST, &nonce);
	enum status st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	if (nonce != NULL) { /* names the message itself, which a key of the request does not */
		request_id_from_nonce(x->request_id, channel, nonce);
		request_hash_post(x->body_hash, content, parent, files, file_count);
		x->has_body_hash = true;
		x->key_field = "nonce";
	}
	st = CALL(x, messaging, post_message, channel,
		&((pb_PostMessageRequest){.channel_id = channel,
			.content = (char *)content,
			.parent_id = parent,
			.nonce = (char *)nonce,
			.attachment_ids_count = (pb_size_t)file_count,
			.attachment_ids = files}),
		&reply);
	if (st != STATUS_OK)
		return st;
	house_location(
		x, "/channels/%s/messages/%s", house_uuid(x, channel), house_uuid(x, reply.message.id));
	return HOUSE_OBJECT(x, 201, write_view, &reply.message);
}

enum status house_messages_create(struct exchange *x)
{
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	return st == STATUS_OK ? create(x, channel, 0) : st;
}

enum status house_replies_create(struct exchange *x)
{
	pb_MessageRequest parent = {0};
	enum status st = path_message(x, &parent);

	return st == STATUS_OK ? create(x, parent.channel_id, parent.message_id) : st;
}

static void write_message(struct json_writer *w, const void *items, size_t i)
{
	write_view(w, &((const pb_MessageView *)items)[i]);
}

static uint64_t message_id(const void *items, size_t i)
{
	return ((const pb_MessageView *)items)[i].id;
}

static enum status finish_messages(
	struct exchange *x, const struct house_page *page, const pb_ListMessagesReply *reply)
{
	return house_finish_list(x, page,
		&(struct house_list){reply->messages_count, reply->more, true, reply->messages, write_message,
			message_id});
}

enum status house_messages_list(struct exchange *x)
{
	pb_ListMessagesReply reply;
	struct house_page page;
	bool system = false;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = house_query_flag(x, "system", &system);
	if (st == STATUS_OK)
		st = ASK(x, messaging, list_messages, channel,
			&((pb_ListMessagesRequest){.channel_id = channel,
				.before = page.before,
				.after = page.after,
				.limit = page.limit,
				.system = system}),
			&reply);
	return st == STATUS_OK ? finish_messages(x, &page, &reply) : st;
}

enum status house_replies_list(struct exchange *x)
{
	pb_MessageRequest parent = {0};
	pb_ListMessagesReply reply;
	struct house_page page;
	enum status st = path_message(x, &parent);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, messaging, list_replies, parent.channel_id,
			&((pb_ListMessagesRequest){
				parent.channel_id, parent.message_id, page.before, page.after, page.limit}),
			&reply);
	return st == STATUS_OK ? finish_messages(x, &page, &reply) : st;
}

enum status house_messages_get(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_MessageReply reply;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = ASK(x, messaging, get_message, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, write_view, &reply.message) : st;
}

enum status house_messages_patch(struct exchange *x)
{
	pb_MessageRequest of = {0};
	const char *content = NULL;
	struct json_reader r;
	pb_MessageReply reply;
	enum status st = path_message(x, &of);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	body_content(x, &r, false, &content);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, messaging, update_message, of.channel_id,
			&((pb_UpdateMessageRequest){of.channel_id, of.message_id, (char *)content}), &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, write_view, &reply.message) : st;
}

enum status house_messages_delete(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, delete_message, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

static void write_edit(struct json_writer *w, const void *items, size_t i)
{
	house_edit(w, &((const pb_EditView *)items)[i]);
}

enum status house_messages_history(struct exchange *x)
{
	pb_MessageRequest request = {0};
	struct house_page all = {0};
	pb_ListEditsReply reply;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = ASK(x, messaging, list_edits, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &all,
		&(struct house_list){reply.edits_count, false, false, reply.edits, write_edit, NULL});
}
