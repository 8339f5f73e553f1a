/*
 * guildhall-gateway - every client's websocket. Wires only.
 */
#include <sodium.h>
#include <stdlib.h>

#include "common/base/config.h"
#include "common/base/log.h"
#include "common/ops/ops.h"
#include "services/gateway/gateway.h"

static void reload(void *arg)
{
	gateway_reload(arg);
}

int main(int argc, char **argv)
{
	struct arena *mem = arena_create();
	struct config config = {0};
	struct ops *ops = NULL;
	struct gateway *gateway = NULL;
	int code = EXIT_FAILURE;

	config_main(argc, argv, "gateway", mem, &config);
	ops_signals_block();
	if (sodium_init() < 0)
		goto out;
	if (ops_start(&config, "gateway", &ops) != STATUS_OK)
		goto out;
	if (gateway_start(&config, ops, &gateway) != STATUS_OK)
		goto out;
	int signal = ops_signals_wait_reloading(reload, gateway);
	log_info("signal", LOG_I64("number", signal));
	ops_set_draining(ops);
	gateway_stop(gateway);
	code = EXIT_SUCCESS;
out:
	ops_stop(ops);
	arena_destroy(mem);
	return code;
}
