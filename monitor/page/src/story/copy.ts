// Buttons that copy.

import { h, text } from "../dom";

const SAID_MS = 2000;

export function copier(name: string, what: () => Promise<string>): HTMLElement {
  const button = h("button", { type: "button", class: "btn", onclick: () => void copy() }, name);
  const say = (said: string) => {
    text(button, said);
    setTimeout(() => text(button, name), SAID_MS);
  };
  const copy = () =>
    what()
      .then(copied)
      .then(() => say("Copied"), () => say("Could not copy"));
  return button;
}

/** Without TLS a browser has no clipboard but this old command. */
async function copied(words: string): Promise<void> {
  if (window.isSecureContext) return navigator.clipboard.writeText(words);
  const area = h("textarea", { class: "sr", "aria-hidden": "true" });
  area.value = words;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}
