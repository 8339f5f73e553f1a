/* Who is in a channel: the list, joining and adding, leaving and removing, inviting. The people of a group are those it was made of:
 * this API changes them in no way. */
#include <string.h>

#include "services/api/accounts.h"
#include "services/api/dialects/crust/crust.h"
#include "services/api/membership.h"

#define PAGE         100
#define INVITED_MOST 200

enum status crust_members_list(struct exchange *x)
{
	pb_ListChannelMembersRequest request = {.limit = PAGE};
	pb_ListChannelMembersReply reply = {.more = true};
	struct json_writer w;
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	crust_response(x, &w);
	jw_array(&w);
	while (st == STATUS_OK && reply.more) {
		st = ASK(x, moderation, list_channel_members, request.channel_id, &request, &reply);
		if (st != STATUS_OK)
			break;
		for (size_t i = 0; i < reply.members_count; i++)
			crust_member(&w, &reply.members[i]);
		if (reply.members_count == 0)
			break;
		request.after = reply.members[reply.members_count - 1].user.id;
	}
	if (st != STATUS_OK)
		return st;
	jw_array_end(&w);
	return crust_finish(x, &w);
}

static enum status path_pair(struct exchange *x, uint64_t *out_channel, uint64_t *out_user)
{
	enum status st = crust_path_id(x, "channel", out_channel);

	return st == STATUS_OK ? crust_path_id(x, "user", out_user) : st;
}

enum status crust_members_put(struct exchange *x)
{
	pb_ChannelMemberReply reply;
	struct json_writer w;
	uint64_t channel, user;
	enum status st = path_pair(x, &channel, &user);

	if (st == STATUS_OK)
		st = channel_member_put(x, channel, user, true, &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	crust_member(&w, &reply.member);
	jw_array_end(&w);
	return crust_finish(x, &w);
}

enum status crust_members_delete(struct exchange *x)
{
	pb_ChannelMemberRequest request = {.team_only = true};
	pb_Empty nothing;
	enum status st = path_pair(x, &request.channel_id, &request.user_id);

	if (st == STATUS_OK)
		st = CALL(x, moderation, leave_channel, request.channel_id, &request, &nothing);
	/* Who is no member has left already. */
	bool none = st == STATUS_NOT_FOUND && x->outcome.why != NULL && strcmp(x->outcome.why, "member") == 0;
	return st == STATUS_OK || none ? crust_ok(x) : st;
}

/* ---- inviting */

static enum status load_people(struct exchange *x, const uint64_t *ids, size_t count, pb_InviteChannelMembersRequest *out)
{
	size_t found = 0;

	if (count > INVITED_MOST)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, NULL, "too many users to invite (max: 200)");
	enum status st =
		accounts_get_many(x->api, x->mem, ids, count, x->deadline_mono_ms, &out->users, NULL, &found);
	if (st != STATUS_OK)
		return exchange_fail(x, st, NULL, NULL, NULL);
	out->users_count = (pb_size_t)found;
	return found == count ? st : exchange_fail(x, STATUS_NOT_FOUND, NULL, "user", NULL);
}

enum status crust_members_invite(struct exchange *x)
{
	pb_InviteChannelMembersRequest request = {0};
	pb_InviteChannelMembersReply reply = {0};
	uint64_t *ids = NULL;
	struct crust_params p;
	struct json_writer w;
	enum status st = crust_path_id(x, "channel", &request.channel_id);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	size_t count = crust_param_ids(&p, "userID", &ids);
	st = crust_params_done(x, &p);
	if (st == STATUS_OK)
		st = load_people(x, ids, crust_distinct(ids, count), &request);
	if (st == STATUS_OK)
		st = CALL(x, moderation, invite_channel_members, request.channel_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.members_count; i++)
		crust_member(&w, &reply.members[i].member);
	jw_array_end(&w);
	return crust_finish(x, &w);
}
