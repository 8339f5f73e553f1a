/*
 * driver - see driver.h.
 */
#include "tests/fuzz/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS     100000
#define CPU_MOST_S 1 /* a slow target runs fewer rounds, but all of its seeds; tests/fuzz/run has a minute for each */
#define INPUT_MOST 4096

static uint64_t state = 88172645463325252u;

static uint32_t next_random(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below == 0 ? 0 : (uint32_t)(state >> 32) % below;
}

/* Bytes changed, cut, doubled, moved; now and then another seed joined on. */
static size_t mutate(uint8_t *bytes, size_t length, const struct fuzz_seed *seeds, size_t seed_count)
{
	for (uint32_t i = next_random(8); i-- > 0;) {
		size_t at = next_random((uint32_t)length + 1);
		switch (next_random(6)) {
		case 0:
			if (at < length)
				bytes[at] = (uint8_t)next_random(256);
			break;
		case 1:
			if (at < length)
				bytes[at] ^= (uint8_t)(1u << next_random(8));
			break;
		case 2:
			length = at;
			break;
		case 3:
			if (length < INPUT_MOST) {
				memmove(bytes + at + 1, bytes + at, length - at);
				bytes[at] = (uint8_t)next_random(256);
				length++;
			}
			break;
		case 4:
			if (at < length) {
				memmove(bytes + at, bytes + at + 1, length - at - 1);
				length--;
			}
			break;
		default: {
			const struct fuzz_seed *other = &seeds[next_random((uint32_t)seed_count)];
			size_t room = INPUT_MOST - length, more = other->length < room ? other->length : room;
			memcpy(bytes + length, other->bytes, more);
			length += more;
			break;
		}
		}
	}
	return length;
}

static int run_file(const char *path, int (*target)(const uint8_t *bytes, size_t length))
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(1 << 20);
	int rv = EXIT_FAILURE;

	if (file != NULL && bytes != NULL) {
		target(bytes, fread(bytes, 1, 1 << 20, file));
		rv = EXIT_SUCCESS;
	} else {
		perror(path);
	}
	if (file != NULL)
		fclose(file);
	free(bytes);
	return rv;
}

int fuzz_run(int argc, char **argv, int (*target)(const uint8_t *bytes, size_t length),
	const struct fuzz_seed *seeds, size_t seed_count)
{
	for (int i = 1; i < argc; i++)
		if (run_file(argv[i], target) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	clock_t until = clock() + CPU_MOST_S * CLOCKS_PER_SEC;
	for (int round = 0; argc == 1 && round < ROUNDS && (round < (int)seed_count || clock() < until); round++) {
		const struct fuzz_seed *seed = &seeds[next_random((uint32_t)seed_count)];
		uint8_t bytes[INPUT_MOST];
		memcpy(bytes, seed->bytes, seed->length);
		size_t length = round < (int)seed_count ? seed->length
							: mutate(bytes, seed->length, seeds, seed_count);
		/* A buffer of exactly this size, so that the address sanitizer sees a read past its end. */
		uint8_t *exact = malloc(length + (length == 0));
		if (exact == NULL)
			return EXIT_FAILURE;
		memcpy(exact, bytes, length);
		target(exact, length);
		free(exact);
	}
	/* In the form that tests/run counts. */
	if (argc == 1)
		printf("100%%: Checks: 1, Failures: 0, Errors: 0\n");
	return EXIT_SUCCESS;
}
