#include "common/events/media.h"

#include <string.h>

#include "tests/unit/main.h"

#define KNOWN(bytes) media_type(bytes, sizeof bytes - 1)

START_TEST(a_type_is_found_by_the_bytes_alone)
{
	ck_assert_str_eq(KNOWN("\x89PNG\r\n\x1A\n...."), "image/png");
	ck_assert_str_eq(KNOWN("\xFF\xD8\xFF\xE0"), "image/jpeg");
	ck_assert_str_eq(KNOWN("GIF89a"), "image/gif");
	ck_assert_str_eq(KNOWN("RIFF....WEBPVP8 "), "image/webp");
	ck_assert_str_eq(KNOWN("RIFF....WAVEfmt "), "audio/wav");
	ck_assert_str_eq(KNOWN("RIFF....WEBP"), "text/plain; charset=utf-8");
	ck_assert_str_eq(KNOWN("\x00\x00\x00\x18""ftypM4A "), "audio/mp4");
	ck_assert_str_eq(KNOWN("\x00\x00\x00\x18""ftypisom"), "video/mp4");
	ck_assert_str_eq(KNOWN("PK\x03\x04\x14"), "application/zip");
	ck_assert_str_eq(KNOWN("\xFF\xFB\x90\x64"), "audio/mpeg");
	ck_assert_str_eq(KNOWN("MZ\x90\x00\x03"), "application/octet-stream");
}
END_TEST

START_TEST(what_a_browser_would_run_is_text_or_has_to_be_saved)
{
	ck_assert_str_eq(KNOWN("<html><script>alert(1)</script>"), "text/plain; charset=utf-8");
	ck_assert_str_eq(KNOWN("<svg onload=alert(1)>"), "text/plain; charset=utf-8");
	ck_assert(media_shown("text/plain; charset=utf-8"));
	ck_assert(media_shown("image/png"));
	ck_assert(!media_shown("application/pdf"));
	ck_assert(!media_shown("application/octet-stream"));
	ck_assert(!media_shown("text/html"));
	ck_assert(!media_shown("image/svg+xml"));
}
END_TEST

START_TEST(text_is_utf8_without_control_characters)
{
	char long_text[MEDIA_LOOK_BYTES + 1];

	ck_assert_str_eq(KNOWN("a"), "text/plain; charset=utf-8");
	ck_assert_str_eq(KNOWN("gr\xC3\xBC\xC3\x9F\r\n\tdich"), "text/plain; charset=utf-8");
	ck_assert_str_eq(KNOWN("a\x01"), "application/octet-stream");
	ck_assert_str_eq(KNOWN("a\x00"), "application/octet-stream");
	ck_assert_str_eq(KNOWN("a\xC3"), "application/octet-stream");
	/* Where only the beginning was looked at, a character may be cut in two. */
	memset(long_text, 'a', sizeof long_text);
	memcpy(long_text + MEDIA_LOOK_BYTES - 1, "\xC3", 1);
	ck_assert_str_eq(media_type(long_text, MEDIA_LOOK_BYTES), "text/plain; charset=utf-8");
	long_text[5] = (char)0xC3;
	ck_assert_str_eq(media_type(long_text, MEDIA_LOOK_BYTES), "application/octet-stream");
}
END_TEST

START_TEST(a_name_loses_folders_and_blanks_and_keeps_its_end)
{
	struct arena *mem = arena_create();
	char long_name[300];

	ck_assert_str_eq(media_name(mem, "  a b.txt "), "a b.txt");
	ck_assert_str_eq(media_name(mem, "C:\\fakepath\\../x.png"), "x.png");
	ck_assert_ptr_null(media_name(mem, "  "));
	ck_assert_ptr_null(media_name(mem, "folder/"));
	ck_assert_ptr_null(media_name(mem, "a\nb"));
	ck_assert_ptr_null(media_name(mem, "a\xFF"));
	ck_assert_ptr_null(media_name(mem, ""));
	ck_assert_ptr_null(media_name(mem, "a/.."));
	ck_assert_ptr_null(media_name(mem, " . "));
	ck_assert_ptr_null(media_name(mem, "a\x7F"));
	ck_assert_ptr_null(media_name(mem, "a\xC2\x85"));
	ck_assert_ptr_null(media_name(mem, "a\xE2\x80\xA8" "b"));
	ck_assert_str_eq(media_name(mem, "..."), "...");
	ck_assert_str_eq(media_name(mem, "\xE2\x80\xAEgnp.exe\xE2\x81\xA9 "), "gnp.exe");
	ck_assert_str_eq(media_name(mem, "\xD7\x90\xE2\x80\x8F\xC2\xA0.png"), "\xD7\x90\xE2\x80\x8F\xC2\xA0.png");
	memset(long_name, 'a', sizeof long_name);
	long_name[256] = '\0';
	ck_assert_ptr_null(media_name(mem, long_name));
	long_name[255] = '\0';
	ck_assert_ptr_nonnull(media_name(mem, long_name));
	ck_assert_str_eq(media_extension(mem, "a.tar.gz"), "gz");
	ck_assert_str_eq(media_extension(mem, "a.png."), "png");
	ck_assert_str_eq(media_extension(mem, ".profile"), "");
	ck_assert_str_eq(media_extension(mem, "none"), "");
	arena_destroy(mem);
}
END_TEST

TESTS("media", a_type_is_found_by_the_bytes_alone, what_a_browser_would_run_is_text_or_has_to_be_saved,
	text_is_utf8_without_control_characters, a_name_loses_folders_and_blanks_and_keeps_its_end)
