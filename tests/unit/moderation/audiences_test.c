/* Rights and keys as others ask for them: judge, judge_many, list_audiences. */
#include "tests/unit/moderation/keys.h"

START_TEST(a_judgement_carries_what_makes_it_checkable)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	OK(h, bob, update_member, NEVERMIND(update_member), .team_id = team, .user_id = bob->id, .nickname = "B");
	uint64_t role = role_in(h, team, 3, PERMISSION_pin_messages);
	holds(h, team, bob, role);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);

	pb_Rights r = judged(h, bob, 0, channel);
	ck_assert_uint_eq(r.status, STATUS_OK);
	ck_assert_uint_eq(r.team_id, team);
	ck_assert_uint_eq(r.rank, RANK_TEAM);
	ck_assert_uint_eq(r.stream_id, team);
	ck_assert_uint_eq(r.as_of, head(h, STREAM_TEAM(team)));
	ck_assert_uint_eq(r.member_epoch, 1);
	ck_assert_uint_eq(r.stream_epoch, 0);
	ck_assert_str_eq(r.nickname, "B");
	ck_assert_uint_eq(r.role_ids_count, 1);
	ck_assert_uint_eq(r.role_ids[0], role);
	ck_assert_int_eq(r.highest_position, 3);
	ck_assert_str_eq(r.audience, key(h, "team", team));
	ck_assert(r.has_channel);
	ck_assert_str_eq(r.channel.name, "general");
	ck_assert(has(&r, PERMISSION_pin_messages) && has(&r, PERMISSION_send_messages));
	ck_assert_ptr_null(r.why);
	house_close(h);
}
END_TEST

START_TEST(unknown_places_are_an_answer_not_an_error)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann");
	ck_assert_uint_eq(judged(h, ann, ids_random(), 0).status, STATUS_NOT_FOUND);
	ck_assert_uint_eq(judged(h, ann, 0, ids_random()).status, STATUS_NOT_FOUND);
	house_close(h);
}
END_TEST

START_TEST(overrides_in_the_database_decide_as_the_rules_say)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t channel = channel_in(h, team, .created_by = ann->id);
	struct bits no = bits_with((struct bits){0}, PERMISSION_send_messages);
	sql(h,
		"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, deny_low)"
		" VALUES (%ld, 3, %ld, 2, %ld, %ld)",
		(long)team, (long)channel, (long)bob->id, (long)no.low);

	pb_Rights r = judged(h, bob, 0, channel);
	ck_assert(!has(&r, PERMISSION_send_messages));
	ck_assert(has(&r, PERMISSION_view_text));
	char expected[64];
	snprintf(expected, sizeof expected, "override:user:%lu", (unsigned long)bob->id);
	ck_assert_str_eq(r.why, expected);
	ck_assert_str_eq(r.audience, key(h, "team", team)); /* it does not touch the view */
	house_close(h);
}
END_TEST

START_TEST(a_list_of_channels_is_judged_as_one_by_one_would_be)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t open = channel_in(h, team, .created_by = ann->id), hidden = channel_in(h, team, .private = true, .created_by = ann->id);
	uint64_t mine = channel_in(h, team, .private = true, .own = true, .created_by = bob->id);
	uint64_t banned = channel_in(h, team, .created_by = ann->id), added = channel_in(h, team, .private = true, .created_by = ann->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = banned, .user_id = bob->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = added, .user_id = bob->id);
	pb_JudgeManyReply many;
	uint64_t all[] = {open, hidden, mine, banned, added, ids_random()};

	OK(h, bob, judge_many, &many, .user_id = bob->id, .channel_ids = all, .channel_ids_count = 6);
	ck_assert_uint_eq(many.rights_count, 6);
	for (size_t i = 0; i < 6; i++) {
		pb_Rights one = judged(h, bob, 0, all[i]), *listed = &many.rights[i];
		ck_assert_uint_eq(listed->channel_id, all[i]);
		ck_assert_uint_eq(listed->status, one.status);
		ck_assert_uint_eq(listed->bits.low, one.bits.low);
		ck_assert_uint_eq(listed->bits.high, one.bits.high);
		ck_assert_uint_eq(listed->stream_epoch, one.stream_epoch);
		ck_assert_uint_eq(listed->member_epoch, one.member_epoch);
		ck_assert_uint_eq(listed->as_of, one.as_of);
		ck_assert_uint_eq(listed->channel_role, one.channel_role);
		ck_assert_pstr_eq(listed->audience, one.audience);
		ck_assert_pstr_eq(listed->why, one.why);
	}
	OK(h, bob, judge_many, &many, .user_id = bob->id, .team_id = team);
	ck_assert_uint_eq(many.rights_count, 3);
	for (size_t i = 0; i < 3; i++) {
		uint64_t id = many.rights[i].channel_id;
		ck_assert(id == open || id == mine || id == added);
		ck_assert_uint_eq(many.rights[i].channel.id, id);
	}
	house_close(h);
}
END_TEST

