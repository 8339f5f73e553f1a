#include "services/gateway/deflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/unit/main.h"

#define LEAST 64
#define MOST  65536

/* As a client would: with a window of so many bits, and what leaves the inflater taken in small portions, so that it has only its
 * window to look back into. */
static size_t client_inflates(const struct frame *frame, int bits, uint8_t *out, size_t size)
{
	static const uint8_t tail[4] = {0, 0, 0xff, 0xff};
	z_stream z = {0};
	size_t length = 0, done = 0;
	const uint8_t *payload = frame_payload(frame, &length);
	uint8_t *whole = malloc(length + 4);

	memcpy(whole, payload, length);
	memcpy(whole + length, tail, 4);
	ck_assert_int_eq(inflateInit2(&z, -bits), Z_OK);
	z.next_in = whole;
	z.avail_in = (uInt)(length + 4);
	do {
		size_t portion = size - done < 40 ? size - done : 40;
		ck_assert_uint_gt(portion, 0);
		z.next_out = out + done;
		z.avail_out = (uInt)portion;
		int rv = inflate(&z, Z_SYNC_FLUSH);
		ck_assert_msg(rv == Z_OK || rv == Z_BUF_ERROR, "%d", rv);
		done += portion - z.avail_out;
	} while (z.avail_out == 0);
	ck_assert_uint_eq(z.avail_in, 0);
	inflateEnd(&z);
	free(whole);
	return done;
}

/* Text with repetitions at every distance, seeded. */
static void some_text(char *out, size_t length, unsigned seed)
{
	static const char *const words[] = {"\"channel_id\":", "\"01234567-89ab-8c00-8400-", "hello ", "world ", "0123456789", "},{", "a", "zz"};
	size_t at = 0;

	srand(seed);
	while (at < length) {
		const char *word = words[(size_t)rand() % (sizeof words / sizeof *words)];
		for (; *word != '\0' && at < length; word++)
			out[at++] = *word;
		if (at < length)
			out[at++] = (char)('a' + rand() % 26);
	}
}

START_TEST(what_is_compressed_is_what_a_client_with_that_window_reads)
{
	static const size_t lengths[] = {LEAST, 300, 1000, 5000, 40000, 200000};
	static const struct {
		enum deflate_class class;
		int bits;
	} rows[] = {{DEFLATE_FULL, 15}, {DEFLATE_SMALL, 8}, {DEFLATE_SMALL, 9}, {DEFLATE_SMALL, 14}};
	struct deflate *d = deflate_create(6, LEAST);
	char *text = malloc(200000), *got = malloc(200041);

	for (unsigned round = 0; round < 5; round++) {
		for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
			some_text(text, lengths[i], round * 100 + (unsigned)i);
			struct frame *frame = frame_make(FRAME_TEXT, text, lengths[i]);
			for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
				struct frame *packed = deflate_frame(d, frame, rows[k].class);
				if (packed == frame)
					continue; /* a short one may not gain anything */
				ck_assert_uint_eq(packed->bytes[0], 0xc1);
				ck_assert_uint_lt(packed->length, frame->length);
				ck_assert_uint_eq(client_inflates(packed, rows[k].bits, (uint8_t *)got, 200041), lengths[i]);
				ck_assert_mem_eq(got, text, lengths[i]);
			}
			ck_assert(lengths[i] < 1000 || frame->packed[0] != frame);
			frame_unref(frame);
		}
	}
	deflate_destroy(d);
	free(text);
	free(got);
}
END_TEST

START_TEST(a_frame_is_compressed_once_for_each_class_and_only_when_asked)
{
	struct deflate *d = deflate_create(6, LEAST);
	char text[1000];

	some_text(text, sizeof text, 1);
	struct frame *frame = frame_make(FRAME_TEXT, text, sizeof text);
	ck_assert_ptr_null(frame->packed[0]);
	ck_assert_ptr_null(frame->packed[1]);
	struct frame *full = deflate_frame(d, frame, DEFLATE_FULL);
	for (int i = 0; i < 9; i++)
		ck_assert_ptr_eq(deflate_frame(d, frame, DEFLATE_FULL), full);
	ck_assert_uint_eq(deflate_counts(d)->compressed, 1);
	ck_assert_uint_eq(deflate_counts(d)->sent, 10);
	ck_assert_uint_eq(deflate_counts(d)->saved, 10 * (frame->length - full->length));
	ck_assert_ptr_ne(deflate_frame(d, frame, DEFLATE_SMALL), full);
	ck_assert_uint_eq(deflate_counts(d)->compressed, 2);
	/* The twin outlives the frame where a queue holds it. */
	frame_ref(full);
	frame_unref(frame);
	ck_assert_uint_eq(full->refs, 1);
	frame_unref(full);
	deflate_destroy(d);
}
END_TEST

