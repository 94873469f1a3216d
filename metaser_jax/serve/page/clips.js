// The card of a clip.

import {clock, element, icon, lasting, percent, probabilities, waveform} from "/drawing.js";

const PLAY = "M4 2.5v11l9-5.5z";
const PAUSE = "M4 2.5h3v11H4zM9 2.5h3v11H9z";
const CROSS = "M3.3 2.2 8 6.9l4.7-4.7 1.1 1.1L9.1 8l4.7 4.7-1.1 1.1L8 9.1l-4.7 4.7-1.1-1.1L6.9 8 2.2 3.3z";
const LONG = 12;

let playing = null;

/**
 * A card for a file that is not read yet. The person may do with it: remove(card), correct([card], said) and
 * select(card, event). Without a sound, which no reload keeps, it cannot be played.
 */
export class Card {
  constructor(name, sound, may) {
    this.name = name;
    this.sound = sound;
    this.may = may;
    this.clip = null;
    this.audio = null;
    this.box = element("input", {type: "checkbox", class: "select", "aria-label": `Select ${name}`,
      onclick: (event) => may.select(this, event)});
    this.who = element("input", {type: "text", class: "who", "data-key": "speaker", list: "speakers", maxlength: 60,
      autocomplete: "off", spellcheck: "false", placeholder: "speaker?", "aria-label": `Speaker of ${name}`,
      onchange: () => may.correct([this], {speaker: this.who.value})});
    this.root = element("li", {class: "clip"});
    this.waiting("Waiting");
  }

  get selected() {
    return this.box.checked;
  }

  set selected(so) {
    this.box.checked = so;
    this.root.classList.toggle("selected", so);
  }

  head(...more) {
    const button = element("button", {type: "button", class: "remove", title: "Remove", "aria-label": `Remove ${this.name}`,
      onclick: () => this.may.remove([this])}, icon(CROSS));
    return element("div", {class: "clip-head"}, ...more, button);
  }

  title(about, speaker) {
    return element("div", {class: "clip-title"},
      element("div", {class: "clip-name", title: this.name}, this.name),
      about ? element("div", {class: "clip-about"}, element("span", {}, about), speaker) : null);
  }

  waiting(what) {
    this.root.replaceChildren(this.head(this.title()),
      element("p", {class: "busy", role: "status"}, what));
  }

  failed(message) {
    this.root.replaceChildren(this.head(this.title()),
      element("p", {class: "error", role: "alert"}, message));
  }

