/* Messages: writing, editing, deleting, answering, commands, marking as read. */
#include <string.h>

#include "common/base/text.h"
#include "common/dialects/crust/markup.h"
#include "services/api/dialects/crust/crust.h"

#define CONTENT_MOST 4000

static enum status path_message(struct exchange *x, pb_MessageRequest *out)
{
	enum status st = crust_path_id(x, "channel", &out->channel_id);

	return st == STATUS_OK ? crust_path_id(x, "message", &out->message_id) : st;
}

static enum status answer(struct exchange *x, const pb_MessageView *message)
{
	struct crust_message_own own = crust_message_own(message, x->actor.id);
	struct json_writer w;

	crust_response(x, &w);
	crust_message(&w, message, &own);
	return crust_finish(x, &w);
}

/* The text of a message as canonical. without: what is said when there is none. */
static enum status read_text(struct exchange *x, const char *without, const char **out)
{
	struct crust_params p;

	crust_params(x, &p, CRUST_BODY);
	const char *text = crust_trimmed(x->mem, crust_param(&p, "message"));
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (text[0] == '\0')
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, without);
	*out = crust_markup_read(x->mem, text);
	if (text_code_points(*out, strlen(*out)) > CONTENT_MOST)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, "message too long (max: 4000)");
	return STATUS_OK;
}

static enum status create(struct exchange *x, pb_PostMessageRequest *request)
{
	const char *text = NULL;
	pb_MessageReply reply;
	enum status st = read_text(x, "refusing to create message without contents", &text);

	if (st != STATUS_OK)
		return st;
	request->content = (char *)text;
	st = CALL(x, messaging, post_message, request->channel_id, request, &reply);
	return st == STATUS_OK ? answer(x, &reply.message) : st;
}

enum status crust_messages_create(struct exchange *x)
{
	pb_PostMessageRequest request = {0};
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	return st == STATUS_OK ? create(x, &request) : st;
}

/* Only what people wrote can be answered here; other dialects answer the rest as well, so it is not for the owner to refuse. */
static enum status check_parent(struct exchange *x, const pb_MessageRequest *parent)
{
	pb_MessageReply reply;
	enum status st = ASK(x, messaging, get_message, parent->channel_id, parent, &reply);

	if (st != STATUS_OK || reply.message.kind == MESSAGE_TEXT)
		return st;
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL,
		arena_printf(x->mem, "unable to reply on this message (type = %s)",
			crust_message_type(&reply.message)));
}

enum status crust_replies_create(struct exchange *x)
{
	pb_MessageRequest parent = {0};
	enum status st = path_message(x, &parent);

	if (st == STATUS_OK)
		st = check_parent(x, &parent);
	if (st != STATUS_OK)
		return st;
	return create(x,
		&(pb_PostMessageRequest){.channel_id = parent.channel_id, .parent_id = parent.message_id});
}

enum status crust_messages_edit(struct exchange *x)
{
	pb_MessageRequest of = {0};
	const char *text = NULL;
	pb_MessageReply reply;
	enum status st = path_message(x, &of);

	if (st == STATUS_OK)
		st = read_text(x, "refusing to update message without contents", &text);
	if (st == STATUS_OK)
		st = CALL(x, messaging, update_message, of.channel_id,
			&((pb_UpdateMessageRequest){of.channel_id, of.message_id, (char *)text}), &reply);
	return st == STATUS_OK ? answer(x, &reply.message) : st;
}

enum status crust_messages_delete(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, delete_message, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? crust_ok(x) : st;
}

/* ---- read marks */

enum status crust_messages_mark(struct exchange *x)
{
	pb_MarkReadRequest request = {0};
	struct crust_params p;
	struct json_writer w;
	pb_UnreadReply reply;
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	request.root_id = crust_param_id(&p, "threadID");
	request.message_id = crust_param_id(&p, "lastReadMessageID");
	request.clear_all = request.root_id == 0;
	st = crust_params_done(x, &p);
	if (st == STATUS_OK)
		st = CALL(x, messaging, mark_read, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	/* Of a thread threadCount is none's: clients put the answer into the thread's own row, and add all rows up. */
	const pb_UnreadView *u = &reply.unread;
	bool thread = u->root_id != 0;
	crust_response(x, &w);
	crust_unread(&w, &(struct crust_unread){.last_message_id = thread ? u->last_read_id : u->main_last_read_id,
				 .count = thread ? u->thread_root_unread : u->main_unread,
				 .thread_count = thread ? 0 : u->threads_before});
	return crust_finish(x, &w);
}
