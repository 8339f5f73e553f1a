/*
 * conversations - direct (two people) and group (3..50) conversations: channels outside teams, each with a stream of
 * its own whose id is the channel's. A set of people has one conversation: its member_key. What a conversation shows
 * is messaging's row of the same id; until that is written nobody can be judged there, so nothing happens in it.
 *
 * Whoever gives a conversation a key holds the lock of the key's stream (conversation_key_stream): two who claim the
 * same set, or change a group into it, come one after the other.
 */
#pragma once

#include "services/moderation/change.h"

#define CONVERSATION_KEY_BYTES 32

/* Has a conversation of this kind with so many people a key? A group of fewer than three is no set to look for. */
bool conversation_has_key(uint32_t kind, size_t count);
/* ids ascending, no doubles. */
void conversation_key(const uint64_t *ids, size_t count, uint8_t out[CONVERSATION_KEY_BYTES]);
/* The user stream of the first of them. */
struct stream conversation_key_stream(const uint64_t *ids, size_t count);
int conversation_compare_ids(const void *a, const void *b);

/* In work, under the lock of the key's stream: a deleted conversation gives its key up. */
enum status conversation_free_key(struct change *c, const uint8_t key[CONVERSATION_KEY_BYTES]);

/* The people of conversations, oldest member first: $1 their ids, $2 who asks (only of those he is in; 0: of all). */
extern const struct db_stmt conversation_people_stmt;
void conversation_people(const struct db_rows *rows, struct arena *mem, pb_ConversationMembersReply *out);
