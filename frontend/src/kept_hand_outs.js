// Hand-outs that the network did not take: kept in this device, sent again until the server answers.
//
// One leaves the queue on a verdict only, accepted or refused; sent twice it is done once, for it
// carries the id of its act.  It belongs to who was signed in: another session sends none of it.
// No name, no code, no QR code and no need is ever kept; the public as long as the hand-out waits.

const STORE = "hand_outs";
const EVERY = 20_000;
const SILENCE = 10_000;

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("passnum", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function inStore(mode, work) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const asked = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const keep = (row) => inStore("readwrite", (store) => store.put(row));
export const forget = (id) => inStore("readwrite", (store) => store.delete(id));
export const all = () => inStore("readonly", (store) => store.getAll()).catch(() => []);

// Asks for a page or an answer; a network that is silent is one that is gone.
export async function ask(url, options, silence = SILENCE) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), silence);
  try {
    const answer = await fetch(url, { ...options, signal: stop.signal });
    return { answer, text: await answer.text() };
  } finally {
    clearTimeout(timer);
  }
}

export const signInAsked = (answer) => answer.redirected && /\/connexion(\/|$)/.test(new URL(answer.url).pathname);

export const asPage = (text) => new DOMParser().parseFromString(text, "text/html");

// The mark that forms carry changes with the session: a page of now has the right one, if it is
// still the same person's.
export async function freshMark(url, who) {
  const page = await ask(url, { headers: { Accept: "text/html" } });
  if (signInAsked(page.answer)) return null;
  const form = asPage(page.text).querySelector("form[data-hand-out]");
  return form?.dataset.who === who ? form.elements.csrf.value : null;
}

async function sent(row, url, mark) {
  const body = new URLSearchParams({ ...row.fields, csrf: mark });
  const told = await ask(url, { method: "POST", body, headers: { Accept: "application/json" } });
  let said = {};
  try {
    said = JSON.parse(told.text);
  } catch {
    // A proxy's own page is no verdict.
  }
  return { status: told.answer.status, code: said.code, text: said.text ?? said.detail ?? "" };
}

const MAY_COME = new Set(["sign_in_needed", "second_factor_needed", "from_elsewhere"]);

// What the server said of it: "accepted", "refused", "sign in", or "not now".
function verdict(said) {
  if (!said.code || said.status >= 500 || said.status === 429) return "not now";
  if (said.code === "accepted") return "accepted";
  return MAY_COME.has(said.code) ? "sign in" : "refused";
}

// Sends what waits of this person, the oldest first; tells what became of it.
export async function sendWaiting(url, who, mark) {
  const told = { accepted: 0, signIn: false, mark };
  const rows = (await all()).filter((row) => row.who === who && !row.told);
  rows.sort((a, b) => a.at.localeCompare(b.at));
  for (const row of rows) {
    try {
      let said = await sent(row, url, told.mark);
      if (said.code === "from_elsewhere") {
        const fresh = await freshMark(url, who);
        if (fresh !== null) {
          told.mark = fresh;
          said = await sent(row, url, fresh);
        }
      }
      const came = verdict(said);
      if (came === "accepted") {
        await forget(row.id);
        told.accepted += 1;
      } else if (came === "refused") {
        // What was answered is of no more use.
        await keep({ id: row.id, who: row.who, carnet: row.carnet, at: row.at, told: said.text });
      } else {
        told.signIn = came === "sign in";
        break;
      }
    } catch {
      break; // The network is still away.
    }
  }
  return told;
}

export function sendAgainAndAgain(work) {
  addEventListener("online", work);
  setInterval(work, EVERY);
  work();
}
