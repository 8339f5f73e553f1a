/*
 * read_state - how far a person has read a channel. Unread is arithmetic: the channel's counter minus what it
 * was at the mark; nothing is stored per message and member.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler mark_read, list_unread;
