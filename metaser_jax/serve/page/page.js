// The page: what is done at it, and what is shown then.

import {Card} from "/clips.js";
import {clock, element} from "/drawing.js";
import {startRecording} from "/recording.js";
import {Forgotten, ask, open} from "/server.js";
import {converted, wavOf} from "/wav.js";

const $ = (id) => document.getElementById(id);
const UPLOADS = 2;
const POLL = 400;

const cards = new Set();
const waiting = [];
let uploading = 0;
let page = null;
let limits = null;
let recording = null;
let recorded = 0;
let adapting = false;
let unsaved = false;

function score(of) {
  if (!of) return null;
  const interval = of.interval ? ` (${of.interval.map((end) => end.toFixed(2)).join(" to ")})` : "";
  return {value: of.macro_f1.toFixed(2), interval, by: of.by};
}

function showModel() {
  const {model, n_learned: learned} = page;
  document.title = `${model.name} · metaser`;
  $("name").textContent = model.name;
  $("state").textContent = learned ? `adapted with ${count(learned, "clip")} of this page` : "as loaded";
  $("state").classList.toggle("adapted", learned > 0);
  const language = model.language ? `${model.language} speech, ` : "";
  $("summary").textContent = `${language}${count(model.emotions.length, "emotion")}: ${model.emotions.join(", ")}`;
  const scored = score(model.score);
  $("score").textContent = scored
    ? `Cross-validated macro F1 ${scored.value}${scored.interval}`
    : "Not scored: how often it is right is not known.";
  $("limits").hidden = false;
  const said = [model.score?.verdict, ...model.limits,
    model.calibrated ? model.calibration : "Its probabilities are not calibrated: take them as an order, not as numbers.",
    model.by_speaker ? "It was normalised by speaker; whose the clips are is not known here, so that it is less sure." : null];
  $("limits").querySelector("ul").replaceChildren(...said.filter(Boolean).map((text) => element("li", {}, text)));
  const changed = learned > 0;
  $("download").disabled = !changed;
  $("back").disabled = !changed || adapting;
}

const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function showLabelled() {
  const labelled = [...cards].filter((card) => card.clip !== null && card.clip.emotion !== null);
  const corrected = labelled.filter((card) => card.clip.emotion !== (card.heardFirst ?? card.clip.label)).length;
  const confirmed = labelled.length - corrected;
  const parts = [corrected ? `${count(corrected, "corrected clip")}` : null,
    confirmed ? (corrected ? `${confirmed} confirmed` : count(confirmed, "confirmed clip")) : null].filter(Boolean);
  $("adapt").textContent = parts.length ? `Adapt again with ${parts.join(" and ")}` : "Adapt again";
  $("adapt").disabled = !labelled.length || adapting;
  $("labelled").hidden = labelled.length > 0 || page.n_learned > 0;
  $("empty").hidden = cards.size > 0;
}

function trouble(error) {
  if (!(error instanceof Forgotten)) return false;
  $("trouble").hidden = false;
  $("trouble").firstElementChild.textContent = error.message;
  return true;
}

function complain(id, error) {
  if (error && trouble(error)) return;
  $(id).textContent = error ? error.message : "";
  $(id).hidden = !error;
}

// Clips

function add(files) {
  const made = files.map(([file, name]) => new Card(name, file, $("speaker").value.trim(), remove));
  for (const card of made) {
    cards.add(card);
    waiting.push(card);
  }
  $("clips").prepend(...made.map((card) => card.root));
  showLabelled();
  upload();
}

async function upload() {
  while (uploading < UPLOADS && waiting.length) {
    const card = waiting.shift();
    uploading += 1;
    send(card).finally(() => {
      uploading -= 1;
      upload();
    });
  }
}

async function send(card) {
  card.waiting("Reading");
  try {
    const suffix = card.name.slice(card.name.lastIndexOf(".")).toLowerCase();
    if (card.name.includes(".") && !limits.suffixes.includes(suffix)) card.sound = await orAsItIs(card.sound);
    if (card.sound.size > limits.bytes) {
      throw new Error(`Larger than ${Math.round(limits.bytes / 2 ** 20)} MiB. Cut it into shorter recordings, or send mp3 or flac.`);
    }
    const path = `/api/clips?${new URLSearchParams({name: card.name, speaker: card.speaker})}`;
    const clip = await (await ask("POST", path, {body: card.sound})).json();
    if (!cards.has(card)) {
      await ask("DELETE", `/api/clips/${clip.id}`);
      return;
    }
    card.heardFirst = clip.label;
    card.show(clip, page.model.emotions, correct);
  } catch (error) {
    trouble(error);
    card.failed(error.message);
  }
  showLabelled();
}

/** By the browser, where it can; what is no recording at all the server says best. */
async function orAsItIs(file) {
  try {
    return await converted(file, limits.seconds);
  } catch (error) {
    if (file.size > limits.bytes) throw error;
    return file;
  }
}

async function remove(card) {
  cards.delete(card);
  const place = waiting.indexOf(card);
  if (place >= 0) waiting.splice(place, 1);
  const next = card.root.nextElementSibling ?? card.root.previousElementSibling;
  card.close();
  (next?.querySelector(".remove") ?? $("files")).focus();
  showLabelled();
  if (card.clip) await ask("DELETE", `/api/clips/${card.clip.id}`).catch(trouble);
}

