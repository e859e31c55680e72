// What people noted about a rebalance, and the form that adds to it.

import * as ask from "../ask";
import { h, text } from "../dom";
import { moment } from "../format";
import type { Note, Rebalance } from "../record";

export function noteList(again: () => void, told: () => Rebalance | null) {
  const list = h("ol", { class: "notes" });
  const author = h("input", { name: "author", autocomplete: "name", maxlength: "100", required: true });
  const words = h("textarea", { name: "text", rows: "2", maxlength: "4000", required: true });
  const said = h("p", { class: "small dim", role: "status" });
  author.value = localStorage.getItem("author") ?? "";
  const form = h("form", {}, h("label", {}, "Your name", author), h("label", {}, "Note", words), h("button", { class: "btn" }, "Add note"), said);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = told()?.id;
    if (id === undefined) return;
    localStorage.setItem("author", author.value);
    text(said, "");
    ask.note(id, author.value, words.value).then(
      () => {
        words.value = "";
        text(said, "Added.");
        again();
      },
      (error: unknown) => text(said, error instanceof ask.Refused && error.status === 503 ? "This monitor does not record: the note was not kept." : "The note was not kept. Try again."),
    );
  });
  const element = h("div", { class: "block" }, h("h3", {}, "Notes"), list, form);
  return {
    element,
    draw(notes: readonly Note[], at: number) {
      list.replaceChildren(...notes.map((note) => h("li", {}, h("b", {}, note.author), h("small", {}, moment(note.at, at)), ...note.text.split("\n").map((line) => h("p", {}, line)))));
    },
  };
}
