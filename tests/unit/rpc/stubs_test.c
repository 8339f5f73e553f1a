#include "common/rpc/stubs.h"
#include "tests/unit/main.h"

static void nothing(void *service, struct rpc_call *call, const void *request, void *reply)
{
}

static size_t bind_all(const char *owner, struct rpc_binding *out)
{
	const struct rpc_method *const *methods = rpc_methods_of(owner);
	size_t count = 0;

	for (; methods[count] != NULL; count++)
		out[count] = (struct rpc_binding){methods[count], nothing};
	return count;
}

START_TEST(every_owner_answers_the_calls_about_the_log)
{
	static const char *const owners[] = {"api", "messaging", "moderation", "presence"};

	for (size_t i = 0; i < 4; i++) {
		const struct rpc_method *const *methods = rpc_methods_of(owners[i]);
		bool fetch = false, heads = false;
		for (; *methods != NULL; methods++) {
			fetch |= (*methods)->tag == 90 && (*methods)->request == pb_FetchEventsRequest_fields;
			heads |= (*methods)->tag == 91 && (*methods)->reply_size == sizeof(pb_StreamHeadsReply);
		}
		ck_assert(fetch && heads);
	}
	ck_assert_ptr_null(rpc_methods_of("nobody"));
}
END_TEST

START_TEST(a_call_that_is_not_bound_once_is_noticed)
{
	struct rpc_binding bindings[256];
	size_t count = bind_all("presence", bindings);

	ck_assert(rpc_bindings_complete("presence", bindings, count));
	ck_assert(!rpc_bindings_complete("presence", bindings, count - 1));
	bindings[0] = bindings[1];
	ck_assert(!rpc_bindings_complete("presence", bindings, count));
}
END_TEST

START_TEST(a_call_of_another_owner_is_noticed)
{
	struct rpc_binding bindings[256];
	size_t count = bind_all("presence", bindings);

	bindings[count++] = (struct rpc_binding){&rpc_api_resolve_token, nothing};
	ck_assert(!rpc_bindings_complete("presence", bindings, count));
}
END_TEST

TESTS("rpc stubs", every_owner_answers_the_calls_about_the_log, a_call_that_is_not_bound_once_is_noticed,
	a_call_of_another_owner_is_noticed)
