/*
 * Compressed messages (RFC 7692, without context). Every socket of an audience should get the same bytes, so each is inflated once and
 * then only compared: the load client stays cheap, and bytes that differ are inflated and then differ in the ledger.
 */
#include "tests/bench/load_socket.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PLACES     1024 /* sockets may lag behind each other by as many messages, about */
#define PLAIN_MOST 65536

struct inflated {
	z_stream z;
	struct {
		uint8_t *packed, *plain;
		size_t packed_length, plain_length;
	} places[PLACES];
	uint8_t plain[PLAIN_MOST];
};

static uint64_t hash_of(const uint8_t *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

static uint8_t *copy_of(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length + 1);
	memcpy(copy, bytes, length);
	return copy;
}

const uint8_t *inflated_text(struct ws *ws, const uint8_t *packed, size_t length, size_t *out_length)
{
	static uint8_t tail[4] = {0, 0, 0xff, 0xff};
	struct inflated *in = ws->inflated;
	if (in == NULL) {
		in = ws->inflated = calloc(1, sizeof(*in));
		inflateInit2(&in->z, -15);
	}
	size_t at = hash_of(packed, length) % PLACES;
	if (in->places[at].packed == NULL || in->places[at].packed_length != length ||
		memcmp(in->places[at].packed, packed, length) != 0) {
		inflateReset(&in->z);
		in->z.next_in = (Bytef *)packed;
		in->z.avail_in = (uInt)length;
		in->z.next_out = in->plain;
		in->z.avail_out = PLAIN_MOST;
		int rv = inflate(&in->z, Z_SYNC_FLUSH);
		in->z.next_in = tail;
		in->z.avail_in = sizeof(tail);
		if (rv != Z_OK || inflate(&in->z, Z_SYNC_FLUSH) != Z_OK || in->z.avail_in > 0 || in->z.avail_out == 0)
			return NULL;
		free(in->places[at].packed);
		free(in->places[at].plain);
		in->places[at].packed = copy_of(packed, length);
		in->places[at].packed_length = length;
		in->places[at].plain_length = PLAIN_MOST - in->z.avail_out;
		in->places[at].plain = copy_of(in->plain, in->places[at].plain_length);
	}
	*out_length = in->places[at].plain_length;
	return in->places[at].plain;
}

void inflated_finish(struct inflated *in)
{
	if (in == NULL)
		return;
	for (size_t i = 0; i < PLACES; i++) {
		free(in->places[i].packed);
		free(in->places[i].plain);
	}
	inflateEnd(&in->z);
	free(in);
}
