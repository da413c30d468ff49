"""Origins of the load scripts: an HTTP server whose paths say how it behaves, and a TCP echo."""

import asyncio
import socket
import struct
import sys
import zlib

PATTERN = bytes(range(256)) * 4096


async def read_head(reader):
    """The request line's method and target and the header fields, or nothing at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    fields = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip()
    return method, target, fields


async def read_body(reader, fields):
    """Length and CRC of the body, without keeping it."""
    length, check = 0, 0
    if "chunked" in fields.get("transfer-encoding", "").lower():
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            data = await reader.readexactly(size + 2)
            if size == 0:
                return length, check
            length += size
            check = zlib.crc32(data[:-2], check)
    left = int(fields.get("content-length", 0))
    while left:
        data = await reader.read(min(left, 65536))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        length += len(data)
        check = zlib.crc32(data, check)
        left -= len(data)
    return length, check


def reset(writer):
    """Closes so that the peer gets a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve(reader, writer):
    """Answers the requests of one connection. The last two parts of the path are behaviour and number."""
    try:
        while (head := await read_head(reader)) is not None:
            _, target, fields = head
            length, check = await read_body(reader, fields)
            kind, number = target.split("?")[0].rsplit("/", 2)[-2:]
            number = int(number)
            ok = b"HTTP/1.1 200 OK\r\n"
            if kind == "bytes":
                writer.write(ok + b"Content-Length: %d\r\n\r\n" % number)
                while number:
                    part = min(number, 65536)
                    writer.write(PATTERN[:part])
                    number -= part
                    await writer.drain()
            elif kind == "chunked":
                writer.write(ok + b"Transfer-Encoding: chunked\r\n\r\n")
                while number:
                    part = min(number, 5000)
                    writer.write(b"%x\r\n%s\r\n" % (part, PATTERN[:part]))
                    number -= part
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
            elif kind == "echo":
                text = b"%d %d" % (length, check)
                writer.write(ok + b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
            elif kind == "slow":
                await asyncio.sleep(number / 1000)
                writer.write(ok + b"Content-Length: 4\r\n\r\nslow")
            elif kind == "last":
                writer.write(ok + b"Content-Length: 4\r\nConnection: close\r\n\r\nlast")
                break
            elif kind == "short":
                writer.write(ok + b"Content-Length: %d\r\n\r\nshort" % number)
                break
            elif kind == "junk":
                writer.write(b"\x00\x01 this is no answer\r\n\r\n")
                break
            elif kind == "reset":
                reset(writer)
                return
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def echo(reader, writer):
    """Sends back what comes, and ends when the client has ended."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def run(kind, port):
    handler = serve if kind == "http" else echo
    server = await asyncio.start_server(handler, "127.0.0.1", port, backlog=1024, reuse_address=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
