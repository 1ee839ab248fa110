// Runs before the first paint: the chosen theme must not flash, and controls that need scripts must not jump.

const root = document.documentElement;
root.classList.add("js");
try {
  const theme = localStorage.getItem("skep.theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
} catch {
  // Storage is denied: the system's theme holds.
}
