// Speaks TLS by node:tls, as a client or as a server of an echo: see peer.py beside it.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:tls";

const PIECE = 100_000;
const say = (line) => process.stdout.write(`${line}\n`);

function pem(folder, name) {
  return readFileSync(`${folder}/${name}.pem`);
}

function shown(folder, name) {
  return { cert: pem(folder, name), key: pem(folder, name) };
}

async function send(socket, size, hash) {
  for (let at = 0; at < size; at += PIECE) {
    const piece = randomBytes(Math.min(PIECE, size - at));
    hash.update(piece);
    if (!socket.write(piece)) await once(socket, "drain");
  }
  socket.end(); // our side alone: what is still to come is read
}

async function client(port, folder, version, bytes) {
  const found = { protocols: [], resumed: [], alpn: [], equal: 0, clean: 0, refused: 0 };
  const options = {
    host: "127.0.0.1",
    port: Number(port),
    servername: "localhost",
    ca: pem(folder, "ca"),
    minVersion: version,
    maxVersion: version,
    ALPNProtocols: ["a", "echo"],
    allowHalfOpen: true,
  };
  let session;
  for (let n = 0; n < 3; n++) {
    const socket = connect({ ...options, ...shown(folder, "client"), session });
    socket.on("session", (given) => session = given);
    await once(socket, "secureConnect");
    found.protocols.push(socket.getProtocol());
    found.resumed.push(socket.isSessionReused());
    found.alpn.push(socket.alpnProtocol);
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    const sending = send(socket, Number(bytes), sent);
    for await (const piece of socket) received.update(piece);
    await sending;
    if (sent.digest("hex") === received.digest("hex")) found.equal += 1;
    found.clean += 1;
  }
  const wrong = [options, {
    ...options,
    ...shown(folder, "client"),
    servername: "other.example.org",
  }];
  for (const each of wrong) {
    const socket = connect(each);
    socket.on("secureConnect", () => socket.write("x"));
    const isRefused = await new Promise((resolve) => {
      socket.on("error", () => resolve(true)).on("data", () => resolve(false)).on(
        "end",
        () => resolve(false),
      );
    });
    if (isRefused) found.refused += 1;
    socket.destroy();
  }
  say(JSON.stringify(found));
}

// Not by "for await": at the end it destroys the socket, before what is written has left.
function echo(socket) {
  const name = socket.getPeerCertificate().subject.CN;
  socket.on("error", () => say("cut"));
  socket.on("close", (hadError) => hadError || say(`clean ${name}`));
  socket.pipe(socket);
}

async function server(folder) {
  const listener = createServer({
    ...shown(folder, "server"),
    ca: pem(folder, "ca"),
    requestCert: true,
    ALPNProtocols: ["echo"],
    allowHalfOpen: true,
  }, echo);
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  say(`listening ${listener.address().port}`);
}

const [mode, ...rest] = process.argv.slice(2);
await (mode === "client" ? client(...rest) : server(...rest));
