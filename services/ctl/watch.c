/*
 * watch - a client of house's websocket that shows what it gets. Comes back after a lost connection, resumes when asked to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/base/clock.h"
#include "services/ctl/commands.h"
#include "services/ctl/frames.h"
#include "services/ctl/interrupt.h"
#include "services/ctl/wsclient.h"

#define SLICE_MS      250 /* how long a signal may go unnoticed */
#define SEND_MS       5000
#define FIRST_PAUSE   250
#define LONGEST_PAUSE 10000
#define TOPICS_MOST   100

/* house.md, 1.5 */
enum { CLOSE_MALFORMED = 4400, CLOSE_TOKEN = 4401, CLOSE_DISABLED = 4403 };

struct watch {
	struct ctl *ctl;
	const char *url, *token;
	const char *topics[TOPICS_MOST];
	size_t topic_count;
	bool resume, raw;
	int64_t left; /* events still to show; -1: no end */
	struct positions positions;
	bool resuming;    /* the present subscription named positions */
	bool was_there;   /* a connection has worked: from then on it is worth coming back */
	int heartbeat_ms;
	int pause_ms;     /* before the next attempt */
};

/* What one connection came to. */
enum end { END_DONE, END_AGAIN, END_FAILED };

static void show(struct watch *w, struct arena *mem, const struct frame *frame, const char *text, size_t length)
{
	if (w->raw || w->ctl->json) {
		fwrite(text, 1, length, stdout);
		putchar('\n');
	} else {
		printf("%s\n", frame_line(mem, frame));
	}
	fflush(stdout);
}

/* The answer to subscribe. False: the server refused every topic. */
static bool take_subscribed(struct watch *w, struct arena *mem, const struct frame *frame)
{
	size_t topics = json_array_size(json_object_get(frame->data, "topics")), count = 0;

	w->was_there = true;
	w->pause_ms = FIRST_PAUSE;
	if (w->resuming) {
		const char **lost = frame_lost_streams(mem, frame, &count);

		for (size_t i = 0; i < count; i++)
			ctl_note(w->ctl, "events of stream %s were missed: fetch them by REST", lost[i]);
		ctl_note(w->ctl, "back%s", count == 0 ? ", nothing missed" : "");
	} else {
		ctl_note(w->ctl, "watching %zu of %zu topics", topics, w->topic_count);
	}
	return topics > 0;
}

static const char *text_of(const struct frame *frame, const char *key)
{
	const char *text = json_string_value(json_object_get(frame->data, key));

	return text == NULL ? "" : text;
}

/* Not before hello: until then the server is still asking whose token it is. */
static enum end subscribe(struct watch *w, struct arena *mem, struct wsclient *client)
{
	size_t length = 0;
	const char *text;

	w->resuming = w->resume && w->positions.count > 0;
	text = frame_subscribe(mem, w->topics, w->topic_count, w->resuming ? &w->positions : NULL, &length);
	(void)wsclient_send_text(client, text, length, SEND_MS); /* a broken connection is noticed by the next read */
	return END_AGAIN;
}

