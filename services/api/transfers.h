/*
 * transfers - who is sending or fetching a file right now. Each holds a worker for as long as his line takes, so together they may have
 * a part of the workers only, and one account or address a small part of that. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

struct transfers;

/* most: in all; each: uploads of one account, and eight times as many downloads of one address. NULL when memory is out. */
struct transfers *transfers_create(size_t most, int each);
void transfers_destroy(struct transfers *transfers); /* NULL is fine */

enum transfer { TRANSFER_UPLOAD, TRANSFER_DOWNLOAD };
/* who: an account, or the key of an address. STATUS_OK: end it with transfers_end. STATUS_RATE_LIMITED: he has too many; STATUS_BUSY:
 * all together have. */
enum status transfers_begin(struct transfers *transfers, enum transfer what, uint64_t who);
void transfers_end(struct transfers *transfers, enum transfer what, uint64_t who);
