/*
 * bus/queue - received frames on their way from nng's threads to the one thread that reads them. Bounded: when it is full
 * a frame is dropped and counted, for the log has it. Thread-safe; one reader.
 */
#pragma once

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_FRAMES_MOST 65536

struct frame_queue;
struct frame_queue *frame_queue_create(void);
void frame_queue_destroy(struct frame_queue *queue); /* accepts NULL; frees the frames left */
void frame_queue_push(struct frame_queue *queue, nng_msg *frame); /* takes */
/* Up to `most` frames into out, which the caller frees; waits for one, or for a wake, until until_mono_ms. */
size_t frame_queue_take(struct frame_queue *queue, int64_t until_mono_ms, nng_msg **out, size_t most);
void frame_queue_wake(struct frame_queue *queue); /* the reader comes back, with nothing if there is nothing */
