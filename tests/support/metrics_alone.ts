/**
 * Looks at a thread that has done nothing yet, and says whether that has opened anything: the
 * kernel gives the lowest number that is free.
 */
import { native } from "../../ffi/load.ts";
import { metrics } from "../../mod.ts";

function nextDescriptor(): number {
  const fd = native.eventfd();
  native.close(fd);
  return fd;
}

const before = nextDescriptor();
const { poller } = metrics();
console.log(nextDescriptor() - before, poller.hotWaits + poller.warmWaits);
