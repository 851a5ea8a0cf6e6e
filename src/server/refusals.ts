/**
 * Connections that are reset before all else.
 */
import type { NetpollError } from "../core/errors.ts";
import { type PackedAddress, unpackAddress } from "../net/address.ts";
import { acceptRefused, type AcceptRefusedMessage } from "../net/messages.ts";
import { socketTransport } from "../transport/descriptor.ts";

/** A descriptor that was accepted, and its ends as far as they are known. */
interface Refused {
  readonly fd: number;
  readonly local: PackedAddress | null;
  readonly remote: PackedAddress | null;
}

/** Tells that one is refused, while its descriptor is open. */
export function tellRefused(
  { fd, local, remote }: Refused,
  reason: AcceptRefusedMessage["reason"],
  error: NetpollError | null = null,
): void {
  if (!acceptRefused.isHeard) return;
  acceptRefused.publish({
    localAddress: unpackAddress(local ?? socketTransport.name(fd, 0)),
    remoteAddress: unpackAddress(remote ?? socketTransport.name(fd, 1)),
    reason,
    ...(error === null ? {} : { error }),
  });
}
