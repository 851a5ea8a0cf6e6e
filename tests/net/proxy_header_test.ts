import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  decodeProxyHeader,
  encodeProxyHeader,
  type ProxyFault,
  type ProxyHeader,
  ProxyHeaderError,
  type ProxyHeaderOptions,
} from "../../mod.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";

function text(line: string): Uint8Array {
  return Buffer.from(line, "latin1");
}

function hex(digits: string): Uint8Array {
  return Buffer.from(digits.replace(/\s/g, ""), "hex");
}

/** Version 2: its command, its ends, and what follows, with the length of that unless given. */
function binary(command: string, ends: string, rest = "", length = hex(rest).length): Uint8Array {
  return hex(SIGNATURE + command + ends + length.toString(16).padStart(4, "0") + rest);
}

const IPV4 = "c0000201 cb007107 dc04 01bb";
const IPV4_ENDS = [
  { transport: "tcp", hostname: "192.0.2.1", port: 56324 },
  { transport: "tcp", hostname: "203.0.113.7", port: 443 },
] as const;

function endsOf(header: ProxyHeader | null): unknown {
  return header === null ? null : [header.source, header.destination];
}

function faultOf(bytes: Uint8Array, bytesMax?: number): ProxyFault | null {
  try {
    decodeProxyHeader(bytes, bytesMax === undefined ? {} : { bytesMax });
    return null;
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return error.fault;
  }
}

test("decodeProxyHeader() reads AWS's documented line and header", () => {
  const line = decodeProxyHeader(text("PROXY TCP4 198.51.100.22 203.0.113.7 35646 80\r\n"))!;
  assertEquals(line.source, { transport: "tcp", hostname: "198.51.100.22", port: 35646 });
  assertEquals(line.destination, { transport: "tcp", hostname: "203.0.113.7", port: 80 });
  const header = decodeProxyHeader(binary(
    "21",
    "11",
    `ac1f0771 ac1f0a1f c8f2 0050 030004e8d6892d ea001701 ${
      Buffer.from("vpce-08d2bf15fac5001c9").toString("hex")
    } 040024 ${"00".repeat(36)}`,
  ))!;
  assertEquals(header.source, { transport: "tcp", hostname: "172.31.7.113", port: 51442 });
  assertEquals(header.awsEndpointId, "vpce-08d2bf15fac5001c9");
  assertEquals(header.values.map(({ type }) => type), [3, 0xea, 4]);
  assertEquals(header.headerBytes, 100);
});

const TLS = {
  hasCertificate: true,
  protocol: "TLSv1.3",
  commonName: "käthe",
  cipher: "TLS_AES_256_GCM_SHA384",
  signatureAlgorithm: "RSA-SHA256",
  keyAlgorithm: "RSA2048",
  group: "X25519",
  signatureScheme: "rsa_pss_rsae_sha256",
  clientCertificate: Uint8Array.of(1, 2, 3),
};

const WRITTEN: readonly ProxyHeaderOptions[] = [
  {},
  { version: 1 },
  { version: 1, source: "1.2.3.4:5", destination: "6.7.8.9:10" },
  { version: 1, source: "[2001:db8::1]:0", destination: "1.2.3.4:65535" },
  { source: "1.2.3.4:5", destination: "6.7.8.9:10" },
  { source: "[::1]:5", destination: "[fe80::1%1]:10", checksum: true },
  {
    source: { transport: "udp", hostname: "1.2.3.4", port: 5 },
    destination: { transport: "udp", hostname: "::1", port: 6 },
  },
  {
    source: { transport: "unix", path: "" },
    destination: { transport: "unix", path: "@a name" },
  },
  {
    source: { transport: "unix", path: "/a" },
    destination: { transport: "unix", path: `/${"b".repeat(107)}` },
  },
  {
    source: "1.2.3.4:5",
    destination: "6.7.8.9:10",
    alpn: "h2",
    authority: "example.org",
    uniqueId: new Uint8Array(128).fill(7),
    tls: TLS,
    namespace: "blue",
    values: [{ type: 0xe0, bytes: hex("0000000000000102") }, { type: 4, bytes: hex("00") }, {
      type: 0xee,
      bytes: hex("0104030201"),
    }],
    checksum: true,
  },
];

test("decodeProxyHeader() wants more at every prefix of every form, and leaves what follows", () => {
  for (const options of WRITTEN) {
    const bytes = encodeProxyHeader(options);
    for (let length = 0; length < bytes.length; length++) {
      assertEquals(decodeProxyHeader(bytes.subarray(0, length)), null, `${length} bytes`);
    }
    const header = decodeProxyHeader(bytes)!;
    assertEquals(header.headerBytes, bytes.length);
    assertEquals(decodeProxyHeader(Buffer.concat([bytes, bytes])), header);
    assertEquals(header.command, options.source || options.version === 1 ? "PROXY" : "LOCAL");
  }
});

