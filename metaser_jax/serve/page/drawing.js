// Pictures of a clip: its waveform, and each emotion's probability over time (of one window: a bar).

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; text is text, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function picture(kind, width, height) {
  return shape("svg", {class: kind, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true"});
}

export function icon(path) {
  const svg = shape("svg", {viewBox: "0 0 16 16", "aria-hidden": "true"});
  svg.append(shape("path", {d: path}));
  return svg;
}

export const percent = (p) => `${Math.round(100 * p)} %`;

export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const lasting = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`);

/** Where each window ends and the next begins: the middle of what they share. [n + 1] seconds. */
export function borders(track, seconds) {
  const between = track.slice(1).map((window, i) => (window.start + track[i].end) / 2);
  return [0, ...between, seconds];
}

/** The waveform, with silent parts and a line that moves while it plays. */
export function waveform(clip) {
  const svg = picture("wave", 1000, 100);
  const edges = borders(clip.track, clip.seconds);
  clip.track.forEach((window, i) => {
    if (window.silent) svg.append(silent(edges, i, clip.seconds, 100));
  });
  const n = clip.peaks.length;
  const at = (i) => ((i + 0.5) * 1000) / n;
  const above = clip.peaks.map((peak, i) => `${at(i).toFixed(1)},${(50 - 48 * Math.max(peak, 0.015)).toFixed(1)}`);
  const below = clip.peaks.map((peak, i) => `${at(i).toFixed(1)},${(50 + 48 * Math.max(peak, 0.015)).toFixed(1)}`);
  svg.append(shape("path", {d: `M${[...above, ...below.reverse()].join("L")}Z`}));
  const head = shape("line", {class: "head", x1: -5, x2: -5, y1: 0, y2: 100});
  svg.append(head);
  svg.move = (share) => ["x1", "x2"].forEach((x) => head.setAttribute(x, share === null ? -5 : 1000 * share));
  return svg;
}

function silent(edges, i, seconds, height) {
  const x = (1000 * edges[i]) / seconds;
  return shape("rect", {class: "silent", x, y: 0, width: (1000 * edges[i + 1]) / seconds - x, height});
}

/** One emotion's probability: of each window, or of the only one; a tick is at what the model as loaded heard. */
export function probabilities(clip, emotion, index) {
  const over = clip.track.length > 1;
  const svg = picture(over ? "time" : "bar", 1000, 100);
  svg.dataset.emotion = emotion;
  svg.append(shape("rect", {class: "track", x: 0, y: 0, width: 1000, height: 100}));
  if (!over) {
    svg.append(shape("rect", {class: "filled", x: 0, y: 0, width: 1000 * clip.probabilities[index], height: 100}));
    if (clip.loaded) {
      const x = Math.min(998, Math.max(2, 1000 * clip.loaded.probabilities[index]));
      svg.append(shape("line", {class: "tick", x1: x, x2: x, y1: 0, y2: 100}));
    }
    return svg;
  }
  const edges = borders(clip.track, clip.seconds);
  clip.track.forEach((window, i) => {
    if (window.silent) {
      svg.append(silent(edges, i, clip.seconds, 100));
      return;
    }
    const x = (1000 * edges[i]) / clip.seconds;
    const height = 100 * window.probabilities[index];
    svg.append(shape("rect", {
      class: "filled", x, y: 100 - height, width: (1000 * edges[i + 1]) / clip.seconds - x, height,
    }));
  });
  return svg;
}

/** A score between 0 and 1, the interval that it may be in, and what guessing scores. */
export function scale({macro_f1: value, interval, chance}) {
  const svg = picture("score-scale", 1000, 100);
  svg.append(shape("rect", {class: "track", x: 0, y: 30, width: 1000, height: 40}));
  if (interval) {
    svg.append(shape("rect", {class: "interval", x: 1000 * interval[0], y: 30, width: 1000 * (interval[1] - interval[0]), height: 40}));
  }
  if (chance !== null) {
    svg.append(shape("line", {class: "chance", x1: 1000 * chance, x2: 1000 * chance, y1: 10, y2: 90}));
  }
  const x = Math.min(997, Math.max(3, 1000 * value));
  svg.append(shape("line", {class: "value", x1: x, x2: x, y1: 5, y2: 95}));
  return svg;
}
