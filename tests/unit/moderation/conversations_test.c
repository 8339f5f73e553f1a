/* Conversations: one for a set of people, what its people may, and how groups change. */
#include <pthread.h>

#include "services/moderation/conversations.h"
#include "tests/unit/moderation/fixture.h"

static enum status claim(
	struct house *h, const pb_UserView *who, pb_ClaimConversationReply *reply, size_t count, pb_UserView **others)
{
	pb_UserView *users = ARENA_ARRAY(h->mem, count, pb_UserView);
	for (size_t i = 0; i < count; i++)
		users[i] = *others[i];
	return CALL(h, who, claim_conversation, reply, .users = users, .users_count = (pb_size_t)count);
}
#define PEOPLE(...) (sizeof((pb_UserView *[]){__VA_ARGS__}) / sizeof(pb_UserView *)), (pb_UserView *[]) { __VA_ARGS__ }
#define CLAIM(h, who, reply, ...) ck_assert_int_eq(claim(h, who, reply, PEOPLE(__VA_ARGS__)), STATUS_OK)

/* What messaging does next: the row of the same id. */
static void row_of(struct house *h, const pb_ClaimConversationReply *claimed)
{
	sql(h,
		"INSERT INTO messaging.channels (id, rank, stream_id, kind, name, created_at_ms, created_by)"
		" VALUES (%ld, 1, %ld, %u, '', 1, %ld)",
		(long)claimed->channel_id, (long)claimed->channel_id, claimed->kind, (long)claimed->created_by);
}

static uint64_t conversation_of(struct house *h, const pb_UserView *who, size_t count, pb_UserView **others)
{
	pb_ClaimConversationReply reply;
	ck_assert_int_eq(claim(h, who, &reply, count, others), STATUS_OK);
	ck_assert(reply.created);
	row_of(h, &reply);
	return reply.channel_id;
}

static bool in_it(struct house *h, const pb_UserView *who, uint64_t channel)
{
	return judged(h, who, 0, channel).status == STATUS_OK;
}

START_TEST(two_people_have_one_direct_conversation_whoever_asks)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob");
	pb_ClaimConversationReply first, second;

	CLAIM(h, ann, &first, bob);
	ck_assert(first.created);
	ck_assert_uint_eq(first.kind, CHANNEL_DIRECT);
	ck_assert_uint_eq(first.created_by, ann->id);
	ck_assert_uint_eq(first.users_count, 2);
	ck_assert_uint_gt(first.channel_id, UINT64_C(1) << 47); /* an id of class S */
	CLAIM(h, bob, &second, ann);
	ck_assert(!second.created);
	ck_assert_uint_eq(second.channel_id, first.channel_id);
	ck_assert_uint_eq(second.created_by, ann->id);
	ck_assert_uint_eq(second.member_epoch, first.member_epoch);
	house_close(h);
}
END_TEST

START_TEST(a_claim_begins_the_stream_with_everybodys_key)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	pb_ClaimConversationReply reply;

	CLAIM(h, ann, &reply, bob, cid);
	ck_assert_uint_eq(reply.kind, CHANNEL_GROUP);
	const char *own = key(h, "conversation", reply.channel_id);
	struct written *w = expect_events(h, STREAM_TEAM(reply.channel_id), 0, "audience_changed", "", "audience_changed", "",
		"audience_changed", "", NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_str_eq(w[i].body.body.audience_changed.gained[0], own);
	for (size_t i = 0; i < reply.users_count; i++)
		ck_assert_ptr_nonnull(reply.users[i].username);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.channel_members WHERE channel_id = %ld AND role = 1 AND user_id = %ld",
				 (long)reply.channel_id, (long)ann->id),
		1);
	/* nobody is in a team by it */
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.members WHERE team_id = %ld AND left_at_ms IS NULL", (long)reply.channel_id), 0);
	/* and until its row is there nobody is anything there */
	ck_assert_uint_eq(judged(h, ann, 0, reply.channel_id).status, STATUS_NOT_FOUND);
	house_close(h);
}
END_TEST

