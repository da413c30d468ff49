// Node's http module as an origin: a line of the log for each request, before it is answered.
//   node node.js ADDRESS PORT LOG
const fs = require('fs');
const http = require('http');

const [address, port, log] = process.argv.slice(2);
const server = http.createServer({ keepAliveTimeout: 600000, maxHeaderSize: 65536 }, (request, response) => {
    let length = 0;
    request.on('data', (part) => { length += part.length; });
    request.on('end', () => {
        fs.appendFileSync(log, `${request.method} ${request.url} ${length} ${request.headers['x-client']}\n`);
        response.writeHead(200, { 'Content-Length': 4 });
        response.end(request.method === 'HEAD' ? undefined : 'seen');
    });
});
server.requestTimeout = 0;
server.listen(Number(port), address);
