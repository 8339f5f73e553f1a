/*
 * channels - creating, changing and deleting channels, and one channel by its id. Lists are lists.c's.
 *
 * Which audience key a channel's events have is moderation's to say (Rights.audience). The two changes made
 * here that move it are creating a private channel and switching `private`; both write the audience event
 * first, so that gateways have asked for the new keys before the event that follows reaches them, and send
 * that event with the key that holds after it: whoever may see the channel then has that key, and nobody else
 * does.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler create_channel, get_channel, update_channel, delete_channel;
