/* What receivers of webhooks answer, and the URLs that people give: whatever it is, what is posted is text within its bounds, and a URL that
 * is accepted names its host alone before the path, also when it is filled in. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/net/fetch.h"
#include "services/messaging/deliveries.h"
#include "tests/fuzz/driver.h"

static void answer(struct arena *mem, const char *type, const char *body, size_t length)
{
	struct delivery_answer out;
	const char *why = NULL;

	enum status st = delivery_read(mem, 200, type, body, length, &out, &why);
	if (st != STATUS_OK) {
		if (why == NULL)
			abort();
		return;
	}
	size_t size = strlen(out.text);
	if (!text_is_utf8(out.text, size) || text_code_points(out.text, size) < 1 || text_code_points(out.text, size) > 4000)
		abort();
	if (out.name != NULL && (text_code_points(out.name, strlen(out.name)) < 1 || text_code_points(out.name, strlen(out.name)) > 32))
		abort();
	if (out.avatar != NULL && !fetch_url_fits(out.avatar, FETCH_HTTPS_ONLY))
		abort();
}

static void url(struct arena *mem, const char *text)
{
	if (!fetch_url_fits(text, FETCH_ANY))
		return;
	const char *filled = delivery_url(mem, text, "a/b@c?d#e %s");
	size_t host = (size_t)(strstr(text, "://") + 3 - text);
	size_t end = host + strcspn(text + host, "/?#");
	if (!fetch_url_fits(filled, FETCH_ANY) && strlen(filled) <= 65536)
		abort();
	if (memchr(text + host, '@', end - host) != NULL || strncmp(text, filled, end) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *mem = arena_create();
	const char *text = arena_strndup(mem, (const char *)bytes, length);

	answer(mem, "text/plain; charset=utf-8", (const char *)text, length);
	answer(mem, "application/json", (const char *)text, length);
	url(mem, text);
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("it rains"), FUZZ_SEED("{\"text\":\"it rains\",\"username\":\"Weather\",\"avatar\":\"https://example.org/a.png\"}"),
	FUZZ_SEED("{\"text\":\"\\u0000\"}"), FUZZ_SEED("https://example.org:8443/hook/%s?q=%s#x"), FUZZ_SEED("http://user:pass@[::1]:80/"),
	FUZZ_SEED("http://0x7f.1/%s"))
