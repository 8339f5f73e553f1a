/* The Range header: what is accepted lies within the file. The first two bytes are the file's length. */
#include "common/http/http.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint64_t from = 0, count = 0;

	if (length < 2)
		return 0;
	uint64_t file = (uint64_t)bytes[0] << 8 | bytes[1];
	char *text = malloc(length - 1);
	if (text == NULL)
		return 0;
	memcpy(text, bytes + 2, length - 2);
	text[length - 2] = '\0';
	switch (http_range_parse(text, file, &from, &count)) {
	case HTTP_RANGE_ONE:
		if (count == 0 || from >= file || count > file - from)
			abort();
		break;
	case HTTP_RANGE_NONE:
	case HTTP_RANGE_BEYOND:
		if (from != 0 || count != 0)
			abort();
		break;
	}
	free(text);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("\x01\x00""bytes=0-1"), FUZZ_SEED("\x01\x00""bytes=-5"), FUZZ_SEED("\x00\x05""bytes=3-"),
	FUZZ_SEED("\x00\x00""bytes=0-"), FUZZ_SEED("\x10\x00""bytes=18446744073709551615-18446744073709551615"))
