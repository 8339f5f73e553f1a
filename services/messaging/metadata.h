/*
 * metadata - takes out of an uploaded image what is beside the picture: where and with what it was taken, words, what hangs behind its
 * end. The pixels are not decoded; what stays are the upload's own bytes (services/preview/strip.tbl.h says which).
 */
#pragma once

#include "services/messaging/file_store.h"
#include "services/messaging/service.h"

/* Of larger images nothing is taken out: they are refused. */
#define METADATA_IMAGE_MOST ((uint64_t)256 << 20)

/*
 * metadata_remove - makes upload `to` of what stays of upload `from`, which is left as it is.
 *
 * from       `bytes` long
 * to         a name that nobody else uses, nothing is there yet
 * out_bytes  how long `to` is; 0: everything stays, and nothing was put there
 * out_hash   SHA-256 of what was put there
 *
 * Blocks for some milliseconds, or for seconds while others have their turn. STATUS_OK; STATUS_BAD_MEDIA: it is no image after all;
 * STATUS_TOO_LARGE; STATUS_NOT_IMPLEMENTED: there is no program that does it; STATUS_BUSY. Unless it is STATUS_OK, some of it may lie there.
 */
enum status metadata_remove(struct service *s, struct rpc_call *call, const char *from, uint64_t bytes, const char *to,
	uint64_t *out_bytes, uint8_t out_hash[FILE_HASH_BYTES]);
