// The page against a miner that only exists in the browser: what it shows, what it must not do, and what it asks for.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { launch, open, strangers } from "./browser.mjs";
import { METHODS, Miner, ORIGIN, recorded, tuned, tunedAlone } from "./fake.mjs";

let browser, page, miner;
before(async () => (browser = await launch()));
after(() => browser.close());
afterEach(async () => {
  if (!page) return;
  assert.deepEqual(page.faults, []);
  assert.deepEqual(strangers(page, ORIGIN), []);
  await page.context().close();
  page = undefined;
});

async function show(state = recorded(), { role = "admin", options, prepare, expected } = {}) {
  page = await open(browser, options, expected);
  miner = new Miner(state, role);
  prepare?.(miner);
  await miner.serve(page);
  await page.goto(`${ORIGIN}/`);
  if (role) await page.waitForSelector(".tiles");
  return page;
}

const text = (selector) => page.locator(selector).first().innerText();

test("shows every section of a running miner", async () => {
  await show();
  for (const id of ["overview", "boards", "chips", "cooling", "pools", "shares", "events", "system"]) {
    assert.ok(await page.locator(`section#${id}`).isVisible(), id);
  }
  assert.match(await text(".big"), /^\d+\.?\d* TH\/s$/);
  assert.match(await text(".spread"), /^± \d/);
  assert.equal(await page.locator(".cell").count(), recorded().chips.length);
  assert.match(await page.title(), /^69\.\d TH\/s · demo$/);
});

test("simulated boards are marked, real ones are not", async () => {
  await show();
  assert.equal(await page.locator(".pill.sim:visible").count(), 1 + recorded().boards.length);
  assert.match(await text(".simulated"), /earn nothing/);
  const state = recorded();
  state.miner.simulated = false;
  for (const board of state.boards) board.simulated = false;
  miner.tell("telemetry.subscribe", { seq: 1, state });
  await page.waitForFunction(() => !document.querySelector(".pill.sim, .simulated"));
});

test("patches change what is shown", async () => {
  await show();
  miner.tell("telemetry.subscribe", { seq: 1, changes: [{ op: "replace", path: "/miner/accepted", value: 4711 }, { op: "replace", path: "/boards/0/state", value: "ramping" }] });
  await page.waitForFunction(() => document.querySelector(".tiles").innerText.includes("4\u202f711"));
  assert.match(await text("#boards .pill:not(.sim)"), /ramping/);
});

test("a patch that does not fit has the whole state asked for again", async () => {
  await show();
  miner.tell("telemetry.subscribe", { seq: 1, changes: [{ op: "replace", path: "/boards/7/state", value: "x" }] });
  const asked = () => miner.calls.filter(({ method }) => method === "telemetry.subscribe").length;
  while (asked() < 2) await page.waitForTimeout(50);
  await page.waitForFunction(() => !document.querySelector(".bar.bad"));
});

const HOSTILE = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script><svg onload=window.hacked=1>javascript:window.hacked=1`;

test("what pools and the network say is text and nothing else", async () => {
  const state = tuned();
  const [tuner, other] = state.tuner.stations;
  Object.assign(tuner, { activity: HOSTILE, because: HOSTILE, reach: HOSTILE, trouble: HOSTILE, last: null });
  Object.assign(other, { activity: "held", because: HOSTILE });
  state.tuner.demand.reasons = [{ code: HOSTILE, text: HOSTILE }];
  state.chips[0].quality.grade = HOSTILE;
  const pool = state.pools[0];
  Object.assign(pool, { url: `stratum+tcp://${HOSTILE}:3333`, user: HOSTILE, message: HOSTILE, problem: HOSTILE, alarm: HOSTILE, protocol: HOSTILE, job_id: HOSTILE, reject_reasons: [{ reason: HOSTILE, text: HOSTILE, count: 3 }] });
  Object.assign(pool.payout, { tag: HOSTILE, pool: HOSTILE, refused: HOSTILE, problems: [HOSTILE], outputs: [{ receiver: HOSTILE, kind: HOSTILE, value_sat: 1, percent: 100, own: false }] });
  state.boards[0].problem = state.boards[0].model = HOSTILE;
  state.system.name = state.system.hostname = HOSTILE;
  await show(state, {
    prepare: ({ first, answers }) => {
      first["events.subscribe"] = () => ({ entries: [{ number: 1, at_s: 1, unix_s: 1, count: 1, last_s: 1, boards: [0], severity: HOSTILE, code: HOSTILE, text: HOSTILE, advice: HOSTILE, values: [] }] });
      first["shares.subscribe"] = () => ({ shares: [{ number: 1, unix_s: 1, board: 0, chip: 0, pool: 0, difficulty: 1, hash_difficulty: null, result: "rejected", reason: HOSTILE, latency_ms: 1 }], missed: 0 });
      first["log.subscribe"] = () => ({ lines: [{ number: 1, unix_s: 1, level: "info", target: HOSTILE, text: HOSTILE }], missed: 0 });
      answers["auth.list"] = () => [{ id: "1", name: HOSTILE, role: "read", created_unix_s: 1, expires_unix_s: null, last_used_unix_s: null }];
      answers["pool.remove"] = () => { throw { code: -32021, message: "Denied", data: HOSTILE }; };
      answers["tuner.steps"] = () => [{ station: 0, unix_s: 1, hypothesis: HOSTILE, evidence: HOSTILE, confidence: 0.5, decision: HOSTILE }];
      answers["tuner.explain"] = () => ({ mhz: 1, board_mhz: 1, offset_mv: [1, 1], margin: 1, delivered: 1, words: HOSTILE });
    },
  });
  await page.click(".log summary");
  await page.locator(".cell").first().click();
  await page.waitForSelector(".why dl");
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("#app img, #app script").count(), 0);
  assert.equal(await page.locator("#app svg[onload], #app [onerror]").count(), 0);
  assert.match(await text("#pools .message"), /<img src=x onerror=/);
  for (const place of ["#tuner .reasons", "#tuner .alert", "#tuner .steps", "#chips .why"]) assert.match(await text(place), /<img src=x onerror=/, place);
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll("a")].map((a) => a.getAttribute("href")).filter((href) => !/^(#\w+|ui\/vendor\/LICENCES\.txt)$/.test(href))), []);
  assert.deepEqual(await sideways(), []);
});

