// Pages work without this script; with it, htmx changes parts of them in place.
// The default import is the whole of htmx, which starts once the document is read.

import htmx from "htmx.org";

import "./hand_out.js";
import "./passkeys.js";

Object.assign(htmx.config, {
  // The pages' policy allows no inline style and no code made of text.
  includeIndicatorStyles: false,
  allowEval: false,
  allowScriptTags: false,
  // Pages hold names: none is left behind in the browser's storage, going back asks again.
  historyCacheSize: 0,
  refreshOnHistoryMiss: true,
  // A part and the focus within it change at once: whoever types is never, for an instant, elsewhere.
  defaultSettleDelay: 0,
  // A form sent back with its mistakes (422) is shown like any other answer.
  responseHandling: [
    { code: "204", swap: false },
    { code: "[23]..|422", swap: true },
    { code: "[45]..", swap: false, error: true },
  ],
});

// What is read out is in a place that stays while the part it tells of is replaced, and is changed
// only when there is something else to say: a region that is replaced is not heard.
document.addEventListener("htmx:afterSettle", () => {
  const heard = document.getElementById("heard");
  const say = document.querySelector("[data-say]")?.dataset.say;
  if (heard && say && heard.textContent !== say) heard.textContent = say;
});

// A page that asks again by itself was sent elsewhere (the session ended): the browser goes there.
document.addEventListener("htmx:beforeSwap", (event) => {
  const told = event.detail;
  if (told.elt.hasAttribute("hx-trigger") && new URL(told.xhr.responseURL).pathname !== location.pathname) {
    told.shouldSwap = false;
    location.reload();
  }
});

// What htmx cannot show (no network, an error of ours), the browser shows itself: the form is sent
// the plain way.  It carries the id of its act, so that sending it twice does it once.
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failure, (event) => event.detail.elt.closest("form")?.submit());
}
