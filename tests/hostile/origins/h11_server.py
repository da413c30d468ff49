"""h11, a strict reader, as an origin: a line of the log for each request, before it is answered.

python3 h11_server.py ADDRESS PORT LOG
"""

import asyncio
import sys

import h11

ADDRESS, PORT, LOG = sys.argv[1:]
log = open(LOG, "a", buffering=1)


async def serve(reader, writer):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    request, length = None, 0
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request, length = event, 0
            elif isinstance(event, h11.Data):
                length += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                client = dict(request.headers).get(b"x-client", b"-").decode()
                target = request.target.decode("latin-1")
                log.write(f"{request.method.decode()} {target} {length} {client}\n")
                head = h11.Response(status_code=200, headers=[("Content-Length", "4")])
                out = connection.send(head)
                if request.method != b"HEAD":
                    out += connection.send(h11.Data(data=b"seen"))
                writer.write(out + connection.send(h11.EndOfMessage()))
                await writer.drain()
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
            else:
                break
    except h11.RemoteProtocolError:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    except ConnectionError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, ADDRESS, int(PORT))
    await server.serve_forever()


asyncio.run(main())