START_TEST(people_of_one_class_share_a_set_of_keys)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	joins(h, team, dan);
	uint64_t role = role_in(h, team, 2, PERMISSION_ban_members);
	holds(h, team, dan, role);
	pb_UserView *all[] = {ann, bob, cid, dan};
	char bans[AUDIENCE_SIZE];
	audience_can(bans, team, PERMISSION_ban_members);

	pb_ListAudiencesReply reply = keys_in(h, team, 4, all);
	ck_assert_uint_eq(reply.answers_count, 4);
	ck_assert_uint_eq(reply.key_sets_count, 3);
	const pb_AudienceAnswer *a = answer_for(&reply, ann, team), *b = answer_for(&reply, bob, team),
				*c = answer_for(&reply, cid, team), *d = answer_for(&reply, dan, team);
	ck_assert_uint_eq(b->key_set, c->key_set);
	ck_assert_uint_ne(b->key_set, d->key_set);
	for (size_t i = 0; i < 4; i++) {
		const pb_AudienceAnswer *x = &reply.answers[i];
		ck_assert(x->member);
		ck_assert(holds_key(&reply, x, key(h, "team", team)));
		ck_assert_uint_eq(x->as_of, head(h, STREAM_TEAM(team)));
	}
	ck_assert(holds_key(&reply, a, bans) && holds_key(&reply, d, bans) && !holds_key(&reply, b, bans));
	ck_assert(holds_key(&reply, d, key(h, "role", role)) && !holds_key(&reply, b, key(h, "role", role)));
	ck_assert_ptr_nonnull(reply.generation);
	ck_assert_uint_gt(strlen(reply.generation), 4);
	house_close(h);
}
END_TEST