static enum end take_frame(struct watch *w, struct arena *mem, struct wsclient *client, const char *text, size_t length,
	bool *out_leave)
{
	struct frame frame;
	json_t *value;

	if (frame_parse(mem, text, length, &frame) != STATUS_OK) {
		ctl_fail(w->ctl, STATUS_MALFORMED, "Is the URL that of house (/v1/ws)?", "what answers there is not house's websocket");
		return END_FAILED;
	}
	positions_take(&w->positions, &frame);
	if (frame_is_event(&frame)) {
		show(w, mem, &frame, text, length);
		if (w->left > 0 && --w->left == 0)
			return END_DONE;
		return END_AGAIN;
	}
	if (w->raw)
		show(w, mem, &frame, text, length);
	if (strcmp(frame.type, "hello") == 0) {
		value = json_object_get(frame.data, "heartbeat_ms");
		if (json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) < 3600000)
			w->heartbeat_ms = (int)json_integer_value(value);
		return subscribe(w, mem, client);
	} else if (strcmp(frame.type, "error") == 0) {
		ctl_note(w->ctl, "the server refuses: %s: %s", text_of(&frame, "code"), text_of(&frame, "message"));
	} else if (strcmp(frame.type, "subscribed") == 0 && !take_subscribed(w, mem, &frame)) {
		ctl_fail(w->ctl, STATUS_NOT_FOUND, "A topic is channel:ID, team:ID, user:ID (one's own) or global.",
			"the server refused every topic");
		return END_FAILED;
	} else if (strcmp(frame.type, "reconnect") == 0) {
		value = json_object_get(frame.data, "after_ms");
		w->pause_ms = json_is_integer(value) && json_integer_value(value) < LONGEST_PAUSE ? (int)json_integer_value(value) :
												    FIRST_PAUSE;
		ctl_note(w->ctl, "the server is leaving; coming back in %d ms", w->pause_ms);
		*out_leave = true;
	}
	return END_AGAIN;
}

static enum end take_close(struct watch *w, const struct wsclient_message *message)
{
	switch (message->code) {
	case CLOSE_TOKEN:
		ctl_fail(w->ctl, STATUS_UNAUTHENTICATED, "guildhallctl token create --user NAME makes another.",
			"the token is unknown, expired or revoked (4401)");
		return END_FAILED;
	case CLOSE_DISABLED:
		ctl_fail(w->ctl, STATUS_FORBIDDEN, "guildhallctl user disable NAME --enable lets it in again.",
			"the account is disabled (4403)");
		return END_FAILED;
	case CLOSE_MALFORMED:
		ctl_fail(w->ctl, STATUS_MALFORMED, NULL, "the server did not understand us (4400 %s)", message->bytes);
		return END_FAILED;
	default:
		ctl_note(w->ctl, "closed: %u%s%s", message->code, message->length > 0 ? " " : "", message->bytes);
		return END_AGAIN;
	}
}

/* Reads one connection to its end. */
static enum end read_frames(struct watch *w, struct wsclient *client)
{
	struct arena *mem = arena_create();
	struct wsclient_message message;
	enum end end = END_AGAIN;
	bool leave = false;

	while (end == END_AGAIN && !leave) {
		enum status st;

		if (interrupted()) {
			end = END_DONE;
			break;
		}
		st = wsclient_receive(client, SLICE_MS, &message);
		if (st == STATUS_LATE) {
			if (clock_mono_ms() - wsclient_heard_mono_ms(client) > 2 * (int64_t)w->heartbeat_ms + SEND_MS) {
				ctl_note(w->ctl, "nothing heard for two heartbeats");
				break;
			}
			continue;
		}
		if (st != STATUS_OK) {
			ctl_note(w->ctl, "the connection broke");
			break;
		}
		if (message.kind == WSCLIENT_CLOSED) {
			end = take_close(w, &message);
			break;
		}
		arena_reset(mem);
		end = take_frame(w, mem, client, message.bytes, message.length, &leave);
	}
	if (end == END_DONE || leave)
		wsclient_close(client, 1000, "", 1000);
	arena_destroy(mem);
	return end;
}

static enum end run_connection(struct watch *w)
{
	const struct wsclient_options options = {.url = w->url, .token = w->token, .user_agent = "guildhallctl/" GUILDHALL_VERSION};
	struct wsclient *client = NULL;
	char why[WSCLIENT_WHY_SIZE] = "";
	enum end end = END_AGAIN;
	enum status st = wsclient_connect(&options, &client, why);

	if (st == STATUS_OK) {
		end = read_frames(w, client);
	} else if (!w->was_there || st == STATUS_UNAUTHENTICATED) {
		ctl_fail(w->ctl, st, NULL, "%s", why);
		end = END_FAILED;
	} else {
		ctl_note(w->ctl, "%s; trying again in %d ms", why, w->pause_ms);
	}
	wsclient_destroy(client);
	return end;
}

