"""Clients of the load scripts: one coroutine for each kind of behaviour, each judging its own answer."""

import asyncio
import collections
import random
import time
import zlib

from origin import PATTERN

# The longest any exchange may take: past every time-out of the configuration, so only a hang reaches it.
HANG = 60
# Examples of each kind of failure that are kept.
EXAMPLES = 10


class Failed(Exception):
    """An answer that is not what it should be."""


class Tally:
    """What happened, by kind."""

    def __init__(self):
        self.good = collections.Counter()
        self.bad = collections.Counter()
        self.examples = collections.defaultdict(list)
        self.latencies = []
        self.in_flight = 0
        self.skipped = 0

    def failure(self, kind, error):
        self.bad[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")


class Answer:
    """A response as it came."""

    def __init__(self, status, fields, body, broken):
        self.status, self.fields, self.body, self.broken = status, fields, body, broken


async def connect(port):
    return await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)


async def answer(reader):
    """Reads one response; a body that breaks off is told, not raised."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ")[1])
    fields = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    body, broken = b"", False
    try:
        if "chunked" in fields.get("transfer-encoding", ""):
            parts = []
            while True:
                size = int((await reader.readuntil(b"\r\n")).strip(), 16)
                data = await reader.readexactly(size + 2)
                if size == 0:
                    break
                parts.append(data[:-2])
            body = b"".join(parts)
        elif "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        else:
            body = await reader.read()
    except asyncio.IncompleteReadError as error:
        body, broken = error.partial, True
    return Answer(status, fields, body, broken)


def expect(got, status, body=None):
    if got.status != status:
        raise Failed(f"status {got.status}, not {status}")
    if body is not None and (got.broken or got.body != body):
        raise Failed(f"body of {len(got.body)} bytes, not {len(body)}{', broken off' if got.broken else ''}")


def pattern(size):
    """The body that an origin sends for a size."""
    whole, rest = divmod(size, 65536)
    return PATTERN[:65536] * whole + PATTERN[:rest]


def chunked_pattern(size):
    whole, rest = divmod(size, 5000)
    return PATTERN[:5000] * whole + PATTERN[:rest]


class Clients:
    """The coroutines; `web` and `tcp` are the proxy's ports."""

    def __init__(self, web, tcp, tally):
        self.web, self.tcp, self.tally = web, tcp, tally
        self.kept = collections.deque()
        self.users = [f"user{number}" for number in range(500)]

    async def ask(self, text, connection=None, body=b""):
        """One exchange on a connection of its own, unless one is given."""
        reader, writer = connection or await connect(self.web)
        try:
            writer.write(text.encode("latin-1") + body)
            await writer.drain()
            return await answer(reader)
        finally:
            if connection is None:
                writer.close()

    def get(self, path, extra=""):
        user = random.choice(self.users)
        return f"GET {path} HTTP/1.1\r\nHost: soak\r\nX-User: {user}\r\n{extra}\r\n"

    async def keep(self, path, size):
        """A request on a kept connection; the pool grows with what is in flight."""
        started = time.perf_counter()
        connection = self.kept.popleft() if self.kept else await connect(self.web)
        try:
            got = await self.ask(self.get(f"{path}/bytes/{size}"), connection)
            expect(got, 200, pattern(size))
        except BaseException:
            connection[1].close()
            raise
        if got.fields.get("connection") == "close":
            connection[1].close()
        else:
            self.kept.append(connection)
        self.tally.latencies.append(time.perf_counter() - started)

    async def steady(self):
        await self.keep("/steady", random.choice((10, 200, 1000, 8000, 20000)))

    async def flappy(self):
        await self.keep("/flappy", random.choice((10, 1000)))

    async def close(self):
        expect(await self.ask(self.get("/steady/bytes/300", "Connection: close\r\n")), 200, pattern(300))

    async def chunked(self):
        size = random.randrange(1, 60000)
        expect(await self.ask(self.get(f"/steady/chunked/{size}")), 200, chunked_pattern(size))

    async def last(self):
        expect(await self.ask(self.get("/steady/last/0")), 200, b"last")

    async def post(self, size=None):
        size = random.randrange(0, 20000) if size is None else size
        body = pattern(size)
        head = f"POST /steady/echo/0 HTTP/1.1\r\nHost: soak\r\nContent-Length: {size}\r\n\r\n"
        expect(await self.ask(head, body=body), 200, b"%d %d" % (size, zlib.crc32(body)))

    async def post_chunked(self):
        body = pattern(random.randrange(1, 20000))
        head = "POST /steady/echo/0 HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n"
        parts = [body[at : at + 3000] for at in range(0, len(body), 3000)]
        coded = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        expect(await self.ask(head, body=coded), 200, b"%d %d" % (len(body), zlib.crc32(body)))

    async def big(self):
        expect(await self.ask(self.get("/steady/bytes/2000000")), 200, pattern(2000000))

    async def big_post(self):
        await self.post(1_500_000)

    async def queued(self):
        """The server takes few at a time: some wait, none is refused at this rate."""
        expect(await self.ask(self.get("/queued/slow/20")), 200, b"slow")

    async def error(self):
        """Requests that must fail, each in its own way."""
        kind = random.choice(("bad", "forbidden", "none", "junk", "reset", "short", "missing", "toolong"))
        if kind == "bad":
            expect(await self.ask("GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n"), 400)
        elif kind == "toolong":
            got = await self.ask(self.get("/steady/bytes/1", f"X-Long: {'x' * 40000}\r\n"))
            if got.status not in (400, 431):
                raise Failed(f"status {got.status} for a long head")
        elif kind == "short":
            got = await self.ask(self.get("/faulty/short/100"))
            expect(got, 200)
            if not got.broken or got.body != b"short":
                raise Failed("a short body came as a whole one")
        else:
            path, status = {
                "forbidden": ("/forbidden", 403),
                "none": ("/none/bytes/1", 503),
                "junk": ("/faulty/junk/0", 502),
                "reset": ("/faulty/reset/0", 502),
                "missing": ("/steady/nothing/0", 404),
            }[kind]
            expect(await self.ask(self.get(path)), status)

    async def abort(self):
        """Clients that go away: with a request just sent, inside a body, inside a head, inside an answer."""
        reader, writer = await connect(self.web)
        try:
            kind = random.randrange(4)
            if kind == 0:
                writer.write(self.get("/steady/slow/50").encode())
            elif kind == 1:
                writer.write(b"POST /steady/echo/0 HTTP/1.1\r\nHost: soak\r\nContent-Length: 90000\r\n\r\nabc")
            elif kind == 2:
                writer.write(b"GET /steady/bytes/1 HTTP/1.1\r\nHo")
            else:
                writer.write(self.get("/steady/bytes/1000000").encode())
                await reader.readexactly(2000)
            await writer.drain()
            await asyncio.sleep(random.random() * 0.05)
        finally:
            if random.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()

    async def echo(self):
        """A short TCP session that half-closes."""
        reader, writer = await connect(self.tcp)
        try:
            text = pattern(random.choice((5, 1000, 100_000)))

            async def send():
                writer.write(text)
                await writer.drain()
                writer.write_eof()

            _, got = await asyncio.gather(send(), reader.read(-1))
            if got != text:
                raise Failed(f"{len(got)} of {len(text)} bytes came back")
        finally:
            writer.close()

    async def tunnel(self):
        """A TCP session of a minute with little to say."""
        reader, writer = await connect(self.tcp)
        try:
            for number in range(120):
                text = b"%d." % number
                writer.write(text)
                if await reader.readexactly(len(text)) != text:
                    raise Failed("a tunnel mixed its bytes")
                await asyncio.sleep(0.5)
        finally:
            writer.close()

    async def slow_head(self):
        """A head byte by byte: cut with a 408 by timeout http-request (10 s here)."""
        reader, writer = await connect(self.web)
        try:
            got = asyncio.ensure_future(answer(reader))
            for byte in self.get("/steady/bytes/1").encode():
                if got.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.2)
            expect(await got, 408)
        finally:
            got.cancel()
            writer.close()

    async def slow_post(self):
        """A body in drips that never waits as long as timeout client: it must come through."""
        reader, writer = await connect(self.web)
        try:
            writer.write(b"POST /steady/echo/0 HTTP/1.1\r\nHost: soak\r\nContent-Length: 30\r\n\r\n")
            for _ in range(30):
                writer.write(b"a")
                await asyncio.sleep(0.3)
            expect(await answer(reader), 200, b"30 %d" % zlib.crc32(b"a" * 30))
        finally:
            writer.close()

    async def slow_read(self):
        """An answer taken in sips."""
        reader, writer = await connect(self.web)
        try:
            size = 600_000
            writer.write(self.get(f"/steady/bytes/{size}").encode())
            await reader.readuntil(b"\r\n\r\n")
            taken = b""
            while len(taken) < size:
                data = await reader.read(40_000)
                if not data:
                    raise Failed(f"broken off after {len(taken)} bytes")
                taken += data
                await asyncio.sleep(0.2)
            if taken != pattern(size):
                raise Failed("other bytes than were sent")
        finally:
            writer.close()


