// A server that receives files on node:net, `receive_net.mjs PATH`: 8 bytes of length and the file, which
// a stream of node:fs writes. The answer is the CPU time of this process meanwhile, in µs.
import { createWriteStream } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";

const path = process.argv[2];

const server = createServer((socket) => {
  const before = process.cpuUsage();
  const file = createWriteStream(path);
  let left = -1;
  const answer = () => {
    const { user, system } = process.cpuUsage(before);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(user + system));
    socket.end(bytes);
  };
  socket.on("data", (chunk) => {
    const piece = left < 0 ? chunk.subarray(8) : chunk;
    if (left < 0) left = Number(chunk.readBigUInt64BE(0));
    left -= piece.length;
    if (!file.write(piece)) {
      socket.pause();
      file.once("drain", () => socket.resume());
    }
    if (left === 0) file.end(answer);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