START_TEST(keys_of_restricted_channels_follow_membership_bans_and_overrides)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	uint64_t open = channel_in(h, team, .created_by = ann->id), private = channel_in(h, team, .private = true, .created_by = ann->id);
	uint64_t his = channel_in(h, team, .private = true, .own = true, .created_by = cid->id);
	uint64_t once = channel_in(h, team, .created_by = ann->id), denied = channel_in(h, team, .created_by = ann->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = private, .user_id = bob->id);
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = once, .user_id = bob->id);
	struct bits view = bits_with((struct bits){0}, PERMISSION_view_text);
	sql(h,
		"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, deny_low)"
		" VALUES (%ld, 3, %ld, 2, %ld, %ld)",
		(long)team, (long)denied, (long)cid->id, (long)view.low);
	pb_UserView *all[] = {ann, bob, cid};

	pb_ListAudiencesReply reply = keys_in(h, team, 3, all);
	const struct {
		const pb_UserView *who;
		uint64_t channel;
		bool held;
	} cases[] = {{ann, open, false}, {ann, private, true}, {ann, his, true}, {ann, once, true}, {ann, denied, true},
		{bob, open, false}, {bob, private, true}, {bob, his, false}, {bob, once, false}, {bob, denied, true},
		{cid, open, false}, {cid, private, false}, {cid, his, true}, {cid, once, true}, {cid, denied, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(holds_key(&reply, answer_for(&reply, cases[i].who, team),
				      key(h, "channel", cases[i].channel)) == cases[i].held,
			"%zu", i);
	ck_assert_uint_eq(answer_for(&reply, bob, team)->key_set, answer_for(&reply, cid, team)->key_set);
	house_close(h);
}
END_TEST

START_TEST(slots_say_of_each_person_what_the_judge_says_and_who_is_there)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cy = person(h, "cy");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	uint64_t open = channel_in(h, team, .created_by = ann->id), hidden = channel_in(h, team, .private = true, .created_by = ann->id);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = hidden, .user_id = ann->id);
	uint64_t users[] = {ann->id, bob->id, cy->id}, channels[] = {open, hidden, ids_random()};
	pb_ListAudiencesReply got;

	OK(h, the_system, list_audiences, &got, .user_ids = users, .user_ids_count = 3, .slots_of = channels, .slots_of_count = 3);
	ck_assert_uint_eq(got.answers_count, 0);
	ck_assert_uint_eq(got.slots_count, 2);
	for (size_t c = 0; c < 2; c++) {
		const pb_ChannelSlots *slots = &got.slots[c];
		ck_assert(slots->channel_id == open || slots->channel_id == hidden);
		ck_assert_uint_eq(slots->rank, RANK_TEAM);
		ck_assert_uint_eq(slots->stream_id, team);
		ck_assert_uint_eq(slots->as_of, head(h, STREAM_TEAM(team)));
		ck_assert(slots->has_channel);
		ck_assert_uint_eq(slots->channel.id, slots->channel_id);
		ck_assert_uint_eq(slots->member_ids_count, slots->channel_id == hidden);
		ck_assert_uint_eq(slots->users_count, 3);
		for (size_t i = 0; i < 3; i++) {
			pb_UserView *who[] = {ann, bob, cy};
			pb_Rights one = judged(h, who[i], 0, slots->channel_id);
			ck_assert_uint_eq(slots->users[i].user_id, users[i]);
			ck_assert_uint_eq(slots->users[i].status, one.status);
			ck_assert_uint_eq(slots->users[i].bits.low, one.bits.low);
			ck_assert_uint_eq(slots->users[i].bits.high, one.bits.high);
		}
	}
	house_close(h);
}
END_TEST

START_TEST(every_key_is_one_that_the_judge_confirms)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *people[6] = {ann};
	uint64_t team = team_of(h, ann), channels[12];
	uint64_t role = role_in(h, team, 2, PERMISSION_pin_messages);
	for (int i = 1; i < 6; i++) {
		people[i] = person(h, "u");
		joins(h, team, people[i]);
	}
	holds(h, team, people[1], role);
	holds(h, team, people[2], role);
	struct bits view = bits_with((struct bits){0}, PERMISSION_view_text);
	for (unsigned i = 0; i < 12; i++) {
		channels[i] = channel_in(h, team, .private = i % 2, .own = i % 3 == 0, .created_by = people[i % 6]->id);
		if (i % 4 == 1)
			OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channels[i],
				.user_id = people[(i + 3) % 6]->id);
		if (i % 4 == 2 && people[(i + 1) % 6] != ann)
			OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = channels[i],
				.user_id = people[(i + 1) % 6]->id);
		if (i % 5 == 0)
			sql(h,
				"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, %s)"
				" VALUES (%ld, 3, %ld, 1, %ld, %ld)",
				i % 2 ? "allow_low" : "deny_low", (long)team, (long)channels[i], (long)role, (long)view.low);
	}
	sql(h,
		"INSERT INTO moderation.overrides (team_id, scope, scope_id, subject_kind, subject_id, deny_low)"
		" VALUES (%ld, 1, %ld, 2, %ld, %ld)",
		(long)team, (long)team, (long)people[4]->id, (long)view.low);

	pb_ListAudiencesReply reply = keys_in(h, team, 6, people);
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < 12; k++) {
			pb_Rights r = judged(h, people[i], 0, channels[k]);
			const char *own = key(h, "channel", channels[k]);
			bool restricted = strcmp(r.audience, own) == 0;
			ck_assert_msg(holds_key(&reply, answer_for(&reply, people[i], team), own) ==
					      (restricted && r.status == STATUS_OK),
				"person %d channel %d", i, k);
		}
	house_close(h);
}
END_TEST

