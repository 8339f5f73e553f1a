#include "services/api/announce.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/db/committer.h"
#include "proto/api.pb.h"
#include "services/api/change.h"

struct announcement {
	uint64_t id;
	const char *title, *text;
	int64_t until_ms;
};

static enum status work(struct log_tx *tx, void *arg)
{
	const struct announcement *a = arg;
	pb_Event event = {
		.which_body = pb_Event_operator_announced_tag,
		.body.operator_announced = {.id = a->id,
			.title = (char *)a->title,
			.text = (char *)a->text,
			.until_ms = (uint64_t)a->until_ms},
	};
	char audience[AUDIENCE_SIZE];

	audience_all(audience);
	enum status st = log_tx_append(tx, STREAM_GLOBAL, audience, &event, NULL);
	if (st == STATUS_OK)
		log_tx_object(tx, a->id);
	return st;
}

static bool fits(const char *text, size_t most)
{
	size_t length = strlen(text);

	return text_is_utf8(text, length) && length > 0 && text_code_points(text, length) <= most;
}

enum status announce_to_all(struct api *api, struct arena *mem, const struct rpc_context *by,
	const char *title, const char *text, int64_t until_ms, uint64_t *out_id, struct rpc_outcome *out)
{
	struct announcement a = {ids_random(), title, text, until_ms};
	struct commit_result result;
	struct commit_op op;

	if (!fits(title, ANNOUNCE_TITLE_MOST))
		return change_refuse(out, STATUS_FIELD_INVALID, "title", "must have 1 to 256 characters");
	if (!fits(text, ANNOUNCE_TEXT_MOST))
		return change_refuse(out, STATUS_FIELD_INVALID, "text", "must have 1 to 4000 characters");
	if (until_ms != 0 && until_ms <= clock_wall_ms())
		return change_refuse(out, STATUS_FIELD_INVALID, "until", "must be in the future");
	change_begin(&op, by, work, &a);
	op.keeps_rights = true;
	change_stream(&op, STREAM_GLOBAL);
	enum status st = change_commit(api, mem, &op, &result, out);
	if (st == STATUS_OK)
		*out_id = result.replayed ? result.object_id : a.id;
	return st;
}
