/* What describes house is what house does: every route and every event, both ways. */
#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "common/base/config.h"
#include "common/base/status.h"
#include "services/api/dialects/house/descriptions.h"
#include "services/api/dialects/house/house.h"
#include "services/api/scopes.h"
#include "tests/unit/main.h"

static json_t *openapi(void)
{
	json_t *whole = json_loadb(house_openapi, house_openapi_length, JSON_REJECT_DUPLICATES, NULL);

	ck_assert_ptr_nonnull(whole);
	return whole;
}

static json_t *asyncapi(void)
{
	json_t *whole = json_loadb(house_asyncapi, house_asyncapi_length, JSON_REJECT_DUPLICATES, NULL);

	ck_assert_ptr_nonnull(whole);
	return whole;
}

static const char *text(json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value == NULL ? "" : value;
}

static json_t *operation_of(json_t *paths, const struct route *route)
{
	char method[16];
	size_t i = 0;

	for (; route->method[i] != '\0' && i + 1 < sizeof method; i++)
		method[i] = (char)(route->method[i] | 0x20);
	method[i] = '\0';
	return json_object_get(json_object_get(paths, route->path), method);
}

START_TEST(every_route_is_described_with_its_name_authentication_and_scope)
{
	json_t *whole = openapi(), *paths = json_object_get(whole, "paths");

	for (size_t i = 0; i < house_mount.route_count; i++) {
		const struct route *route = &house_mount.routes[i];
		json_t *operation = operation_of(paths, route);
		ck_assert_msg(operation != NULL, "%s %s is not in services/api/dialects/house/openapi/",
			route->method, route->path);
		ck_assert_msg(strcmp(text(operation, "operationId"), route->name) == 0,
			"%s %s: id is %s, the handler is %s", route->method, route->path,
			text(operation, "operationId"), route->name);
		const char *scope = route->scope == SCOPE_NONE ? "none" : scope_word(route->scope);
		ck_assert_msg(strcmp(text(operation, "x-scope"), scope) == 0,
			"%s %s: scope is %s, the row's is %s", route->method, route->path,
			text(operation, "x-scope"), scope);
		bool authenticated = json_array_size(json_object_get(operation, "security")) > 0;
		ck_assert_msg(authenticated == (route->auth == AUTH_SESSION), "%s %s: security",
			route->method, route->path);
		ck_assert_msg(json_object_size(json_object_get(operation, "responses")) > 2, "%s %s: responses",
			route->method, route->path);
	}
	json_decref(whole);
}
END_TEST

START_TEST(every_description_has_its_route)
{
	json_t *whole = openapi(), *methods;
	const char *path, *method;

	json_object_foreach(json_object_get(whole, "paths"), path, methods)
	{
		json_t *operation;
		json_object_foreach(methods, method, operation)
		{
			bool found = false;
			for (size_t i = 0; i < house_mount.route_count && !found; i++)
				found = strcmp(house_mount.routes[i].path, path) == 0 &&
					strcasecmp(house_mount.routes[i].method, method) == 0;
			ck_assert_msg(found, "%s %s is described, but there is no such route", method, path);
		}
	}
	json_decref(whole);
}
END_TEST

START_TEST(scopes_are_described_in_their_order)
{
	static const char *const words[] = {
#define SCOPE(bit, scope, word, text) word,
#include "services/api/scopes.tbl.h"
#undef SCOPE
	};
	json_t *whole = openapi();
	json_t *scope = json_object_get(
		json_object_get(json_object_get(json_object_get(whole, "components"), "schemas"), "Scope"), "enum");

	ck_assert_uint_eq(json_array_size(scope), sizeof words / sizeof *words);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		ck_assert_str_eq(json_string_value(json_array_get(scope, i)), words[i]);
	json_decref(whole);
}
END_TEST

/* ---- the socket */

enum { PLACE_CHANNEL = 1, PLACE_TEAM = 2, PLACE_GLOBAL = 4, OWN = 8 };
static const struct {
	const char *event, *wire;
	unsigned topics;
} events[] = {
#define EVENT(arm, wire, topics, render)            {#arm, wire, topics},
#define EVENT_IN_CHANNEL(arm, wire, topics, render) {#arm, wire, topics},
#define EVENT_SOMEWHERE(arm, wire, topics, render)  {#arm, wire, topics},
#define EVENT_NOT_SENT(arm, reason)
#include "common/dialects/house/events.tbl.h"
#undef EVENT
#undef EVENT_IN_CHANNEL
#undef EVENT_SOMEWHERE
#undef EVENT_NOT_SENT
};
#define EVENT_COUNT (sizeof events / sizeof *events)

static bool lists(json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
			return true;
	}
	return false;
}