# Shares of the whole rate; what is not listed runs at a rate of its own (`PER_SECOND`).
SHARES = {
    "steady": 0.45, "flappy": 0.20, "close": 0.12, "post": 0.06, "post_chunked": 0.03, "chunked": 0.03,
    "last": 0.01, "echo": 0.05, "error": 0.03, "abort": 0.02,
}
# Starts per second, whatever the rate: these are long or heavy.
PER_SECOND = {
    "tunnel": 0.4, "slow_head": 2, "slow_post": 0.5, "slow_read": 0.5, "big": 0.5, "big_post": 0.4, "queued": 5,
}


async def drive(clients, rate, ended, in_flight_max=150):
    """Starts exchanges at the rate until `ended` is set, then waits for those under way.

    Where the machine is too busy to keep up, exchanges are left out (and counted): a client that is itself
    behind by seconds would be cut for its slowness, which says nothing about the proxy.
    """
    tally = clients.tally
    running = set()

    async def one(kind):
        tally.in_flight += 1
        try:
            await asyncio.wait_for(getattr(clients, kind)(), 180 if kind == "tunnel" else HANG)
            tally.good[kind] += 1
        except Exception as error:  # whatever it is, it is an exchange that did not go well
            tally.failure(kind, error)
        finally:
            tally.in_flight -= 1

    async def start(kind, each):
        due = time.monotonic() + random.random() * each
        while not ended.is_set():
            now = time.monotonic()
            if due > now:
                await asyncio.sleep(due - now)
                continue
            # What a busy machine has missed is not made up for: a burst would measure the machine.
            due = max(due + each, now - 1)
            if tally.in_flight >= in_flight_max and kind in SHARES:
                tally.skipped += 1
            else:
                task = asyncio.create_task(one(kind), name=kind)
                running.add(task)
                task.add_done_callback(running.discard)

    rates = {kind: share * rate for kind, share in SHARES.items()} | PER_SECOND
    await asyncio.gather(*(start(kind, 1 / each) for kind, each in rates.items()))
    # Tunnels would go on for a minute; they were good so far.
    for task in list(running):
        if task.get_name() == "tunnel":
            task.cancel()
    if running:
        await asyncio.wait(running, timeout=HANG)
    for _, writer in clients.kept:
        writer.close()
