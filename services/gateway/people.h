/*
 * people - lists of user ids for one question to an owner. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Puts them in ascending order, each once, as one person's clients are one answer. Returns how many are left. */
size_t people_distinct(uint64_t *users, size_t count);
