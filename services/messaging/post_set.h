/*
 * post_set - posts as ops of the committer's set lane: one statement writes all that wait. Knows no calls, so
 * that tests and the bench can drive it alone; post.c has the call.
 */
#pragma once

#include "common/db/committer.h"

/* What one post is written from. arg of its commit_op; lives until done. The op's streams[0] is the channel's
 * home, its checks[0] the judged epochs, its actor the author. */
struct post_row {
	/* -- in; borrowed */
	uint64_t id, channel_id;
	uint64_t parent_id, root_id; /* 0: no reply */
	bool joined;                 /* of a reply: the author is in the channel, where so many were no replies when he came */
	int64_t joined_mains;
	const char *content, *nonce; /* nonce may be NULL */
	int64_t at_ms;               /* created_at_ms, as in the payload */
	bool slow_exempt;            /* slow mode does not hold for the author */
	const char *audience;
	const uint8_t *payload; /* the encoded message_posted */
	size_t payload_length;
	const uint8_t *mentions; /* the encoded MentionsView, or NULL */
	size_t mentions_length;
	const char *subjects, *kinds; /* "{5,16}" and "{1,2}": the rows of messaging.mentions; NULL: none */
	uint32_t kind;                /* enum message_kind; 0: text */
	uint64_t webhook_id;          /* that it came through, or 0 */
	const char *shown_name, *shown_avatar; /* or NULL */
	const char *voucher; /* "{5,3,7}": who else was judged, and by which epochs of his membership and his account; NULL: nobody */
	const char *attachment_ids; /* "{5,6}": its files; NULL: none */
	const uint8_t *attachments; /* the encoded AttachmentsView, or NULL */
	size_t attachments_length;
	/* -- out */
	uint64_t seq; /* written: of its event */
	int64_t committed_at_ms;
	int64_t wait_ms; /* SLOW_MODE: until the next post is taken */
};

/*
 * Results: OK (written, or replayed with object_id, the message then written); STALE (why "session" when it
 * is the actor's own epoch); FIELD_INVALID (on field "nonce" when it has one) when the request id stood for
 * another body, on "attachments" when one is not to be had any more; NOT_FOUND (the channel; with field "parent_id" the message
 * replied to); ARCHIVED; SLOW_MODE.
 */
extern const struct commit_set post_set;
