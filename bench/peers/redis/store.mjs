// deno-lint-ignore-file explicit-module-boundary-types -- no types in JavaScript
/**
 * The answers to GET and SET of redis-benchmark, with the usual parser of npm: the part that the servers
 * on node:net and on Bun.listen share. It knows far less than examples/redis_server.ts.
 */
import { createRequire } from "node:module";

// It is not imported: a check of types works without it.
const Parser = createRequire(import.meta.url)("redis-parser");

const values = new Map();
const commands = {
  ping: () => "+PONG\r\n",
  get: (args) => {
    const value = values.get(args[1].latin1Slice());
    return value === undefined ? "$-1\r\n" : `$${value.length}\r\n${value}\r\n`;
  },
  set: (args) => {
    values.set(args[1].latin1Slice(), args[2].latin1Slice());
    return "+OK\r\n";
  },
  config: () => "*0\r\n",
};

/** Answers the requests of a connection: `send` is called once for all that come together. */
export class Session {
  #answers = "";
  #parser = new Parser({
    returnBuffers: true,
    returnReply: (args) => {
      const name = args[0].latin1Slice().toLowerCase();
      this.#answers += commands[name]?.(args) ?? `-ERR unknown command '${name}'\r\n`;
    },
    returnError: () => {},
    returnFatalError: (error) => {
      this.#answers += `-ERR ${error.message}\r\n`;
    },
  });

  /** Text, a character a byte, that answers what has come. */
  answer(bytes) {
    this.#parser.execute(bytes);
    const answers = this.#answers;
    this.#answers = "";
    return answers;
  }
}
