/* The page: takes a drawing to the server, paints what comes back, and follows a training.
   It computes nothing of the network. At most one drawing is on its way; the next one sent is the latest. */
"use strict";

const PAD = 140, SIZE = 28, GAP = 2, BARS = 10;
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const times = (size) => size.join(" × ");
const tileSize = () => (window.innerWidth < 500 ? 34 : 46);
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/* Colours of maps: viridis, from nothing to the layer's largest; half as bright for what pooling drops. */
const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const VIRIDIS = Array.from({ length: 256 }, (_, value) => {
  const at = value / 255 * (STOPS.length - 1), low = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[low].map((from, n) => from + (STOPS[low + 1][n] - from) * (at - low));
});
const GREY = Array.from({ length: 256 }, (_, value) => [value, value, value]);

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.imageSmoothingEnabled = false;
  return pen;
}

/* `count` pictures of bytes below one another, as a canvas to copy from. */
const strips = element("canvas");
function strip(bytes, rows, columns, count, colours, kept) {
  strips.width = columns;
  strips.height = rows * count;
  const pen = strips.getContext("2d"), pixels = pen.createImageData(columns, rows * count);
  for (let n = 0; n < bytes.length; n++) {
    const colour = colours[bytes[n]], light = kept && !kept[n] ? 0.45 : 1;
    for (let c = 0; c < 3; c++) pixels.data[4 * n + c] = colour[c] * light;
    pixels.data[4 * n + 3] = 255;
  }
  pen.putImageData(pixels, 0, 0);
  return strips;
}

/* How pictures of this size are laid out in the width that there is. */
function layout(rows, columns, count, width, tile = tileSize()) {
  if (rows === 1) {
    const cell = Math.max(1, Math.min(8, Math.floor(width / (columns * count))));
    const across = Math.max(1, Math.min(count, Math.floor(width / (columns * cell))));
    return { wide: columns * cell, high: 14, gap: 0, across };
  }
  const ratio = window.devicePixelRatio || 1, cell = Math.max(1, Math.round(tile * ratio / Math.max(rows, columns))) / ratio;
  const wide = columns * cell, high = rows * cell;
  let across = Math.max(1, Math.min(count, Math.floor((width + GAP) / (wide + GAP))));
  if (across < count && across > 7) across -= across % 4;
  return { wide, high, gap: GAP, across };
}

function tiles(canvas, source, rows, columns, count, width, chosen, tile) {
  const { wide, high, gap, across } = layout(rows, columns, count, width, tile);
  const down = Math.ceil(count / across);
  const pen = sized(canvas, across * (wide + gap) - gap, down * (high + gap) - gap);
  const at = (n) => [(n % across) * (wide + gap), Math.floor(n / across) * (high + gap)];
  for (let n = 0; n < count; n++) pen.drawImage(source, 0, n * rows, columns, rows, ...at(n), wide, high);
  if (chosen >= 0) {
    pen.strokeStyle = css("--mark");
    pen.lineWidth = 2;
    const [x, y] = at(chosen);
    pen.strokeRect(x + 1, y + 1, wide - 2, high - 2);
  }
}

/* The drawing */

const pad = $("pad"), ink = pad.getContext("2d", { willReadFrequently: true });
const small = element("canvas", { width: PAD, height: PAD });
const smallPen = small.getContext("2d", { willReadFrequently: true });
smallPen.imageSmoothingQuality = "high";
Object.assign(ink, { lineWidth: 22, lineCap: "round", lineJoin: "round" });
let blank = true, isSample = false, last = null;

