#include "services/api/dialects/house/house.h"

#define USES_MOST 1000000

static void write_invite(struct json_writer *w, const void *items, size_t i)
{
	house_invite(w, &((const pb_InviteView *)items)[i]);
}

static const char *invite_code(const void *items, size_t i)
{
	return ((const pb_InviteView *)items)[i].code;
}

enum status house_invites_create(struct exchange *x)
{
	pb_CreateInviteRequest request = {0};
	int64_t max_uses = 0, expires_at_ms = 0;
	struct json_reader r;
	pb_InviteReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_i64(&r, "max_uses", JSON_OPTIONAL, 1, USES_MOST, &max_uses);
	house_end_time(&r, "expires_at", &expires_at_ms);
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.max_uses = (uint64_t)max_uses;
	request.expires_at_ms = (uint64_t)expires_at_ms;
	st = CALL(x, moderation, create_invite, request.team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/invites/%s", reply.invite.code);
	return HOUSE_OBJECT(x, 201, house_invite, &reply.invite);
}

enum status house_invites_list(struct exchange *x)
{
	pb_ListInvitesRequest request = {0};
	const char *before = NULL, *after = NULL;
	struct house_page page;
	pb_ListInvitesReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st == STATUS_OK)
		st = house_page_named(x, &page, &before, &after);
	if (st != STATUS_OK)
		return st;
	request.before = (char *)before;
	request.after = (char *)after;
	request.limit = page.limit;
	st = ASK(x, moderation, list_invites, request.team_id, &request, &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){.count = reply.invites_count,
			.more = reply.more,
			.items = reply.invites,
			.write = write_invite,
			.name = invite_code});
}

/* ---- by the code, which is all that is asked for: a wrong one counts as a guess */

static enum status path_code(struct exchange *x, pb_InviteRequest *out)
{
	*out = (pb_InviteRequest){.code = (char *)route_param(&x->match, "code")};
	return exchange_may_try(x);
}

static enum status counted(struct exchange *x, enum status st)
{
	if (st == STATUS_NOT_FOUND)
		exchange_tried_wrong(x);
	return st;
}

enum status house_invites_get(struct exchange *x)
{
	pb_InviteRequest request;
	pb_InviteReply reply;
	enum status st = path_code(x, &request);

	if (st == STATUS_OK)
		st = counted(x, ASK(x, moderation, get_invite, 0, &request, &reply));
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_invite, &reply.invite) : st;
}

enum status house_invites_delete(struct exchange *x)
{
	pb_InviteRequest request;
	pb_Empty nothing;
	enum status st = path_code(x, &request);

	if (st == STATUS_OK)
		st = counted(x, CALL(x, moderation, delete_invite, 0, &request, &nothing));
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_invites_accept(struct exchange *x)
{
	pb_InviteRequest request;
	pb_MemberReply reply;
	struct json_reader r;
	enum status st = path_code(x, &request);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = counted(x, CALL(x, moderation, use_invite, 0, &request, &reply));
	if (st != STATUS_OK)
		return st;
	if (reply.created)
		house_location(x, "/teams/%s/members/%s", house_uuid(x, reply.member.team_id),
			house_uuid(x, reply.member.user.id));
	return HOUSE_OBJECT(x, reply.created ? 201 : 200, house_member, &reply.member);
}
