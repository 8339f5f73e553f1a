#include "common/rpc/stubs.h"

#include <string.h>

#include "common/base/log.h"

#define METHOD_OPTIONAL(field, tag, owner, Owner)
#define METHOD_SINGULAR(field, tag, owner, Owner)
#define METHOD_ARM_(union_name, arm, member) arm
#define METHOD_ONEOF(field, tag, owner, Owner) METHOD_EXPAND_(METHOD_ARM_ field, tag, owner, Owner)
#define METHOD_EXPAND_(arm, tag, owner, Owner) METHOD_DEFINE_(arm, tag, owner, Owner)
/* _fields of a message is a macro of its type's name, so the type has to be spelled out before it is pasted. */
#define METHOD_FIELDS_(type)         METHOD_FIELDS_OF_(type)
#define METHOD_FIELDS_OF_(type)      type##_fields
#define METHOD_DEFINE_(arm, arm_tag, owner, Owner)                                                           \
	_Static_assert(pb_##Owner##Request_##arm##_tag == pb_##Owner##Reply_##arm##_tag,                     \
		"request and reply of " #owner "." #arm " have the same number");                            \
	const struct rpc_method rpc_##owner##_##arm = {                                                      \
		.tag = (arm_tag),                                                                            \
		.name = #arm,                                                                                \
		.request = METHOD_FIELDS_(pb_##Owner##Request_call_##arm##_MSGTYPE),                         \
		.reply = METHOD_FIELDS_(pb_##Owner##Reply_call_##arm##_MSGTYPE),                             \
		.request_size = sizeof(pb_##Owner##Request_call_##arm##_MSGTYPE),                            \
		.reply_size = sizeof(pb_##Owner##Reply_call_##arm##_MSGTYPE),                                \
	};
#define METHOD_API_(a, allocation, rule, type, field, tag)        METHOD_##rule(field, tag, api, Api)
#define METHOD_MESSAGING_(a, allocation, rule, type, field, tag)  METHOD_##rule(field, tag, messaging, Messaging)
#define METHOD_MODERATION_(a, allocation, rule, type, field, tag) METHOD_##rule(field, tag, moderation, Moderation)
#define METHOD_PRESENCE_(a, allocation, rule, type, field, tag)   METHOD_##rule(field, tag, presence, Presence)
pb_ApiRequest_FIELDLIST(METHOD_API_, 0)
pb_MessagingRequest_FIELDLIST(METHOD_MESSAGING_, 0)
pb_ModerationRequest_FIELDLIST(METHOD_MODERATION_, 0)
pb_PresenceRequest_FIELDLIST(METHOD_PRESENCE_, 0)

#define LIST_OPTIONAL(field, owner)
#define LIST_SINGULAR(field, owner)
#define LIST_ONEOF(field, owner)       LIST_EXPAND_(METHOD_ARM_ field, owner)
#define LIST_EXPAND_(arm, owner)       LIST_ROW_(arm, owner)
#define LIST_ROW_(arm, owner)          &rpc_##owner##_##arm,
#define LIST_API_(a, allocation, rule, type, field, tag)        LIST_##rule(field, api)
#define LIST_MESSAGING_(a, allocation, rule, type, field, tag)  LIST_##rule(field, messaging)
#define LIST_MODERATION_(a, allocation, rule, type, field, tag) LIST_##rule(field, moderation)
#define LIST_PRESENCE_(a, allocation, rule, type, field, tag)   LIST_##rule(field, presence)

static const struct rpc_method *const api_methods[] = {pb_ApiRequest_FIELDLIST(LIST_API_, 0) NULL};
static const struct rpc_method *const messaging_methods[] = {pb_MessagingRequest_FIELDLIST(LIST_MESSAGING_, 0) NULL};
static const struct rpc_method *const moderation_methods[] = {pb_ModerationRequest_FIELDLIST(LIST_MODERATION_, 0) NULL};
static const struct rpc_method *const presence_methods[] = {pb_PresenceRequest_FIELDLIST(LIST_PRESENCE_, 0) NULL};

const struct rpc_method *const *rpc_methods_of(const char *owner)
{
	static const struct {
		const char *name;
		const struct rpc_method *const *methods;
	} owners[] = {
		{"api", api_methods},
		{"messaging", messaging_methods},
		{"moderation", moderation_methods},
		{"presence", presence_methods},
	};

	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
		if (strcmp(owners[i].name, owner) == 0)
			return owners[i].methods;
	}
	return NULL;
}

bool rpc_bindings_complete(const char *owner, const struct rpc_binding *bindings, size_t count)
{
	const struct rpc_method *const *methods = rpc_methods_of(owner);
	bool complete = true;
	size_t wanted = 0;

	if (methods == NULL) {
		log_error("bindings_of_nobody", LOG_STR("owner", owner));
		return false;
	}
	for (; methods[wanted] != NULL; wanted++) {
		size_t bound = 0;
		for (size_t i = 0; i < count; i++)
			bound += bindings[i].method == methods[wanted];
		if (bound == 1)
			continue;
		log_error("call_not_bound_once", LOG_STR("owner", owner), LOG_STR("call", methods[wanted]->name),
			LOG_U64("bound", bound));
		complete = false;
	}
	if (complete && count != wanted) {
		log_error("call_of_another_owner_bound", LOG_STR("owner", owner));
		complete = false;
	}
	return complete;
}
