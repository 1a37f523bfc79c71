// A classic script, so that the colours are right before anything is drawn.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("agentreg.theme");
  } catch {
    // storage may be switched off: the system's colours, then
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
})();
