/* Values of Sec-WebSocket-Extensions, one a line, and the answer to them. */
#include "services/gateway/extensions.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct extensions agreed = {0};
	char *text = malloc(length + 1), *rest = text, *line = NULL, answer[160];

	if (length > 0)
		memcpy(text, bytes, length);
	text[length] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL)
		if (!extensions_offered(line, &agreed))
			break;
	if (agreed.deflate > DEFLATE_FULL || (agreed.server_bits != 0 && (agreed.server_bits < 8 || agreed.server_bits > 15)))
		abort();
	/* Whoever asked for less than the largest window gets no reference that goes back further. */
	if (agreed.server_bits != 0 && agreed.server_bits < 15 && agreed.deflate != DEFLATE_SMALL)
		abort();
	if (extensions_answer(&agreed, answer, sizeof answer) >= sizeof answer)
		abort();
	/* What we answer is a list of extensions too. */
	if (agreed.deflate != DEFLATE_NONE) {
		struct extensions again = {0};
		answer[strlen(answer) - 2] = '\0';
		if (!extensions_offered(answer + strlen("Sec-WebSocket-Extensions: "), &again) || again.server_bits != agreed.server_bits)
			abort();
	}
	free(text);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("permessage-deflate; client_max_window_bits"), FUZZ_SEED("permessage-deflate;server_max_window_bits=10;server_no_context_takeover"),
	FUZZ_SEED("x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=\"1\\2\"\npermessage-deflate"),
	FUZZ_SEED("permessage-deflate; client_no_context_takeover; client_max_window_bits=8, ,permessage-deflate"))
