#include "services/gateway/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/main.h"

#define MOST 65536

/* What a client would send: masked. Returns the length. */
static size_t client_frame(uint8_t *out, uint8_t first, const void *payload, size_t length)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t at = 0;

	out[at++] = first;
	if (length < 126) {
		out[at++] = (uint8_t)(0x80 | length);
	} else if (length < 65536) {
		out[at++] = 0x80 | 126;
		out[at++] = (uint8_t)(length >> 8);
		out[at++] = (uint8_t)length;
	} else {
		out[at++] = 0x80 | 127;
		for (int i = 0; i < 8; i++)
			out[at++] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
	}
	memcpy(out + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < length; i++)
		out[at + i] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
	return at + length;
}

/* Everything that came out of one connection, as text. */
struct heard {
	char text[4096];
	size_t length;
	uint16_t failed;
};

static void hear(struct heard *heard, char kind, const uint8_t *bytes, size_t length)
{
	heard->text[heard->length++] = kind;
	if (length > 100)
		heard->length += (size_t)snprintf(heard->text + heard->length, 100, "<%zu>", length);
	else if (length > 0)
		memcpy(heard->text + heard->length, bytes, length);
	if (length <= 100)
		heard->length += length;
	heard->text[heard->length++] = ';';
	heard->text[heard->length] = '\0';
}

/* Feeds bytes in portions, as a socket would: what is left over is put before the next portion. */
static void feed(struct heard *heard, const uint8_t *bytes, size_t length, const size_t *cuts,
	size_t cut_count, size_t most)
{
	struct frame_parser parser = {0};
	uint8_t *kept = malloc(length + 1);
	size_t kept_length = 0, at = 0, need = 0;

	for (size_t c = 0; c <= cut_count && heard->failed == 0; c++) {
		size_t end = c < cut_count ? cuts[c] : length;
		memcpy(kept + kept_length, bytes + at, end - at);
		kept_length += end - at;
		at = end;
		size_t done = 0;
		for (;;) {
			struct frame_in in;
			enum frame_step step =
				frame_next(&parser, kept + done, kept_length - done, most, &in);
			if (step == FRAME_STEP_MORE) {
				ck_assert_uint_gt(in.need, kept_length - done);
				need = in.need;
				break;
			}
			if (step == FRAME_STEP_FAILED) {
				heard->failed = in.code;
				break;
			}
			done += in.consumed;
			if (step == FRAME_STEP_MESSAGE)
				hear(heard, in.opcode == FRAME_TEXT ? 't' : 'b', in.bytes, in.length);
			if (step == FRAME_STEP_CONTROL)
				hear(heard,
					in.opcode == FRAME_PING   ? 'p'
					: in.opcode == FRAME_PONG ? 'o'
								  : 'c',
					in.bytes, in.length);
		}
		memmove(kept, kept + done, kept_length - done);
		kept_length -= done;
	}
	(void)need;
	free(kept);
	frame_parser_finish(&parser);
}

static size_t conversation(uint8_t *out)
{
	size_t n = 0;

	n += client_frame(out + n, 0x81, "{\"op\":\"ping\"}", 13);
	n += client_frame(out + n, 0x01, "caf\xc3", 4); /* a character cut in two */
	n += client_frame(out + n, 0x89, "are you there", 13);
	n += client_frame(out + n, 0x00, "\xa9 au", 4);
	n += client_frame(out + n, 0x8a, "", 0);
	n += client_frame(out + n, 0x80, " lait", 5);
	n += client_frame(out + n, 0x82, "\0\1\2", 3);
	char wide[200];
	memset(wide, 'w', sizeof wide);
	n += client_frame(out + n, 0x81, wide, sizeof wide);
	n += client_frame(out + n, 0x88,
		"\x03\xe8"
		"bye",
		5);
	return n;
}

static const char conversation_heard[] =
	"t{\"op\":\"ping\"};pare you there;o;tcaf\xc3\xa9 au lait;b\0\1\2;t<200>;c\x03\xe8"
	"bye;";

START_TEST(every_cut_in_two_reads_the_same)
{
	uint8_t bytes[1024];
	size_t length = conversation(bytes);

	for (size_t cut = 0; cut <= length; cut++) {
		struct heard heard = {0};
		feed(&heard, bytes, length, &cut, 1, MOST);
		ck_assert_uint_eq(heard.failed, 0);
		ck_assert_uint_eq(heard.length, sizeof conversation_heard - 1);
		ck_assert_mem_eq(heard.text, conversation_heard, heard.length);
	}
}
END_TEST

