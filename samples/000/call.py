#!/usr/bin/env python3
"""System 000: asks for a call between two people, takes its result and looks the call up.

    MERCHANT_USERNAME=shop MERCHANT_KEY=... MERCHANT_A=80000 MERCHANT_B=13800138000 \
    MERCHANT_RETURNURL=http://this-machine.example:8000/result python3 call.py

Python 3.8 or later, nothing else. Exit status 0: the result came and was signed by us.
"""

import hashlib
import hmac
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TANDEM = os.environ.get("MERCHANT_URL", "http://127.0.0.1:8080")
USERNAME = os.environ.get("MERCHANT_USERNAME", "your-username")
KEY = os.environ.get("MERCHANT_KEY", "your-key")
# Who is rung first, and who then.
A = os.environ.get("MERCHANT_A", "80000")
B = os.environ.get("MERCHANT_B", "13800138000")
# Where this program listens, and the same place as the switch reaches it.
LISTEN = os.environ.get("MERCHANT_LISTEN", "0.0.0.0:8000")
RETURNURL = os.environ.get("MERCHANT_RETURNURL", "http://your-server.example:8000/result")
PATIENCE_S = 600

RESULT_FIELDS = ["callbackid", "callback_num", "callback_duration", "callback_fee", "destination_num",
                 "destination_duration", "destination_fee", "callback_result"]


def sign(pairs):
    """MD5 of name=value&...&key=KEY: the plain values, never the escaped ones, in the documented order."""
    base = "".join(f"{name}={value}&" for name, value in pairs) + "key=" + KEY
    return hashlib.md5(base.encode("utf-8")).hexdigest()


def ask(what, signed, unsigned=()):
    """One request; the answer as a dictionary, or the end of the program with the reason."""
    fields = [*signed, *unsigned, ("sign", sign(signed))]
    url = f"{TANDEM}/api/{what}?{urllib.parse.urlencode(fields)}"
    with urllib.request.urlopen(url, timeout=15) as response:
        text = response.read().decode("ascii")
    answer = dict(urllib.parse.parse_qsl(text))
    if answer.get("result") != "success":
        sys.exit(f"refused: {text}")
    return answer


def is_ours(result):
    """All fields are there and the signature is made with our key."""
    if any(not result.get(name) for name in RESULT_FIELDS + ["sign"]):
        return False
    expected = sign([(name, result[name]) for name in RESULT_FIELDS])
    return hmac.compare_digest(expected, result["sign"].lower())


results = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    """Where the result of a call arrives. Only the word `success` tells the switch that it was taken."""

    def do_GET(self):
        result = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        ours = is_ours(result)
        body = b"success" if ours else b"wrong signature"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if ours:
            results.put(result)
        else:
            print("ignored: a result that is not signed with our key", file=sys.stderr)

    def log_message(self, *_):
        pass


def main():
    host, port = LISTEN.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # Your own id of the call: asking again with the same one rings nobody twice.
    callbackid = f"py-{time.time_ns()}"
    ask("biz_callback",
        [("username", USERNAME), ("callbackid", callbackid), ("callback_num", A), ("destination_num", B)],
        [("returnurl", RETURNURL), ("data", "from Python")])
    print(f"asked: {callbackid}", flush=True)

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            result = results.get(timeout=deadline - time.monotonic())
        except (queue.Empty, ValueError):
            sys.exit("no result came: can the switch reach MERCHANT_RETURNURL?")
        # The same result may come twice, and those of other calls come here too.
        if result["callbackid"] == callbackid:
            break
    print(f"result: {result['callback_result']}, "
          f"A {result['callback_duration']} s for {result['callback_fee']}, "
          f"B {result['destination_duration']} s for {result['destination_fee']}")

    record = ask("biz_query", [("username", USERNAME), ("callbackid", callbackid)])
    print(f"record: {record['state']}, {record['callback_result']}, "
          f"recording {record.get('recording', 'none')}")
    balance = ask("biz_balance", [("username", USERNAME)])
    print(f"balance: {balance['balance']}")


main()
