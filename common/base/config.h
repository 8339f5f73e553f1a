/*
 * config - the settings of a process, from the environment. One table (config.tbl.h) lists them all.
 * Read once in main before any thread starts; immutable afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/status.h"

struct config {
#define INT(field, name, default_value, least, most, meaning) int64_t field;
#define STR(field, name, default_value, secrecy, meaning) const char *field;
#include "common/base/config.tbl.h"
#undef INT
#undef STR
};

/*
 * Fills out_config from environ; strings live in mem. Unknown GUILDHALL_* names, unreadable _FILE files and
 * values out of bounds are each written to errors as one line that says what to do.
 * STATUS_OK, or STATUS_FIELD_INVALID when anything was wrong.
 */
enum status config_load(struct arena *mem, struct config *out_config, FILE *errors);

/* NAME=value lines of everything effective, secrets as ****, each followed by its meaning as a comment. */
void config_print(const struct config *config, FILE *out);

/* Splits "a,b , c" at commas into a NULL-terminated array in mem; blanks around items are dropped. */
const char **config_list(struct arena *mem, const char *value, size_t *out_count);

/*
 * What every main() does first: handles --help, --version and --check-config (prints and exits), loads the
 * configuration (exits 2 with the errors on stderr), starts the log.
 */
void config_main(int argc, char **argv, const char *service, struct arena *mem, struct config *out_config);
