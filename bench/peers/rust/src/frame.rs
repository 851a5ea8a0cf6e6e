//! What the framed modes agree on: four bytes of length, high byte first, and so many of payload.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// The size of a length.
pub const HEADER_BYTES: usize = 4;
/// The largest payload; a client that announces a larger one is disconnected.
const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// One request in so many of the server is answered late.
const LATE_ONE_IN: u32 = 100;

static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// The size of the frame that begins here, when its header is there.
fn frame_bytes(received: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let payload_bytes = u32::from_be_bytes(*header) as usize;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(io::Error::other("payload too long"));
    }
    Ok(Some(HEADER_BYTES + payload_bytes))
}

/// The size of the next frame, when all of it is there.
pub fn whole_bytes(received: &[u8]) -> io::Result<Option<usize>> {
    Ok(frame_bytes(received)?.filter(|count| received.len() >= *count))
}

/// How much room the next read had better find: all that is missing of a frame that has begun, so
/// that the buffer grows once and not by doubling.
pub fn missing(received: &[u8], buffer_bytes: usize) -> usize {
    match frame_bytes(received) {
        Ok(Some(count)) => count.saturating_sub(received.len()).max(1),
        _ => buffer_bytes - received.len().min(HEADER_BYTES),
    }
}

/// Builds a frame at the end of a buffer.
pub fn append(response: &mut Vec<u8>, payload: &[u8]) {
    // A payload is no longer than PAYLOAD_BYTES_MAX.
    response.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    response.extend_from_slice(payload);
}

/// Counts a request of mode tail. The numbers of the late ones are those of ../../frames.mjs, which
/// says why they are scattered.
pub fn is_late() -> bool {
    let n = REQUESTS.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    let x = n.wrapping_mul(0x9e37_79b1);
    let x = (x ^ (x >> 15)).wrapping_mul(0x85eb_ca77);
    (x ^ (x >> 13)).is_multiple_of(LATE_ONE_IN)
}
