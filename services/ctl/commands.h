/*
 * commands - the functions behind commands.tbl.h. Each gets the arguments behind its words.
 */
#pragma once

#include "services/ctl/ctl.h"

#define COMMAND(function, words, arguments, summary, details) enum ctl_exit function(struct ctl *ctl, int argc, char **argv);
#include "services/ctl/commands.tbl.h"
#undef COMMAND