START_TEST(sets_that_are_none_are_refused)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *many[51];
	pb_ClaimConversationReply reply;
	pb_UserView nobody = {.id = ids_random(), .username = "nobody"};

	ck_assert_int_eq(claim(h, ann, &reply, PEOPLE(ann)), STATUS_FIELD_INVALID);
	ck_assert_str_eq(h->outcome.field, "user_ids");
	ck_assert_int_eq(claim(h, ann, &reply, 0, NULL), STATUS_FIELD_INVALID);
	ck_assert_int_eq(claim(h, ann, &reply, PEOPLE(bob, bob)), STATUS_FIELD_INVALID);
	ck_assert_int_eq(claim(h, ann, &reply, PEOPLE(bob, &nobody)), STATUS_FIELD_INVALID);
	ck_assert_str_eq(h->outcome.why, "unknown");
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	ck_assert_int_eq(claim(h, ann, &reply, PEOPLE(bob)), STATUS_FIELD_INVALID);
	for (int i = 0; i < 51; i++)
		many[i] = person(h, "u");
	ck_assert_int_eq(claim(h, ann, &reply, 50, many), STATUS_FIELD_INVALID);
	ck_assert_int_eq(claim(h, ann, &reply, 49, many), STATUS_OK);
	ck_assert_uint_eq(reply.users_count, 50);
	REFUSED(h, STATUS_FORBIDDEN, "account", the_system, claim_conversation, &reply, .users = ann, .users_count = 1);
	house_close(h);
}
END_TEST

struct racer {
	pthread_t thread;
	struct house house;
	pb_UserView *who, *others[2];
	pb_ClaimConversationReply reply;
	enum status status;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	r->status = claim(&r->house, r->who, &r->reply, 2, r->others);
	return NULL;
}

START_TEST(of_people_who_claim_the_same_set_at_once_one_makes_it_and_all_get_it)
{
	struct house *h = house_open();
	pb_UserView *p[3] = {person(h, "ann"), person(h, "bob"), person(h, "cid")};
	struct racer racers[6];
	unsigned made = 0;

	for (int i = 0; i < 6; i++) {
		racers[i] = (struct racer){
			.house = {.client = h->client}, .who = p[i % 3], .others = {p[(i + 1) % 3], p[(i + 2) % 3]}};
		racers[i].house.mem = arena_create();
	}
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	for (int i = 0; i < 6; i++) {
		pthread_join(racers[i].thread, NULL);
		ck_assert_int_eq(racers[i].status, STATUS_OK);
		ck_assert_uint_eq(racers[i].reply.channel_id, racers[0].reply.channel_id);
		made += racers[i].reply.created;
	}
	for (int i = 0; i < 6; i++)
		arena_destroy(racers[i].house.mem);
	ck_assert_uint_eq(made, 1);
	house_close(h);
}
END_TEST

START_TEST(a_deleted_conversation_gives_its_set_to_the_next)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t old = conversation_of(h, ann, PEOPLE(bob, cid));
	pb_ClaimConversationReply reply;
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)old);

	CLAIM(h, cid, &reply, ann, bob);
	ck_assert(reply.created);
	ck_assert_uint_ne(reply.channel_id, old);
	ck_assert_uint_eq(reply.created_by, cid->id);
	house_close(h);
}
END_TEST

