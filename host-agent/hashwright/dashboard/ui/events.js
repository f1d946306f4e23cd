// What happened: events with what to do about them, shares as their pools answer, and the log.
import { html, useEffect, useRef, useState } from "./lib.js";
import { Choice, Pill, Section } from "./widgets.js";
import { may, subscribe, words } from "./store.js";
import { clock, short, unit } from "./format.js";

const SEVERITIES = ["info", "warning", "fault", "critical"];
const SHOWN_EVENTS = 100;
const SHOWN_SHARES = 40;
const KEPT_LINES = 500;

export function Events({ events }) {
  const [from, setFrom] = useState("info");
  const [most, setMost] = useState(12);
  const wanted = events.filter((entry) => SEVERITIES.indexOf(entry.severity) >= SEVERITIES.indexOf(from)).reverse();
  const aside = html`<${Choice} label="Events to show" value=${from} options=${[["info", "All"], ["warning", "Warnings"], ["fault", "Faults"]]} onChange=${setFrom} />`;
  return html`<${Section} id="events" title="Events" aside=${aside}><div class="panel">
    ${wanted.length === 0 && html`<p class="muted">${from === "info" ? "Nothing has happened yet." : "Nothing of this kind has happened."}</p>`}
    <ol class="events">${wanted.slice(0, most).map((entry) => html`<li key=${entry.number} class=${entry.severity}>
      <time>${clock(entry.unix_s)}</time><${Pill} word=${entry.severity} />
      <div><p><b>${entry.code}</b>${entry.count > 1 && html` <span class="times" title="in a row">× ${entry.count}</span>`}${entry.boards.length > 0 && html` <span class="muted">board ${entry.boards.join(", ")}</span>`}</p>
        <p>${entry.text}</p>${entry.advice && html`<p class="advice">${entry.advice}</p>`}</div></li>`)}</ol>
    ${wanted.length > most && most < SHOWN_EVENTS && html`<button type="button" onClick=${() => setMost(SHOWN_EVENTS)}>Show older ones</button>`}
  </div><//>`;
}

export function Shares({ shares, many }) {
  const newest = shares.slice(-SHOWN_SHARES).reverse();
  return html`<${Section} id="shares" title="Shares"><div class="panel scroll tall" tabindex="0" aria-label="The last shares">
    ${newest.length === 0 ? html`<p class="muted">None yet. A share is a hash that is good enough for the pool.</p>` : html`<table class="shares"><thead><tr><th scope="col">Time</th><th scope="col">Answer</th><th scope="col" class="number">Difficulty</th><th scope="col">Found by</th>${many && html`<th scope="col">Pool</th>`}<th scope="col" class="number">After</th></tr></thead>
    <tbody>${newest.map((share) => html`<tr key=${share.number}><td><time>${clock(share.unix_s)}</time></td>
      <td><${Pill} word=${share.result} />${share.reason && html` <span class="small">${share.reason}</span>`}</td>
      <td class="number">${short(share.hash_difficulty ?? share.difficulty)}</td><td>${share.board === null ? "" : `board ${share.board}`}${share.chip === null ? "" : `, chip ${share.chip}`}</td>
      ${many && html`<td>${share.pool}</td>`}<td class="number">${unit(share.latency_ms, "ms", 0)}</td></tr>`)}</tbody></table>`}</div><//>`;
}

export function Log() {
  const [open, setOpen] = useState(false);
  if (!may("log.subscribe")) return null;
  return html`<details class="panel log" onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>Log</summary>${open && html`<${Lines} />`}</details>`;
}

function Lines() {
  const [level, setLevel] = useState("info");
  const [lines, setLines] = useState([]);
  const [problem, setProblem] = useState(null);
  const box = useRef();
  const follows = useRef(true);
  useEffect(() => {
    let end;
    let here = true;
    setLines([]);
    subscribe("log.subscribe", { level }, ({ lines: fresh, missed }) => here && setLines((old) => [...old, ...(missed ? [{ number: `missed ${fresh[0]?.number}`, text: `${missed} lines were left out`, level: "warn", target: "" }] : []), ...fresh].slice(-KEPT_LINES)))
      .then((stop) => (here ? (end = stop) : stop()), (error) => here && setProblem(words(error)));
    return () => {
      here = false;
      end?.();
    };
  }, [level]);
  useEffect(() => {
    if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const scrolled = ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => (follows.current = scrollTop + clientHeight > scrollHeight - 24);
  return html`<${Choice} label="Lines to show" value=${level} options=${[["debug", "Debug"], ["info", "Info"], ["warn", "Warnings"], ["error", "Errors"]]} onChange=${setLevel} />
    ${problem && html`<p class="alert warn">${problem}</p>`}
    <div class="lines" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-live="off" aria-label="Lines of the log">${lines.map((line) => html`<div key=${line.number} class=${line.level}><time>${clock(line.unix_s)}</time> <b>${line.level}</b> <span class="muted">${line.target}</span> ${line.text}</div>`)}</div>`;
}
