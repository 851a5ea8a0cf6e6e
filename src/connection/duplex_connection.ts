/**
 * A connection over a stream of the runtime.
 */
import { LimitedConnection } from "./limited_connection.ts";

/**
 * A connection whose events come from the runtime: whoever waits for one waits for the runtime. It
 * costs so much more than another that one without limits is not told apart.
 */
export class DuplexConnection<C> extends LimitedConnection<C> {
  #isNoted = false;

  // Its handler that waits for bytes waits for something that is not ours, and so does whoever waits
  // without a handler. A poller that blocked meanwhile would keep the runtime from bringing them.
  override setOutside(isOutside: boolean): void {
    super.setOutside(isOutside);
    const { isAwaited } = this;
    if (isAwaited === this.#isNoted) return;
    this.#isNoted = isAwaited;
    this.service.poller.pace.outsideWaits += isAwaited ? 1 : -1;
  }
}
