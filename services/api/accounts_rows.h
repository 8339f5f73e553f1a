/*
 * accounts_rows - an account's row as a UserView, for every statement that reads one.
 */
#pragma once

#include "common/db/db.h"
#include "proto/views.pb.h"

/* The columns of alias a, in the order accounts_row reads them. */
#define ACCOUNT_COLUMNS                                                                                      \
	"a.id, a.username, a.display_name, a.avatar, a.banner, a.bot, a.system, a.verified, "                \
	"a.erased_at_ms IS NOT NULL, a.disabled_at_ms IS NOT NULL, a.created_at_ms, a.last_seen_at_ms, "     \
	"a.flags, "                                                                                          \
	"a.bio, a.tagline"
#define ACCOUNT_COLUMN_COUNT 15

/* Reads them from `column` on. Strings live as long as rows. */
void accounts_row(const struct db_rows *rows, int row, int column, pb_UserView *out);
