/**
 * What a schedule is about: users of a pair, of a connection with a peer elsewhere, servers, pipes.
 */
import type { Connection, EventLoop, FrameInput, Multiplexer } from "../../mod.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import { type Habits, Peer, someHabits } from "./peer.ts";
import { ABORTED, type RunState } from "./run_state.ts";
import { runtime } from "./runtime.ts";
import { Served } from "./server.ts";
import { Socket } from "./socket.ts";
import { Track } from "./track.ts";
import { User } from "./user.ts";

const PORT = 7000;
const HOST = 0x0200_000a; // 10.0.0.2, as the kernel writes it

/** Connects a new socket of the kernel with one elsewhere. */
function connected(): [ours: Socket, theirs: Socket] {
  const pair: [Socket, Socket] = [kernel.newSocket(), kernel.newSocket()];
  pair[0].local = pair[1].remote = [HOST, 4000];
  pair[0].remote = pair[1].local = [HOST + 0x0100_0000, 4001];
  Socket.join(...pair, kernel.way);
  return pair;
}

/** Lets users take steps, and then something else happen. */
function steps(run: RunState, users: readonly User[], onEnd: () => void): void {
  const { random } = machine;
  let left = 5 + random.below(50);
  const next = () => {
    if (left-- === 0) return onEnd();
    random.pick(users).step();
    run.compute();
    runtime.later(random.pick([1, 20, 300, random.chance(0.1) ? 5000 : 100]), next);
  };
  runtime.later(1, next);
}

/** Both read to the end; then all has arrived, unless somebody was in the way. */
function endInOrder(a: User, b: User): void {
  a.endWrite();
  b.endWrite();
  let left = 2;
  const onEnd = () => {
    if (--left > 0) return;
    checkArrived(a, b);
    checkArrived(b, a);
    a.close();
    b.close();
  };
  a.drain(onEnd);
  b.drain(onEnd);
}

function checkArrived(from: User, to: User): void {
  if (from.isExcused || to.isExcused) return;
  const { flushed } = from.out;
  machine.check(to.in.seen === flushed, `${to.name} has ${to.in.seen} of ${flushed} bytes`);
}

/** One goes, the other reads what is left. */
function endAtOnce(gone: User, left: User): void {
  const { random } = machine;
  if (random.chance(0.3)) gone.reset();
  else gone.close();
  left.endWrite();
  left.drain(() => {
    left.close();
    runtime.later(20_000_000, () => {
      const { unsentBytes, out } = gone;
      if (gone.isRude || unsentBytes !== 0 || gone.isExcused || left.isExcused) return;
      machine.check(left.in.seen === out.flushed, `${left.name} lacks what close() has delivered`);
    });
  });
}

/** Two connections, each the peer of the other. */
export function pair(run: RunState): void {
  const { random } = machine;
  const [ab, ba] = [new Track(), new Track()];
  const made = run.attempt("a pair is made", () => run.library.api.socketPair());
  if (made === undefined) return;
  if (random.chance(0.3)) made[0].zeroCopy = random.pick(["always", "auto"]);
  const a = new User(run, "a", made[0], ab, ba);
  const b = new User(run, "b", made[1], ba, ab);
  steps(run, [a, b], () => {
    if (random.chance(0.6)) endInOrder(a, b);
    else endAtOnce(a, b);
  });
}

/** The options of a connection, by chance. */
function someOptions(): Record<string, unknown> {
  const { random } = machine;
  const options: Record<string, unknown> = {};
  if (random.chance(0.15)) options["readTimeoutMs"] = random.pick([1, 5, 100]);
  if (random.chance(0.15)) options["writeTimeoutMs"] = random.pick([1, 5, 100]);
  if (random.chance(0.1)) options["idleTimeoutMs"] = random.pick([2, 50, 1000]);
  if (random.chance(0.05)) options["lifetimeMs"] = random.pick([3, 50]);
  if (random.chance(0.2)) options["zeroCopy"] = random.pick(["always", "auto"]);
  if (random.chance(0.2)) options["readBufferBytesMax"] = random.pick([1, 4000, 20_000]);
  if (random.chance(0.2)) options["writeBufferBytesMax"] = random.pick([1, 4000, 20_000]);
  return options;
}

