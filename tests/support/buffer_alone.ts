/**
 * A program: uses a LinkBuffer and no socket. Nothing may keep it from ending.
 */
import { LinkBuffer } from "../../mod.ts";

const buffer = new LinkBuffer();
buffer.writeString("alone");
buffer.flush();
console.log(buffer.readString(5));
