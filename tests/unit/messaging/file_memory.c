#include "tests/unit/messaging/file_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

#define PIECES_MOST 64

struct piece {
	bool there;
	char upload[FILE_UPLOAD_LENGTH + 1]; /* "": a content */
	uint8_t hash[FILE_HASH_BYTES];
	uint64_t offset;
	size_t length;
	char *bytes;
	int64_t put_at_ms;
};

struct memory {
	struct file_store store;
	pthread_mutex_t lock;
	struct piece pieces[PIECES_MOST];
};

static bool good_name(const char *upload)
{
	size_t length = strlen(upload);

	return length > 0 && length <= FILE_UPLOAD_LENGTH &&
	       strspn(upload, "0123456789abcdefghijklmnopqrstuvwxyz-") == length;
}

/* Of an upload or, without one, the content with this hash. */
static bool is_of(const struct piece *piece, const char *upload, const uint8_t *hash)
{
	if (upload != NULL)
		return piece->there && strcmp(piece->upload, upload) == 0;
	return piece->there && piece->upload[0] == '\0' && hash != NULL && memcmp(piece->hash, hash, FILE_HASH_BYTES) == 0;
}

static void forget(struct piece *piece)
{
	free(piece->bytes);
	*piece = (struct piece){0};
}

static bool forget_all(struct memory *m, const char *upload, const uint8_t *hash)
{
	bool any = false;

	for (size_t i = 0; i < PIECES_MOST; i++)
		if (is_of(&m->pieces[i], upload, hash)) {
			forget(&m->pieces[i]);
			any = true;
		}
	return any;
}

static enum status write_piece(struct memory *m, const char *upload, const uint8_t *hash, uint64_t offset, const char *bytes, size_t length)
{
	struct piece *piece = NULL;

	for (size_t i = 0; i < PIECES_MOST && upload != NULL; i++)
		if (is_of(&m->pieces[i], upload, NULL) && m->pieces[i].offset == offset)
			forget(&m->pieces[i]);
	for (size_t i = 0; i < PIECES_MOST && piece == NULL; i++)
		if (!m->pieces[i].there)
			piece = &m->pieces[i];
	if (piece == NULL)
		return STATUS_BUSY;
	*piece = (struct piece){.there = true, .offset = offset, .length = length, .bytes = malloc(length + 1), .put_at_ms = clock_wall_ms()};
	if (upload != NULL)
		strcpy(piece->upload, upload);
	else
		memcpy(piece->hash, hash, FILE_HASH_BYTES);
	memcpy(piece->bytes, bytes, length);
	return STATUS_OK;
}

static bool length_of(struct memory *m, const char *upload, const uint8_t *hash, uint64_t *out)
{
	bool any = false;

	*out = 0;
	for (size_t i = 0; i < PIECES_MOST; i++)
		if (is_of(&m->pieces[i], upload, hash)) {
			uint64_t end = m->pieces[i].offset + m->pieces[i].length;
			*out = end > *out ? end : *out;
			any = true;
		}
	return any;
}

static enum status read_pieces(struct memory *m, const char *upload, const uint8_t *hash, uint64_t offset, char *bytes, size_t most,
	size_t *out_n)
{
	uint64_t length;

	*out_n = 0;
	if (!length_of(m, upload, hash, &length))
		return STATUS_NOT_FOUND;
	if (offset >= length)
		return STATUS_OK;
	*out_n = length - offset < most ? (size_t)(length - offset) : most;
	for (size_t i = 0; i < PIECES_MOST; i++) {
		const struct piece *piece = &m->pieces[i];
		if (!is_of(piece, upload, hash))
			continue;
		uint64_t from = piece->offset > offset ? piece->offset : offset, to = piece->offset + piece->length;
		to = to < offset + *out_n ? to : offset + *out_n;
		if (from < to)
			memcpy(bytes + (from - offset), piece->bytes + (from - piece->offset), (size_t)(to - from));
	}
	return STATUS_OK;
}

static enum status memory_put(struct file_store *store, const char *upload, uint64_t offset, const struct iovec *parts, int count)
{
	struct memory *m = (struct memory *)store;
	size_t length = 0;

