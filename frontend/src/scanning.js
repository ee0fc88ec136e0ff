// What scanners read: one on a cable types keys, faster than hands; the camera gives a text.

// A token's place in the text of a QR code: its 191 digits; and numbers as they are printed.
const DIGITS = 191;
const QR = new RegExp(`^(?:https://[a-z0-9.:-]{1,255}/v/)?([0-9]{${DIGITS}})$`, "i");
const PRINTED = /^(?:[0-9]{1,10}|[0-9][0-9A-Z]{1,2}-[0-9]{6,10}(?:-[0-9]{1,3})?)$/i;
// What is printed where anybody may read it: a carnet's number, that of a pass, a former operator's
// cover. Longer figures may be the number of one of their passes, which is worth the pass.
const PUBLIC = /^(?:[0-9]{1,7}|[0-9][0-9A-Z]{1,2}-[0-9]{6,10}(?:-[0-9]{1,3})?|[A-Z]{1,10}[ -][0-9]{1,7})$/i;

// Hands type ten keys a second at most, with gaps; a scanner a hundred.
const GAP_MAX = 60;
const KEYS_MIN = 4;

// The keys of the American layout, by their place: what a scanner means, whatever the computer is set to.
const PLACES = {
  Minus: "-_", Slash: "/?", Period: ".>", Semicolon: ";:", Space: "  ",
};

function meant(event) {
  const letter = /^Key([A-Z])$/.exec(event.code);
  if (letter) return event.shiftKey ? letter[1] : letter[1].toLowerCase();
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  if (digit) return digit[1];
  return PLACES[event.code]?.[event.shiftKey ? 1 : 0] ?? "";
}

const known = (text) => QR.test(text) || PRINTED.test(text);

// Of the signs that came and the keys that were pressed, the text that is one of ours.
function chosen(signs, keys) {
  return known(signs) || !known(keys) ? signs : keys;
}

// Calls found(text, signs, target) when a burst of keys ends with Enter, wherever the focus is; what
// it takes, nobody else hears.
export function listenToKeys(found) {
  let burst = [];
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const last = burst[burst.length - 1];
      if (last && event.timeStamp - last.at > GAP_MAX) burst = [];
      if (event.key === "Enter") {
        const read = burst;
        burst = [];
        if (read.length < KEYS_MIN) return;
        const signs = read.map((key) => key.sign).join("");
        if (found(chosen(signs, read.map((key) => key.key).join("")), signs, event.target)) {
          event.preventDefault();
          event.stopPropagation();
        }
      } else if (event.key.length === 1) {
        burst.push({ sign: event.key, key: meant(event), at: event.timeStamp });
      }
    },
    true,
  );
}

// The public serial in a QR code: what the device may keep of it, since the digits are worth the pass.
// Bytes: version 1, key 1, département 2, tranche 2, carnet 4, rank 1, and what is signed with them.
export function withoutSecret(text) {
  const digits = QR.exec(text.trim())?.[1];
  if (!digits) return text;
  const hex = BigInt(digits).toString(16).padStart(158, "0");
  const part = (from, bytes) => parseInt(hex.substr(2 * from, 2 * bytes), 16);
  const departement = part(2, 2).toString(36).toUpperCase().padStart(2, "0");
  return `${departement}-${String(part(6, 4)).padStart(6, "0")}-${part(10, 1)}`;
}

// Whether the device may keep a text: a secret code looks otherwise, and so does a QR code in a keyboard's signs.
export const mayBeKept = (text) => PUBLIC.test(text.trim());

// The camera, where the browser itself reads QR codes: it is off as soon as one is read.
export async function cameraReads() {
  try {
    return (
      Boolean(navigator.mediaDevices?.getUserMedia) &&
      (await window.BarcodeDetector.getSupportedFormats()).includes("qr_code")
    );
  } catch {
    return false;
  }
}

export async function readByCamera(video, stopped) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const off = () => stream.getTracks().forEach((track) => track.stop());
  stopped.addEventListener("abort", off);
  try {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    video.srcObject = stream;
    await video.play();
    while (!stopped.aborted) {
      const codes = await detector.detect(video).catch(() => []);
      if (codes[0]?.rawValue) return codes[0].rawValue;
      await new Promise((next) => setTimeout(next, 150));
    }
    return null;
  } finally {
    off();
    video.srcObject = null;
  }
}