/** The program ends a connection that has a peer elsewhere. */
function endWithPeer(user: User, peer: Peer): void {
  const { random } = machine;
  if (random.chance(0.2)) user.reset();
  else if (random.chance(0.3)) user.close();
  else {
    user.endWrite();
    // A peer that stays has to be left.
    if (peer.habits.end === "stays" || peer.habits.readsUpTo < Infinity) {
      return runtime.later(30_000, () => user.close());
    }
    user.drain(() => user.close());
  }
  peerLeaves(peer);
}

/** Peers that would stay for ever go at some time. */
function peerLeaves(peer: Peer): void {
  runtime.later(7_000_000, () => peer.leaveBy("close"));
}

function useWithPeer(run: RunState, connection: Connection, theirs: Socket): void {
  const [ab, ba] = [new Track(), new Track()];
  const peer = new Peer(theirs, ba, ab, someHabits(false));
  const user = new User(run, "a", connection, ab, ba);
  steps(run, [user], () => endWithPeer(user, peer));
  peerLeaves(peer);
  run.atEnd(() => {
    peer.checkEnd();
    const isFree = !user.isRude && !peer.isRude && !user.isExcused;
    if (!isFree || user.unsentBytes !== 0 || !peer.sawEnd) return;
    const { seen, flushed } = ab;
    machine.check(seen === flushed, `the peer has ${seen} of ${flushed} bytes that were delivered`);
  });
}

/** A connection of a descriptor, with a peer elsewhere. */
export function single(run: RunState): void {
  const [ours, theirs] = connected();
  const fd = kernel.add(ours);
  const { Connection } = run.library.api;
  const connection = run.attempt(
    "a connection is made",
    () => Connection.fromFd(fd, someOptions()),
  );
  if (connection !== undefined) return useWithPeer(run, connection, theirs);
  kernel.close(fd);
}

/** Dials somebody, who may not be there. */
export function client(run: RunState): void {
  const { random } = machine;
  const outcome = random.below(10);
  let theirs: Socket | null = null;
  kernel.routes.set(PORT, (socket) => {
    if (outcome === 0) return; // no answer
    machine.after(random.below(10_000), () => {
      if (socket.state !== "connecting") return;
      if (outcome < 3) return kernel.failed(socket, 111);
      theirs = kernel.newSocket();
      kernel.joined(socket, theirs);
      if (outcome === 3) theirs.reset();
    });
  });
  const timeoutMs = outcome === 0 || random.chance(0.2) ? random.pick([1, 5, 100]) : undefined;
  const options = { timeoutMs, signal: run.signal(), ...someOptions() };
  const since = machine.nowMicros;
  const dialled = run.library.api.dial("tcp", `10.0.0.2:${PORT}`, options);
  run.follow(dialled, "dial", (connection) => {
    if (outcome === 3 || theirs === null) {
      theirs?.onClose();
      run.follow(connection.close(), "close of a");
      return;
    }
    useWithPeer(run, connection, theirs);
  }, (error) => {
    if (error instanceof run.library.api.TimeoutError) {
      const tookMs = (machine.nowMicros - since) / 1000;
      machine.check(tookMs >= timeoutMs!, `dial of ${timeoutMs} ms fails after ${tookMs} ms`);
    } else if (error === ABORTED || !run.isCalm) return;
    else machine.check(outcome > 0 && outcome < 4, `dial fails: ${error}`);
  });
}

