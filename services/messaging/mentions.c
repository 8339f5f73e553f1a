#include "services/messaging/mentions.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/events/markup.h"

/* ---- what a text names */

static bool listed(const uint64_t *ids, size_t count, uint64_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static void name(uint64_t *ids, size_t *count, size_t most, uint64_t id)
{
	if (*count < most && !listed(ids, *count, id))
		ids[(*count)++] = id;
}

struct mention_names *mentions_find(struct arena *mem, const char *content)
{
	struct mention_names *names = NULL;
	struct markup m;

	markup_begin(&m, mem, content, strlen(content), markup_id_decimal);
	while (markup_next(&m)) {
		if (m.token == MARKUP_EMOJI)
			continue;
		if (names == NULL)
			names = ARENA_NEW(mem, struct mention_names);
		switch (m.token) {
		case MARKUP_USER:
			name(names->users, &names->user_count, MENTION_USERS_MAX, m.id);
			break;
		case MARKUP_ROLE:
			name(names->roles, &names->role_count, MENTION_ROLES_MAX, m.id);
			break;
		case MARKUP_CHANNEL:
			name(names->channels, &names->channel_count, MENTION_CHANNELS_MAX, m.id);
			break;
		case MARKUP_EVERYONE:
			names->everyone = true;
			break;
		case MARKUP_HERE:
			names->here = true;
			break;
		case MARKUP_EMOJI:
			break;
		}
	}
	return names;
}

/* ---- what it mentions */

enum status mentions_judge(struct service *s, struct rpc_call *call, uint64_t channel,
	const struct mention_names *names, struct mention_answer *out)
{
	struct rpc_context context = rights_context(call);
	struct rpc_outcome outcome;
	pb_JudgeMentionsRequest request = {.channel_id = channel,
		.user_ids_count = (pb_size_t)names->user_count,
		.user_ids = (uint64_t *)names->users,
		.role_ids_count = (pb_size_t)names->role_count,
		.role_ids = (uint64_t *)names->roles,
		.channel_ids_count = (pb_size_t)names->channel_count,
		.channel_ids = (uint64_t *)names->channels};

	*out = (struct mention_answer){0};
	if (names->user_count + names->role_count + names->channel_count == 0)
		return STATUS_OK;
	enum status st =
		moderation_judge_mentions(s->moderation, call->mem, &context, &request, &out->reply, &outcome);
	if (st != STATUS_NOT_FOUND)
		return st;
	*out = (struct mention_answer){0}; /* whether there is such a channel is told by the rights in it */
	return STATUS_OK;
}

static bool may_view(const pb_JudgeMentionsReply *reply, uint64_t user)
{
	for (pb_size_t i = 0; i < reply->users_count; i++)
		if (reply->users[i].user_id == user)
			return true;
	return false;
}

static const pb_MentionableRole *role_of(const pb_JudgeMentionsReply *reply, uint64_t role)
{
	for (pb_size_t i = 0; i < reply->roles_count; i++)
		if (reply->roles[i].role_id == role)
			return &reply->roles[i];
	return NULL;
}

bool mentions_settle(struct arena *mem, const struct mention_names *names, const struct mention_answer *answer,
	const struct rights *r, const pb_MentionsView *before, pb_MentionsView *out, bool *out_missing)
{
	static const pb_MentionsView nothing;
	const pb_MentionsView *had = before != NULL ? before : &nothing;
	bool all = bits_has(r->bits, PERMISSION_mention_everyone);
	bool missing = false;

	*out = (pb_MentionsView){.user_ids = ARENA_ARRAY(mem, names->user_count, uint64_t),
		.role_ids = ARENA_ARRAY(mem, names->role_count, uint64_t),
		.channel_ids = ARENA_ARRAY(mem, names->channel_count, uint64_t),
		.everyone = names->everyone && (all || had->everyone),
		.here = names->here && (all || had->here)};
	missing = names->everyone != out->everyone || names->here != out->here;
	for (size_t i = 0; i < names->user_count; i++)
		if (may_view(&answer->reply, names->users[i]) ||
			listed(had->user_ids, had->user_ids_count, names->users[i]))
			out->user_ids[out->user_ids_count++] = names->users[i];
	for (size_t i = 0; i < names->role_count; i++) {
		const pb_MentionableRole *role = role_of(&answer->reply, names->roles[i]);
		if (listed(had->role_ids, had->role_ids_count, names->roles[i]) ||
			(role != NULL && (role->mentionable || all)))
			out->role_ids[out->role_ids_count++] = names->roles[i];
		else if (role != NULL)
			missing = true;
	}
	for (size_t i = 0; i < names->channel_count; i++)
		if (listed(answer->reply.channel_ids, answer->reply.channel_ids_count, names->channels[i]) ||
			listed(had->channel_ids, had->channel_ids_count, names->channels[i]))
			out->channel_ids[out->channel_ids_count++] = names->channels[i];
	*out_missing = missing;
	return out->everyone || out->here || out->user_ids_count + out->role_ids_count + out->channel_ids_count > 0;
}

enum status mentions_encode(struct arena *mem, const pb_MentionsView *view, const uint8_t **out, size_t *out_length)
{
	if (view != NULL)
		return pb_encode_arena(mem, pb_MentionsView_fields, view, out, out_length);
	*out = NULL;
	*out_length = 0;
	return STATUS_OK;
}

/* ---- rows */

void mentions_rows(struct arena *mem, const pb_MentionsView *view, uint64_t author, uint64_t replied_to,
	struct mention_rows *out)
{
	static const pb_MentionsView nothing;
	size_t n = 0;

	if (view == NULL)
		view = &nothing;
	size_t room = (size_t)view->user_ids_count + view->role_ids_count + 2;
	*out = (struct mention_rows){
		.subjects = ARENA_ARRAY(mem, room, uint64_t), .kinds = ARENA_ARRAY(mem, room, uint64_t)};
	for (pb_size_t i = 0; i < view->user_ids_count; i++) {
		if (view->user_ids[i] == author)
			continue;
		out->subjects[n] = view->user_ids[i];
		out->kinds[n++] = MENTION_USER;
	}
	if (replied_to != 0 && replied_to != author &&
		!listed(view->user_ids, view->user_ids_count, replied_to)) {
		out->subjects[n] = replied_to;
		out->kinds[n++] = MENTION_REPLY;
	}
	out->direct = n > 0;
	for (pb_size_t i = 0; i < view->role_ids_count; i++) {
		out->subjects[n] = view->role_ids[i];
		out->kinds[n++] = MENTION_ROLE;
	}
	if (view->everyone || view->here) {
		out->subjects[n] = 0;
		out->kinds[n++] = view->everyone ? MENTION_EVERYONE : MENTION_HERE;
	}
	out->count = n;
	assert(n <= room);
}

static const struct db_stmt parent_author_stmt = {
	"messaging_mentions_parent",
	"SELECT author_id FROM messaging.messages WHERE id = $1",
};
/* Rows with a notice are kept, uncounted: the notice is blanked when the message is deleted, and who is named again has been
 * told. Nobody is answered by an edit. */
static const struct db_stmt rewrite_stmt = {
	"messaging_mentions_rewrite",
	"WITH wanted AS MATERIALIZED (SELECT * FROM unnest($2::int8[], $3::int8[]) AS w(subject_id, kind)),"
	" gone AS (DELETE FROM messaging.mentions x WHERE x.message_id = $1 AND x.notice_seq IS NULL"
	"  AND x.subject_id <> ALL ($2::int8[])),"
	" kept AS (UPDATE messaging.mentions x SET kind = 0, told = true WHERE x.message_id = $1"
	"  AND x.notice_seq IS NOT NULL AND x.subject_id <> ALL ($2::int8[]))"
	" INSERT INTO messaging.mentions AS x (message_id, subject_id, channel_id, seq, kind, author_id, told)"
	" SELECT $1, w.subject_id, $4, $5, w.kind::int2, $6, w.kind <> 1 FROM wanted w"
	" ON CONFLICT (message_id, subject_id) DO UPDATE SET kind = EXCLUDED.kind WHERE x.kind <> EXCLUDED.kind",
};

enum status mentions_rewrite(struct log_tx *tx, const pb_MessageView *message, const pb_MentionsView *view,
	bool *out_direct)
{
	struct arena *mem = log_tx_mem(tx);
	struct mention_rows rows;
	struct db_params params;
	struct db_rows parent = {0};

	if (message->parent_id != 0) {
		db_params_begin(&params, mem);
		db_put_id(&params, message->parent_id);
		enum status st = log_tx_query(tx, &parent_author_stmt, &params, &parent);
		if (st != STATUS_OK)
			return st;
	}
	uint64_t author = message->has_author ? message->author.id : 0;
	mentions_rows(mem, view, author, parent.count > 0 ? db_id(&parent, 0, 0) : 0, &rows);
	*out_direct = rows.direct;
	db_params_begin(&params, mem);
	db_put_id(&params, message->id);
	db_put_ids(&params, rows.subjects, rows.count);
	db_put_ids(&params, rows.kinds, rows.count);
	db_put_id(&params, message->channel_id);
	db_put_id(&params, message->seq);
	db_put_id(&params, author);
	return log_tx_query(tx, &rewrite_stmt, &params, NULL);
}

/* ---- counting */

size_t mentions_subjects(struct arena *mem, uint64_t user, const struct rights *r, uint64_t **out)
{
	size_t n = 0;

	*out = ARENA_ARRAY(mem, r->role_count + 2, uint64_t);
	(*out)[n++] = 0;
	(*out)[n++] = user;
	for (size_t i = 0; i < r->role_count; i++)
		(*out)[n++] = r->role_ids[i];
	return n;
}

const char *mentions_array(struct arena *mem, const uint64_t *ids, size_t count)
{
	char *text = arena_alloc(mem, count * 21 + 3), *to = text;

	*to++ = '{';
	for (size_t i = 0; i < count; i++)
		to += snprintf(to, 22, "%s%llu", i > 0 ? "," : "", (unsigned long long)ids[i]);
	*to++ = '}';
	*to = '\0';
	return text;
}
