/*
 * bus/subscriber - receives from every publisher, one SUB socket each, and moves the frames into a queue on nng's threads:
 * PUB drops for whoever does not take at once. Thread-safe.
 */
#pragma once

#include <stdbool.h>

#include "common/base/status.h"
#include "common/bus/queue.h"

struct bus_subscriber;
/* queue is borrowed and outlives the subscriber. drop_percent: this share of the frames is thrown away (fault hook). */
enum status bus_subscriber_create(const char *addresses, bool insecure, int drop_percent, struct frame_queue *queue,
	struct bus_subscriber **out_subscriber);
void bus_subscriber_destroy(struct bus_subscriber *subscriber); /* accepts NULL; no frame comes any more */
/* Something came from every address within the last within_ms? (Publishers send a heartbeat every 100 ms.) */
bool bus_subscriber_heard(struct bus_subscriber *subscriber, int within_ms);