function wipe() {
  ink.clearRect(0, 0, pad.width, pad.height);
  blank = true;
  isSample = false;
}
function clear() {
  wipe();
  changed();
}
function place(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
}
function stroke(event) {
  for (const one of event.getCoalescedEvents?.().concat(event) ?? [event]) {
    const next = place(one);
    ink.beginPath();
    ink.moveTo(...last);
    ink.lineTo(...next);
    ink.stroke();
    last = next;
  }
  blank = false;
  changed(event.timeStamp);
}
pad.addEventListener("pointerdown", (event) => {
  if (event.button || !event.isPrimary) return;
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  if (isSample) wipe();
  last = place(event);
  stroke(event);
});
pad.addEventListener("pointermove", (event) => last && event.isPrimary && stroke(event));
for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { last = null; });
$("clear").addEventListener("click", clear);

/* Sample digits */

const samples = Array.from({ length: 10 }, () => []), nextSample = Array(10).fill(0);
function showSample(digit) {
  const all = samples[digit];
  if (!all.length) return;
  wipe();
  ink.imageSmoothingEnabled = true;
  ink.drawImage(all[nextSample[digit]++ % all.length], 0, 0, pad.width, pad.height);
  blank = false;
  isSample = true;
  changed();
}
async function loadSamples() {
  const bytes = new Uint8Array(await (await ask("samples")).arrayBuffer());
  for (let at = 0; at < bytes.length; at += 1 + SIZE * SIZE) {
    const canvas = element("canvas", { width: SIZE, height: SIZE });
    const pen = canvas.getContext("2d"), pixels = pen.createImageData(SIZE, SIZE);
    for (let n = 0; n < SIZE * SIZE; n++) pixels.data[4 * n + 3] = bytes[at + 1 + n];
    pen.putImageData(pixels, 0, 0);
    samples[bytes[at]].push(canvas);
  }
  $("samples").append(...samples.map((all, digit) => element(
    "button", { type: "button", ariaLabel: `Sample ${digit}`, ariaKeyShortcuts: digit, onclick: () => showSample(digit) }, all[0],
  )));
  if (blank) showSample(3);
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[0-9]$/.test(event.key)) showSample(Number(event.key));
  else if (["c", "C", "Escape"].includes(event.key)) clear();
});

/* To the server and back */

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer: is fastconv demo still running?");
  }
  if (!answer.ok) throw new Error(await answer.text());
  trouble("");
  return answer;
}
function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

let waiting = false, since = null, busy = false, seen = null;
/* Something is to be looked at: a stroke of this time, another drawing or another network. */
async function changed(time = null) {
  waiting = true;
  since ??= time;
  if (busy) return;
  busy = true;
  try {
    while (waiting) {
      const start = since, empty = blank;
      waiting = false;
      since = null;
      smallPen.clearRect(0, 0, PAD, PAD);
      smallPen.drawImage(pad, 0, 0, PAD, PAD);
      const pixels = smallPen.getImageData(0, 0, PAD, PAD).data, body = new Uint8Array(PAD * PAD);
      for (let n = 0; n < body.length; n++) body[n] = pixels[4 * n + 3];
      const answer = await ask("look", { method: "POST", body });
      seen = unpacked(await answer.arrayBuffer());
      seen.empty = empty;
      paint();
      if (start === null) continue;
      $("pace").dataset.milliseconds = performance.now() - start;
      $("pace").textContent = `${(performance.now() - start).toFixed(0)} ms from stroke to maps`;
    }
  } catch (error) {
    trouble(error.message);
  } finally {
    busy = false;
  }
}
function unpacked(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const found = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const take = (size) => new Uint8Array(buffer, (at += size) - size, size);
  found.image = take(SIZE * SIZE);
  for (const layer of found.layers) {
    const size = layer.rows * layer.columns * layer.shown.length;
    layer.maps = take(size);
    layer.kept = layer.pool && take(size);
  }
  return found;
}

/* What the network says */

