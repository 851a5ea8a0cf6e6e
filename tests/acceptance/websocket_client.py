"""Talks to the WebSocket server at a port of this machine by two clients: websockets and websocket-client.
Prints what it did."""

import asyncio
import sys

import websocket
import websockets

port = int(sys.argv[1])
url = f"ws://127.0.0.1:{port}"


async def echo():
    async with websockets.connect(f"{url}/echo", max_size=None) as client:
        sizes = [125, 126, 65535, 65536, 1_000_000, 16 << 20]
        messages = ["", "h\u00e9llo \U0001f600", b"", bytes(range(256))]
        for message in messages + ["x" * size for size in sizes] + [b"y" * size for size in sizes]:
            await client.send(message)
            assert await client.recv() == message, len(message)
        await client.send(["in", "", " three ", "fragments"])
        assert await client.recv() == "in three fragments"
        await client.send([b"\x00", b"\xff"])
        assert await client.recv() == b"\x00\xff"
        await asyncio.wait_for(await client.ping(b"ping"), 20)
        many = [str(number) for number in range(2000)]
        sending = asyncio.ensure_future(send_all(client, many))
        assert [await client.recv() for _ in many] == many
        await sending
        await client.close(4321, "bye")
        assert client.close_code == 4321, client.close_code


async def send_all(client, messages):
    for message in messages:
        await client.send(message)


async def chat():
    async with websockets.connect(f"{url}/chat") as one, websockets.connect(f"{url}/chat") as other:
        await one.send("to all")
        assert [await one.recv(), await other.recv()] == ["to all", "to all"]
        await one.close()
        await other.send("to those who are left")
        assert await other.recv() == "to those who are left"


async def too_large():
    async with websockets.connect(url, max_size=None) as client:
        try:
            await client.send(b"z" * ((16 << 20) + 1))
            await client.recv()
            raise AssertionError("it was taken")
        except websockets.exceptions.ConnectionClosed:
            assert client.close_code == 1009, client.close_code


async def refused():
    for path, origin, status in [("/none", None, 404), ("/echo", "http://evil.example", 403)]:
        try:
            await websockets.connect(url + path, origin=origin)
            raise AssertionError("it was let in")
        except websockets.exceptions.InvalidStatusCode as error:
            assert error.status_code == status, error


def other_client():
    client = websocket.create_connection(url, timeout=20)
    client.send("hello")
    assert client.recv() == "hello"
    client.ping("x")
    client.send_binary(b"\x00\x01")
    assert client.recv() == b"\x00\x01"
    client.close()


for each in (echo, chat, too_large, refused):
    asyncio.run(each())
other_client()
print("fine")