/* Takes the token off the command line: it stands in /proc for everybody who may list processes. */
static const char *token_hide(struct arena *mem, const char *token)
{
	const char *copy = arena_strdup(mem, token);

	memset((char *)token, 'x', strlen(token));
	return copy;
}

static enum ctl_exit find_token(struct watch *w, const char *given, const char *file)
{
	if (given != NULL && file != NULL)
		return ctl_misuse(w->ctl, "--token and --token-file exclude each other");
	if (file != NULL)
		return ctl_read_secret(w->ctl, "token", false, file, &w->token);
	if (given != NULL)
		w->token = token_hide(w->ctl->mem, given);
	else if (w->ctl->config.token[0] != '\0')
		w->token = w->ctl->config.token;
	else
		return ctl_misuse(w->ctl, "no token: --token-file FILE, --token T or GUILDHALL_TOKEN");
	return CTL_OK;
}

static enum ctl_exit find_topics(struct watch *w, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = 0;
		const char **topics = config_list(w->ctl->mem, words[i], &n);

		for (size_t k = 0; k < n; k++) {
			if (w->topic_count == TOPICS_MOST)
				return ctl_misuse(w->ctl, "at most %d topics", TOPICS_MOST);
			w->topics[w->topic_count++] = topics[k];
		}
	}
	return w->topic_count > 0 ? CTL_OK : ctl_misuse(w->ctl, "which topics? channel:ID, team:ID, user:ID or global");
}

enum ctl_exit watch_command(struct ctl *ctl, int argc, char **argv)
{
	struct watch w = {
		.ctl = ctl,
		.left = -1,
		.positions = {.mem = ctl->mem},
		.heartbeat_ms = 25000,
		.pause_ms = FIRST_PAUSE,
	};
	const char *token = NULL, *file = NULL, *words[TOPICS_MOST];
	const struct ctl_option options[] = {
		{"--count", CTL_NUMBER, &w.left, 1, INT64_MAX},
		{"--raw", CTL_FLAG, &w.raw, 0, 0},
		{"--resume", CTL_FLAG, &w.resume, 0, 0},
		{"--token", CTL_TEXT, &token, 0, 0},
		{"--token-file", CTL_TEXT, &file, 0, 0},
		{"--url", CTL_TEXT, &w.url, 0, 0},
	};
	size_t word_count = 0;
	enum end end = END_AGAIN;
	enum ctl_exit rc = ctl_arguments(ctl, argc, argv, options, sizeof options / sizeof *options, 1, TOPICS_MOST, words,
		&word_count);

	if (rc == CTL_OK)
		rc = find_topics(&w, words, word_count);
	if (rc == CTL_OK)
		rc = find_token(&w, token, file);
	if (rc != CTL_OK)
		return rc;
	if (w.url == NULL)
		w.url = arena_printf(ctl->mem, "ws://%s/v1/ws", ctl->config.ws_listen);
	if (w.resume)
		w.url = arena_printf(ctl->mem, "%s%cresume=1", w.url, strchr(w.url, '?') == NULL ? '?' : '&');
	interrupt_catch();
	while (end == END_AGAIN && !interrupted()) {
		end = run_connection(&w);
		if (end != END_AGAIN)
			break;
		if (!w.was_there)
			return ctl_fail(ctl, STATUS_BUSY, NULL, "the connection ended before anything could be watched");
		/* With jitter: after an outage everybody comes back. */
		interruptible_sleep(w.pause_ms + (int)randombytes_uniform((uint32_t)w.pause_ms / 2 + 1));
		w.pause_ms = w.pause_ms * 2 < LONGEST_PAUSE ? w.pause_ms * 2 : LONGEST_PAUSE;
	}
	return end == END_FAILED ? CTL_FAILED : CTL_OK;
}
