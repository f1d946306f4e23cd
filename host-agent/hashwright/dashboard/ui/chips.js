// Every chip as a cell, in the order of its chain, voltage domains together. Colour says how it does against
// expectation or how often it errs; a cell in focus or under the pointer says everything.
import { html, memo, useMemo, useRef, useState } from "./lib.js";
import { Choice, Section } from "./widgets.js";
import { percent, rate, unit, whole } from "./format.js";

/** Steps of a scale that also differ in lightness; text on them is readable. From the worst to the best. */
const STEPS = 7;
/** A chip's rate is read against this spread among healthy chips: a few nonces are no reason to call one weak. */
const USUAL_SPREAD = 0.1;

const VIEWS = {
  rate: { name: "Hashrate", ends: ["under 70 %", "as expected"], step: rateStep },
  errors: { name: "Hardware errors", ends: ["over 3 %", "none"], step: errorStep },
};

export function Chips({ miner }) {
  const [view, setView] = useState("rate");
  const boards = useMemo(() => {
    const byBoard = new Map();
    for (const chip of miner.chips) byBoard.set(chip.board, [...(byBoard.get(chip.board) ?? []), chip]);
    return [...byBoard];
  }, [miner.chips]);
  if (!boards.length) return null;
  const aside = html`<${Choice} label="What the colours say" value=${view} options=${Object.entries(VIEWS).map(([key, { name }]) => [key, name])} onChange=${setView} />`;
  return html`<${Section} id="chips" title="Chips" aside=${aside}><div class="panel">
    ${boards.map(([board, chips]) => html`<${Chain} key=${board} name=${boards.length > 1 ? `Board ${board}, ${miner.boards[board]?.model ?? ""}` : null} board=${board} chips=${chips} view=${view} />`)}
    <p class="legend"><span>${VIEWS[view].ends[0]}</span>${Array.from({ length: STEPS }, (_, i) => html`<i key=${i} class=${`s${i}`}></i>`)}<span>${VIEWS[view].ends[1]}</span><i class="none"></i><span>not hashing, or too few nonces to say</span></p>
  </div><//>`;
}

function Chain({ name, board, chips, view }) {
  const [at, setAt] = useState(0);
  const [shown, setShown] = useState(null);
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
  };
  const chip = shown === null ? null : chips[shown];
  return html`<div class="map">
    ${name && html`<h3>${name}</h3>`}
    <div ref=${grid} class=${`domains ${size}`} role="group" aria-label=${`Chips of board ${board}; arrow keys go through them`} onKeyDown=${move}
      onPointerOver=${show} onFocusIn=${show} onClick=${show} onPointerLeave=${() => setShown(null)}>
      ${domains.map(({ domain, cells }) => html`<div key=${domain} class="domain" title=${`domain ${domain}`}>
        ${cells.map(([i, chip]) => html`<${Cell} key=${i} i=${i} chip=${chip} step=${VIEWS[view].step(chip)} size=${size} view=${view} stop=${i === at} />`)}</div>`)}
    </div>
    <p class="detail">${chip ? html`<b>chip ${chip.index}</b> domain ${chip.domain} · ${rate(chip.hashrate.hps)} ± ${rate(2 * chip.hashrate.sigma_hps)}, <b>${percent(share(chip))}</b> of ${rate(chip.expected_hps)} · ${unit(chip.frequency_mhz, "MHz", 0)} · ${whole(chip.nonces)} nonces, ${whole(chip.hardware_errors)} errors (${percent(errorShare(chip), 2)})` : summary(chips)}</p>
  </div>`;
}

const Cell = memo(function Cell({ i, chip, step, size, view, stop }) {
  const text = view === "rate" ? percent(share(chip)) : percent(errorShare(chip), 1);
  return html`<button type="button" data-i=${i} tabindex=${stop ? 0 : -1} class=${step === null ? "cell none" : `cell s${step}`}
    aria-label=${`chip ${chip.index} ${text} ${view === "rate" ? "of expected" : "hardware errors"}, domain ${chip.domain}, ${chip.hardware_errors} errors`}>${["small", "fit"].includes(size) ? null : html`<span>${chip.index}</span> <b>${text}</b>`}</button>`;
});

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

function summary(chips) {
  const steps = chips.map(rateStep);
  const weak = steps.filter((step) => step !== null && step <= 2).length;
  const unknown = steps.filter((step) => step === null).length;
  if (chips.length === 1) return "";
  if (unknown === chips.length) return `${chips.length} chips; too few nonces yet to judge them.`;
  return `${chips.length} chips, ${weak || "none"} of them weak${unknown ? `, ${unknown} not judged yet` : ""}.`;
}
