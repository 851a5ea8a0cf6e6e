// Connections that send without pause and read little: what a server holds for them, and whether it
// forgets the others meanwhile.
#pragma once
#include "connection.h"

// Opens them, with ids from `first_id` on.
void slow_open(int first_id);
// Reads and sends what is due by now. How long until the next time, in milliseconds.
int slow_turn(void);
// A slow reader that has got nothing at all yet, or NULL.
const struct connection *slow_starved(void);
void slow_close(void);
