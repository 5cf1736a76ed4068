// Keyboard moves, theme, sorting and filtering: what a page does without its server.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;

  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("retinoscope-theme", root.dataset.theme); } catch { /* storage is switched off */ }
  });

  const help = $("help");
  $("help-button").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });

  const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", g: "g", n: "n" };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([readonly]), select, textarea");
    if (event.key === "Escape" && typing) return event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || typing || help.open) return;
    if (event.target.closest("[role=tab]") && event.key.startsWith("Arrow")) return;
    if (event.key === "?") { help.showModal(); return event.preventDefault(); }
    if (event.key === "/") { $("search").focus(); $("search").select(); return event.preventDefault(); }
    const link = MOVES[event.key] && document.querySelector(`a[data-key="${MOVES[event.key]}"]`);
    if (!link) return;
    event.preventDefault();
    location.href = link.href;
  });

  // A photo may have vanished before the atlas could keep a copy, or its copy from the store: its file's name is told.
  const gone = (image) => {
    const frame = image instanceof HTMLImageElement && image.closest(".square:not(img), .photo");
    if (!frame) return;
    const note = document.createElement("span");
    note.className = "why";
    note.textContent = `${decodeURIComponent(image.src).split("/_store/")[1]} is not in the store`;
    frame.classList.add("none", "gone");
    if (frame.matches("a")) frame.setAttribute("aria-label", image.alt);
    frame.replaceChildren(...(frame.matches(".photo:not(.large)") ? [] : [note]));
  };
  document.addEventListener("error", (event) => gone(event.target), true);
  for (const image of [...document.images]) if (image.complete && !image.naturalWidth) gone(image);

  const grid = $("grid");
  if (grid && $("tools")) browse(grid);
  if ($("permalink")) { unit(); rules(); }

  function browse(grid) {
    const cards = [...grid.children];
    const values = new Map(cards.map((card, channel) => [card, {
      channel, words: (card.dataset.words || "").toLowerCase(),
      score: number(card.dataset.score), maximum: number(card.dataset.maximum),
    }]));
    const asked = new URLSearchParams(location.search);
    if ([...$("sort").options].some((option) => option.value === asked.get("sort"))) $("sort").value = asked.get("sort");
    $("filter").value = asked.get("filter") || "";
    $("sort").addEventListener("change", () => { sort(); remember(); });
    $("filter").addEventListener("input", () => { filter(); remember(); });
    if ($("sort").value !== "channel") sort();
    if ($("filter").value) filter();

    function sort() {
      const key = $("sort").value, sign = key === "channel" ? 1 : -1;
      const order = (a, b) => sign * (values.get(a)[key] - values.get(b)[key]) || values.get(a).channel - values.get(b).channel;
      grid.append(...cards.sort(order));
      for (const card of cards) {
        const shown = card.querySelector("i");
        if (shown) shown.textContent = brief(values.get(card)[key === "score" ? "score" : "maximum"]);
      }
      if ($("value")) $("value").textContent = key === "score" ? "score of the picture" : "largest activation";
    }
    function filter() {
      const tests = $("filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean).map(test);
      let count = 0;
      for (const card of cards) {
        card.hidden = tests.length > 0 && !tests.some((passes) => passes(values.get(card)));
        count += !card.hidden;
      }
      $("shown").textContent = `${count.toLocaleString("en")} ${count === 1 ? "unit" : "units"}`;
    }
    function remember() {
      const query = new URLSearchParams();
      if ($("sort").value !== "channel") query.set("sort", $("sort").value);
      if ($("filter").value) query.set("filter", $("filter").value);
      try { history.replaceState(null, "", query.size ? `?${query}` : location.pathname); } catch { /* a page on a disk */ }
    }
  }

  function test(word) {
    const range = word.match(/^(\d+)-(\d+)$/);
    if (range) return ({ channel }) => channel >= Number(range[1]) && channel <= Number(range[2]);
    if (/^\d+$/.test(word)) return ({ channel }) => channel === Number(word);
    return ({ words }) => words.includes(word);
  }
  function number(text) { return text === undefined ? -Number.MAX_VALUE : Number(text); }
  function brief(value) { return value === -Number.MAX_VALUE ? "–" : String(Number(value.toPrecision(3))); }

  // The chosen backward rule goes along to other units: in their links, and in the storage for ways around these.
  function rules() {
    const inputs = [...document.querySelectorAll("input[name=rule]")], key = "retinoscope-rule";
    const found = (rule) => inputs.find((input) => input.id === `rule-${rule}`);
    let rule = new URLSearchParams(location.search).get("rule");
    try { rule = rule || localStorage.getItem(key); } catch { /* storage is switched off */ }
    if (found(rule)) found(rule).checked = true;
    if (rule) hand(rule);
    for (const input of inputs) {
      input.addEventListener("change", () => {
        const chosen = input.id.slice("rule-".length);
        try { localStorage.setItem(key, chosen); } catch { /* storage is switched off */ }
        try { history.replaceState(null, "", `?rule=${chosen}`); } catch { /* a page on a disk */ }
        hand(chosen);
      });
    }
    function hand(chosen) {
      for (const link of document.querySelectorAll("a.arrow, a.cell, .inside a, .relatives a")) link.search = `?rule=${encodeURIComponent(chosen)}`;
    }
  }

  function unit() {
    const field = $("permalink"), button = $("copy");
    field.value = location.href.split(/[?#]/)[0];
    field.addEventListener("focus", () => field.select());
    button.addEventListener("click", async () => {
      field.select();
      try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const choose = (chosen) => {
      for (const tab of tabs) {
        tab.setAttribute("aria-selected", String(tab === chosen));
        tab.tabIndex = tab === chosen ? 0 : -1;
        $(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
      }
      chosen.focus();
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) choose(tabs[(i + step + tabs.length) % tabs.length]);
      });
    });
  }
})();