function paintAnswer() {
  $("input").getContext("2d").drawImage(strip(seen.image, SIZE, SIZE, 1, GREY), 0, 0);
  const found = seen.probabilities;
  const name = (n) => seen.classes?.[n] ?? String(n);
  const order = (found ?? []).map((_, n) => n).sort((a, b) => found[b] - found[a]);
  const shown = order.length > BARS ? order.slice(0, BARS) : order.slice().sort((a, b) => a - b);
  const says = seen.empty ? "–" : found ? name(order[0]) : "?";
  if ($("prediction").textContent !== says) $("prediction").textContent = says;
  $("surety").textContent = seen.empty ? "draw a digit" : found ? `${(100 * found[order[0]]).toFixed(1)} % sure`
    : "its output is not a number";
  $("bars").replaceChildren(...shown.map((n) => {
    const percent = `${(100 * found[n]).toFixed(1)} %`, bar = element("i");
    bar.style.width = seen.empty ? 0 : percent.replace(" ", "");
    return element("li", { className: n === order[0] && !seen.empty ? "best" : "" }, element("span", {}, name(n)),
      element("span", { className: "bar" }, bar), element("span", { className: "number" }, seen.empty ? "" : percent));
  }));
}

/* Layers: one canvas each; a click, or arrow keys, choose the map that is enlarged */

const SAYS = {
  Conv2D: "bright where a filter found its pattern",
  MaxPooling2D: "the largest pixel of each window",
};
let chosen = null, drawnFor = "";

function build() {
  $("layers").replaceChildren(...seen.layers.map((layer, place) => {
    const canvas = element("canvas", { role: "img", ariaLabel: `Layer ${place + 1}, ${layer.kind}` });
    const figure = element("figure", {}, element("figcaption", {}, element("b", {}, layer.kind), element("span")), canvas);
    if (layer.rows === 1) return figure;
    Object.assign(canvas, { tabIndex: 0, role: "slider", ariaValueMin: 1, ariaValueMax: layer.shown.length });
    canvas.ariaLabel += ": arrow keys choose the map that is enlarged";
    canvas.addEventListener("click", (event) => {
      const now = seen.layers[place], { wide, high, gap, across } = placed(now);
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left) / (wide + gap));
      choose(place, column + across * Math.floor((event.clientY - box.top) / (high + gap)));
      $("lens").scrollIntoView({ block: "nearest" });
    });
    canvas.addEventListener("keydown", (event) => {
      const now = seen.layers[place], { across } = placed(now), count = now.shown.length;
      const at = chosen?.layer === place ? chosen.map : -1;
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across, Home: -count, End: count };
      if (!(event.key in steps)) return;
      event.preventDefault();
      choose(place, Math.max(0, Math.min(count - 1, at + steps[event.key])));
    });
    return figure;
  }));
  if (seen.left_out) $("layers").append(element("p", { className: "hint" }, `${seen.left_out} more layers are not shown.`));
  chosen = null;
}
const placed = (layer) => layout(layer.rows, layer.columns, layer.shown.length, $("layers").clientWidth);
function choose(layer, map) {
  if (map >= seen.layers[layer].shown.length) return;
  chosen = { layer, map };
  paintLayers();
}
/* Before anyone chose: the liveliest map of the first layer that is pooled. */
function liveliest() {
  const pooled = seen.layers.findIndex((one) => one.pool), layer = pooled < 0 ? seen.layers.findIndex((one) => one.rows > 1) : pooled;
  if (layer < 0) return null;
  const { rows, columns, maps, shown } = seen.layers[layer];
  const sums = shown.map((_, n) => {
    const map = maps.subarray(n * rows * columns, (n + 1) * rows * columns), least = Math.min(...map);
    return map.reduce((sum, value) => sum + value - least, 0);
  });
  return { layer, map: sums.indexOf(Math.max(...sums)) };
}

