// A phone in a browser, without the browser: JsSIP over WebSockets, told what to do by lines of JSON, telling
// what happens by lines of JSON. It registers, asks by OPTIONS and sends and takes MESSAGE; sound needs WebRTC.
//
//   browser.js SETTINGS      a JSON object: url, user, password, realm
'use strict';

const path = require('path');
const { createRequire } = require('module');
// Installed beside the build, not beside this file.
const installed = createRequire(path.join(process.env.BROWSER_PEERS, 'package.json'));
global.WebSocket = installed('ws');
const JsSIP = installed('jssip');

const tell = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
const wish = JSON.parse(process.argv[2]);

const ua = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(wish.url)],
  uri: `sip:${wish.user}@${wish.realm}`,
  password: wish.password,
  register_expires: 120,
  session_timers: false,
});

ua.on('connected', () => tell('connected', {}));
ua.on('disconnected', (e) => tell('disconnected', { code: e.code || 0 }));
ua.on('registered', (e) => tell('registered', { code: e.response.status_code }));
ua.on('unregistered', () => tell('unregistered', {}));
ua.on('registrationFailed', (e) => tell('refused', { cause: e.cause }));
ua.on('newMessage', (e) => {
  if (e.originator === 'remote') {
    tell('message', { body: e.request.body, by: e.request.from.uri.user });
  }
});

const answers = (what) => ({
  eventHandlers: {
    succeeded: (e) => tell(what, { code: e.response.status_code, allow: e.response.getHeader('Allow') || '' }),
    failed: (e) => tell(what, { code: e.response ? e.response.status_code : 0, cause: e.cause }),
  },
});

const orders = {
  options: (o) => ua.sendOptions(o.to, '', answers('options')),
  message: (o) => ua.sendMessage(o.to, o.body, answers('sent')),
  unregister: () => ua.unregister({ all: false }),
  quit: () => ua.stop(),
};

require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    orders[order.do](order);
  })
  .on('close', () => process.exit(0));

ua.start();
