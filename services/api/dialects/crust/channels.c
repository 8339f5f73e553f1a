/* Channels: what they are, who made them, their states and what somebody set for himself. */
#include <stdlib.h>
#include <string.h>

#include "common/dialects/crust/bounds.h"
#include "common/dialects/crust/order.h"
#include "services/api/dialects/crust/crust.h"
#include "services/api/membership.h"

#define OWN_AT_ONCE ((size_t)200) /* channels in one question to the owners */

/* ---- what is the reader's own */

static enum status load_some(
	struct exchange *x, pb_ChannelView *views, size_t count, struct crust_channel_own *out)
{
	uint64_t *ids = ARENA_ARRAY(x->mem, count, uint64_t);
	pb_JudgeManyReply judged;
	pb_ListUnreadReply unread;

	for (size_t i = 0; i < count; i++)
		ids[i] = views[i].id;
	enum status st = ASK(x, moderation, judge_many, count == 1 ? ids[0] : x->team_id,
		&((pb_JudgeManyRequest){.user_id = x->actor.id,
			.channel_ids_count = (pb_size_t)count,
			.channel_ids = ids,
			.members = true}),
		&judged);
	if (st == STATUS_OK)
		st = ASK(x, messaging, list_unread, count == 1 ? ids[0] : x->actor.id,
			&((pb_ListUnreadRequest){.channel_ids_count = (pb_size_t)count, .channel_ids = ids}),
			&unread);
	if (st != STATUS_OK)
		return st;
	for (size_t i = 0; i < count && i < judged.rights_count; i++) {
		const pb_Rights *r = &judged.rights[i];
		out[i].bits = (struct bits){r->bits.low, r->bits.high};
		views[i].member_ids_count = r->member_ids_count;
		views[i].member_ids = r->member_ids;
	}
	for (size_t u = 0; u < unread.unread_count; u++)
		for (size_t i = 0; i < count; i++)
			if (ids[i] == unread.unread[u].channel_id) {
				out[i].flag = unread.unread[u].flag;
				out[i].unread = crust_unread_of(&unread.unread[u]);
			}
	return STATUS_OK;
}

/* Members into the view, rights and marks of the actor into out: of `count` channels, each of them his to see or (deleted) to bring
 * back. */
static enum status load_own(
	struct exchange *x, pb_ChannelView *views, size_t count, struct crust_channel_own *out)
{
	enum status st = STATUS_OK;

	for (size_t from = 0; from < count && st == STATUS_OK; from += OWN_AT_ONCE) {
		size_t left = count - from;
		st = load_some(x, views + from, left < OWN_AT_ONCE ? left : OWN_AT_ONCE, out + from);
	}
	return st;
}

static enum status answer(struct exchange *x, pb_ChannelView *view)
{
	struct crust_channel_own own = {0};
	struct json_writer w;
	enum status st = load_own(x, view, 1, &own);

	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	crust_channel(&w, view, &own);
	return crust_finish(x, &w);
}

/* ---- list */

struct listed {
	pb_ChannelView view;
	struct crust_channel_own own;
};

static int by_name(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return crust_channel_order(&x->view, &y->view);
}

/* All pages. */
static enum status gather(struct exchange *x, const char *query, pb_ChannelView **out, size_t *out_count)
{
	pb_ListChannelsRequest rq = {.limit = 100, .query = (char *)query};
	pb_ListChannelsReply reply;
	enum status st;

	*out = NULL;
	*out_count = 0;
	do {
		st = ASK(x, messaging, list_channels, x->actor.id, &rq, &reply);
		if (st != STATUS_OK)
			return st;
		if (reply.channels_count == 0)
			return STATUS_OK;
		*out = arena_grow(x->mem, *out, *out_count * sizeof **out,
			(*out_count + reply.channels_count) * sizeof **out);
		memcpy(*out + *out_count, reply.channels, reply.channels_count * sizeof **out);
		*out_count += reply.channels_count;
		rq.after = reply.channels[reply.channels_count - 1].id;
	} while (reply.more);
	return STATUS_OK;
}

enum status crust_channels_list(struct exchange *x)
{
	pb_ChannelView *views = NULL;
	struct crust_params p;
	struct json_writer w;
	size_t count = 0;

	crust_params(x, &p, CRUST_QUERY);
	const char *query = crust_param(&p, "query");
	enum status st = gather(x, query != NULL ? query : "", &views, &count);
	struct crust_channel_own *owns = ARENA_ARRAY(x->mem, count, struct crust_channel_own);
	if (st == STATUS_OK)
		st = load_own(x, views, count, owns);
	if (st != STATUS_OK)
		return st;
	struct listed *all = ARENA_ARRAY(x->mem, count, struct listed);
	for (size_t i = 0; i < count; i++)
		all[i] = (struct listed){views[i], owns[i]};
	qsort(all, count, sizeof *all, by_name);
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < count; i++)
		crust_channel(&w, &all[i].view, &all[i].own);
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_channels_get(struct exchange *x)
{
	pb_ChannelReply reply;
	uint64_t channel;
	enum status st = crust_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = ASK(x, messaging, get_channel, channel, &((pb_GetChannelRequest){.channel_id = channel}),
			&reply);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

/* ---- create and update */

static enum status wrong(struct exchange *x, const char *text)
{
	return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, text);
}

/* What a client says of a channel; "" where it says nothing. */
struct said {
	const char *name, *topic, *type, *policy;
	bool has_policy;
	uint32_t policy_number;
};

