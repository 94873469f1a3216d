// The page: what is done at it, and what is shown then.

import {Card} from "/clips.js";
import {clock, element, scale} from "/drawing.js";
import {chosen, dropped} from "/folders.js";
import {startRecording} from "/recording.js";
import {Forgotten, ask, forget, open} from "/server.js";
import {converted, wavOf} from "/wav.js";

const $ = (id) => document.getElementById(id);
const UPLOADS = 2;
const POLL = 400;
// Clips that one request names.
const NAMED = 200;
// What a score proves, and what to think of it.
const MEANINGS = {
  nothing: "Not shown to be better than guessing",
  something: "Better than guessing, by how much is not sure",
  much: "Better than guessing",
};

const cards = new Set();
const waiting = [];
let uploading = 0;
let page = null;
let limits = null;
let recording = null;
let recorded = 0;
let adapting = false;
// The card that was selected last, from which Shift selects on.
let last = null;
let leaving = false;

const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const two = (number) => number.toFixed(2);

function showModel() {
  const {model, n_learned: learned} = page;
  document.title = `${model.name} · metaser`;
  $("name").textContent = model.name;
  $("state").textContent = learned ? `adapted with ${count(learned, "clip")} of this page` : "as loaded";
  $("state").classList.toggle("adapted", learned > 0);
  const language = model.language ? `${model.language} speech, ` : "";
  $("summary").textContent = `${language}${count(model.emotions.length, "emotion")}: ${model.emotions.join(", ")}`;
  showScore(model.score);
  $("limits").hidden = false;
  const said = [model.score?.verdict, ...model.limits,
    model.calibrated ? model.calibration : "Its probabilities are not calibrated: take them as an order, not as numbers.",
    model.by_speaker ? "It knows a voice by all of its clips: say who speaks, or it is less sure." : null];
  $("limits").querySelector("ul").replaceChildren(...said.filter(Boolean).map((text) => element("li", {}, text)));
  $("download").disabled = !learned;
  $("back").disabled = !learned || adapting;
}

/** How sure the model is, and whether that means anything: the largest words on the page. */
function showScore(score) {
  $("scale").hidden = !score;
  $("score").hidden = !score;
  if (!score) {
    $("headline").replaceChildren("Not scored: how often it is right is not known");
    return;
  }
  const {macro_f1: value, interval, chance, n, by} = score;
  $("headline").replaceChildren(element("span", {class: "figure"}, two(value)), ` ${MEANINGS[score.meaning] ?? "How sure that is, is not known"}`);
  $("scale").replaceChildren(scale(score));
  $("score").textContent = ["Macro F1, 1 is perfect",
    chance === null ? null : `guessing ${two(chance)}`,
    interval ? `95 % interval ${interval.map(two).join(" to ")}` : null,
    `cross-validated${by === "speaker" ? " by voice" : ""}${n ? ` on ${count(n, "clip")}` : ""}`].filter(Boolean).join("; ");
}

/** Whether clips help each other, and how each voice came out. */
function showVoices() {
  $("together").hidden = !page.model.together;
  $("together-on").checked = page.together;
  $("voices").replaceChildren(...page.voices.map((said) => element("li", {}, said)));
}

async function chooseTogether() {
  try {
    page = await (await ask("PUT", "/api/page", {json: {together: $("together-on").checked}})).json();
    showTold(page.clips);
  } catch (error) {
    trouble(error);
  }
  showVoices();
}

const ready = () => [...cards].filter((card) => card.clip !== null);
const selected = () => ready().filter((card) => card.selected);
/** Clips of which the speaker would be of use: to a model that tells voices apart of all, else of those that are learned from. */
const unnamed = () => ready().filter((card) => !card.clip.speaker && (page.model.by_speaker || card.clip.emotion !== null));

