#include "common/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/config.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

static bool is_v4(const struct address *a)
{
	return memcmp(a->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

static bool parse_bare(const char *text, struct address *out)
{
	struct address a;

	if (inet_pton(AF_INET, text, a.bytes + sizeof v4_prefix) == 1)
		memcpy(a.bytes, v4_prefix, sizeof v4_prefix);
	else if (inet_pton(AF_INET6, text, a.bytes) != 1)
		return false;
	*out = a;
	return true;
}

enum status address_parse(const char *text, size_t length, struct address *out_address)
{
	char copy[64];

	if (length >= sizeof copy || memchr(text, '\0', length) != NULL)
		return STATUS_FIELD_INVALID;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (parse_bare(copy, out_address))
		return STATUS_OK;
	char *begin = copy, *end = NULL;
	if (*begin == '[')
		end = strchr(++begin, ']');
	else if (strchr(begin, ':') == strrchr(begin, ':'))
		end = strchr(begin, ':');
	if (end == NULL)
		return STATUS_FIELD_INVALID;
	*end = '\0';
	return parse_bare(begin, out_address) ? STATUS_OK : STATUS_FIELD_INVALID;
}

void address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
	if (is_v4(address))
		inet_ntop(AF_INET, address->bytes + sizeof v4_prefix, out, ADDRESS_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, address->bytes, out, ADDRESS_TEXT_SIZE);
}

static bool parse_bits(const char *text, unsigned most, unsigned *out_bits)
{
	unsigned bits = 0;

	if (*text == '\0' || strlen(text) > 3)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		bits = bits * 10 + (unsigned)(*text - '0');
	}
	*out_bits = bits;
	return bits <= most;
}

static bool parse_network(struct arena *mem, const char *text, struct network *out)
{
	const char *slash = strchr(text, '/');
	size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);

	if (!parse_bare(arena_strndup(mem, text, length), &out->address))
		return false;
	unsigned most = is_v4(&out->address) ? 32 : 128;
	unsigned bits = most;
	if (slash != NULL && !parse_bits(slash + 1, most, &bits))
		return false;
	out->bits = bits + (128 - most);
	return true;
}

enum status networks_parse(struct arena *mem, const char *list, struct network **out_networks,
	size_t *out_count, const char **out_bad)
{
	size_t count = 0;
	const char **items = config_list(mem, list, &count);
	struct network *networks = ARENA_ARRAY(mem, count, struct network);

	for (size_t i = 0; i < count; i++) {
		if (!parse_network(mem, items[i], &networks[i])) {
			*out_bad = items[i];
			return STATUS_FIELD_INVALID;
		}
	}
	*out_networks = networks;
	*out_count = count;
	return STATUS_OK;
}

static bool contains(const struct network *n, const struct address *a)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (memcmp(n->address.bytes, a->bytes, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	uint8_t mask = (uint8_t)(0xFF00u >> rest);
	return (n->address.bytes[whole] & mask) == (a->bytes[whole] & mask);
}

bool address_is_in(const struct network *networks, size_t count, const struct address *address)
{
	for (size_t i = 0; i < count; i++)
		if (contains(&networks[i], address))
			return true;
	return false;
}

/* The last item of the comma separated text, without blanks around it. *length becomes what is left of it. */
static const char *last_item(const char *text, size_t *length, size_t *out_item_length)
{
	size_t end = *length, begin;

	for (begin = end; begin > 0 && text[begin - 1] != ',';)
		begin--;
	*length = begin > 0 ? begin - 1 : 0;
	while (begin < end && (text[begin] == ' ' || text[begin] == '\t'))
		begin++;
	while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t'))
		end--;
	*out_item_length = end - begin;
	return text + begin;
}

struct address address_of_client(const struct network *trusted, size_t trusted_count, struct address peer,
	const char *const *forwarded, size_t forwarded_count)
{
	struct address client = peer;

	for (size_t i = forwarded_count; i > 0; i--) {
		const char *text = forwarded[i - 1];
		size_t left = strlen(text);
		while (left > 0) {
			struct address hop;
			size_t n;
			const char *item = last_item(text, &left, &n);
			if (!address_is_in(trusted, trusted_count, &client))
				return client;
			if (address_parse(item, n, &hop) != STATUS_OK)
				return client;
			client = hop;
		}
	}
	return client;
}
