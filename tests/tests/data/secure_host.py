"""A host that speaks HTTPS: it writes down each request that it gets, and says it back. Below `/git/` it has a repository with one branch,
for who says a name and a password.

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
        if self.path.startswith("/git/"):
            if not self.headers.get("authorization", "").startswith("Basic "):
                return self.refuse()
            # What git asks first of a host that only hands out files.
            body = f"{'1' * 40}\trefs/heads/main\n".encode() if "/info/refs" in self.path else b"ref: refs/heads/main\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self):
        self.send_response(401)
        self.send_header("www-authenticate", 'Basic realm="a repository"')
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, 0), Host)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
