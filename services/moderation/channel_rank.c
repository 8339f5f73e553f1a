#include "services/moderation/channel_rank.h"

enum status channel_moderation_need(struct change *c)
{
	if (change_by_system(c))
		return STATUS_OK;
	if (eval_need(&change_actor(c)->eval, PERMISSION_ban_members, NULL) == STATUS_OK)
		return STATUS_OK;
	return change_need(c, PERMISSION_moderate_channel);
}

static int weight(const struct eval_answer *answer)
{
	if (answer->channel_role == CHANNEL_ROLE_OWNER)
		return 2;
	return answer->channel_role == CHANNEL_ROLE_MODERATOR ||
	       bits_has(answer->bits, PERMISSION_moderate_channel);
}

int channel_rank_compare(const struct facts *actor, const struct facts *target)
{
	struct eval_answer a = eval_rights(&actor->eval, EVAL_ASK_NOTHING);
	struct eval_answer t = eval_rights(&target->eval, EVAL_ASK_NOTHING);

	if (a.owner != t.owner)
		return a.owner ? 1 : -1;
	if (a.highest_position != t.highest_position)
		return a.highest_position > t.highest_position ? 1 : -1;
	return weight(&a) == weight(&t) ? 0 : weight(&a) > weight(&t) ? 1 : -1;
}

enum status channel_target_refused(struct change *c, const struct facts *target)
{
	if (target->eval.team != NULL && target->team.owner_id == target->person.id)
		return change_refuse(c, STATUS_FORBIDDEN, "owner", NULL);
	if (change_by_system(c) || channel_rank_compare(change_actor(c), target) > 0)
		return STATUS_OK;
	return change_refuse(c, STATUS_FORBIDDEN, "rank", NULL);
}
