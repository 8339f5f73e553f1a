/* Attachments: a file becomes a message of its own; its bytes are fetched by the URL that objects show. */
#include <string.h>

#include "services/api/dialects/crust/crust.h"
#include "services/api/files.h"

enum status crust_attachments_create(struct exchange *x)
{
	struct upload *up = ARENA_NEW(x->mem, struct upload);
	struct json_writer w;
	pb_MessageReply reply;
	enum status st = crust_path_id(x, "channel", &up->channel_id);

	up->file_field = "upload";
	up->text_fields[0] = "replyTo";
	if (st == STATUS_OK)
		st = upload_receive(x, &up);
	if (st != STATUS_OK)
		return st;
	exchange_next_step(x, "post");
	st = CALL(x, messaging, post_message, up->channel_id,
		&((pb_PostMessageRequest){.channel_id = up->channel_id,
			.content = (char *)"",
			.parent_id = up->texts[0] != NULL ? crust_id_of(up->texts[0]) : 0,
			.attachment_ids_count = 1,
			.attachment_ids = &up->attachment.id}),
		&reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	crust_attachment(&w, &up->attachment, x->actor.id);
	return crust_finish(x, &w);
}

static enum status wrong(struct exchange *x, const char *text)
{
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, text);
}

/* The name and the extension in the path are for people; the signature is the right. */
static enum status send_file(struct exchange *x, bool preview)
{
	struct download which = {.preview = preview};
	struct crust_params p;

	crust_params(x, &p, CRUST_QUERY);
	const char *user = crust_param(&p, "userID");
	which.sign = crust_param(&p, "sign");
	which.user_id = crust_param_id(&p, "userID");
	which.save = crust_param_truth(&p, "download");
	which.attachment_id = crust_id_of(route_param(&x->match, "attachment"));
	if (which.sign == NULL || which.sign[0] == '\0')
		return exchange_fail(x, STATUS_UNAUTHENTICATED, NULL, NULL, NULL);
	if (user == NULL || (which.user_id == 0 && strcmp(user, "0") != 0))
		return wrong(x, "missing or invalid user ID");
	if (which.attachment_id == 0)
		return wrong(x, "missing or invalid attachment ID");
	return download_send(x, &which);
}

enum status crust_attachments_original(struct exchange *x)
{
	return send_file(x, false);
}

enum status crust_attachments_preview(struct exchange *x)
{
	return send_file(x, true);
}
