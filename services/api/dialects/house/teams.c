#include "common/events/kinds.h"
#include "services/api/accounts.h"
#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#define NAME_MOST        64
#define DESCRIPTION_MOST 1000

static const char *const joining_words[] = {"open", "application", "invite", NULL};

static void read_url(struct json_reader *r, const char *field, const char *url)
{
	const char *fault = url == NULL ? NULL : account_url_fault(url);

	if (fault != NULL)
		json_fail(r, STATUS_FIELD_INVALID, field, fault);
}

static void read_joining(struct json_reader *r, uint32_t *out_joining, bool *out_has)
{
	int choice = -1;

	json_choice(r, "joining", JSON_OPTIONAL, joining_words, &choice);
	*out_has = choice >= 0 && joining_from_word(joining_words[choice], out_joining);
}

enum status house_teams_create(struct exchange *x)
{
	pb_CreateTeamRequest request = {.joining = JOINING_INVITE};
	const char *name = NULL, *description = NULL, *icon = NULL;
	struct json_reader r;
	pb_TeamReply reply;
	bool given;

	house_body(x, &r);
	json_str(&r, "name", JSON_REQUIRED, 1, NAME_MOST, &name);
	json_str(&r, "description", JSON_OPTIONAL, 0, DESCRIPTION_MOST, &description);
	json_str(&r, "icon_url", JSON_OPTIONAL, 1, ACCOUNT_URL_BYTES, &icon);
	read_url(&r, "icon_url", icon);
	read_joining(&r, &request.joining, &given);
	json_bool(&r, "public_read", JSON_OPTIONAL, &request.public_read);
	enum status st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	request.name = (char *)name;
	request.description = (char *)description;
	request.icon = (char *)icon;
	st = CALL(x, moderation, create_team, 0, &request, &reply);
	if (st != STATUS_OK)
		return st;
	house_location(x, "/teams/%s", house_uuid(x, reply.team.id));
	return HOUSE_OBJECT(x, 201, house_team, &reply.team);
}

static void write_team(struct json_writer *w, const void *items, size_t i)
{
	house_team(w, &((const pb_TeamView *)items)[i]);
}

static uint64_t team_id(const void *items, size_t i)
{
	return ((const pb_TeamView *)items)[i].id;
}

enum status house_teams_list(struct exchange *x)
{
	struct house_page page;
	pb_ListTeamsReply reply;
	enum status st = house_page(x, &page);

	if (st == STATUS_OK)
		st = ASK(x, moderation, list_teams, x->actor.id,
			&((pb_ListTeamsRequest){x->actor.id, page.before, page.after, page.limit}), &reply);
	if (st != STATUS_OK)
		return st;
	return house_finish_list(x, &page,
		&(struct house_list){reply.teams_count, reply.more, false, reply.teams, write_team, team_id});
}

enum status house_teams_get(struct exchange *x)
{
	pb_TeamReply reply;
	uint64_t team;
	enum status st = house_path_id(x, "team", &team);

	if (st == STATUS_OK)
		st = ASK(x, moderation, get_team, team, &((pb_GetTeamRequest){team}), &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_team, &reply.team) : st;
}

static enum status transfer(struct exchange *x, uint64_t team, uint64_t owner)
{
	pb_TeamReply reply;
	enum status st = CALL(x, moderation, transfer_team, team, &((pb_TransferTeamRequest){team, owner}), &reply);

	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_team, &reply.team) : st;
}

enum status house_teams_patch(struct exchange *x)
{
	pb_UpdateTeamRequest request = {0};
	const char *name = NULL, *description = NULL, *icon = NULL;
	char *cleared[3];
	struct json_reader r;
	pb_TeamReply reply;
	enum status st = house_path_id(x, "team", &request.team_id);

	if (st != STATUS_OK)
		return st;
	request.cleared = cleared;
	house_body(x, &r);
	if (json_has(&r, "name"))
		json_str(&r, "name", JSON_REQUIRED, 1, NAME_MOST, &name);
	if (house_nullable(&r, "description", 0, DESCRIPTION_MOST, &description) && description == NULL)
		cleared[request.cleared_count++] = (char *)"description";
	if (house_nullable(&r, "icon_url", 1, ACCOUNT_URL_BYTES, &icon) && icon == NULL)
		cleared[request.cleared_count++] = (char *)"icon";
	read_url(&r, "icon_url", icon);
	uint32_t joining = 0;
	bool has_joining;
	read_joining(&r, &joining, &has_joining);
	bool has_public_read = json_has(&r, "public_read"), public_read = false;
	if (has_public_read)
		json_bool(&r, "public_read", JSON_REQUIRED, &public_read);
	bool has_default = json_has(&r, "default_channel_id");
	uint64_t default_channel = 0;
	if (has_default && json_is_null(&r, "default_channel_id"))
		cleared[request.cleared_count++] = (char *)"default_channel_id";
	else if (has_default)
		json_uuid(&r, "default_channel_id", JSON_REQUIRED, &default_channel);
	/* Handing the team on is a change of its own, of rights: not one among others. */
	uint64_t owner = 0;
	bool has_owner = json_has(&r, "owner_id");
	if (has_owner)
		json_uuid(&r, "owner_id", JSON_REQUIRED, &owner);
	if (has_owner && (name != NULL || request.cleared_count > 0 || description != NULL || icon != NULL || has_joining ||
				 has_public_read || has_default))
		json_fail(&r, STATUS_FIELD_INVALID, "owner_id", "comes alone");
	st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	if (has_owner)
		return transfer(x, request.team_id, owner);
	request.name = (char *)name;
	request.description = (char *)description;
	request.icon = (char *)icon;
	request.has_joining = has_joining;
	request.joining = joining;
	request.has_public_read = has_public_read;
	request.public_read = public_read;
	request.has_default_channel_id = default_channel != 0;
	request.default_channel_id = default_channel;
	st = CALL(x, moderation, update_team, request.team_id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_team, &reply.team) : st;
}

enum status house_teams_delete(struct exchange *x)
{
	pb_Empty nothing;
	uint64_t team;
	enum status st = house_path_id(x, "team", &team);

	if (st == STATUS_OK)
		st = CALL(x, moderation, delete_team, team, &((pb_DeleteTeamRequest){team}), &nothing);
	return st == STATUS_OK ? house_no_content(x) : st;
}
