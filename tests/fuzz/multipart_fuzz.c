/* Multipart bodies: the first byte says in which pieces they come. Whatever the pieces, the parts are the same. */
#include "common/http/multipart.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "tests/fuzz/driver.h"

struct body {
	const uint8_t *bytes;
	size_t length, at, step;
};

static enum status body_read(void *arg, void *bytes, size_t most, size_t *out_n)
{
	struct body *b = arg;
	size_t n = b->length - b->at;

	n = n < b->step ? n : b->step;
	n = n < most ? n : most;
	if (n > 0)
		memcpy(bytes, b->bytes + b->at, n);
	b->at += n;
	*out_n = n;
	return STATUS_OK;
}

/* Bytes and parts, mixed into one number. */
static uint64_t walk(const uint8_t *bytes, size_t length, size_t step, size_t read_step, enum status *out_end)
{
	struct arena *mem = arena_create();
	struct body body = {bytes, length, 0, step};
	struct multipart *m = ARENA_NEW(mem, struct multipart);
	struct multipart_part part;
	uint64_t sum = 0;
	enum status st = multipart_begin(m, "multipart/form-data; boundary=b", body_read, &body);

	if (st != STATUS_OK)
		abort();
	while ((st = multipart_next(m, mem, &part)) == STATUS_OK) {
		unsigned char piece[64];
		size_t n;
		if (!text_is_utf8(part.name, strlen(part.name)) ||
			(part.filename != NULL && !text_is_utf8(part.filename, strlen(part.filename))))
			abort();
		sum = sum * 31 + strlen(part.name) + 1;
		while ((st = multipart_read(m, piece, read_step, &n)) == STATUS_OK && n > 0) {
			if (n > read_step)
				abort();
			for (size_t i = 0; i < n; i++)
				sum = sum * 31 + piece[i];
		}
		if (st != STATUS_OK)
			break;
	}
	if (st != STATUS_NOT_FOUND && st != STATUS_MALFORMED)
		abort();
	*out_end = st;
	arena_destroy(mem);
	return st == STATUS_NOT_FOUND ? sum : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	enum status one, other;

	if (length == 0)
		return 0;
	size_t step = 1 + bytes[0] % 97;
	uint64_t a = walk(bytes + 1, length - 1, step, 1 + bytes[0] % 64, &one);
	uint64_t b = walk(bytes + 1, length - 1, length, 64, &other);
	if (a != b || one != other)
		abort();
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("a--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.txt\"\r\n\r\nhello\r\n--b--\r\n"),
	FUZZ_SEED("b--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b\r\nX: y\r\nContent-Disposition: form-data; name=\"\\\"\"\r\n\r\n\r\n--\r\n-b\r\n--b--"),
	FUZZ_SEED("cpreamble\r\n--b  \r\nContent-Disposition: form-data\r\n\r\n--b--"), FUZZ_SEED("d--b--"))