function showClips() {
  const labelled = ready().filter((card) => card.clip.emotion !== null);
  $("adapt").textContent = labelled.length ? `Adapt with ${count(labelled.length, "labelled clip")}` : "Adapt again";
  $("adapt").disabled = !labelled.length || adapting;
  $("labelled").hidden = labelled.length > 0 || page.n_learned > 0;
  $("empty").hidden = cards.size > 0;
  $("reach").classList.toggle("on", cards.size > 0);
  const nobodys = unnamed().length;
  $("unnamed").hidden = nobodys === 0;
  $("unnamed").firstElementChild.textContent = `Who speaks in ${count(nobodys, page.model.by_speaker ? "clip" : "labelled clip")} is not known. `
    + (page.model.by_speaker ? "This model tells voices apart: name the speakers." : "With the names, the score is for voices that were not heard.");
  const names = new Set([...page.model.speakers, ...ready().map((card) => card.clip.speaker)].filter(Boolean));
  $("speakers").replaceChildren(...[...names].sort().map((name) => element("option", {value: name})));
  showSelected();
}

function showSelected() {
  const all = ready();
  const some = all.filter((card) => card.selected);
  $("many").hidden = all.length < 2;
  $("many").classList.toggle("on", some.length > 0);
  $("all").checked = all.length > 0 && some.length === all.length;
  $("all").indeterminate = some.length > 0 && some.length < all.length;
  $("selected").textContent = some.length ? `${some.length} of ${all.length} selected` : "Select all";
  for (const input of $("many").querySelectorAll("fieldset, input[type=text], button")) input.disabled = !some.length;
}

function select(card, event) {
  const so = card.box.checked;
  const shown = [...$("clips").children].map((root) => ready().find((one) => one.root === root)).filter(Boolean);
  const [from, to] = [shown.indexOf(last), shown.indexOf(card)].sort((a, b) => a - b);
  for (const one of event.shiftKey && from >= 0 ? shown.slice(from, to + 1) : [card]) one.selected = so;
  last = card;
  showSelected();
}

function selectThese(these) {
  for (const card of ready()) card.selected = these.includes(card);
  showSelected();
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

const isRecording = (file) => file.type.startsWith("audio/") || file.type.startsWith("video/")
  || limits.suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));

/** Files as [file, path, place], see folders.js. What else is in a folder is passed over, and what there is no room for. */
function add(files) {
  const wanted = files.filter(([file, path]) => !path.includes("/") || (isRecording(file) && !file.name.startsWith(".")));
  const taken = wanted.slice(0, Math.max(limits.clips - cards.size, wanted.length === 1 ? 1 : 0));
  const others = files.length - wanted.length;
  const more = wanted.length - taken.length;
  $("passed").textContent = [
    others ? `${count(others, "file")} that ${others === 1 ? "is no recording was" : "are no recordings were"} passed over.` : "",
    more ? `${count(more, "recording")} left out: this page holds ${limits.clips} (--max_clips allows more).` : "",
  ].join(" ").trim();
  const speaker = $("speaker").value.trim();
  const made = taken.map(([file, path, place]) => {
    const card = new Card(path.slice(path.lastIndexOf("/") + 1), file, may);
    card.query = {name: path, place, speaker};
    return card;
  });
  for (const card of made) {
    cards.add(card);
    waiting.push(card);
  }
  $("clips").prepend(...made.map((card) => card.root));
  showClips();
  upload();
}

