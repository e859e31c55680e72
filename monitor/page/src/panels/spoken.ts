// For screen readers: changes of the verdict and of the stream, never a ticking number.

import { byId, text } from "../dom";
import type { Model } from "../model";
import { sentence } from "./verdict";

export function spoken(): (model: Model) => void {
  const live = byId("spoken");
  let said = "";

  return (model) => {
    const system = model.state?.system;
    const about = system?.conditions.map((condition) => condition.about).join() ?? "";
    const now = `${model.link.is}/${system?.status ?? ""}/${about}`;
    if (now === said) return;
    said = now;
    text(live, model.link.is === "live" || model.link.is === "connecting" ? sentence(model) : "The stream is lost.");
  };
}
