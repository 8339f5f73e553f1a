/* Commands: what a line that begins with a slash can be, and what it does. */
#include "common/dialects/crust/markup.h"
#include "services/api/dialects/crust/crust.h"
#include "services/api/webhooks.h"

enum status crust_commands_list(struct exchange *x)
{
	pb_ListCommandsReply reply;
	struct json_writer w;
	enum status st = ASK(x, messaging, list_commands, 0, &((pb_ListCommandsRequest){0}), &reply);

	if (st != STATUS_OK)
		return st;
	crust_response(x, &w);
	jw_array(&w);
	for (size_t i = 0; i < reply.commands_count; i++)
		crust_command(&w, reply.commands[i].word, reply.commands[i].description);
	jw_array_end(&w);
	return crust_finish(x, &w);
}

/* What the real server answers here is a record of its own database, with ids that JavaScript rounds; the message serves those who
 * look at it, and the web page does not. */
enum status crust_commands_exec(struct exchange *x)
{
	struct crust_params p;
	struct json_writer w;
	pb_RunCommandReply reply;
	uint64_t channel;
	enum status st = crust_path_id(x, "channel", &channel);

	if (st != STATUS_OK)
		return st;
	crust_params(x, &p, CRUST_BODY);
	const char *input = crust_trimmed(x->mem, crust_param(&p, "input"));
	st = crust_params_done(x, &p);
	if (st == STATUS_OK)
		st = command_run(x, channel, route_param(&x->match, "command"), crust_markup_read(x->mem, input), NULL, &reply);
	if (st != STATUS_OK)
		return st;
	if (!reply.has_message)
		return crust_nothing(x, "null");
	struct crust_message_own own = crust_message_own(&reply.message, x->actor.id);
	crust_response(x, &w);
	crust_message(&w, &reply.message, &own);
	return crust_finish(x, &w);
}
