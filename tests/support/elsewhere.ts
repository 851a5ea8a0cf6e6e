/**
 * A program that imports netpoll where it does not run: its arguments are a property of `process`,
 * "platform" or "arch", and what it says. Prints the error.
 */
import process from "node:process";

const [property, value] = process.argv.slice(2);
Object.defineProperty(process, property!, { value });
await import("../../mod.ts").catch((error) => {
  console.log(error.name, error.reason, error.message);
});