function upload() {
  while (uploading < UPLOADS && waiting.length) {
    const card = waiting.shift();
    uploading += 1;
    send(card).finally(() => {
      uploading -= 1;
      upload();
      // What is heard in a voice's other clips is another thing now.
      if (!uploading && page.model.by_speaker) refresh().catch(trouble);
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
    const path = `/api/clips?${new URLSearchParams(card.query)}`;
    const clip = await (await ask("POST", path, {body: card.sound})).json();
    if (!cards.has(card)) {
      await ask("DELETE", "/api/clips", {json: {clips: [clip.id]}});
      return;
    }
    card.show(clip, page.model.emotions);
  } catch (error) {
    trouble(error);
    card.failed(error.message);
  }
  showClips();
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

async function remove(these) {
  const next = these.at(-1).root.nextElementSibling ?? these[0].root.previousElementSibling;
  for (const card of these) {
    cards.delete(card);
    const place = waiting.indexOf(card);
    if (place >= 0) waiting.splice(place, 1);
    card.close();
  }
  (next?.querySelector(".remove") ?? $("files")).focus();
  showClips();
  const known = these.filter((card) => card.clip);
  await about(known, {}, (json) => ask("DELETE", "/api/clips", {json})).catch(trouble);
  if (known.length && page.model.by_speaker) await refresh().catch(trouble);
}

/** Asks once for every so many cards; the answers, in order. */
async function about(these, said, asking) {
  const answers = [];
  for (let from = 0; from < these.length; from += NAMED) {
    answers.push(await asking({clips: these.slice(from, from + NAMED).map((card) => card.clip.id), ...said}));
  }
  return answers;
}

/** Tells the server what these clips are: {emotion} or {speaker}. */
async function correct(these, said) {
  try {
    for (const answer of await about(these, said, (json) => ask("PUT", "/api/clips", {json}))) showTold((await answer.json()).clips);
    if ("speaker" in said && page.model.by_speaker) await refresh();
  } catch (error) {
    if (!trouble(error)) these.forEach((card) => card.message(error.message));
  }
  showClips();
}

const may = {remove, correct, select};

function showTold(clips) {
  const told = new Map(clips.map((clip) => [clip.id, clip]));
  for (const card of ready()) {
    if (told.has(card.clip.id)) card.show(told.get(card.clip.id), page.model.emotions);
  }
}

/** What the server knows now. */
async function refresh() {
  page = await (await ask("GET", "/api/page")).json();
  showTold(page.clips);
  showVoices();
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
  add([[wavOf(samples, rate), `Recording ${recorded}.wav`, ""]]);
}

// Adapting

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function adapt() {
  complain("adapt-trouble", null);
  try {
    await ask("POST", "/api/adaptation");
    await watch();
  } catch (error) {
    complain("adapt-trouble", error);
  }
}

/** Shows an adaptation that runs until it ends. */
async function watch() {
  adapting = true;
  $("result").hidden = true;
  showClips();
  showModel();
  try {
    for (;;) {
      const now = await (await ask("GET", "/api/adaptation")).json();
      if (now.state === "failed") throw new Error(now.said);
      if (now.state !== "running") break;
      showProgress(now);
      await pause(POLL);
    }
    await refresh();
    showResult();
  } catch (error) {
    complain("adapt-trouble", error);
  }
  adapting = false;
  $("running").hidden = true;
  showClips();
  showModel();
  // On a phone the button is in reach, and what it brought may be far up.
  ($("result").hidden ? $("adapt-trouble") : $("result")).scrollIntoView({block: "nearest"});
}

function showProgress(now) {
  $("running").hidden = false;
  if (now.of) {
    $("progress").max = now.of;
    $("progress").value = now.done;
  } else {
    $("progress").removeAttribute("value");
  }
  $("said").textContent = now.said;
  $("running-seconds").textContent = `, ${Math.round(now.seconds)} s`;
}

async function stopAdapting() {
  try {
    showProgress(await (await ask("POST", "/api/adaptation/stop")).json());
  } catch (error) {
    complain("adapt-trouble", error);
  }
}

function showResult() {
  if (page.adaptation.state === "stopped") {
    $("result").replaceChildren(element("p", {}, page.adaptation.said));
  } else if (page.n_learned) {
    $("result").replaceChildren(...change(page.model.score), ...others());
  }
  $("result").hidden = !(page.n_learned || page.adaptation.state === "stopped");
}

/** What the page's clips brought: of the same clips, in the same parts, without and with learning from them. */
function change(score) {
  if (!score) return [element("p", {}, "Not scored: too few clips for a cross-validation.")];
  if (!score.before) return [element("p", {}, `Macro F1 ${two(score.macro_f1)}. What the model as loaded scores on the same clips is not known.`)];
  const {macro_f1: before, difference, interval, proved} = score.before;
  const signed = (number) => `${number < 0 ? "−" : "+"}${two(Math.abs(number))}`;
  return [
    element("p", {class: "change"}, `${two(before)} → ${two(score.macro_f1)}`),
    element("p", {}, `${signed(difference)}, ${proved ? "more than chance" : "which may be chance"}`
      + (interval ? ` (95 % interval ${interval.map(signed).join(" to ")}).` : ".")),
    element("p", {class: "quiet small"}, `Macro F1 without and with the clips of this page, each time on the same ${count(score.n, "clip")}, which were not learned from when they were predicted.`),
  ];
}

function others() {
  const seen = page.clips.filter((clip) => clip.loaded !== null && !clip.learned);
  const changed = seen.filter((clip) => clip.loaded.label !== clip.label).length;
  const so = {0: "none is", 1: "1 is"}[changed] ?? `${changed} are`;
  const lines = [];
  if (seen.length) {
    lines.push(element("p", {}, `Of ${count(seen.length, "clip")} that it has not learned from, ${so} heard as another emotion now.`));
  }
  lines.push(element("p", {class: "quiet small"}, "That those fit that were learned from proves nothing."));
  return lines;
}

async function goBack() {
  complain("adapt-trouble", null);
  try {
    page = await (await ask("DELETE", "/api/adaptation")).json();
    $("result").hidden = true;
    showTold(page.clips);
    showVoices();
  } catch (error) {
    complain("adapt-trouble", error);
  }
  showClips();
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
    page.unsaved = false;
  } catch (error) {
    complain("adapt-trouble", error);
  }
  showModel();
}

function listen() {
  $("record").addEventListener("click", record);
  $("together-on").addEventListener("change", chooseTogether);
  $("adapt").addEventListener("click", adapt);
  $("back").addEventListener("click", goBack);
  $("download").addEventListener("click", download);
  $("stop").addEventListener("click", stopAdapting);
  for (const input of [$("files"), $("folder")]) {
    input.addEventListener("change", () => {
      add(chosen(input.files));
      input.value = "";
    });
  }
  $("all").addEventListener("change", () => selectThese($("all").checked ? ready() : []));
  $("select-unnamed").addEventListener("click", () => {
    selectThese(unnamed());
    $("many-speaker").focus();
  });
  $("many-speaker").addEventListener("change", async () => {
    await correct(selected(), {speaker: $("many-speaker").value});
    $("many-speaker").value = "";
  });
  $("many-remove").addEventListener("click", () => remove(selected()));
  $("many-emotions").append(...page.model.emotions.map((emotion) => element("button",
    {type: "button", "data-emotion": emotion, onclick: () => correct(selected(), {emotion})}, emotion)),
  element("button", {type: "button", class: "link", onclick: () => correct(selected(), {emotion: null})}, "undo"));
  // Anywhere on the page: a file that misses the place would replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    try {
      add(await dropped(event.dataTransfer));
    } catch {
      $("passed").textContent = "This browser may not read all that is in the folder. Choose its files instead.";
    }
  });
  // What a reload would lose, and an adapted model that goes with the tab.
  addEventListener("beforeunload", (event) => {
    if (leaving) return;
    if (page.unsaved || recording !== null || uploading) event.preventDefault();
  });
}

/** Cards of the clips that were here before a reload, the newest first. */
function showAgain() {
  for (const clip of page.clips) {
    const card = new Card(clip.name, null, may);
    cards.add(card);
    card.show(clip, page.model.emotions);
    $("clips").prepend(card.root);
    recorded = Math.max(recorded, Number(/^Recording (\d+)\.wav$/.exec(clip.name)?.[1] ?? 0));
  }
}

async function start() {
  $("reload").addEventListener("click", () => {
    leaving = true;
    forget();
    location.reload();
  });
  try {
    page = await open();
    $("lost").hidden = !page.lost;
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble").firstElementChild.textContent = error.message;
    return;
  }
  limits = page.limits;
  showAgain();
  listen();
  showModel();
  showVoices();
  showClips();
  if (page.adaptation.state === "running") await watch();
  else showResult();
}

start();
