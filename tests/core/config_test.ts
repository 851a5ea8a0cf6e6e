import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { config, type Configuration, configure } from "../../src/core/config.ts";
import { show } from "../../src/core/options.ts";

/** Runs a body, and sets everything to what it was before. */
function restored(body: () => void): () => void {
  return () => {
    const before = { ...config };
    try {
      body();
    } finally {
      configure(before);
    }
  };
}

test("config holds the defaults that are documented", () => {
  const { log, ...rest } = config;
  assertEquals(rest, {
    debug: false,
    verify: false,
    spinMicros: 0,
    blockMicros: 1000,
    watchRuntime: true,
  });
  assertEquals(typeof log, "function");
});

test(
  "configure() sets what is given; the rest stays as it is, and so does what is undefined",
  restored(() => {
    const { log } = config;
    configure({ blockMicros: 7 });
    configure({ spinMicros: 5, blockMicros: undefined });
    assertEquals({ ...config }, {
      debug: false,
      verify: false,
      log,
      spinMicros: 5,
      blockMicros: 7,
      watchRuntime: true,
    });
  }),
);

test(
  "configure() sets where lines are logged",
  restored(() => {
    const lines: string[] = [];
    configure({ log: (line) => lines.push(line) });
    config.log("one");
    assertEquals(lines, ["one"]);
  }),
);

test(
  "configure() takes whole microseconds from 0 to a second",
  restored(() => {
    for (const micros of [0, 1, 1_000_000]) {
      configure({ spinMicros: micros, blockMicros: micros });
      assertEquals([config.spinMicros, config.blockMicros], [micros, micros]);
    }
  }),
);

for (const name of ["spinMicros", "blockMicros"] as const) {
  for (const micros of [-1, 0.5, 1_000_001, NaN, Infinity, "5" as unknown as number]) {
    test(
      `configure() refuses ${name}: ${typeof micros} ${micros}, and changes nothing`,
      restored(() => {
        const before = { ...config };
        const options: Configuration = { debug: true, verify: true, [name]: micros };
        assertThrows(() => configure(options), RangeError, `Cannot set ${name} to ${show(micros)}`);
        assertEquals({ ...config }, before);
      }),
    );
  }
}
