"use strict";
// The key is read off its field for each request, and kept nowhere else.
const at = (id) => document.getElementById(id);
const words = document.body.dataset;
const sessions = "/v1/ussd/sessions";
let session = null;

const ask = (method, path, body) => {
  const headers = { authorization: "Bearer " + at("key").value.trim(), accept: "application/json" };
  if (body) headers["content-type"] = "application/json";
  return fetch(path, { method, headers, body: body && JSON.stringify(body), keepalive: method === "DELETE" });
};

// One request at a time: what is shown follows from the last one.
const busy = (waits) => {
  for (const part of document.querySelectorAll(".phone input, .phone .go")) part.disabled = waits;
  if (!waits) return;
  at("state").textContent = words.waiting;
  refuse("");
};

// Why nothing came of what was asked: beside the form, for no phone shows it. `lang`: of words that are not the page's.
const refuse = (text, lang) => {
  Object.assign(at("refused"), { textContent: text, lang: lang || document.documentElement.lang, hidden: !text });
};

const show = (text, note) => {
  // What was odd in the page's answer: for whoever made it, never on a phone.
  Object.assign(at("note"), { textContent: note || "", hidden: !note });
  // An address may be followed: what is tried out shows the link by which it is paid.
  at("display").replaceChildren(...text.split(/(https?:\/\/\S+)/).map((part, nth) => {
    if (nth % 2 === 0) return part;
    const link = document.createElement("a");
    Object.assign(link, { href: part, textContent: part, target: "_blank", rel: "noreferrer" });
    return link;
  }));
  at("count").textContent = text ? String(text.length) : "–";
};

const turn = (more) => {
  at("dialling").hidden = more;
  at("typing").hidden = !more;
  at("text").value = "";
  at("state").textContent = more ? words.open : words.over;
  at(more ? "text" : "code").focus();
};

// The reason in the page's language, where it has words for it, else in the API's own; and where it is to be mended.
const reason = (status, said) => {
  const places = { "/dialled": [words.wrongCode, "code"], "/mobile": [words.wrongMobile, "mobile"] };
  const wrong = (said.errors || []).map((one) => places[one.pointer]);
  // That it is over is said by the state.
  if (said.code === "not_live") return { text: "" };
  // No browser sends a key of other signs.
  const unsent = /[^!-~]/.test(at("key").value.trim());
  if (unsent || status === 401 || said.code === "scope_missing") return { text: words.wrongKey, field: "key" };
  if (status === 429 || status === 503 || said.code === "menu_busy") return { text: words.later };
  if (wrong.length && wrong.every(Boolean)) return { text: wrong.map(([text]) => text).join(" "), field: wrong[0][1] };
  return said.title ? { text: said.detail || said.title, lang: "en" } : { text: words.unreachable };
};

const seen = async (request) => {
  busy(true);
  let answer = null, said = null;
  try {
    answer = await request;
    said = await answer.json();
  } catch {
    // No answer, or none that can be read.
  }
  busy(false);
  if (answer && answer.ok && said) {
    session = said.more ? said.session : null;
    at("session").textContent = said.session;
    show(said.text, said.note);
    turn(said.more);
    return;
  }
  const { text, lang, field } = reason(answer ? answer.status : 0, said || {});
  if (said && said.code === "not_live" || session && answer && answer.status === 404) {
    session = null;
    turn(false);
  } else {
    // What was refused has neither opened a session nor ended one.
    at("state").textContent = session ? words.open : words.idle;
    const wrong = at(field || (session ? "text" : "code"));
    wrong.focus();
    wrong.select();
  }
  refuse(text, lang);
  at("refused").scrollIntoView({ block: "nearest" });
};

at("dialling").addEventListener("submit", (event) => {
  event.preventDefault();
  show("");
  at("session").textContent = "–";
  seen(ask("POST", sessions, { dialled: at("code").value, mobile: at("mobile").value }));
});

at("typing").addEventListener("submit", (event) => {
  event.preventDefault();
  seen(ask("POST", sessions + "/" + session + "/input", { text: at("text").value }));
});

const leave = () => {
  if (!session) return;
  ask("DELETE", sessions + "/" + session).catch(() => {});
  session = null;
};

at("leave").addEventListener("click", () => {
  leave();
  refuse("");
  show("");
  turn(false);
});

addEventListener("pagehide", leave);
