// The API key, for servers that want one: asked for when they do, and forgotten with the tab.

const STORED = "fdcn-key";
const dialog = document.getElementById("keys");
const field = document.getElementById("key");
let asking = null;

document.getElementById("no-key").addEventListener("click", () => dialog.close());

/** The key to send, or null. */
export function storedKey() {
  return sessionStorage.getItem(STORED);
}

/** Ask for a key, once for all that wait for it. Returns whether one was given. */
export function askForKey(refused) {
  asking ??= opened(refused).finally(() => { asking = null; });
  return asking;
}

function opened(refused) {
  document.getElementById("keys-title").textContent = refused ? "That key was not accepted" : "API key";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use";
      if (given) sessionStorage.setItem(STORED, field.value.trim());
      resolve(given);
    }, { once: true });
  });
}
