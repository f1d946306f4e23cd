// Every chip as a cell, in the order of its chain, voltage domains together. Colour says how it does against
// expectation, how often it errs, or what the tuner makes of it; a cell in focus or under the pointer says everything,
// and one that is pressed why it is set so.
import { html, memo, useEffect, useMemo, useRef, useState } from "./lib.js";
import { Choice, Fact, Pill, Section } from "./widgets.js";
import { may, ponder, words } from "./store.js";
import { tunerOf } from "./tuner.js";
import { NONE, percent, rate, unit, whole } from "./format.js";

/** Steps of a scale that also differ in lightness; text on them is readable. From the worst to the best. */
const STEPS = 7;
/** A chip's rate is read against this spread among healthy chips: a few nonces are no reason to call one weak. */
const USUAL_SPREAD = 0.1;

/** What the colours can say: which chips it is known of, the names of both ends, the step of a chip, and its text. */
const VIEWS = {
  rate: { name: "Hashrate", ends: ["under 70 %", "as expected"], step: rateStep, text: (chip) => percent(share(chip)), said: "of expected" },
  errors: { name: "Hardware errors", ends: ["over 3 %", "none"], step: errorStep, text: (chip) => percent(errorShare(chip), 1), said: "hardware errors" },
  clock: { name: "Clock", has: (chips) => chips.some((chip, i) => chip.board === chips[i - 1]?.board && chip.frequency_mhz !== chips[i - 1].frequency_mhz), ends: ["slowest", "fastest"], step: clockStep, text: (chip) => unit(chip.frequency_mhz, "MHz", 0), said: "" },
  quality: { name: "Quality", has: (chips) => chips.some((chip) => chip.quality), ends: ["needs more voltage", "needs less"], step: qualityStep, text: (chip) => millivolts(chip.quality), said: "of threshold against the others" },
};
/** Chips whose thresholds differ by less are all alike, mV. */
const LEAST_SPREAD_MV = 3;

export function Chips({ miner }) {
  const [wanted, setView] = useState("rate");
  const boards = useMemo(() => {
    const byBoard = new Map();
    for (const chip of miner.chips) byBoard.set(chip.board, [...(byBoard.get(chip.board) ?? []), chip]);
    return [...byBoard];
  }, [miner.chips]);
  if (!boards.length) return null;
  const views = Object.entries(VIEWS).filter(([, { has }]) => !has || has(miner.chips));
  const view = views.some(([key]) => key === wanted) ? wanted : "rate";
  const aside = html`<${Choice} label="What the colours say" value=${view} options=${views.map(([key, { name }]) => [key, name])} onChange=${setView} />`;
  return html`<${Section} id="chips" title="Chips" aside=${aside}><div class="panel">
    ${boards.map(([board, chips]) => html`<${Chain} key=${board} name=${boards.length > 1 ? `Board ${board}, ${miner.boards[board]?.model ?? ""}` : null} board=${board} chips=${chips} view=${view} explains=${may("tuner.explain") && tunerOf(miner, board) !== undefined} />`)}
    <p class="legend"><span>${VIEWS[view].ends[0]}</span>${Array.from({ length: STEPS }, (_, i) => html`<i key=${i} class=${`s${i}`}></i>`)}<span>${VIEWS[view].ends[1]}</span><i class="none"></i><span>${["clock", "quality"].includes(view) ? "not known" : "not hashing, or too few nonces to say"}</span></p>
  </div><//>`;
}

