// Only panels, for a screen on a wall.

import { byId } from "../page";

export function toggle(): void {
  const url = new URL(location.href);
  if (url.searchParams.has("kiosk")) url.searchParams.delete("kiosk");
  else url.searchParams.set("kiosk", "1");
  history.pushState({ skep: true }, "", url);
  show();
}

function show(): void {
  document.body.classList.toggle("kiosk", new URLSearchParams(location.search).has("kiosk"));
}

export function start(): void {
  byId("kiosk", HTMLElement)?.addEventListener("click", toggle);
  window.addEventListener("popstate", show);
  show();
}
