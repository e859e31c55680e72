// For screen readers: changes of the verdict and of the stream, and what a key asked for; never a ticking number.

import { byId, text } from "../dom";
import { type Model, isPast } from "../model";
import { sentence } from "./verdict";

export function spoken(): { draw: (model: Model) => void; speak: (said: string) => void } {
  const live = byId("spoken");
  let said = "";

  const draw = (model: Model) => {
    // While one looks back, arrows and brackets speak.
    if (isPast(model)) return;
    const system = model.state?.system;
    const about = system?.conditions.map((condition) => condition.about).join() ?? "";
    const now = `${model.link.is}/${system?.status ?? ""}/${about}`;
    if (now === said) return;
    said = now;
    text(live, model.link.is === "live" || model.link.is === "connecting" ? sentence(model) : "The stream is lost.");
  };
  return { draw, speak: (words) => text(live, words) };
}
