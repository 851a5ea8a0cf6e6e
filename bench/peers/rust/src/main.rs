//! An echo on tokio, one thread: `rust-tokio PORT MESSAGE_BYTES MODE`.
//!
//! A task for each connection on the current_thread runtime: the harness gives a server one CPU,
//! and work stealing would only cost there.

mod frame;

use std::env;
use std::io;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Room to accept in, for benches that connect thousands at once.
const BACKLOG: u32 = 4096;
/// How much later a late answer goes out.
const LATE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Echo,
    Framed,
    Tail,
    Broadcast,
}

struct Arguments {
    port: u16,
    message_bytes: usize,
    mode: Mode,
}

fn parse_arguments() -> Option<Arguments> {
    let mut words = env::args().skip(1);
    let port = words.next().map_or(Some(0), |word| word.parse().ok())?;
    let message_bytes = words.next().map_or(Some(0), |word| word.parse().ok())?;
    let mode = match words.next().as_deref() {
        None | Some("echo") => Mode::Echo,
        Some("framed") => Mode::Framed,
        Some("tail") => Mode::Tail,
        Some("broadcast") => Mode::Broadcast,
        Some(_) => return None,
    };
    Some(Arguments {
        port,
        message_bytes,
        mode,
    })
}

/// Sends back what a read brought.
async fn echo(mut stream: TcpStream, buffer_bytes: usize) -> io::Result<()> {
    let mut buffer = vec![0; buffer_bytes];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

/// Answers every frame with one of the same payload: those that came together go together.
async fn framed(mut stream: TcpStream, buffer_bytes: usize, is_tail: bool) -> io::Result<()> {
    let mut received = BytesMut::with_capacity(buffer_bytes);
    let mut response = Vec::with_capacity(buffer_bytes);
    loop {
        while let Some(count) = frame::whole_bytes(&received)? {
            if is_tail && frame::is_late() {
                stream.write_all(&response).await?;
                response.clear();
                sleep(LATE).await;
            }
            frame::append(&mut response, &received[frame::HEADER_BYTES..count]);
            received.advance(count);
        }
        stream.write_all(&response).await?;
        response.clear();
        received.reserve(frame::missing(&received, buffer_bytes));
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// One of a room; senders take turns with him.
type Member = Arc<Mutex<OwnedWriteHalf>>;

/// All members. Joining and leaving copy the list, so that a sender needs no lock.
#[derive(Default)]
struct Room {
    members: std::sync::Mutex<Arc<Vec<Member>>>,
}

impl Room {
    fn change(&self, change: impl FnOnce(&mut Vec<Member>)) {
        let mut members = self.members.lock().unwrap();
        change(Arc::make_mut(&mut members));
    }

    fn join(&self, member: &Member) {
        self.change(|members| members.push(Arc::clone(member)));
    }

    fn leave(&self, member: &Member) {
        self.change(|members| members.retain(|one| !Arc::ptr_eq(one, member)));
    }

    /// Sends a frame to all others. Waits for a slow member, and so does the sender.
    async fn send(&self, from: &Member, frame: &[u8]) {
        let members = Arc::clone(&self.members.lock().unwrap());
        for member in members.iter().filter(|one| !Arc::ptr_eq(one, from)) {
            // A member that is gone removes itself.
            let _ = member.lock().await.write_all(frame).await;
        }
    }
}

/// Sends every frame to all others.
async fn broadcast(
    mut reader: OwnedReadHalf,
    member: &Member,
    buffer_bytes: usize,
    room: &Room,
) -> io::Result<()> {
    let mut received = BytesMut::with_capacity(buffer_bytes);
    loop {
        while let Some(count) = frame::whole_bytes(&received)? {
            room.send(member, &received[..count]).await;
            received.advance(count);
        }
        received.reserve(frame::missing(&received, buffer_bytes));
        if reader.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], arguments.port).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening {}", listener.local_addr()?.port());

    let mode = arguments.mode;
    // Small where messages are: the buffer is what an idle connection costs most. More than 256 KiB
    // gains little.
    let buffer_bytes = (arguments.message_bytes + frame::HEADER_BYTES).clamp(4096, 256 * 1024);
    let room = Arc::new(Room::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        if mode == Mode::Broadcast {
            let (reader, writer) = stream.into_split();
            let member = Arc::new(Mutex::new(writer));
            // It is here and not in the task: the first to connect is sent to first.
            room.join(&member);
            let room = Arc::clone(&room);
            tokio::spawn(async move {
                let _ = broadcast(reader, &member, buffer_bytes, &room).await;
                room.leave(&member);
            });
        } else {
            tokio::spawn(async move {
                let _ = match mode {
                    Mode::Echo => echo(stream, buffer_bytes).await,
                    _ => framed(stream, buffer_bytes, mode == Mode::Tail).await,
                };
            });
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Some(arguments) = parse_arguments() else {
        eprintln!("rust-tokio PORT MESSAGE_BYTES echo|framed|tail|broadcast");
        process::exit(2);
    };
    if let Err(error) = serve(arguments).await {
        eprintln!("rust-tokio: {error}");
        process::exit(1);
    }
}