START_TEST(every_two_cuts_read_the_same)
{
	uint8_t bytes[1024];
	size_t length = conversation(bytes);

	for (size_t a = 0; a <= length; a += 1) {
		for (size_t b = a; b <= length; b += 3) {
			struct heard heard = {0};
			feed(&heard, bytes, length, (size_t[]){a, b}, 2, MOST);
			ck_assert_uint_eq(heard.length, sizeof conversation_heard - 1);
			ck_assert_mem_eq(heard.text, conversation_heard, heard.length);
		}
	}
}
END_TEST

START_TEST(single_bytes_read_the_same)
{
	uint8_t bytes[1024];
	size_t length = conversation(bytes), cuts[1024];
	struct heard heard = {0};

	for (size_t i = 0; i < length; i++)
		cuts[i] = i;
	feed(&heard, bytes, length, cuts, length, MOST);
	ck_assert_uint_eq(heard.length, sizeof conversation_heard - 1);
	ck_assert_mem_eq(heard.text, conversation_heard, heard.length);
}
END_TEST

static uint16_t code_of(const uint8_t *bytes, size_t length, size_t most)
{
	struct heard heard = {0};

	feed(&heard, bytes, length, NULL, 0, most);
	return heard.failed;
}

/* The code with which one frame, or two, fail. */
static uint16_t code_of_frames(
	uint8_t first, const char *payload, size_t length, uint8_t second, const char *payload2)
{
	uint8_t bytes[70000];
	size_t n = client_frame(bytes, first, payload, length);

	if (payload2 != NULL)
		n += client_frame(bytes + n, second, payload2, strlen(payload2));
	return code_of(bytes, n, MOST);
}

START_TEST(what_the_protocol_forbids_closes_with_1002)
{
	ck_assert_uint_eq(code_of_frames(0xc1, "x", 1, 0, NULL), 1002); /* reserved bits */
	ck_assert_uint_eq(code_of_frames(0xa1, "x", 1, 0, NULL), 1002);
	ck_assert_uint_eq(code_of_frames(0x91, "x", 1, 0, NULL), 1002);
	for (uint8_t opcode = 3; opcode < 16; opcode++)
		if (opcode < 8 || opcode > 10)
			ck_assert_uint_eq(code_of_frames((uint8_t)(0x80 | opcode), "x", 1, 0, NULL), 1002);
	ck_assert_uint_eq(code_of_frames(0x80, "x", 1, 0, NULL), 1002);   /* nothing to continue */
	ck_assert_uint_eq(code_of_frames(0x01, "x", 1, 0x81, "y"), 1002); /* a new message inside one */
	ck_assert_uint_eq(code_of_frames(0x09, "x", 1, 0, NULL), 1002);   /* a ping in fragments */
	char wide[126] = {0};
	ck_assert_uint_eq(code_of_frames(0x89, wide, sizeof wide, 0, NULL), 1002); /* a long ping */
	ck_assert_uint_eq(code_of((const uint8_t *)"\x81\x01x", 3, MOST), 1002);   /* not masked */
	ck_assert_uint_eq(code_of((const uint8_t *)"\x81\xfe\x00\x05mmmmxxxxx", 13, MOST),
		1002); /* not the shortest length */
	ck_assert_uint_eq(
		code_of((const uint8_t *)"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05mmmmxxxxx", 19, MOST),
		1002);
	ck_assert_uint_eq(
		code_of((const uint8_t *)"\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00", 10, MOST), 1002);
}
END_TEST

