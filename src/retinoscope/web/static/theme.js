// Runs before the first paint, so that a chosen theme never flashes. Pages opened from a disk may have no storage.
"use strict";
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("retinoscope-theme"); } catch { /* storage is switched off */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
