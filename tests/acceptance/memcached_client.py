"""Uses the cache at a port of this machine by two clients: pymemcache, in pure Python, and pylibmc, which is
libmemcached, by the text protocol and by the binary one. Prints what it did."""

import sys

import pylibmc
from pymemcache.client.base import Client

port = int(sys.argv[1])
rounds = int(sys.argv[2])


def pure():
    client = Client(("127.0.0.1", port), timeout=20)
    client.flush_all()
    assert client.set("a", b"1", noreply=False)
    assert client.incr("a", 41, noreply=False) == 42
    assert client.decr("a", 50, noreply=False) == 0
    assert client.get("none") is None
    assert client.append("a", b" end", noreply=False)
    value, cas = client.gets("a")
    assert value == b"0 end", value
    assert client.cas("a", b"2", cas, noreply=False) is True
    assert client.cas("a", b"3", cas, noreply=False) is False
    assert client.add("a", b"x", noreply=False) is False
    assert client.touch("a", 100, noreply=False) is True
    assert client.set("gone", b"x", expire=-1, noreply=False)
    assert client.get("gone") is None
    large = bytes(range(256)) * 4000
    client.set("large", large)  # it asks for no answer
    assert client.get("large") == large
    many = {f"key{n}": b"%d" % n for n in range(rounds)}
    assert client.set_many(many) == []
    assert client.get_many(many) == many
    assert client.stats()[b"curr_items"] > 0
    try:
        client.set("large", large + large, noreply=False)
        raise AssertionError("two values are one too many")
    except Exception as error:
        assert "too large" in str(error), error
    assert client.get("a") == b"2"
    client.quit()


def library(binary):
    client = pylibmc.Client([f"127.0.0.1:{port}"], binary=binary)
    assert client.flush_all()
    assert client.set("a", "text")
    assert client.get("a") == "text"
    assert client.set("n", 1)
    assert client.incr("n", 9) == 10
    assert client.decr("n", 3) == 7
    assert not client.add("a", "other")
    assert client.replace("a", "third")
    assert client.delete("a") and not client.delete("a")
    many = {f"key{n}": n for n in range(rounds)}
    assert client.set_multi(many) == []
    assert client.get_multi(list(many)) == many
    assert client.get_stats()[0][1]["curr_items"] == str(rounds + 1).encode()
    large = b"\r\nEND\r\n" * 100_000
    assert client.set("large", large)
    assert client.get("large") == large


pure()
library(False)
library(True)
print("fine")