START_TEST(what_is_not_utf8_closes_with_1007)
{
	static const char *const bad[] = {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\x80", "\xff", "a\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3\xc3"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_uint_eq(code_of_frames(0x81, bad[i], strlen(bad[i]), 0, NULL), 1007);
	ck_assert_uint_eq(code_of_frames(0x01, "\xc3", 1, 0x80, "x"), 1007);
	ck_assert_uint_eq(code_of_frames(0x01, "x", 1, 0x80, "\xe2\x82"), 1007);
	ck_assert_uint_eq(code_of_frames(0x88, "\x03\xe8\xff", 3, 0, NULL), 1007);
}
END_TEST

START_TEST(all_of_utf8_passes)
{
	static const char *const good[] = {"", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_uint_eq(code_of_frames(0x81, good[i], strlen(good[i]), 0, NULL), 0);
	ck_assert_uint_eq(code_of_frames(0x81, "a\0b", 3, 0, NULL), 0);
}
END_TEST

START_TEST(close_codes_are_those_a_peer_may_send)
{
	for (unsigned code = 0; code < 65536; code++) {
		char payload[2] = {(char)(code >> 8), (char)code};
		bool fine = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
			    (code >= 3000 && code <= 4999);
		ck_assert_uint_eq(code_of_frames(0x88, payload, 2, 0, NULL), fine ? 0 : 1002);
	}
	ck_assert_uint_eq(code_of_frames(0x88, "x", 1, 0, NULL), 1002);
	ck_assert_uint_eq(code_of_frames(0x88, "", 0, 0, NULL), 0);
}
END_TEST

START_TEST(too_long_a_message_closes_with_1009_before_it_is_here)
{
	uint8_t head[14];

	ck_assert_uint_eq(
		code_of((const uint8_t *)"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01", 10, MOST), 1009);
	ck_assert_uint_eq(
		code_of((const uint8_t *)"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10, MOST), 1009);
	size_t n = client_frame(head, 0x81, "", 0);
	ck_assert_uint_eq(code_of(head, n, MOST), 0);

	uint8_t bytes[400];
	char half[60] = {0};
	memset(half, 'x', sizeof half);
	n = client_frame(bytes, 0x01, half, 60);
	n += client_frame(bytes + n, 0x00, half, 40);
	ck_assert_uint_eq(code_of(bytes, n, 100), 0);
	n += client_frame(bytes + n, 0x80, "y", 1);
	ck_assert_uint_eq(code_of(bytes, n, 100), 1009); /* all fragments together */
}
END_TEST

START_TEST(text_fails_at_its_first_wrong_byte_in_the_middle_of_a_frame)
{
	/* One valid beginning, then what can never become a character; the frame says that much more is to come. */
	static const struct {
		const char *bytes;
		size_t wrong; /* place of the first wrong byte */
	} rows[] = {{"\xff", 0}, {"ab\x80", 2}, {"\xc3\x28", 1}, {"\xe2\x82\x28", 2}, {"\xed\xa0", 1}, {"\xf4\x90", 1},
		{"\xf0\x80", 1}, {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (int continued = 0; continued < 2; continued++) {
			struct frame_parser parser = {0};
			struct frame_in in;
			uint8_t bytes[512], text[300];
			size_t length = 0, at = 0;
			memset(text, 'x', sizeof text);
			memcpy(text, rows[i].bytes, strlen(rows[i].bytes));
			if (continued) {
				length = client_frame(bytes, 0x01, "so far", 6);
				ck_assert_int_eq(frame_next(&parser, bytes, length, MOST, &in), FRAME_STEP_NOTHING);
				at = length;
			}
			length += client_frame(bytes + at, continued ? 0x80 : 0x81, text, sizeof text);
			for (size_t n = at; n <= at + 8 + rows[i].wrong; n++)
				ck_assert_int_eq(frame_next(&parser, bytes + at, n - at, MOST, &in), FRAME_STEP_MORE);
			ck_assert_int_eq(
				frame_next(&parser, bytes + at, 8 + rows[i].wrong + 1, MOST, &in), FRAME_STEP_FAILED);
			ck_assert_uint_eq(in.code, 1007);
			frame_parser_finish(&parser);
		}
	}
}
END_TEST

START_TEST(binary_is_not_asked_to_be_text)
{
	uint8_t bytes[64];
	size_t length = client_frame(bytes, 0x02, "\xff\xfe", 2);

	length += client_frame(bytes + length, 0x80, "\x80", 1);
	ck_assert_uint_eq(code_of(bytes, length, 100), 0);
}
END_TEST

START_TEST(a_compressed_message_is_put_together_and_not_looked_at)
{
	struct frame_parser parser = {.deflate = true};
	uint8_t bytes[256];
	struct frame_in in;
	size_t length = client_frame(bytes, 0x41, "\xff\xfe", 2), at = 0;

	length += client_frame(bytes + length, 0x89, "hi", 2);
	length += client_frame(bytes + length, 0x80, "\xfd", 1);
	length += client_frame(bytes + length, 0x81, "plain", 5);
	length += client_frame(bytes + length, 0xc2, "x", 1);
	static const struct {
		enum frame_step step;
		bool compressed;
		const char *payload;
	} rows[] = {{FRAME_STEP_NOTHING, true, NULL}, {FRAME_STEP_CONTROL, false, "hi"}, {FRAME_STEP_MESSAGE, true, "\xff\xfe\xfd"},
		{FRAME_STEP_MESSAGE, false, "plain"}, {FRAME_STEP_MESSAGE, true, "x"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ck_assert_int_eq(frame_next(&parser, bytes + at, length - at, MOST, &in), rows[i].step);
		ck_assert_int_eq(in.compressed, rows[i].compressed);
		if (rows[i].payload != NULL) {
			ck_assert_uint_eq(in.length, strlen(rows[i].payload));
			ck_assert_mem_eq(in.bytes, rows[i].payload, in.length);
		}
		at += in.consumed;
	}
	ck_assert_uint_eq(at, length);
	frame_parser_finish(&parser);
}
END_TEST

START_TEST(rsv1_stands_on_the_first_frame_of_a_message_where_it_was_agreed_and_nowhere_else)
{
	static const struct {
		bool agreed;
		uint8_t before, first; /* before 0: nothing */
	} rows[] = {{false, 0, 0xc1}, {false, 0, 0xc2}, {true, 0x01, 0xc0}, {true, 0x41, 0xc0}, {true, 0, 0xc8}, {true, 0, 0xc9},
		{true, 0, 0xca}, {true, 0, 0xc3}, {true, 0, 0xa1}, {true, 0, 0x91}, {true, 0, 0xf1}, {true, 0, 0xe1}, {true, 0, 0xc0}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct frame_parser parser = {.deflate = rows[i].agreed};
		uint8_t bytes[64];
		struct frame_in in;
		if (rows[i].before != 0) {
			size_t n = client_frame(bytes, rows[i].before, "x", 1);
			ck_assert_int_eq(frame_next(&parser, bytes, n, MOST, &in), FRAME_STEP_NOTHING);
		}
		size_t n = client_frame(bytes, rows[i].first, "", 0);
		ck_assert_int_eq(frame_next(&parser, bytes, n, MOST, &in), FRAME_STEP_FAILED);
		ck_assert_uint_eq(in.code, 1002);
		frame_parser_finish(&parser);
	}
}
END_TEST

START_TEST(random_bytes_never_break_the_parser)
{
	srand(1);
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[128];
		size_t length = (size_t)rand() % sizeof bytes, cut = length > 0 ? (size_t)rand() % length : 0;
		struct heard heard = {0};
		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)rand();
		if (length > 1 && round % 2 == 0) {
			bytes[0] &= 0x8f; /* deeper than the first check */
			bytes[1] |= 0x80;
		}
		feed(&heard, bytes, length, &cut, 1, 100);
	}
}
END_TEST

START_TEST(frames_out_have_the_shortest_header)
{
	static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 70000};
	static const size_t headers[] = {2, 2, 2, 4, 4, 10, 10};
	char *payload = calloc(1, 70000);

	for (size_t i = 0; i < 7; i++) {
		struct frame *frame = frame_make(FRAME_TEXT, payload, lengths[i]);
		ck_assert_uint_eq(frame->length, headers[i] + lengths[i]);
		ck_assert_uint_eq(frame->bytes[0], 0x81);
		ck_assert_uint_eq(frame->bytes[1] & 0x80, 0);
		frame_unref(frame);
	}
	free(payload);
}
END_TEST

START_TEST(a_long_reason_is_cut_at_a_character)
{
	char reason[200];
	for (size_t i = 0; i + 2 < sizeof reason; i += 2)
		memcpy(reason + i, "\xc3\xa9", 3);
	struct frame *frame = frame_make_close(4409, reason);
	ck_assert_uint_le(frame->bytes[1], 125);
	ck_assert_uint_eq(frame->bytes[1] % 2, 0); /* two of code, whole characters of two */
	frame_unref(frame);
}
END_TEST

START_TEST(several_texts_of_one_event_are_frames_one_after_the_other_and_never_compressed)
{
	struct arena *mem = arena_create();
	struct texts texts = texts_begin(mem);
	char *longer = arena_alloc(mem, 301);
	memset(longer, 'x', 300);
	texts_add(&texts, "{}", 2);
	texts_add(&texts, NULL, 7);
	texts_add(&texts, longer, 300);
	struct frame *both = frame_make_texts(&texts), *one = frame_make(FRAME_TEXT, "{}", 2), *two = frame_make(FRAME_TEXT, longer, 300);
	ck_assert_uint_eq(both->length, one->length + two->length);
	ck_assert_mem_eq(both->bytes, one->bytes, one->length);
	ck_assert_mem_eq(both->bytes + one->length, two->bytes, two->length);
	ck_assert_ptr_eq(both->packed[0], both);
	ck_assert_ptr_eq(both->packed[1], both);
	texts.count = 1;
	struct frame *alone = frame_make_texts(&texts);
	ck_assert_uint_eq(alone->length, one->length);
	ck_assert_ptr_null(alone->packed[0]);
	frame_unref(alone);
	frame_unref(two);
	frame_unref(one);
	frame_unref(both);
	arena_destroy(mem);
}
END_TEST

TESTS("frame", every_cut_in_two_reads_the_same, every_two_cuts_read_the_same, single_bytes_read_the_same,
	what_the_protocol_forbids_closes_with_1002, what_is_not_utf8_closes_with_1007, all_of_utf8_passes,
	close_codes_are_those_a_peer_may_send, too_long_a_message_closes_with_1009_before_it_is_here,
	text_fails_at_its_first_wrong_byte_in_the_middle_of_a_frame, binary_is_not_asked_to_be_text,
	a_compressed_message_is_put_together_and_not_looked_at,
	rsv1_stands_on_the_first_frame_of_a_message_where_it_was_agreed_and_nowhere_else,
	random_bytes_never_break_the_parser, frames_out_have_the_shortest_header,
	a_long_reason_is_cut_at_a_character,
	several_texts_of_one_event_are_frames_one_after_the_other_and_never_compressed)
