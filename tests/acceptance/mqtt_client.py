"""Publishes and hears by paho at each QoS, over a broker at a port of this machine. Prints what it did."""

import sys
import threading

import paho.mqtt.client as mqtt

port = int(sys.argv[1])
count = int(sys.argv[2])


def connected(name, clean=True, keepalive=60):
    ready = threading.Event()
    flags = {}
    client = mqtt.Client(client_id=name, clean_session=clean)

    def on_connect(_client, _data, given, code):
        assert code == 0, code
        flags.update(given)
        ready.set()

    client.on_connect = on_connect
    client.connect("127.0.0.1", port, keepalive)
    client.loop_start()
    assert ready.wait(20)
    return client, flags["session present"]


def subscribed(client, filters):
    done = threading.Event()
    codes = []

    def on_subscribe(_client, _data, _id, granted):
        codes.extend(granted)
        done.set()

    client.on_subscribe = on_subscribe
    client.subscribe(filters)
    assert done.wait(20)
    return codes


def left(client):
    client.disconnect()
    client.loop_stop()


def every_qos():
    heard = {}
    full = threading.Event()

    def on_message(_client, _data, message):
        heard.setdefault(message.topic, []).append(int(message.payload))
        if sum(map(len, heard.values())) >= 3 * count:
            full.set()

    hearing, _ = connected("hearing")
    hearing.on_message = on_message
    assert subscribed(hearing, [("all/+/topics", 2)]) == [2]
    saying, _ = connected("saying")
    saying.max_inflight_messages_set(50)
    for number in range(count):
        for qos in range(3):
            sent = saying.publish(f"all/{qos}/topics", str(number), qos)
    sent.wait_for_publish(20)
    assert full.wait(20), {topic: len(each) for topic, each in heard.items()}
    for qos in range(3):
        assert heard[f"all/{qos}/topics"] == list(range(count)), qos
    left(saying)
    left(hearing)


def session_that_waits():
    first, present = connected("waiting", clean=False)
    assert present == 0
    subscribed(first, [("later/#", 2)])
    left(first)
    saying, _ = connected("saying")
    for number in range(200):
        saying.publish("later/x", str(number), 1 + number % 2).wait_for_publish(20)
    left(saying)
    heard = []
    full = threading.Event()

    def on_message(_client, _data, message):
        heard.append(int(message.payload))
        if len(heard) == 200:
            full.set()

    second = mqtt.Client(client_id="waiting", clean_session=False)
    second.on_message = on_message
    second.connect("127.0.0.1", port)
    second.loop_start()
    assert full.wait(20), len(heard)
    # What is sent exactly once is told when it is released: later than what was sent behind it.
    assert sorted(heard) == list(range(200)), heard
    left(second)
    clean, present = connected("waiting")
    assert present == 0
    left(clean)


def large():
    got = []
    full = threading.Event()
    hearing, _ = connected("hearing")
    hearing.on_message = lambda _client, _data, message: (got.append(message.payload), full.set())
    subscribed(hearing, [("large", 1)])
    payload = bytes(range(256)) * 3000
    saying, _ = connected("saying")
    saying.publish("large", payload, 1).wait_for_publish(20)
    assert full.wait(20) and got == [payload]
    left(saying)
    left(hearing)


every_qos()
session_that_waits()
large()
print("fine")