test("nothing in the sources can set markup", () => {
  const root = new URL("../ui/", import.meta.url);
  for (const file of ["access", "boards", "change", "chart", "chips", "cooling", "curve", "events", "format", "lib", "main", "overview", "patch", "pools", "rpc", "store", "system", "theme", "trail", "tuner", "widgets"]) {
    assert.doesNotMatch(readFileSync(new URL(`${file}.js`, root), "utf8"), /innerHTML|outerHTML|insertAdjacent|dangerously|document\.write|\beval\(|new Function/, file);
  }
});

/** What is wider than the screen. */
const sideways = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => `${element.tagName}.${element.className}`));

/** A miner of four boards with 114 chips each. */
function large() {
  const state = tuned();
  const [board] = state.boards.slice(-1);
  const [station] = state.stations.slice(-1);
  const chips = state.chips.filter((chip) => chip.board === board.index);
  state.boards = [0, 1, 2, 3].map((index) => ({ ...structuredClone(board), index, station: index }));
  state.stations = [0, 1, 2, 3].map((index) => ({ ...structuredClone(station), index, boards: [index] }));
  state.chips = [0, 1, 2, 3].flatMap((index) => Array.from({ length: 114 }, (_, i) => ({ ...chips[i % chips.length], board: index, index: i, domain: Math.floor(i / 3) })));
  state.tuner.stations = [0, 1, 2, 3].map((index) => ({ ...state.tuner.stations[1], station: index, boards: [index], silent: Array.from({ length: 20 }, (_, chip) => ({ board: index, chip })) }));
  return state;
}

test("a phone shows a large miner without scrolling sideways", async () => {
  await show(large(), { options: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 } });
  assert.equal(await page.locator(".cell").count(), 456);
  assert.deepEqual(await sideways(), []);
  await page.locator(".cell").nth(200).tap();
  assert.match(await page.locator(".map").nth(1).locator(".detail").innerText(), /chip 86 domain 28/);
  await page.waitForSelector(".why dl");
  await page.locator("#tuner summary").click();
  await page.waitForSelector("#tuner .more table");
  assert.deepEqual(await sideways(), []);
  for (const [button, ready] of [["Aim and bounds …", ".outlook b"], ["Curtail …", "select"]]) {
    await page.getByRole("button", { name: button }).tap();
    await page.waitForSelector(`dialog ${ready}`);
    assert.deepEqual(await sideways(), []);
    assert.ok(await page.evaluate(() => document.querySelector("dialog").getBoundingClientRect().right <= innerWidth));
    await page.getByRole("button", { name: "Cancel" }).tap();
  }
});