START_TEST(its_people_are_judged_and_nobody_else_knows_of_it)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *eve = person(h, "eve");
	uint64_t direct = conversation_of(h, ann, PEOPLE(bob));

	pb_Rights r = judged(h, bob, 0, direct);
	ck_assert_uint_eq(r.status, STATUS_OK);
	ck_assert_uint_eq(r.team_id, 0);
	ck_assert_uint_eq(r.rank, RANK_TEAM);
	ck_assert_uint_eq(r.stream_id, direct);
	ck_assert_uint_eq(r.as_of, 2);
	ck_assert_uint_eq(r.member_epoch, 1);
	ck_assert_str_eq(r.audience, key(h, "conversation", direct));
	ck_assert(r.member && has(&r, PERMISSION_send_messages) && !has(&r, PERMISSION_update_channel));
	ck_assert_uint_eq(judged(h, eve, 0, direct).status, STATUS_NOT_FOUND);
	ck_assert_uint_eq(judged(h, eve, 0, direct).bits.low, 0);

	pb_JudgeManyReply many;
	OK(h, bob, judge_many, &many, .user_id = bob->id, .channel_ids = &direct, .channel_ids_count = 1);
	ck_assert_uint_eq(many.rights[0].member_epoch, r.member_epoch);
	ck_assert_uint_eq(many.rights[0].as_of, r.as_of);
	ck_assert_uint_eq(many.rights[0].bits.low, r.bits.low);
	ck_assert_str_eq(many.rights[0].audience, r.audience);
	OK(h, bob, judge_many, &many, .user_id = bob->id, .conversations = true);
	ck_assert_uint_eq(many.rights_count, 1);
	ck_assert_uint_eq(many.rights[0].channel_id, direct);
	OK(h, eve, judge_many, &many, .user_id = eve->id, .conversations = true);
	ck_assert_uint_eq(many.rights_count, 0);

	pb_ConversationMembersReply people;
	OK(h, bob, list_conversations, &people, .channel_ids = &direct, .channel_ids_count = 1);
	ck_assert_uint_eq(people.conversations_count, 1);
	ck_assert_uint_eq(people.conversations[0].users_count, 2);
	OK(h, eve, list_conversations, &people, .channel_ids = &direct, .channel_ids_count = 1);
	ck_assert_uint_eq(people.conversations_count, 0);
	house_close(h);
}
END_TEST

static const pb_AudienceAnswer *answer_of(const pb_ListAudiencesReply *reply, const pb_UserView *who, uint64_t stream)
{
	for (size_t i = 0; i < reply->answers_count; i++)
		if (reply->answers[i].user_id == who->id && reply->answers[i].stream_id == stream)
			return &reply->answers[i];
	return NULL;
}

START_TEST(keys_of_conversations_are_answered_for_the_stream_and_for_the_person)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *eve = person(h, "eve");
	uint64_t team = team_of(h, ann), direct = conversation_of(h, ann, PEOPLE(bob));
	uint64_t gone = conversation_of(h, ann, PEOPLE(bob, eve)), users[] = {ann->id, bob->id, eve->id};
	sql(h, "UPDATE messaging.channels SET deleted_at_ms = 1 WHERE id = %ld", (long)gone);
	pb_StreamHead streams[] = {{.rank = 1, .stream_id = direct}, {.rank = 1, .stream_id = team}};
	pb_ListAudiencesReply reply;

	OK(h, the_system, list_audiences, &reply, .user_ids = users, .user_ids_count = 3, .streams = streams, .streams_count = 2);
	ck_assert_uint_eq(reply.answers_count, 6);
	const pb_AudienceAnswer *a = answer_of(&reply, bob, direct), *e = answer_of(&reply, eve, direct);
	ck_assert(a->member);
	ck_assert_uint_eq(reply.key_sets[a->key_set].keys_count, 1);
	ck_assert_str_eq(reply.key_sets[a->key_set].keys[0], key(h, "conversation", direct));
	ck_assert_uint_eq(a->as_of, 2);
	ck_assert_uint_eq(a->unchanged_since, ann->id < bob->id ? 2 : 1); /* his own audience event */
	ck_assert(!e->member);
	ck_assert(answer_of(&reply, ann, team)->member);

	OK(h, the_system, list_audiences, &reply, .user_ids = users, .user_ids_count = 3);
	ck_assert_ptr_nonnull(answer_of(&reply, ann, team));
	ck_assert_ptr_nonnull(answer_of(&reply, ann, direct));
	ck_assert_ptr_nonnull(answer_of(&reply, bob, direct));
	ck_assert_ptr_null(answer_of(&reply, eve, direct));
	ck_assert_ptr_null(answer_of(&reply, ann, gone));
	OK(h, the_system, list_audiences, &reply, .user_ids = users, .user_ids_count = 3, .only_teams = true);
	ck_assert_uint_eq(reply.answers_count, 1);
	OK(h, the_system, list_audiences, &reply, .user_ids = users, .user_ids_count = 3, .only_conversations = true);
	ck_assert_uint_eq(reply.answers_count, 2);

	pb_TeamIdsReply ids;
	OK(h, the_system, list_team_ids, &ids, .user_ids = users, .user_ids_count = 3);
	for (size_t i = 0; i < ids.users_count; i++) {
		ck_assert_uint_ne(ids.users[i].user_id, eve->id);
		ck_assert_uint_eq(ids.users[i].conversation_ids_count, 1);
		ck_assert_uint_eq(ids.users[i].conversation_ids[0], direct);
		ck_assert_uint_eq(ids.users[i].team_ids_count, ids.users[i].user_id == ann->id);
	}
	ck_assert_uint_eq(ids.users_count, 2);
	house_close(h);
}
END_TEST