function paintLayers() {
  const form = JSON.stringify(seen.layers.map((layer) => [layer.name, layer.size, layer.shown]));
  if (form !== drawnFor) build();
  drawnFor = form;
  if (!seen.layers.length) return;
  if (!seen.empty) chosen ??= liveliest();
  const width = $("layers").clientWidth, dim = $("mark").checked;
  seen.layers.forEach((layer, place) => {
    const [caption, canvas] = $("layers").children[place].children, count = layer.shown.length;
    const isRow = layer.rows === 1, every = layer.step > 1 ? `, one of ${layer.step} shown` : "";
    caption.lastChild.textContent = (isRow ? ` · ${layer.size[1] * layer.count} numbers${every}`
      : ` · ${layer.count} maps of ${times(layer.size)}${count < layer.count ? `, ${count} of them shown` : ""}${every && ", thinned out"}`)
      + (layer.broken ? ` · ${layer.broken} values are not finite` : SAYS[layer.kind] ? ` · ${SAYS[layer.kind]}` : "");
    const source = strip(layer.maps, layer.rows, layer.columns, count, VIRIDIS, dim && layer.kept);
    const map = chosen?.layer === place ? chosen.map : -1;
    tiles(canvas, source, layer.rows, layer.columns, count, width, map);
    if (isRow) return;
    canvas.ariaValueNow = map + 1;
    canvas.ariaValueText = map < 0 ? "none enlarged" : `map ${layer.shown[map] + 1} of ${layer.count}`;
  });
  paintLens();
}

/* One map, its pooling windows, and a ring at the pixel that each of them keeps */