	if (!good_name(upload))
		return STATUS_NOT_FOUND;
	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	char *bytes = malloc(length + 1), *at = bytes;
	for (int i = 0; i < count; i++) {
		memcpy(at, parts[i].iov_base, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	pthread_mutex_lock(&m->lock);
	enum status st = write_piece(m, upload, NULL, offset, bytes, length);
	pthread_mutex_unlock(&m->lock);
	free(bytes);
	return st;
}

static enum status memory_length(struct file_store *store, const char *upload, uint64_t *out_bytes)
{
	struct memory *m = (struct memory *)store;
	uint64_t length;

	pthread_mutex_lock(&m->lock);
	bool found = good_name(upload) && length_of(m, upload, NULL, &length);
	pthread_mutex_unlock(&m->lock);
	if (!found)
		return STATUS_NOT_FOUND;
	*out_bytes = length;
	return STATUS_OK;
}

static enum status memory_fetch(
	struct file_store *store, const char *upload, uint64_t offset, void *bytes, size_t most, size_t *out_n)
{
	struct memory *m = (struct memory *)store;

	*out_n = 0;
	if (!good_name(upload))
		return STATUS_NOT_FOUND;
	pthread_mutex_lock(&m->lock);
	enum status st = read_pieces(m, upload, NULL, offset, bytes, most, out_n);
	pthread_mutex_unlock(&m->lock);
	return st;
}

static enum status memory_keep(struct file_store *store, const char *upload, const uint8_t hash[FILE_HASH_BYTES])
{
	struct memory *m = (struct memory *)store;
	enum status st = STATUS_NOT_FOUND;
	uint64_t length;
	size_t n;

	pthread_mutex_lock(&m->lock);
	if (good_name(upload) && length_of(m, upload, NULL, &length)) {
		char *whole = malloc(length + 1);
		st = read_pieces(m, upload, NULL, 0, whole, length, &n);
		forget_all(m, upload, NULL);
		forget_all(m, NULL, hash);
		if (st == STATUS_OK)
			st = write_piece(m, NULL, hash, 0, whole, n);
		free(whole);
	}
	pthread_mutex_unlock(&m->lock);
	return st;
}

static enum status memory_drop(struct file_store *store, const char *upload)
{
	struct memory *m = (struct memory *)store;

	if (!good_name(upload))
		return STATUS_NOT_FOUND;
	pthread_mutex_lock(&m->lock);
	forget_all(m, upload, NULL);
	pthread_mutex_unlock(&m->lock);
	return STATUS_OK;
}

static enum status memory_read(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES], uint64_t offset, void *bytes, size_t most,
	size_t *out_n)
{
	struct memory *m = (struct memory *)store;

	pthread_mutex_lock(&m->lock);
	enum status st = read_pieces(m, NULL, hash, offset, bytes, most, out_n);
	pthread_mutex_unlock(&m->lock);
	return st;
}

static enum status memory_remove(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES])
{
	struct memory *m = (struct memory *)store;

	pthread_mutex_lock(&m->lock);
	forget_all(m, NULL, hash);
	pthread_mutex_unlock(&m->lock);
	return STATUS_OK;
}

static enum status memory_sweep(struct file_store *store, int64_t before_ms, size_t *out_count)
{
	struct memory *m = (struct memory *)store;

	*out_count = 0;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < PIECES_MOST; i++) {
		const struct piece *first = &m->pieces[i];
		bool old = first->there && first->upload[0] != '\0';
		for (size_t k = 0; k < PIECES_MOST && old; k++)
			old = !is_of(&m->pieces[k], first->upload, NULL) || m->pieces[k].put_at_ms < before_ms;
		if (old) {
			char upload[FILE_UPLOAD_LENGTH + 1];
			strcpy(upload, first->upload);
			*out_count += forget_all(m, upload, NULL);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return STATUS_OK;
}

static void memory_destroy(struct file_store *store)
{
	struct memory *m = (struct memory *)store;

	for (size_t i = 0; i < PIECES_MOST; i++)
		forget(&m->pieces[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct file_store_calls calls = {
	.put = memory_put,
	.length = memory_length,
	.fetch = memory_fetch,
	.keep = memory_keep,
	.drop = memory_drop,
	.read = memory_read,
	.remove = memory_remove,
	.sweep = memory_sweep,
	.destroy = memory_destroy,
};

struct file_store *file_memory_create(void)
{
	struct memory *m = calloc(1, sizeof *m);

	m->store.calls = &calls;
	pthread_mutex_init(&m->lock, NULL);
	return &m->store;
}
