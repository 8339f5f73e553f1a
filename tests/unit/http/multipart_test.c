#include "common/http/multipart.h"

#include <string.h>

#include "tests/unit/main.h"

#define TYPE "multipart/form-data; boundary=xx"

/* A body that comes in pieces of `step` bytes. */
struct body {
	const char *bytes;
	size_t length, at, step, reads;
	enum status fails; /* what it ends with instead of its end */
};

static enum status body_read(void *arg, void *bytes, size_t most, size_t *out_n)
{
	struct body *b = arg;
	size_t n = b->length - b->at;

	b->reads++;
	if (n == 0 && b->fails != STATUS_OK)
		return b->fails;
	n = n < b->step ? n : b->step;
	n = n < most ? n : most;
	memcpy(bytes, b->bytes + b->at, n);
	b->at += n;
	*out_n = n;
	return STATUS_OK;
}

/* All parts as "name|filename|content;", or how it ended. */
static const char *parts_of(struct arena *mem, const char *type, const char *text, size_t step, enum status *out_st)
{
	struct body body = {.bytes = text, .length = strlen(text), .step = step};
	struct multipart *m = ARENA_NEW(mem, struct multipart);
	struct multipart_part part;
	const char *out = "";

	*out_st = multipart_begin(m, type, body_read, &body);
	while (*out_st == STATUS_OK && (*out_st = multipart_next(m, mem, &part)) == STATUS_OK) {
		char content[4096] = "";
		size_t have = 0, n = 0;
		while ((*out_st = multipart_read(m, content + have, 7, &n)) == STATUS_OK && n > 0)
			have += n;
		content[have] = '\0';
		out = arena_printf(mem, "%s%s|%s|%s;", out, part.name, part.filename != NULL ? part.filename : "-", content);
	}
	return out;
}

#define WHOLE                                                                                                        \
	"preamble\r\n--xx\r\nContent-Disposition: form-data; name=\"replyTo\"\r\n\r\n12\r\n"                          \
	"--xx  \r\ncontent-type: text/plain\r\ncontent-disposition: form-data; filename=\"a \\\"b\\\" \xC3\xA4.txt\"; name=upload\r\n\r\n" \
	"one\r\n--x\r\n-\r\n--xy two\r\n--xx\r\nContent-Disposition: form-data; name=\"e\"\r\n\r\n\r\n--xx--\r\nepilogue"
#define FOUND "replyTo|-|12;upload|a \"b\" \xC3\xA4.txt|one\r\n--x\r\n-\r\n--xy two;e|-|;"

