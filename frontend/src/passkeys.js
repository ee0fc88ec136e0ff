// Passkeys: a form marked data-passkey is shown where the browser knows them.  Sending it asks for
// options, has the browser make a key or sign with one, and sends the answer in the form itself.

const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const described = (list) => (list ?? []).map((key) => ({ ...key, id: bytes(key.id) }));

function readable(options) {
  const read = { ...options, challenge: bytes(options.challenge) };
  if (options.user) read.user = { ...options.user, id: bytes(options.user.id) };
  if (options.excludeCredentials) read.excludeCredentials = described(options.excludeCredentials);
  if (options.allowCredentials) read.allowCredentials = described(options.allowCredentials);
  return read;
}

function written(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: {},
  });
}

async function answer(form, verb) {
  const asked = await fetch(`${form.getAttribute("action")}/options`, {
    method: "POST",
    body: new URLSearchParams({ csrf: form.elements.csrf.value }),
  });
  if (!asked.ok) throw new Error(`options: ${asked.status}`);
  const publicKey = readable(await asked.json());
  return written(await navigator.credentials[verb]({ publicKey }));
}

function ready(section) {
  const verb = section.dataset.passkey;
  const form = section.querySelector("form");
  const button = form.querySelector("button");
  const failed = form.querySelector("[data-passkey-failed]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.hidden = true;
    button.disabled = true;
    try {
      form.elements.credential.value = await answer(form, verb);
      form.submit();
    } catch {
      failed.hidden = false;
      button.disabled = false;
      button.focus();
    }
  });
  section.hidden = false;
}

// Keys are bound to a name: at a bare address there are none.
const named = /[a-z]/i.test(location.hostname);
if (named && window.PublicKeyCredential && navigator.credentials) {
  document.querySelectorAll("[data-passkey]").forEach(ready);
}