START_TEST(short_frames_and_those_that_gain_nothing_go_as_they_are)
{
	struct deflate *d = deflate_create(6, LEAST);
	uint8_t noise[500];

	memset(noise, 'a', sizeof noise);
	struct frame *brief = frame_make(FRAME_TEXT, noise, LEAST - 1);
	ck_assert_ptr_eq(deflate_frame(d, brief, DEFLATE_FULL), brief);
	ck_assert_uint_eq(deflate_counts(d)->compressed, 0);
	frame_unref(brief);
	srand(7);
	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)rand();
	struct frame *frame = frame_make(FRAME_BINARY, noise, sizeof noise);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(deflate_frame(d, frame, DEFLATE_SMALL), frame);
	ck_assert_uint_eq(deflate_counts(d)->compressed, 1); /* tried once */
	ck_assert_uint_eq(deflate_counts(d)->sent, 0);
	frame_unref(frame);
	deflate_destroy(d);
}
END_TEST

/* ---- what comes */

static enum frame_step inflates(struct deflate *d, const void *bytes, size_t length, struct frame_in *in)
{
	static uint8_t copy[1 << 20];

	ck_assert_uint_le(length, sizeof copy);
	memcpy(copy, bytes, length);
	*in = (struct frame_in){.opcode = FRAME_TEXT, .bytes = copy, .length = length, .compressed = true};
	return deflate_message(d, MOST, in);
}

START_TEST(the_examples_of_the_rfc_are_hello)
{
	/* Section 7.2.3: one block; two; no compression; a last block and the byte behind it; and the same without the byte. */
	static const struct {
		const char *bytes;
		size_t length;
	} rows[] = {{"\xf2\x48\xcd\xc9\xc9\x07\x00", 7}, {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13},
		{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11}, {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8},
		{"\xf3\x48\xcd\xc9\xc9\x07\x00", 7}};
	struct deflate *d = deflate_create(6, LEAST);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct frame_in in;
		ck_assert_msg(inflates(d, rows[i].bytes, rows[i].length, &in) == FRAME_STEP_MESSAGE, "row %zu", i);
		ck_assert_uint_eq(in.length, 5);
		ck_assert_mem_eq(in.bytes, "Hello", 5);
		ck_assert(!in.compressed);
	}
	ck_assert_uint_eq(deflate_counts(d)->inflated, 5);
	deflate_destroy(d);
}
END_TEST

