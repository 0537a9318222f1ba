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
  if (waits) at("state").textContent = words.waiting;
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
  at("count").textContent = text ? String(text.length) : "";
};

const turn = (more) => {
  at("dialling").hidden = more;
  at("typing").hidden = !more;
  at("text").value = "";
  at("state").textContent = more ? words.open : words.over;
  at(more ? "text" : "code").focus();
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
  if (!answer || !said) {
    at("state").textContent = words.unreachable;
  } else if (answer.ok) {
    session = said.more ? said.session : null;
    at("session").textContent = said.session;
    show(said.text, said.note);
    turn(said.more);
  } else {
    show(said.detail || said.title);
    // A page that is being asked still answers; every other refusal leaves nothing to type into.
    if (answer.status === 404 || !session) {
      session = null;
      turn(false);
    } else {
      at("state").textContent = words.open;
    }
  }
};

at("dialling").addEventListener("submit", (event) => {
  event.preventDefault();
  show("");
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
  show("");
  turn(false);
});

addEventListener("pagehide", leave);
