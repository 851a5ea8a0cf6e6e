// Connections that say nothing after their one message.
#pragma once

// Opens them, and waits for the answer of each.
void idle_open(int first_id);
// Instead of a load: lets some of them stop in the middle of a second message, prints "ready", waits
// for the end of standard input, and has those messages completed and answered.
void idle_hold(void);
