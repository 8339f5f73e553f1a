/*
 * commands - words that do something in a channel: a few that are built in, and the triggers of its outgoing webhooks.
 * Words: commands.tbl.h.
 */
#pragma once

#include "common/rpc/rpc.h"

/* A word that is always the same, in every channel? */
bool command_is_built_in(const char *word);

#define COMMAND_WORD_MAX 64

rpc_handler list_commands, run_command;
