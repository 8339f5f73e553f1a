/*
 * media - what a file is, found from its content alone (media.tbl.h); what its uploader called it or said of it decides nothing. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

#define MEDIA_LOOK_BYTES 4096 /* so much of the beginning is looked at */
#define FILE_NAME_MAX    255  /* code points */
#define MEDIA_UNKNOWN    "application/octet-stream"

/* length: of what there is of the first MEDIA_LOOK_BYTES. Text is UTF-8 without control characters; what is nothing known is
 * MEDIA_UNKNOWN. */
const char *media_type(const void *bytes, size_t length);
/* A browser may show it where it stands; anything else it has to save. */
bool media_shown(const char *mime);
/* One of those that a preview is made of. */
bool media_has_preview(const char *mime);

/* A file's name as it is kept: without folders, blanks around it, and what turns the direction of its text. NULL: nothing is left or only
 * the name of a folder, it is too long, or not text of one line. */
const char *media_name(struct arena *mem, const char *name);
/* What is behind the last dot, without dots at the ends: "" when there is none. Borrows from name, or is in mem. */
const char *media_extension(struct arena *mem, const char *name);
