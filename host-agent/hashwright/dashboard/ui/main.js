// The page: its head, what matters at once, and the sections in order. A section that the miner has nothing for is
// not there; another one is added to SECTIONS with the method that it needs.
import { html, names, render, useEffect, useState } from "./lib.js";
import { Pill, useTick } from "./widgets.js";
import { PendingBars, Review, review } from "./change.js";
import { may, retryNow, set, state, useStore } from "./store.js";
import { Overview, recall } from "./overview.js";
import { Boards } from "./boards.js";
import { Tuner } from "./tuner.js";
import { Chips } from "./chips.js";
import { Cooling } from "./cooling.js";
import { Pools } from "./pools.js";
import { Events, Log, Shares } from "./events.js";
import { SignIn } from "./access.js";
import { System } from "./system.js";
import { rate } from "./format.js";

/** [id, name, method that it needs, component] in the order of the page. */
const SECTIONS = [
  ["overview", "Overview", "telemetry.subscribe", Overview],
  ["boards", "Boards", "telemetry.subscribe", Boards],
  ["tuner", "Tuner", "tuner.status", Tuner],
  ["chips", "Chips", "telemetry.subscribe", Chips],
  ["cooling", "Cooling", "telemetry.subscribe", Cooling],
  ["pools", "Pools", "telemetry.subscribe", Pools],
  ["shares", "Shares", "shares.subscribe", ({ miner }) => html`<${Shares} shares=${state.shares} many=${miner.pools.length > 1} />`],
  ["events", "Events", "events.subscribe", () => html`<${Events} events=${state.events} />`],
  ["system", "System", "telemetry.subscribe", ({ miner }) => html`<${System} miner=${miner} /><${Log} />`],
];

function Page() {
  const { miner, line, me, auth, history } = useStore();
  const seen = line.name === "open" && me.role === null;
  const { state: word, hashrate } = miner?.miner ?? {};
  const title = miner ? `${word === "mining" ? rate(hashrate.m1.hps) : word} · ${miner.system.name || "Hashwright"}` : "Hashwright";
  useEffect(() => {
    document.title = title;
  }, [title]);
  const known = miner !== null;
  useEffect(() => {
    if (known) recall();
  }, [known, history?.enabled]);
  const sections = known ? SECTIONS.filter(([id, , method]) => may(method) && (id !== "chips" || miner.chips?.length) && (id !== "cooling" || miner.stations.length) && (id !== "tuner" || miner.tuner?.stations.length)) : [];
  return html`<a class="skip" href="#main">Skip to the content</a>
    <${Head} miner=${miner} name=${miner?.system.name || auth?.name} sections=${sections} />
    <main id="main" class=${names(known && line.name !== "open" && "stale")}>
      ${sections.map(([id, , , Part]) => html`<${Part} key=${id} miner=${miner} />`)}
      ${!known && !seen && html`<div class="empty"><${Mark} /><p>${line.name === "lost" ? "The miner does not answer." : "Asking the miner …"}</p></div>`}
    </main>
    <${Review} />
    ${(seen || state.signIn) && html`<${SignIn} key=${seen ? "first" : "more"} fixed=${seen} onClose=${() => set({ signIn: false })} />`}
    <div class="toasts" role="status">${state.toasts.map((one) => html`<p key=${one.id} class=${one.kind}>${one.text}</p>`)}</div>`;
}

function Head({ miner, name, sections }) {
  const { me, line } = state;
  const [here, setHere] = useState("overview");
  useEffect(() => {
    const seen = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && setHere(entry.target.id)), { rootMargin: "-30% 0px -65% 0px" });
    document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
    return () => seen.disconnect();
  }, [sections.length]);
  const paused = miner?.miner.paused;
  return html`<header class="top"><div class="row">
    <a class="brand" href="#overview"><${Mark} /><span><b>${name ?? "Hashwright"}</b>${name && html`<small>Hashwright</small>`}</span></a>
    ${miner && html`<${Pill} word=${miner.miner.state} />`}
    ${miner?.miner.simulated && html`<${Pill} word="simulated" kind="sim" title="Boards that only exist in software: nothing here earns anything" />`}
    <span class="room"></span>
    ${miner && may(paused ? "miner.resume" : "miner.pause") && html`<button type="button" class=${paused ? "primary" : ""} onClick=${paused ? resume : pause}>${paused ? "Resume" : "Pause"}</button>`}
    <button type="button" class="quiet who" onClick=${() => set({ signIn: true })} title=${me.role ? `You may ${me.role}. Sign in as another …` : "Sign in"}>${me.role ?? "sign in"}</button>
    <button type="button" class="quiet" aria-label="Switch between light and dark" title="Light or dark" onClick=${() => globalThis.switchTheme()}><svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><circle cx="10" cy="10" r="8" fill="none" stroke="currentColor" stroke-width="1.8" /><path d="M10 2a8 8 0 0 1 0 16z" fill="currentColor" /></svg></button>
  </div>
  ${sections.length > 0 && html`<nav aria-label="Sections"><div class="row">${sections.map(([id, title]) => html`<a key=${id} href=${`#${id}`} aria-current=${here === id ? "true" : undefined}>${title}</a>`)}</div></nav>`}
  <${Line} line=${line} known=${miner !== null} /><${PendingBars} /></header>`;
}

const pause = () => review({
  title: "Pause mining", method: "miner.pause", params: {}, fleeting: true, action: "Pause", done: "Mining is paused.",
  text: "All boards are wound down and lose their power until somebody resumes. A restart mines again.",
});
const resume = () => review({ title: "Resume mining", method: "miner.resume", params: {}, fleeting: true, action: "Resume", done: "Mining again.", text: "The boards are checked, powered and mine again." });

/** Shown as soon as what stands on the page may be old. */
function Line({ line, known }) {
  useTick(500);
  if (line.name === "open" || (line.name === "connecting" && !known)) return null;
  const wait = Math.max(0, Math.ceil((line.retryAt - Date.now()) / 1000));
  const old = known && state.heardAt ? ` What you see is ${Math.max(1, Math.round((Date.now() - state.heardAt) / 1000))} s old.` : "";
  const text = { quiet: "The miner has gone silent.", lost: `The connection to the miner is lost; next try in ${wait} s.`, connecting: "Connecting again …" }[line.name];
  return html`<div class="bar bad" role="alert"><p><b>${text}</b>${old}</p>${line.name === "lost" && html`<button type="button" onClick=${retryNow}>Try now</button>`}</div>`;
}

const Mark = () => html`<svg class="mark-svg" viewBox="0 0 32 32" aria-hidden="true"><path d="M16 2 28.1 9v14L16 30 3.9 23V9z" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linejoin="round" /><path d="M11 10v12M21 10v12M11 16h10" fill="none" stroke="currentColor" stroke-width="2.8" stroke-linecap="round" /></svg>`;

render(html`<${Page} />`, document.getElementById("app"));
