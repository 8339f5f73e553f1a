/*
 * Which functions a library of ours calls and a test's table has no row for. For the one test file that includes this.
 */
#pragma once

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * nm          a command that lists undefined symbols as nm -u does; there has to be one at least that is theirs
 * is_theirs   of the library that the table is about
 * table       its functions; name is the table's, for whoever forgot a row
 */
static inline void check_called(
	const char *nm, bool (*is_theirs)(const char *function), const char *const *table, size_t count, const char *name)
{
	char line[1024], function[256];
	size_t found = 0;
	FILE *out = popen(nm, "r");

	ck_assert_ptr_nonnull(out);
	while (fgets(line, sizeof line, out) != NULL) {
		const char *at = strstr(line, " U "); /* behind the object's name where the command asks for it */
		bool known = false;
		if (at == NULL || sscanf(at, " U %255s", function) != 1 || !is_theirs(function))
			continue;
		for (size_t i = 0; i < count; i++)
			known = known || strcmp(table[i], function) == 0;
		ck_assert_msg(known, "%s is called and not in %s", function, name);
		found++;
	}
	ck_assert_int_eq(pclose(out), 0);
	ck_assert_uint_gt(found, 0);
}
