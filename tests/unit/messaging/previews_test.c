/* The program that makes previews, played by scripts: whatever it does, the caller gets an answer in time. */
#include "services/messaging/previews.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/main.h"
#include "tests/unit/messaging/file_memory.h"

#define SOON  (clock_mono_ms() + 60000)
#define GOOD  {.magic = PREVIEW_MAGIC, .width = 30, .height = 20, .format = PREVIEW_JPEG, .preview_width = 3, .preview_height = 2, .length = 5}

static char directory[] = "/tmp/guildhall-previews-XXXXXX";
static char script[64], said[64];
static struct arena *mem;
static struct preview preview;
static struct stripped stripped;
static struct picture picture = {.upload = "picture", .bytes = 7};

static void write_file(const char *path, const void *bytes, size_t length, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
	close(fd);
}

static void begin(void)
{
	mem = arena_create();
	picture.store = file_memory_create();
	ck_assert_int_eq(file_put(picture.store, picture.upload, 0, &(struct iovec){(char *)"picture", 7}, 1), STATUS_OK);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(script, sizeof script, "%s/program", directory);
	snprintf(said, sizeof said, "%s/said", directory);
}

static void end(void)
{
	unlink(script);
	unlink(said);
	rmdir(directory);
	file_store_destroy(picture.store);
	arena_destroy(mem);
}

static struct previews *previews_of(const char *commands)
{
	const char *text = arena_printf(mem, "#!/bin/sh\n%s\n", commands);

	write_file(script, text, strlen(text), 0700);
	return previews_create(script, 1);
}

/* What comes of a picture when the program is these commands. */
static enum status made_by(const char *commands, int64_t until_mono_ms)
{
	struct previews *previews = previews_of(commands);

	enum status st = previews_make(previews, mem, &picture, until_mono_ms, &preview);
	previews_destroy(previews);
	return st;
}

static enum status stripped_by(const char *commands, int64_t until_mono_ms)
{
	struct previews *previews = previews_of(commands);

	enum status st = previews_strip(previews, mem, &picture, until_mono_ms, &stripped);
	previews_destroy(previews);
	return st;
}

/* What comes of it when the program says that these pieces stay. */
static enum status stripped_to(const struct strip_answer *answer, const struct strip_piece *pieces, size_t count)
{
	char text[sizeof *answer + 4 * sizeof *pieces];

	memcpy(text, answer, sizeof *answer);
	memcpy(text + sizeof *answer, pieces, count * sizeof *pieces);
	write_file(said, text, sizeof *answer + count * sizeof *pieces, 0600);
	return stripped_by(arena_printf(mem, "test \"$1\" = strip && cat %s", said), SOON);
}

static enum status made_from(struct preview_answer answer, size_t bytes)
{
	char text[sizeof answer + 16] = {0};

	memcpy(text, &answer, sizeof answer);
	memcpy(text + sizeof answer, "hello12345", bytes);
	write_file(said, text, sizeof answer + bytes, 0600);
	return made_by(arena_printf(mem, "cat %s", said), SOON);
}

START_TEST(what_it_says_is_the_preview)
{
	begin();
	ck_assert_int_eq(made_from((struct preview_answer)GOOD, 5), STATUS_OK);
	ck_assert_uint_eq(preview.width, 30);
	ck_assert_uint_eq(preview.preview_height, 2);
	ck_assert_uint_eq(preview.length, 5);
	ck_assert_mem_eq(preview.bytes, "hello", 5);
	ck_assert_str_eq(preview.mime, "image/jpeg");
	ck_assert_int_eq(made_from((struct preview_answer){.magic = PREVIEW_MAGIC, .width = 60000, .height = 60000}, 0), STATUS_OK);
	ck_assert_uint_eq(preview.length, 0);
	end();
}
END_TEST

START_TEST(nonsense_is_not_believed)
{
	struct preview_answer bad[] = {GOOD, GOOD, GOOD, GOOD, GOOD, GOOD, GOOD};

	begin();
	bad[0].magic++;
	bad[1].width = 0;
	bad[2].height = UINT32_MAX;
	bad[3].format = 9;
	bad[4].length = 4;
	bad[5].length = UINT32_MAX;
	bad[6].preview_width = 0;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(made_from(bad[i], 5) == STATUS_BUSY, "%zu", i);
	ck_assert_int_eq(made_by("true", SOON), STATUS_BUSY);
	end();
}
END_TEST

START_TEST(what_it_says_stays)
{
	struct strip_answer answer = {.magic = STRIP_MAGIC, .count = 3, .made_length = 2, .made = "ab"};
	const struct strip_piece good[] = {{0, 2}, {STRIP_MADE, 2}, {4, 3}};

	begin();
	ck_assert_int_eq(stripped_to(&answer, good, 3), STATUS_OK);
	ck_assert_uint_eq(stripped.count, 3);
	ck_assert_uint_eq(stripped.bytes, 7);
	ck_assert_mem_eq(stripped.made, "ab", 2);
	ck_assert_mem_eq(stripped.pieces, good, sizeof good);
	end();
}
END_TEST

