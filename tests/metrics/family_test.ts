import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { counter, counters, escaped, gauge, snake, write } from "../../src/metrics/family.ts";

test("write() has the samples of a family together, each with its labels", () => {
  const family = counters<Record<string, number>>("ends", "Ends.", "reason", (of) => of);
  const head = "# HELP netpoll_ends_total Ends.\n# TYPE netpoll_ends_total counter\n";
  assertEquals(
    write(family, [['a="1"', { tooLate: 3 }], ["", { lost: 4 }]]),
    `${head}netpoll_ends_total{a="1",reason="too_late"} 3\nnetpoll_ends_total{reason="lost"} 4\n`,
  );
  assertEquals(write({ ...family, isOptional: true }, [["", {}]]), "");
  assertEquals(
    write(counter<number>("a", "A.", (of) => of), [["", 5]]).split("\n")[2],
    "netpoll_a_total 5",
  );
  assertEquals(
    write(gauge<number>("a", "A.", (of) => of), [["", 5]]).split("\n")[2],
    "netpoll_a 5",
  );
});

test("escaped() and snake() write names as Prometheus reads them", () => {
  assertEquals(escaped('a"b\\c\nd'), 'a\\"b\\\\c\\nd');
  assertEquals([snake("sendZeroCopy"), snake("ECONNRESET")], ["send_zero_copy", "ECONNRESET"]);
});