START_TEST(a_body_falls_into_the_same_parts_however_it_comes)
{
	for (size_t step = 1; step < 200; step++) {
		struct arena *mem = arena_create();
		enum status st;
		const char *found = parts_of(mem, TYPE, WHOLE, step, &st);
		ck_assert_int_eq(st, STATUS_NOT_FOUND);
		ck_assert_str_eq(found, FOUND);
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(only_form_data_with_a_boundary_is_taken)
{
	static const char *const no[] = {"application/json", "multipart/mixed; boundary=xx", "multipart/form-data",
		"multipart/form-data; boundary=", "multipart/form-data; boundary=\"", "multipart/form-data boundary=xx",
		"multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char *const yes[] = {TYPE, "Multipart/Form-Data;boundary=\"xx\"", "multipart/form-data; charset=utf-8; boundary=xx;"};
	struct multipart *m = malloc(sizeof *m);
	struct body body = {.bytes = ""};

	ck_assert_int_eq(multipart_begin(m, NULL, body_read, &body), STATUS_BAD_MEDIA);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		ck_assert_msg(multipart_begin(m, no[i], body_read, &body) == STATUS_BAD_MEDIA, "%s", no[i]);
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		ck_assert_msg(multipart_begin(m, yes[i], body_read, &body) == STATUS_OK, "%s", yes[i]);
	free(m);
}
END_TEST

START_TEST(what_is_no_multipart_is_malformed)
{
	static const char *const bad[] = {"", "hello", "--xx", "--xx\r\n", "--xx\r\nContent-Disposition: form-data; name=a\r\n\r\nno end",
		"--xx\r\n\r\nno headers\r\n--xx--", "--xx\r\nno colon\r\n\r\nx\r\n--xx--",
		"--xx\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--xx--", "--xx\r\nX: y\r\n\r\nno disposition\r\n--xx--",
		"--xxy\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--xx--",
		"--xx\r\nContent-Disposition: form-data; name=\"\xFF\"\r\n\r\nx\r\n--xx--",
		"--xx\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\nx\r\n--xx--"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct arena *mem = arena_create();
		enum status st;
		parts_of(mem, TYPE, bad[i], 5, &st);
		ck_assert_msg(st == STATUS_MALFORMED, "%s: %s", bad[i], status_wire(st));
		arena_destroy(mem);
	}
}
END_TEST

START_TEST(headers_without_end_are_not_kept_for_ever)
{
	struct arena *mem = arena_create();
	char *text = arena_alloc(mem, 3 * MULTIPART_BUFFER);
	enum status st;

	strcpy(text, "--xx\r\nX: ");
	memset(text + strlen(text), 'a', 2 * MULTIPART_BUFFER);
	parts_of(mem, TYPE, text, 4096, &st);
	ck_assert_int_eq(st, STATUS_MALFORMED);
	arena_destroy(mem);
}
END_TEST

START_TEST(more_parts_than_anybody_needs_are_refused)
{
	struct arena *mem = arena_create();
	const char *text = "";
	enum status st;

	for (size_t i = 0; i <= MULTIPART_PARTS_MOST; i++)
		text = arena_printf(mem, "%s--xx\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n", text);
	parts_of(mem, TYPE, arena_printf(mem, "%s--xx--", text), 4096, &st);
	ck_assert_int_eq(st, STATUS_MALFORMED);
	arena_destroy(mem);
}
END_TEST

START_TEST(a_part_that_nobody_reads_is_dropped_and_the_next_found)
{
	struct arena *mem = arena_create();
	struct body body = {.bytes = WHOLE, .length = sizeof WHOLE - 1, .step = 3};
	struct multipart *m = ARENA_NEW(mem, struct multipart);
	struct multipart_part part;

	ck_assert_int_eq(multipart_begin(m, TYPE, body_read, &body), STATUS_OK);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(multipart_next(m, mem, &part), STATUS_OK);
	ck_assert_str_eq(part.name, "e");
	ck_assert_int_eq(multipart_next(m, mem, &part), STATUS_NOT_FOUND);
	size_t reads = body.reads;
	ck_assert_int_eq(multipart_next(m, mem, &part), STATUS_NOT_FOUND);
	ck_assert_uint_eq(body.reads, reads);
	arena_destroy(mem);
}
END_TEST

START_TEST(what_the_reader_says_is_passed_on)
{
	struct arena *mem = arena_create();
	struct body body = {.bytes = "--xx\r\nContent-Disp", .length = 18, .step = 100, .fails = STATUS_LATE};
	struct multipart *m = ARENA_NEW(mem, struct multipart);
	struct multipart_part part;

	ck_assert_int_eq(multipart_begin(m, TYPE, body_read, &body), STATUS_OK);
	ck_assert_int_eq(multipart_next(m, mem, &part), STATUS_LATE);
	arena_destroy(mem);
}
END_TEST

TESTS("multipart", a_body_falls_into_the_same_parts_however_it_comes, only_form_data_with_a_boundary_is_taken,
	what_is_no_multipart_is_malformed, headers_without_end_are_not_kept_for_ever, more_parts_than_anybody_needs_are_refused,
	a_part_that_nobody_reads_is_dropped_and_the_next_found, what_the_reader_says_is_passed_on)