test("chips are coloured by their clock and their quality where these are known", async () => {
  const state = tuned();
  const chips = state.chips.filter(({ board }) => board === 1);
  chips[0].quality = { offset_mv: -30, sd_mv: 1, grade: "strong" };
  chips[1].quality = { offset_mv: 30, sd_mv: 1, grade: "weak" };
  chips[2].quality = { offset_mv: 30, sd_mv: 60, grade: "normal" };
  chips[3].quality = null;
  chips[0].frequency_mhz = 600;
  chips[1].frequency_mhz = 300;
  await show(state);
  const cells = page.locator(".map").last().locator(".cell");
  const kind = async (i) => (await cells.nth(i).getAttribute("class")).split(" ").pop();
  await page.click("#chips .choice >> text=Quality");
  assert.deepEqual([await kind(0), await kind(1), await kind(2), await kind(3), await kind(77)], ["s6", "s0", "s3", "none", "s0"]);
  await cells.nth(1).hover();
  assert.match(await page.locator(".map").last().locator(".detail").innerText(), /threshold \+30\.0\u202fmV ± 2\.0\u202fmV, weak/);
  await page.click("#chips .choice >> text=Clock");
  assert.deepEqual([await kind(0), await kind(1)], ["s6", "s0"]);
  miner.tell("telemetry.subscribe", { seq: 1, state: recorded() });
  await page.waitForFunction(() => document.querySelectorAll("#chips .choice button").length === 2);
  assert.match(await cells.first().getAttribute("aria-label"), /of expected/, "back to what is known");
});

test("a weak chip stands out, and one with few nonces does not", async () => {
  const state = large();
  Object.assign(state.chips[3], { hashrate: { hps: 0.6e12, sigma_hps: 0.01e12 }, expected_hps: 1e12 });
  Object.assign(state.chips[4], { hashrate: { hps: 0.6e12, sigma_hps: 0.5e12 }, expected_hps: 1e12 });
  Object.assign(state.chips[5], { hashrate: { hps: 1e12, sigma_hps: 0.01e12 }, expected_hps: 1e12, nonces: 1000, hardware_errors: 100 });
  await show(state);
  const kind = async (i) => (await page.locator(".cell").nth(i).getAttribute("class")).split(" ").pop();
  assert.deepEqual([await kind(3), await kind(4), await kind(5)], ["s0", "none", "s6"]);
  await page.click("#chips .choice >> text=Hardware errors");
  assert.equal(await kind(5), "s0");
});

test("the keyboard reaches every control and goes through the chips", async () => {
  await show(tuned());
  await page.waitForSelector("#tuner .chart canvas");
  const controls = await page.evaluate(() => [...document.querySelectorAll("button, a[href], select, input, summary, [tabindex='0']")].filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0).length);
  const seen = new Set();
  for (let i = 0; i < controls + 5; i++) {
    await page.keyboard.press("Tab");
    seen.add(await page.evaluate(() => {
      const all = (window.all ??= new Map());
      const now = document.activeElement;
      if (!all.has(now)) all.set(now, all.size);
      return all.get(now);
    }));
  }
  assert.ok(seen.size >= controls, `${seen.size} of ${controls} controls`);
  await page.locator(".map").last().locator(".cell").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  assert.match(await page.locator(".map").last().locator(".detail").innerText(), /^chip 2 /);
  await page.keyboard.press("End");
  assert.match(await page.locator(".map").last().locator(".detail").innerText(), /^chip 107 /);
  assert.equal(await page.locator(".why").count(), 0, "walking through asks nothing");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".why dl");
  assert.match(await text(".why"), /Chip 107 of board 1 needs 6 mV less/);
  await page.locator(".why button").press("Enter");
  assert.equal(await page.locator(".why").count(), 0);
});

