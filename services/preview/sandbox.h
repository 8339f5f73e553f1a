/*
 * sandbox - what guildhall-preview gives up before it looks at a byte of the picture. From then on it can compute, read what it was
 * given and write what it was given, within bounds of memory, time and size, and nothing else: see docs/operations.md.
 */
#pragma once

#include <stdbool.h>

/* Before the libraries are set up: bounds, and an end together with the parent's. */
bool sandbox_bound(void);
/* After that: the filter of system calls, for all threads. False: there is none, and the picture must not be looked at. */
bool sandbox_enter(void);