static enum status read_said(struct exchange *x, struct crust_params *p, struct said *out)
{
	*out = (struct said){.name = crust_trimmed(x->mem, crust_param(p, "name")),
		.topic = crust_trimmed(x->mem, crust_param(p, "topic")),
		.type = crust_trimmed(x->mem, crust_param(p, "type")),
		.policy = crust_param(p, "membershipPolicy")};
	out->has_policy = out->policy != NULL;
	enum status st = crust_params_done(x, p);
	if (st == STATUS_OK && out->has_policy && !crust_policy_from_word(out->policy, &out->policy_number))
		st = wrong(x, "invalid membership policy");
	const char *too_long = crust_channel_too_long(x->mem, out->name, out->topic, x->api->config->crust_strict != 0);
	return st == STATUS_OK && too_long != NULL ? wrong(x, too_long) : st;
}

static bool is_type(const struct said *said, const char *type)
{
	return strcmp(said->type, type) == 0;
}

/* A conversation of these people and the actor; one of two people has no name. */
static enum status open_group(
	struct exchange *x, const struct said *said, const uint64_t *members, size_t count)
{
	pb_OpenConversationReply reply;
	size_t others = 0;

	for (size_t i = 0; i < count; i++)
		others += members[i] != x->actor.id;
	enum status st = conversation_open(
		x, members, count, others > 1 && said->name[0] != '\0' ? said->name : NULL, &reply);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

enum status crust_channels_create(struct exchange *x)
{
	uint64_t *members = NULL;
	struct crust_params p;
	struct said said;
	pb_ChannelReply reply;

	crust_params(x, &p, CRUST_BODY);
	size_t count = crust_param_ids(&p, "members", &members);

	count = crust_distinct(members, count);
	enum status st = read_said(x, &p, &said);
	if (st != STATUS_OK)
		return st;
	if (is_type(&said, "group"))
		return open_group(x, &said, members, count);
	if (!is_type(&said, "public") && !is_type(&said, "private"))
		return wrong(x, "invalid channel type");
	if (said.name[0] == '\0')
		return wrong(x, "channel name not provided");
	st = channel_create(x,
		&((pb_CreateChannelRequest){.team_id = x->team_id,
			.kind = CHANNEL_TEXT,
			.name = (char *)said.name,
			.topic = (char *)said.topic,
			.private = is_type(&said, "private"),
			.own = true,
			.policy = said.policy_number}),
		members, count, &reply);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

/* What is not said stays as it is, and so does what is said to be empty: a client that sends every field loses nothing. */
enum status crust_channels_update(struct exchange *x)
{
	pb_UpdateChannelRequest request = {0};
	struct crust_params p;
	struct said said;
	pb_ChannelReply reply;
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	st = read_said(x, &p, &said);
	if (st != STATUS_OK)
		return st;
	if (said.type[0] != '\0' && !is_type(&said, "public") && !is_type(&said, "private") && !is_type(&said, "group"))
		return wrong(x, "invalid channel type");
	if (said.name[0] != '\0')
		request.name = (char *)said.name;
	if (said.topic[0] != '\0')
		request.topic = (char *)said.topic;
	request.has_private = is_type(&said, "public") || is_type(&said, "private");
	request.private = is_type(&said, "private");
	request.conversation = is_type(&said, "group");
	request.type_needs_right = true;
	request.has_policy = said.has_policy;
	request.policy = said.policy_number;
	st = CALL(x, messaging, update_channel, request.channel_id, &request, &reply);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

/* ---- states and flags */

static const struct {
	const char *word;
	enum channel_change change;
	const char *already; /* what is said when it is so */
} states[] = {
	{"delete", CHANNEL_DELETE, "channel already deleted"},
	{"undelete", CHANNEL_UNDELETE, "channel not deleted"},
	{"archive", CHANNEL_ARCHIVE, "channel already archived"},
	{"unarchive", CHANNEL_RESTORE, "channel not archived"},
};

enum status crust_channels_state(struct exchange *x)
{
	pb_ChannelReply reply;
	struct crust_params p;
	uint64_t channel;
	size_t i = 0;
	enum status st = crust_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	const char *word = crust_trimmed(x->mem, crust_param(&p, "state"));
	st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	while (i < sizeof states / sizeof *states && strcmp(states[i].word, word) != 0)
		i++;
	if (i == sizeof states / sizeof *states)
		return crust_nothing(x, "false");
	st = CALL(x, messaging, set_channel_state, channel,
		&((pb_SetChannelStateRequest){.channel_id = channel, .change = states[i].change}), &reply);
	if (st == STATUS_CONFLICT)
		return exchange_fail(x, st, NULL, NULL, states[i].already);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

static enum status set_flag(struct exchange *x, uint64_t channel, uint32_t flag)
{
	pb_ChannelPrefReply pref;
	pb_ChannelReply reply;

	enum status st = CALL(x, messaging, set_channel_pref, channel,
		&((pb_SetChannelPrefRequest){.channel_id = channel, .flag = flag, .members_only = true}), &pref);
	if (st == STATUS_OK)
		st = ASK(x, messaging, get_channel, channel, &((pb_GetChannelRequest){.channel_id = channel}),
			&reply);
	return st == STATUS_OK ? answer(x, &reply.channel) : st;
}

enum status crust_channels_flag(struct exchange *x)
{
	struct crust_params p;
	uint64_t channel;
	enum status st = crust_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	uint32_t flag = crust_flag_from_word(crust_trimmed(x->mem, crust_param(&p, "flag")));
	st = crust_params_done(x, &p);
	if (st != STATUS_OK)
		return st;
	return flag != 0 ? set_flag(x, channel, flag) : crust_nothing(x, "false");
}

enum status crust_channels_unflag(struct exchange *x)
{
	uint64_t channel;
	enum status st = crust_path_id(x, "channel", &channel);

	return st == STATUS_OK ? set_flag(x, channel, FLAG_NONE) : st;
}