START_TEST(an_empty_message_is_empty_however_it_is_written)
{
	struct deflate *d = deflate_create(6, LEAST);
	struct frame_in in;

	ck_assert_int_eq(inflates(d, "\x00", 1, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, 0);
	ck_assert_int_eq(inflates(d, "\x02\x00", 2, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, 0);
	ck_assert_int_eq(inflates(d, "", 0, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, 0);
	deflate_destroy(d);
}
END_TEST

/* What a client sends for bytes: one sync flush, without its tail; or every portion as a last block of its own. */
static size_t client_deflates(const void *bytes, size_t length, uint8_t *out, size_t size)
{
	z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)length, .next_out = out, .avail_out = (uInt)size};

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_uint_gt(z.avail_out, 0);
	deflateEnd(&z);
	return size - z.avail_out - 4;
}

START_TEST(a_message_of_the_limit_passes_and_a_byte_more_is_1009)
{
	struct deflate *d = deflate_create(6, LEAST);
	static char text[MOST + 1];
	static uint8_t packed[MOST];
	struct frame_in in;

	memset(text, 'x', sizeof text);
	size_t length = client_deflates(text, MOST, packed, sizeof packed);
	ck_assert_int_eq(inflates(d, packed, length, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, MOST);
	length = client_deflates(text, MOST + 1, packed, sizeof packed);
	ck_assert_int_eq(inflates(d, packed, length, &in), FRAME_STEP_FAILED);
	ck_assert_uint_eq(in.code, 1009);
	deflate_destroy(d);
}
END_TEST

START_TEST(a_bomb_is_1009_and_the_next_message_is_read)
{
	struct deflate *d = deflate_create(6, LEAST);
	size_t size = 64u << 20;
	char *zeros = calloc(1, size);
	uint8_t *packed = malloc(1 << 20);
	struct frame_in in;

	size_t length = client_deflates(zeros, size, packed, 1 << 20);
	ck_assert_uint_lt(length, 100000);
	ck_assert_int_eq(inflates(d, packed, length, &in), FRAME_STEP_FAILED);
	ck_assert_uint_eq(in.code, 1009);
	ck_assert_int_eq(inflates(d, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, &in), FRAME_STEP_MESSAGE);
	ck_assert_mem_eq(in.bytes, "Hello", 5);
	free(zeros);
	free(packed);
	deflate_destroy(d);
}
END_TEST

START_TEST(what_is_not_whole_blocks_or_not_text_is_1007)
{
	static const struct {
		const char *bytes;
		size_t length;
	} rows[] = {{"\xff\xff\xff", 3}, {"\x06", 1}, {"\xf2\x48\xcd\xc9", 4}, /* cut */
		{"\x00\x05\x00\xfa\xff\x48\x65", 7},			       /* a stored block that says more than it has */
		{"\x00\x05\x00\xfb\xff", 5},				       /* lengths that do not fit */
		{"\x00\x02\x00\xfd\xff\xc3\x28\x00", 8},		       /* not UTF-8 */
		{"\x00\x01\x00\xfe\xff\xc3\x00", 7},			       /* half a character */
		{"\x01\x00\x00\xff\xff\xff\xff", 7}, {"\x4a\x04\x06\x00", 4} /* behind the beginning */};
	struct deflate *d = deflate_create(6, LEAST);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct frame_in in;
		ck_assert_msg(inflates(d, rows[i].bytes, rows[i].length, &in) == FRAME_STEP_FAILED, "row %zu", i);
		ck_assert_uint_eq(in.code, 1007);
	}
	deflate_destroy(d);
}
END_TEST

START_TEST(nothing_of_one_message_is_known_in_the_next)
{
	struct deflate *d = deflate_create(6, LEAST);
	struct frame_in in;
	uint8_t packed[256];
	z_stream z = {.next_in = (Bytef *)"Hello, hello again", .avail_in = 18, .next_out = packed, .avail_out = sizeof packed};

	/* A client that keeps its context all the same. */
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	size_t first = sizeof packed - z.avail_out;
	ck_assert_int_eq(inflates(d, packed, first - 4, &in), FRAME_STEP_MESSAGE);
	z.next_in = (Bytef *)"Hello, hello again";
	z.avail_in = 18;
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_int_eq(inflates(d, packed + first, sizeof packed - z.avail_out - first - 4, &in), FRAME_STEP_FAILED);
	ck_assert_uint_eq(in.code, 1007);
	deflateEnd(&z);
	deflate_destroy(d);
}
END_TEST

START_TEST(last_blocks_may_follow_each_other_and_look_back_but_not_for_ever)
{
	struct deflate *d = deflate_create(6, LEAST);
	static const uint8_t empty_last[] = {0x03, 0x00};
	uint8_t bytes[2 * 300 + 1];
	struct frame_in in;

	/* "Hello" in a last block, then a block that says only where to find it. */
	uint8_t both[64] = {0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
	z_stream z = {.next_in = (Bytef *)"Hello", .avail_in = 5, .next_out = both + 7, .avail_out = sizeof both - 7};
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflateSetDictionary(&z, (const Bytef *)"Hello", 5), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	deflateEnd(&z);
	ck_assert_ptr_null(memmem(both + 7, sizeof both - 7 - z.avail_out, "ell", 3));
	ck_assert_int_eq(inflates(d, both, sizeof both - z.avail_out - 4, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, 10);
	ck_assert_mem_eq(in.bytes, "HelloHello", 10);
	for (size_t i = 0; i < 300; i++)
		memcpy(bytes + 2 * i, empty_last, 2);
	ck_assert_int_eq(inflates(d, bytes, 2 * 200, &in), FRAME_STEP_MESSAGE);
	ck_assert_uint_eq(in.length, 0);
	ck_assert_int_eq(inflates(d, bytes, 2 * 300, &in), FRAME_STEP_FAILED);
	ck_assert_uint_eq(in.code, 1007);
	deflate_destroy(d);
}
END_TEST

TESTS("deflate", what_is_compressed_is_what_a_client_with_that_window_reads,
	a_frame_is_compressed_once_for_each_class_and_only_when_asked, short_frames_and_those_that_gain_nothing_go_as_they_are,
	the_examples_of_the_rfc_are_hello, an_empty_message_is_empty_however_it_is_written,
	a_message_of_the_limit_passes_and_a_byte_more_is_1009, a_bomb_is_1009_and_the_next_message_is_read,
	what_is_not_whole_blocks_or_not_text_is_1007, nothing_of_one_message_is_known_in_the_next,
	last_blocks_may_follow_each_other_and_look_back_but_not_for_ever)
