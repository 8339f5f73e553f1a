/*
 * mentions - whom a message concerns: the tokens of its text (common/events/markup.h) that may mention somebody here, and
 * the author of the message it replies to. Three steps: mentions_find reads the text, mentions_judge asks moderation (only
 * when somebody or something is named), mentions_settle decides by the actor's own rights. What is left over is plain
 * text. How it becomes rows: post_set.c for posts, mentions_rewrite for edits; notices.h tells the people.
 */
#pragma once

#include "common/db/committer.h"
#include "services/messaging/rights.h"

/* Of one message; further ones stay text. */
#define MENTION_USERS_MAX    100
#define MENTION_ROLES_MAX    20
#define MENTION_CHANNELS_MAX 20

/* What a text names: each id once, in the order of the text. */
struct mention_names {
	uint64_t users[MENTION_USERS_MAX], roles[MENTION_ROLES_MAX], channels[MENTION_CHANNELS_MAX];
	size_t user_count, role_count, channel_count;
	bool everyone, here;
};
/* NULL: nothing, as for most texts. content is valid UTF-8. */
struct mention_names *mentions_find(struct arena *mem, const char *content);

/* Moderation's answer about the names, for settling; nothing in it when nothing had to be asked. */
struct mention_answer {
	pb_JudgeMentionsReply reply;
};
/* Asks for the actor of the call when somebody or something is named. STATUS_OK, also for a channel that is none; STALE:
 * the actor's session ended; BUSY, LATE. Blocks for one call. */
enum status mentions_judge(struct service *s, struct rpc_call *call, uint64_t channel,
	const struct mention_names *names, struct mention_answer *out);
/*
 * What the names mention by the answer and the actor's rights, which the commit compares: @everyone, @here and roles that
 * not everybody may mention take the permission for it. before: what the message mentions already, which stays allowed;
 * or NULL. out lives in mem; returns false when it is empty. *out_missing: something failed for want of that permission
 * alone, so that a cached judgement is not to be believed.
 */
bool mentions_settle(struct arena *mem, const struct mention_names *names, const struct mention_answer *answer,
	const struct rights *r, const pb_MentionsView *before, pb_MentionsView *out, bool *out_missing);

/* As stored beside the content; NULL in, NULL out. */
enum status mentions_encode(struct arena *mem, const pb_MentionsView *view, const uint8_t **out, size_t *out_length);

/* The rows of one message: (subject, kind) pairs. The author himself is left out, and the author of the message replied
 * to (0: none) when he is mentioned anyway. */
struct mention_rows {
	uint64_t *subjects; /* 0: everyone or here */
	uint64_t *kinds;    /* enum mention_kind */
	size_t count;
	bool direct; /* one of them is a person: there is somebody to tell */
};
void mentions_rows(struct arena *mem, const pb_MentionsView *view, uint64_t author, uint64_t replied_to,
	struct mention_rows *out);

/*
 * Under the lock of the channel's stream: the rows of a message whose text was edited. People who are new are still to be told;
 * who was told once is not told again. *out_direct: as in mention_rows.
 */
enum status mentions_rewrite(
	struct log_tx *tx, const pb_MessageView *message, const pb_MentionsView *view, bool *out_direct);

/* Rows of mentions that concern `$user` and come after seq, one a message: for SELECT lists. channel, seq, user and subjects
 * (int8[]: the person, his roles and 0) are SQL. */
/* clang-format off */
#define MENTIONS_SINCE_SQL(channel, seq, user, subjects)                                                             \
	"(SELECT count(DISTINCT x.message_id) FROM messaging.mentions x WHERE x.channel_id = " channel               \
	" AND x.subject_id = ANY (" subjects ") AND x.seq > " seq " AND x.kind <> 0 AND x.author_id <> " user ")"
/* clang-format on */
/* The subjects of a person with these rights. Returns the count; *out in mem. */
size_t mentions_subjects(struct arena *mem, uint64_t user, const struct rights *r, uint64_t **out);
/* The same as PostgreSQL writes an array: "{5,16,0}". */
const char *mentions_array(struct arena *mem, const uint64_t *ids, size_t count);
