/* What stays of a picture's file: of files as libvips writes them, with all that it can put beside a picture, and of parts by hand. */
#include "services/preview/strip.h"

#include <stdio.h>
#include <string.h>
#include <vips/vips.h>

#include "tests/unit/main.h"

static struct strip plan;

struct file {
	unsigned char bytes[65536];
	size_t length;
};

static void append(struct file *to, const void *bytes, size_t length)
{
	ck_assert_uint_le(to->length + length, sizeof to->bytes);
	memcpy(to->bytes + to->length, bytes, length);
	to->length += length;
}
#define APPEND(to, text) append(to, text, sizeof text - 1)

static bool strips(const struct file *of, struct file *out)
{
	out->length = 0;
	if (!strip_plan(of->bytes, of->length, &plan))
		return false;
	for (uint32_t i = 0; i < plan.answer.count; i++) {
		const struct strip_piece *piece = &plan.pieces[i];
		if (piece->at >= STRIP_MADE)
			append(out, plan.answer.made + (piece->at - STRIP_MADE), piece->length);
		else
			append(out, of->bytes + piece->at, piece->length);
	}
	return true;
}

static bool has(const struct file *file, const char *text)
{
	return memmem(file->bytes, file->length, text, strlen(text)) != NULL;
}

/* ---- files of libvips */

static const char *const kinds[] = {".jpg", ".png", ".gif", ".webp"};

/* EXIF with words, a place, and how it is to be turned; as JPEG has it. */
static const char exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\x03"
			   "\x01\x0E\0\x02\0\0\0\x0C\0\0\0\x32" /* words, at 50 */
			   "\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
			   "\x88\x25\0\x04\0\0\0\x01\0\0\0\x3E" /* a place, at 62 */
			   "\0\0\0\0"
			   "SECRET word\0"
			   "\0\x01\0\x1D\0\x02\0\0\0\x0B\0\0\0\x50\0\0\0\0" /* date of the position, at 80 */
			   "2026:11:22\0";

