#include "services/messaging/metadata.h"

#include <sodium.h>
#include <string.h>

#include "common/base/preview_answer.h"
#include "services/messaging/attachments.h"
#include "services/messaging/previews.h"

/* What stays, on its way. */
struct copy {
	struct file_store *store;
	const char *from, *to;
	uint8_t *bytes; /* FILE_PIECE_BYTES */
	size_t have;    /* in bytes */
	uint64_t put;
	crypto_hash_sha256_state hash;
};

static enum status copy_put(struct copy *c)
{
	const struct iovec piece = {c->bytes, c->have};

	if (c->have == 0)
		return STATUS_OK;
	crypto_hash_sha256_update(&c->hash, c->bytes, c->have);
	enum status st = file_put(c->store, c->to, c->put, &piece, 1);
	c->put += c->have;
	c->have = 0;
	return st;
}

/* made: NULL: bytes of the upload. */
static enum status copy_piece(struct copy *c, const struct strip_piece *piece, const uint8_t *made)
{
	enum status st = STATUS_OK;
	uint64_t done = 0;

	while (st == STATUS_OK && done < piece->length) {
		uint64_t left = piece->length - done;
		size_t room = FILE_PIECE_BYTES - c->have, n = left < room ? (size_t)left : room, got = n;
		if (made != NULL)
			memcpy(c->bytes + c->have, made + (piece->at - STRIP_MADE) + done, n);
		else
			st = file_fetch(c->store, c->from, piece->at + done, c->bytes + c->have, n, &got);
		if (st == STATUS_OK && got != n)
			st = STATUS_BUSY; /* it was there a moment ago */
		c->have += n;
		done += n;
		if (st == STATUS_OK && c->have == FILE_PIECE_BYTES)
			st = copy_put(c);
	}
	return st;
}

enum status metadata_remove(struct service *s, struct rpc_call *call, const char *from, uint64_t bytes, const char *to,
	uint64_t *out_bytes, uint8_t out_hash[FILE_HASH_BYTES])
{
	const struct picture picture = {s->files, from, bytes};
	struct copy c = {.store = s->files, .from = from, .to = to};
	struct stripped stays;

	if (bytes > METADATA_IMAGE_MOST)
		return STATUS_TOO_LARGE;
	enum status st = previews_strip(s->previews, call->mem, &picture, call->deadline_mono_ms, &stays);
	if (st != STATUS_OK)
		return st;
	if (stays.count == 1 && stays.bytes == bytes && stays.pieces[0].at == 0) {
		*out_bytes = 0;
		return STATUS_OK;
	}
	c.bytes = arena_alloc(call->mem, FILE_PIECE_BYTES);
	crypto_hash_sha256_init(&c.hash);
	for (size_t i = 0; st == STATUS_OK && i < stays.count; i++)
		st = copy_piece(&c, &stays.pieces[i], stays.pieces[i].at >= STRIP_MADE ? stays.made : NULL);
	if (st == STATUS_OK)
		st = copy_put(&c);
	if (st != STATUS_OK)
		return st;
	crypto_hash_sha256_final(&c.hash, out_hash);
	*out_bytes = stays.bytes;
	return STATUS_OK;
}
