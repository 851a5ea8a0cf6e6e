/**
 * A program: 20 connections to a port of 127.0.0.1, each of which sends 64 bytes as soon as it has
 * the last answer, until it is killed.
 */
import { connect } from "node:net";
import process from "node:process";

const port = Number(process.argv[2]);
const message = new Uint8Array(64);
for (let i = 0; i < 20; i++) {
  const socket = connect(port, "127.0.0.1", () => socket.write(message));
  let missing = message.length;
  socket.on("data", (bytes) => {
    missing -= bytes.length;
    if (missing > 0) return;
    missing = message.length;
    socket.write(message);
  });
  socket.on("error", () => process.exit(1));
}
