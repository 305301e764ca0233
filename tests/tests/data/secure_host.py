"""A host that speaks HTTPS: it writes down each request that it gets, and says it back.

Arguments: the address to listen on, the certificate, its key, and the file that each request is written to as a line of JSON. Prints
its port once it listens.
"""

import http.server
import json
import ssl
import sys

address, certificate, key, log = sys.argv[1:]


class Host(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        line = json.dumps({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}})
        with open(log, "a") as file:
            file.write(line + "\n")
        body = (line + "\n").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, 0), Host)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