test("encodeProxyHeader() and decodeProxyHeader() keep all that a header can say", () => {
  const header = decodeProxyHeader(encodeProxyHeader(WRITTEN.at(-1)!))!;
  const { alpn, authority, uniqueId, namespace, tls, azureLinkId, gcpConnectionId } = header;
  assertEquals({ alpn, authority, namespace }, {
    alpn: "h2",
    authority: "example.org",
    namespace: "blue",
  });
  assertEquals(uniqueId, new Uint8Array(128).fill(7));
  assertEquals({ azureLinkId, gcpConnectionId }, {
    azureLinkId: 0x01020304,
    gcpConnectionId: 0x102n,
  });
  const { values: _, ...rest } = tls!;
  assertEquals(rest, { ...TLS, isVerified: true, hadCertificate: true, verification: 0 });
});

test("encodeProxyHeader() writes addresses in the family that both fit", () => {
  assertEquals(
    Buffer.from(encodeProxyHeader(WRITTEN[3]!)).toString(),
    "PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n",
  );
  const ends = WRITTEN.map((options) => endsOf(decodeProxyHeader(encodeProxyHeader(options))));
  assertEquals(ends[6], [WRITTEN[6]!.source, WRITTEN[6]!.destination]);
  assertEquals(ends[7], [WRITTEN[7]!.source, WRITTEN[7]!.destination]);
  assertEquals(ends[8], [WRITTEN[8]!.source, WRITTEN[8]!.destination]);
  assertEquals(ends[5], [
    { transport: "tcp", hostname: "::1", port: 5 },
    { transport: "tcp", hostname: "fe80::1", port: 10 },
  ]);
});

test("decodeProxyHeader() ignores what a proxy says of its own connection, and of no address", () => {
  for (const bytes of [binary("20", "00"), binary("20", "11", IPV4), binary("20", "f9", "ff")]) {
    const header = decodeProxyHeader(bytes)!;
    assertEquals([header.command, endsOf(header), header.values], ["LOCAL", [null, null], []]);
  }
  for (const bytes of [binary("21", "00"), binary("21", "10", IPV4), binary("21", "01")]) {
    assertEquals(endsOf(decodeProxyHeader(bytes)), [null, null]);
  }
  for (const line of ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN a\nb \r c  d\r\n"]) {
    assertEquals(endsOf(decodeProxyHeader(text(line))), [null, null], line);
  }
  assertEquals(endsOf(decodeProxyHeader(binary("21", "11", IPV4))), [...IPV4_ENDS]);
});