for (const theme of ["light", "dark"]) {
  test(`readable and labelled in ${theme}`, async () => {
    await show(tuned(), { options: { colorScheme: theme }, prepare: ({ first }) => (first["events.subscribe"] = () => ({ entries: SEVERITIES.map((severity, i) => ({ number: i, at_s: 1, unix_s: 1, count: 2, last_s: 1, boards: [0], severity, code: "fan-slow", text: "It turns slowly.", advice: "Look at it.", values: [] })) })) });
    await page.evaluate(readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8"));
    const look = async () => {
      miner.tell("telemetry.subscribe", { seq: 1, changes: [] });
      await page.waitForSelector("main:not(.stale)");
      const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
      assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`)]), []);
    };
    await page.waitForSelector("#tuner .chart canvas");
    await page.locator("#chips .choice").getByText("Quality").click();
    await page.locator(".cell").nth(5).click();
    await page.waitForSelector(".why dl");
    await page.locator("#tuner summary").click();
    await look();
    for (const [button, ready] of [["Change cooling …", "dialog input"], ["Aim and bounds …", "dialog .outlook b"], ["Curtail …", "dialog .choice"]]) {
      await page.getByRole("button", { name: button }).first().click();
      await page.waitForSelector(ready);
      await look();
      await page.keyboard.press("Escape");
    }
  });
}
const SEVERITIES = ["info", "warning", "fault", "critical"];

test("light and dark can be switched, and stay so", async () => {
  await show(recorded(), { options: { colorScheme: "light" } });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click("[aria-label='Switch between light and dark']");
  assert.notEqual(await ground(), light);
  const dark = await ground();
  await page.reload();
  await page.waitForSelector(".tiles");
  assert.equal(await ground(), dark);
});

/** Texts of buttons that need more than looking, by the role from which on they are there. */
const CONTROLS = { operate: ["Pause", "Change cooling …", "Curtail …", "Restart the agent …"], tune: ["Aim and bounds …", "Clock and voltage …", "Switch off …"], admin: ["Add a pool …", "Edit …", "Pair another device …"] };

for (const [rank, role] of ["read", "operate", "tune", "admin"].entries()) {
  test(`whoever may ${role} sees the controls for it and no others`, async () => {
    await show(tuned(), { role });
    await page.waitForSelector("#system");
    await page.waitForSelector("#tuner .chart canvas");
    for (const [needs, buttons] of Object.entries(CONTROLS)) {
      const there = ["read", "operate", "tune", "admin"].indexOf(needs) <= rank;
      for (const button of buttons) assert.equal(await page.getByRole("button", { name: button, exact: true }).count() > 0, there, `${button} for ${role}`);
    }
    assert.equal(await page.locator(".log").count() > 0, rank >= 1);
    const forbidden = miner.calls.filter(({ method }) => METHODS[method] && ["read", "operate", "tune", "admin"].indexOf(METHODS[method]) > rank);
    assert.deepEqual(forbidden, []);
  });
}

const changed = (changes, more) => ({ changes, applied: true, saved: true, pending: null, notes: [], ...more });

test("a change is tried first, shown, and then made as the person says", async () => {
  const change = { path: "miner.paused", from: false, to: true };
  await show(recorded(), { prepare: ({ answers }) => (answers["miner.pause"] = ({ dry_run }) => changed([change], { applied: !dry_run, saved: false })) });
  await page.click("text=Pause");
  await page.waitForSelector("dialog .changes");
  assert.match(await text("dialog .changes tbody"), /miner\.paused\s+no\s+yes/);
  assert.deepEqual(miner.calls.at(-1), { method: "miner.pause", params: { dry_run: true } });
  await page.click("dialog button.primary, dialog button.danger");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(miner.calls.findLast(({ method }) => method === "miner.pause").params, {});
  assert.match(await text(".toasts"), /paused/);
});

test("the tuner says what is wanted, what holds now and why, and how far it is", async () => {
  await show(tuned());
  await page.waitForSelector("#tuner .chart canvas");
  const card = (name) => page.locator(`#tuner article[aria-label='${name}']`);
  const wanted = await card("What the miner is tuned for").innerText();
  assert.match(wanted, /1150\u202fW[\s\S]*power at most 1300\u202fW · chips at most 80\u202f°C[\s\S]*at most 980\u202fW[\s\S]*curtailed to 980 W until 18:30 \(curtailment\)/);
  assert.match(wanted, /0\.2873 for a kWh · 41\u202fs ago[\s\S]*640\u202fW · 8\u202fs ago/);
  const station = await card("Tuner of board 1").innerText();
  assert.match(station, /measuring[\s\S]*learned 42\u202f%, about 5\u202fmin 12\u202fs to go[\s\S]*Power\s+1054\u202fW\s+1167\u202fW[\s\S]*Hashrate\s+65\.12\u202fTH\/s\s+68\.24\u202fTH\/s[\s\S]*chip 77 of board 1/);
  assert.match(await card("All boards together").innerText(), /Power\s+1070\u202fW\s+1183\u202fW/);
  assert.match(await text("#tuner .steps li"), /measure at 13 810 mV[\s\S]*1\.4 % less power[\s\S]*8 140 nonces[\s\S]*88\u202f%/);
  assert.match(await page.locator("#tuner .steps li").nth(3).innerText(), /over 99\u202f%/, "nothing is surer than it is");
  assert.match(await page.getAttribute("#tuner .chart", "aria-label"), /^Efficiency over power, from \d+\.\d\u202fJ\/TH at \d/);
  await page.locator("#tuner select").selectOption("1");
  assert.match(await text("#tuner .marks"), /Promised: 1054\u202fW, 16\.2\u202fJ\/TH\s+Measured: 1167\u202fW, 17\.1\u202fJ\/TH/);
  await page.locator("#tuner .choice").getByText("Hashrate").click();
  assert.match(await text("#tuner .marks"), /Promised: 1054\u202fW, 65\.1\u202fTH\/s/);
  await page.click("#tuner summary");
  assert.equal(await page.locator("#tuner .more tbody tr").count(), 16);
});

test("the tuner's state is live, and what it did is asked for when something new was done", async () => {
  await show(tuned());
  await page.waitForSelector("#tuner .steps");
  const asked = () => miner.calls.filter(({ method }) => method === "tuner.steps").length;
  const before = asked();
  const patch = (...changes) => miner.tell("telemetry.subscribe", { seq: 1, changes: changes.map(([path, value]) => ({ op: "replace", path: `/tuner/${path}`, value })) });
  patch(["stations/1/progress_percent", 57], ["stations/1/remaining_s", 65]);
  await page.waitForFunction(() => document.querySelector("#tuner").innerText.includes("1\u202fmin 5\u202fs to go"));
  assert.equal(asked(), before);
  patch(["demand/asleep", true], ["demand/reasons", [{ code: "price", text: "0.41 for a kWh is above 0.35: asleep" }]], ["stations/1/activity", "waiting"], ["stations/1/because", "a rule lets the boards rest"]);
  await page.waitForFunction(() => document.querySelector("#tuner").innerText.includes("0.41 for a kWh is above"));
  assert.match(await page.locator("#tuner article").first().innerText(), /asleep[\s\S]*Now: asleep/);
  assert.match(await page.locator("#tuner").innerText(), /Waits: a rule lets the boards rest/);
  patch(["stations/1/last", { station: 1, unix_s: 1_795_000_100, hypothesis: "", evidence: "", confidence: 1, decision: "rest" }]);
  while (asked() === before) await page.waitForTimeout(50);
  patch(["stations/1/activity", "held"], ["stations/1/because", "a sensor shows one value"], ["stations/1/reach", "too_little_power"], ["stations/1/trouble", "the station does not take 470 MHz: it is busy"]);
  await page.waitForSelector("#tuner .pill.bad");
  assert.match(await page.locator("#tuner").innerText(), /Held: a sensor shows one value[\s\S]*it is busy[\s\S]*Even the lowest setting/);
});

test("an aim is chosen within what the boards can do, seen before, and set", async () => {
  const seen = [];
  await show(tuned(), {
    role: "tune",
    prepare: ({ answers }) => (answers["tuner.set"] = (params) => {
      seen.push(params);
      return changed([{ path: "tuner.target", from: "watts 1150", to: "watts 1200" }], { applied: !params.dry_run });
    }),
  });
  await page.click("text=Aim and bounds");
  await page.waitForSelector("dialog .outlook b");
  const range = page.locator("dialog input[type=range]");
  const [low, high] = [Number(await range.getAttribute("min")), Number(await range.getAttribute("max"))];
  const span = [0, 15].map((i) => miner.answers["tuner.curve"]({ points: 16 }).reduce((sum, { points }) => sum + points[i].watts[0], 0));
  assert.ok(low <= span[0] && low > span[0] - 10 && high >= span[1] && high < span[1] + 10, `${low} to ${high}, not ${span}`);
  assert.equal(await range.inputValue(), "1150");
  await range.press("ArrowRight");
  assert.equal(await page.inputValue("dialog input[type=number]"), "1160");
  await page.fill("dialog input[type=number]", "1200");
  while (miner.calls.findLast(({ method }) => method === "tuner.predict").params.aim.watts !== 1200) await page.waitForTimeout(50);
  assert.match(await text("dialog .outlook"), /By the boards' own models: [\d.]+ \([\d.]+–[\d.]+\) TH\/s at \d+ \(\d+–\d+\) W/);
  await page.click("text=See what changes");
  await page.waitForSelector("dialog .changes");
  assert.deepEqual(seen, [{ aim: { watts: 1200 }, dry_run: true }]);
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(seen.at(-1), { aim: { watts: 1200 } });
});

test("every kind of aim, and bounds, are asked for as they are meant", async () => {
  const set = [];
  await show(tuned(), { role: "tune", prepare: ({ answers }) => (answers["tuner.set"] = (params) => (set.push(params), changed([{ path: "tuner.target", from: 1, to: 2 }]))) });
  const ask = async (kind, fill = async () => {}) => {
    await page.click("text=Aim and bounds");
    await page.locator("dialog .choice").getByText(kind, { exact: true }).click();
    await fill();
    await page.click("text=See what changes");
    await page.waitForSelector("dialog .changes");
    await page.keyboard.press("Escape");
    return set.at(-1);
  };
  assert.deepEqual(await ask("Efficiency"), { aim: "efficiency", dry_run: true });
  assert.deepEqual(await ask("Off"), { aim: "off", dry_run: true });
  const hashrate = await ask("Hashrate");
  assert.ok(Math.abs(hashrate.aim.hashrate - 66.2) < 0.3, "it begins where the boards are");
  const profit = await ask("Profit", () => page.getByLabel("Revenue of a TH/s for a day").fill("0.06"));
  assert.deepEqual(profit.aim, { profit: { price_per_kwh: 0.2873, revenue_per_ths_day: 0.06 } });
  const bounds = await ask("Efficiency", async () => {
    await page.getByLabel("Fans at most").fill("45");
    await page.getByLabel("Power at most").fill("");
  });
  assert.deepEqual(bounds.caps, { chip_c: 80, board_c: null, fan_percent: 45, watts: null, mv: null });
});

test("power is curtailed with a ramp and for a time, and the curtailment ends", async () => {
  const asked = [];
  await show(tuned(), { role: "operate", prepare: ({ answers }) => (answers["tuner.curtail"] = (params) => (asked.push(params), {})) });
  const open = () => page.getByRole("button", { name: "Curtail …" }).click();
  await open();
  assert.match(await text("dialog"), /Curtailed to 980\u202fW/);
  await page.click("text=End the curtailment");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(asked.at(-1), { watts: null, ramp_s: 60 });
  await open();
  await page.click("text=Cap the power");
  await page.fill("dialog input[type=number]", "700");
  await page.getByLabel("How fast").selectOption("300");
  await page.getByLabel("For how long").selectOption("3600");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(asked.at(-1), { watts: 700, ramp_s: 300, for_s: 3600 });
  await open();
  await page.locator("dialog .choice").getByText("Sleep").click();
  await page.click("text=Put to sleep");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(asked.at(-1).watts, 0);
  miner.answers["tuner.curtail"] = () => { throw { code: -32021, message: "Denied", data: "Nobody here can hold that." }; };
  await open();
  await page.click("text=End the curtailment");
  await page.waitForSelector("dialog .alert.bad");
  assert.match(await text("dialog .alert.bad"), /Nobody here can hold that/);
});

test("where nothing is tuned nothing is promised, and clock and voltage are the owner's", async () => {
  const state = tunedAlone();
  const { tuner } = state;
  tuner.aim = tuner.demand.aim = "off";
  Object.assign(tuner.stations[0], { activity: "off", ths: 0, watts: 0, rounds: 0, last: null });
  await show(state, { prepare: ({ answers }) => Object.assign(answers, { "tuner.curve": () => [{ station: 0, points: [] }], "tuner.steps": () => [], "tuner.predict": () => [{ station: 0, prediction: null }] }) });
  const section = await page.locator("#tuner").innerText();
  assert.match(section, /Off[\s\S]*clocks and voltage are as configured[\s\S]*known once they are tuned/);
  assert.doesNotMatch(section, /promised|What was done/i);
  await page.locator(".cell").first().click();
  assert.equal(await page.locator(".why").count(), 0);
  await page.click("text=Aim and bounds");
  await page.locator("dialog .choice").getByText("Power").click();
  assert.equal(await page.locator("dialog input[type=range]").count(), 0, "nobody knows what the boards can do");
  assert.ok(await page.getByRole("button", { name: "See what changes" }).isDisabled());
  await page.fill("dialog input[type=number] >> nth=0", "15.5");
  await page.waitForFunction(() => document.querySelector("dialog .outlook").innerText.includes("not known"));
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Curtail …" }).click();
  assert.match(await text("dialog"), /nobody to hold a cap/);
});

test("a board that is tuned is not set by hand", async () => {
  await show(tunedAlone());
  await page.waitForSelector("#tuner .chart canvas");
  assert.match(await text("#tuner .marks"), /Promised[\s\S]*Measured[\s\S]*Aim, the best efficiency: \d+\.\d\u202fW/);
  await page.click("text=Clock and voltage");
  assert.match(await text("dialog"), /The tuner sets them for this board/);
  assert.equal(await page.locator("dialog input").count(), 0);
});

test("a time-limited change counts down and can be kept", async () => {
  const change = { path: "cooling.target_c", from: 60, to: 55 };
  const waiting = [];
  await show(recorded(), {
    prepare: ({ answers }) => {
      answers["cooling.set"] = ({ confirm_within_s: s }) => {
        if (s) waiting.push({ id: "p1", rolls_back_in_s: s, by: "tests", changes: [change] });
        return changed([change], { pending: s ? { id: "p1", rolls_back_in_s: s } : null });
      };
      answers["config.pending"] = () => waiting;
      answers["config.confirm"] = ({ id }) => {
        assert.equal(id, "p1");
        waiting.length = 0;
        return changed([]);
      };
    },
  });
  await page.click("text=Change cooling");
  await page.fill("dialog input[type=number]", "55");
  await page.click("text=See what changes");
  await page.selectOption("dialog select", "60");
  await page.click("dialog button.primary");
  await page.waitForSelector(".pending");
  assert.equal(miner.calls.findLast(({ method }) => method === "cooling.set").params.confirm_within_s, 60);
  assert.match(await text(".pending"), /cooling\.target_c by tests goes back in \d+ s/);
  await page.click("text=Keep it");
  await page.waitForSelector(".pending", { state: "detached" });
});

test("a refusal by limits is told in the miner's words", async () => {
  await show(recorded(), {
    prepare: ({ answers }) => {
      answers["config.constraints"] = () => [{ path: "board[0].frequency_mhz", kind: "number", min: 50, max: 625, default: 525, unit: "MHz", choices: [], role: "tune", restart: false, description: "" }];
      answers["board.set"] = () => { throw { code: -32022, message: "Refused by limits", data: { path: "board[0].frequency_mhz", value: 620, min: 50, max: 600, unit: "MHz", text: "620 MHz is above the 600 MHz that the profile allows." } }; };
    },
  });
  await page.click("text=Clock and voltage");
  assert.equal(await page.getAttribute("dialog input[type=range]", "max"), "625");
  await page.fill("dialog input[type=number]", "620");
  await page.click("text=See what changes");
  await page.waitForSelector("dialog .alert");
  assert.match(await text("dialog .alert"), /above the 600 MHz/);
  assert.equal(await page.locator("dialog button.primary").count(), 0);
});

test("a latched fault is cleared only by typing its code", async () => {
  const state = recorded();
  state.boards[0].state = "latched";
  Object.assign(state.stations[0].status.guard, { state: "latched", power: false, fault: { code: "fan-stalled", what: "fan: 0 rpm at 100 %, at least 2000 expected", advice: "Look whether the fan turns and its plug sits.", age_s: 80, latched: true } });
  await show(state, { prepare: ({ answers }) => (answers["board.clear_fault"] = () => changed([])) });
  assert.match(await text("#boards .alert.bad"), /Look whether the fan turns/);
  await page.click("text=Clear this fault");
  assert.ok(await page.locator("dialog button.danger").isDisabled());
  await page.fill("dialog input", "fan-stalled");
  await page.click("dialog button.danger");
  await page.waitForSelector("dialog", { state: "detached" });
  assert.deepEqual(miner.calls.at(-1), { method: "board.clear_fault", params: { board: 0, code: "fan-stalled" } });
});

test("pools are added, edited with only what changed, moved and removed", async () => {
  const state = recorded();
  state.pools.push({ ...structuredClone(state.pools[0]), index: 1, url: "stratum+tcp://b.example:3333", user: "b" });
  await show(state, {
    prepare: ({ answers }) => {
      for (const method of ["pool.add", "pool.update", "pool.order", "pool.remove"]) answers[method] = () => changed([{ path: "pool", from: null, to: "x" }]);
      answers["config.get"] = () => ({ file: null, writable: false, settings: [{ path: "pool[1].proxy", value: "127.0.0.1:9050", secret: false, origin: "file" }, { path: "pool[1].password", value: null, secret: true, origin: "file" }] });
    },
  });
  const last = (method) => miner.calls.findLast((call) => call.method === method).params;
  const apply = async () => {
    await page.waitForSelector("dialog .changes");
    await page.click("dialog footer button:last-child");
    await page.waitForSelector("dialog", { state: "detached" });
  };
  await page.click("text=Add a pool");
  await page.fill("dialog input[name=url]", "stratum+tcp://c.example:3333");
  await page.fill("dialog input[name=user]", "c");
  await page.click("text=See what changes");
  await apply();
  assert.deepEqual(last("pool.add"), { pool: { url: "stratum+tcp://c.example:3333", user: "c" } });
  await page.locator("#pools article").nth(1).getByText("Edit …").click();
  await page.waitForSelector("dialog input[name=url]");
  assert.equal(await page.inputValue("dialog input[name=password]"), "");
  await page.fill("dialog input[name=user]", "b2");
  await page.click("dialog summary");
  await page.fill("dialog input[name=proxy]", "");
  await page.fill("dialog input[name=min_payout_percent]", "97.5");
  await page.click("text=See what changes");
  await apply();
  assert.deepEqual(last("pool.update"), { index: 1, pool: { user: "b2", min_payout_percent: 97.5 }, clear: ["proxy"] });
  await page.click("[aria-label='Move pool 1 up']");
  await apply();
  assert.deepEqual(last("pool.order"), { order: [1, 0] });
  await page.locator("#pools article").nth(1).getByText("Remove …").click();
  await apply();
  assert.deepEqual(last("pool.remove"), { index: 1 });
});

test("without a token there is nothing but the way to get one", async () => {
  await show(recorded(), {
    role: null,
    prepare: (miner) => {
      miner.answers["auth.pair"] = ({ code, name }) => {
        if (code !== "K7QF-2M9X") throw { code: -32021, message: "Denied", data: "That is not the code." };
        assert.ok(name.length > 0);
        return { token: "hw_secret", id: "1", name, role: "operate", expires_unix_s: null };
      };
      miner.answers["auth.login"] = ({ token }) => {
        assert.equal(token, "hw_secret");
        miner.role = "operate";
        return { name: "me", role: "operate", by: "token", expires_unix_s: null };
      };
    },
  });
  await page.waitForSelector("dialog input.code");
  assert.equal(await page.locator("main section").count(), 0);
  await page.keyboard.press("Escape");
  assert.ok(await page.locator("dialog").isVisible());
  await page.fill("dialog input.code", "wrong");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog .alert.bad");
  assert.match(await text("dialog .alert.bad"), /not the code/);
  await page.fill("dialog input.code", "K7QF-2M9X");
  await page.click("dialog button.primary");
  await page.waitForSelector(".tiles");
  assert.equal(await text(".who"), "operate");
  assert.equal(await page.evaluate(() => localStorage.getItem("hashwright-token")), "hw_secret");
});

test("a token that is not taken any more is dropped and said", async () => {
  await show(recorded(), { role: null });
  await page.evaluate(() => localStorage.setItem("hashwright-token", "hw_old"));
  miner.answers["auth.login"] = () => { throw { code: -32001, message: "Needs a token", data: { text: "This token was revoked." } }; };
  await page.reload();
  await page.waitForSelector("dialog .alert.bad");
  assert.match(await text("dialog .alert.bad"), /revoked/);
  assert.equal(await page.evaluate(() => localStorage.getItem("hashwright-token")), null);
});

test("a lost connection shows at once and comes back by itself", async () => {
  await show(recorded(), { expected: (line) => line.includes("WebSocket connection") });
  miner.cut(false);
  await page.waitForSelector(".bar.bad", { timeout: 2000 });
  assert.match(await text(".bar.bad"), /lost/);
  assert.ok(await page.locator("main.stale").isVisible());
  miner.accepts = true;
  await page.waitForSelector(".bar.bad", { state: "detached" });
  await page.waitForSelector("main:not(.stale) .tiles");
});

test("a miner that says nothing any more is noticed", async () => {
  await show();
  await page.waitForSelector(".bar.bad", { timeout: 12_000 });
  assert.match(await text(".bar.bad"), /silent/);
  miner.tell("telemetry.subscribe", { seq: 1, changes: [] });
  await page.waitForSelector(".bar.bad", { state: "detached" });
});

test("the history is charted for every span, and gaps are no zeros", async () => {
  await show(recorded(), {
    prepare: ({ answers }) => (answers["history.query"] = ({ last_s, step_s = 60, metrics }) => {
      const from = 1_795_000_000 - last_s;
      const count = Math.min(500, Math.floor(last_s / step_s));
      return { from, to: from + count * step_s, step_s, resolution_s: 1, covered_s: Array(count).fill(step_s), notes: [], marks: [], metrics: metrics.map((metric) => ({ metric, unit: "", values: Array.from({ length: count }, (_, i) => (i % 50 < 5 ? null : 1e12)) })) };
    }),
  });
  for (const [name, seconds] of [["1 h", 3600], ["24 h", 86400], ["7 d", 604800], ["1 y", 31536000]]) {
    await page.locator(".trend .choice").nth(1).getByText(name, { exact: true }).click();
    await page.waitForTimeout(150);
    assert.equal(miner.calls.findLast(({ method }) => method === "history.query").params.last_s, seconds);
  }
  for (const view of ["Power", "Efficiency", "Heat", "Fans"]) {
    await page.locator(".trend .choice").first().getByText(view, { exact: true }).click();
    await page.waitForTimeout(100);
    assert.match(await page.getAttribute(".chart", "aria-label"), new RegExp(`^${view} over time`));
  }
});

test("nothing is shown of what the miner does not have", async () => {
  const state = recorded();
  Object.assign(state, { chips: [], stations: [] });
  await show(state, { prepare: ({ answers }) => (answers["history.info"] = () => ({ enabled: false, levels: [], series: [] })) });
  assert.equal(await page.locator("#chips, #cooling, #tuner").count(), 0);
  assert.equal(await page.locator(".trend .choice").nth(1).locator("button").count(), 1);
  assert.doesNotMatch(await page.innerText("body"), /tuner/i);
});
