#include "common/events/kinds.h"
#include "services/api/accounts.h"
#include "services/api/dialects/house/house.h"
#include "services/api/membership.h"

#define STATUS_TEXT_MOST 128
#define EMOJI_MOST       64

enum status house_typing_set(struct exchange *x)
{
	bool is_typing = true;
	struct json_reader r;
	uint64_t channel;
	enum status st = house_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	house_body(x, &r);
	json_bool(&r, "is_typing", JSON_OPTIONAL, &is_typing);
	st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = typing_set(x, channel, is_typing);
	return st == STATUS_OK ? house_no_content(x) : st;
}

static enum status get_one(struct exchange *x, uint64_t user)
{
	pb_GetPresenceReply reply;

	enum status st = ASK(x, presence, get_presence, user,
		&((pb_GetPresenceRequest){.user_ids_count = 1, .user_ids = &user}), &reply);
	if (st != STATUS_OK)
		return st;
	if (reply.presences_count == 0)
		return exchange_fail(x, STATUS_NOT_FOUND, NULL, NULL, NULL);
	return HOUSE_OBJECT(x, 200, house_presence, &reply.presences[0]);
}

enum status house_my_presence_get(struct exchange *x)
{
	return get_one(x, x->actor.id);
}

enum status house_users_presence(struct exchange *x)
{
	pb_UserView account;
	uint64_t user;
	enum status st = house_path_id(x, "user", &user);

	if (st != STATUS_OK)
		return st;
	st = accounts_get(x->api, x->mem, user, x->deadline_mono_ms, &account);
	return st == STATUS_OK ? get_one(x, user) : exchange_fail(x, st, NULL, NULL, NULL);
}

enum status house_my_presence_put(struct exchange *x)
{
	static const char *const words[] = {"online", "idle", "dnd", "invisible", NULL};
	pb_SetPresenceRequest request = {0};
	pb_PresenceViewReply reply;
	struct json_reader r;
	int choice = 0;

	house_body(x, &r);
	json_choice(&r, "status", JSON_REQUIRED, words, &choice);
	enum status st = house_body_end(x, &r);
	if (st != STATUS_OK)
		return st;
	presence_from_word(words[choice], &request.chosen);
	st = CALL(x, presence, set_presence, x->actor.id, &request, &reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_presence, &reply.presence) : st;
}

enum status house_my_status_put(struct exchange *x)
{
	const char *text = NULL, *emoji = NULL;
	int64_t expires_at_ms = 0;
	pb_PresenceViewReply reply;
	struct json_reader r;

	house_body(x, &r);
	json_str(&r, "message", JSON_OPTIONAL, 1, STATUS_TEXT_MOST, &text);
	json_str(&r, "emoji", JSON_OPTIONAL, 1, EMOJI_MOST, &emoji);
	json_time(&r, "expires_at", JSON_OPTIONAL, &expires_at_ms);
	if (text == NULL && emoji == NULL)
		json_fail(&r, STATUS_FIELD_INVALID, "message", "message or emoji is required");
	enum status st = house_body_end(x, &r);
	if (st == STATUS_OK)
		st = status_set(x,
			&(struct status_fields){.text = text, .emoji = emoji, .expires_at_ms = expires_at_ms},
			&reply);
	return st == STATUS_OK ? HOUSE_OBJECT(x, 200, house_presence, &reply.presence) : st;
}

enum status house_my_status_delete(struct exchange *x)
{
	pb_PresenceViewReply reply;
	enum status st = status_set(x, &(struct status_fields){0}, &reply);

	return st == STATUS_OK ? house_no_content(x) : st;
}