function Chain({ name, board, chips, view, explains }) {
  const [at, setAt] = useState(0);
  const [shown, setShown] = useState(null);
  const [asked, setAsked] = useState(null);
  const grid = useRef();
  const domains = useMemo(() => {
    const list = [];
    for (const [i, chip] of chips.entries()) {
      if (list.at(-1)?.domain !== chip.domain) list.push({ domain: chip.domain, cells: [] });
      list.at(-1).cells.push([i, chip]);
    }
    return list;
  }, [chips]);
  const perDomain = Math.max(...domains.map(({ cells }) => cells.length));
  const size = chips.length <= 4 ? "large" : chips.length <= 24 ? "medium" : chips.length <= 130 ? "fit" : "small";
  const move = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perDomain, ArrowUp: -perDomain, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(chips.length - 1, at + by));
    setAt(next);
    grid.current.querySelector(`[data-i="${next}"]`)?.focus();
  };
  // One listener for all cells.
  const show = (event) => {
    const i = event.target.closest?.("[data-i]")?.dataset.i;
    if (i === undefined) return;
    setShown(Number(i));
    if (event.type !== "pointerover") setAt(Number(i));
    if (event.type === "click") setAsked(Number(i));
  };
  const all = useMemo(() => spreadOf(chips), [chips]);
  const chip = shown === null ? null : chips[shown];
  return html`<div class="map">
    ${name && html`<h3>${name}</h3>`}
    <div ref=${grid} class=${`domains ${size}`} role="group" aria-label=${`Chips of board ${board}; arrow keys go through them`} onKeyDown=${move}
      onPointerOver=${show} onFocusIn=${show} onClick=${show} onPointerLeave=${() => setShown(null)}>
      ${domains.map(({ domain, cells }) => html`<div key=${domain} class="domain" title=${`domain ${domain}`}>
        ${cells.map(([i, chip]) => html`<${Cell} key=${i} i=${i} chip=${chip} step=${VIEWS[view].step(chip, all)} size=${size} view=${view} stop=${i === at} />`)}</div>`)}
    </div>
    <p class="detail">${chip ? html`<b>chip ${chip.index}</b> domain ${chip.domain} · ${rate(chip.hashrate.hps)} ± ${rate(2 * chip.hashrate.sigma_hps)}, <b>${percent(share(chip))}</b> of ${rate(chip.expected_hps)} · ${unit(chip.frequency_mhz, "MHz", 0)} · ${whole(chip.nonces)} nonces, ${whole(chip.hardware_errors)} errors (${percent(errorShare(chip), 2)})${chip.quality && ` · threshold ${millivolts(chip.quality)} ± ${unit(2 * chip.quality.sd_mv, "mV")}, ${chip.quality.grade}`}` : `${summary(chips)}${explains ? ` Press ${chips.length === 1 ? "it" : "one"} to see why it is set so.` : ""}`}</p>
    ${explains && asked !== null && chips[asked] && html`<${Why} key=${asked} board=${board} chip=${chips[asked]} onClose=${() => setAsked(null)} />`}
  </div>`;
}

const Cell = memo(function Cell({ i, chip, step, size, view, stop }) {
  const text = VIEWS[view].text(chip);
  return html`<button type="button" data-i=${i} tabindex=${stop ? 0 : -1} class=${step === null ? "cell none" : `cell s${step}`}
    aria-label=${`chip ${chip.index} ${text} ${VIEWS[view].said}, domain ${chip.domain}, ${chip.hardware_errors} errors`}>${["small", "fit"].includes(size) ? null : html`<span>${chip.index}</span> <b>${text}</b>`}</button>`;
});

