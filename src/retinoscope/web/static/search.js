// Search in an exported explorer: the same answers as search.py, from the index that stands beside this script.
"use strict";
(() => {
  const index = window.retinoscopeIndex;
  const query = (new URLSearchParams(location.search).get("q") || "").trim();
  document.getElementById("search").value = query;
  if (query) show(query);

  function show(query) {
    document.title = `Search: ${query} · Retinoscope`;
    const title = document.getElementById("search-title");
    title.replaceChildren(make("span", "quiet", "Units for"), ` ${query}`);
    const found = document.getElementById("found");
    if (query.length > index.longest) { found.textContent = `A search has at most ${index.longest} characters.`; return; }
    const matches = query.includes(":") ? named(query) : worded(query.toLowerCase().split(/\s+/));
    if (!matches) { found.textContent = `'${query}' does not name one unit; write layer:channel`; return; }
    const shown = matches.slice(0, index.limit), total = matches.length;
    const more = total > shown.length ? `, the first ${shown.length} shown` : "";
    found.textContent = `${total.toLocaleString("en")} ${total === 1 ? "unit" : "units"}${more}`;
    besides(query);
    document.getElementById("results").replaceChildren(...shown.map(([unit, photos]) => card(unit, photos)));
  }

  function besides(query) {
    const words = query.toLowerCase().split(/\s+/);
    const reads = !query.includes(":") && !words.every((word) => /^\d+$/.test(word));
    const has = (known) => reads && words.every((word) => known.includes(word));
    const photos = index.shots.filter((_, i) => has(index.photos[i]));
    const classes = index.classes.filter(([label]) => has(label.toLowerCase()));
    document.getElementById("classes").hidden = !classes.length;
    for (const [label, url, count] of classes.slice(0, index.shown)) {
      const link = make("a", "", `${label} `);
      link.href = `${url}index.html`;
      link.append(make("span", "quiet", count.toLocaleString("en")));
      document.getElementById("classes").append(link, " ");
    }
    document.getElementById("photos").hidden = !photos.length;
    const shown = photos.slice(0, index.shown), more = photos.length > shown.length ? `, the first ${shown.length} shown` : "";
    const total = photos.length.toLocaleString("en");
    document.getElementById("photos-found").textContent = `${total} ${photos.length === 1 ? "photo" : "photos"}${more}`;
    document.querySelector("#photos .shots").replaceChildren(...shown.map(shot));
  }

  function shot([name, url, file]) {
    const item = make("li"), link = make("a"), image = make("img", "square");
    Object.assign(link, { href: `${url}index.html`, title: name });
    Object.assign(image, { loading: "lazy", src: file, alt: name });
    link.append(image);
    item.append(link);
    return item;
  }

  function named(text) {
    const parts = text.match(/^([^:\s]+):(\d+)(?:@\d+,\d+)?$/);
    if (!parts) return null;
    const name = parts[1].toLowerCase(), channel = Number(parts[2]);
    const names = index.layers.map((layer) => layer.name.toLowerCase());
    const exact = names.includes(name);
    const fits = (known) => (exact ? known === name : known.includes(name));
    return index.units.filter((unit) => unit[1] === channel && fits(names[unit[0]])).map((unit) => [unit, 0]);
  }

  function worded(words) {
    const names = index.layers.map((layer) => layer.name.toLowerCase());
    const photos = words.map((word) => index.photos.map((text) => text.includes(word)));
    const found = [];
    for (const unit of index.units) {
      const hits = words.map((word, i) => count(unit, word, names[unit[0]], photos[i]));
      if (hits.every((hit) => hit >= 0)) found.push([unit, hits.reduce((a, b) => a + b, 0)]);
    }
    return found.sort((a, b) => b[1] - a[1]);
  }

  function count(unit, word, name, photos) {
    if (/^\d+$/.test(word)) return unit[1] === Number(word) ? 0 : -1;
    return unit[2].filter((photo) => photos[photo]).length || (name.includes(word) ? 0 : -1);
  }

  function card([place, channel, , thumb], photos) {
    const layer = index.layers[place], text = `${layer.name}:${channel}`;
    const link = make("a"), caption = make("span", "caption"), item = make("li");
    link.href = `${layer.url}${channel}/index.html`;
    caption.append(make("b", "", text), " ", make("span", "", photos ? `${photos} of its top photos` : layer.network));
    link.append(typeof thumb === "string" ? picture(thumb, text) : thumb ? patch(thumb, text) : make("span", "square none"), caption);
    item.append(link);
    return item;
  }

  function picture(url, text) {
    const image = make("img", "square");
    Object.assign(image, { loading: "lazy", src: url, alt: text, width: 160, height: 160 });
    return image;
  }

  function patch({ photo, height, width, box }, text) {
    const inside = (value, limit) => Math.min(Math.max(value, 0), limit);
    let [top, left, bottom, right] = [inside(box[0], height), inside(box[1], width), inside(box[2], height), inside(box[3], width)];
    if (bottom <= top || right <= left) [top, left, bottom, right] = [0, 0, height, width];
    const tall = bottom - top, wide = right - left, side = Math.max(tall, wide);
    const image = make("img"), frame = make("span", side < 48 ? "patch tiny" : "patch"), square = make("span", "square");
    Object.assign(image, { loading: "lazy", src: photo, alt: text });
    place(frame, { height: tall / side, width: wide / side });
    place(image, { height: height / tall, width: width / wide, top: -top / tall, left: -left / wide });
    frame.append(image);
    square.append(frame);
    return square;
  }

  function place(element, shares) {
    for (const [key, share] of Object.entries(shares)) element.style[key] = `${100 * share}%`;
  }

  function make(tag, name = "", text = "") {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text) element.textContent = text;
    return element;
  }
})();