/* Of what libvips writes of it in this kind of file; NULL fields are left out. */
static void written(const char *kind, bool with_all, struct file *out)
{
	VipsImage *black = NULL, *image = NULL;
	void *bytes = NULL;
	size_t length = 0;
	const double colour[] = {1, 2, 3}, base[] = {200, 100, 50};

	/* Noise would be as good; a gradient makes every pixel differ from its mirrored one. */
	ck_assert_int_eq(vips_xyz(&black, 40, 24, NULL), 0);
	VipsImage *first = NULL, *three = NULL, *sum = NULL;
	ck_assert_int_eq(vips_extract_band(black, &first, 0, NULL), 0);
	ck_assert_int_eq(vips_bandjoin2(first, first, &three, NULL), 0);
	g_object_unref(black);
	ck_assert_int_eq(vips_bandjoin2(three, first, &sum, NULL), 0);
	ck_assert_int_eq(vips_linear(sum, &image, colour, base, 3, "uchar", TRUE, NULL), 0);
	g_object_unref(first);
	g_object_unref(three);
	g_object_unref(sum);
	ck_assert_int_eq(vips_copy(image, &black, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
	g_object_unref(image);
	image = black;
	if (with_all) {
		vips_image_set_blob_copy(image, VIPS_META_EXIF_NAME, exif, sizeof exif - 1);
		vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
		vips_image_set_blob_copy(image, VIPS_META_XMP_NAME, "<x:xmpmeta>SECRET place</x:xmpmeta>", 35);
		vips_image_set_blob_copy(image, VIPS_META_IPTC_NAME, "Photoshop 3.0\0SECRET caption", 28);
		vips_image_set_string(image, "png-comment-0-Comment", "SECRET comment");
		vips_image_set_string(image, "gif-comment", "SECRET comment");
	}
	ck_assert_int_eq(vips_image_write_to_buffer(image, kind, &bytes, &length,
		strcmp(kind, ".gif") == 0 || !with_all ? NULL : "profile", strcmp(kind, ".gif") == 0 ? NULL : "srgb", NULL), 0);
	out->length = 0;
	append(out, bytes, length);
	g_free(bytes);
	g_object_unref(image);
}

struct seen {
	void *pixels;
	size_t length;
	int width, height, turn;
	size_t profile;
};

static struct seen seen(const struct file *file)
{
	VipsImage *image = vips_image_new_from_buffer(file->bytes, file->length, "", NULL);
	struct seen s = {0};
	const void *profile = NULL;

	ck_assert_ptr_nonnull(image);
	s.width = vips_image_get_width(image);
	s.height = vips_image_get_height(image);
	s.turn = vips_image_get_orientation(image);
	if (vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0)
		vips_image_get_blob(image, VIPS_META_ICC_NAME, &profile, &s.profile);
	s.pixels = vips_image_write_to_memory(image, &s.length);
	ck_assert_ptr_nonnull(s.pixels);
	g_object_unref(image);
	return s;
}

static void assert_same(const struct file *one, const struct file *other)
{
	struct seen a = seen(one), b = seen(other);

	ck_assert_int_eq(a.width, b.width);
	ck_assert_int_eq(a.height, b.height);
	ck_assert_int_eq(a.turn, b.turn);
	ck_assert_uint_eq(a.profile, b.profile);
	ck_assert_uint_eq(a.length, b.length);
	ck_assert_mem_eq(a.pixels, b.pixels, a.length);
	g_free(a.pixels);
	g_free(b.pixels);
}

START_TEST(a_picture_without_what_is_beside_it_has_the_same_pixels_colours_and_top)
{
	struct file whole, bare, again;

	ck_assert_int_eq(VIPS_INIT("strip"), 0);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		written(kinds[i], true, &whole);
		if (strcmp(kinds[i], ".gif") != 0) { /* for which it writes none */
			ck_assert_msg(has(&whole, "SECRET word"), "%s", kinds[i]);
			ck_assert_int_eq(seen(&whole).turn, 6);
		}
		APPEND(&whole, "SECRET behind the end");
		ck_assert_msg(strips(&whole, &bare), "%s", kinds[i]);
		ck_assert_msg(!has(&bare, "SECRET") && !has(&bare, "2026:11:22"), "%s", kinds[i]);
		assert_same(&whole, &bare);
		ck_assert_msg(strips(&bare, &again), "%s", kinds[i]);
		ck_assert_uint_eq(again.length, bare.length);
		ck_assert_mem_eq(again.bytes, bare.bytes, bare.length);
	}
}
END_TEST

START_TEST(what_ends_in_its_middle_keeps_what_there_is_of_the_picture)
{
	struct file whole, part, bare;

	ck_assert_int_eq(VIPS_INIT("strip"), 0);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t pictures = 0, last = 0;
		written(kinds[i], true, &whole);
		for (size_t n = 0; n < whole.length; n++) {
			part = whole;
			part.length = n;
			if (!strips(&part, &bare))
				continue;
			ck_assert_msg(!has(&bare, "SECRET"), "%s to %zu", kinds[i], n);
			ck_assert_msg(bare.length >= last, "%s to %zu", kinds[i], n);
			last = bare.length;
			pictures++;
		}
		ck_assert_msg(pictures > 50, "%s: %zu", kinds[i], pictures);
	}
}
END_TEST

/* ---- by hand */

#define JPEG_BEGIN "\xFF\xD8"
#define JPEG_FRAME "\xFF\xC0\0\x0B\x08\0\x01\0\x01\x01\x01\x11\0"
#define JPEG_SCAN  "\xFF\xDA\0\x08\x01\x01\0\0\x3F\0" "ab\xFF\0c\xFF\xD0" "d"
#define JPEG_END   "\xFF\xD9"

#define OF(text) ((struct file){.bytes = text, .length = sizeof text - 1})
#define ASSERT_STRIPS(whole, stays)                                                            \
	do {                                                                                   \
		struct file of = OF(whole), bare, wanted = OF(stays);                          \
		ck_assert(strips(&of, &bare));                                                 \
		ck_assert_uint_eq(bare.length, wanted.length);                                 \
		ck_assert_mem_eq(bare.bytes, wanted.bytes, bare.length);                       \
	} while (0)
#define ASSERT_NONE(whole)                                                                     \
	do {                                                                                   \
		struct file of = OF(whole), bare;                                              \
		ck_assert(!strips(&of, &bare));                                                \
	} while (0)

