/*
 * touch - what editing and deleting a message have in common: the row under the lock, and whether the actor may touch this one.
 */
#pragma once

#include "services/messaging/guard.h"
#include "services/messaging/mentions.h"

struct touch {
	struct change change;
	uint64_t channel_id, message_id;
	const char *content;      /* edit only */
	struct mention_names *names;  /* edit only: in the new content; NULL: none */
	struct mention_answer answer; /* what moderation says of them */
	bool tells;                   /* somebody may have to be told */
	pb_MessageReply *reply;       /* edit only */
	enum permission own, any; /* what one's own message takes, and what everybody's */
	/* -- the row, read under the lock */
	pb_MessageView message;
	uint64_t *seqs; /* of every event that carries its content */
	size_t seq_count, edits;
};

enum status touch_allowed(struct change *c);
/* The row as it stands, and whether the actor may touch this one. Under the lock of the channel's stream. */
enum status touch_load(struct log_tx *tx, struct touch *t);