START_TEST(anybody_in_a_group_adds_people_who_see_it_from_then_on)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t group = conversation_of(h, ann, PEOPLE(bob, cid));
	const char *own = key(h, "conversation", group);
	uint64_t before = head(h, STREAM_TEAM(group)), his = head(h, STREAM_USER(dan->id));
	pb_ChannelMemberReply reply;

	REFUSED(h, STATUS_NOT_FOUND, NULL, dan, join_channel, &reply, .channel_id = group);
	OK(h, bob, add_channel_member, &reply, .channel_id = group, .user_id = dan->id, .has_user = true, .user = *dan);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.member.added_by, bob->id);
	struct written *w = expect_events(
		h, STREAM_TEAM(group), before, "audience_changed", "", "channel_member_joined", own, NULL);
	ck_assert_str_eq(w[0].body.body.audience_changed.gained[0], own);
	ck_assert_uint_eq(w[1].body.body.channel_member_joined.channel.id, group);
	struct written *u = expect_events(
		h, STREAM_USER(dan->id), his, "channel_member_joined", key(h, "user", dan->id), NULL);
	ck_assert_uint_eq(u[0].body.event_id, w[1].body.event_id);
	ck_assert(in_it(h, dan, group));
	ck_assert_int_eq(changed_seq(h, group, dan), (int64_t)before + 1);
	ck_assert_int_eq(member_epoch(h, group, dan), 1);

	OK(h, cid, add_channel_member, &reply, .channel_id = group, .user_id = dan->id);
	ck_assert(!reply.created);
	OK(h, dan, join_channel, &reply, .channel_id = group);
	ck_assert(!reply.created);
	ck_assert_uint_eq(head(h, STREAM_TEAM(group)), before + 2);
	pb_UserView nobody = {.id = ids_random()};
	REFUSED(h, STATUS_NOT_FOUND, "user", bob, add_channel_member, &reply, .channel_id = group, .user_id = nobody.id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, person(h, "eve"), add_channel_member, &reply, .channel_id = group, .user_id = dan->id);
	house_close(h);
}
END_TEST

START_TEST(a_group_holds_fifty)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *many[50];
	for (int i = 0; i < 50; i++)
		many[i] = person(h, "u");
	uint64_t group = conversation_of(h, ann, 48, many);

	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group, .user_id = many[48]->id);
	REFUSED(h, STATUS_AT_LIMIT, "members", ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group,
		.user_id = many[49]->id);
	OK(h, many[3], leave_channel, NEVERMIND(leave_channel), .channel_id = group);
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group, .user_id = many[49]->id);
	house_close(h);
}
END_TEST

