import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { createDatagramSocket, type DatagramSocketOptions } from "../../mod.ts";
import { checkKernelOptions, takesTrains } from "../../src/datagram/kernel_options.ts";
import { getOption, type OptionName } from "../../src/net/socket.ts";

/** What each option sets, for IPv4 and for IPv6: {level, name}, and the value that the kernel tells. */
const EFFECTS: readonly [
  DatagramSocketOptions,
  ipv4: OptionName,
  ipv6: OptionName | null,
  value: number,
][] = [
  [{ receiveBufferBytes: 50_000 }, [1, 8], null, 100_000],
  [{ sendBufferBytes: 50_000 }, [1, 7], null, 100_000],
  [{ ttl: 7 }, [0, 2], [41, 16], 7],
  [{ typeOfService: 0xb8 }, [0, 1], [41, 67], 0xb8],
  [{ priority: 3 }, [1, 12], null, 3],
  [{ freeBind: true }, [0, 15], null, 1],
  [{ reusePort: true }, [1, 15], null, 1],
  [{ broadcast: true }, [1, 6], null, 1],
  [{ timestamps: true }, [1, 35], null, 1],
  [{ ecn: true }, [0, 13], [41, 66], 1],
  [{ reportUnreachable: true }, [0, 11], [41, 25], 1],
  [{ pathMtu: "fixed" }, [0, 10], [41, 23], 2],
  [{ pathMtu: "probe" }, [0, 10], [41, 23], 3],
  [{ pathMtu: "system" }, [0, 10], [41, 23], 1],
  [{ multicastTtl: 9 }, [0, 33], [41, 18], 9],
  [{ multicastLoopback: false }, [0, 34], [41, 19], 0],
  // What every socket has.
  [{}, [0, 49], [41, 29], 0],
  [{}, [17, 104], null, 1],
];

test("each option reaches the kernel, for IPv4 and for IPv6", async () => {
  for (const [options, ipv4, ipv6, value] of EFFECTS) {
    await using four = createDatagramSocket("udp4", "127.0.0.1:0", options);
    assertEquals(getOption(four.fd, ipv4) & 0xff_ffff, value, JSON.stringify(options));
    await using six = createDatagramSocket("udp6", "[::1]:0", options);
    assertEquals(
      getOption(six.fd, ipv6 ?? ipv4) & 0xff_ffff,
      value,
      `IPv6 ${JSON.stringify(options)}`,
    );
  }
});

test("takesTrains() is true of this kernel", async () => {
  await using socket = createDatagramSocket("udp4", "127.0.0.1:0");
  assertEquals(takesTrains(socket.fd), true);
});

test("checkKernelOptions() refuses values out of range", () => {
  for (
    const options of [{ ttl: 256 }, { priority: 7 }, { typeOfService: -1 }, { multicastTtl: 256 }]
  ) {
    assertThrows(() => checkKernelOptions(options), RangeError);
  }
  assertThrows(() => checkKernelOptions({ pathMtu: "huge" as never }), TypeError, "pathMtu");
});
