#!/usr/bin/env python3
"""System 001: asks for a two-way call, takes its states and its record, and looks the record up.

    MERCHANT_SID=... MERCHANT_TOKEN=... MERCHANT_APPID=... MERCHANT_SRC=13800138000 MERCHANT_DST=13900139000 \
    python3 call.py

The app's callback address at the switch has to lead to MERCHANT_LISTEN of this machine.
Python 3.8 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.
"""

import base64
import datetime
import hashlib
import json
import os
import queue
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TANDEM = os.environ.get("MERCHANT_URL", "http://127.0.0.1:8080")
SID = os.environ.get("MERCHANT_SID", "your-account-sid")
TOKEN = os.environ.get("MERCHANT_TOKEN", "your-auth-token")
APPID = os.environ.get("MERCHANT_APPID", "your-appid")
# Who is rung first, and who then.
SRC = os.environ.get("MERCHANT_SRC", "13800138000")
DST = os.environ.get("MERCHANT_DST", "13900139000")
LISTEN = os.environ.get("MERCHANT_LISTEN", "0.0.0.0:8000")
PATIENCE_S = 600

BEIJING = datetime.timezone(datetime.timedelta(hours=8))


def ask(function, body):
    """One signed request; the answer, or the end of the program with the reason."""
    # One instant for both: header and Sign have to agree.
    timestamp = datetime.datetime.now(BEIJING).strftime("%Y%m%d%H%M%S")
    sign = hashlib.md5(f"{SID}{TOKEN}{timestamp}".encode()).hexdigest().upper()
    request = urllib.request.Request(
        f"{TANDEM}/201512/sid/{SID}/{function}?Sign={sign}",
        data=json.dumps({"appid": APPID, **body}).encode("utf-8"),
        headers={"Authorization": base64.b64encode(f"{SID}|{timestamp}".encode()).decode(),
                 "Content-Type": "application/json;charset=utf-8"})
    with urllib.request.urlopen(request, timeout=15) as response:
        answer = json.loads(response.read().decode("utf-8"))
    # Lists of records and balances come without a statusCode.
    if answer.get("statusCode", "0") != "0":
        sys.exit(f"refused: {answer['statusCode']} {answer.get('statusMsg', '')}")
    return answer


records = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    """Where states and records arrive, each as a POST. 2xx: taken. 500: send it again later."""

    def do_POST(self):
        try:
            push = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            cdr = push["cdr"][0] if "cdr" in push else None
            if cdr is None:
                print(f"state: {push['dsc']} {push['state']}", flush=True)
            status = 200
        except (ValueError, KeyError, IndexError, TypeError):
            cdr, status = None, 500
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if cdr is not None:
            records.put(cdr)

    def log_message(self, *_):
        pass


def main():
    host, port = LISTEN.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    answer = ask("call/DailbackCall.wx",
                 {"action": "callDailBack", "src": SRC, "dst": DST, "customParm": "from Python"})
    call = answer["requestId"]
    print(f"asked: {call}", flush=True)

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            cdr = records.get(timeout=deadline - time.monotonic())
        except (queue.Empty, ValueError):
            sys.exit("no record came: can the switch reach the app's callback address?")
        # Records of other calls come here too, and each may come twice.
        if cdr.get("requestid") == call and cdr.get("appid") == APPID:
            break
    print(f"record: {cdr['stateDesc']}, {cdr['duration']} s for {cdr['oriamount']}, {cdr['tapesurl']}")

    # A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
    found = ask("call/CallCdr.wx",
                {"action": "getCdrByResId", "fid": "4", "lastresid": call, "limit": 0})["cdr"]
    told = (cdr["requestid"], cdr["caller"], cdr["called"], int(cdr["duration"]), float(cdr["oriamount"]))
    if told not in [(r["requestid"], r["caller"], r["called"], r["duration"], r["oriamount"]) for r in found]:
        sys.exit(f"the pushed record is not what the switch has: {found}")
    print("checked: the switch has the same record")
    balance = ask("account/getBlance.wx", {"action": "queryBlance"})
    print(f"balance: {balance['Blance']}")


main()
