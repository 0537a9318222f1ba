#!/usr/bin/env python3
"""/v1: has two people joined, is told of the end by a signed webhook, and reads the call back.

    MERCHANT_API_KEY=tk_... MERCHANT_A=13800138000 MERCHANT_B=13900139000 \
    MERCHANT_HOOK=http://your-host:8000/hook python3 call.py

The key needs the scopes calls:read, calls:write, webhooks:write and balance:read.
Python 3.8 or later, nothing else. Exit status 0: the end was told, and the switch says the same when asked.
"""

import base64
import hashlib
import hmac
import json
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SWITCH = os.environ.get("MERCHANT_URL", "http://127.0.0.1:8080")
API_KEY = os.environ.get("MERCHANT_API_KEY", "tk_your-key")
# Who is rung first, and who then.
A = os.environ.get("MERCHANT_A", "13800138000")
B = os.environ.get("MERCHANT_B", "13900139000")
LISTEN = os.environ.get("MERCHANT_LISTEN", "0.0.0.0:8000")
# How the switch reaches LISTEN.
HOOK = os.environ.get("MERCHANT_HOOK", "http://127.0.0.1:8000/hook")
PATIENCE_S = 600
# Events that are older, or of the future, are somebody else's.
SKEW_S = 300


def ask(method, path, body=None, key=None):
    """One request; the answer, or the end of the program with the reason."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Idempotency-Key"] = key
    data = None if body is None else json.dumps(body).encode("utf-8")
    request = urllib.request.Request(SWITCH + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            text = response.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        problem = json.loads(error.read().decode("utf-8"))
        sys.exit(f"refused: {error.code} {problem.get('code')}: {problem.get('detail')}")
    return json.loads(text) if text else None


def is_ours(headers, body, secret):
    """Whether one of the signatures is that of this body (Standard Webhooks)."""
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > SKEW_S:
        return False
    signed = f"{name}.{stamp}.".encode() + body
    want = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    given = [one[3:] for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    return any(hmac.compare_digest(want, one) for one in given)


events = queue.Queue()
secret = b""


class Receiver(BaseHTTPRequestHandler):
    """Where events arrive. 2xx: taken; anything else: it comes again later."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        good = is_ours(self.headers, body, secret)
        if not good:
            print("ignored: an event that is not signed", file=sys.stderr, flush=True)
        self.send_response(204 if good else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if good:
            events.put(json.loads(body))

    def log_message(self, *_):
        pass


def main():
    global secret
    host, port = LISTEN.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # In a shop of your own this is done once, and the secret kept.
    hook = ask("POST", "/v1/webhooks", {"url": HOOK, "events": ["call.ended"]})
    secret = base64.b64decode(hook["secret"][len("whsec_"):])

    # With the same key the request may be sent again as often as it takes: nobody is rung twice.
    wanted = {"to": {"number": A}, "connect": {"number": B}, "reference": "from Python"}
    call = ask("POST", "/v1/calls", wanted, key=str(uuid.uuid4()))["id"]
    print(f"asked: {call}", flush=True)

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            event = events.get(timeout=deadline - time.monotonic())
        except (queue.Empty, ValueError):
            sys.exit("no event came: can the switch reach MERCHANT_HOOK?")
        # Events of other calls come here too, and each may come twice.
        if event["type"] == "call.ended" and event["call"] == call:
            break
    ended = event["data"]
    print(f"ended: {ended['outcome']}, {ended['price_micros']} millionths")

    # What was missed can always be read.
    found = ask("GET", f"/v1/calls/{call}")
    if (found["outcome"], found["price_micros"]) != (ended["outcome"], ended["price_micros"]):
        sys.exit(f"what was told is not what the switch has: {found}")
    print("checked: the switch says the same")
    ask("DELETE", f"/v1/webhooks/{hook['id']}")
    balance = ask("GET", "/v1/balance")
    print(f"balance: {balance['available_micros']} millionths of {balance['currency']}")


main()
