/*
 * crust/shapes - the objects of crust as JSON: one function an object, used by REST replies and by events, so that the two cannot
 * drift apart. Keys are docs/dialects/crust.md, "Objects". A shape takes the view that everybody has and a small struct of what
 * is its reader's own. Everything is borrowed for the call. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/events/kinds.h"
#include "common/json/writer.h"
#include "proto/messaging.pb.h"
#include "proto/views.pb.h"

/* A writer whose strings are escaped as this API's are. */
void crust_begin(struct json_writer *w, struct arena *mem, size_t capacity_hint);

/* An id is a string of decimal digits; 0 is "0". */
void crust_id(struct json_writer *w, uint64_t id);
void crust_ids(struct json_writer *w, const uint64_t *ids, size_t count);
/* RFC 3339, whole seconds. */
void crust_time(struct json_writer *w, uint64_t wall_ms);

struct crust_unread {
	uint64_t channel_id, thread_id, last_message_id; /* 0: left out */
	uint64_t count, thread_count;
	uint64_t thread_total; /* 0: left out */
};
void crust_unread(struct json_writer *w, const struct crust_unread *unread);

#define CRUST_CONTENT_MOST 4000 /* code points of a message that a client writes */

/* What a channel is to its reader. */
struct crust_channel_own {
	struct bits bits;           /* his rights there */
	uint32_t flag;              /* enum channel_flag, 0: none */
	struct crust_unread unread; /* without ids but the last one; left out when both counts are 0 */
	uint64_t unlisted_id;       /* the reader, when he is a member but not in the view's list, which is cut; 0: he is not or is in it */
};
void crust_channel(struct json_writer *w, const pb_ChannelView *channel, const struct crust_channel_own *own);
/* "public", "private" or "group". */
const char *crust_channel_type(const pb_ChannelView *channel);

void crust_member(struct json_writer *w, const pb_ChannelMemberView *member);

/* What a message is to its reader. */
struct crust_message_own {
	uint64_t reader_id; /* 0: nobody's */
	bool bookmarked;
	struct crust_unread unread; /* of the thread it began, without ids but the last one; left out when count is 0 */
};
/* The same from a view that was made for this reader, as answers have it; those in events are nobody's. */
struct crust_message_own crust_message_own(const pb_MessageView *message, uint64_t reader_id);
void crust_message(struct json_writer *w, const pb_MessageView *message, const struct crust_message_own *own);
/* "", "channelEvent", "inlineImage", "attachment" or "illeism". */
const char *crust_message_type(const pb_MessageView *message);
/* What is shown as its text: of a line of the system what it tells, with the people in it as mentions. In mem, or the view's own. */
const char *crust_message_text(struct arena *mem, const pb_MessageView *message);

/* Of a channel or one of its threads, as answers and events count: what is unread of what he has a record of. */
struct crust_unread crust_unread_of(const pb_UnreadView *view);

/* "", "pinned", "hidden" or "ignored"; and back: 0 when it is none of the last three. */
const char *crust_flag_word(uint32_t flag);
uint32_t crust_flag_from_word(const char *word);
/* "", "featured" or "forced"; and back: false when it is none of them. */
const char *crust_policy_word(uint32_t policy);
bool crust_policy_from_word(const char *word, uint32_t *out_policy);

/* With its URLs, relative to this API's base and signed for `reader_id` (0: for everybody); they end (common/events/attachments.h). */
void crust_attachment(struct json_writer *w, const pb_AttachmentView *attachment, uint64_t reader_id);

/* token, and of an outgoing one secret, by which its requests are signed: told by the call that made it, else NULL. */
void crust_webhook(struct json_writer *w, const pb_WebhookView *webhook, const char *token, const char *secret);

/* {"name", "params", "description"} */
void crust_command(struct json_writer *w, const char *name, const char *description);

/* Somebody who is there; icon and message may be NULL. */
void crust_status(struct json_writer *w, uint64_t user_id, const char *icon, const char *message);

/* {"resource", "operation"} with what a rule or an effective right has besides. */
void crust_operation(struct json_writer *w, const char *resource, const char *operation);
void crust_rule(
	struct json_writer *w, uint64_t role_id, const char *resource, const char *operation, const char *access);
void crust_effective(struct json_writer *w, const char *resource, const char *operation, bool allow);