const WRONG: readonly [ProxyFault, Uint8Array][] = [
  ["signature", text("GET / HTTP/1.1\r\n")],
  ["signature", text("proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n")],
  ["signature", text("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 1\r\n")],
  ["signature", hex("0d0a0d0a000d0a515549540b")],
  ["family", text("PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n")],
  ["family", text("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n")],
  ["family", text("PROXY UNKNOWNS\r\n")],
  ["family", text("PROXY \r\n")],
  ["address", text("PROXY UNKNOWN\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\rx")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n")],
  ["address", text("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4. 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP4 ::1 ::1 1 1\r\n")],
  ["address", text("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n")],
  ["address", text("PROXY TCP6 fe80::1%1 ::1 1 1\r\n")],
  ["address", text("PROXY TCP6 ::ffff:01.2.3.4 ::1 1 1\r\n")],
  ["address", text("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 1\r\n")],
  ["address", text("PROXY TCP6 1::2::3 ::1 1 1\r\n")],
  ["address", text("PROXY TCP6 12345::1 ::1 1 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1 01\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n")],
  ["address", text("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n")],
  ["too-long", text(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`)],
  ["too-long", text(`PROXY TCP4 ${"1".repeat(96)}`)],
  ["version", hex(SIGNATURE + "11")],
  ["version", hex(SIGNATURE + "31")],
  ["command", hex(SIGNATURE + "22")],
  ["command", hex(SIGNATURE + "2f")],
  ["family", hex(SIGNATURE + "2141")],
  ["family", hex(SIGNATURE + "2113")],
  ["length", hex(SIGNATURE + "2111000b")],
  ["length", hex(SIGNATURE + "21210023")],
  ["length", hex(SIGNATURE + "213100d7")],
  ["value", binary("21", "11", `${IPV4} 04`)],
  ["value", binary("21", "11", `${IPV4} 0400`)],
  ["value", binary("21", "11", `${IPV4} 04000100 0400`)],
  ["value", binary("21", "11", `${IPV4} 040001`)],
  ["value", binary("21", "11", `${IPV4} 050081 ${"00".repeat(129)}`)],
  ["value", binary("21", "11", `${IPV4} 200004 01000000`)],
  ["value", binary("21", "11", `${IPV4} 200007 0100000000 2100`)],
  ["value", binary("21", "11", `${IPV4} 030003 000000`)],
  ["checksum", binary("21", "11", `${IPV4} 030004 00000000`)],
];

test("decodeProxyHeader() refuses what is no header, and in one way however it is cut", () => {
  for (const [fault, bytes] of WRONG) {
    const shown = Buffer.from(bytes).toString("latin1");
    assertEquals(faultOf(bytes), fault, JSON.stringify(shown));
    for (let length = 0; length < bytes.length; length++) {
      const early = faultOf(bytes.subarray(0, length));
      assert(early === null || early === fault, `${length} of ${JSON.stringify(shown)}: ${early}`);
    }
  }
});

test("decodeProxyHeader() refuses a header with a checksum in which any one bit is another", () => {
  const bytes = encodeProxyHeader(WRITTEN.at(-1)!);
  const header = decodeProxyHeader(bytes);
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    let read: ProxyHeader | null = null;
    try {
      read = decodeProxyHeader(changed);
    } catch (error) {
      assert(error instanceof ProxyHeaderError, `bit ${bit}: ${error}`);
    }
    // It says LOCAL now, has no checksum any more, or says that more is to come: never other addresses.
    if (read === null || read.command === "LOCAL") continue;
    assert(!read.values.some(({ type }) => type === 3), `bit ${bit}`);
    assertEquals(endsOf(read), endsOf(header), `bit ${bit}`);
  }
});

test("decodeProxyHeader() takes no more than bytesMax, and all that there can be without", () => {
  const bytes = encodeProxyHeader({ values: [{ type: 0xe5, bytes: new Uint8Array(65_532) }] });
  assertEquals(bytes.length, 65_551);
  assertEquals(decodeProxyHeader(bytes)?.headerBytes, 65_551);
  assertEquals(faultOf(bytes.subarray(0, 16), 65_550), "too-long");
  assertThrows(() => decodeProxyHeader(bytes, { bytesMax: 106 }), RangeError, "from 107 to 65551");
  assertThrows(() => decodeProxyHeader(bytes, { bytes: 1 } as never), TypeError, "bytesMax");
  assertThrows(() => decodeProxyHeader("PROXY" as never), TypeError, "no Uint8Array");
});

test("encodeProxyHeader() refuses what cannot be written, and says why", () => {
  const both = { source: "1.2.3.4:5", destination: "6.7.8.9:10" };
  const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [{ version: 3 }, TypeError, "1 or 2"],
    [{ source: "1.2.3.4:5" }, TypeError, "source and destination"],
    [{ ...both, source: "localhost:5" }, TypeError, "no IP address"],
    [{ ...both, source: "1.2.3.4" }, TypeError, "no port"],
    [{ ...both, source: null }, TypeError, "address"],
    [{ ...both, source: { transport: "unix", path: "/a" } }, TypeError, "from unix to tcp"],
    [{ ...both, source: { transport: "unix", path: "a\0" } }, TypeError, "108 bytes"],
    [{ ...both, version: 1, authority: "a" }, TypeError, "version 2"],
    [{ ...both, alpn: 1 }, TypeError, "no string"],
    [{ ...both, uniqueId: new Uint8Array(129) }, RangeError, "128"],
    [{ ...both, uniqueId: "a" }, TypeError, "no Uint8Array"],
    [{ ...both, tls: { version: "TLSv1.3" } }, TypeError, "version"],
    [{ ...both, values: {} }, TypeError, "no array"],
    [{ ...both, values: [{ type: 256, bytes: new Uint8Array(0) }] }, RangeError, "255"],
    [{ ...both, values: [{ type: 3, bytes: new Uint8Array(4) }] }, TypeError, "checksum: true"],
    [{ ...both, values: [null] }, RangeError, "type"],
    [{ ...both, values: [{ type: 1, bytes: new Uint8Array(65_536) }] }, RangeError, "65535"],
    [{ ...both, values: [{ type: 1, bytes: new Uint8Array(65_535) }] }, RangeError, "65535"],
    [{ ...both, checksum: 1 }, TypeError, "true or false"],
    [{ ...both, sorce: 1 }, TypeError, "source"],
  ];
  for (const [options, kind, message] of wrong) {
    assertThrows(() => encodeProxyHeader(options as never), kind, message);
  }
});
