/* Messages: writing, editing, deleting, answering, commands, marking as read. */
#include <string.h>

#include "common/base/text.h"
#include "common/dialects/crust/markup.h"
#include "services/api/dialects/crust/crust.h"

#define NO_CONTENTS  "refusing to create message without contents"

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
	if (text_code_points(*out, strlen(*out)) > CRUST_CONTENT_MOST)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, "message too long (max: 4000)");
	return STATUS_OK;
}

enum status crust_messages_create(struct exchange *x)
{
	pb_PostMessageRequest request = {0};
	const char *text = NULL;
	pb_MessageReply reply;
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	if (st == STATUS_OK)
		st = read_text(x, NO_CONTENTS, &text);
	if (st != STATUS_OK)
		return st;
	request.content = (char *)text;
	st = CALL(x, messaging, post_message, request.channel_id, &request, &reply);
	return st == STATUS_OK ? answer(x, &reply.message) : st;
}

/* The message decides in which channel it is answered, and a path may name another, which refused. Posts are limited by channel, and the
 * path's was counted. */
static enum status reply_at_home(
	struct exchange *x, enum status refused, pb_PostMessageRequest *request, pb_MessageReply *out)
{
	struct rpc_outcome because = x->outcome;
	pb_MessageReply parent;
	enum status st = ASK(x, messaging, get_message, request->parent_id,
		&((pb_MessageRequest){.message_id = request->parent_id}), &parent);

	if (st != STATUS_OK)
		return st;
	if (parent.message.channel_id == request->channel_id) {
		x->outcome = because;
		return refused;
	}
	request->channel_id = parent.message.channel_id;
	st = exchange_limit_posts(x, request->channel_id);
	return st == STATUS_OK ? CALL(x, messaging, post_message, request->channel_id, request, out) : st;
}

/* Only what people wrote is answered. */
static enum status reply_refused(struct exchange *x, enum status st)
{
	const struct rpc_outcome *o = &x->outcome;

	if (st != STATUS_CONFLICT || o->why == NULL || strcmp(o->why, "kind") != 0 || o->detail == NULL)
		return st;
	bool me = strcmp(o->detail, message_kind_word(MESSAGE_ME)) == 0;
	return exchange_fail(x, st, NULL, NULL,
		arena_printf(x->mem, "unable to reply on this message (type = %s)",
			crust_message_type(&(pb_MessageView){.kind = me ? MESSAGE_ME : MESSAGE_SYSTEM})));
}

enum status crust_replies_create(struct exchange *x)
{
	const char *channel = route_param(&x->match, "channel"), *text = NULL;
	pb_PostMessageRequest request = {.channel_id = channel == NULL ? 0 : crust_id_of(channel)};
	pb_MessageReply reply;
	enum status st = crust_path_id(x, "message", &request.parent_id);

	if (st == STATUS_OK)
		st = read_text(x, NO_CONTENTS, &text);
	if (st != STATUS_OK)
		return st;
	request.content = (char *)text;
	st = request.channel_id == 0 ? STATUS_NOT_FOUND
				     : CALL(x, messaging, post_message, request.channel_id, &request, &reply);
	if (st == STATUS_NOT_FOUND || st == STATUS_FORBIDDEN || st == STATUS_ARCHIVED)
		st = reply_at_home(x, st, &request, &reply);
	return st == STATUS_OK ? answer(x, &reply.message) : reply_refused(x, st);
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
	request.open_only = true;
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
