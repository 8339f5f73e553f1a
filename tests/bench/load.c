/*
 * guildhall-load - reads a plan on stdin, connects, loads, checks, and prints one JSON object. Exit 0: every
 * delivery was right; 1: one was lost, doubled, reordered or corrupt, or a socket was closed; 2: the run
 * could not be made.
 */
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DRAIN_NS 15000000000LL /* how long the last messages may be under way */

static void die(const char *what, const char *value)
{
	fprintf(stderr, "load: %s: %s\n", what, value);
	exit(2);
}

static void *grow(void *list, size_t count, size_t size)
{
	/* Doubles at powers of two. */
	if (count & (count - 1))
		return list;
	void *more = realloc(list, (count ? count * 2 : 1) * size);
	memset((char *)more + count * size, 0, (count ? count : 1) * size);
	return more;
}

static void address(struct sockaddr_in *out, const char *host, int port)
{
	*out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
		die("not an IPv4 address", host);
}

static void plan_line(struct load *load, char *line)
{
	char host[64];
	int port;
	if (sscanf(line, "gateway %63s %d %127s", host, &port, load->path) == 3)
		address(&load->gateway, host, port);
	else if (strncmp(line, "since ", 6) == 0) {
		if (strlen(line + 6) >= sizeof(load->since))
			die("since is too long", line);
		strcpy(load->since, line + 6);
	} else if (sscanf(line, "api %63s %d", host, &port) == 2)
		address(&load->api, host, port);
	else if (strncmp(line, "user ", 5) == 0) {
		load->users = grow(load->users, load->user_count, sizeof(*load->users));
		struct user *user = &load->users[load->user_count++];
		if (sscanf(line, "user %255s %63s", user->token, user->id) != 2)
			die("user TOKEN ID", line);
	} else if (strncmp(line, "group ", 6) == 0) {
		load->groups = grow(load->groups, load->group_count, sizeof(*load->groups));
		struct group *group = &load->groups[load->group_count++];
		if (sscanf(line, "group %95s %u %u %u", group->topic, &group->sockets, &group->first_user,
			    &group->users) != 4 ||
			group->users == 0)
			die("group TOPIC SOCKETS FIRST_USER USERS", line);
	} else if (strncmp(line, "sender ", 7) == 0) {
		load->senders = grow(load->senders, load->sender_count, sizeof(*load->senders));
		struct sender *sender = &load->senders[load->sender_count++];
		if (sscanf(line, "sender %u %63s %u", &sender->user, sender->channel, &sender->group) != 3)
			die("sender USER CHANNEL GROUP", line);
	} else if (strncmp(line, "process ", 8) == 0) {
		load->processes = grow(load->processes, load->process_count, sizeof(*load->processes));
		struct process *process = &load->processes[load->process_count++];
		if (sscanf(line, "process %31s %d", process->name, &process->pid) != 2)
			die("process NAME PID", line);
	} else
		die("no such line in a plan", line);
}

static void read_plan(struct load *load)
{
	char line[1024];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] != 0)
			plan_line(load, line);
	}
	for (size_t i = 0; i < load->sender_count; i++)
		if (load->senders[i].user >= load->user_count || load->senders[i].group >= load->group_count)
			die("plan", "a sender of an unknown user or group");
	for (size_t i = 0; i < load->group_count; i++) {
		if (load->groups[i].sockets > 0 &&
			load->groups[i].first_user + load->groups[i].users > load->user_count)
			die("plan", "a group of unknown users");
		ledger_prepare(&load->groups[i]);
	}
}

