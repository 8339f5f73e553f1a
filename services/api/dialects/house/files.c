/* Attachments: sent up for a channel, then named by a message; fetched by the URLs that their objects show. */
#include "services/api/files.h"

#include "common/base/clock.h"
#include "common/events/attachments.h"
#include "services/api/dialects/house/house.h"

enum status house_attachments_create(struct exchange *x)
{
	struct upload *up = ARENA_NEW(x->mem, struct upload);
	enum status st = house_path_id(x, "channel", &up->channel_id);

	up->file_field = "file";
	if (st == STATUS_OK)
		st = upload_receive(x, &up);
	if (st != STATUS_OK)
		return st;
	char sign[ATTACHMENT_SIGN_SIZE];
	attachment_sign(&up->attachment, 0, clock_wall_ms(), sign);
	house_location(x, "/attachments/%s?sign=%s", house_uuid(x, up->attachment.id), sign);
	return HOUSE_OBJECT(x, 201, house_attachment, &up->attachment);
}

static enum status send_file(struct exchange *x, bool preview)
{
	struct download which = {.preview = preview};
	enum status st = house_path_id(x, "attachment", &which.attachment_id);

	if (st == STATUS_OK)
		st = house_query_flag(x, "download", &which.save);
	if (st == STATUS_OK)
		st = house_query(x, "sign", 64, &which.sign);
	if (st == STATUS_OK && which.sign == NULL)
		return exchange_fail(x, STATUS_FORBIDDEN, "signature", NULL, NULL);
	return st == STATUS_OK ? download_send(x, &which) : st;
}

enum status house_attachments_get(struct exchange *x)
{
	return send_file(x, false);
}

enum status house_attachments_preview(struct exchange *x)
{
	return send_file(x, true);
}
