/*
 * messages - one message after it was posted: editing, deleting, reading it and its earlier versions.
 */
#pragma once

#include "common/rpc/rpc.h"

rpc_handler update_message, delete_message, get_message, list_edits;
