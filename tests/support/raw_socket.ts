/**
 * A socket that is no Connection of ours, and the ways in which a test ends it.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../../src/core/check.ts";
import { cut } from "../../src/net/socket.ts";

/** A descriptor, which it owns. */
export class RawSocket {
  /** -1 once it is closed. */
  fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Ends this side: the other reads an end. */
  end(): void {
    check("end", native.shutdown(this.fd, 1));
  }

  /** Closes with a reset. */
  reset(): void {
    cut(this.fd);
    this.close();
  }

  /** Closes. */
  close(): void {
    if (this.fd >= 0) native.close(this.fd);
    this.fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
