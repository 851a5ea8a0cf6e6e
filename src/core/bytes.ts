/**
 * Byte arrays as the engine sees them. An array may be of a subclass, or have properties of its own
 * that say something else; memory is counted by what these getters of `%TypedArray%.prototype` say,
 * which see through both.
 */

type Getter<T> = () => T;

const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;

function getter<T>(of: object, name: string): Getter<T> {
  return Object.getOwnPropertyDescriptor(of, name)!.get as Getter<T>;
}

// Captured when the module is loaded: nobody can have replaced them since.
const getLength = getter<number>(prototype, "length");
const getOffset = getter<number>(prototype, "byteOffset");
const getBuffer = getter<ArrayBufferLike>(prototype, "buffer");
const isResizable = getter<boolean>(ArrayBuffer.prototype, "resizable");
const set = Uint8Array.prototype.set;
const keys = Uint8Array.prototype.keys;

/**
 * The number of bytes of an array; 0 when they were taken away. `action` begins the error's message.
 *
 * @throws {TypeError} It is no `Uint8Array`, though its prototype may say so.
 */
export function byteCount(bytes: Uint8Array, action = "use"): number {
  if (bytes instanceof Uint8Array) {
    try {
      return getLength.call(bytes);
    } catch {
      // A Proxy, or an object that has only the prototype.
    }
  }
  const cure = typeof bytes === "string" ? ", but a text: new TextEncoder() encodes it" : "";
  throw new TypeError(`Cannot ${action} what is no Uint8Array${cure}`);
}

/** Whether the memory of an array is gone: transferred, or its buffer shrunk. It counts 0 then. */
function isGone(bytes: Uint8Array): boolean {
  try {
    keys.call(bytes); // throws for no other reason
    return false;
  } catch {
    return true;
  }
}

/**
 * The number of bytes in an array that is to be used now.
 *
 * @throws {TypeError} They were taken away: an array without memory is no empty one.
 */
export function presentCount(bytes: Uint8Array, action: string): number {
  const count = byteCount(bytes, action);
  if (count > 0 || !isGone(bytes)) return count;
  throw new TypeError(
    `Cannot ${action} bytes that were taken away: released, transferred, or their buffer shrunk`,
  );
}

/** The buffer that an array lies in. */
export function bufferOf(bytes: Uint8Array): ArrayBufferLike {
  return getBuffer.call(bytes);
}

/** The offset in its buffer at which an array begins. */
export function offsetOf(bytes: Uint8Array): number {
  return getOffset.call(bytes);
}

/** A plain view of the bytes of an array: nobody else has it, and its length follows no buffer. */
export function plainView(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(getBuffer.call(bytes), getOffset.call(bytes), getLength.call(bytes));
}

/** Copies bytes into an array, whatever its class makes of `set`. */
export function copyInto(target: Uint8Array, bytes: Uint8Array, at: number): void {
  set.call(target, bytes, at);
}

/** Whether memory stays as it is until its owner changes it: not shared, and of a fixed size. */
export function isFixed(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && !isResizable.call(buffer);
}
