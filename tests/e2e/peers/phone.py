#!/usr/bin/env python3
"""A scripted telephone on pjsua2: told what to do by lines of JSON, tells what happens by lines of JSON.

    phone.py SETTINGS      a JSON object; see Phone.__init__

It answers what rings after `ring_ms` (or refuses it, by `answers`), plays a WAV file into every call whose media is up, and keeps all that
it hears in one other. Everything of pjsua2 happens on the main thread, between two lines.
"""

import json
import os
import select
import sys
import time

import pjsua2 as pj


def tell(event, **facts):
    """One line to whoever started us."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Log(pj.LogWriter):
    """Messages as they were sent and received, for a test that fails or counts them."""

    def __init__(self, path):
        super().__init__()
        self.file = open(path, "w", encoding="utf-8", errors="replace")

    def write(self, entry):
        self.file.write(entry.msg)
        self.file.flush()


class Call(pj.Call):
    """One dialog."""

    def __init__(self, account, phone, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(account, call_id)
        self.phone = phone

    def onCallState(self, prm):
        info = self.getInfo()
        tell("state", call=info.id, state=info.stateText, code=info.lastStatusCode, reason=info.lastReason)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            # Kept: an object that goes away within its own callback takes the process along.
            self.phone.over.append(self.phone.calls.pop(info.id, None))

    def onCallMediaState(self, prm):
        info = self.getInfo()
        for at, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            names = {
                pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
                pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local-hold",
                pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote-hold",
            }
            tell("media", call=info.id, media=names.get(media.status, "none"))
            if media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
                sound = self.getAudioMedia(at)
                self.phone.player.startTransmit(sound)
                sound.startTransmit(self.phone.recorder)

    def onDtmfDigit(self, prm):
        method = "info" if prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO else "rfc4733"
        tell("digit", digit=prm.digit, method=method)

    def onCallTransferStatus(self, prm):
        tell("transfer", code=prm.statusCode, reason=prm.reason, final=prm.finalNotify)
        prm.cont = not prm.finalNotify

    def onCallReplaced(self, prm):
        tell("replaced", call=prm.newCallId)


class Account(pj.Account):
    """The line."""

    def __init__(self, phone):
        super().__init__()
        self.phone = phone

    def onRegState(self, prm):
        tell("registered", code=prm.code, expires=prm.expiration)

    def onIncomingCall(self, prm):
        call = Call(self, self.phone, prm.callId)
        self.phone.calls[prm.callId] = call
        tell("rings", call=prm.callId, by=call.getInfo().remoteUri)
        ringing = pj.CallOpParam()
        ringing.statusCode = 180
        call.answer(ringing)
        self.phone.later.append((time.monotonic() + self.phone.ring_s, call))

    def onInstantMessage(self, prm):
        tell("message", by=prm.fromUri, body=prm.msgBody)

    def onInstantMessageStatus(self, prm):
        tell("sent", code=prm.code, body=prm.msgBody)

    def onMwiInfo(self, prm):
        tell("mwi", body=prm.rdata.wholeMsg)


class Phone:
    """The endpoint, one account, and what is going on."""

    def __init__(self, wish):
        self.calls, self.over, self.later = {}, [], []
        self.ring_s = wish.get("ring_ms", 200) / 1000
        self.answers = wish.get("answers", 200)
        self.endpoint = pj.Endpoint()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = 8
        config.logConfig.level = config.logConfig.consoleLevel = 4
        config.logConfig.msgLogging = 1
        self.log = Log(wish["log"])
        self.endpoint.libCreate()
        config.logConfig.writer = self.log
        config.medConfig.noVad = True
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.ecTailLen = 0
        self.endpoint.libInit(config)
        kind, secure = pj.PJSIP_TRANSPORT_UDP, wish["transport"] == "tls"
        listen = pj.TransportConfig()
        listen.boundAddress = wish.get("address", "127.0.0.1")
        listen.port = wish.get("port", 0)
        if wish["transport"] == "tcp":
            kind = pj.PJSIP_TRANSPORT_TCP
        elif secure:
            kind = pj.PJSIP_TRANSPORT_TLS
            listen.tlsConfig.CaListFile = wish["authority"]
            listen.tlsConfig.verifyServer = True
        self.transport = self.endpoint.transportCreate(kind, listen)
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            keep = codec.codecId.startswith(tuple(wish.get("codecs", ["PCMA", "PCMU"])))
            self.endpoint.codecSetPriority(codec.codecId, 200 if keep else 0)
        self.player = pj.AudioMediaPlayer()
        self.player.createPlayer(wish["plays"])
        self.recorder = pj.AudioMediaRecorder()
        self.recorder.createRecorder(wish["hears"])
        self.line(wish, listen)

    def line(self, wish, listen):
        """Registers, or is reached by its address alone."""
        config = pj.AccountConfig()
        config.idUri = wish["id"]
        if wish.get("registrar"):
            config.regConfig.registrarUri = wish["registrar"]
            config.regConfig.timeoutSec = wish.get("expires", 300)
            config.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", "*", wish["user"], 0, wish["password"])
            )
        for proxy in wish.get("proxies", []):
            config.sipConfig.proxies.append(proxy)
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        if "session_expires" in wish:
            config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
            config.callConfig.timerSessExpiresSec = wish["session_expires"]
            config.callConfig.timerMinSESec = 90
        config.mwiConfig.enabled = wish.get("mailbox", False)
        config.mediaConfig.transportConfig.boundAddress = listen.boundAddress
        config.mediaConfig.transportConfig.port = wish["rtp"]
        config.mediaConfig.transportConfig.portRange = 20
        config.natConfig.udpKaIntervalSec = wish.get("keep_alive_s", 15)
        config.natConfig.contactRewriteUse = wish.get("contact_rewrite", 0)
        config.natConfig.viaRewriteUse = wish.get("contact_rewrite", 0)
        config.natConfig.sdpNatRewriteUse = 0
        self.account = Account(self)
        self.account.create(config)

    def obey(self, order):
        """One line of whoever started us."""
        call = self.calls.get(order.get("call", next(iter(self.calls), None)))
        does, how = order["do"], pj.CallOpParam(True)
        if does == "call":
            call = Call(self.account, self)
            call.makeCall(order["to"], how)
            self.calls[call.getInfo().id] = call
        elif does == "answers":
            self.answers = order["with"]
        elif does == "hold":
            call.setHold(how)
        elif does == "resume":
            how.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(how)
        elif does == "keys":
            keys = pj.CallSendDtmfParam()
            keys.digits, keys.duration = order["digits"], 160
            info = order["method"] == "info"
            keys.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if info else pj.PJSUA_DTMF_METHOD_RFC2833
            call.sendDtmf(keys)
        elif does == "transfer":
            call.xfer(order["to"], how)
        elif does == "replace":
            call.xferReplaces(self.calls[order["with"]], how)
        elif does == "message":
            text = pj.SendInstantMessageParam()
            text.content = order["body"]
            peer = pj.Buddy()
            wish = pj.BuddyConfig()
            wish.uri = order["to"]
            peer.create(self.account, wish)
            peer.sendInstantMessage(text)
        elif does == "hangup":
            call.hangup(how)

    def run(self):
        """Until the other end closes, or says quit."""
        rest = b""
        while True:
            self.endpoint.libHandleEvents(20)
            due = [call for at, call in self.later if at <= time.monotonic()]
            self.later = [(at, call) for at, call in self.later if at > time.monotonic()]
            for call in due:
                if call.phone.calls.get(call.getId()) is call:
                    yes = pj.CallOpParam()
                    yes.statusCode = self.answers
                    call.answer(yes)
            if not select.select([0], [], [], 0)[0]:
                continue
            got = os.read(0, 65536)
            rest += got
            *lines, rest = rest.split(b"\n")
            for line in lines:
                order = json.loads(line)
                if order["do"] == "quit":
                    return
                try:
                    self.obey(order)
                except pj.Error as wrong:
                    tell("failed", order=order, why=wrong.info())
            if not got:
                return

    def end(self):
        """In order, so that the WAV file is whole."""
        self.calls.clear()
        self.over.clear()
        self.player = self.recorder = None
        self.account.shutdown()
        self.account = None
        tell("ended")
        self.endpoint.libDestroy()


if __name__ == "__main__":
    phone = Phone(json.loads(sys.argv[1]))
    tell("ready")
    phone.run()
    phone.end()
    # What pjsua2 keeps for the end of the interpreter has nothing left to stand on.
    os._exit(0)
