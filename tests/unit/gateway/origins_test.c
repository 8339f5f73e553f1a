#include "services/gateway/origins.h"

#include "tests/unit/main.h"

static bool allowed(const char *list, const char *origin)
{
	struct arena *mem = arena_create();
	struct origins *origins = NULL;

	ck_assert_int_eq(origins_read(mem, list, &origins), STATUS_OK);
	bool yes = origins_allow(origins, origin);
	arena_destroy(mem);
	return yes;
}

START_TEST(an_empty_list_and_no_origin_at_all_are_always_allowed)
{
	ck_assert(origins_allow(NULL, "https://any.example"));
	ck_assert(allowed("", "https://any.example"));
	ck_assert(allowed(" , ", "https://any.example"));
	ck_assert(allowed("https://chat.example", NULL));
}
END_TEST

START_TEST(an_origin_is_its_scheme_its_host_and_its_port)
{
	static const char list[] = "https://chat.example , http://localhost:5173,https://*.team.example,null";
	static const char *const good[] = {"https://chat.example", "HTTPS://Chat.Example", "http://localhost:5173",
		"https://a.team.example", "https://b.a.team.example", "null"};
	static const char *const bad[] = {"", "http://chat.example", "https://chat.example:8443", "https://chat.example.evil.example",
		"https://evil-chat.example", "https://chat.example/", "http://localhost", "http://localhost:51730", "https://team.example",
		"https://ateam.example", "http://a.team.example", "https://.team.example", "https://evil.example/.team.example",
		"https://evil.example?.team.example", "https://evil.example#.team.example", "https://user@a.team.example",
		"https://a.team.example:444", "null.example", "chat.example"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(allowed(list, good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!allowed(list, bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(what_is_no_origin_is_refused_at_the_start)
{
	static const char *const rows[] = {"chat.example", "https://", "https://chat.example/", "https://chat.example/path", "*",
		"https://*", "https://*.", "https://a.*.example", "://chat.example", "https:/chat.example", "https://user@chat.example"};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *mem = arena_create();
		struct origins *origins = NULL;
		ck_assert_msg(origins_read(mem, rows[i], &origins) == STATUS_FIELD_INVALID, "%s", rows[i]);
		arena_destroy(mem);
	}
}
END_TEST

TESTS("origins", an_empty_list_and_no_origin_at_all_are_always_allowed, an_origin_is_its_scheme_its_host_and_its_port,
	what_is_no_origin_is_refused_at_the_start)
