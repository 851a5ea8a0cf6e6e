/**
 * The calls of sockets, but for those that move bytes.
 */
import { Descriptors, EMFILE } from "./descriptors.ts";
import { EAGAIN } from "./files.ts";
import { machine } from "./machine.ts";
import { ECONNREFUSED, ENOTCONN, Listener, Socket, type Way } from "./socket.ts";

const ENOMEM = 12;
const ENOTTY = 25;
const ENOTSOCK = 88;
const ENOBUFS = 105;
const EINPROGRESS = 115;
const AF_UNIX = 1;
const AF_INET = 2;
/** The first port that the kernel chooses by itself. */
const PORT_FIRST = 40_000;

/** Options of sockets: level and name in one number. */
const option = (level: number, name: number) => level * 1000 + name;
const SO_TYPE = option(1, 3);
const SO_ERROR = option(1, 4);
const SO_LINGER = option(1, 13);
const SO_ACCEPTCONN = option(1, 30);
const SO_ZEROCOPY = option(1, 60);

/** What happens when the program connects to a port: `joined` or `failed` comes later. */
export type Route = (client: Socket) => void;

/** Sockets. */
export class SocketCalls extends Descriptors {
  /** The way of local pairs and of what comes to listeners. */
  way: Way = {
    sendBytes: 65_536,
    receiveBytes: 65_536,
    latencyMicros: 100,
    isLocal: true,
    copiedChance: 0,
  };
  /** What happens when the program connects to a port at which nobody of its own listens. */
  readonly routes: Map<number, Route> = new Map();
  #socketCount = 0;
  #portNext = PORT_FIRST;

  /** How many bytes pass through the narrowest place without much patience. */
  get easyBytes(): number {
    return 30 * Math.min(this.way.sendBytes, this.way.receiveBytes);
  }

  /** Names and ports begin anew. */
  protected forgetNames(): void {
    this.listeners.clear();
    this.routes.clear();
    this.#socketCount = 0;
    this.#portNext = PORT_FIRST;
  }

  /** A socket that is connected to nothing. */
  newSocket(): Socket {
    return new Socket(`socket ${this.#socketCount++}`);
  }

  socket(_family: number): number {
    return this.addUnlessExhausted(() => this.newSocket());
  }

  socketpair(out: Int32Array): number {
    if (this.isExhausted) return -EMFILE;
    const [a, b] = [this.newSocket(), this.newSocket()];
    Socket.join(a, b, this.way);
    out[0] = this.add(a);
    out[1] = this.add(b);
    return 0;
  }

  bind(fd: number, address: Uint32Array): number {
    const socket = this.fileOf(fd) as Socket;
    socket.local = [address[4]!, address[1]! || this.#portNext++];
    return 0;
  }

  listen(fd: number, _backlog: number): number {
    const socket = this.fileOf(fd) as Socket;
    const listener = new Listener(socket.local);
    listener.references = 1;
    this.files[fd] = listener;
    this.listeners.set(socket.local[1], listener);
    return 0;
  }

  accept(fd: number, peer: Uint32Array): number {
    const listener = this.fileOf(fd) as Listener;
    if (listener.queue.length === 0) return -EAGAIN;
    if (this.isExhausted) return machine.random.pick([-EMFILE, -ENOMEM, -ENOBUFS]);
    const socket = listener.queue.shift()!;
    this.#writeName(socket.remote, false, peer);
    return this.add(socket);
  }

  readable(fd: number): number {
    return this.fileOf(fd)!.mask === 0 ? 0 : 1;
  }

  unread(fd: number): number {
    const socket = this.fileOf(fd);
    if (!(socket instanceof Socket)) return -ENOTTY;
    return socket.in === null ? 0 : socket.in.delivered - socket.in.read;
  }

  connect(fd: number, address: Uint32Array): number {
    const socket = this.fileOf(fd) as Socket;
    const [host, port] = [address[4]!, address[1]!];
    socket.remote = [host, port];
    if (socket.local[1] === 0) socket.local = [host ^ 0xff00_0000, this.#portNext++];
    const listener = this.listeners.get(port);
    const route = listener === undefined ? this.routes.get(port) : this.#routeTo(listener);
    if (route === undefined) return -ECONNREFUSED;
    socket.state = "connecting";
    route(socket);
    return -EINPROGRESS;
  }

  #routeTo(listener: Listener): Route {
    return (client) => {
      machine.after(machine.random.below(this.way.latencyMicros), () => {
        if (client.state !== "connecting") return;
        if (listener.references === 0) return this.failed(client, ECONNREFUSED);
        const server = this.newSocket();
        this.joined(client, server);
        listener.arrive(server);
      });
    };
  }

  /** A client is connected to a server. */
  joined(client: Socket, server: Socket): void {
    Socket.join(client, server, { ...this.way, isLocal: false });
    server.local = client.remote;
    server.remote = client.local;
    client.notify(-1);
  }

  /** Connecting has failed. */
  failed(client: Socket, errno: number): void {
    if (client.state !== "connecting") return;
    client.break(errno);
  }

  name(fd: number, peer: number, out: Uint32Array): number {
    const socket = this.fileOf(fd);
    if (socket instanceof Listener) return this.#writeName(socket.local, false, out);
    if (!(socket instanceof Socket)) return -ENOTSOCK;
    if (peer === 1 && socket.state !== "connected") return -ENOTCONN;
    const isLocal = socket.out?.way.isLocal ?? false;
    return this.#writeName(peer === 1 ? socket.remote : socket.local, isLocal, out);
  }

  #writeName(name: readonly [number, number], isLocal: boolean, out: Uint32Array): number {
    out.fill(0);
    out[0] = isLocal ? AF_UNIX : AF_INET;
    if (isLocal) return 0;
    out[1] = name[1];
    out[3] = 4;
    out[4] = name[0];
    return 0;
  }

  setsockopt(fd: number, level: number, name: number, values: Int32Array): number {
    const socket = this.fileOf(fd);
    if (socket instanceof Listener) return 0;
    if (!(socket instanceof Socket)) return -ENOTSOCK;
    const which = option(level, name);
    if (which === SO_LINGER) socket.resetsOnClose = values[0] !== 0 && values[1] === 0;
    if (which === SO_ZEROCOPY) socket.hasZeroCopy = values[0] !== 0;
    return 0;
  }

  getsockopt(fd: number, level: number, name: number, values: Int32Array): number {
    const socket = this.fileOf(fd);
    const isListener = socket instanceof Listener;
    if (!isListener && !(socket instanceof Socket)) return -ENOTSOCK;
    const which = option(level, name);
    values[0] = 0;
    if (which === SO_TYPE) values[0] = 1;
    if (which === SO_ACCEPTCONN) values[0] = isListener ? 1 : 0;
    if (which === SO_ERROR && !isListener) values[0] = socket.takeError();
    if (which === SO_ZEROCOPY && !isListener) values[0] = socket.hasZeroCopy ? 1 : 0;
    return 4;
  }

  shutdown(fd: number, how: number): number {
    const socket = this.fileOf(fd);
    if (!(socket instanceof Socket)) return -ENOTSOCK;
    if (how !== 1) socket.onPeerEnd(); // what else comes is not read
    return socket.shutWrite();
  }

  unacked(fd: number): number {
    const socket = this.fileOf(fd);
    if (!(socket instanceof Socket)) return -ENOTTY;
    const flow = socket.out;
    if (flow === null) return 0;
    if (flow.way.isLocal) return flow.written - flow.read;
    return flow.written - flow.acked + (flow.isEnded && !flow.isEndAcked ? 1 : 0);
  }
}
