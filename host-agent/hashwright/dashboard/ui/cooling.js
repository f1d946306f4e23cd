// Power, heat and fans of what is switched together, and how it is cooled.
import { html, useState } from "./lib.js";
import { Choice, Dial, Dialog, Fact, Meter, Pill, Section } from "./widgets.js";
import { review } from "./change.js";
import { constraint, may } from "./store.js";
import { heat } from "./overview.js";
import { NONE, ago, percent, unit, whole } from "./format.js";

export const Cooling = ({ miner }) => miner.stations.length === 0 ? null : html`<${Section} id="cooling" title="Cooling and power">
  <div class="cards">${miner.stations.map((station) => html`<${Station} key=${station.index} station=${station} boards=${miner.boards} many=${miner.stations.length > 1} />`)}</div><//>`;

function Station({ station, boards, many }) {
  const [asks, setAsks] = useState(false);
  const { status } = station;
  const { cooling, fans, readings, guard } = status;
  const title = station.boards.map((index) => boards[index]?.model ?? `board ${index}`).join(", ");
  return html`<article class="panel card" aria-label=${`Cooling of ${title}`}>
    <header><div><h3>${title}</h3><p class="muted">${station.boards.length > 1 ? "boards" : "board"} ${station.boards.join(", ")} · ${station.control}</p></div>
      <div class="pills"><${Pill} word=${status.phase} /><${Pill} word=${cooling.mode.mode} kind=${cooling.mode.mode === "auto" ? "calm" : "warn"} title="How fans are run" /></div></header>
    <p class="rate"><b>${cooling.temperature_c === null ? NONE : cooling.temperature_c.toFixed(1)}</b> °C <span class="muted">${cooling.hottest ?? ""}</span></p>
    <${Meter} label="Temperature" min=${20} max=${cooling.limit_c} value=${cooling.temperature_c} text=${unit(cooling.temperature_c, "°C")} kind=${heat(cooling)}
      marks=${[{ at: cooling.target_c, name: "target", kind: "calm" }, { at: cooling.hot_c, name: "throttled from here", kind: "warn" }]} />
    <p class="muted small">target ${unit(cooling.target_c, "°C", 0)} · throttled from ${unit(cooling.hot_c, "°C", 0)} · power is cut at ${unit(cooling.limit_c, "°C", 0)}</p>
    ${cooling.throttle < 1 && html`<p class="alert warn">Heat allows ${percent(cooling.throttle)} of the wanted clock.</p>`}
    <p class="reason">${cooling.reason}</p>
    ${fans.length > 0 && html`<ul class="fans">${fans.map((fan) => html`<li key=${fan.name} class=${fan.trouble ? "bad" : ""}>
      <span>${fan.name}</span><${Meter} label=${`${fan.name} duty`} max=${100} value=${fan.duty_percent} text=${`${fan.duty_percent} %`} kind=${fan.trouble ? "bad" : "good"} marks=${[{ at: guard.fan_floor_percent, name: "lowest that the guard allows", kind: "calm" }]} />
      <span class="number">${fan.duty_percent} %</span><span class="number">${fan.rpm === null ? NONE : `${whole(fan.rpm)} rpm`}</span>
      ${fan.trouble && html`<em>${fan.trouble}</em>`}</li>`)}</ul>`}
    ${station.notes.map((note) => html`<p key=${note} class="alert warn">${note}</p>`)}
    <details class="more"><summary>All readings</summary><dl class="facts">${readings.map((reading, i) => html`<${Fact} key=${i} kind=${reading.trouble && "bad"} name=${reading.name}>
      ${reading.value === null ? NONE : unit(reading.value, reading.unit, ["mV", "rpm"].includes(reading.unit) ? 0 : 1)} <span class="muted">${reading.trouble ?? [reading.source !== "measured" && reading.source, reading.limit !== null && `limit ${unit(reading.limit, reading.unit, 0)}`, reading.age_s > 5 && ago(reading.age_s)].filter(Boolean).join(", ")}</span><//>`)}</dl></details>
    ${may("cooling.set") && html`<footer><button type="button" onClick=${() => setAsks(true)}>Change cooling …</button></footer>`}
    ${asks && html`<${Change} station=${station} many=${many} title=${title} onClose=${() => setAsks(false)} />`}
  </article>`;
}

function Change({ station, many, title, onClose }) {
  const { cooling, guard } = station.status;
  const [mode, setMode] = useState(cooling.mode.mode);
  const [percentage, setPercent] = useState(cooling.mode.percent ?? cooling.duty_percent);
  const [target, setTarget] = useState(cooling.target_c);
  const [liquid, setLiquid] = useState(false);
  const [all, setAll] = useState(false);
  const limits = constraint(`board[${station.boards[0]}].cooling.target_c`) ?? constraint("cooling.target_c");
  const submit = (event) => {
    event.preventDefault();
    onClose();
    review({
      title: all ? "Cooling of all boards" : `Cooling of ${title}`, method: "cooling.set",
      text: "The guard keeps its floor for the fans, and power is cut at the same temperature as ever.",
      params: { ...(!all && { board: station.boards[0] }), mode, ...(mode === "manual" && { percent: Math.round(percentage) }), ...(mode === "auto" && { target_c: target }), ...(mode === "immersion" && { confirm_immersion: liquid }) },
    });
  };
  return html`<${Dialog} title=${`Cooling of ${title}`} onClose=${onClose}><form onSubmit=${submit}>
    <${Choice} label="How fans are run" value=${mode} options=${[["auto", "Hold a temperature"], ["manual", "Fixed speed"], ["immersion", "In liquid"]]} onChange=${setMode} />
    ${mode === "auto" && html`<${Dial} label="Temperature to hold" unit="°C" value=${target} min=${limits?.min ?? 30} max=${Math.min(limits?.max ?? 100, Math.floor(cooling.hot_c - 1))} step=${0.5} onInput=${setTarget} />`}
    ${mode === "manual" && html`<${Dial} label="Fan duty" unit="%" value=${percentage} min=${0} max=${100} onInput=${setPercent} hint=${`the guard allows nothing below ${guard.fan_floor_percent} % now`} />`}
    ${mode === "immersion" && html`<p>There are no fans to watch in a liquid. Temperatures are watched as ever.</p>
      <label class="check"><input type="checkbox" checked=${liquid} onChange=${(event) => setLiquid(event.currentTarget.checked)} /> I have made sure that these boards are in liquid</label>`}
    ${many && html`<label class="check"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.currentTarget.checked)} /> The same for all boards</label>`}
    <footer><button type="button" onClick=${onClose}>Cancel</button><button class="primary" disabled=${mode === "immersion" && !liquid}>See what changes</button></footer></form><//>`;
}
