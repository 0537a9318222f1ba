#!/usr/bin/env python3
"""System 003: the page of a menu. Whoever dials the code chooses a drink and how many, pays by a link, and is served
once.

    MERCHANT_USERNAME=... MERCHANT_PASSWORD=... MERCHANT_CODE='*6655*123#' python3 menu.py

The code's page at the switch has to lead to MERCHANT_LISTEN of this machine, by any path.
Nothing signs a visit: let the switch's address alone reach it.
Python 3.8 or later, nothing else. It runs until it is ended.
"""

import json
import os
import re
import sqlite3
import sys
import urllib.parse
import urllib.request
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

SWITCH = os.environ.get("MERCHANT_URL", "http://127.0.0.1:8080")
# Who may ask what was paid: an owner's name and password ([[ussd_owners]]).
USERNAME = os.environ.get("MERCHANT_USERNAME", "your-name")
PASSWORD = os.environ.get("MERCHANT_PASSWORD", "your-password")
CODE = os.environ.get("MERCHANT_CODE", "*6655*123#").strip("*#")
LISTEN = os.environ.get("MERCHANT_LISTEN", "0.0.0.0:8000")
# Where orders are kept: a folder that outlives a restart.
ORDERS = os.environ.get("MERCHANT_ORDERS") or sys.exit("MERCHANT_ORDERS: a folder for orders, nobody else's")

DRINKS = {"1": ("tea", 50_000), "2": ("coffee", 80_000)}


def orders():
    """Our own book. The key makes an order one, however often it is asked for."""
    os.makedirs(ORDERS, exist_ok=True)
    book = sqlite3.connect(os.path.join(ORDERS, "orders.db"), timeout=10)
    book.execute("CREATE TABLE IF NOT EXISTS orders (factor TEXT PRIMARY KEY, mobile TEXT NOT NULL,"
                 " rials INTEGER NOT NULL, what TEXT NOT NULL, invoice TEXT, rrn TEXT)")
    return closing(book)


def screen(inputs, session, mobile):
    """What is seen. A text: something may be typed; [end] behind it: that was all; 9900|order|rials: a link to pay by."""
    if not inputs:
        return "Tea house\n1-Tea 50,000 rials\n2-Coffee 80,000 rials\n0-Nothing"
    if inputs[0] == "0":
        return "Good bye[end]"
    if inputs[0] not in DRINKS:
        return "We have no such drink[end]"
    drink, price = DRINKS[inputs[0]]
    if len(inputs) == 1:
        return f"How many of {drink}, 1 to 9?"
    if len(inputs) > 2 or not re.fullmatch("[1-9]", inputs[1]):
        return "That is no number from 1 to 9[end]"
    # The session names the order: a step that is visited again has the same one paid.
    with orders() as book, book:
        book.execute("INSERT OR IGNORE INTO orders (factor, mobile, rials, what) VALUES (?, ?, ?, ?)",
                     (session, mobile, int(inputs[1]) * price, f"{inputs[1]} {drink}"))
        rials, what = book.execute("SELECT rials, what FROM orders WHERE factor = ?", (session,)).fetchone()
    print(f"order {session}: {what}, {rials} rials", flush=True)
    return f"9900|{session}|{rials}"


def get_payments(**fields):
    """What the switch has of a payment: a list, whose names are made small, for they are spelt in two ways."""
    fields = {"Username": USERNAME, "Password": PASSWORD, "CodeName": CODE, "IsAll": "false", **fields}
    inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    envelope = ('<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
                f'<GetPayments xmlns="http://tempuri.org/">{inside}</GetPayments></soap:Body></soap:Envelope>')
    request = urllib.request.Request(SWITCH + "/_services/ExternalUssdPay.asmx", envelope.encode("utf-8"), {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": '"http://tempuri.org/GetPayments"',
    })
    with urllib.request.urlopen(request, timeout=10) as response:
        result = ElementTree.parse(response).findtext(".//{http://tempuri.org/}GetPaymentsResult")
    try:
        # Nothing found may be [], null or no text at all; anything else that is no JSON is a refusal.
        payments = json.loads(result or "[]") or []
    except ValueError:
        raise OSError(f"refused: {result}") from None
    return [{name.lower(): value for name, value in payment.items()} for payment in payments]


def paid(inputs, session, mobile, rrn):
    """Somebody says that an order is paid. 200 is said when it is booked; anything else, and the visit comes again."""
    factor, invoice = inputs[-2:]
    with orders() as book:
        order = book.execute("SELECT rials, what, rrn FROM orders WHERE factor = ? AND mobile = ?",
                             (factor, mobile)).fetchone()
        if order is None:
            return 404, f"there is no order {factor}"
        rials, what, known = order
        if known:
            return 200, "booked before"
        # A visit proves nothing: what counts is what the switch says when asked.
        payments = get_payments(SessionID=session, Mobile=mobile, YourFactorID=factor, iNotiFactorID=invoice,
                                RRN=rrn, PriceFrom=str(rials), PriceTo=str(rials))
        good = [one for one in payments if str(one["result"]).lower() == "true" and one["price"] == rials
                and str(one["yourfactorid"]) == factor and str(one["inotifactorid"]) == invoice]
        if not good:
            return 403, f"order {factor} is not paid"
        # Of visits that come at the same time one books.
        with book:
            done = book.execute("UPDATE orders SET invoice = ?, rrn = ? WHERE factor = ? AND rrn IS NULL",
                                (invoice, rrn, factor)).rowcount
    if not done:
        return 200, "booked before"
    print(f"paid: order {factor}, RRN {rrn}: make {what}", flush=True)
    return 200, "booked"


def visited(query):
    """One visit; the status and the text."""
    asked = {name.lower(): values[0] for name, values in urllib.parse.parse_qs(query).items()}
    call, session, mobile = (asked.get(name, "") for name in ("call", "sessionid", "mobile"))
    # With a star before the code or without, as the switch is set.
    call = call.strip("*")
    if not (call + "*").startswith(CODE + "*") or not re.fullmatch("[A-Za-z0-9-]{1,50}", session) or not mobile:
        return 400, "this is the page of a menu"
    inputs = call.split("*")[CODE.count("*") + 1:]
    if "rrn" not in asked:
        return 200, screen(inputs, session, mobile)
    if len(inputs) < 2:
        return 400, "which order?"
    try:
        return paid(inputs, session, mobile, asked["rrn"])
    except (OSError, ElementTree.ParseError) as error:
        return 503, f"not asked whether it is paid: {error}"


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = visited(urllib.parse.urlsplit(self.path).query)
        if status != 200:
            print(text, file=sys.stderr, flush=True)
        body = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


host, port = LISTEN.rsplit(":", 1)
ThreadingHTTPServer((host, int(port)), Page).serve_forever()
