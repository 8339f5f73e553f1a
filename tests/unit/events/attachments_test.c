#include "common/events/attachments.h"

#include <string.h>

#include "common/events/events.h"
#include "tests/unit/main.h"

#define NOW INT64_C(1767225600000)
#define DAY INT64_C(86400000)

static pb_AttachmentView attachment(struct arena *mem, uint64_t id, char key)
{
	char bytes[ATTACHMENT_KEY_BYTES];

	memset(bytes, key, sizeof bytes);
	return (pb_AttachmentView){.id = id, .key = pb_bytes_from(mem, bytes, sizeof bytes)};
}

START_TEST(a_signature_is_good_for_its_user_its_attachment_and_its_key)
{
	struct arena *mem = arena_create();
	pb_AttachmentView a = attachment(mem, 5, 'a'), b = attachment(mem, 6, 'a'), c = attachment(mem, 5, 'c');
	char sign[ATTACHMENT_SIGN_SIZE];

	attachment_sign(&a, 7, NOW, sign);
	ck_assert_uint_eq(strlen(sign), ATTACHMENT_SIGN_SIZE - 1);
	ck_assert(attachment_signed(&a, 7, NOW, sign));
	ck_assert(!attachment_signed(&a, 0, NOW, sign));
	ck_assert(!attachment_signed(&b, 7, NOW, sign));
	ck_assert(!attachment_signed(&c, 7, NOW, sign));
	arena_destroy(mem);
}
END_TEST

START_TEST(it_ends_after_seven_days_and_is_the_same_for_an_hour)
{
	struct arena *mem = arena_create();
	pb_AttachmentView a = attachment(mem, 5, 'a');
	char sign[ATTACHMENT_SIGN_SIZE], later[ATTACHMENT_SIGN_SIZE];

	attachment_sign(&a, 0, NOW, sign);
	ck_assert(attachment_signed(&a, 0, NOW + 7 * DAY, sign));
	ck_assert(!attachment_signed(&a, 0, NOW + 7 * DAY + 3600000, sign));
	attachment_sign(&a, 0, NOW + 3599999, later);
	ck_assert_str_eq(sign, later);
	attachment_sign(&a, 0, NOW + 3600000, later);
	ck_assert_str_ne(sign, later);
	arena_destroy(mem);
}
END_TEST

START_TEST(no_other_text_is_a_signature)
{
	struct arena *mem = arena_create();
	pb_AttachmentView a = attachment(mem, 5, 'a'), none = {.id = 5};
	char sign[ATTACHMENT_SIGN_SIZE], other[ATTACHMENT_SIGN_SIZE];

	attachment_sign(&a, 0, NOW, sign);
	for (size_t i = 0; i < ATTACHMENT_SIGN_SIZE - 1; i++) {
		memcpy(other, sign, sizeof sign);
		other[i] = other[i] == '1' ? '2' : '1';
		ck_assert_msg(!attachment_signed(&a, 0, NOW, other), "digit %zu", i);
		other[i] = (char)0xC3;
		ck_assert_msg(!attachment_signed(&a, 0, NOW, other), "digit %zu", i);
	}
	ck_assert(!attachment_signed(&a, 0, NOW, ""));
	sign[ATTACHMENT_SIGN_SIZE - 2] = '\0';
	ck_assert(!attachment_signed(&a, 0, NOW, sign));
	attachment_sign(&none, 0, NOW, sign);
	ck_assert_str_eq(sign, "");
	ck_assert(!attachment_signed(&none, 0, NOW, sign));
	arena_destroy(mem);
}
END_TEST

TESTS("attachments", a_signature_is_good_for_its_user_its_attachment_and_its_key, it_ends_after_seven_days_and_is_the_same_for_an_hour,
	no_other_text_is_a_signature)