static unsigned topics_of(json_t *message)
{
	json_t *topics = json_object_get(message, "x-topics");

	return (lists(topics, "channel") ? (unsigned)PLACE_CHANNEL : 0) | (lists(topics, "team") ? (unsigned)PLACE_TEAM : 0) |
	       (lists(topics, "global") ? (unsigned)PLACE_GLOBAL : 0) | (lists(topics, "user") ? (unsigned)OWN : 0);
}

START_TEST(every_event_is_a_message_of_its_type_with_its_topics)
{
	json_t *whole = asyncapi(),
	       *messages = json_object_get(json_object_get(whole, "components"), "messages");

	for (size_t i = 0; i < EVENT_COUNT; i++) {
		json_t *message = json_object_get(messages, events[i].wire);
		ck_assert_msg(message != NULL, "%s is not in docs/asyncapi/house.yaml", events[i].wire);
		ck_assert_msg(lists(json_object_get(message, "x-events"), events[i].event),
			"%s: x-events without %s", events[i].wire, events[i].event);
		ck_assert_msg((topics_of(message) & events[i].topics) == events[i].topics, "%s: x-topics",
			events[i].wire);
	}
	json_decref(whole);
}
END_TEST

/* Of a message that is an event: its type, the arms it names, and that no topic is promised that none of them has. */
START_TEST(every_message_of_an_event_has_its_row)
{
	json_t *whole = asyncapi(), *message;
	const char *type;

	json_object_foreach(json_object_get(json_object_get(whole, "components"), "messages"), type, message)
	{
		json_t *arms = json_object_get(message, "x-events");
		unsigned topics = 0;
		if (arms == NULL)
			continue;
		for (size_t a = 0; a < json_array_size(arms); a++) {
			bool found = false;
			for (size_t i = 0; i < EVENT_COUNT && !found; i++) {
				found = strcmp(events[i].event, json_string_value(json_array_get(arms, a))) == 0;
				topics |= found ? events[i].topics : 0;
			}
			ck_assert_msg(found, "%s: no event %s is sent", type,
				json_string_value(json_array_get(arms, a)));
		}
		ck_assert_msg(topics_of(message) == topics, "%s: x-topics", type);
	}
	json_decref(whole);
}
END_TEST

/* The last step of a reference. */
static const char *named_by(json_t *o)
{
	const char *ref = text(o, "$ref");
	const char *slash = strrchr(ref, '/');

	return slash == NULL ? ref : slash + 1;
}

static bool refers(json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(named_by(json_array_get(list, i)), name) == 0)
			return true;
	}
	return false;
}

START_TEST(every_message_is_on_the_channel_and_events_are_sent)
{
	json_t *whole = asyncapi(), *message;
	json_t *channel = json_object_get(
		json_object_get(json_object_get(whole, "channels"), "socket"), "messages");
	json_t *sent = json_object_get(json_object_get(json_object_get(whole, "operations"), "event"), "messages");
	const char *type;

	json_object_foreach(json_object_get(json_object_get(whole, "components"), "messages"), type, message)
	{
		ck_assert_msg(strcmp(named_by(json_object_get(channel, type)), type) == 0, "%s: channel", type);
		ck_assert_msg((json_object_get(message, "x-events") != NULL) == refers(sent, type),
			"%s: operation event", type);
	}
	json_decref(whole);
}
END_TEST

START_TEST(every_operation_of_a_client_is_described_with_its_scope)
{
	static const struct {
		const char *name;
		bool writes;
	} ops[] = {
#define OP(name, before, writes, handler) {name, writes},
#include "services/gateway/dialects/house_ops.tbl.h"
#undef OP
	};
	json_t *whole = asyncapi(), *operations = json_object_get(whole, "operations");
	json_t *messages = json_object_get(json_object_get(whole, "components"), "messages"), *operation;
	const char *name;
	size_t received = 0;

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		ck_assert_msg(strcmp(text(json_object_get(operations, ops[i].name), "action"), "receive") == 0, "%s",
			ops[i].name);
		ck_assert_str_eq(text(json_object_get(messages, ops[i].name), "x-scope"),
			ops[i].writes ? "write" : "read");
	}
	json_object_foreach(operations, name, operation)
		received += strcmp(text(operation, "action"), "receive") == 0;
	ck_assert_uint_eq(received, sizeof ops / sizeof *ops);
	json_decref(whole);
}
END_TEST

TESTS("descriptions", every_route_is_described_with_its_name_authentication_and_scope, every_description_has_its_route,
	scopes_are_described_in_their_order, every_event_is_a_message_of_its_type_with_its_topics,
	every_message_of_an_event_has_its_row, every_message_is_on_the_channel_and_events_are_sent,
	every_operation_of_a_client_is_described_with_its_scope)
