/* Files of pictures: only bytes of the file stay, in their order, and of what stays everything stays. */
#include "services/preview/strip.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

/* What stays, to be freed. */
static uint8_t *stripped(const struct strip *plan, const uint8_t *bytes, size_t length, size_t *out_length)
{
	uint8_t *out = malloc(length + STRIP_MADE_MOST);
	uint64_t end = 0, have = 0;

	if (plan->answer.count > STRIP_PIECES_MOST || plan->answer.made_length > STRIP_MADE_MOST)
		abort();
	for (uint32_t i = 0; i < plan->answer.count; i++) {
		struct strip_piece piece = plan->pieces[i];
		bool made = piece.at >= STRIP_MADE;
		uint64_t at = made ? piece.at - STRIP_MADE : piece.at, most = made ? plan->answer.made_length : length;
		if (at > most || piece.length > most - at || (!made && at < end) || have + piece.length > length + STRIP_MADE_MOST)
			abort();
		memcpy(out + have, (made ? plan->answer.made : bytes) + at, piece.length);
		have += piece.length;
		end = made ? end : at + piece.length;
	}
	*out_length = have;
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct strip plan;
	size_t once_length, twice_length;

	if (!strip_plan(bytes, length, &plan))
		return 0;
	uint8_t *once = stripped(&plan, bytes, length, &once_length);
	if (!strip_plan(once, once_length, &plan))
		abort();
	uint8_t *twice = stripped(&plan, once, once_length, &twice_length);
	if (twice_length != once_length || memcmp(once, twice, once_length) != 0)
		abort();
	free(once);
	free(twice);
	return 0;
}

FUZZ_SEEDS(
	FUZZ_SEED("\xFF\xD8\xFF\xE0\0\x13JFIF\0\1\2\0\0\1\0\1\1\1RGB\xFF\xE1\0\x22" "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x08\0xx\0\0\0\0"
		  "\xFF\xFE\0\4hi\xFF\xC0\0\x0B\x08\0\x01\0\x01\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0" "ab\xFF\0c\xFF\xD0" "d\xFF\xD9more"),
	FUZZ_SEED("\x89PNG\r\n\x1A\n\0\0\0\1IHDRxcccc\0\0\0\x1A" "eXIfII*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0xx\0\0\0\0cccc"
		  "\0\0\0\1tEXtxcccc\0\0\0\2IDATabcccc\0\0\0\0IENDccccmore"),
	FUZZ_SEED("GIF89a\1\0\1\0\x80\0\0rgbRGB\x21\xFE\2hi\2hi\0\x21\xFF\x0BNETSCAPE2.0\3\1\0\0\0\x21\xFF\x0BXMP DataXMP\5<xmp>\0"
		  "\x21\xF9\4\0\0\0\0\0\x2C\0\0\0\0\1\0\1\0\x80rgbRGB\2\2ab\1c\0;more"),
	FUZZ_SEED("RIFF\x6E\0\0\0WEBPVP8X\x0A\0\0\0\x3E\0\0\0\0\0\0\0\0\0ICCP\2\0\0\0iiVP8 \2\0\0\0xx"
		  "EXIF\x1E\0\0\0II*\0\x0C\0\0\0xxxx\1\0\x12\1\3\0\1\0\0\0\5\0xx\0\0\0\0XMP \3\0\0\0<x>\0more"))