START_TEST(who_leaves_a_group_loses_its_key_first)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t group = conversation_of(h, ann, PEOPLE(bob, cid));
	const char *own = key(h, "conversation", group);
	uint64_t before = head(h, STREAM_TEAM(group)), his = head(h, STREAM_USER(bob->id));

	OK(h, bob, leave_channel, NEVERMIND(leave_channel), .channel_id = group);
	struct written *w = expect_events(
		h, STREAM_TEAM(group), before, "audience_changed", "", "channel_member_left", own, NULL);
	ck_assert_str_eq(w[0].body.body.audience_changed.lost[0], own);
	expect_events(h, STREAM_USER(bob->id), his, "channel_member_left", key(h, "user", bob->id), NULL);
	ck_assert(!in_it(h, bob, group) && in_it(h, ann, group));
	ck_assert_int_eq(member_epoch(h, group, bob), 2);
	ck_assert_int_eq(changed_seq(h, group, bob), (int64_t)before + 1);
	REFUSED(h, STATUS_NOT_FOUND, NULL, bob, leave_channel, NEVERMIND(leave_channel), .channel_id = group);
	OK(h, cid, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group, .user_id = bob->id);
	ck_assert(in_it(h, bob, group));
	house_close(h);
}
END_TEST

START_TEST(only_the_owner_takes_others_out_and_it_is_told_as_a_kick)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t group = conversation_of(h, ann, PEOPLE(bob, cid));
	const char *own = key(h, "conversation", group);

	REFUSED(h, STATUS_FORBIDDEN, "channel_role", bob, leave_channel, NEVERMIND(leave_channel), .channel_id = group,
		.user_id = cid->id);
	REFUSED(h, STATUS_FORBIDDEN, "channel_role", bob, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = group,
		.user_id = ann->id);
	uint64_t before = head(h, STREAM_TEAM(group)), his = head(h, STREAM_USER(bob->id));
	OK(h, ann, leave_channel, NEVERMIND(leave_channel), .channel_id = group, .user_id = bob->id);
	expect_events(h, STREAM_TEAM(group), before, "audience_changed", "", "channel_member_kicked", own, NULL);
	expect_events(h, STREAM_USER(bob->id), his, "channel_member_kicked", key(h, "user", bob->id), NULL);
	ck_assert(!in_it(h, bob, group));
	OK(h, ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = group, .user_id = cid->id);
	ck_assert(!in_it(h, cid, group) && in_it(h, ann, group));
	REFUSED(h, STATUS_NOT_FOUND, "member", ann, leave_channel, NEVERMIND(leave_channel), .channel_id = group,
		.user_id = person(h, "eve")->id);
	house_close(h);
}
END_TEST

START_TEST(when_the_owner_leaves_the_oldest_member_is_owner)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t group = conversation_of(h, ann, PEOPLE(bob, cid));
	OK(h, bob, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group, .user_id = dan->id, .has_user = true, .user = *dan);
	pb_UserView *next = bob->id < cid->id ? bob : cid; /* both as old as the group */
	uint64_t before = head(h, STREAM_TEAM(group));
	const char *own = key(h, "conversation", group);

	OK(h, ann, leave_channel, NEVERMIND(leave_channel), .channel_id = group);
	struct written *w = expect_events(h, STREAM_TEAM(group), before, "audience_changed", "", "channel_member_left", own,
		"channel_member_updated", own, NULL);
	ck_assert_uint_eq(w[2].body.body.channel_member_updated.user.id, next->id);
	ck_assert_uint_eq(w[2].body.body.channel_member_updated.role, CHANNEL_ROLE_OWNER);
	pb_Rights r = judged(h, next, 0, group);
	ck_assert(has(&r, PERMISSION_delete_channel));
	r = judged(h, dan, 0, group);
	ck_assert(!has(&r, PERMISSION_delete_channel));
	OK(h, dan, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group, .user_id = ann->id);
	r = judged(h, ann, 0, group);
	ck_assert(!has(&r, PERMISSION_delete_channel)); /* who made it comes back as a member */
	pb_UserView *all[] = {ann, bob, cid, dan};
	for (int i = 0; i < 4; i++)
		OK(h, all[i], leave_channel, NEVERMIND(leave_channel), .channel_id = group);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.channel_members WHERE channel_id = %ld AND left_at_ms IS NULL", (long)group), 0);
	house_close(h);
}
END_TEST

