#include <string.h>

#include "common/base/arena.h"
#include "services/messaging/deliveries.h"
#include "tests/unit/main.h"

START_TEST(pauses_double_up_to_an_hour_and_differ_a_little)
{
	ck_assert_int_eq(delivery_pause_ms(2000, 1, 0), 2000);
	ck_assert_int_eq(delivery_pause_ms(2000, 2, 0), 4000);
	ck_assert_int_eq(delivery_pause_ms(2000, 5, 0), 32000);
	ck_assert_int_eq(delivery_pause_ms(2000, 60, 0), 3600000);
	ck_assert_int_eq(delivery_pause_ms(2000, 1, 999), 2399);
	ck_assert_int_eq(delivery_pause_ms(2000, 1, 4294967295u), 2000 + 295 * 2000 / 5000);
}
END_TEST

START_TEST(every_place_in_a_url_is_filled_with_the_escaped_input)
{
	struct arena *mem = arena_create();

	ck_assert_str_eq(delivery_url(mem, "http://x/?q=%s&again=%s", "a b%s"), "http://x/?q=a+b%25s&again=a+b%25s");
	ck_assert_str_eq(delivery_url(mem, "http://x/%s", ""), "http://x/");
	ck_assert_str_eq(delivery_url(mem, "http://x/", "y"), "http://x/");
	arena_destroy(mem);
}
END_TEST

/* printf '1700000000.{"text":"hi"}' | openssl dgst -sha256 -hmac secret */
START_TEST(a_signature_is_what_openssl_makes_of_it)
{
	char out[DELIVERY_SIGNATURE_SIZE];

	delivery_sign("secret", 1700000000, "{\"text\":\"hi\"}", 13, out);
	ck_assert_str_eq(out, "v1=3ad1ab8e3e2036926574b48bb349a6926291abb28309d44d18066d4f51de2112");
}
END_TEST

struct answer {
	int code;
	const char *type, *body;
	enum status status;
	const char *why; /* or the text */
};
static const struct answer answers[] = {
	{200, "text/plain", "hello", STATUS_OK, "hello"},
	{201, "text/plain; charset=utf-8", "hello", STATUS_OK, "hello"},
	{200, "TEXT/PLAIN", "a\nb", STATUS_OK, "a\nb"},
	{200, "application/json", "{\"text\":\"hello\",\"more\":[1]}", STATUS_OK, "hello"},
	{200, "", "{\"text\":\"hello\"}", STATUS_OK, "hello"},
	{201, "application/json", "{\"text\":\"hello\"}", STATUS_CONFLICT, "status_201"},
	{200, "text/plainer", "hello", STATUS_CONFLICT, "not_json"},
	{200, "text/plain", "", STATUS_CONFLICT, "empty"},
	{200, "text/plain", " \r\n", STATUS_CONFLICT, "empty"},
	{200, "text/plain", "\xff", STATUS_CONFLICT, "not_text"},
	{200, "application/json", "", STATUS_CONFLICT, "empty"},
	{200, "application/json", "{\"text\":\"\"}", STATUS_CONFLICT, "empty"},
	{200, "application/json", "{}", STATUS_CONFLICT, "not_json"},
	{200, "application/json", "{\"text\":7}", STATUS_CONFLICT, "not_json"},
	{200, "application/json", "{\"text\":\"x\"", STATUS_CONFLICT, "not_json"},
	{200, "application/json", "[\"x\"]", STATUS_CONFLICT, "not_json"},
	{302, "text/plain", "elsewhere", STATUS_CONFLICT, "status_302"},
	{404, "text/plain", "no", STATUS_CONFLICT, "status_404"},
	{429, "text/plain", "slowly", STATUS_BUSY, "status_429"},
	{408, "text/plain", "", STATUS_BUSY, "status_408"},
	{500, "text/plain", "oh", STATUS_BUSY, "status_500"},
	{503, "application/json", "{\"text\":\"x\"}", STATUS_BUSY, "status_503"},
};

START_TEST(an_answer_is_posted_or_asked_for_again_or_given_up)
{
	struct arena *mem = arena_create();

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		const struct answer *a = &answers[i];
		struct delivery_answer out;
		const char *why = NULL;
		enum status st = delivery_read(mem, a->code, a->type, a->body, strlen(a->body), &out, &why);
		ck_assert_msg(st == a->status, "%d %s %s", a->code, a->type, a->body);
		ck_assert_str_eq(st == STATUS_OK ? out.text : why, a->why);
	}
	arena_destroy(mem);
}
END_TEST

START_TEST(what_was_given_up_can_be_told_to_people)
{
	ck_assert_str_eq(delivery_detail("empty"), "Empty webhook response");
	ck_assert_str_eq(delivery_detail("status_410"), "The webhook answered with an error");
	ck_assert_str_eq(delivery_detail("timeout"), "The webhook did not answer");
	ck_assert_str_eq(delivery_detail(NULL), "The webhook did not answer");
}
END_TEST

START_TEST(bytes_behind_a_nul_are_no_text)
{
	struct arena *mem = arena_create();
	struct delivery_answer out;
	const char *why = NULL;

	ck_assert_int_eq(delivery_read(mem, 200, "text/plain", "a\0b", 3, &out, &why), STATUS_CONFLICT);
	ck_assert_str_eq(why, "not_text");
	arena_destroy(mem);
}
END_TEST

START_TEST(a_text_over_the_limit_is_given_up)
{
	struct arena *mem = arena_create();
	char *text = arena_alloc(mem, 4002);
	struct delivery_answer out;
	const char *why = NULL;

	memset(text, 'x', 4000);
	ck_assert_int_eq(delivery_read(mem, 200, "text/plain", text, 4000, &out, &why), STATUS_OK);
	text[4000] = 'x';
	ck_assert_int_eq(delivery_read(mem, 200, "text/plain", text, 4001, &out, &why), STATUS_CONFLICT);
	ck_assert_str_eq(why, "too_long");
	arena_destroy(mem);
}
END_TEST

START_TEST(a_name_and_a_picture_that_fit_are_taken_and_others_left_out)
{
	struct arena *mem = arena_create();
	struct delivery_answer out;
	const char *why = NULL;
	static const char good[] = "{\"text\":\"x\",\"username\":\"rain\",\"avatar\":\"https://example.org/a.png\"}";
	static const char bad[] = "{\"text\":\"x\",\"username\":\"\",\"avatar\":\"http://example.org/a.png\"}";

	ck_assert_int_eq(delivery_read(mem, 200, "application/json", good, strlen(good), &out, &why), STATUS_OK);
	ck_assert_str_eq(out.name, "rain");
	ck_assert_str_eq(out.avatar, "https://example.org/a.png");
	ck_assert_int_eq(delivery_read(mem, 200, "application/json", bad, strlen(bad), &out, &why), STATUS_OK);
	ck_assert_ptr_null(out.name);
	ck_assert_ptr_null(out.avatar);
	arena_destroy(mem);
}
END_TEST

TESTS("delivery_answer", pauses_double_up_to_an_hour_and_differ_a_little, every_place_in_a_url_is_filled_with_the_escaped_input,
	a_signature_is_what_openssl_makes_of_it, an_answer_is_posted_or_asked_for_again_or_given_up,
	what_was_given_up_can_be_told_to_people, bytes_behind_a_nul_are_no_text,
	a_text_over_the_limit_is_given_up, a_name_and_a_picture_that_fit_are_taken_and_others_left_out)
