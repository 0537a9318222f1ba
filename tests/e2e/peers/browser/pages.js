// Chromium, told what to do by lines of JSON, telling what is to be seen by lines of JSON. Buttons and links are found as
// whoever cannot see them finds them: by role and name.
//
//   pages.js SETTINGS      a JSON object: program, folder (for its profile), rules (who is where: --host-resolver-rules)
'use strict';

const { spawn } = require('child_process');

const tell = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
const wish = JSON.parse(process.argv[2]);
const chromium = spawn(wish.program, [
  '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--log-level=3', '--hide-scrollbars', '--remote-debugging-pipe',
  `--user-data-dir=${wish.folder}`, `--host-resolver-rules=${wish.rules}`, 'about:blank',
], { stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'pipe'] });
chromium.on('exit', () => process.exit(1));

// The DevTools protocol: JSON, an octet 0 behind each message.
const asked = new Map();
const loads = new Map();
let last = 0;
let read = Buffer.alloc(0);
chromium.stdio[4].on('data', (chunk) => {
  read = Buffer.concat([read, chunk]);
  for (let end = read.indexOf(0); end >= 0; end = read.indexOf(0)) {
    const message = JSON.parse(read.subarray(0, end).toString());
    read = read.subarray(end + 1);
    if (message.id) {
      const waits = asked.get(message.id);
      asked.delete(message.id);
      if (message.error) waits?.bad(new Error(message.error.message)); else waits?.good(message.result);
    } else if (message.method === 'Page.loadEventFired' || message.params?.type === 'BackForwardCacheRestore') {
      loads.get(message.sessionId)?.();
      loads.delete(message.sessionId);
    }
  }
});

function ask(method, params, sessionId) {
  return new Promise((good, bad) => {
    last += 1;
    const number = last;
    asked.set(number, { good, bad });
    // What was asked of a page that has gone is answered by nobody.
    setTimeout(() => asked.delete(number) && bad(new Error(`no answer to ${method}`)), 5000).unref();
    chromium.stdio[3].write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  });
}

const tabs = new Map();
let front = null;

async function tab(name) {
  if (!tabs.has(name)) {
    const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
    for (const domain of ['Page', 'Runtime', 'DOM', 'Accessibility']) await ask(`${domain}.enable`, {}, sessionId);
    tabs.set(name, sessionId);
  }
  // Whoever does something in a tab has it before him.
  const session = tabs.get(name);
  if (front !== session) await ask('Page.bringToFront', {}, session);
  front = session;
  return session;
}

/** Does something after which the page is another one, and waits for that. */
async function loaded(session, begin) {
  const done = new Promise((good) => { loads.set(session, good); });
  await begin();
  await done;
}

/** Runs in the page: what there is to see, and how well. */
function seen() {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const colour = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
  };
  // WCAG 2.2 §1.4.3: the least contrast of any text with what is behind it.
  let contrast = 21;
  let faint = '';
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.tagName === 'SCRIPT') continue;
    const both = [light(colour(getComputedStyle(element).color)), light(behind(element))].sort();
    const found = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (found < contrast) [contrast, faint] = [found, walk.currentNode.data.trim()];
  }
  // §2.5.8: what is to be touched is large enough.
  const touched = [...document.querySelectorAll('button, a, input:not([type=hidden]), select')].filter((e) => e.checkVisibility());
  const size = (e) => Math.min(e.getBoundingClientRect().height, e.getBoundingClientRect().width);
  const focus = document.activeElement === document.body ? null : document.activeElement;
  return {
    path: location.pathname + location.search,
    lang: document.documentElement.lang,
    dir: document.documentElement.dir,
    title: document.title,
    heading: document.querySelector('h1')?.textContent ?? '',
    text: document.body.innerText,
    alert: document.querySelector('[role=alert]')?.innerText ?? '',
    // How far it has to be moved sideways.
    sideways: Math.round(document.documentElement.scrollWidth - document.documentElement.clientWidth),
    contrast: Math.round(contrast * 100) / 100,
    faint,
    smallest: Math.round(Math.min(...touched.map(size), 1000)),
    focus: focus && { name: focus.textContent, outline: parseFloat(getComputedStyle(focus).outlineWidth) },
  };
}

async function look(session) {
  const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression: `(${seen})()`, returnByValue: true }, session);
  if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
  const { nodes } = await ask('Accessibility.getFullAXTree', {}, session);
  const named = (role) => nodes.filter((n) => !n.ignored && n.role?.value === role).map((n) => n.name?.value ?? '');
  return { ...result.value, buttons: named('button'), links: named('link'), landmarks: named('main').length };
}

/** What has this name, once the page has come so far. */
async function find(session, name) {
  for (const ends = Date.now() + 3000; ;) {
    const { nodes } = await ask('Accessibility.getFullAXTree', {}, session);
    const fits = (n) => !n.ignored && ['button', 'link'].includes(n.role?.value) && n.name?.value === name;
    const found = nodes.find(fits);
    if (found) return { backendNodeId: found.backendDOMNodeId };
    if (Date.now() > ends) throw new Error(`nothing is called ${name}`);
    await new Promise((good) => { setTimeout(good, 50); });
  }
}

async function press(session, { name, times = 1 }) {
  const node = await find(session, name);
  await ask('DOM.scrollIntoViewIfNeeded', node, session);
  const { model } = await ask('DOM.getBoxModel', node, session);
  const [left, top, , , right, bottom] = model.border;
  const at = { x: (left + right) / 2, y: (top + bottom) / 2, button: 'left' };
  for (let nth = 1; nth <= times; nth += 1) {
    for (const type of ['mousePressed', 'mouseReleased']) {
      // The page may be on its way before the hand is up.
      ask('Input.dispatchMouseEvent', { type, ...at, clickCount: nth }, session).catch(() => {});
    }
  }
}

const orders = {
  async open(session, { url, width = 1280, height = 800, dark = false }) {
    await ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 2, mobile: width < 600 }, session);
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
    await ask('Emulation.setEmulatedMedia', { features }, session);
    await loaded(session, () => ask('Page.navigate', { url }, session));
  },
  press,
  async type(session, { text }) { await ask('Input.insertText', { text }, session); },
  async key(session, { key }) {
    const code = { Tab: 9, Enter: 13 }[key];
    for (const type of ['keyDown', 'keyUp']) {
      await ask('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: code, text: key === 'Enter' && type === 'keyDown' ? '\r' : undefined }, session);
    }
  },
  async back(session) {
    const { currentIndex, entries } = await ask('Page.getNavigationHistory', {}, session);
    const entryId = entries[currentIndex - 1].id;
    await loaded(session, () => ask('Page.navigateToHistoryEntry', { entryId }, session));
  },
  async reload(session) { await loaded(session, () => ask('Page.reload', {}, session)); },
  look,
  async shot(session, { file }) {
    const { data } = await ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true }, session);
    require('fs').writeFileSync(file, Buffer.from(data, 'base64'));
  },
};

// One after the other, in the order in which they come.
let before = Promise.resolve();
require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    before = before.then(async () => {
      try {
        const facts = await orders[order.do](await tab(order.tab ?? 'one'), order);
        tell('done', { of: order.n, ...facts });
      } catch (error) {
        tell('failed', { of: order.n, why: String(error) });
      }
    });
  })
  .on('close', () => { chromium.kill(); process.exit(0); });