  /** Draws what the server said of the clip, if it is anything new; peaks are kept from the first time. */
  show(clip, emotions) {
    const told = JSON.stringify({...clip, peaks: null});
    if (told === this.told) return;
    this.told = told;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    // What is being typed stays.
    if (focused !== "speaker" || this.who.value === this.clip.speaker) this.who.value = clip.speaker;
    this.clip = {...clip, peaks: clip.peaks ?? this.clip?.peaks ?? []};
    this.root.classList.toggle("long", clip.seconds > LONG);
    const best = Math.max(...clip.probabilities);
    this.button = element("button", {type: "button", class: "play", "data-key": "play", "aria-label": `Play ${this.name}`,
      disabled: this.sound === null,
      title: this.sound === null ? "No sound is kept when the page is loaded again. Add the file again to hear it." : null,
      onclick: () => this.toggle()}, icon(this.isPlaying() ? PAUSE : PLAY));
    this.wave = waveform(this.clip);
    this.wave.addEventListener("click", (event) => {
      const box = this.wave.getBoundingClientRect();
      if (this.sound !== null) this.seek((event.clientX - box.left) / box.width);
    });
    this.root.replaceChildren(
      this.head(this.box, this.button, this.title(`${lasting(clip.seconds)}${of(clip)},`, this.who), heard(clip, best)),
      this.picture(emotions, best),
      ...this.notes().map((note) => element("p", {class: "note"}, note)),
      this.choice(emotions),
    );
    if (focused) this.root.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  /** What there is to know of the recording, and of its label. */
  notes() {
    const {notes, unknown, emotion} = this.clip;
    const folder = unknown && emotion === null ? [`Its folder says ${unknown}, which this model does not know.`] : [];
    return [...notes, ...folder];
  }

  picture(emotions, best) {
    const clip = this.clip;
    const rows = [element("span"), this.wave, element("span")];
    emotions.forEach((emotion, i) => {
      const kind = clip.probabilities[i] === best ? "first" : "";
      rows.push(element("span", {class: kind}, emotion), probabilities(clip, emotion, i),
        element("span", {class: `percent ${kind}`}, percent(clip.probabilities[i])));
    });
    if (clip.track.length > 1) {
      const tell = clip.seconds < 20 ? (seconds) => `${seconds.toFixed(1)} s` : clock;
      const times = [0, 0.25, 0.5, 0.75, 1].map((share) => element("span", {}, tell(share * clip.seconds)));
      rows.push(element("span"), element("div", {class: "axis", "aria-hidden": "true"}, ...times), element("span"));
    }
    return element("div", {class: "picture"}, ...rows);
  }

  choice(emotions) {
    const chosen = this.clip.emotion;
    const say = (emotion) => this.may.correct([this], {emotion});
    const choices = emotions.map((emotion) => element("label", {"data-emotion": emotion},
      element("input", {type: "radio", name: `emotion-${this.clip.id}`, value: emotion, "data-key": `is-${emotion}`,
        checked: emotion === chosen, onchange: () => say(emotion)}), emotion));
    const undo = chosen === null ? null
      : element("button", {type: "button", "data-key": "undo", onclick: () => say(null)}, "undo");
    return element("fieldset", {class: "choice"}, element("legend", {}, "It is"), ...choices, undo);
  }

  message(text) {
    this.root.querySelector(".error")?.remove();
    this.root.append(element("p", {class: "error", role: "alert"}, text));
  }

  isPlaying() {
    return this.audio !== null && !this.audio.paused;
  }

  player() {
    if (this.audio === null) {
      this.audio = new Audio(URL.createObjectURL(this.sound));
      const draw = () => {
        this.button?.replaceChildren(icon(this.isPlaying() ? PAUSE : PLAY));
        this.button?.setAttribute("aria-label", `${this.isPlaying() ? "Pause" : "Play"} ${this.name}`);
        this.wave?.move(this.audio.currentTime > 0 ? this.audio.currentTime / this.clip.seconds : null);
        if (this.isPlaying()) requestAnimationFrame(draw);
      };
      ["play", "pause", "seeked"].forEach((event) => this.audio.addEventListener(event, draw));
      this.audio.addEventListener("ended", () => this.wave?.move(null));
      this.audio.addEventListener("error", () => this.message("This browser cannot play this kind of file."));
    }
    return this.audio;
  }

  toggle() {
    const audio = this.player();
    if (!audio.paused) {
      audio.pause();
      return;
    }
    if (playing !== null && playing !== audio) playing.pause();
    playing = audio;
    // What cannot be played is said by the event "error".
    audio.play().catch(() => {});
  }

  seek(share) {
    this.player().currentTime = share * this.clip.seconds;
  }

  /** Lets the browser forget the sound. */
  close() {
    if (this.audio !== null) {
      this.audio.pause();
      URL.revokeObjectURL(this.audio.src);
    }
    this.root.remove();
  }
}

function of(clip) {
  const quiet = clip.track.filter((window) => window.silent).length;
  if (clip.track.length === 1) return "";
  return quiet ? `, ${clip.track.length} windows, ${quiet} silent (grey)` : `, ${clip.track.length} windows`;
}

function heard(clip, best) {
  const was = clip.loaded;
  const ticks = clip.track.length === 1 ? "ticks" : "";
  let change = null;
  if (was !== null) {
    const label = was.label === clip.label ? "" : `${was.label} `;
    change = element("div", {class: `was ${ticks}${label ? " changed" : ""}`}, `was ${label}${percent(Math.max(...was.probabilities))}`);
  }
  return element("div", {class: "heard"},
    element("div", {class: "heard-label", "data-emotion": clip.label}, `${clip.label} ${percent(best)}`), change,
    clip.learned ? element("div", {class: "was learned"}, "learned from") : null);
}
