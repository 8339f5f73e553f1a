/*
 * driver - a fuzz target is one function that must survive any bytes. With clang's libFuzzer the function is
 * all it takes
 * (-fsanitize=fuzzer -DFUZZ_WITH_LIBFUZZER); without it, this main() runs the files it is given, or, without
 * arguments, the target's seeds and many mutations of them, the same ones each time. A target file ends with
 *
 *   FUZZ_SEEDS(FUZZ_SEED("GET / HTTP/1.1"), FUZZ_SEED("..."))
 *
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fuzz_seed {
	const char *bytes;
	size_t length;
};

int fuzz_run(int argc, char **argv, int (*target)(const uint8_t *bytes, size_t length),
	const struct fuzz_seed *seeds, size_t seed_count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#ifdef FUZZ_WITH_LIBFUZZER
#define FUZZ_SEEDS(...)
#else
#define FUZZ_SEEDS(...)                                                                                      \
	int main(int argc, char **argv)                                                                      \
	{                                                                                                    \
		static const struct fuzz_seed seeds[] = {__VA_ARGS__};                                       \
		return fuzz_run(argc, argv, LLVMFuzzerTestOneInput, seeds, sizeof seeds / sizeof *seeds);    \
	}
#endif
#define FUZZ_SEED(text)                                                                                      \
	{                                                                                                    \
		text, sizeof(text) - 1                                                                       \
	}
