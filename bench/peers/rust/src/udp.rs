//! An echo over UDP on quinn-udp and tokio, one thread, as quinn uses them: recvmmsg with UDP_GRO,
//! and a call for each train with UDP_SEGMENT.
//!
//! A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A train's bytes.
const SLOT_BYTES: usize = 64 * 1024;
const SOCKET_BYTES: usize = 4 << 20;

fn is_answered(bytes: &[u8]) -> bool {
    bytes.len() < 9 || bytes[8] == 0 || bytes[0] & 63 == 63
}

/// Sends datagrams of one size, the last of which may be shorter, to one peer.
async fn send(
    socket: &UdpSocket,
    state: &UdpSocketState,
    destination: SocketAddr,
    train: &[u8],
    stride: usize,
) -> io::Result<()> {
    for contents in train.chunks(stride * state.max_gso_segments()) {
        let segment_size = Some(stride);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        socket
            .async_io(Interest::WRITABLE, || state.try_send(UdpSockRef::from(socket), &transmit))
            .await?;
    }
    Ok(())
}

/// Answers the datagrams of a slot.
async fn answer(
    socket: &UdpSocket,
    state: &UdpSocketState,
    slot: &[u8],
    meta: &RecvMeta,
) -> io::Result<()> {
    let train = &slot[..meta.len];
    if train.len() < 9 || train[8] == 0 {
        return send(socket, state, meta.addr, train, meta.stride).await;
    }
    for one in train.chunks(meta.stride).filter(|one| is_answered(one)) {
        send(socket, state, meta.addr, one, meta.stride).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let socket = StdSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BYTES)?;
    state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BYTES)?;
    println!("listening {}", socket.local_addr()?.port());
    let socket = UdpSocket::from_std(socket)?;
    let mut memory = vec![0; BATCH_SIZE * SLOT_BYTES];
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        let mut chunks = memory.chunks_mut(SLOT_BYTES);
        let mut slots: [_; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap()));
        let count = socket
            .async_io(Interest::READABLE, || {
                state.recv(UdpSockRef::from(&socket), &mut slots, &mut metas)
            })
            .await?;
        for (slot, meta) in slots.iter().zip(&metas[..count]) {
            answer(&socket, &state, slot, meta).await?;
        }
    }
}
