/* Parameters of crust: a body of any of the three kinds, and a query, from one input; asked for in every way there is. */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "services/api/dialects/crust/params.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char *const types[] = {
		"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"};
	struct arena *mem = arena_create();
	const char *text = arena_strndup(mem, (const char *)bytes, length);
	const char *query = memchr(text, '\0', length) != NULL ? text + strlen(text) + 1 : "";

	for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
		const struct http_header header = {"Content-Type", types[t]};
		const struct http_request rq = {.mem = mem,
			.method = "POST",
			.path = "/",
			.query = query,
			.body = text,
			.body_length = strlen(text),
			.headers = &header,
			.header_count = 1};
		struct crust_params p;
		const char *const *list;
		uint64_t *ids;

		crust_params_begin(&p, &rq, CRUST_BODY);
		const char *a = crust_param(&p, "a");
		if (a != NULL && !text_is_utf8(a, strlen(a)))
			abort();
		if (crust_param_id(&p, "a") > INT64_MAX)
			abort();
		crust_param_number(&p, "a");
		crust_param_truth(&p, "a");
		size_t count = crust_param_list(&p, "a", &list);
		for (size_t i = 0; i < count; i++)
			if (list[i] == NULL)
				abort();
		if (crust_param_ids(&p, "a", &ids) != count)
			abort();
		crust_param_json(&p, "a");
		crust_params_end(&p);
	}
	arena_destroy(mem);
	return 0;
}

FUZZ_SEEDS(FUZZ_SEED("{\"a\":[\"1\",2],\"A\":null}\0a[]=1&a%5B%5D=2&a=x"), FUZZ_SEED("{\"a\":true}\0a=+yes+"),
	FUZZ_SEED("a=1&a=2\0a[]=3"), FUZZ_SEED("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"))
