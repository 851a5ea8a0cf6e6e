// Connections that send one message each, get it back, and then are silent: the server has done all
// it does for a connection. One that is closed, or gets more, ends the program.
#pragma once

// Opens them, with ids from `first_id` on.
void idle_open(int first_id);
