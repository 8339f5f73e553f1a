/* A peer that is killed again and again while calls are in flight: every call ends, once. The peer is this program, started anew. */
#include "tests/unit/rpc/fixture.h"
#include "tests/unit/rpc/nng_leaves.h"

#include <signal.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define KILLS         150
#define FLIGHTS       32
#define CALL_MS       300 /* what waits for an answer that does not come holds a flight up for so long */
#define ANSWERS_LEAST 5 /* of each life of the peer */

static const char serve_at[] = "RECONNECT_TEST_SERVES";

/* The other role of this program: answers calls until it is killed. */
__attribute__((constructor)) static void serve_if_told(void)
{
	const char *address = getenv(serve_at);
	struct service service;

	if (address == NULL)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	service_init(&service);
	static const struct rpc_binding bindings[] = {{&rpc_messaging_stream_heads, handle_heads}};
	const struct rpc_server_options options = {
		.listen = address, .bindings = bindings, .binding_count = 1, .service = &service, .workers = 4, .contexts = 32};
	struct rpc_server *server = NULL;
	if (rpc_server_start(&options, &server) != STATUS_OK) /* no ck_assert here: this is no test */
		abort();
	for (;;)
		pause();
}

static pid_t spawn_peer(const char *address)
{
	char variable[160];
	char *arguments[] = {(char *)(uintptr_t) "peer", NULL};
	char *environment[] = {variable, NULL};
	pid_t pid;

	snprintf(variable, sizeof variable, "%s=%s", serve_at, address);
	ck_assert_int_eq(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environment), 0);
	return pid;
}

struct stress {
	struct rpc_client *client;
	sem_t ended; /* one a call that ended */
	_Atomic bool over;
	_Atomic uint64_t begun, answered, refused;
	_Atomic int twice, wrong;
	struct flight_state {
		struct stress *stress;
		_Atomic bool in_flight;
	} flights[FLIGHTS];
};

/* Runs on an nng thread. */
static void call_ended(void *arg, struct arena *mem, enum status st, const void *reply, const struct rpc_outcome *outcome)
{
	struct flight_state *flight = arg;
	struct stress *stress = flight->stress;

	if (!atomic_exchange(&flight->in_flight, false))
		atomic_fetch_add(&stress->twice, 1);
	if (st == STATUS_OK)
		atomic_fetch_add(&stress->answered, 1);
	else if (st == STATUS_BUSY || st == STATUS_LATE)
		atomic_fetch_add(&stress->refused, 1);
	else
		atomic_fetch_add(&stress->wrong, 1);
	if ((st == STATUS_OK) != (reply != NULL))
		atomic_fetch_add(&stress->wrong, 1);
	arena_destroy(mem);
	sem_post(&stress->ended);
}

/* Keeps FLIGHTS calls on their way. */
static void *keep_calling(void *arg)
{
	struct stress *stress = arg;
	pb_StreamHead head = {.rank = 1, .stream_id = 42, .seq = 9};
	pb_StreamHeadsRequest rq = {.streams_count = 1, .streams = &head};

	while (!stress->over) {
		sem_wait(&stress->ended);
		for (size_t i = 0; i < FLIGHTS; i++) {
			struct flight_state *flight = &stress->flights[i];
			if (atomic_exchange(&flight->in_flight, true))
				continue;
			struct rpc_context ctx = within(CALL_MS);
			atomic_fetch_add(&stress->begun, 1);
			messaging_stream_heads_async(stress->client, &ctx, &rq, call_ended, flight);
			break;
		}
	}
	return NULL;
}

START_TEST(every_call_ends_once_though_its_peer_is_killed_150_times)
{
	static struct stress stress;
	struct place at = place_create();
	pthread_t caller;

	sem_init(&stress.ended, 0, FLIGHTS);
	for (size_t i = 0; i < FLIGHTS; i++)
		stress.flights[i].stress = &stress;
	stress.client = connect_to(at.address[0]);
	pthread_create(&caller, NULL, keep_calling, &stress);
	for (int kill_no = 0; kill_no < KILLS; kill_no++) {
		pid_t peer = spawn_peer(at.address[0]);
		uint64_t wanted = stress.answered + ANSWERS_LEAST;
		int64_t most = clock_mono_ms() + PATIENCE_MS;
		while (stress.answered < wanted) {
			ck_assert_msg(clock_mono_ms() < most, "life %d: no connection, or calls whose end is lost", kill_no);
			sched_yield();
		}
		kill(peer, SIGKILL);
		waitpid(peer, NULL, 0);
	}
	stress.over = true;
	sem_post(&stress.ended);
	pthread_join(caller, NULL);
	int64_t most = clock_mono_ms() + 2 * PATIENCE_MS;
	while (stress.answered + stress.refused + (uint64_t)stress.wrong < stress.begun)
		ck_assert_msg(clock_mono_ms() < most, "%lu calls never ended", (unsigned long)(stress.begun - stress.answered - stress.refused));

	ck_assert_int_eq(stress.twice, 0);
	ck_assert_int_eq(stress.wrong, 0);
	ck_assert_uint_ge(stress.answered, (uint64_t)KILLS * ANSWERS_LEAST);
	rpc_client_destroy(stress.client);
	place_destroy(&at);
}
END_TEST

TESTS("rpc reconnect", every_call_ends_once_though_its_peer_is_killed_150_times)