function paintLens() {
  $("lens").hidden = !chosen;
  if (!chosen) return;
  const layer = seen.layers[chosen.layer], { rows, columns, pool } = layer, size = rows * columns;
  const cut = (array, one) => array.subarray(chosen.map * one, (chosen.map + 1) * one);
  const cell = Math.max(1, Math.floor(264 / Math.max(rows, columns)));
  const pen = sized($("large"), columns * cell, rows * cell);
  pen.drawImage(strip(cut(layer.maps, size), rows, columns, 1, VIRIDIS), 0, 0, columns * cell, rows * cell);
  const name = `Map ${layer.shown[chosen.map] + 1} of ${layer.count}, ${layer.kind}, ${times(layer.size)}`;
  let text = `${name}.`;
  const after = pool && pool.place !== null && layer.step === 1 ? seen.layers[pool.place] : null;
  if (pool && layer.step === 1) {
    rings(pen, cut(layer.kept, size), layer, cell);
    text += ` In each ${times(pool.size)} window, max-pooling keeps the ringed pixel; where all are equal there is none to ring.`;
  }
  $("pooled").hidden = !after;
  if (after) {
    const wide = after.columns, high = after.rows, each = Math.max(1, Math.round(cell * columns / wide / 2));
    const source = strip(cut(after.maps, wide * high), high, wide, 1, VIRIDIS);
    sized($("pooled"), wide * each, high * each).drawImage(source, 0, 0, wide * each, high * each);
    $("pooled").ariaLabel = "The same map after max-pooling";
    text += ` ${times(after.size)} are left: the small picture.`;
  }
  $("large").ariaLabel = name;
  $("lens-text").textContent = text;
}
function rings(pen, kept, { rows, columns, pool }, cell) {
  pen.lineWidth = 1;
  pen.strokeStyle = "rgb(255 255 255 / 35%)";
  pen.beginPath();
  for (let x = pool.strides[1]; x < columns; x += pool.strides[1]) pen.moveTo(x * cell, 0), pen.lineTo(x * cell, rows * cell);
  for (let y = pool.strides[0]; y < rows; y += pool.strides[0]) pen.moveTo(0, y * cell), pen.lineTo(columns * cell, y * cell);
  pen.stroke();
  kept.forEach((is, n) => {
    if (!is) return;
    for (const [colour, width] of [["#000", cell / 4], ["#ff9d57", cell / 8]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = Math.max(1, width);
      pen.beginPath();
      pen.arc((n % columns + 0.5) * cell, (Math.floor(n / columns) + 0.5) * cell, cell * 0.3, 0, 7);
      pen.stroke();
    }
  });
}

/* Training */

let state = null, timer = 0;
async function follow(path = "state", options) {
  try {
    const before = state?.version;
    state = await (await ask(path, options)).json();
    paintTraining();
    if (before !== undefined && before !== state.version) changed();
  } catch (error) {
    trouble(error.message);
  }
  clearTimeout(timer);
  timer = setTimeout(follow, state?.status === "training" ? 200 : 3000);
}
$("train").addEventListener("click", () => follow("train", { method: "POST" }));
$("stop").addEventListener("click", () => follow("stop", { method: "POST" }));

function paintTraining() {
  const { status, loss, tests, title, step, steps, epoch, epochs, samples, test_samples, message, filters } = state;
  const number = (value) => value.toLocaleString("en"), last = tests[tests.length - 1];
  const trains = status === "training", percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  const right = last ? ` It reads ${percent(last[1])} of ${number(test_samples)} test digits.` : "";
  const text = {
    training: () => `Training on ${number(samples)} digits, epoch ${epoch} of ${epochs}.${right}`,
    ready: () => steps ? `Trained on ${number(samples)} digits in ${number(steps)} steps.${right}` : `From the file ${title}.`,
    stopped: () => `Stopped after ${step} of ${steps} steps.${right}`,
    failed: () => message,
  }[status]();
  if ($("status").textContent !== text) $("status").textContent = text;
  $("about").textContent = trains ? `The network is being trained right now: step ${step} of ${steps}.` : "";
  $("progress").hidden = !trains;
  $("progress").value = trains ? step / steps : 0;
  $("train").hidden = trains;
  $("stop").hidden = !trains;
  $("curve-figure").hidden = !loss.length;
  if (loss.length) paintCurve(loss, steps, epochs);
  $("tests").textContent = tests.length ? `Right, of the test digits, after each epoch: ${tests.map((one) => (100 * one[1]).toFixed(1)).join(", ")}\u00a0%` : "";
  $("filters-figure").hidden = !filters;
  if (!filters) return;
  const { rows, columns, values } = filters;
  $("filters-text").textContent = `First filters, ${values.length} of ${times([rows, columns])}: dark below 0, bright above`;
  const source = strip(values.flat(), rows, columns, values.length, GREY);
  tiles($("filters"), source, rows, columns, values.length, $("filters-figure").clientWidth, -1, 35);
  $("filters").ariaLabel = $("filters-text").textContent;
}
/* The loss falls over decades: its axis is logarithmic. */
function paintCurve(loss, steps, epochs) {
  const canvas = $("curve"), width = $("curve-figure").clientWidth, height = 150, left = 48, bottom = 18, top = 6;
  const pen = sized(canvas, width, height), logs = loss.map((point) => Math.log10(Math.max(point[1], 1e-6)));
  const low = Math.min(-1, Math.floor(Math.min(...logs))), high = Math.max(0.5, ...logs);
  const x = (step) => left + (width - left - 6) * step / steps;
  const y = (log) => top + (height - top - bottom) * (high - log) / (high - low);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = css("--faint");
  pen.strokeStyle = css("--line");
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  pen.beginPath();
  for (let log = low; log <= high; log++) {
    pen.moveTo(left, y(log));
    pen.lineTo(width, y(log));
    pen.fillText(String(10 ** log < 1 ? (10 ** log).toFixed(-log) : 10 ** log), left - 5, y(log));
  }
  pen.stroke();
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText("0", left, height - 3);
  pen.textAlign = "right";
  pen.fillText(`${steps} steps, ${epochs} epochs`, width - 4, height - 3);
  pen.strokeStyle = css("--accent");
  pen.lineWidth = 1.5;
  pen.beginPath();
  loss.forEach((point, n) => pen.lineTo(x(point[0]), y(logs[n])));
  pen.stroke();
  canvas.ariaLabel = `Loss by step, now ${loss[loss.length - 1][1].toPrecision(2)}`;
}

/* Together */

function paint() {
  paintAnswer();
  paintLayers();
}
function again() {
  if (seen) paint();
  if (state) paintTraining();
}
$("mark").addEventListener("change", again);
window.addEventListener("resize", again);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
follow();
loadSamples().catch((error) => trouble(error.message));
