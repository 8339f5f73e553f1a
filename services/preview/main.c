/*
 * guildhall-preview - one picture on standard input, one small picture on standard output (common/base/preview_answer.h), behind a sandbox. It is started
 * by messaging for each upload that looks like an image and is trusted by nobody. With the argument "strip" it says what of the file is the
 * picture (strip.h), and decodes nothing. Exit codes: 0 answered; 1 no picture that it can read; 2 the sandbox could not be entered, or there is
 * no memory. Nothing is written to the terminal: what libraries say about a picture is of no use to anybody.
 *
 * Of the loaders only those of libvips that read JPEG, PNG, GIF and WebP are used, whatever the bytes say they are.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

#include "common/base/preview_answer.h"
#include "services/preview/sandbox.h"
#include "services/preview/strip.h"

/* Sizes of crust (its specification, "Preview"). */
#define WIDTH_MOST  320
#define HEIGHT_MOST 180
#define QUALITY     85
/* A picture of more pixels is known by its size alone: a few kilobytes can say that they are a picture of gigabytes. */
#define PIXELS_MOST ((uint64_t)50000000)
#define SIDE_MOST   65535

#define EXIT_NO_PICTURE 1
#define EXIT_NO_SANDBOX 2

/* Classes of libvips; what is below one of them goes with it. */
static void block_loaders(void)
{
	static const char *const wanted[] = {
		"VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadNsgif", "VipsForeignLoadWebp"};

	vips_operation_block_set("VipsForeignLoad", TRUE);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		vips_operation_block_set(wanted[i], FALSE);
}

static const void *input(size_t *out_length)
{
	struct stat found;

	if (fstat(STDIN_FILENO, &found) != 0 || found.st_size <= 0)
		return NULL;
	*out_length = (size_t)found.st_size;
	void *bytes = mmap(NULL, *out_length, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
	return bytes == MAP_FAILED ? NULL : bytes;
}

/* What its head says. False: it is no picture. */
static bool look(const void *bytes, size_t length, struct preview_answer *out, bool *out_gif)
{
	VipsImage *image = vips_image_new_from_buffer(bytes, length, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
	const char *loader = NULL;
	int loop = 1;

	if (image == NULL)
		return false;
	*out_gif = vips_image_get_string(image, VIPS_META_LOADER, &loader) == 0 && strncmp(loader, "gif", 3) == 0;
	int width = vips_image_get_width(image), height = vips_image_get_page_height(image);
	bool turned = vips_image_get_orientation_swap(image);
	out->width = (uint32_t)(turned ? height : width);
	out->height = (uint32_t)(turned ? width : height);
	if (vips_image_get_typeof(image, "loop") != 0 && vips_image_get_int(image, "loop", &loop) != 0)
		loop = 1;
	out->animated = vips_image_get_n_pages(image) > 1 || (*out_gif && loop != 1);
	g_object_unref(image);
	return width > 0 && height > 0 && width <= SIDE_MOST && height <= SIDE_MOST;
}

/* The first frame, upright, scaled down: to the width when that is what is large about it, else to the height. */
static VipsImage *small(const void *bytes, size_t length, const struct preview_answer *of)
{
	VipsImage *image = NULL;
	int width = VIPS_MAX_COORD, height = VIPS_MAX_COORD;

	if (of->width > WIDTH_MOST && of->width > of->height)
		width = WIDTH_MOST;
	else if (of->height > HEIGHT_MOST)
		height = HEIGHT_MOST;
	if (vips_thumbnail_buffer((void *)bytes, length, &image, width, "height", height, "size", VIPS_SIZE_DOWN, NULL) != 0)
		return NULL;
	return image;
}

/* Without anything that was beside the pixels: EXIF says where somebody was. */
static bool encode(VipsImage *image, bool gif, void **out_bytes, size_t *out_length)
{
	VipsImage *flat = NULL;
	VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);
	bool done;

	if (gif) {
		done = vips_gifsave_buffer(image, out_bytes, out_length, "strip", TRUE, NULL) == 0;
	} else {
		/* JPEG has no transparency. */
		done = !vips_image_hasalpha(image) || vips_flatten(image, &flat, "background", white, NULL) == 0;
		done = done && vips_jpegsave_buffer(flat != NULL ? flat : image, out_bytes, out_length, "Q", QUALITY, "strip", TRUE,
				       NULL) == 0;
	}
	if (flat != NULL)
		g_object_unref(flat);
	vips_area_unref(VIPS_AREA(white));
	return done;
}

static bool say(const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length > 0) {
		ssize_t n = write(STDOUT_FILENO, at, length);
		if (n <= 0)
			return false;
		at += n;
		length -= (size_t)n;
	}
	return true;
}

static void quiet(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer data)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)data;
}

static int strip(void)
{
	static struct strip plan;
	size_t length = 0;

	if (!sandbox_bound())
		return EXIT_NO_SANDBOX;
	const void *bytes = input(&length);
	if (bytes == NULL || !sandbox_enter())
		return EXIT_NO_SANDBOX;
	if (!strip_plan(bytes, length, &plan))
		return EXIT_NO_PICTURE;
	return say(&plan.answer, sizeof plan.answer) && say(plan.pieces, plan.answer.count * sizeof plan.pieces[0]) ? 0
														    : EXIT_NO_SANDBOX;
}

static int preview(void)
{
	struct preview_answer answer = {.magic = PREVIEW_MAGIC};
	bool gif = false;
	size_t length = 0, preview_length = 0;
	void *small_bytes = NULL;

	/* Code is made when the machine is known better only where memory may become executable. */
	if (!sandbox_bound() || setenv("VIPS_NOVECTOR", "1", 1) != 0 || VIPS_INIT("guildhall-preview") != 0)
		return EXIT_NO_SANDBOX;
	g_log_set_default_handler(quiet, NULL);
	vips_concurrency_set(1);
	vips_cache_set_max(0);
	block_loaders();
	const void *bytes = input(&length);
	if (bytes == NULL)
		return EXIT_NO_PICTURE;
	if (!sandbox_enter())
		return EXIT_NO_SANDBOX;
	if (!look(bytes, length, &answer, &gif))
		return EXIT_NO_PICTURE;
	if ((uint64_t)answer.width * answer.height <= PIXELS_MOST) {
		VipsImage *image = small(bytes, length, &answer);
		if (image == NULL || !encode(image, gif, &small_bytes, &preview_length) || preview_length > PREVIEW_BYTES_MOST)
			return EXIT_NO_PICTURE;
		answer.format = gif ? PREVIEW_GIF : PREVIEW_JPEG;
		answer.preview_width = (uint32_t)vips_image_get_width(image);
		answer.preview_height = (uint32_t)vips_image_get_height(image);
		answer.length = (uint32_t)preview_length;
	}
	return say(&answer, sizeof answer) && say(small_bytes, preview_length) ? 0 : EXIT_NO_PICTURE;
}

int main(int argc, char **argv)
{
	/* At once: nothing that libraries do when a process ends is worth doing here. */
	_exit(argc > 1 && strcmp(argv[1], STRIP_ARGUMENT) == 0 ? strip() : preview());
}