START_TEST(strangers_and_those_who_left_hold_nothing_but_learn_where_the_stream_stands)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	OK(h, ann, ban_member, NEVERMIND(ban_member), .scope_id = team, .user_id = bob->id);
	pb_UserView *all[] = {bob, cid};

	pb_ListAudiencesReply reply = keys_in(h, team, 2, all);
	for (size_t i = 0; i < 2; i++) {
		const pb_AudienceAnswer *a = answer_for(&reply, all[i], team);
		ck_assert(!a->member);
		ck_assert_uint_eq(a->gained_count, 0);
		ck_assert_uint_eq(a->as_of, head(h, STREAM_TEAM(team)));
	}
	reply = keys_in(h, ids_random(), 2, all);
	ck_assert_uint_eq(reply.answers_count, 2);
	ck_assert(!reply.answers[0].member && !reply.answers[1].member);
	house_close(h);
}
END_TEST

START_TEST(without_streams_every_team_of_the_person_is_answered)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	uint64_t first = team_of(h, ann), second = team_of(h, ann), other = team_of(h, bob);
	joins(h, other, ann);
	OK(h, ann, remove_member, NEVERMIND(remove_member), .team_id = other, .user_id = ann->id);
	pb_ListAudiencesReply reply;

	OK(h, ann, list_audiences, &reply, .user_ids = &ann->id, .user_ids_count = 1);
	ck_assert_uint_eq(reply.answers_count, 2);
	ck_assert(answer_for(&reply, ann, first)->member && answer_for(&reply, ann, second)->member);
	house_close(h);
}
END_TEST

START_TEST(unchanged_since_moves_with_ones_own_changes_and_with_wide_ones_only)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t team = team_of(h, ann);
	joins(h, team, bob);
	joins(h, team, cid);
	pb_UserView *two[] = {bob, cid};
	pb_ListAudiencesReply reply = keys_in(h, team, 2, two);
	ck_assert_uint_eq(answer_for(&reply, bob, team)->unchanged_since, 3);
	ck_assert_uint_eq(answer_for(&reply, cid, team)->unchanged_since, 5);
	uint64_t channel = channel_in(h, team, .private = true, .created_by = ann->id), before = head(h, STREAM_TEAM(team));

	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = channel, .user_id = bob->id);
	reply = keys_in(h, team, 2, two);
	ck_assert_uint_eq(answer_for(&reply, bob, team)->unchanged_since, before + 1);
	ck_assert_uint_eq(answer_for(&reply, cid, team)->unchanged_since, 5);

	uint64_t open = channel_in(h, team, .created_by = ann->id);
	before = head(h, STREAM_TEAM(team));
	OK(h, ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = open, .user_id = bob->id);
	reply = keys_in(h, team, 2, two);
	ck_assert_uint_eq(answer_for(&reply, bob, team)->unchanged_since, before + 1);
	ck_assert_uint_eq(answer_for(&reply, cid, team)->unchanged_since, before + 1);

	/* a channel's own change counts even when the channel is deleted */
	sql(h, "UPDATE messaging.channels SET rights_seq = 1000, deleted_at_ms = 1 WHERE id = %ld", (long)channel);
	reply = keys_in(h, team, 2, two);
	ck_assert_uint_eq(answer_for(&reply, cid, team)->unchanged_since, 1000);
	uint64_t role = role_in(h, team, 1, PERMISSION_kick_members);
	holds(h, team, bob, role);
	sql(h, "UPDATE moderation.roles SET changed_seq = 2000 WHERE id = %ld", (long)role);
	reply = keys_in(h, team, 2, two);
	ck_assert_uint_eq(answer_for(&reply, bob, team)->unchanged_since, 2000);
	ck_assert_uint_eq(answer_for(&reply, cid, team)->unchanged_since, 1000);
	house_close(h);
}
END_TEST

TESTS("moderation audiences", a_judgement_carries_what_makes_it_checkable,
	unknown_places_are_an_answer_not_an_error, overrides_in_the_database_decide_as_the_rules_say,
	a_list_of_channels_is_judged_as_one_by_one_would_be, people_of_one_class_share_a_set_of_keys,
	keys_of_restricted_channels_follow_membership_bans_and_overrides,
	slots_say_of_each_person_what_the_judge_says_and_who_is_there, every_key_is_one_that_the_judge_confirms,
	strangers_and_those_who_left_hold_nothing_but_learn_where_the_stream_stands,
	without_streams_every_team_of_the_person_is_answered,
	unchanged_since_moves_with_ones_own_changes_and_with_wide_ones_only)