START_TEST(a_jpeg_keeps_its_colours_and_its_density_and_no_small_pictures)
{
	/* As it is: JFIF, a profile, Adobe's transform, tables between scans. */
	ASSERT_STRIPS(JPEG_BEGIN "\xFF\xE0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0\xFF\xE2\0\x10ICC_PROFILE\0\1\1\xFF\xEE\0\x0E" "Adobe\0\x64\0\0\0\0\0" JPEG_FRAME
			JPEG_SCAN "\xFF\xC4\0\4ab" JPEG_SCAN JPEG_END,
		JPEG_BEGIN "\xFF\xE0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0\xFF\xE2\0\x10ICC_PROFILE\0\1\1\xFF\xEE\0\x0E" "Adobe\0\x64\0\0\0\0\0" JPEG_FRAME
			JPEG_SCAN "\xFF\xC4\0\4ab" JPEG_SCAN JPEG_END);
	/* Small pictures in and beside JFIF, a second picture's table, Photoshop, comments also between scans, the second picture. */
	ASSERT_STRIPS(JPEG_BEGIN "\xFF\xE0\0\x13JFIF\0\1\2\0\0\1\0\1\1\1RGB\xFF\xE0\0\x08JFXX\0\x10\xFF\xE2\0\6MPF\0\xFF\xED\0\x0BPhotoshop\xFF\xFE\0\4hi"
			"\xFF\xE1\0\x0Dhttp://ns.a" JPEG_FRAME JPEG_SCAN "\xFF\xFE\0\4hi" JPEG_SCAN JPEG_END JPEG_BEGIN JPEG_FRAME JPEG_SCAN JPEG_END,
		JPEG_BEGIN "\xFF\xE0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0" JPEG_FRAME JPEG_SCAN JPEG_SCAN JPEG_END);
	/* Bytes between segments mean nothing to decoders; fill bytes stay where they are data. */
	ASSERT_STRIPS(JPEG_BEGIN "\xFF\xFF\xFE\0\4hi" "stray\xFF" JPEG_FRAME JPEG_SCAN "\xFF" JPEG_END,
		JPEG_BEGIN JPEG_FRAME JPEG_SCAN "\xFF" JPEG_END);
	/* Damage in a scan is for decoders to get over. */
	ASSERT_STRIPS(JPEG_BEGIN JPEG_FRAME JPEG_SCAN "\xFF\x3A" "a\xFF\xF1" "b\xFF\xD8" JPEG_END,
		JPEG_BEGIN JPEG_FRAME JPEG_SCAN "\xFF\x3A" "a\xFF\xF1" "b\xFF\xD8" JPEG_END);
}
END_TEST

#define EXIF(order, entries) JPEG_BEGIN "\xFF\xE1\0\x22" "Exif\0\0" order entries JPEG_FRAME JPEG_SCAN JPEG_END
#define BIG                  "MM\0*\0\0\0\x08\0\1"
#define LITTLE               "II*\0\x08\0\0\0\1\0"

START_TEST(how_a_picture_is_turned_is_told_once_and_nothing_when_it_stands_upright)
{
	ASSERT_STRIPS(EXIF(LITTLE, "\x12\1\3\0\1\0\0\0\x08\0xx\0\0\0\0"), EXIF(BIG, "\1\x12\0\3\0\0\0\1\0\x08\0\0\0\0\0\0"));
	ASSERT_STRIPS(EXIF(BIG, "\1\x12\0\3\0\0\0\1\0\1\0\0\0\0\0\0"), JPEG_BEGIN JPEG_FRAME JPEG_SCAN JPEG_END);
	ASSERT_STRIPS(EXIF(BIG, "\1\x12\0\3\0\0\0\1\0\x09\0\0\0\0\0\0"), JPEG_BEGIN JPEG_FRAME JPEG_SCAN JPEG_END);
	ASSERT_STRIPS(EXIF(BIG, "\1\x12\0\4\0\0\0\1\0\0\0\3\0\0\0\0"), JPEG_BEGIN JPEG_FRAME JPEG_SCAN JPEG_END);
	ASSERT_STRIPS(EXIF("MM\0*\xFF\xFF\xFF\xFF\0\1", "\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"), JPEG_BEGIN JPEG_FRAME JPEG_SCAN JPEG_END);
	/* The first of two counts. */
	ASSERT_STRIPS(JPEG_BEGIN "\xFF\xE1\0\x22" "Exif\0\0" BIG "\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0" "\xFF\xE1\0\x22" "Exif\0\0" BIG
			"\1\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0" JPEG_FRAME JPEG_SCAN JPEG_END,
		EXIF(BIG, "\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"));
}
END_TEST

