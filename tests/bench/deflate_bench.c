/* What compressing an event costs and saves, by the gateway's own code: deflate_bench FILE... ; each file is the text of one event.
 * Per file and class of window: bytes on the wire plain and compressed, processor time of one compression (once a broadcast), and of every
 * further socket's look at it (once a delivery). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "services/gateway/deflate.h"

#define ROUNDS 20000
#define LOOKS  20000000

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void measure(const char *name, const char *text, size_t length, enum deflate_class class, struct deflate *deflate)
{
	struct frame *frame = NULL;
	double began_us = cpu_us();

	for (int i = 0; i < ROUNDS; i++) {
		frame_unref(frame);
		frame = frame_make(FRAME_TEXT, text, length);
		deflate_frame(deflate, frame, class);
	}
	double compress_us = (cpu_us() - began_us) / ROUNDS;
	size_t packed = deflate_frame(deflate, frame, class)->length;
	began_us = cpu_us();
	for (int i = 0; i < LOOKS; i++)
		deflate_frame(deflate, frame, class);
	double look_us = (cpu_us() - began_us) / LOOKS;
	printf("%-40s %s  %5u -> %5zu bytes (%2.0f %%)  %5.1f us once, %4.1f ns a socket\n", name,
		class == DEFLATE_FULL ? "15 bits" : " 9 bits", frame->length, packed,
		100.0 * (double)packed / (double)frame->length, compress_us, look_us * 1e3);
	frame_unref(frame);
}

int main(int argc, char **argv)
{
	struct deflate *deflate = deflate_create(6, 16);

	for (int i = 1; i < argc; i++) {
		static char text[1 << 20];
		FILE *file = fopen(argv[i], "rb");
		if (file == NULL) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		size_t length = fread(text, 1, sizeof text, file);
		fclose(file);
		for (enum deflate_class class = DEFLATE_SMALL; class <= DEFLATE_FULL; class ++)
			measure(argv[i], text, length, class, deflate);
	}
	deflate_destroy(deflate);
	return EXIT_SUCCESS;
}
