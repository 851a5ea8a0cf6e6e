"""Speaks TLS by Python's ssl or asyncio, as a client or as a server of an echo.

    peer.py client PORT FOLDER VERSION BYTES   peer.py server FOLDER   (and asyncio-client, asyncio-server)

FOLDER has ca.pem, and server.pem and client.pem with their keys. A client prints what it found as JSON; a
server prints "listening PORT", and how each connection ended: "clean NAME" of the client, or "cut".
"""
import asyncio
import hashlib
import json
import os
import socket
import ssl
import sys
import threading

PIECE = 100_000


def client_context(folder, version, shows=True):
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["a", "echo"])
    if shows:
        context.load_cert_chain(f"{folder}/client.pem")
    return context


def server_context(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem")
    context.load_verify_locations(f"{folder}/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["echo"])
    return context


def common_name(certificate):
    return dict(pair for (pair,) in certificate["subject"])["commonName"]


def pieces(size):
    for at in range(0, size, PIECE):
        yield os.urandom(min(PIECE, size - at))


class Found:
    """The connections of a client, and what they were like."""

    def __init__(self):
        self.protocols, self.resumed, self.alpn = [], [], []
        self.equal, self.clean, self.refused = 0, 0, 0

    def see(self, connection):
        self.protocols.append(connection.version())
        self.alpn.append(connection.selected_alpn_protocol())

    def tell(self):
        print(json.dumps(vars(self)))


def echo_once(connection, size):
    """Sends while it reads; True when every byte came back."""
    sent, received = hashlib.sha256(), hashlib.sha256()

    def send():
        for piece in pieces(size):
            sent.update(piece)
            connection.sendall(piece)

    sender = threading.Thread(target=send)
    sender.start()
    left = size
    while left > 0:
        piece = connection.recv(PIECE)
        assert piece, f"an end, {left} bytes before the end"
        received.update(piece)
        left -= len(piece)
    sender.join()
    return sent.digest() == received.digest()


def client(port, folder, version, size):
    found, session = Found(), None
    context = client_context(folder, version)
    for _ in range(3):
        raw = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as connection:
            found.see(connection)
            found.resumed.append(connection.session_reused)
            found.equal += echo_once(connection, size)
            session = connection.session
            connection.unwrap().close()  # raises unless the peer says the end, too
            found.clean += 1
    for wrong, name in ((client_context(folder, version, False), "localhost"), (context, "other.example.org")):
        try:
            raw = socket.create_connection(("127.0.0.1", port))
            with wrong.wrap_socket(raw, server_hostname=name) as connection:
                connection.sendall(b"x")
                connection.recv(1)  # in TLS 1.3 the refusal comes here
        except (ssl.SSLError, OSError):
            found.refused += 1
    found.tell()


async def asyncio_client(port, folder, version, size):
    found = Found()
    context = client_context(folder, version)
    for _ in range(3):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        connection = writer.get_extra_info("ssl_object")
        found.see(connection)
        sent, received = hashlib.sha256(), hashlib.sha256()

        async def send():
            for piece in pieces(size):
                sent.update(piece)
                writer.write(piece)
                await writer.drain()

        sender = asyncio.create_task(send())
        left = size
        while left > 0:
            piece = await reader.read(PIECE)
            received.update(piece)
            left -= len(piece)
        await sender
        found.equal += sent.digest() == received.digest()
        writer.close()
        await writer.wait_closed()
        found.clean += 1
    found.tell()


def say(line):
    print(line, flush=True)


def serve_one(raw, context):
    try:
        with context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False) as connection:
            name = common_name(connection.getpeercert())
            while piece := connection.recv(PIECE):
                connection.sendall(piece)
            connection.unwrap().close()
        say(f"clean {name}")
    except (ssl.SSLError, OSError):
        say("cut")


def server(folder):
    context = server_context(folder)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    say(f"listening {listener.getsockname()[1]}")
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve_one, args=(raw, context), daemon=True).start()


async def serve_one_asyncio(reader, writer):
    name = common_name(writer.get_extra_info("peercert"))
    try:
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        say(f"clean {name}")
    except (ssl.SSLError, OSError):
        say("cut")


async def asyncio_server(folder):
    context = server_context(folder)
    listener = await asyncio.start_server(serve_one_asyncio, "127.0.0.1", 0, ssl=context)
    say(f"listening {listener.sockets[0].getsockname()[1]}")
    await listener.serve_forever()


def main(mode, *rest):
    if mode.endswith("client"):
        port, folder, version, size = rest
        version = version.replace(".", "_")
        if mode == "client":
            client(int(port), folder, version, int(size))
        else:
            asyncio.run(asyncio_client(int(port), folder, version, int(size)))
    elif mode == "server":
        server(*rest)
    else:
        asyncio.run(asyncio_server(*rest))


main(*sys.argv[1:])