START_TEST(the_key_follows_the_set_of_a_group)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *dan = person(h, "dan");
	uint64_t three = conversation_of(h, ann, PEOPLE(bob, cid)), four = conversation_of(h, ann, PEOPLE(bob, cid, dan));
	pb_ClaimConversationReply reply;

	/* what is left of the four is a set that the three have: the claim finds theirs */
	OK(h, dan, leave_channel, NEVERMIND(leave_channel), .channel_id = four);
	CLAIM(h, bob, &reply, ann, cid);
	ck_assert_uint_eq(reply.channel_id, three);
	ck_assert_int_eq(number(h, "SELECT count(*) FROM moderation.conversations WHERE channel_id = %ld AND member_key IS NULL", (long)four), 1);
	/* the set of four is free, and the three take it */
	OK(h, ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = three, .user_id = dan->id);
	CLAIM(h, dan, &reply, ann, bob, cid);
	ck_assert_uint_eq(reply.channel_id, three);
	CLAIM(h, cid, &reply, ann, bob);
	ck_assert(reply.created); /* a set that a group gave up is not found in it again */
	/* two of a group are no direct conversation */
	OK(h, cid, leave_channel, NEVERMIND(leave_channel), .channel_id = four);
	CLAIM(h, ann, &reply, bob);
	ck_assert(reply.created);
	ck_assert_uint_eq(reply.kind, CHANNEL_DIRECT);
	house_close(h);
}
END_TEST

START_TEST(a_direct_conversation_keeps_its_two_people)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t direct = conversation_of(h, ann, PEOPLE(bob));

	REFUSED(h, STATUS_CONFLICT, "direct", ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = direct, .user_id = cid->id);
	REFUSED(h, STATUS_CONFLICT, "direct", ann, leave_channel, NEVERMIND(leave_channel), .channel_id = direct);
	REFUSED(h, STATUS_CONFLICT, "direct", ann, leave_channel, NEVERMIND(leave_channel), .channel_id = direct, .user_id = bob->id);
	REFUSED(h, STATUS_CONFLICT, "direct", ann, kick_channel_member, NEVERMIND(kick_channel_member), .channel_id = direct, .user_id = bob->id);
	REFUSED(h, STATUS_FORBIDDEN, "conversation", ann, set_channel_role, NEVERMIND(set_channel_role), .channel_id = direct,
		.user_id = bob->id, .role = CHANNEL_ROLE_MODERATOR);
	REFUSED(h, STATUS_FORBIDDEN, "conversation", ann, ban_channel_user, NEVERMIND(ban_channel_user), .scope_id = direct, .user_id = bob->id);
	REFUSED(h, STATUS_NOT_FOUND, NULL, cid, leave_channel, NEVERMIND(leave_channel), .channel_id = direct);
	ck_assert_uint_eq(head(h, STREAM_TEAM(direct)), 2);
	house_close(h);
}
END_TEST

