#include "services/messaging/views.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "services/messaging/attachments.h"

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
	out->policy = (uint32_t)db_i64(rows, row, c++);
	out->counted = db_id(rows, row, c++);
	out->replies_counted = db_id(rows, row, c++);
	out->updated_at_ms = db_id(rows, row, c++);
}

void person_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_UserView *out)
{
	int c = first;

	out->username = copied(mem, rows, row, c++);
	out->display_name = copied(mem, rows, row, c++);
	out->avatar = copied(mem, rows, row, c++);
	out->bot = db_bool(rows, row, c++);
	out->system = db_bool(rows, row, c++);
	/* Somebody nobody told us of has no name either. */
	out->erased = out->username == NULL || db_bool(rows, row, c);
	c++;
	out->created_at_ms = db_id(rows, row, c++);
}

bool mentions_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int column, pb_MentionsView *out)
{
	size_t length = 0;

	*out = (pb_MentionsView){0};
	if (db_is_null(rows, row, column))
		return false;
	const uint8_t *bytes = db_bytea(rows, row, column, &length);
	/* What we wrote ourselves; a text without its mentions is still the text. */
	return pb_decode_arena(mem, pb_MentionsView_fields, out, bytes, length) == STATUS_OK;
}

static bool line_from_row(struct arena *mem, const struct db_rows *rows, int row, int column, pb_SystemLineView *out)
{
	size_t length = 0;

	if (db_is_null(rows, row, column))
		return false;
	const uint8_t *bytes = db_bytea(rows, row, column, &length);
	return pb_decode_arena(mem, pb_SystemLineView_fields, out, bytes, length) == STATUS_OK;
}

static size_t ids_from_row(struct arena *mem, const struct db_rows *rows, int row, int column, uint64_t **out)
{
	int64_t *ids = NULL;

	if (db_is_null(rows, row, column))
		return 0;
	size_t count = db_i64s(rows, row, column, mem, &ids);
	*out = (uint64_t *)ids;
	return count;
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
	out->has_mentions = mentions_from_row(mem, rows, row, c++, &out->mentions);
	attachments_from_row(mem, rows, row, c++, out);
	out->webhook_id = db_id(rows, row, c++);
	out->shown_name = copied(mem, rows, row, c++);
	out->shown_avatar = copied(mem, rows, row, c++);
	out->reply_authors_count = (pb_size_t)ids_from_row(mem, rows, row, c++, &out->reply_authors);
	out->has_line = line_from_row(mem, rows, row, c++, &out->line);
	if (!out->has_author)
		return;
	person_from_row(mem, rows, row, c, &out->author);
}

/* "emoji count me id,id,...": one line of MESSAGE_MARKS, whose end is cut off. */
static void reaction_from_line(struct arena *mem, char *line, pb_ReactionView *out)
{
	char *rest = NULL;

	out->emoji = strtok_r(line, " ", &rest);
	const char *count = strtok_r(NULL, " ", &rest), *me = strtok_r(NULL, " ", &rest);
	char *ids = strtok_r(NULL, " ", &rest);
	out->count = count != NULL ? strtoull(count, NULL, 10) : 0;
	out->me = me != NULL && *me == '1';
	if (ids == NULL)
		return;
	size_t most = 1;
	for (const char *at = ids; (at = strchr(at, ',')) != NULL; at++)
		most++;
	out->user_ids = ARENA_ARRAY(mem, most, uint64_t);
	for (char *id = strtok_r(ids, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest))
		out->user_ids[out->user_ids_count++] = strtoull(id, NULL, 10);
}

void message_marks_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int first, pb_MessageView *out)
{
	char *text = copied(mem, rows, row, first), *rest = NULL;
	size_t most = 1;

	out->bookmarked = db_bool(rows, row, first + 1);
	out->pinned_by = db_id(rows, row, first + 2);
	if (text == NULL)
		return;
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		most++;
	out->reactions = ARENA_ARRAY(mem, most, pb_ReactionView);
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		reaction_from_line(mem, line, &out->reactions[out->reactions_count++]);
}

void message_bookmarkers_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int column, pb_MessageView *out)
{
	out->bookmarked_by_count = (pb_size_t)ids_from_row(mem, rows, row, column, &out->bookmarked_by);
}

pb_MessageView message_for_all(struct arena *mem, const pb_MessageView *view)
{
	pb_MessageView all = *view;

	all.bookmarked = false;
	if (all.reactions_count > 0)
		all.reactions = arena_memdup(mem, view->reactions, view->reactions_count * sizeof *view->reactions);
	for (pb_size_t i = 0; i < all.reactions_count; i++) {
		pb_ReactionView *reaction = &all.reactions[i];
		reaction->me = false;
		if (reaction->user_ids_count > REACTION_PEOPLE_TOLD)
			reaction->user_ids_count = REACTION_PEOPLE_TOLD;
	}
	return all;
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
