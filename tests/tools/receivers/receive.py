"""Receives what CouncilSense sends, with software that others wrote, and says what it got, a JSON object a line.

mail: aiosmtpd takes it, Python's email package reads it. push: http_ece decrypts it, PyJWT checks the signature.
webhook: standardwebhooks verifies it. The path /push/STATUS or /webhook/STATUS chooses the answer; 429 says Retry-After.
A line {"secret": "whsec_…"} on standard input is the secret that the next webhooks are verified with.
"""

import base64
import email
import email.policy
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import http_ece
import jwt
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from standardwebhooks.webhooks import Webhook

lock = threading.Lock()
secret = None
browser = ec.generate_private_key(ec.SECP256R1())
auth = os.urandom(16)


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def tell(**what):
    with lock:
        print(json.dumps(what), flush=True)


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 no such mailbox"
        if address.startswith("busy"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        bodies = {
            part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in message.iter_parts()
        }
        tell(
            mail={
                "to": envelope.rcpt_tos,
                "from": envelope.mail_from,
                "headers": {name.lower(): str(value) for name, value in message.items()},
                "type": message.get_content_type(),
                "defects": [str(d) for part in message.walk() for d in part.defects],
                "text": bodies.get("text/plain", ""),
                "html": bodies.get("text/html", ""),
            }
        )
        return "250 taken"


def push(handler, body):
    got = {"headers": {name.lower(): value for name, value in handler.headers.items()}, "length": len(body)}
    try:
        plain = http_ece.decrypt(body, private_key=browser, auth_secret=auth, version="aes128gcm")
        got["payload"] = json.loads(plain)
        scheme, _, rest = handler.headers["authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(parts["k"]))
        origin = "http://" + handler.headers["host"]
        # The clock of a test is its own: the length of the life is checked where it is known.
        got["claims"] = jwt.decode(
            parts["t"], key, algorithms=["ES256"], audience=origin, options={"verify_exp": False}
        )
        got["scheme"], got["key"] = scheme, parts["k"]
    except Exception as error:
        got["error"] = repr(error)
    tell(push=got)


def webhook(handler, body):
    headers = {name.lower(): value for name, value in handler.headers.items()}
    got = {"headers": headers, "body": json.loads(body)}
    try:
        # Their check of the time is for live traffic; ours is by the test's clock.
        verifier = Webhook(secret)
        verifier._Webhook__verify_timestamp = lambda header: __import__("datetime").datetime.fromtimestamp(
            float(header), tz=__import__("datetime").timezone.utc
        )
        verifier.verify(body, headers)
        got["verified"] = True
        try:
            verifier.verify(body + b" ", headers)
            got["forged"] = True
        except Exception:
            got["forged"] = False
    except Exception as error:
        got["error"] = repr(error)
    tell(webhook=got)


class Web(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kind, _, status = self.path.strip("/").partition("/")
        (push if kind == "push" else webhook)(self, body)
        self.send_response(int(status))
        if status == "429":
            self.send_header("retry-after", "120")
        if status == "302":
            self.send_header("location", "/webhook/200")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
threading.Thread(target=web.serve_forever, daemon=True).start()
# The controller knocks at the port it was given to see whether it is up, so it cannot be given 0.
with socket.create_server(("127.0.0.1", 0)) as free:
    smtp_port = free.getsockname()[1]
mail = Controller(Mailbox(), hostname="127.0.0.1", port=smtp_port, ready_timeout=30)
mail.start()
tell(
    ready={
        "smtp": smtp_port,
        "http": web.server_address[1],
        "p256dh": encode(browser.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        "auth": encode(auth),
    }
)
# Ends with whoever started it.
for line in sys.stdin:
    secret = json.loads(line)["secret"]
    tell(secret=True)
mail.stop()
