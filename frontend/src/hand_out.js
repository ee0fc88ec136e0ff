// The page of a hand-out: a carnet is looked at as soon as it is read, a hand-out that the network
// does not take is kept.  Without this script the same forms do the same, one page after the other.

import { all, ask, asPage, forget, freshMark, keep, sendAgainAndAgain, sendWaiting, signInAsked } from "./kept_hand_outs.js";
import { cameraReads, listenToKeys, mayBeKept, readByCamera, withoutSecret } from "./scanning.js";

// Somebody stands there: after this, the network is taken for gone.
const SILENCE = 2_500;
const NAMES = ["surname", "first_name", "born_on"];

const form = () => document.querySelector("form[data-hand-out]");
const field = () => form().elements.carnet;

// The server's time when the page came, and how long ago that is: a device's clock may be wrong.
let cameAt = Date.now();
const now = () => new Date(Date.parse(form().dataset.now) + Date.now() - cameAt);

// An id that begins with its time, as the server makes them.
function newId() {
  const random = [...crypto.getRandomValues(new Uint8Array(10))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const time = now().getTime().toString(16).padStart(12, "0");
  const variant = "89ab"[parseInt(random[3], 16) % 4];
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
}

// ---- What the device says -----------------------------------------------------------------

function say(what, facts = {}) {
  const said = document.getElementById("device-words").content.querySelector(`[data-say-${what}]`).cloneNode(true);
  const walk = document.createTreeWalker(said, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    walk.currentNode.data = walk.currentNode.data.replace(/\{(\w+)\}/g, (whole, name) => facts[name] ?? whole);
  }
  return said;
}

function since(at) {
  const day = { weekday: "long", day: "numeric", month: "long" };
  const time = { hour: "2-digit", minute: "2-digit" };
  const that = new Date(at);
  const today = that.toDateString() === now().toDateString();
  return that.toLocaleString(document.documentElement.lang, today ? time : { ...day, ...time });
}

let first = []; // What is said of the last act, above what waits.
let signIn = false;

async function showDevice() {
  const rows = await all();
  const who = form().dataset.who;
  const waiting = rows.filter((row) => row.who === who && !row.told);
  const others = rows.filter((row) => row.who !== who);
  const parts = [...first];
  if (waiting.length && signIn) parts.push(say("sign-in"));
  if (waiting.length) {
    const oldest = waiting.map((row) => row.at).sort()[0];
    parts.push(say("waiting", { n: waiting.length, since: since(oldest) }));
  }
  for (const row of rows.filter((row) => row.who === who && row.told)) {
    const part = say("review", { carnet: row.carnet, since: since(row.at) });
    part.querySelector("[data-told]").textContent = row.told;
    part.querySelector("[data-seen]").addEventListener("click", async () => {
      await forget(row.id);
      await showDevice();
      field().focus();
    });
    parts.push(part);
  }
  if (others.length) parts.push(say("others", { n: others.length }));
  document.querySelector("[data-device]").replaceChildren(...parts);
}

function tell(...parts) {
  first = parts;
  return showDevice();
}

// ---- Looking at a carnet, handing it out --------------------------------------------------

function body(button) {
  const sent = new URLSearchParams(new FormData(form()));
  sent.set(button, "1");
  sent.set("carnet", withoutSecret(sent.get("carnet")));
  return sent;
}

const post = (sent) => ask(form().action, { method: "POST", body: sent, headers: { Accept: "text/html" } }, SILENCE);

function showPage(page) {
  cameAt = Date.now();
  first = [];
  document.title = page.title;
  document.querySelector("main").replaceWith(page.querySelector("main"));
  lookedAt = aboutTyped = field().value;
  document.querySelector("main [autofocus]")?.focus();
  document.querySelector(".verdict, .error-summary")?.scrollIntoView({ block: "nearest" });
  begin();
}

// Leaving the field looks at the carnet.  What that finds would push the button away from under a
// finger that is pressing it, and the press would be lost: it is shown once the finger is up.
const PRESS = 1_000;
let released = Promise.resolve();
document.addEventListener(
  "pointerdown",
  () => {
    released = new Promise((done) => {
      for (const up of ["pointerup", "pointercancel"]) {
        addEventListener(up, () => setTimeout(done), { capture: true, once: true });
      }
      setTimeout(done, PRESS);
    });
  },
  true,
);

let looking = 0;
let lookedAt = "";
let aboutTyped = ""; // What the field says of the carnet whose questions stand here.

// Shows what is to be asked of the carnet that was read; what is already answered stays.
async function look(goOn) {
  const typed = field().value.trim();
  // Left by the Tab key after Enter: it has been looked at.
  if (!typed || (!goOn && typed === lookedAt)) return;
  const turn = ++looking;
  lookedAt = typed;
  const sent = body("look");
  try {
    const told = await post(sent);
    await released;
    if (turn !== looking) return;
    if (signInAsked(told.answer)) return location.assign(told.answer.url);
    if (told.answer.status >= 500) throw new Error("no answer");
    const page = asPage(told.text);
    const fresh = page.querySelector("form[data-hand-out]");
    if (!fresh) return void form().submit();
    if (!told.answer.ok) return showPage(page);
    for (const id of ["about", "also", "quota"]) document.getElementById(id).replaceWith(page.getElementById(id));
    field().value = lookedAt = aboutTyped = fresh.elements.carnet.value;
    document.getElementById("verdict")?.remove();
    if (first.length) await tell();
    if (goOn && fresh.elements.carnet.autofocus) field().select();
    else if (goOn) answerNext();
  } catch {
    await released;
    if (turn !== looking) return;
    const known = isLookedAt();
    if (!known) forgetCarnet();
    await tell(say(known || !moreMayBeAsked() ? "alone" : "blind"));
    if (goOn && (known || !moreMayBeAsked())) answerNext();
  }
}

// Whether the carnet in the field is the one whose questions stand here.
const isLookedAt = () => {
  const about = form().elements.about?.value;
  return about !== undefined && [about, aboutTyped].includes(field().value.trim());
};
// Some carnet of these desks needs a name or a public: one that was not looked at may be one.
const moreMayBeAsked = () => "asks" in form().dataset;

// What was asked of one carnet is not of the next; the public that was answered stays for it.
function forgetCarnet() {
  const category = form().elements.category?.value;
  for (const id of ["about", "also", "quota"]) document.getElementById(id).replaceChildren();
  if (!category) return;
  const kept = document.createElement("input");
  Object.assign(kept, { type: "hidden", name: "category", value: category });
  document.getElementById("also").append(kept);
}

// The first question: where nothing is to be changed, Enter hands out.
function answerNext() {
  (form().querySelector("[name=pic]:checked") ?? form().querySelector("[name=pic]")).focus();
}

let giving = false;

async function give() {
  if (giving) return;
  // Another carnet was typed meanwhile: what was ticked is not of that one.
  if (form().elements.about && field().value.trim() !== lookedAt) return look(true);
  giving = true;
  looking += 1; // An answer about the carnet would come too late.
  const button = form().querySelector("[name=give]");
  button.setAttribute("aria-busy", "true");
  const sent = body("give");
  sent.set("given_at", now().toISOString());
  try {
    let told = await post(sent);
    let page = asPage(told.text);
    if (told.answer.status < 500 && !signInAsked(told.answer) && !page.querySelector("form[data-hand-out]")) {
      const mark = await freshMark(form().action, form().dataset.who);
      if (mark === null) return void form().submit();
      form().elements.csrf.value = mark;
      sent.set("csrf", mark);
      told = await post(sent);
      page = asPage(told.text);
    }
    signIn = signInAsked(told.answer);
    if (signIn || told.answer.status >= 500) throw new Error("no verdict");
    showPage(page);
    sendNow();
  } catch {
    await keepIt(sent);
  } finally {
    giving = false;
    form().querySelector("[name=give]").removeAttribute("aria-busy");
  }
}

async function keepIt(sent) {
  if (!form().reportValidity()) return;
  if (NAMES.some((name) => sent.get(name))) return tell(say("named"));
  if (!isLookedAt()) {
    const ofAnother = form().elements.about;
    if (ofAnother) forgetCarnet(); // Its questions were answered, not those of this one.
    if (moreMayBeAsked() || ofAnother) return tell(say(moreMayBeAsked() ? "blind" : "alone"));
  }
  if (!mayBeKept(sent.get("carnet"))) {
    await tell(say("cover"));
    field().select();
    return;
  }
  const fields = Object.fromEntries(sent);
  for (const name of ["csrf", "need"]) delete fields[name];
  const row = { id: fields.id, who: form().dataset.who, fields, carnet: fields.carnet, at: fields.given_at };
  try {
    await keep(row);
  } catch {
    return tell(say("unkept"));
  }
  form().elements.id.value = newId();
  form().elements.need.value = "";
  field().value = lookedAt = "";
  forgetCarnet();
  document.getElementById("verdict")?.remove();
  document.querySelector(".error-summary")?.remove();
  await tell(say("kept", { carnet: row.carnet }));
  field().focus();
}

// ---- What waits leaves by itself ----------------------------------------------------------

let sending = false;

async function sendNow() {
  if (sending || !form() || giving) return;
  sending = true;
  try {
    const told = await sendWaiting(form().action, form().dataset.who, form().elements.csrf.value);
    form().elements.csrf.value = told.mark;
    signIn = told.signIn;
    if (told.accepted) {
      first = [say("sent", { n: told.accepted })];
      const page = await ask(form().action, { headers: { Accept: "text/html" } });
      const today = asPage(page.text).getElementById("today");
      if (today) document.getElementById("today").replaceWith(today);
    }
  } catch {
    // The network left again: what was sent is out of the queue, the list waits for the next page.
  } finally {
    sending = false;
    await showDevice();
  }
}

// ---- The page -----------------------------------------------------------------------------

// A burst of keys is a carnet wherever the focus is, unless somebody types a text there.  In the
// field it must be the whole of what is there: hands are sometimes fast at the end of a number.
function scanned(text, signs, target) {
  if (!form()) return false;
  if (target === field() ? field().value !== signs : isText(target)) return false;
  field().value = text;
  look(true);
  return true;
}

function isText(target) {
  return target.matches?.("input:not([type=radio], [type=checkbox], [type=hidden]), textarea");
}

let camera = null;

async function scanByCamera(part) {
  const view = part.querySelector("[data-camera-view]");
  camera?.abort();
  camera = new AbortController();
  view.hidden = false;
  try {
    const text = await readByCamera(view.querySelector("video"), camera.signal);
    if (text === null) return;
    field().value = text;
    await look(true);
  } catch {
    field().focus(); // No camera, or it was not allowed: the number is typed.
  } finally {
    view.hidden = true;
  }
}

function begin() {
  const part = document.querySelector("[data-camera]");
  cameraReads().then((can) => {
    part.hidden = !can;
  });
  part.querySelector("[data-camera-start]").addEventListener("click", () => scanByCamera(part));
  part.querySelector("[data-camera-stop]").addEventListener("click", () => camera?.abort());
  field().addEventListener("change", () => look(false));
  field().addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    look(true);
  });
  form().addEventListener("submit", (event) => {
    event.preventDefault();
    const looks = event.submitter?.name === "look" && document.activeElement === event.submitter;
    if (looks) look(true);
    else if (form().noValidate || form().reportValidity()) give();
  });
  showDevice();
}

if (form()) {
  lookedAt = aboutTyped = field().value;
  listenToKeys(scanned);
  document.addEventListener("visibilitychange", () => document.hidden && camera?.abort());
  begin();
  sendAgainAndAgain(sendNow);
}
