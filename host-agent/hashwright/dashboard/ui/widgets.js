// Small pieces that all sections use: state words, meters, fields, dialogs.
import { html, names, useEffect, useRef, useState } from "./lib.js";

const KINDS = {
  good: ["mining", "active", "running", "armed", "granted", "on", "accepted", "normal", "ok", "watching", "keeping", "strong"],
  busy: ["starting", "checking", "powering", "powering-up", "opening", "ramping", "verifying", "identifying", "connecting", "handshake", "returning", "winding-down", "stopping", "leaving", "moving", "measuring"],
  warn: ["waiting for a pool", "degraded", "retrying", "stale", "warning", "paused", "waiting", "weak"],
  bad: ["held", "latched", "failed", "refused", "rejected", "fault", "critical", "cooling-down", "error", "silent"],
};

/** good, busy, warn, bad or calm, for a word of the miner. */
export function kindOf(word) {
  return Object.keys(KINDS).find((kind) => KINDS[kind].includes(word)) ?? "calm";
}

/** A state word with its colour. */
export const Pill = ({ word, kind, title }) =>
  html`<span class=${names("pill", kind ?? kindOf(word))} title=${title}>${word}</span>`;

/** A bar from 0 to `max`, with marks; also read by screen readers. */
export function Meter({ value, max, min = 0, marks = [], kind = "good", label, text }) {
  const share = (at) => `${Math.max(0, Math.min(1, (at - min) / (max - min))) * 100}%`;
  const known = typeof value === "number";
  return html`<div class="meter" role="meter" aria-label=${label} aria-valuemin=${min} aria-valuemax=${max}
      aria-valuenow=${known ? value : min} aria-valuetext=${text}>
    <div class=${names("fill", kind)} style=${{ width: known ? share(value) : "0%" }}></div>
    ${marks.filter((mark) => mark.at > min && mark.at <= max).map((mark) =>
      html`<i key=${mark.name} class=${names("mark", mark.kind)} style=${{ left: share(mark.at) }} title=${mark.name}></i>`)}
  </div>`;
}

/** A figure with its name. */
export const Tile = ({ name, value, note, kind, children }) =>
  html`<div class=${names("tile", kind)}><dt>${name}</dt><dd><b>${value}</b>${note && html`<small>${note}</small>`}${children}</dd></div>`;

/** Name and value in a list of facts. */
export const Fact = ({ name, children, kind }) =>
  html`<div class=${names("fact", kind)}><dt>${name}</dt><dd>${children}</dd></div>`;

/** One of several, as buttons side by side. */
export const Choice = ({ label, value, options, onChange }) =>
  html`<div class="choice" role="group" aria-label=${label}>${options.map(([key, text]) =>
    html`<button key=${key} type="button" aria-pressed=${value === key} onClick=${() => onChange(key)}>${text}</button>`)}</div>`;

/** A labelled input. `onInput` gets the text. */
export function Field({ label, hint, value, onInput, children, ...rest }) {
  return html`<label class="field"><span>${label}</span>
    ${children ?? html`<input value=${value} onInput=${(event) => onInput(event.currentTarget.value)} ...${rest} />`}
    ${hint && html`<small>${hint}</small>`}</label>`;
}

/** A number between limits, by slider and by key. */
export function Dial({ label, value, min, max, step = 1, unit, onInput, hint }) {
  const number = (event) => event.currentTarget.value === "" || onInput(Number(event.currentTarget.value));
  return html`<div class="field dial"><label><span>${label}</span>
    <input type="number" inputmode="decimal" value=${value} min=${min} max=${max} step=${step} onInput=${number} /><em>${unit}</em></label>
    <input type="range" aria-label=${`${label}, ${unit}`} value=${value} min=${min} max=${max} step=${step} onInput=${number} />
    <small>${hint ?? `${min} to ${max} ${unit}`}</small></div>`;
}

/** A window over the page, closed by Escape, by its button or by `onClose`. */
export function Dialog({ title, onClose, children, fixed }) {
  const element = useRef();
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    if (!fixed) onClose();
  };
  return html`<dialog ref=${element} onCancel=${cancel} aria-label=${title}>
    <header><h2>${title}</h2>${!fixed && html`<button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button>`}</header>
    ${children}</dialog>`;
}

/** A button that is busy while its promise runs. */
export function Button({ onClick, children, class: name, ...rest }) {
  const [busy, setBusy] = useState(false);
  const here = useRef(true);
  useEffect(() => () => (here.current = false), []);
  const run = async () => {
    setBusy(true);
    try {
      await onClick();
    } finally {
      if (here.current) setBusy(false);
    }
  };
  return html`<button type="button" class=${name} ...${rest} disabled=${rest.disabled || busy} onClick=${run}>${children}</button>`;
}

/** Seconds that go by while something is shown. */
export function useTick(ms = 1000) {
  const [, draw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => draw((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** A part of the page with a heading that links and screen readers find. */
export const Section = ({ id, title, aside, children, class: name }) =>
  html`<section id=${id} class=${name} aria-labelledby=${`${id}-title`}>
    <header class="head"><h2 id=${`${id}-title`}>${title}</h2>${aside}</header>${children}</section>`;
