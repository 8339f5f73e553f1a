/*
 * text - checks on strings from outside. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 (no surrogates, no overlong forms, <= U+10FFFF) without NUL? */
bool text_is_utf8(const char *bytes, size_t length);
/* Code points of valid UTF-8. */
size_t text_code_points(const char *bytes, size_t length);
/* The length in bytes of the first `code_points` code points of valid UTF-8. */
size_t text_prefix_bytes(const char *bytes, size_t length, size_t code_points);
