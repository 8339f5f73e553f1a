/*
 * file_store - where the bytes of files are: by their content, each once. What is being uploaded lies apart under a name of its own
 * until it is kept; any copy of messaging may go on with what another began, so all copies use one store. A store is a struct of
 * functions, so that another kind (an object store) can stand where the folder stands; callers use the functions below.
 *
 * No function gives away where the bytes lie, a path or an open file, and none needs a name to be changed: an object store can hold each
 * piece that is put as an object of its own, and make one of them when they are kept. What a store has to do is what
 * tests/unit/messaging/file_store_test.c asks of the folder and of one in memory.
 *
 * Any thread; all may block. Besides what is said of each: STATUS_BUSY, logged, when there is no room or the store does not answer,
 * STATUS_INTERNAL, logged, for what trying again does not mend. What failed may have been done in part, and may be tried again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/base/status.h"

#define FILE_HASH_BYTES    32 /* SHA-256 */
#define FILE_UPLOAD_LENGTH 96 /* most characters of an upload's name: letters, digits, '-' */

struct file_store;
struct file_store_calls {
	enum status (*put)(struct file_store *store, const char *upload, uint64_t offset, const struct iovec *parts, int count);
	enum status (*length)(struct file_store *store, const char *upload, uint64_t *out_bytes);
	enum status (*fetch)(struct file_store *store, const char *upload, uint64_t offset, void *bytes, size_t most, size_t *out_n);
	enum status (*keep)(struct file_store *store, const char *upload, const uint8_t hash[FILE_HASH_BYTES]);
	enum status (*drop)(struct file_store *store, const char *upload);
	enum status (*read)(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES], uint64_t offset, void *bytes, size_t most,
		size_t *out_n);
	enum status (*remove)(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES]);
	enum status (*sweep)(struct file_store *store, int64_t before_ms, size_t *out_count);
	void (*destroy)(struct file_store *store);
};
/* First member of each kind. */
struct file_store {
	const struct file_store_calls *calls;
};

/*
 * upload: 1 to FILE_UPLOAD_LENGTH of small letters, digits and '-'; for anything else all answer STATUS_NOT_FOUND.
 *
 * Bytes of an upload, at their place in it; the same ones again do no harm. Pieces may come in any order; together they leave no gap, and
 * none of another length covers a part of one that was put.
 */
static inline enum status file_put(
	struct file_store *store, const char *upload, uint64_t offset, const struct iovec *parts, int count)
{
	return store->calls->put(store, upload, offset, parts, count);
}
/* How long it is by now. STATUS_NOT_FOUND. */
static inline enum status file_length(struct file_store *store, const char *upload, uint64_t *out_bytes)
{
	return store->calls->length(store, upload, out_bytes);
}
/* What was put: as file_read. STATUS_NOT_FOUND. */
static inline enum status file_fetch(
	struct file_store *store, const char *upload, uint64_t offset, void *bytes, size_t most, size_t *out_n)
{
	return store->calls->fetch(store, upload, offset, bytes, most, out_n);
}
/* Gives an upload its place by its content, whose hash the caller knows; as an upload it is gone. When there is the same content already,
 * either of them stays. When this returns STATUS_OK it survives the loss of power. STATUS_NOT_FOUND. */
static inline enum status file_keep(struct file_store *store, const char *upload, const uint8_t hash[FILE_HASH_BYTES])
{
	return store->calls->keep(store, upload, hash);
}
/* What is not there is dropped already: STATUS_OK. */
static inline enum status file_drop(struct file_store *store, const char *upload)
{
	return store->calls->drop(store, upload);
}
/* *out_n: fewer than `most` only at the end; behind it, at any offset, 0. STATUS_NOT_FOUND. */
static inline enum status file_read(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES], uint64_t offset, void *bytes,
	size_t most, size_t *out_n)
{
	return store->calls->read(store, hash, offset, bytes, most, out_n);
}
/* What is not there is removed already: STATUS_OK. */
static inline enum status file_remove(struct file_store *store, const uint8_t hash[FILE_HASH_BYTES])
{
	return store->calls->remove(store, hash);
}
/* Drops the uploads that nothing was put to since before_ms (wall clock). */
static inline enum status file_sweep(struct file_store *store, int64_t before_ms, size_t *out_count)
{
	return store->calls->sweep(store, before_ms, out_count);
}
static inline void file_store_destroy(struct file_store *store) /* NULL is fine */
{
	if (store != NULL)
		store->calls->destroy(store);
}

/*
 * file_disk_create - a folder: uploads in uploads/, contents in ab/cd/abcd... by their hash in hex, folders 0700, files 0600. It is
 * made when it is not there. Several copies may use it at once, also over a network file system with atomic renames.
 *
 * STATUS_INTERNAL, logged, when it cannot be made or written to.
 */
enum status file_disk_create(const char *folder, struct file_store **out_store);
