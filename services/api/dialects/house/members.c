#include "common/events/kinds.h"
#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#define NICKNAME_MOST 32

static enum status path_pair(struct exchange *x, const char *scope, uint64_t *out_scope, uint64_t *out_user)
{
	enum status st = house_path_id(x, scope, out_scope);

	return st == STATUS_OK ? house_path_id(x, "user", out_user) : st;
}

/* ---- of teams */

static void write_member(struct json_writer *w, const void *items, size_t i)
{
	house_member(w, &((const pb_MemberView *)items)[i]);
}

static uint64_t member_id(const void *items, size_t i)
{
	return ((const pb_MemberView *)items)[i].user.id;
}

enum status house_team_members_list(struct exchange *x)
{
	pb_ListMembersReply reply;
	struct house_page page;
	uint64_t team;
	enum status st = house_path_id(x, "team", &team);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, moderation, list_members, team,
			&((pb_ListMembersRequest){team, page.before, page.after, page.limit}), &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){
			reply.members_count, reply.more, false, reply.members, write_member, member_id});
}

enum status house_team_members_get(struct exchange *x)
{
	pb_MemberRequest request = {0};
	pb_MemberReply reply;
	enum status st = path_pair(x, "team", &request.team_id, &request.user_id);

	if (st == STATUS_OK)
		st = ASK(x, moderation, get_member, request.team_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_member, &reply.member) : st;
}

enum status house_team_members_put(struct exchange *x)
{
	struct json_reader r;
	pb_MemberReply reply;
	uint64_t team, user;
	enum status st = path_pair(x, "team", &team, &user);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = team_member_put(x, team, user, &reply);
	if (st != STATUS_OK)
		return st;
	if (reply.created)
		house_location(x, "/teams/%s/members/%s", house_uuid(x, team), house_uuid(x, user));
	return HOUSE_OBJECT(x, reply.created ? 201 : 200, house_member, &reply.member);
}

enum status house_team_members_patch(struct exchange *x)
{
	pb_UpdateMemberRequest request = {0};
	const char *nickname = NULL;
	struct json_reader r;
	pb_MemberReply reply;
	enum status st = path_pair(x, "team", &request.team_id, &request.user_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	if (!house_nullable(&r, "nickname", 1, NICKNAME_MOST, &nickname))
		json_fail(&r, STATUS_FIELD_INVALID, "nickname", "is required");
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.nickname = (char *)nickname;
	st = CALL(x, moderation, update_member, request.team_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_member, &reply.member) : st;
}

enum status house_team_members_delete(struct exchange *x)
{
	pb_MemberRequest request = {0};
	pb_Empty nothing;
	enum status st = path_pair(x, "team", &request.team_id, &request.user_id);

	if (st == STATUS_OK)
		st = CALL(x, moderation, remove_member, request.team_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- of channels */

static void write_channel_member(struct json_writer *w, const void *items, size_t i)
{
	house_channel_member(w, &((const pb_ChannelMemberView *)items)[i]);
}

static uint64_t channel_member_id(const void *items, size_t i)
{
	return ((const pb_ChannelMemberView *)items)[i].user.id;
}

enum status house_channel_members_list(struct exchange *x)
{
	pb_ListChannelMembersReply reply;
	struct house_page page;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, moderation, list_channel_members, channel,
			&((pb_ListChannelMembersRequest){channel, page.before, page.after, page.limit}),
			&reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){reply.members_count, reply.more, false, reply.members,
			write_channel_member, channel_member_id});
}

enum status house_channel_members_put(struct exchange *x)
{
	pb_ChannelMemberReply reply;
	struct json_reader r;
	uint64_t channel, user;
	enum status st = path_pair(x, "channel", &channel, &user);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = channel_member_put(x, channel, user, false, &reply);
	if (st != STATUS_OK)
		return st;
	if (reply.created)
		house_location(x, "/channels/%s/members/%s", house_uuid(x, channel), house_uuid(x, user));
	return HOUSE_OBJECT(x, reply.created ? 201 : 200, house_channel_member, &reply.member);
}

enum status house_channel_members_patch(struct exchange *x)
{
	static const char *const words[] = {"owner", "moderator", "member", NULL};
	pb_ChannelMemberRequest request = {0};
	pb_ChannelMemberReply reply;
	struct json_reader r;
	int choice = 0;
	enum status st = path_pair(x, "channel", &request.channel_id, &request.user_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_choice(&r, "role", JSON_REQUIRED, words, &choice);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	channel_role_from_word(words[choice], &request.role);
	st = CALL(x, moderation, set_channel_role, request.channel_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_channel_member, &reply.member) : st;
}

enum status house_channel_members_delete(struct exchange *x)
{
	pb_ChannelMemberRequest request = {0};
	pb_Empty nothing;
	enum status st = path_pair(x, "channel", &request.channel_id, &request.user_id);

	if (st == STATUS_OK)
		st = CALL(x, moderation, leave_channel, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}
