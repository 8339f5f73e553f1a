/* What the protocols have in common: load_protocols.tbl.h. */
#include "tests/bench/load_socket.h"

#include <string.h>

const struct protocol *protocol_find(const char *name)
{
#define PROTOCOL(wanted)                                                                                          \
	if (strcmp(name, #wanted) == 0)                                                                           \
		return &protocol_##wanted;
#include "tests/bench/load_protocols.tbl.h"
#undef PROTOCOL
	return NULL;
}

size_t envelope_write(const struct load *load, const struct sender *sender, const char *content, char *out)
{
	return (size_t)snprintf(out, ENVELOPE_SIZE,
		"{\"type\":\"channel_message\",\"data\":{\"channel_id\":\"%s\",\"user_id\":\"%s\",\"content\":\"%.*s\"}}",
		sender->channel, load->users[sender->user].id, (int)load->content_bytes, content);
}

bool starts_with(const uint8_t *payload, size_t length, const char *text)
{
	size_t size = strlen(text);

	return length >= size && memcmp(payload, text, size) == 0;
}

bool has_text(const uint8_t *payload, size_t length, const char *text)
{
	return memmem(payload, length, text, strlen(text)) != NULL;
}
