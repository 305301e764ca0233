# Asks a model as often as it is told to, and says how long each reply took by its own clock. Run in a sandbox and beside it.
#
# The first line of its input says where; each further one how (`own` or `kept`) and for how many tokens.
import json
import socket
import sys
import time


def fail(words):
    print(words, flush=True)
    sys.exit(1)


where = json.loads(sys.stdin.readline())
buffer = bytearray(1 << 18)
view = memoryview(buffer)
kept = None


def connect():
    connection = socket.create_connection(("127.0.0.1", where["port"]))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def take(connection):
    length = connection.recv_into(view)
    if length == 0:
        fail("the reply broke off")
    return view[:length]


def request(tokens):
    message = {"role": "user", "content": "word " * (where["prompt_bytes"] // 5)}
    body = {"model": where["model"], "max_tokens": tokens, "stream": True, "messages": [message]}
    body = json.dumps(body).encode()
    head = "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    head += "anthropic-version: 2023-06-01\r\nx-api-key: %s\r\n\r\n"
    return (head % (where["path"], where["port"], len(body), where["key"])).encode() + body


for line in iter(sys.stdin.readline, ""):
    how, tokens = line.split()
    sent = request(int(tokens))
    begun = time.monotonic_ns()
    if how == "own":
        connection = connect()
    else:
        kept = connection = kept or connect()
    connection.sendall(sent)
    received = b""
    while b"\ndata: " not in received:
        received += take(connection)
        if len(received) > 12 and not received.startswith(b"HTTP/1.1 200 "):
            fail("it was answered " + repr(received[:500]))
    first = time.monotonic_ns()
    # No event has a carriage return in it: this is the end of the last chunk (RFC 9112, section 7.1).
    tail = received[-7:]
    count = 0
    while tail != b"\r\n0\r\n\r\n":
        piece = take(connection)
        count += len(piece)
        tail = (tail + piece[-7:].tobytes())[-7:]
    last = time.monotonic_ns()
    if how == "own":
        connection.close()
    print(first - begun, last - first, count, len(received) + count, flush=True)
