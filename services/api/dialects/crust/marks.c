/* What people put on messages: pins, bookmarks, reactions. */
#include <string.h>

#include "services/api/dialects/crust/crust.h"

/* The message decides, whatever channel the path names: its owner knows where it is. */
static enum status path_message(struct exchange *x, pb_MessageRequest *out)
{
	return crust_path_id(x, "message", &out->message_id);
}

static enum status done(struct exchange *x, enum status st)
{
	return st == STATUS_OK ? crust_ok(x) : st;
}

enum status crust_pins_create(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, pin_message, request.message_id, &request, &nothing);
	return done(x, st);
}

enum status crust_pins_delete(struct exchange *x)
{
	pb_MessageRequest request = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, unpin_message, request.message_id, &request, &nothing);
	return done(x, st);
}

static enum status set_bookmark(struct exchange *x, bool set)
{
	pb_MessageRequest of = {0};
	pb_Empty nothing;
	enum status st = path_message(x, &of);

	if (st == STATUS_OK)
		st = CALL(x, messaging, set_bookmark, of.message_id,
			&((pb_SetBookmarkRequest){.message_id = of.message_id, .set = set}), &nothing);
	return done(x, st);
}

enum status crust_bookmarks_create(struct exchange *x)
{
	return set_bookmark(x, true);
}

enum status crust_bookmarks_delete(struct exchange *x)
{
	return set_bookmark(x, false);
}

/* Reactions are free text, but for the two words that this API's clients take for a pin and a bookmark. */
static enum status path_reaction(struct exchange *x, pb_ReactionRequest *out)
{
	pb_MessageRequest message = {0};
	const char *reaction = crust_trimmed(x->mem, route_param(&x->match, "reaction"));
	enum status st = path_message(x, &message);

	if (st != STATUS_OK)
		return st;
	if (reaction[0] == '\0' || strcmp(reaction, "pin") == 0 || strcmp(reaction, "bookmark") == 0)
		return exchange_fail(x, STATUS_FIELD_INVALID, NULL, "emoji", NULL);
	*out = (pb_ReactionRequest){.message_id = message.message_id, .emoji = (char *)reaction};
	return STATUS_OK;
}

enum status crust_reactions_create(struct exchange *x)
{
	pb_ReactionRequest request;
	pb_ReactionReply reply;
	enum status st = path_reaction(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, add_reaction, request.message_id, &request, &reply);
	return done(x, st);
}

enum status crust_reactions_delete(struct exchange *x)
{
	pb_ReactionRequest request;
	pb_Empty nothing;
	enum status st = path_reaction(x, &request);

	if (st == STATUS_OK)
		st = CALL(x, messaging, remove_reaction, request.message_id, &request, &nothing);
	return done(x, st);
}
