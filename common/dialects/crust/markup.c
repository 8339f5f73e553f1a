#include "common/dialects/crust/markup.h"

#include <string.h>

#include "common/events/markup.h"

const char *crust_markup_read(struct arena *mem, const char *text)
{
	size_t length = strlen(text), done = 0, written = 0;
	char *out = NULL;
	struct markup m;

	markup_begin(&m, mem, text, length, markup_id_decimal);
	m.labels = true;
	while (markup_next(&m)) {
		if (m.id_end == 0 || m.id_end + 1 == m.end)
			continue;
		if (out == NULL)
			out = arena_alloc(mem, length + 1);
		memcpy(out + written, text + done, m.id_end - done);
		written += m.id_end - done;
		done = m.end - 1;
	}
	if (out == NULL)
		return text;
	memcpy(out + written, text + done, length - done + 1);
	return out;
}
