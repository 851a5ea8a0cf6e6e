import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { config, type Configuration, configure, isLogged, say } from "../../src/core/config.ts";
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
    logLevel: "warn",
    slowHandlerMs: 0,
    measure: false,
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
      logLevel: "warn",
      slowHandlerMs: 0,
      measure: false,
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
    config.log("one", "error");
    assertEquals(lines, ["one"]);
  }),
);

test(
  "configure() sets the least level that is logged, and each line comes with its level",
  restored(() => {
    const lines: string[] = [];
    configure({ log: (line, level) => lines.push(`${level} ${line}`) });
    const all = ["error", "warn", "info", "debug"] as const;
    for (const [count, logLevel] of all.entries()) {
      configure({ logLevel });
      lines.length = 0;
      for (const level of all) say(level, "a line");
      assertEquals(lines, all.slice(0, count + 1).map((level) => `${level} netpoll: a line`));
      assertEquals(all.filter(isLogged), all.slice(0, count + 1));
    }
    for (const logLevel of ["none", "", 1, null, "Warn"]) {
      const options = { logLevel } as Configuration;
      assertThrows(() => configure(options), TypeError, "Cannot set logLevel to");
    }
    assertEquals(config.logLevel, "debug");
  }),
);

test(
  "configure() takes a time for slowHandlerMs, and refuses what is none",
  restored(() => {
    configure({ slowHandlerMs: 0.5 });
    assertEquals(config.slowHandlerMs, 0.5);
    for (const slowHandlerMs of [-1, NaN, Infinity, "5"]) {
      const options = { slowHandlerMs } as Configuration;
      assertThrows(() => configure(options), RangeError, "Cannot set slowHandlerMs to");
    }
    assertEquals(config.slowHandlerMs, 0.5);
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
