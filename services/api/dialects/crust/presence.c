/* What people are doing: activity, and the status that each shows. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "services/api/dialects/crust/crust.h"
#include "services/api/dialects/crust/expiry.h"
#include "services/api/membership.h"

#define KIND_MOST    64
#define MESSAGE_MOST 128
#define ICON_MOST    64

static enum status wrong(struct exchange *x, const char *text)
{
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, text);
}

static bool longer(const char *text, size_t most)
{
	return text_code_points(text, strlen(text)) > most;
}

/* ---- activity */

enum status crust_activity_send(struct exchange *x)
{
	struct crust_params p;

	crust_params(x, &p, CRUST_BODY);
	const char *kind = crust_trimmed(x->mem, crust_param(&p, "kind"));
	uint64_t channel = crust_param_id(&p, "channelID"), message = crust_param_id(&p, "messageID");
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (kind[0] == '\0')
		return wrong(x, "missing value for activity kind");
	if (strcmp(kind, "connected") == 0 || strcmp(kind, "disconnected") == 0)
		return wrong(x, "can not use reserved values for activity kind");
	if (message != 0 && channel == 0)
		return wrong(x, "can not send activity on message without channel ID");
	if (longer(kind, KIND_MOST))
		return wrong(x, "activity kind too long (max: 64)");
	/* Typing is what other dialects know as well. */
	if (channel != 0 && message == 0 && strcmp(kind, "typing") == 0)
		st = typing_set(x, channel, true);
	else
		st = activity_send(x, x->team_id, channel, kind, message);
	return st == STATUS_OK ? crust_nothing(x, "true") : st;
}

/* ---- status */

static void write_status(struct json_writer *w, const pb_PresenceView *presence)
{
	const pb_StatusView *status = &presence->status;

	crust_status(w, presence->user_id, presence->has_status ? status->emoji : NULL,
		presence->has_status ? status->text : NULL);
}

enum status crust_status_list(struct exchange *x)
{
	pb_ListOnlineRequest rq = {.team_id = x->team_id};
	pb_ListOnlineReply reply = {.more = true};
	struct json_writer w;

	crust_response(x, &w);
	jw_array(&w);
	while (reply.more) {
		enum status st = ASK(x, presence, list_online, x->team_id, &rq, &reply);
		if (st != STATUS_OK)
			return st;
		for (size_t i = 0; i < reply.presences_count; i++)
			write_status(&w, &reply.presences[i]);
		if (reply.presences_count == 0)
			break;
		rq.after = reply.presences[reply.presences_count - 1].user_id;
	}
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_status_set(struct exchange *x)
{
	struct crust_expiry expiry;
	pb_PresenceViewReply reply;
	struct crust_params p;
	struct json_writer w;

	crust_params(x, &p, CRUST_BODY);
	const char *icon = crust_trimmed(x->mem, crust_param(&p, "icon"));
	const char *message = crust_trimmed(x->mem, crust_param(&p, "message"));
	const char *expires = crust_trimmed(x->mem, crust_param(&p, "expires"));
	enum status st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	if (icon[0] == '\0' && message[0] == '\0')
		return wrong(x, "missing status icon or message");
	if (longer(icon, ICON_MOST) || longer(message, MESSAGE_MOST))
		return wrong(x, "status icon (max: 64) or message (max: 128) too long");
	if (!crust_expiry_read(expires, clock_wall_ms(), &expiry))
		return wrong(x, "invalid status expiry");
	st = status_set(x,
		&(struct status_fields){.text = message[0] != '\0' ? message : NULL,
			.emoji = icon[0] != '\0' ? icon : NULL,
			.expires_at_ms = expiry.at_ms,
			.clear_when_active = expiry.when_active},
		&reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	write_status(&w, &reply.presence);
	return crust_finish(x, &w);
}

enum status crust_status_delete(struct exchange *x)
{
	pb_PresenceViewReply reply;
	enum status st = status_set(x, &(struct status_fields){0}, &reply);

	return st == STATUS_OK ? crust_ok(x) : st;
}
