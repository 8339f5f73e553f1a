/*
 * file_store - where the bytes of files are: by their content, each once. What is being uploaded lies apart under a name of its own
 * until it is kept; any copy of messaging may go on with what another began, so all copies use one store. A store is a struct of
 * functions, so that another kind (an object store) can stand where the folder stands; callers use the functions below.
 * Any thread; all may block.
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
	enum status (*open)(struct file_store *store, const char *upload, int *out_fd, uint64_t *out_bytes);
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

/* Bytes of an upload; the same ones again do no harm. STATUS_BUSY: there is no room, or the disk does not answer. */
static inline enum status file_put(
	struct file_store *store, const char *upload, uint64_t offset, const struct iovec *parts, int count)
{
	return store->calls->put(store, upload, offset, parts, count);
}
/* What was put, for reading: the caller closes it. STATUS_NOT_FOUND. */
static inline enum status file_open(struct file_store *store, const char *upload, int *out_fd, uint64_t *out_bytes)
{
	return store->calls->open(store, upload, out_fd, out_bytes);
}
/* Gives an upload its place by its content. When this returns STATUS_OK it survives the loss of power. */
static inline enum status file_keep(struct file_store *store, const char *upload, const uint8_t hash[FILE_HASH_BYTES])
{
	return store->calls->keep(store, upload, hash);
}
static inline enum status file_drop(struct file_store *store, const char *upload)
{
	return store->calls->drop(store, upload);
}
/* *out_n: fewer than `most` only at the end. STATUS_NOT_FOUND. */
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
