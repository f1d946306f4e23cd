// The boards: what each does, how that compares with what it should, why not, and the set points.
import { html, useState } from "./lib.js";
import { Dial, Dialog, Fact, Field, Meter, Pill, Section } from "./widgets.js";
import { review } from "./change.js";
import { call, constraint, may, toast, words } from "./store.js";
import { heat } from "./overview.js";
import { tunerOf } from "./tuner.js";
import { NONE, duration, percent, rate, rateParts, unit, whole } from "./format.js";

export const Boards = ({ miner }) => html`<${Section} id="boards" title=${miner.boards.length === 1 ? "Board" : "Boards"}>
  <div class="cards">${miner.boards.map((board) => html`<${Board} key=${board.index} board=${board} station=${miner.stations[board.station ?? -1]} tuned=${tunerOf(miner, board.index) !== undefined} />`)}</div><//>`;

function Board({ board, station, tuned }) {
  const [asks, setAsks] = useState(null);
  const { hps, sigma_hps: sigma } = board.hashrate.m1;
  const share = board.expected_hps > 0 ? hps / board.expected_hps : null;
  const [value, spread, name] = rateParts(hps, sigma);
  const { guard, reasons = [], cooling, set_points: points } = station?.status ?? {};
  const fault = guard?.fault;
  const all = board.nonces.valid + board.nonces.hardware_errors;
  return html`<article class="panel card" aria-label=${`Board ${board.index}, ${board.model}`}>
    <header>
      <div><h3>${board.model}</h3><p class="muted">board ${board.index} · ${board.chips_found === board.chips_expected ? board.chips_found : `${board.chips_found} of ${board.chips_expected}`} × ${board.chip}</p></div>
      <div class="pills">${board.simulated && html`<${Pill} word="simulated" kind="sim" title="This board only exists in software" />`}<${Pill} word=${board.state} /></div>
    </header>
    <p class="rate"><b>${value}</b> ${name} <span class="muted">${spread !== null && `± ${spread}`}</span></p>
    <${Meter} label="Hashrate against expectation" value=${hps} max=${Math.max(board.expected_hps * 1.1, 1)} text=${percent(share)}
      kind=${share === null || share > 0.9 ? "good" : share > 0.6 ? "warn" : "bad"} marks=${[{ at: board.expected_hps, name: "expected", kind: "calm" }]} />
    <p class="muted small">${share === null ? "no chip runs" : `${percent(share)} of ${rate(board.expected_hps)} expected`}</p>
    ${board.problem && !(fault && board.problem.startsWith(fault.code)) && html`<p class="alert warn">${board.problem}</p>`}
    ${fault && html`<div class=${`alert ${fault.latched || !guard.power ? "bad" : "warn"}`} role="alert">
      <p><b>${fault.code}</b> ${fault.latched ? "– latched" : ""} · ${duration(fault.age_s)} ago</p><p>${fault.what}</p><p>${fault.advice}</p>
      ${guard.retry_in_s !== null && html`<p>The guard tries again in ${duration(guard.retry_in_s)}.</p>`}
      ${fault.latched && may("board.clear_fault") && html`<button type="button" onClick=${() => setAsks("clear")}>Clear this fault …</button>`}</div>`}
    ${reasons.length > 0 && html`<ul class="reasons" aria-label="Why the board is not at what is wanted">${reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>`}
    <dl class="facts">
      <${Fact} name="Clock">${unit(board.frequency_mhz, "MHz", 0)}${board.target_mhz !== board.frequency_mhz && board.target_mhz > 0 && html` <span class="muted">→ ${unit(board.target_mhz, "MHz", 0)}</span>`}<//>
      <${Fact} name="Voltage">${unit(points?.actual_mv, "mV", 0)}<//>
      <${Fact} name="Temperature">${unit(board.temperature_c, "°C")}
        ${cooling && cooling.temperature_c !== null && html`<${Meter} label="Temperature" min=${20} max=${cooling.limit_c} value=${board.temperature_c} text=${unit(board.temperature_c, "°C")} kind=${heat(cooling)}
          marks=${[{ at: cooling.target_c, name: "target", kind: "calm" }, { at: cooling.hot_c, name: "throttled from here", kind: "warn" }]} />`}<//>
      <${Fact} name="Power">${unit(board.power_w, "W")}<//>
      <${Fact} name="Fans">${board.fan_percent === null ? NONE : unit(board.fan_percent, "%", 0)}<//>
      <${Fact} name="Hardware errors">${percent(all ? board.nonces.hardware_errors / all : 0, 2)} <span class="muted">(${whole(board.nonces.hardware_errors)})</span><//>
      <${Fact} name="Guard">${guard ? html`<${Pill} word=${guard.state} kind=${guard.power ? "good" : fault ? "bad" : "calm"} /> <span class="muted">on the ${guard.location === "board" ? "board" : "agent"}</span>` : "none"}<//>
      <${Fact} name="Restarts">${whole(board.restarts)}<//>
    </dl>
    <details class="more"><summary>More of this board</summary><dl class="facts">
      <${Fact} name="Profile">${board.profile}<//><${Fact} name="Port">${board.uart}<//><${Fact} name="Control">${board.control}<//>
      <${Fact} name="Shares">${whole(board.nonces.shares)}<//><${Fact} name="Nonces">${whole(board.nonces.valid)}<//><${Fact} name="Stale nonces">${whole(board.nonces.stale)}<//>
      <${Fact} name="Duplicates">${whole(board.nonces.duplicates)}<//><${Fact} name="Shares lost">${whole(board.shares_lost)}<//><${Fact} name="Jobs sent">${whole(board.jobs_sent)}<//>
      <${Fact} name="Bad frames">${whole(board.crc_errors)}<//><${Fact} name="Bytes dropped">${whole(board.dropped_bytes)}<//>
      ${board.scale_bits > 0 && html`<${Fact} name="Work scaled by">2<sup>−${board.scale_bits}</sup><//>`}
    </dl></details>
    ${may("board.set") && html`<footer><button type="button" onClick=${() => setAsks("set")}>Clock and voltage …</button>
      <button type="button" onClick=${() => toggle(board)}>${isOff(board) ? "Switch on …" : "Switch off …"}</button></footer>`}
    ${asks === "set" && html`<${SetPoint} board=${board} wanted=${points?.wanted} tuned=${tuned} onClose=${() => setAsks(null)} />`}
    ${asks === "clear" && html`<${Clear} board=${board} fault=${fault} onClose=${() => setAsks(null)} />`}
  </article>`;
}

const isOff = (board) => board.state === "disabled";

function toggle(board) {
  const enabled = isOff(board);
  review({
    title: `Switch board ${board.index} ${enabled ? "on" : "off"}`, method: "board.set", params: { board: board.index, enabled },
    text: enabled ? "The board is checked, powered and mines again." : "The board's chain is wound down, and its power is taken.",
    action: enabled ? "Switch on" : "Switch off", danger: !enabled,
  });
}

function SetPoint({ board, wanted, tuned, onClose }) {
  const mhz = constraint(`board[${board.index}].frequency_mhz`);
  const mv = constraint(`board[${board.index}].voltage_mv`);
  const [clock, setClock] = useState(Math.round(wanted?.mhz ?? board.target_mhz));
  const [voltage, setVoltage] = useState(wanted?.mv ?? mv?.default ?? 0);
  const submit = (event) => {
    event.preventDefault();
    const params = { board: board.index, ...(mhz && { frequency_mhz: clock }), ...(mv && { voltage_mv: voltage }) };
    onClose();
    review({ title: `Set board ${board.index}`, method: "board.set", params, text: "Heat and the guard may still hold it below this." });
  };
  if (tuned) {
    return html`<${Dialog} title=${`Board ${board.index}: clock and voltage`} onClose=${onClose}><p>The tuner sets them for this board. Give it another aim, or switch it off first.</p>
      <footer><button type="button" onClick=${onClose}>Close</button></footer><//>`;
  }
  return html`<${Dialog} title=${`Board ${board.index}: clock and voltage`} onClose=${onClose}><form onSubmit=${submit}>
    ${mhz && html`<${Dial} label="Clock" unit="MHz" value=${clock} min=${mhz.min} max=${mhz.max} onInput=${setClock} hint=${`${mhz.min} to ${mhz.max} MHz; the profile says ${mhz.default}`} />`}
    ${mv && html`<${Dial} label="Core voltage" unit="mV" value=${voltage} min=${mv.min} max=${mv.max} onInput=${setVoltage} hint=${`${mv.min} to ${mv.max} mV; the profile says ${mv.default}`} />`}
    ${!mhz && !mv && html`<p>The miner tells no limits for this board, so nothing can be set here.</p>`}
    <footer><button type="button" onClick=${onClose}>Cancel</button>${(mhz || mv) && html`<button class="primary">See what changes</button>`}</footer></form><//>`;
}

function Clear({ board, fault, onClose }) {
  const [code, setCode] = useState("");
  const [error, setError] = useState(null);
  if (!fault) return html`<${Dialog} title="Clear a fault" onClose=${onClose}><p>There is no fault any more.</p><//>`;
  const submit = async (event) => {
    event.preventDefault();
    try {
      await call("board.clear_fault", { board: board.index, code });
      toast(`The fault ${code} is cleared; the board is checked and started.`);
      onClose();
    } catch (reason) {
      setError(words(reason));
    }
  };
  return html`<${Dialog} title=${`Clear the fault of board ${board.index}`} onClose=${onClose}><form onSubmit=${submit}>
    <p>${fault.what}</p><p><b>${fault.advice}</b></p>
    <p>If the cause is gone, type <code>${fault.code}</code>. The board is then checked and started as ever.</p>
    <${Field} label="Code of the fault" value=${code} onInput=${setCode} autocomplete="off" autocapitalize="none" spellcheck=${false} />
    ${error && html`<p class="alert bad" role="alert">${error}</p>`}
    <footer><button type="button" onClick=${onClose}>Cancel</button><button class="danger" disabled=${code.trim() !== fault.code}>Clear it</button></footer></form><//>`;
}
