// The units that a photo or a class excites: of one layer, and where on the photo.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll("#hits > li")], select = $("hit-layer"), box = $("hit-box");

  if (select) {
    const all = $("hit-count").textContent, asked = new URLSearchParams(location.search).get("layer");
    if ([...select.options].some((option) => option.value === asked)) select.value = asked;
    select.addEventListener("change", () => {
      filter();
      const query = select.value ? `?${new URLSearchParams({ layer: select.value })}` : location.pathname;
      try { history.replaceState(null, "", query); } catch { /* a page on a disk */ }
    });
    if (select.value) filter();

    function filter() {
      for (const card of cards) card.hidden = select.value !== "" && card.dataset.layer !== select.value;
      const shown = cards.filter((card) => !card.hidden).length;
      const [, whole] = select.selectedOptions[0].textContent.match(/\(([\d,]+)\)$/) || [];
      const more = whole && Number(whole.replaceAll(",", "")) > shown ? `, the first ${shown} shown` : "";
      $("hit-count").textContent = select.value ? `${whole} ${whole === "1" ? "unit" : "units"}${more}` : all;
    }
  }

  for (const card of box ? cards : []) {
    const link = card.querySelector("a");
    const show = () => { box.style.cssText = card.dataset.box; box.hidden = false; };
    const hide = () => { box.hidden = true; };
    card.addEventListener("pointerenter", show);
    card.addEventListener("pointerleave", hide);
    link.addEventListener("focus", show);
    link.addEventListener("blur", hide);
  }
})();