#define PNG_BEGIN "\x89PNG\r\n\x1A\n\0\0\0\1IHDRxcccc"
#define PNG_MOVES "\0\0\0\1acTLxcccc\0\0\0\1fcTLxcccc"
#define PNG_END   "\0\0\0\2IDATabcccc\0\0\0\1fdATxcccc\0\0\0\0IENDcccc"

START_TEST(a_png_keeps_its_colours_and_its_frames_and_no_words)
{
	ASSERT_STRIPS(PNG_BEGIN "\0\0\0\1iCCPxcccc\0\0\0\1pHYsxcccc\0\0\0\1gAMAxcccc" PNG_MOVES PNG_END,
		PNG_BEGIN "\0\0\0\1iCCPxcccc\0\0\0\1pHYsxcccc\0\0\0\1gAMAxcccc" PNG_MOVES PNG_END);
	ASSERT_STRIPS(PNG_BEGIN "\0\0\0\1tEXtxcccc\0\0\0\1zTXtxcccc\0\0\0\1iTXtxcccc\0\0\0\7tIMExxxxxxxcccc\0\0\0\1caBXxcccc" PNG_MOVES PNG_END
				"\0\0\0\1tEXtxcccc",
		PNG_BEGIN PNG_MOVES PNG_END);
	ASSERT_STRIPS(PNG_BEGIN "\0\0\0\x1A" "eXIfII*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0xx\0\0\0\0cccc" PNG_END,
		PNG_BEGIN "\0\0\0\x1A" "eXIfMM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0\xD6\x67\x4B\x69" PNG_END);
}
END_TEST

#define GIF_BEGIN "GIF89a\1\0\1\0\x80\0\0rgbRGB"
#define GIF_LOOP  "\x21\xFF\x0BNETSCAPE2.0\3\1\0\0\0"
#define GIF_FRAME "\x21\xF9\4\0\0\0\0\0\x2C\0\0\0\0\1\0\1\0\x80rgbRGB\2\2ab\1c\0"

START_TEST(a_gif_keeps_its_frames_and_how_often_they_are_shown_and_no_words)
{
	ASSERT_STRIPS(GIF_BEGIN GIF_LOOP GIF_FRAME GIF_FRAME ";", GIF_BEGIN GIF_LOOP GIF_FRAME GIF_FRAME ";");
	ASSERT_STRIPS(GIF_BEGIN "\x21\xFE\2hi\2hi\0" GIF_LOOP "\x21\xFF\x0BXMP DataXMP\5<xmp>\0" GIF_FRAME "\0\x21\1\1x\0" GIF_FRAME "\x21\xFE\1x\0;more",
		GIF_BEGIN GIF_LOOP GIF_FRAME GIF_FRAME ";");
	/* What an application is called has to be in its own block. */
	ASSERT_STRIPS(GIF_BEGIN GIF_FRAME "\x21\xFF\0NETSCAPE2.0", GIF_BEGIN GIF_FRAME);
}
END_TEST

START_TEST(a_webp_says_how_long_it_is_and_what_is_in_it_afterwards)
{
	ASSERT_STRIPS("RIFF\x0E\0\0\0WEBPVP8L\1\0\0\0x\0", "RIFF\x0E\0\0\0WEBPVP8L\1\0\0\0x\0");
	ASSERT_STRIPS("RIFF\x4E\0\0\0WEBPVP8X\x0A\0\0\0\x3E\0\0\0\0\0\0\0\0\0ICCP\2\0\0\0iiVP8 \2\0\0\0xxEXIF\6\0\0\0Exif\0\0XMP \3\0\0\0<x>\0odd!\2\0\0\0xxmore",
		"RIFF\x2A\0\0\0WEBPVP8X\x0A\0\0\0\x32\0\0\0\0\0\0\0\0\0ICCP\2\0\0\0iiVP8 \2\0\0\0xx");
	ASSERT_STRIPS("RIFF\x46\0\0\0WEBPVP8X\x0A\0\0\0\x08\0\0\0\0\0\0\0\0\0VP8 \2\0\0\0xxEXIF\x1E\0\0\0II*\0\x0C\0\0\0xxxx\1\0\x12\1\3\0\1\0\0\0\5\0xx\0\0\0\0",
		"RIFF\x42\0\0\0WEBPVP8X\x0A\0\0\0\x08\0\0\0\0\0\0\0\0\0VP8 \2\0\0\0xxEXIF\x1A\0\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\5\0\0\0\0\0\0");
}
END_TEST