START_TEST(nothing_stays_that_was_not_there)
{
	static const struct strip_piece bad[][2] = {{{0, 8}, {0, 0}}, {{8, 0}, {0, 1}}, {{3, 2}, {2, 2}}, {{0, 1}, {UINT64_MAX, 1}},
		{{0, 1}, {STRIP_MADE, 3}}, {{0, UINT64_MAX}, {0, 1}}, {{0, 0}, {STRIP_MADE, 0}}, {{STRIP_MADE + 1, 2}, {0, 1}}};
	const struct strip_answer answer = {.magic = STRIP_MAGIC, .count = 2, .made_length = 2, .made = "ab"};
	struct strip_answer wrong[] = {answer, answer, answer, answer, answer};

	begin();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(stripped_to(&answer, bad[i], 2) == STATUS_BUSY, "%zu", i);
	wrong[0].magic++;
	wrong[1].count = 1;
	wrong[2].count = 3;
	wrong[3].count = STRIP_PIECES_MOST + 1;
	wrong[4].made_length = STRIP_MADE_MOST + 1;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_msg(stripped_to(&wrong[i], (struct strip_piece[]){{0, 2}, {4, 3}}, 2) == STATUS_BUSY, "%zu", i);
	end();
}
END_TEST

START_TEST(a_crash_a_refusal_and_a_delay_are_no_preview)
{
	begin();
	ck_assert_int_eq(made_by("kill -SEGV $$", SOON), STATUS_BUSY);
	ck_assert_int_eq(made_by("exit 1", SOON), STATUS_BAD_MEDIA);
	ck_assert_int_eq(made_by("exec sleep 1000", clock_mono_ms() + 1300), STATUS_BUSY);
	struct previews *none = previews_create("/nonexistent/program", 1);
	ck_assert_int_eq(previews_make(none, mem, &picture, SOON, &preview), STATUS_NOT_IMPLEMENTED);
	ck_assert_int_eq(previews_strip(none, mem, &picture, SOON, &stripped), STATUS_NOT_IMPLEMENTED);
	previews_destroy(none);
	ck_assert_int_eq(previews_make(NULL, mem, &picture, SOON, &preview), STATUS_NOT_IMPLEMENTED);
	previews_destroy(NULL);
	end();
}
END_TEST

/* Only of what is no picture is nothing taken out: everything else may be tried again. */
START_TEST(what_could_not_be_stripped_is_told_from_what_is_no_picture)
{
	begin();
	ck_assert_int_eq(stripped_by("exit 1", SOON), STATUS_BAD_MEDIA);
	ck_assert_int_eq(stripped_by("exit 2", SOON), STATUS_BUSY);
	ck_assert_int_eq(stripped_by("kill -KILL $$", SOON), STATUS_BUSY);
	ck_assert_int_eq(stripped_by("exec sleep 1000", clock_mono_ms() + 1300), STATUS_BUSY);
	ck_assert_int_eq(stripped_by("true", SOON), STATUS_BUSY);
	picture.upload = "none";
	ck_assert_int_eq(stripped_by("exit 1", SOON), STATUS_BUSY);
	end();
}
END_TEST

START_TEST(it_cannot_change_the_picture)
{
	begin();
	ck_assert_int_eq(stripped_by("{ printf x >&0; } 2>/dev/null && exit 1; exit 2", SOON), STATUS_BUSY);
	end();
}
END_TEST

START_TEST(it_has_the_picture_and_nothing_else_of_ours)
{
	char text[256] = {0};
	int open_file = open("/dev/null", O_RDONLY); /* not closed by exec */

	begin();
	setenv("GUILDHALL_DB_URL", "secret", 1);
	made_by(arena_printf(mem, "{ cat; echo; echo \"[$GUILDHALL_DB_URL]\"; test -e /proc/$$/fd/%d && echo leaked; } > %s", open_file, said), SOON);
	int fd = open(said, O_RDONLY | O_CLOEXEC);
	ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
	close(fd);
	close(open_file);
	ck_assert_str_eq(text, "picture\n[]\n");
	end();
}
END_TEST

TESTS("previews", what_it_says_is_the_preview, nonsense_is_not_believed, a_crash_a_refusal_and_a_delay_are_no_preview,
	what_it_says_stays, nothing_stays_that_was_not_there, what_could_not_be_stripped_is_told_from_what_is_no_picture,
	it_cannot_change_the_picture, it_has_the_picture_and_nothing_else_of_ours)
