/*
 * attachments - the signatures of attachments' URLs. Each attachment has a key of its own, random and kept with its row; views carry
 * it, so whoever renders one can sign for any reader, and nobody needs a secret of the installation. The URL of one attachment is
 * good for that one only, and for none when it is gone. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/views.pb.h"

#define ATTACHMENT_KEY_BYTES 32
/* 10 hex digits of when it ends (Unix seconds), 40 of BLAKE2b-160 under the key over (user, attachment, end). */
#define ATTACHMENT_SIGN_SIZE 51
#define ATTACHMENT_URL_S     (7 * 86400) /* longer than the log keeps events by default: what a resume brings can be fetched */

/*
 * attachment_sign - for the URL that `user` is shown; 0: everybody. It ends at a full hour, 7 days to 7 days and an hour from now, so
 * that all answers of an hour show the same URL and caches know it again. "" for a view without a key.
 */
void attachment_sign(
	const pb_AttachmentView *attachment, uint64_t user, int64_t now_ms, char out[ATTACHMENT_SIGN_SIZE]);
/* Compared in constant time. sign: whatever was sent. */
bool attachment_signed(const pb_AttachmentView *attachment, uint64_t user, int64_t now_ms, const char *sign);