static void read_options(struct load *load, int argc, char **argv)
{
	static const struct option options[] = {
		{"mode", required_argument, NULL, 'm'},
		{"rate", required_argument, NULL, 'r'},
		{"warmup", required_argument, NULL, 'w'},
		{"seconds", required_argument, NULL, 's'},
		{"settle", required_argument, NULL, 'e'},
		{"content-bytes", required_argument, NULL, 'b'},
		{"connecting", required_argument, NULL, 'c'},
		{"get", required_argument, NULL, 'g'},
		{"missed", required_argument, NULL, 'i'},
		{"protocol", required_argument, NULL, 'p'},
		{"compress", required_argument, NULL, 'z'},
		{0},
	};
	static const char *const modes[] = {[MODE_IDLE] = "idle",
		[MODE_CLOSED] = "closed",
		[MODE_WINDOW] = "window",
		[MODE_RATE] = "rate",
		[MODE_GET] = "get"};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'm':
			for (load->mode = MODE_IDLE; strcmp(modes[load->mode], optarg) != 0; load->mode++)
				if (load->mode == MODE_GET)
					die("--mode is idle, closed, window, rate or get, not", optarg);
			break;
		case 'r':
			load->rate = atof(optarg);
			break;
		case 'w':
			load->warmup_s = atof(optarg);
			break;
		case 's':
			load->seconds = atof(optarg);
			break;
		case 'e':
			load->settle_s = atof(optarg);
			break;
		case 'b':
			load->content_bytes = (uint32_t)atoi(optarg);
			break;
		case 'c':
			load->connecting = (uint32_t)atoi(optarg);
			break;
		case 'g':
			load->get = optarg;
			break;
		case 'i':
			load->missed = (uint32_t)atoi(optarg);
			break;
		case 'z':
			load->compress = atoi(optarg) != 0;
			break;
		case 'p':
			load->protocol = protocol_find(optarg);
			if (load->protocol == NULL)
				die("--protocol", "none of that name in load_protocols.tbl.h");
			break;
		default:
			exit(2);
		}
	}
	if (load->content_bytes < CONTENT_HEAD + 5 || load->content_bytes > 4000)
		die("--content-bytes", "48 to 4000");
	if (load->protocol->publish != NULL && load->mode != MODE_IDLE && load->mode != MODE_WINDOW &&
		load->mode != MODE_RATE)
		die("--mode", "sockets that publish do so in a window or at a rate");
	if (load->mode == MODE_RATE && load->rate <= 0)
		die("--rate", "posts a second");
	if (load->mode == MODE_GET && load->get == NULL)
		die("--get", "the path that is asked for");
}