/** Why a chip sits where it sits, in the tuner's words. */
function Why({ board, chip, onClose }) {
  const [told, setTold] = useState({});
  useEffect(() => {
    let here = true;
    ponder("tuner.explain", { board, chip: chip.index }).then((reply) => here && setTold({ reply }), (error) => here && setTold({ note: words(error) }));
    return () => (here = false);
  }, [board, chip.index, chip.frequency_mhz]);
  const { reply, note } = told;
  const [offset, sd] = reply?.offset_mv ?? [];
  return html`<aside class="why" aria-label=${`Why chip ${chip.index} is set so`} aria-live="polite">
    <header><h4>Chip ${chip.index}</h4>${chip.quality && html`<${Pill} word=${chip.quality.grade} />`}<span class="room"></span><button type="button" class="quiet small" aria-label="Close the explanation" onClick=${onClose}>✕</button></header>
    ${note && html`<p class="alert warn">${note}</p>`}${!reply && !note && html`<p class="muted">Asking the miner …</p>`}
    ${reply && html`<p>${reply.words}</p><dl class="facts">
      <${Fact} name="Clock">${unit(reply.mhz, "MHz", 1)} <span class="muted">its board ${unit(reply.board_mhz, "MHz", 1)}</span><//>
      <${Fact} name="Threshold against the others">${millivolts({ offset_mv: offset })} <span class="muted">± ${unit(2 * sd, "mV")}</span><//>
      <${Fact} name="Voltage above its threshold">${unit(reply.margin, "spreads", 1)}<//>
      <${Fact} name="Work that is right">${percent(reply.delivered, 2)}<//></dl>`}
  </aside>`;
}

const share = (chip) => (chip.expected_hps > 0 ? chip.hashrate.hps / chip.expected_hps : null);

function errorShare({ nonces, hardware_errors: errors }) {
  return nonces + errors > 0 ? errors / (nonces + errors) : null;
}

/** How certain the estimate is decides how far it moves the colour away from "as expected". */
function rateStep(chip) {
  const found = share(chip);
  if (found === null) return null;
  const noise = chip.hashrate.sigma_hps / chip.expected_hps;
  const weight = 1 / (1 + (noise / USUAL_SPREAD) ** 2);
  // Too few nonces for any verdict; a chip that found none for long has a small noise, and is shown as bad.
  if (weight < 0.1) return null;
  const likely = 1 + (found - 1) * (found < 0.3 && noise < 0.35 ? 1 : weight);
  return Math.max(0, Math.min(STEPS - 1, Math.round(((likely - 0.7) / 0.3) * (STEPS - 1))));
}

function errorStep(chip) {
  const part = errorShare(chip);
  if (part === null || chip.nonces + chip.hardware_errors < 20) return null;
  return Math.max(0, STEPS - 1 - Math.ceil((part / 0.03) * (STEPS - 1) - 1e-9));
}

function spreadOf(chips) {
  const clocks = chips.map((chip) => chip.frequency_mhz).filter((mhz) => mhz > 0);
  const offsets = chips.filter((chip) => chip.quality).map((chip) => chip.quality.offset_mv);
  const mean = offsets.reduce((sum, mv) => sum + mv, 0) / (offsets.length || 1);
  const variance = offsets.reduce((sum, mv) => sum + (mv - mean) ** 2, 0) / (offsets.length || 1);
  return { slowest: Math.min(...clocks), fastest: Math.max(...clocks), spread_mv: Math.max(LEAST_SPREAD_MV, Math.sqrt(variance)) };
}

function clockStep({ frequency_mhz: mhz }, { slowest, fastest }) {
  if (!(mhz > 0)) return null;
  return fastest > slowest ? Math.round(((mhz - slowest) / (fastest - slowest)) * (STEPS - 1)) : STEPS >> 1;
}

/** Two spreads are the ends; what is not known well stays in the middle. */
function qualityStep({ quality }, { spread_mv: spread }) {
  if (!quality) return null;
  if (quality.grade === "silent") return 0;
  const likely = (quality.offset_mv * spread ** 2) / (spread ** 2 + quality.sd_mv ** 2);
  const middle = (STEPS - 1) / 2;
  return Math.max(0, Math.min(STEPS - 1, Math.round(middle - (likely / (2 * spread)) * middle)));
}

const millivolts = (quality) => (quality ? `${quality.offset_mv > 0 ? "+" : quality.offset_mv < 0 ? "−" : ""}${unit(Math.abs(quality.offset_mv), "mV")}` : NONE);

function summary(chips) {
  const steps = chips.map(rateStep);
  const weak = steps.filter((step) => step !== null && step <= 2).length;
  const unknown = steps.filter((step) => step === null).length;
  if (chips.length === 1) return "";
  if (unknown === chips.length) return `${chips.length} chips; too few nonces yet to judge them.`;
  return `${chips.length} chips, ${weak || "none"} of them weak${unknown ? `, ${unknown} not judged yet` : ""}.`;
}