START_TEST(what_is_damaged_between_its_parts_ends_there)
{
	ASSERT_STRIPS(JPEG_BEGIN JPEG_FRAME JPEG_SCAN "\xFF\xC4\0\4ab\xFF\x02\0\4hi" JPEG_SCAN, JPEG_BEGIN JPEG_FRAME JPEG_SCAN "\xFF\xC4\0\4ab");
	ASSERT_STRIPS(PNG_BEGIN "\0\0\0\2IDATabcccc\0\0\0\4tE\xFFtSOME", PNG_BEGIN "\0\0\0\2IDATabcccc");
	ASSERT_STRIPS(GIF_BEGIN GIF_FRAME "some" GIF_FRAME, GIF_BEGIN GIF_FRAME);
}
END_TEST

START_TEST(what_is_no_picture_has_nothing_that_stays)
{
	ASSERT_NONE("");
	ASSERT_NONE("hello");
	ASSERT_NONE("\xFF\xD8\xFF");
	ASSERT_NONE(JPEG_BEGIN "\xFF\xE0\0\x10JFIF");
	ASSERT_NONE(JPEG_BEGIN JPEG_SCAN JPEG_END);
	ASSERT_NONE(JPEG_BEGIN JPEG_FRAME JPEG_END JPEG_SCAN);
	ASSERT_NONE(JPEG_BEGIN JPEG_FRAME "\xFF\x02\0\2" JPEG_SCAN JPEG_END);
	ASSERT_NONE(JPEG_BEGIN "\xFF\xFE\0\1" JPEG_FRAME JPEG_SCAN JPEG_END);
	ASSERT_NONE("\x89PNG\r\n\x1A\n");
	ASSERT_NONE("\x89PNG\r\n\x1A\n\0\0\0\1IDATxcccc");
	ASSERT_NONE(PNG_BEGIN "\0\0\0\1JDATxcccc" PNG_END);
	ASSERT_NONE(PNG_BEGIN "\xFF\xFF\xFF\xFF" "tEXt" PNG_END);
	ASSERT_NONE(PNG_BEGIN "\0\0\0\1t\0Xtxcccc" PNG_END);
	ASSERT_NONE("GIF89a");
	ASSERT_NONE(GIF_BEGIN ";");
	ASSERT_NONE(GIF_BEGIN "x" GIF_FRAME);
	ASSERT_NONE("RIFF\0\0\0\0WEBP");
	ASSERT_NONE("RIFF\x04\0\0\0WEBP");
	ASSERT_NONE("RIFF\x0E\0\0\0WEBPXMP \1\0\0\0x\0");
}
END_TEST

START_TEST(more_parts_than_there_is_room_for_are_refused)
{
	static char bytes[sizeof GIF_BEGIN + (STRIP_PIECES_MOST + 1) * (sizeof GIF_FRAME + 6)];
	size_t length = sizeof GIF_BEGIN - 1;

	memcpy(bytes, GIF_BEGIN, length);
	for (int i = 0; i <= STRIP_PIECES_MOST; i++) {
		memcpy(bytes + length, GIF_FRAME, sizeof GIF_FRAME - 1);
		length += sizeof GIF_FRAME - 1;
		if (i == STRIP_PIECES_MOST - 1)
			ck_assert(strip_plan(bytes, length, &plan));
		memcpy(bytes + length, "\x21\xFE\1x\0", 5);
		length += 5;
	}
	ck_assert(!strip_plan(bytes, length, &plan));
}
END_TEST

TESTS("strip", a_picture_without_what_is_beside_it_has_the_same_pixels_colours_and_top,
	what_ends_in_its_middle_keeps_what_there_is_of_the_picture, a_jpeg_keeps_its_colours_and_its_density_and_no_small_pictures,
	how_a_picture_is_turned_is_told_once_and_nothing_when_it_stands_upright, a_png_keeps_its_colours_and_its_frames_and_no_words,
	a_gif_keeps_its_frames_and_how_often_they_are_shown_and_no_words, a_webp_says_how_long_it_is_and_what_is_in_it_afterwards,
	what_is_damaged_between_its_parts_ends_there, what_is_no_picture_has_nothing_that_stays, more_parts_than_there_is_room_for_are_refused)
