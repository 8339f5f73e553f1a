#include "common/net/fetch.h"

#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/public_address.h"

#define URL_MOST       65536 /* one that is filled in with a long text is long */
#define ADDRESSES_MOST 16

enum status fetch_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? STATUS_OK : STATUS_INTERNAL;
}

void fetch_finish(void)
{
	curl_global_cleanup();
}

const char *fetch_end_word(enum fetch_end end)
{
	switch (end) {
	case FETCH_DONE:
		return "done";
	case FETCH_BAD_URL:
		return "bad_url";
	case FETCH_NO_NAME:
		return "no_name";
	case FETCH_REFUSED:
		return "address_refused";
	case FETCH_UNREACHABLE:
		return "unreachable";
	case FETCH_TIMEOUT:
		return "timeout";
	case FETCH_TOO_LARGE:
		return "too_large";
	case FETCH_STOPPED:
		return "stopped";
	}
	return "?";
}

/* ---- URLs */

/* Printable ASCII, nothing that a URL has only escaped. */
static bool url_characters(const char *url)
{
	for (const char *c = url; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("\"<>\\^`{|}", *c) != NULL)
			return false;
	return true;
}

/* What the parser makes of it; url_free after use. NULL: not for us. */
static CURLU *url_parse(const char *url, enum fetch_schemes schemes)
{
	bool https = strncasecmp(url, "https://", 8) == 0, http = strncasecmp(url, "http://", 7) == 0;

	if (!https && !(http && schemes == FETCH_ANY))
		return NULL;
	/* Before the path stands who is called: nothing that is filled in later, and no name and password. */
	const char *host = strstr(url, "://") + 3;
	size_t length = strcspn(host, "/?#");
	if (length == 0 || memchr(host, '%', length) != NULL || memchr(host, '@', length) != NULL)
		return NULL;
	CURLU *parsed = curl_url();
	if (parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK) {
		curl_url_cleanup(parsed);
		return NULL;
	}
	return parsed;
}

bool fetch_url_fits(const char *url, enum fetch_schemes schemes)
{
	if (url == NULL || strlen(url) > URL_MOST || !url_characters(url))
		return false;
	CURLU *parsed = url_parse(url, schemes);
	curl_url_cleanup(parsed);
	return parsed != NULL;
}

char *fetch_query_escaped(struct arena *mem, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(mem, 3 * strlen(text) + 1), *to = out;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c) != NULL) {
			*to++ = (char)c;
		} else if (c == ' ') {
			*to++ = '+';
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return out;
}

/* ---- whom it calls */

struct fetching {
	struct arena *mem;
	const struct fetch_request *request;
	struct address passed[ADDRESSES_MOST]; /* resolved, and may be called */
	size_t passed_count;
	char *body;
	size_t length, room;
	bool too_large, refused;
};

/* The addresses of the name that may be called. */
static enum fetch_end resolve(struct fetching *f, const char *host)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
	size_t length = strlen(host);
	bool literal = length > 2 && host[0] == '[';
	const char *name = literal ? arena_strndup(f->mem, host + 1, length - 2) : host;

	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return FETCH_NO_NAME;
	for (const struct addrinfo *at = found; at != NULL && f->passed_count < ADDRESSES_MOST; at = at->ai_next) {
		struct address a;
		if (address_from_sockaddr(at->ai_addr, &a) &&
			address_may_be_called(f->request->allowed, f->request->allowed_count, &a))
			f->passed[f->passed_count++] = a;
	}
	freeaddrinfo(found);
	return f->passed_count > 0 ? FETCH_DONE : FETCH_REFUSED;
}

/* "host:port:address,address": what libcurl is told of the name, so that it asks nobody. */
static const char *pinned(const struct fetching *f, const char *host, const char *port)
{
	const char *text = arena_printf(f->mem, "%s:%s:", host, port);

	for (size_t i = 0; i < f->passed_count; i++) {
		char spelled[ADDRESS_TEXT_SIZE];
		address_format(&f->passed[i], spelled);
		bool v6 = strchr(spelled, ':') != NULL;
		text = arena_printf(f->mem, "%s%s%s%s%s", text, i > 0 ? "," : "", v6 ? "[" : "", spelled, v6 ? "]" : "");
	}
	return text;
}

/* The last word: whatever led to this address, it is one that passed, or there is no socket. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct fetching *f = arg;
	struct address a;

	if (purpose == CURLSOCKTYPE_IPCXN && address_from_sockaddr(&to->addr, &a))
		for (size_t i = 0; i < f->passed_count; i++)
			if (memcmp(a.bytes, f->passed[i].bytes, sizeof a.bytes) == 0)
				return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
	f->refused = true;
	return CURL_SOCKET_BAD;
}

/* ---- what it answers */

