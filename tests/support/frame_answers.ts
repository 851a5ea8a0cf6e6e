/**
 * A protocol of frames, each its length in a byte and so many bytes, and its answers.
 */
import type { Connection } from "../../mod.ts";

/** Answers each frame that is there in full with itself, behind the name of who answers. */
export function answerFrames({ reader, writer }: Connection, name: string): void {
  while (reader.length > 0 && reader.length > reader.peek(1)[0]!) {
    const length = reader.readByte();
    writer.writeString(name);
    writer.writeBinary(Uint8Array.of(length));
    writer.writeBinary(reader.readBinary(length));
  }
  reader.release();
  void writer.flush();
}

/** The bytes of frames. */
export function framed(texts: readonly string[]): Uint8Array {
  return new Uint8Array(texts.flatMap((text) => [text.length, ...new TextEncoder().encode(text)]));
}
