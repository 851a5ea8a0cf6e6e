"""Asks examples/rpc_server.ts with nothing but Python's own sockets: rpc_client.py PORT COUNT.

Sends requests in pieces of any size, over several connections, while it reads the answers, and
compares each with its request. Prints what it found as JSON.
"""
import hashlib
import json
import os
import random
import socket
import struct
import sys
import threading

CONNECTIONS = 4
PORT, COUNT = int(sys.argv[1]), int(sys.argv[2])
ECHO, SLEEP, DIGEST = 0, 1, 2
FINE = b"\0"


def read(stream):
    """The next answer: its number, and the rest."""
    (length,) = struct.unpack(">I", stream.read(4))
    payload = stream.read(length)
    return struct.unpack(">I", payload[:4])[0], payload[4:]


def frame(number, body):
    return struct.pack(">II", 4 + len(body), number) + body


def send(connection, wire):
    while wire:
        count = random.randint(1, 100_000)
        connection.sendall(wire[:count])
        wire = wire[count:]


def ask(found):
    connection = socket.create_connection(("127.0.0.1", PORT))
    stream = connection.makefile("rb")
    expected = {0: FINE}
    # The first request is the last to be answered: the server must not make others wait for it.
    wire = [frame(0, struct.pack(">BI", SLEEP, 1000))]
    for number in random.sample(range(1, 2**32), COUNT):
        rest = os.urandom(random.choice([0, 1, 60, 1024, 20_000]))
        method = random.choice([ECHO, DIGEST])
        expected[number] = FINE + (rest if method == ECHO else hashlib.sha256(rest).digest())
        wire.append(frame(number, bytes([method]) + rest))
    sender = threading.Thread(target=send, args=(connection, b"".join(wire)))
    sender.start()
    order = []
    while expected:
        number, body = read(stream)
        order.append(number)
        found["right" if expected.pop(number) == body else "wrong"] += 1
    sender.join()
    found["overtaken"] += order.index(0) > 0
    # As netpoll-benchmark asks: 1024 zeros, and so many come back.
    connection.sendall(struct.pack(">I", 1024) + bytes(1024))
    found["benchmark"] += stream.read(1028) == struct.pack(">I", 1024) + bytes(1024)
    # What has no number is no request: the connection ends.
    connection.sendall(struct.pack(">I", 3) + bytes(3))
    found["ended"] += stream.read(1) == b""


names = ["right", "wrong", "overtaken", "benchmark", "ended"]
each = [dict.fromkeys(names, 0) for _ in range(CONNECTIONS)]
threads = [threading.Thread(target=ask, args=(found,)) for found in each]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({name: sum(found[name] for found in each) for name in names}))
