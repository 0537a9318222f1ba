// A network's message centre and USSD gateway: the `smpp` library under node, told what to do by lines of JSON, telling
// what happens by lines of JSON. It puts messages together as a phone does.
//
//   smsc.js SETTINGS      a JSON object: port, system_id, password, and cert and key (files) for TLS
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
// Installed beside the build, not beside this file.
const smpp = createRequire(path.join(process.env.SMSC_PEERS, 'package.json'))('smpp');

const tell = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
let wish = JSON.parse(process.argv[2]);

const sessions = new Set();
const parts = new Map();
let ids = 0;
// How the next messages are answered: statuses; `silent` keeps answers back, `slow` gives them after so many ms.
let statuses = [];
let silent = false;
let slow = 0;
let open = 0;
let most = 0;
// A screen may come before the answer to the step that asked for it: it is told behind that, whichever came first.
let due = 0;
let held = [];

// The last two bytes of a user data header of the kind 0: which part of how many.
function piece(udh) {
  for (const one of udh || []) if (one[0] === 0 && one[1] === 3) return [one[2], one[3], one[4]];
  return null;
}

function submitted(session, pdu) {
  const octets = pdu.short_message.message;
  const payload = pdu.message_payload && pdu.message_payload.message;
  let text = payload || octets;
  if (Buffer.isBuffer(text)) text = text.toString('latin1');
  const facts = {
    to: pdu.destination_addr,
    from: pdu.source_addr,
    ton: [pdu.source_addr_ton, pdu.dest_addr_ton],
    coding: pdu.data_coding,
    registered: pdu.registered_delivery,
    service: pdu.service_type,
    by: session.bound,
    // The library makes a time of it: seconds from now on.
    validity: pdu.validity_period ? Math.round((new Date(pdu.validity_period) - Date.now()) / 1000) : null,
  };
  if (pdu.ussd_service_op !== undefined) {
    const info = pdu.its_session_info;
    const screen = { ...facts, op: pdu.ussd_service_op, session: info ? [...info] : null, text };
    if (due > 0) held.push(screen);
    else tell('ussd', screen);
    return;
  }
  const of = piece(pdu.short_message.udh) ||
    (pdu.sar_msg_ref_num === undefined ? null : [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum]);
  if (!of) {
    tell('sms', { ...facts, text, parts: 1 });
    return;
  }
  const [reference, total, number] = of;
  const key = `${pdu.source_addr} ${pdu.destination_addr} ${reference}`;
  const had = parts.get(key) || new Map();
  tell('part', { ...facts, number, total, text });
  parts.set(key, had.set(number, text));
  if (had.size === total) {
    parts.delete(key);
    const whole = [...had].sort((a, b) => a[0] - b[0]).map((one) => one[1]).join('');
    tell('sms', { ...facts, text: whole, parts: total });
  }
}

function answer(session, pdu) {
  if (silent) return tell('kept', {});
  const status = statuses.length ? statuses.shift() : 0;
  open += 1;
  most = Math.max(most, open);
  const id = `id${(ids += 1)}`;
  const say = () => {
    open -= 1;
    if (status === 0) submitted(session, pdu);
    else tell('refused', { status });
    session.send(pdu.response({ command_status: status, message_id: status === 0 ? id : '' }));
  };
  return slow ? setTimeout(say, slow) : say();
}

function serve(session) {
  sessions.add(session);
  session.on('error', (e) => tell('error', { what: e.code || String(e) }));
  session.on('close', () => {
    sessions.delete(session);
    tell('closed', { bound: session.bound || '' });
  });
  for (const kind of ['transceiver', 'transmitter', 'receiver']) {
    session.on(`bind_${kind}`, (pdu) => {
      const good = pdu.system_id === wish.system_id && pdu.password === wish.password;
      session.send(pdu.response({ command_status: good ? 0 : 0x0e, system_id: 'smsc' }));
      if (good) session.bound = kind;
      tell(good ? 'bound' : 'barred', { as: kind, version: pdu.interface_version, type: pdu.system_type });
    });
  }
  session.on('enquire_link', (pdu) => {
    session.send(pdu.response());
    tell('enquired', {});
  });
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    tell('unbound', { bound: session.bound });
    session.close();
  });
  session.on('submit_sm', (pdu) => answer(session, pdu));
}

const options = wish.cert ? { cert: fs.readFileSync(wish.cert), key: fs.readFileSync(wish.key) } : {};
smpp.createServer(options, serve).listen(wish.port, '127.0.0.1', () => tell('listening', {}));

const receiver = () => [...sessions].find((one) => one.bound === 'transceiver' || one.bound === 'receiver');

const orders = {
  // Fields as the library names them; `text` is written in `data_coding`, `hex` as it is.
  deliver: (o) => {
    const pdu = { source_addr_ton: 1, source_addr_npi: 1, ...o.fields };
    if (o.text !== undefined) pdu.short_message = o.udh ? { udh: Buffer.from(o.udh), message: o.text } : o.text;
    if (o.session) pdu.its_session_info = Buffer.from(o.session);
    due += 1;
    receiver().deliver_sm(pdu, (answer) => {
      due -= 1;
      tell('delivered', { tag: o.tag || '', status: answer.command_status });
      if (due === 0) held.splice(0).forEach((screen) => tell('ussd', screen));
    });
  },
  enquire: () => receiver().enquire_link({}, () => tell('there', {})),
  statuses: (o) => { statuses = o.statuses; },
  silent: (o) => { silent = o.on; },
  slow: (o) => { slow = o.ms; },
  most: () => tell('most', { most }),
  password: (o) => { wish = { ...wish, password: o.password }; tell('set', {}); },
  // Ends connections as a cut cable does not: at once, without a word.
  cut: () => { for (const one of sessions) one.destroy(); },
  unbind: () => { for (const one of sessions) one.unbind({}, () => one.close()); },
};

require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    orders[order.do](order);
  })
  .on('close', () => process.exit(0));