static size_t receive(char *bytes, size_t size, size_t count, void *arg)
{
	struct fetching *f = arg;
	size_t n = size * count;

	if (n > f->request->answer_most - f->length) {
		f->too_large = true;
		return 0;
	}
	if (f->length + n > f->room) {
		size_t room = 2 * (f->length + n);
		f->body = arena_grow(f->mem, f->body, f->room, room + 1);
		f->room = room;
	}
	memcpy(f->body + f->length, bytes, n);
	f->length += n;
	return n;
}

/* libcurl asks at least once a second. Not 0: it ends. */
static int progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct fetching *f = arg;

	return f->request->stop != NULL && atomic_load(f->request->stop);
}

static enum fetch_end end_of(const struct fetching *f, CURLcode code)
{
	if (code == CURLE_OK)
		return FETCH_DONE;
	if (f->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return FETCH_TOO_LARGE;
	if (f->refused)
		return FETCH_REFUSED;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return FETCH_STOPPED;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return FETCH_TIMEOUT;
	if (code == CURLE_URL_MALFORMAT) /* an unsupported protocol is an answer that is no HTTP */
		return FETCH_BAD_URL;
	return FETCH_UNREACHABLE;
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

/* All that is set may fail for want of memory; what is not set would be a hole, so one failure is enough. */
#define SET(option, ...) (ok = ok && curl_easy_setopt(curl, (option), __VA_ARGS__) == CURLE_OK)

static bool configure(CURL *curl, struct fetching *f, CURLU *url, struct curl_slist *headers, struct curl_slist *names)
{
	const struct fetch_request *rq = f->request;
	bool ok = true;

	SET(CURLOPT_CURLU, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_RESOLVE, names);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, f);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)rq->timeout_ms);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)rq->answer_most);
	SET(CURLOPT_WRITEFUNCTION, receive);
	SET(CURLOPT_WRITEDATA, f);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, progress);
	SET(CURLOPT_XFERINFODATA, f);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_length);
	SET(CURLOPT_POSTFIELDS, rq->body);
	SET(CURLOPT_HTTPHEADER, headers);
	return ok;
}

static enum fetch_end perform(struct fetching *f, CURLU *url, const char *host, const char *port, struct fetch_answer *out)
{
	const struct fetch_request *rq = f->request;
	struct curl_slist *headers = NULL, *names = NULL;
	CURL *curl = curl_easy_init();
	enum fetch_end end = FETCH_UNREACHABLE;
	const char *type = NULL;
	long code = 0;

	bool ok = curl != NULL && add_header(&headers, arena_printf(f->mem, "Content-Type: %s", rq->content_type)) &&
		  add_header(&headers, "User-Agent: Guildhall/" GUILDHALL_VERSION) &&
		  add_header(&headers, "Expect:") && /* no pause before the body */
		  add_header(&names, pinned(f, host, port));
	for (size_t i = 0; ok && rq->headers != NULL && rq->headers[i] != NULL; i++)
		ok = add_header(&headers, rq->headers[i]);
	if (!ok || !configure(curl, f, url, headers, names)) {
		log_error("fetch_failed", LOG_STR("why", "memory"));
		goto out;
	}
	end = end_of(f, curl_easy_perform(curl));
	if (end != FETCH_DONE)
		goto out;
	if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code) != CURLE_OK ||
		curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK) {
		end = FETCH_UNREACHABLE;
		goto out;
	}
	*out = (struct fetch_answer){.code = (int)code,
		.content_type = type != NULL ? arena_strdup(f->mem, type) : "",
		.body = f->length > 0 ? arena_strndup(f->mem, f->body, f->length) : "",
		.length = f->length};
out:
	curl_easy_cleanup(curl);
	curl_slist_free_all(names);
	curl_slist_free_all(headers);
	return end;
}

enum fetch_end fetch_post(struct arena *mem, const struct fetch_request *request, struct fetch_answer *out)
{
	struct fetching f = {.mem = mem, .request = request};
	char *host = NULL, *port = NULL;
	enum fetch_end end = FETCH_BAD_URL;

	if (!fetch_url_fits(request->url, FETCH_ANY))
		return FETCH_BAD_URL;
	CURLU *url = url_parse(request->url, FETCH_ANY);
	if (url == NULL || curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		goto out;
	end = resolve(&f, host);
	if (end == FETCH_DONE)
		end = perform(&f, url, host, port, out);
out:
	curl_free(port);
	curl_free(host);
	curl_url_cleanup(url);
	return end;
}