async function correct(card, emotion) {
  try {
    const clip = await (await ask("PUT", `/api/clips/${card.clip.id}/emotion`, {json: {emotion}})).json();
    card.show(clip, page.model.emotions, correct);
  } catch (error) {
    if (!trouble(error)) card.message(error.message);
  }
  showLabelled();
}

function showClips() {
  const told = new Map(page.clips.map((clip) => [clip.id, clip]));
  for (const card of cards) {
    if (card.clip && told.has(card.clip.id)) card.show(told.get(card.clip.id), page.model.emotions, correct);
  }
}

// The microphone

async function record() {
  complain("record-trouble", null);
  if (recording !== null) {
    await stop();
    return;
  }
  $("record").disabled = true;
  try {
    recording = await startRecording(limits.seconds, (level, seconds) => {
      $("level").value = level;
      $("elapsed").textContent = clock(seconds);
    }, stop);
    $("record").classList.add("on");
    $("record-text").textContent = "Stop";
    $("elapsed").textContent = "0:00";
    $("recording").hidden = false;
  } catch (error) {
    complain("record-trouble", error);
  }
  $("record").disabled = false;
}

async function stop() {
  if (recording === null) return;
  const ended = recording;
  recording = null;
  const {samples, rate} = await ended.stop();
  $("record").classList.remove("on");
  $("record-text").textContent = "Record";
  $("recording").hidden = true;
  if (!samples.length) {
    complain("record-trouble", new Error("Nothing came from the microphone. Record for a second or more."));
    return;
  }
  recorded += 1;
  add([[wavOf(samples, rate), `Recording ${recorded}.wav`]]);
}

// Adapting

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function adapt() {
  complain("adapt-trouble", null);
  const before = score(page.model.score);
  try {
    await ask("POST", "/api/adaptation");
    adapting = true;
    $("said").textContent = "Learning, and cross-validating";
    $("running").hidden = false;
    $("result").hidden = true;
    showLabelled();
    showModel();
    for (;;) {
      const now = await (await ask("GET", "/api/adaptation")).json();
      if (now.state === "failed") throw new Error(now.said);
      if (now.state !== "running") break;
      $("said").textContent = now.said;
      $("running-seconds").textContent = `${Math.round(now.seconds)} s`;
      await pause(POLL);
    }
    page = await (await ask("GET", "/api/page")).json();
    unsaved = true;
    showClips();
    showResult(before);
  } catch (error) {
    complain("adapt-trouble", error);
  }
  adapting = false;
  $("running").hidden = true;
  showLabelled();
  showModel();
}

function showResult(before) {
  const seen = page.clips.filter((clip) => clip.before !== null);
  const changed = seen.filter((clip) => clip.before.label !== clip.label).length;
  const now = score(page.model.score);
  const lines = [];
  if (now) {
    // Scores by speaker and by clip are of different questions.
    const from = before && before.by === now.by ? `${before.value} → ` : "";
    lines.push(element("p", {class: "figure"}, `${from}${now.value} `, element("small", {}, `macro F1${now.interval}`)));
    lines.push(element("p", {class: "quiet small"}, page.model.score.verdict || "Macro F1, cross-validated on the labelled clips."));
  } else {
    lines.push(element("p", {}, "Not scored: too few clips for a cross-validation."));
  }
  lines.push(element("p", {}, `${changed} of ${count(seen.length, "clip")} ${changed === 1 ? "has" : "have"} another label now.`));
  const own = page.n_learned === 1 ? "The one that you labelled was" : `The ${page.n_learned} that you labelled were`;
  lines.push(element("p", {class: "quiet small"}, `${own} learned from: that ${page.n_learned === 1 ? "it fits" : "they fit"} proves nothing.`));
  $("result").replaceChildren(...lines);
  $("result").hidden = false;
}

async function goBack() {
  complain("adapt-trouble", null);
  try {
    page = await (await ask("DELETE", "/api/adaptation")).json();
    unsaved = false;
    $("result").hidden = true;
    showClips();
  } catch (error) {
    complain("adapt-trouble", error);
  }
  showLabelled();
  showModel();
}

async function download() {
  complain("adapt-trouble", null);
  $("download").disabled = true;
  try {
    const answer = await ask("GET", "/api/model.zip");
    const name = decodeURIComponent(/filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition"))[1]);
    const place = URL.createObjectURL(await answer.blob());
    element("a", {href: place, download: name}).click();
    setTimeout(() => URL.revokeObjectURL(place), 60000);
    unsaved = false;
  } catch (error) {
    complain("adapt-trouble", error);
  }
  showModel();
}

function listen() {
  $("record").addEventListener("click", record);
  $("adapt").addEventListener("click", adapt);
  $("back").addEventListener("click", goBack);
  $("download").addEventListener("click", download);
  $("files").addEventListener("change", () => {
    add([...$("files").files].map((file) => [file, file.name]));
    $("files").value = "";
  });
  // Anywhere on the page: a file that misses the place would replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    add([...event.dataTransfer.files].map((file) => [file, file.name]));
  });
  addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
}

async function start() {
  $("reload").addEventListener("click", () => {
    unsaved = false;
    location.reload();
  });
  try {
    page = await open();
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble").firstElementChild.textContent = error.message;
    return;
  }
  limits = page.limits;
  listen();
  showModel();
  showLabelled();
}

start();
