#!/usr/bin/env python3
"""System 002: has a notice played to somebody, takes states and the record, and looks the record up.

    MERCHANT_APPID=... MERCHANT_ACCESSKEY=... MERCHANT_NUMBER=13800138000 MERCHANT_VOICEFILE=welcome.wav \
    python3 call.py

The company's callback addresses at the switch have to lead to MERCHANT_LISTEN of this machine.
Python 3.8 or later, nothing else. Exit status 0: the record came, and the switch says the same when asked.
"""

import datetime
import json
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SWITCH = os.environ.get("MERCHANT_URL", "http://127.0.0.1:8080")
APPID = os.environ.get("MERCHANT_APPID", "your-appid")
ACCESSKEY = os.environ.get("MERCHANT_ACCESSKEY", "your-accesskey")
# Who is rung, what he hears, and where his keys lead: "1@extGroup-1", or nothing.
NUMBER = os.environ.get("MERCHANT_NUMBER", "13800138000")
VOICEFILE = os.environ.get("MERCHANT_VOICEFILE", "welcome.wav")
MENU = os.environ.get("MERCHANT_MENU", "")
LISTEN = os.environ.get("MERCHANT_LISTEN", "0.0.0.0:8000")
PATIENCE_S = 600

BEIJING = datetime.timezone(datetime.timedelta(hours=8))


def ask(service, **fields):
    """One request; what came of it, or the end of the program with the reason."""
    body = urllib.parse.urlencode({"service": service, **fields}).encode("utf-8")
    with urllib.request.urlopen(SWITCH + "/", data=body, timeout=15) as response:
        answer = json.loads(response.read().decode("utf-8"))
    # 600: the token has expired; log in again and ask once more.
    if answer["ret"] != 200:
        sys.exit(f"refused: {answer['ret']} {answer['msg']}")
    data = answer["data"]
    if data["status"] != 0:
        sys.exit(f"refused: {data['errors']['code']} {data['errors']['codemsg']}")
    return data.get("result")


records = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    """Where states and records arrive, each as a POST. Anything but 0 and fail: taken; else it comes again."""

    def do_POST(self):
        taken, record = b"1", None
        try:
            push = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if "hangupcause" in push:
                record = push
            else:
                print(f"state: {push['extnumber']} {push['status']}", flush=True)
        except (ValueError, KeyError, TypeError):
            taken = b"0"
        self.send_response(200)
        self.send_header("Content-Length", str(len(taken)))
        self.end_headers()
        self.wfile.write(taken)
        if record is not None:
            records.put(record)

    def log_message(self, *_):
        pass


def main():
    host, port = LISTEN.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    # Good for twelve hours: keep it, and log in again when an answer says 600.
    token = ask("App.Sip_Auth.Login", appid=APPID, accesskey=ACCESSKEY)["token"]
    name = uuid.uuid4().hex
    call = ask("App.Sip_Call.PlayVoice", token=token, destnumber=NUMBER, voicetype=1, voicefile=VOICEFILE,
               chengshudu=1, userid=MENU, customuuid=name)["uuid"]
    print(f"asked: {call}", flush=True)

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            cdr = records.get(timeout=deadline - time.monotonic())
        except (queue.Empty, ValueError):
            sys.exit("no record came: can the switch reach the company's callback address?")
        # Records of other calls come here too, and each may come twice.
        if cdr.get("uuid") == call:
            break
    print(f"record: {cdr['hangupcause']} by {cdr['hangupdirection']}, {cdr['billsec']} s talked, key {cdr['userkey'] or '-'}")

    # A push bears no signature, anybody could have sent it: what counts is what the switch says when asked.
    hour = datetime.timedelta(hours=1)
    now = datetime.datetime.now(BEIJING)
    bills = ask("App.Sip_Cdr.GetBill", token=token, starttime=(now - hour).strftime("%Y-%m-%d %H:%M:%S"),
                endtime=(now + hour).strftime("%Y-%m-%d %H:%M:%S"), syncflag=3, callmethod=0, customuuid=name)["bills"]
    same = ("uuid", "destnumber", "hangupcause", "hangupdirection", "billsec")
    if [[bill[field] for field in same] for bill in bills] != [[cdr.get(field) for field in same]]:
        sys.exit(f"the pushed record is not what the switch has: {bills}")
    print("checked: the switch has the same record")


main()
