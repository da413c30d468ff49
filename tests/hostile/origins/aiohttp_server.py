"""aiohttp as an origin: a line of the log for each request, before it is answered.

python3 aiohttp_server.py ADDRESS PORT LOG
"""

import asyncio
import sys

from aiohttp import web

ADDRESS, PORT, LOG = sys.argv[1:]
log = open(LOG, "a", buffering=1)


async def answer(request):
    length = len(await request.read())
    log.write(f"{request.method} {request.raw_path} {length} {request.headers.get('x-client')}\n")
    return web.Response(text="seen")


async def main():
    server = web.Server(answer, keepalive_timeout=600, max_line_size=65536, max_field_size=65536)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, int(PORT)).start()
    await asyncio.Event().wait()


asyncio.run(main())
