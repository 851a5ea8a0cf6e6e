/**
 * Logs a buffer with five bytes.
 */
import { LinkBuffer } from "../../mod.ts";

const buffer = new LinkBuffer();
buffer.writeString("hello");
buffer.flush();
console.log(buffer);
buffer.close();
