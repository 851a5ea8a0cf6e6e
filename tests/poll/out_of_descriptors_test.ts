import { assertEquals } from "@std/assert";
import { ERRNO } from "../../src/core/errno.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";

faultTest(
  "setTimer() takes no descriptor: what is under way can count on its deadline",
  () =>
    leaks(() => {
      const poller = new Poller();
      try {
        failWith("timerfd", ERRNO.EMFILE, { count: 100 });
        poller.setTimer(new Timer({ onTimer() {} }), 1000);
        assertEquals(poller.timerCount, 1);
      } finally {
        poller.close();
      }
    }),
);

faultTest(
  "a poller leaves nothing open, whichever of its descriptors is refused",
  () =>
    leaks(() => {
      for (const call of ["epollCreate", "timerfd", "epollCtl"] as const) {
        for (let skip = 0; skip < 3; skip++) {
          failWith(call, ERRNO.EMFILE, { skip });
          try {
            new Poller().close();
          } catch {
            // It says what is missing.
          }
        }
      }
    }),
);
