#include "services/messaging/views.h"

#include <string.h>

#include "common/base/text.h"

static char *copied(struct arena *mem, const struct db_rows *rows, int row, int column)
{
	return arena_strdup(mem, db_text(rows, row, column));
}

void channel_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_ChannelView *out)
{
	int c = first;

	*out = (pb_ChannelView){0};
	out->id = db_id(rows, row, c++);
	out->team_id = db_id(rows, row, c++);
	out->group_id = db_id(rows, row, c++);
	out->kind = (uint32_t)db_i64(rows, row, c++);
	out->name = copied(mem, rows, row, c++);
	out->topic = copied(mem, rows, row, c++);
	out->category_id = db_id(rows, row, c++);
	out->position = (int32_t)db_i64(rows, row, c++);
	out->private = db_bool(rows, row, c++);
	out->public_read = db_bool(rows, row, c++);
	out->slow_mode_s = (uint32_t)db_i64(rows, row, c++);
	out->last_message_id = db_id(rows, row, c++);
	out->archived_at_ms = db_id(rows, row, c++);
	out->deleted_at_ms = db_id(rows, row, c++);
	out->created_at_ms = db_id(rows, row, c++);
	out->created_by = db_id(rows, row, c++);
	out->own = db_bool(rows, row, c++);
	out->message_count = db_id(rows, row, c++);
	out->parent_channel_id = db_id(rows, row, c++);
}

void message_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_MessageView *out)
{
	int c = first;

	*out = (pb_MessageView){0};
	out->id = db_id(rows, row, c++);
	out->channel_id = db_id(rows, row, c++);
	out->has_author = !db_is_null(rows, row, c);
	out->author.id = db_id(rows, row, c++);
	out->kind = (uint32_t)db_i64(rows, row, c++);
	out->content = copied(mem, rows, row, c++);
	out->parent_id = db_id(rows, row, c++);
	out->root_id = db_id(rows, row, c++);
	out->reply_count = db_id(rows, row, c++);
	out->pinned_at_ms = db_id(rows, row, c++);
	out->nonce = copied(mem, rows, row, c++);
	out->created_at_ms = db_id(rows, row, c++);
	out->edited_at_ms = db_id(rows, row, c++);
	out->seq = db_id(rows, row, c++);
	out->deleted_at_ms = db_id(rows, row, c++);
	out->silent = db_bool(rows, row, c++);
	if (!out->has_author)
		return;
	out->author.username = copied(mem, rows, row, c++);
	out->author.display_name = copied(mem, rows, row, c++);
	out->author.avatar = copied(mem, rows, row, c++);
	out->author.bot = db_bool(rows, row, c++);
	out->author.system = db_bool(rows, row, c++);
	/* Somebody nobody told us of has no name either. */
	out->author.erased = out->author.username == NULL || db_bool(rows, row, c);
	c++;
	out->author.created_at_ms = db_id(rows, row, c++);
}

pb_UserView author_view(const pb_UserView *from)
{
	return (pb_UserView){
		.id = from->id,
		.username = from->username,
		.display_name = from->display_name,
		.avatar = from->avatar,
		.bot = from->bot,
		.system = from->system,
		.verified = from->verified,
		.erased = from->erased,
		.created_at_ms = from->created_at_ms,
		.flags = from->flags,
	};
}

bool text_fits(const char *text, size_t least, size_t most)
{
	if (text == NULL)
		return false;
	size_t length = strlen(text);
	if (length > most * 4 || !text_is_utf8(text, length))
		return false;
	size_t points = text_code_points(text, length);
	return points >= least && points <= most;
}