/** A server with clients elsewhere. */
export function server(run: RunState): void {
  const { random } = machine;
  const { api } = run.library;
  const kind = random.pick(
    ["echoAll", "echoSmall", "echoAwaiting", "echoSlowly", "echoAndLeave"] as const,
  );
  const tracks = new Map<number, Served>();
  const options = {
    ...someOptions(),
    onPrepare: (connection: Connection): Served => {
      const address = connection.remoteAddress;
      const served = tracks.get(address.transport === "tcp" ? address.port : 0)!;
      served.begin(connection);
      return served;
    },
    onConnect: random.chance(0.5) ? undefined : async (_: Connection, served: Served) => {
      served.onConnect();
      if (random.chance(0.5)) await run.outside(500);
      return served;
    },
    onDisconnect: (_: Connection, served: Served) => served.onDisconnect(),
    onError: (error: unknown) => run.checkError(error, "onError"),
    connectionsMax: random.chance(0.2) ? 1 + random.below(3) : undefined,
  };
  const loop = run.attempt(
    "a server is made",
    () => new api.EventLoop<Served>((connection, served) => served[kind](connection), options),
  );
  if (loop === undefined) return;
  const listener = run.attempt(
    "it listens",
    () => api.createListener("tcp", `10.0.0.2:${PORT}`),
  );
  if (listener === undefined) return;
  run.follow(loop.serve(listener), "serve", undefined, () => listener.close());
  const peers: Peer[] = [];
  const isEasy = kind !== "echoAndLeave" && Object.keys(options).length === 5;
  const count = 1 + random.below(4);
  for (let i = 0; i < count; i++) {
    machine.after(random.below(5000), () => connectPeer(run, i, tracks, peers, isEasy));
  }
  const shutDownMicros = isEasy ? 5000 : random.pick([100, 20_000, 400_000]);
  runtime.later(shutDownMicros, () => shutDown(run, loop, isEasy ? peers : []));
}

function connectPeer(
  run: RunState,
  index: number,
  tracks: Map<number, Served>,
  peers: Peer[],
  isEasy: boolean,
): void {
  const listener = kernel.listeners.get(PORT);
  if (listener === undefined) return;
  const [client, accepted] = [kernel.newSocket(), kernel.newSocket()];
  const port = 50_000 + index;
  client.local = [HOST, port];
  client.remote = listener.local;
  kernel.joined(client, accepted);
  const served = new Served(run, `connection ${index}`);
  tracks.set(port, served);
  const habits: Habits = someHabits(isEasy);
  const peer = new Peer(client, served.in, served.out, habits);
  peers.push(peer);
  listener.arrive(accepted);
  peerLeaves(peer);
  run.atEnd(() => {
    peer.checkEnd();
    if (peer.isRude || served.isRude || !isEasy || !run.isCalm || served.flow === null) return;
    if (peer.wasReset) return machine.violate(`${served.name} is reset, and did nothing`);
    const { written } = peer.out;
    if (peer.habits.end !== "half" || written < peer.habits.bytes) return;
    machine.check(peer.in.seen === written, `an echo of ${written} bytes: ${peer.in.seen} came`);
  });
}

function shutDown<C>(run: RunState, loop: EventLoop<C>, peers: readonly Peer[]): void {
  if (peers.some((peer) => !peer.isGone)) {
    return runtime.later(20_000, () => shutDown(run, loop, peers));
  }
  const timeoutMs = machine.random.pick([0, 50, undefined]);
  machine.trace?.(`  the server shuts down within ${timeoutMs}`);
  run.follow(loop.shutdown({ timeoutMs }), "shutdown");
}

/** What comes out of a pipe ends in order only if what went in did. */
function checkPiped(run: RunState, from: Peer, to: Peer): void {
  run.atEnd(() => {
    // A Unix socket has no reset, and a connection that failed before the pipe began ended in order.
    if (!to.sawEnd || kernel.way.isLocal || !run.isCalm) return;
    const { isEndDelivered } = from.socket.out!;
    machine.check(isEndDelivered, `${to.socket.name} reads an end that nobody has made`);
    const { seen, flushed } = to.in;
    machine.check(seen === flushed, `${to.socket.name} reads an end at ${seen} of ${flushed}`);
  });
}

