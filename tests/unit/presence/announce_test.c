#include "services/presence/announce.h"
#include "tests/unit/main.h"

#include <string.h>

struct fixture {
	struct arena *mem;
	const uint8_t *view;
	size_t view_length;
};

static struct fixture fixture_create(void)
{
	struct fixture fx = {.mem = arena_create()};
	pb_UserView user = pb_UserView_init_zero;

	user.id = 5000000001;
	user.username = "ann";
	ck_assert_int_eq(pb_encode_arena(fx.mem, pb_UserView_fields, &user, &fx.view, &fx.view_length), STATUS_OK);
	return fx;
}

static struct presence_change change_of(const struct fixture *fx)
{
	return (struct presence_change){
		.user_id = 5000000001,
		.view = fx->view,
		.view_length = fx->view_length,
		.shown = PRESENCE_OFFLINE,
		.chosen = PRESENCE_INVISIBLE,
		.last_seen_at_ms = 1800000000000,
	};
}

START_TEST(what_others_get_does_not_tell_the_choice)
{
	struct fixture fx = fixture_create();
	struct presence_change change = change_of(&fx);
	const uint8_t *bytes = NULL;
	size_t length = 0;
	pb_Event event, decoded;

	ck_assert_int_eq(announce_presence_event(fx.mem, &change, false, &event), STATUS_OK);
	ck_assert_int_eq(event_encode(fx.mem, &event, &bytes, &length), STATUS_OK);
	ck_assert_int_eq(event_decode(fx.mem, bytes, length, &decoded), STATUS_OK);
	ck_assert_uint_eq(decoded.which_body, EVENT_KIND_presence_changed);
	ck_assert_uint_eq(decoded.body.presence_changed.chosen, 0);
	ck_assert_uint_eq(decoded.body.presence_changed.shown, PRESENCE_OFFLINE);
	ck_assert_str_eq(decoded.body.presence_changed.user.username, "ann");
	arena_destroy(fx.mem);
}
END_TEST

START_TEST(what_oneself_gets_tells_the_choice)
{
	struct fixture fx = fixture_create();
	struct presence_change change = change_of(&fx);
	pb_Event event;

	ck_assert_int_eq(announce_presence_event(fx.mem, &change, true, &event), STATUS_OK);
	ck_assert_uint_eq(event.body.presence_changed.chosen, PRESENCE_INVISIBLE);
	ck_assert_uint_eq(event.body.presence_changed.shown, PRESENCE_OFFLINE);
	arena_destroy(fx.mem);
}
END_TEST

START_TEST(typing_names_channel_and_person)
{
	struct fixture fx = fixture_create();
	pb_ChannelRef channel = pb_ChannelRef_init_zero;
	struct typing_subject subject = {.user_id = 5000000001, .view = fx.view, .view_length = fx.view_length};
	pb_Event event;

	channel.id = 77;
	channel.name = "general";
	ck_assert_int_eq(pb_encode_arena(fx.mem, pb_ChannelRef_fields, &channel, &subject.channel, &subject.channel_length),
		STATUS_OK);
	ck_assert_int_eq(announce_typing_event(fx.mem, &subject, true, &event), STATUS_OK);
	ck_assert_uint_eq(event.which_body, EVENT_KIND_typing_changed);
	ck_assert(event.body.typing_changed.is_typing);
	ck_assert_uint_eq(event.body.typing_changed.channel.id, 77);
	ck_assert_str_eq(event.body.typing_changed.user.username, "ann");
	arena_destroy(fx.mem);
}
END_TEST

START_TEST(a_view_that_does_not_decode_is_announced_to_nobody)
{
	struct fixture fx = fixture_create();
	struct presence_change change = change_of(&fx);
	pb_Event event;

	change.view = (const uint8_t *)"\xff\xff\xff";
	change.view_length = 3;
	ck_assert_int_eq(announce_presence_event(fx.mem, &change, false, &event), STATUS_MALFORMED);
	arena_destroy(fx.mem);
}
END_TEST

TESTS("presence-announce", what_others_get_does_not_tell_the_choice, what_oneself_gets_tells_the_choice,
	typing_names_channel_and_person, a_view_that_does_not_decode_is_announced_to_nobody)
