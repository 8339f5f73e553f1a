/* Crust's permission rules over sets of permissions: what is set is what is read. */
#include <string.h>

#include "services/moderation/operations.h"
#include "tests/unit/main.h"

static uint64_t seed = UINT64_C(88172645463325252);
static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

START_TEST(there_are_ten_operations_of_the_service_and_twenty_of_channels_and_no_two_share_a_permission)
{
	struct bits seen = {0};
	size_t of_service = 0;

	for (size_t i = 0; i < operation_count; i++) {
		const struct operation *op = &operations[i];
		of_service += op->resource == OPERATION_SERVICE;
		ck_assert_msg(bits_has(op->permissions, op->first), "%s", op->name);
		ck_assert_msg(bits_none(bits_and(seen, op->permissions)), "%s", op->name);
		ck_assert_ptr_eq(operation_find(op->resource, op->name), op);
		/* what stands in a channel's override may stand there */
		ck_assert(op->resource == OPERATION_SERVICE || op->permissions.low >> PERMISSION_view_text != 0 ||
			  op->permissions.high != 0);
		seen = bits_or(seen, op->permissions);
	}
	ck_assert_uint_eq(of_service, 10);
	ck_assert_uint_eq(operation_count, 30);
	struct bits all = operation_bits();
	ck_assert(bits_none(bits_xor(seen, all)));
	ck_assert(!bits_has(all, PERMISSION_administrator));
}
END_TEST

START_TEST(resources_are_the_service_all_channels_or_one)
{
	static const char *const bad[] = {"", "messaging:", "messaging:channel", "messaging:channel:", "messaging:channel:0",
		"messaging:channel:-1", "messaging:channel:1x", "messaging:channel:**", "messaging:channel:99999999999999999999",
		"Messaging", "compose", "messaging:channel: 1"};
	struct rule_resource at = {OPERATION_CHANNEL, 7};

	ck_assert(operation_resource("messaging", &at) && at.of == OPERATION_SERVICE && at.channel_id == 0);
	ck_assert(operation_resource("messaging:channel:*", &at) && at.of == OPERATION_CHANNEL && at.channel_id == 0);
	ck_assert(operation_resource("messaging:channel:180321123456789", &at));
	ck_assert_uint_eq(at.channel_id, UINT64_C(180321123456789));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!operation_resource(bad[i], &at), "%s", bad[i]);
	ck_assert_ptr_null(operation_find(OPERATION_SERVICE, "read"));
	ck_assert_ptr_null(operation_find(OPERATION_CHANNEL, "access"));
	ck_assert_ptr_null(operation_find(OPERATION_CHANNEL, ""));
}
END_TEST

START_TEST(whatever_rules_are_set_are_read_back)
{
	for (int round = 0; round < 2000; round++) {
		struct rule_sets sets = {.channel = any(2) == 1};
		enum rule_access set[64] = {0};
		/* whatever was arranged before in finer steps */
		if (any(3) == 0) {
			sets.permissions = sets.channel ? (struct bits){0} : (struct bits){any(UINT64_MAX), any(UINT64_MAX)};
			sets.allow = (struct bits){any(UINT64_MAX), any(UINT64_MAX)};
			sets.deny = bits_minus((struct bits){any(UINT64_MAX), any(UINT64_MAX)}, sets.allow);
		}
		for (size_t i = 0; i < operation_count; i++)
			set[i] = rule_read(&sets, &operations[i]);
		for (uint64_t steps = any(60); steps > 0; steps--) {
			size_t i = (size_t)any(operation_count);
			enum rule_access access = (enum rule_access)any(3);
			struct rule_sets before = sets;
			bool changed = rule_write(&sets, &operations[i], access);
			ck_assert_int_eq(changed, set[i] != access);
			ck_assert(changed || memcmp(&before, &sets, sizeof sets) == 0);
			set[i] = access;
		}
		for (size_t i = 0; i < operation_count; i++)
			ck_assert_msg(rule_read(&sets, &operations[i]) == set[i], "%s", operations[i].name);
		ck_assert(bits_none(bits_and(sets.allow, sets.deny)));
		ck_assert(!sets.channel || bits_none(sets.permissions));
	}
}
END_TEST

START_TEST(a_rule_writes_every_permission_behind_it_and_nothing_else)
{
	const struct operation *read = operation_find(OPERATION_CHANNEL, "read");
	struct rule_sets sets = {0};

	ck_assert(rule_write(&sets, read, ACCESS_ALLOW));
	ck_assert(bits_has(sets.permissions, PERMISSION_view_text) && bits_has(sets.permissions, PERMISSION_view_voice));
	ck_assert(bits_has(sets.permissions, PERMISSION_view_stream) && bits_has(sets.permissions, PERMISSION_read_history));
	ck_assert(!bits_has(sets.permissions, PERMISSION_view_list) && bits_none(sets.allow) && bits_none(sets.deny));
	ck_assert(rule_write(&sets, read, ACCESS_DENY));
	ck_assert(bits_none(sets.permissions) && bits_has(sets.deny, PERMISSION_read_history));
	ck_assert(rule_write(&sets, read, ACCESS_INHERIT));
	ck_assert(bits_none(sets.permissions) && bits_none(sets.deny));
	/* in a channel allowing is the override's */
	sets.channel = true;
	ck_assert(rule_write(&sets, read, ACCESS_ALLOW));
	ck_assert(bits_none(sets.permissions) && bits_has(sets.allow, PERMISSION_view_text));
}
END_TEST

START_TEST(a_finer_distinction_survives_a_rule_that_reads_as_asked)
{
	const struct operation *read = operation_find(OPERATION_CHANNEL, "read");
	struct rule_sets sets = {.permissions = bits_with((struct bits){0}, PERMISSION_view_text)};

	ck_assert(!rule_write(&sets, read, ACCESS_ALLOW));
	ck_assert(!bits_has(sets.permissions, PERMISSION_read_history));
}
END_TEST

TESTS("moderation operations",
	there_are_ten_operations_of_the_service_and_twenty_of_channels_and_no_two_share_a_permission,
	resources_are_the_service_all_channels_or_one, whatever_rules_are_set_are_read_back,
	a_rule_writes_every_permission_behind_it_and_nothing_else,
	a_finer_distinction_survives_a_rule_that_reads_as_asked)