static double own_cpu_s(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void cpu_begin(struct load *load)
{
	load->machine_begin_s = machine_cpu_s();
	load->own_begin_s = own_cpu_s();
	for (size_t i = 0; i < load->process_count; i++)
		load->processes[i].cpu_begin_s = process_cpu_s(load->processes[i].pid);
}

static void cpu_end(struct load *load)
{
	load->machine_end_s = machine_cpu_s();
	load->own_end_s = own_cpu_s();
	for (size_t i = 0; i < load->process_count; i++)
		load->processes[i].cpu_end_s = process_cpu_s(load->processes[i].pid);
}

static void turns_until(struct ws *ws, struct http *http, struct publisher *publisher, int64_t until_ns)
{
	for (;;) {
		int64_t left = until_ns - now_ns();
		if (left <= 0)
			return;
		int wait_ms = (int)(left / 1000000 > 20 ? 20 : left / 1000000);
		if (publisher != NULL)
			wait_ms = publish_turn(publisher, wait_ms);
		if (ws_turn(ws, wait_ms) && http != NULL)
			http_wake(http);
	}
}

static void run(struct load *load, struct ws *ws)
{
	load->begin_ns = now_ns() + (int64_t)(load->warmup_s * 1e9);
	load->end_ns = load->begin_ns + (int64_t)(load->seconds * 1e9);
	struct publisher *publisher = publish_start(load, ws);
	struct http *http = publisher == NULL ? http_start(load) : NULL;
	turns_until(ws, http, publisher, load->begin_ns);
	/* A turn late at most: rates are over the time that really passed. */
	load->deliveries_begin = load->deliveries;
	load->received_begin = load->received;
	int64_t begun = now_ns();
	cpu_begin(load);
	turns_until(ws, http, publisher, load->end_ns);
	load->deliveries_end = load->deliveries;
	load->received_end = load->received;
	cpu_end(load);
	load->seconds = (double)(now_ns() - begun) / 1e9;
	if (http != NULL)
		http_stop(http);
	int64_t give_up = now_ns() + DRAIN_NS;
	while (now_ns() < give_up &&
		!((http == NULL || http_stopped(http)) && ledger_complete(load) && ws_complete(ws)))
		if (ws_turn(ws, 20) && http != NULL)
			http_wake(http);
	if (http != NULL)
		http_join(http);
	publish_finish(publisher);
	/* Whatever comes now came once too often. */
	turns_until(ws, NULL, NULL, now_ns() + 200000000);
}

static void print_count(FILE *out, const char *name, uint64_t count)
{
	fprintf(out, "\"%s\":%llu,", name, (unsigned long long)count);
}

static void print_real(FILE *out, const char *name, double value)
{
	fprintf(out, "\"%s\":%.3f,", name, value);
}

static void print_process(FILE *out, const struct process *p, bool first)
{
	fprintf(out, "%s\"%s\":{", first ? "" : ",", p->name);
	print_real(out, "cpu_s", p->cpu_end_s - p->cpu_begin_s);
	print_real(out, "cpu_connect_s", p->cpu_connect_s);
	fprintf(out, "\"rss_begin_kib\":%ld,\"rss_ready_kib\":%ld,\"rss_end_kib\":%ld}", p->rss_begin_kib,
		p->rss_ready_kib, p->rss_end_kib);
}

/* How many answers the sender with the fewest got, and the one with the most. */
static void print_served(const struct load *load, FILE *out)
{
	uint64_t least = UINT64_MAX, most = 0;
	for (size_t i = 0; i < load->sender_count; i++) {
		uint64_t count = load->senders[i].counted;
		least = count < least ? count : least;
		most = count > most ? count : most;
	}
	print_count(out, "least_served", load->sender_count > 0 ? least : 0);
	print_count(out, "most_served", most);
}

static void print(const struct load *load, uint32_t sockets, double connect_s, FILE *out)
{
	uint64_t deliveries = load->deliveries_end - load->deliveries_begin;
	fputc('{', out);
	print_count(out, "sockets", sockets);
	print_real(out, "connect_s", connect_s);
	print_real(out, "ready_per_s", connect_s > 0 ? sockets / connect_s : 0);
	print_real(out, "seconds", load->seconds);
	print_count(out, "deliveries", deliveries);
	print_real(out, "deliveries_per_s", load->seconds > 0 ? (double)deliveries / load->seconds : 0);
	print_count(out, "posts", load->posts);
	print_real(out, "posts_per_s", load->seconds > 0 ? (double)load->posts / load->seconds : 0);
	print_served(load, out);
	print_count(out, "late", load->late);
	print_count(out, "refused", load->refused);
	print_count(out, "other_frames", load->others);
	print_real(out, "bytes_per_delivery",
		deliveries > 0 ? (double)(load->received_end - load->received_begin) / (double)deliveries : 0);
	print_count(out, "busy", load->busy);
	print_real(out, "load_cpu_s", load->own_end_s - load->own_begin_s);
	print_real(out, "machine_cpu_s", load->machine_end_s - load->machine_begin_s);
	print_count(out, "lost", load->faults.lost);
	print_count(out, "doubled", load->faults.doubled);
	print_count(out, "reordered", load->faults.reordered);
	print_count(out, "corrupt", load->faults.corrupt);
	print_count(out, "closed", load->faults.closed);
	histogram_print(&load->ready, "ready_ms", out);
	fputc(',', out);
	histogram_print(&load->post, "post_ms", out);
	fputc(',', out);
	histogram_print(&load->delivery, "delivery_ms", out);
	fputc(',', out);
	histogram_print(&load->logged, "logged_ms", out);
	fputc(',', out);
	histogram_print(&load->last, "last_ms", out);
	fputs(",\"processes\":{", out);
	for (size_t i = 0; i < load->process_count; i++)
		print_process(out, &load->processes[i], i == 0);
	fputs("}}\n", out);
}

int main(int argc, char **argv)
{
	static struct load load = {.warmup_s = 2, .seconds = 8, .content_bytes = 56, .connecting = 512};
	double connect_s = 0;
	uint32_t sockets = 0;
	load.protocol = protocol_find("house");
	read_options(&load, argc, argv);
	read_plan(&load);
	for (size_t i = 0; i < load.group_count; i++)
		sockets += load.groups[i].sockets;
	for (size_t i = 0; i < load.process_count; i++)
		load.processes[i].rss_begin_kib = process_rss_kib(load.processes[i].pid);
	cpu_begin(&load);
	struct ws *ws = ws_create(&load);
	if (!ws_connect(ws, &connect_s))
		return 2;
	cpu_end(&load);
	for (size_t i = 0; i < load.process_count; i++)
		load.processes[i].cpu_connect_s = load.processes[i].cpu_end_s - load.processes[i].cpu_begin_s;
	turns_until(ws, NULL, NULL, now_ns() + (int64_t)(load.settle_s * 1e9));
	for (size_t i = 0; i < load.process_count; i++)
		load.processes[i].rss_ready_kib = process_rss_kib(load.processes[i].pid);
	if (load.mode == MODE_IDLE)
		load.seconds = 0;
	else
		run(&load, ws);
	for (size_t i = 0; i < load.process_count; i++)
		load.processes[i].rss_end_kib = process_rss_kib(load.processes[i].pid);
	ws_finish(ws);
	ledger_finish(&load);
	print(&load, sockets, connect_s, stdout);
	const struct faults *f = &load.faults;
	return f->lost + f->doubled + f->reordered + f->corrupt + f->closed > 0 ? 1 : 0;
}