START_TEST(who_asks_for_channels_of_teams_alone_leaves_the_people_of_a_group_as_they_are)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid"), *zoe = person(h, "zoe");
	uint64_t group = conversation_of(h, ann, PEOPLE(bob, cid));

	REFUSED(h, STATUS_FORBIDDEN, "conversation", ann, add_channel_member, NEVERMIND(add_channel_member), .channel_id = group,
		.user_id = zoe->id, .team_only = true);
	REFUSED(h, STATUS_FORBIDDEN, "conversation", bob, join_channel, NEVERMIND(join_channel), .channel_id = group, .team_only = true);
	REFUSED(h, STATUS_FORBIDDEN, "conversation", bob, leave_channel, NEVERMIND(leave_channel), .channel_id = group, .team_only = true);
	REFUSED(h, STATUS_FORBIDDEN, "conversation", ann, leave_channel, NEVERMIND(leave_channel), .channel_id = group,
		.user_id = bob->id, .team_only = true);
	REFUSED(h, STATUS_NOT_FOUND, NULL, zoe, join_channel, NEVERMIND(join_channel), .channel_id = group, .team_only = true);
	ck_assert(in_it(h, bob, group) && !in_it(h, zoe, group));
	house_close(h);
}
END_TEST

START_TEST(an_erased_account_leaves_its_groups_and_its_directs_stay_readable)
{
	struct house *h = house_open();
	pb_UserView *ann = person(h, "ann"), *bob = person(h, "bob"), *cid = person(h, "cid");
	uint64_t direct = conversation_of(h, ann, PEOPLE(bob)), group = conversation_of(h, bob, PEOPLE(ann, cid));
	uint64_t before = head(h, STREAM_TEAM(group));
	const char *own = key(h, "conversation", group);

	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	expect_events(h, STREAM_TEAM(group), before, "audience_changed", "", "channel_member_left", own, "channel_member_updated",
		own, NULL);
	ck_assert(in_it(h, ann, direct) && in_it(h, ann, group) && !in_it(h, bob, direct) && !in_it(h, bob, group));
	OK(h, the_system, erase_person, NEVERMIND(erase_person), .user_id = bob->id);
	ck_assert_uint_eq(head(h, STREAM_TEAM(group)), before + 3);
	pb_ConversationMembersReply people;
	OK(h, ann, list_conversations, &people, .channel_ids = &direct, .channel_ids_count = 1);
	ck_assert_uint_eq(people.conversations[0].users_count, 2);
	pb_ListAudiencesReply keys;
	OK(h, the_system, list_audiences, &keys, .user_ids = &bob->id, .user_ids_count = 1);
	ck_assert_uint_eq(keys.answers_count, 0);
	house_close(h);
}
END_TEST

START_TEST(a_key_depends_on_who_and_not_on_order_or_kind_of_count)
{
	uint8_t a[CONVERSATION_KEY_BYTES], b[CONVERSATION_KEY_BYTES];
	uint64_t one[] = {1, 2}, other[] = {1, 2, 3};

	conversation_key(one, 2, a);
	conversation_key(other, 3, b);
	ck_assert(memcmp(a, b, sizeof a) != 0);
	conversation_key(other, 2, b);
	ck_assert(memcmp(a, b, sizeof a) == 0);
	ck_assert(conversation_has_key(CHANNEL_DIRECT, 2) && !conversation_has_key(CHANNEL_GROUP, 2));
}
END_TEST

TESTS("moderation conversations", two_people_have_one_direct_conversation_whoever_asks,
	a_claim_begins_the_stream_with_everybodys_key, sets_that_are_none_are_refused,
	of_people_who_claim_the_same_set_at_once_one_makes_it_and_all_get_it,
	a_deleted_conversation_gives_its_set_to_the_next, its_people_are_judged_and_nobody_else_knows_of_it,
	keys_of_conversations_are_answered_for_the_stream_and_for_the_person,
	anybody_in_a_group_adds_people_who_see_it_from_then_on, a_group_holds_fifty, who_leaves_a_group_loses_its_key_first,
	only_the_owner_takes_others_out_and_it_is_told_as_a_kick, when_the_owner_leaves_the_oldest_member_is_owner,
	the_key_follows_the_set_of_a_group, a_direct_conversation_keeps_its_two_people,
	who_asks_for_channels_of_teams_alone_leaves_the_people_of_a_group_as_they_are,
	an_erased_account_leaves_its_groups_and_its_directs_stay_readable,
	a_key_depends_on_who_and_not_on_order_or_kind_of_count)
