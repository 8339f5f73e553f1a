#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#include <string.h>

#define MOTIVE_MOST          512
#define TIMEOUT_SECONDS_MOST 2419200 /* 28 days */

static enum status path_ban(struct exchange *x, const char *scope, pb_GetBanRequest *out)
{
	enum status st = house_path_id(x, scope, &out->scope_id);

	return st == STATUS_OK ? house_path_id(x, "user", &out->user_id) : st;
}

/* Of bans the owner calls it a reason. */
static enum status spelled_motive(struct exchange *x, enum status st)
{
	if (st == STATUS_FIELD_INVALID && x->outcome.field != NULL && strcmp(x->outcome.field, "reason") == 0)
		x->outcome.field = "motive";
	return st;
}

/* Body of PUT: motive, and until when. */
static enum status read_ban(struct exchange *x, const char *scope, pb_BanRequest *out)
{
	pb_GetBanRequest who = {0};
	const char *motive = NULL;
	int64_t expires_at_ms = 0;
	struct json_reader r;
	enum status st = path_ban(x, scope, &who);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_str(&r, "motive", JSON_OPTIONAL, 0, MOTIVE_MOST, &motive);
	house_end_time(&r, "expires_at", &expires_at_ms);
	st = house_body_end(x, &r);
	return st == STATUS_OK ? ban_request(x, who.scope_id, who.user_id, motive, expires_at_ms, out) : st;
}

/* DELETE has no body in house: the motive is a parameter. */
static enum status read_unban(struct exchange *x, const char *scope, pb_BanRequest *out)
{
	pb_GetBanRequest who = {0};
	const char *motive = NULL;
	enum status st = path_ban(x, scope, &who);

	if (st == STATUS_OK)
		st = house_query(x, "motive", MOTIVE_MOST, &motive);
	if (st == STATUS_OK)
		*out = (pb_BanRequest){
			.scope_id = who.scope_id, .user_id = who.user_id, .reason = (char *)motive};
	return st;
}

static void write_ban(struct json_writer *w, const void *items, size_t i)
{
	house_ban(w, &((const pb_BanView *)items)[i]);
}

static uint64_t banned_id(const void *items, size_t i)
{
	return ((const pb_BanView *)items)[i].user.id;
}

static enum status finish_bans(
	struct exchange *x, const struct house_page *page, const pb_ListBansReply *reply)
{
	return house_finish_list(x, page,
		&(struct house_list){
			reply->bans_count, reply->more, false, reply->bans, write_ban, banned_id});
}

/* ---- of teams */

enum status house_team_bans_list(struct exchange *x)
{
	struct house_page page;
	pb_ListBansReply reply;
	uint64_t team;
	enum status st = house_path_id(x, "team", &team);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, moderation, list_bans, team,
			&((pb_ListBansRequest){team, page.before, page.after, page.limit}), &reply);
	return st == STATUS_OK ? finish_bans(x, &page, &reply) : st;
}

enum status house_team_bans_get(struct exchange *x)
{
	pb_GetBanRequest request = {0};
	pb_BanReply reply;
	enum status st = path_ban(x, "team", &request);

	if (st == STATUS_OK)
		st = ASK(x, moderation, get_ban, request.scope_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_ban, &reply.ban) : st;
}

enum status house_team_bans_put(struct exchange *x)
{
	pb_BanRequest request;
	pb_BanReply reply;
	enum status st = read_ban(x, "team", &request);

	if (st == STATUS_OK)
		st = spelled_motive(x, CALL(x, moderation, ban_member, request.scope_id, &request, &reply));
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_ban, &reply.ban) : st;
}

enum status house_team_bans_delete(struct exchange *x)
{
	pb_BanRequest request;
	pb_Empty nothing;
	enum status st = read_unban(x, "team", &request);

	if (st == STATUS_OK)
		st = spelled_motive(x, CALL(x, moderation, unban_member, request.scope_id, &request, &nothing));
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- timeouts */

enum status house_timeouts_put(struct exchange *x)
{
	pb_TimeoutRequest request = {0};
	const char *reason = NULL;
	int64_t until_ms = 0, seconds = 0;
	struct json_reader r;
	pb_MemberReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st == STATUS_OK)
		st = house_path_id(x, "user", &request.user_id);
	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	house_end_time(&r, "until", &until_ms);
	json_i64(&r, "seconds", JSON_OPTIONAL, 1, TIMEOUT_SECONDS_MOST, &seconds);
	json_str(&r, "reason", JSON_OPTIONAL, 0, MOTIVE_MOST, &reason);
	if ((until_ms != 0) == (seconds != 0))
		json_fail(&r, STATUS_FIELD_INVALID, "until", "is required, or seconds, but not both");
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.until_ms = (uint64_t)until_ms;
	request.seconds = (uint64_t)seconds;
	request.reason = (char *)reason;
	st = CALL(x, moderation, set_timeout, request.team_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_member, &reply.member) : st;
}

enum status house_timeouts_delete(struct exchange *x)
{
	pb_TimeoutRequest request = {0};
	const char *reason = NULL;
	pb_MemberReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st == STATUS_OK)
		st = house_path_id(x, "user", &request.user_id);
	if (st == STATUS_OK)
		st = house_query(x, "reason", MOTIVE_MOST, &reason);
	if (st != STATUS_OK)
		return st;
	request.reason = (char *)reason;
	st = CALL(x, moderation, clear_timeout, request.team_id, &request, &reply);
	return st == STATUS_OK ? house_no_content(x) : st;
}

/* ---- of channels */

enum status house_channel_bans_list(struct exchange *x)
{
	struct house_page page;
	pb_ListBansReply reply;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st == STATUS_OK)
		st = house_page(x, &page);
	if (st == STATUS_OK)
		st = ASK(x, moderation, list_channel_bans, channel,
			&((pb_ListBansRequest){channel, page.before, page.after, page.limit}), &reply);
	return st == STATUS_OK ? finish_bans(x, &page, &reply) : st;
}

enum status house_channel_bans_get(struct exchange *x)
{
	pb_GetBanRequest request = {0};
	pb_BanReply reply;
	enum status st = path_ban(x, "channel", &request);

	if (st == STATUS_OK)
		st = ASK(x, moderation, get_channel_ban, request.scope_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_ban, &reply.ban) : st;
}

enum status house_channel_bans_put(struct exchange *x)
{
	pb_BanRequest request;
	pb_BanReply reply;
	enum status st = read_ban(x, "channel", &request);

	if (st == STATUS_OK)
		st = spelled_motive(x, CALL(x, moderation, ban_channel_user, request.scope_id, &request, &reply));
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_ban, &reply.ban) : st;
}

enum status house_channel_bans_delete(struct exchange *x)
{
	pb_BanRequest request;
	pb_Empty nothing;
	enum status st = read_unban(x, "channel", &request);

	if (st == STATUS_OK)
		st = spelled_motive(x, CALL(x, moderation, unban_channel_user, request.scope_id, &request, &nothing));
	return st == STATUS_OK ? house_no_content(x) : st;
}

enum status house_channel_members_kick(struct exchange *x)
{
	pb_ChannelMemberRequest request = {0};
	struct json_reader r;
	pb_Empty nothing;
	enum status st = house_path_id(x, "channel", &request.channel_id);

	if (st == STATUS_OK)
		st = house_path_id(x, "user", &request.user_id);
	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = CALL(x, moderation, kick_channel_member, request.channel_id, &request, &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}
