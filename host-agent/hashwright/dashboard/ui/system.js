// The machine and the program, and what concerns the whole of it.
import { html } from "./lib.js";
import { Fact, Section } from "./widgets.js";
import { Access } from "./access.js";
import { review } from "./change.js";
import { may, state } from "./store.js";
import { NONE, bytes, clock, duration } from "./format.js";

export const System = ({ miner: { system } }) => html`<${Section} id="system" title="System"><div class="cards">
  <div class="panel card"><header><h3>${system.name || system.hostname || "Agent"}</h3></header><dl class="facts">
    <${Fact} name="Hashwright">${system.version}<//><${Fact} name="Up for">${duration(system.uptime_s)}<//>
    <${Fact} name="Computer">${system.hostname || NONE}<//><${Fact} name="Addresses">${system.addresses?.join(", ") || NONE}<//>
    <${Fact} name="Memory">${bytes(system.resident_bytes)}<//><${Fact} name="Hashing checked by">${system.sha256d_backend}<//>
    <${Kept} /></dl>
    ${may("system.restart") && html`<footer><button type="button" onClick=${restart}>Restart the agent …</button></footer>`}
    <p class="small muted"><a href="ui/vendor/LICENCES.txt">Libraries in this page</a></p></div>
  <${Access} /></div><//>`;

const restart = () => review({
  title: "Restart the agent", method: "system.restart", params: {}, fleeting: true, action: "Restart", danger: true, done: "The agent restarts; this page comes back by itself.",
  text: "All boards are wound down, and the program starts anew with the config as it is then.",
});

/** What the history takes and how far back it goes. */
function Kept() {
  const { history: info } = state;
  if (!info) return null;
  const oldest = Math.min(...info.levels.map((level) => level.oldest ?? Infinity));
  return html`<${Fact} name="History">${info.enabled ? html`${Number.isFinite(oldest) ? `since ${clock(oldest, false)}` : "nothing yet"} <span class="muted">${info.file ? bytes(info.bytes) : "in memory only"}${info.problem ? `, ${info.problem}` : ""}</span>` : "off"}<//>`;
}
