/*
 * interrupt - Ctrl-C and SIGTERM for commands that run until told: they end the command, which then exits with 0.
 */
#pragma once

#include <stdbool.h>

void interrupt_catch(void); /* from now on; a second signal kills */
bool interrupted(void);
void interruptible_sleep(int ms);