/** A pipe between two peers. */
export function proxy(run: RunState): void {
  const { random } = machine;
  const [ours, first] = connected();
  const [also, second] = connected();
  const { Connection, pipe } = run.library.api;
  const sockets = [ours, also].map((socket) => {
    const fd = kernel.add(socket);
    const made = run.attempt("a connection is made", () => Connection.fromFd(fd));
    if (made === undefined) kernel.close(fd);
    return made;
  });
  const [a, b] = sockets as [Connection, Connection];
  if (a === undefined || b === undefined) {
    if (a !== undefined) run.follow(a.close(), "close of a");
    if (b !== undefined) run.follow(b.close(), "close of b");
    for (const socket of [first, second]) socket.onClose();
    return;
  }
  const [ab, ba] = [new Track(), new Track()];
  const peers = [
    new Peer(first, ab, ba, someHabits(random.chance(0.6))),
    new Peer(second, ba, ab, someHabits(random.chance(0.6))),
  ] as const;
  for (const peer of peers) peerLeaves(peer);
  checkPiped(run, peers[0], peers[1]);
  checkPiped(run, peers[1], peers[0]);
  run.follow(a.closed, "closed of a");
  run.follow(b.closed, "closed of b");
  runtime.later(random.below(2000), () => {
    const piped = pipe(a, b, { signal: run.signal() });
    run.follow(piped, "pipe", (result) => {
      const isRude = peers.some((peer) => peer.isRude);
      const [one, other] = peers;
      if (isRude) return;
      machine.check(result.aToB === one.out.written, `${result.aToB} of ${one.out.written} piped`);
      machine.check(result.bToA === other.out.written, "bytes of b are not piped");
    }, () => {
      run.follow(a.close(), "close of a");
      run.follow(b.close(), "close of b");
    });
    if (random.chance(0.1)) runtime.later(3000, () => run.follow(a.close(), "close of a"));
  });
}

/** Requests over one connection, answered in any order. */
export function mux(run: RunState): void {
  const { random } = machine;
  const { api } = run.library;
  const made = run.attempt("a pair is made", () => api.socketPair());
  if (made === undefined) return;
  const [ours, theirs] = made;
  const codec = api.tagged(api.lengthPrefixed());
  run.follow(ours.closed, "closed of the client");
  run.follow(theirs.closed, "closed of the server");
  const isSlow = random.chance(0.5);
  theirs.setOnRequest(api.responder(codec, async (body) => {
    if (isSlow && random.chance(0.5)) await run.outside(2000);
    run.compute();
    return body;
  }));
  const client = new api.Multiplexer(ours, codec, { timeoutMs: random.pick([0, 0, 3]) });
  let left = 1 + random.below(20);
  const next = () => {
    if (left-- === 0) return endMux(run, client, theirs);
    ask(run, client);
    run.compute();
    runtime.later(random.pick([1, 1, 50, 900]), next);
  };
  runtime.later(1, next);
}

function ask(run: RunState, client: Multiplexer<Uint8Array, FrameInput>): void {
  const track = new Track();
  const count = machine.random.below(Math.min(kernel.easyBytes / 10, 400));
  track.flushed = count;
  const asked = client.request(track.take(count), { signal: run.signal() });
  run.follow(asked, `a request of ${count}`, (body) => {
    machine.check(body.length === count, `an answer has ${body.length} of ${count} bytes`);
    track.see(body, "who has asked");
  });
}

function endMux(
  run: RunState,
  client: Multiplexer<Uint8Array, FrameInput>,
  theirs: Connection,
): void {
  const way = machine.random.below(4);
  machine.trace?.(`  the end of all requests: ${way}`);
  if (way === 1) theirs.reset();
  if (way === 2) run.follow(theirs.close(), "close of the server");
  runtime.later(machine.random.below(40_000), () => {
    run.follow(client.close(), "close of the client");
    run.follow(theirs.close(), "close of the server");
  });
}
