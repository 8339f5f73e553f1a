/*
 * views - rows of this schema as the views that replies and events carry, and the checks on what people
 * write.
 */
#pragma once

#include "common/db/db.h"
#include "common/events/events.h"

/* clang-format off */
#define CHANNEL_COLUMNS                                                                                              \
	"c.id, c.team_id, c.group_id, c.kind, c.name, c.topic, c.category_id, c.position, c.private, c.public_read,"  \
	" c.slow_mode_s, c.last_message_id, c.archived_at_ms, c.deleted_at_ms, c.created_at_ms, c.created_by, c.own," \
	" c.message_count, c.parent_channel_id, c.policy, c.counted, c.replies_counted, c.updated_at_ms"
#define CHANNEL_COLUMN_COUNT 23
/* clang-format on */
/* first: the column of c.id. Strings are copied into mem. */
void channel_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_ChannelView *out);

/* m: messaging.messages, p: messaging.people left joined by m.author_id. */
/* clang-format off */
#define MESSAGE_COLUMNS                                                                                              \
	"m.id, m.channel_id, m.author_id, m.kind, m.content, m.parent_id, m.root_id, m.reply_count, m.pinned_at_ms,"  \
	" m.nonce, m.created_at_ms, m.edited_at_ms, m.seq, m.deleted_at_ms, m.silent, m.mentions, m.attachments,"     \
	" m.webhook_id, m.shown_name, m.shown_avatar, m.reply_authors, m.line,"                                       \
	" p.username, p.display_name, p.avatar, p.bot, p.system, p.erased, p.created_at_ms"
#define MESSAGE_COLUMN_COUNT 29
/* clang-format on */
void message_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_MessageView *out);

/* What is put on a message: reactions with the people that are listed with each, bookmark, pin, for the reader whose id the SQL text
 * `reader` gives; of events for everybody, with fewer people. m: messaging.messages. One probe of each table a message. */
#define REACTION_PEOPLE_LISTED 100
#define REACTION_PEOPLE_TOLD   20
#define MESSAGE_MARKS(reader)  MESSAGE_MARKS_LISTING(reader, "100")
#define MESSAGE_MARKS_OF_EVENT MESSAGE_MARKS_LISTING("0", "20")
/* clang-format off */
#define MESSAGE_MARKS_LISTING(reader, people)                                                                        \
	"(SELECT string_agg(k.emoji || ' ' || k.count || ' ' || (EXISTS (SELECT FROM messaging.reactions r"           \
	" WHERE r.message_id = k.message_id AND r.emoji = k.emoji AND r.user_id = " reader "))::int || ' ' ||"        \
	" (SELECT coalesce(string_agg(w.user_id::text, ','), '') FROM (SELECT r.user_id FROM messaging.reactions r"   \
	"  WHERE r.message_id = k.message_id AND r.emoji = k.emoji ORDER BY r.user_id LIMIT " people ") w), chr(10)"  \
	" ORDER BY k.first_at_ms, k.emoji) FROM messaging.reaction_counts k WHERE k.message_id = m.id),"              \
	" EXISTS (SELECT FROM messaging.bookmarks b WHERE b.user_id = " reader " AND b.message_id = m.id), m.pinned_by"
#define MESSAGE_MARKS_COUNT 3
/* clang-format on */
/* Into the view of the same row. */
void message_marks_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int first, pb_MessageView *out);
/* Beside MESSAGE_MARKS_OF_EVENT where an event is made: who bookmarked it. */
#define MESSAGE_BOOKMARKERS                                                                                          \
	"ARRAY(SELECT b.user_id FROM messaging.bookmarks b WHERE b.message_id = m.id LIMIT 64)"
void message_bookmarkers_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int column, pb_MessageView *out);
/* The view as events carry it: without what is its reader's own. */
pb_MessageView message_for_all(struct arena *mem, const pb_MessageView *view);

/* p: messaging.people. */
#define PERSON_COLUMNS "p.username, p.display_name, p.avatar, p.bot, p.system, p.erased, p.created_at_ms"
/* Fills what is not the id. */
void person_from_row(struct arena *mem, const struct db_rows *rows, int row, int first, pb_UserView *out);
/* The mentions stored beside a content; false, and out is zeroed, when there are none. */
bool mentions_from_row(
	struct arena *mem, const struct db_rows *rows, int row, int column, pb_MentionsView *out);

/* A person as events of messages carry him: name and picture, without biography and status. Borrows. */
pb_UserView author_view(const pb_UserView *from);

/* least..most code points of UTF-8 without NUL? text may be NULL: no. */
bool text_fits(const char *text, size_t least, size_t most);

#define MESSAGE_CONTENT_MAX 4000
#define MESSAGE_NONCE_MAX   64
/* Versions that are kept beside the present one. A deletion blanks the event of each under the stream's lock,
 * and all of them are one answer: at 16 kB each, less than half of what a call may carry. */
#define MESSAGE_EDITS_MAX  100
#define REACTION_KINDS_MAX 20 /* of one message */
#define PINS_PER_CHANNEL   250
/* Of one message: each is an event with its content, which a deletion has to blank. Unpinning is always possible. */
#define PIN_CHANGES_MAX    100
#define CHANNEL_NAME_MAX   100
#define CHANNEL_TOPIC_MAX  1000
#define CHANNEL_SLOW_MAX_S 21600
#define CHANNELS_PER_TEAM  500
