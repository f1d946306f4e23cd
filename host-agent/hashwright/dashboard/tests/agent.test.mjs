// The page of real agents with simulated boards. scripts/check-dashboard starts them and says where they are:
// DEMO_URL, a demo in which this machine may do everything; STRICT_URL, an agent that wants a token, whose log
// STRICT_LOG has a pairing code and whose config is STRICT_CONFIG.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { launch, open, strangers } from "./browser.mjs";

const { DEMO_URL: demo, STRICT_URL: strict, STRICT_LOG: log, STRICT_CONFIG: config } = process.env;
const needs = { skip: demo ? false : "no agent: run scripts/check-dashboard" };

let browser, page;
before(async () => (browser = await launch()));
after(() => browser.close());
afterEach(async () => {
  if (!page) return;
  assert.deepEqual(page.faults, []);
  assert.deepEqual(strangers(page, page.home).filter((url) => !url.startsWith(page.home.replace("http", "ws"))), []);
  await page.context().close();
  page = undefined;
});

async function show(url, options, expected) {
  page = await open(browser, options, expected);
  page.home = url;
  await page.goto(`${url}/`);
  return page;
}

const text = (selector) => page.locator(selector).first().innerText();
const sees = (selector, pattern, timeout = 20_000) => page.waitForFunction(([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.innerText ?? ""), [selector, pattern.source], { timeout });
const button = (name) => page.getByRole("button", { name, exact: true });

/** Sees the preview that matches, and makes the change. */
async function make(preview) {
  await page.waitForSelector("dialog .changes, dialog .alert");
  assert.match(await text("dialog"), preview);
  await page.click("dialog footer button:last-child");
  await page.waitForSelector("dialog", { state: "detached" });
}

async function call(url, method, params = {}, token) {
  const reply = await fetch(`${url}/rpc`, { method: "POST", headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
  return reply.json();
}

test("the page comes compressed, small, with its policy, and is not sent twice", needs, async () => {
  const sizes = [];
  await show(demo);
  await page.waitForSelector(".tiles");
  for (const url of new Set(page.requests.filter((url) => !url.endsWith("/rpc")))) {
    const reply = await fetch(url, { headers: { "accept-encoding": "gzip" } });
    assert.equal(reply.status, 200, url);
    assert.equal(reply.headers.get("content-encoding"), "gzip", url);
    assert.match(reply.headers.get("content-security-policy"), /default-src 'self'/);
    assert.equal(reply.headers.get("x-content-type-options"), "nosniff");
    sizes.push(Number(reply.headers.get("content-length")));
    const again = await fetch(url, { headers: { "if-none-match": reply.headers.get("etag") } });
    assert.equal(again.status, 304, url);
  }
  const sum = sizes.reduce((a, b) => a + b);
  assert.ok(sum > 20_000 && sum < 150 * 1024, `${sum} bytes`);
  console.log(`dashboard: ${sizes.length} files, ${sum} bytes compressed`);
});

test("a demo shows every section, live", needs, async () => {
  await show(demo);
  await page.waitForSelector(".tiles");
  for (const id of ["overview", "boards", "tuner", "chips", "cooling", "pools", "shares", "events", "system"]) await page.locator(`section#${id}`).waitFor({ timeout: 60_000 });
  await sees(".big", /^\d+\.?\d* TH\/s/);
  await sees("header.top .pill", /mining/, 60_000);
  await sees("#shares tbody", /accepted/, 60_000);
  await sees("#events", /\w/);
  assert.equal(await page.locator(".cell").count(), 109);
  const before = await text(".tiles");
  await page.waitForFunction((before) => document.querySelector(".tiles").innerText !== before, before);
  await page.click("text=All readings");
  await sees("#cooling details[open]", /°C/);
  await page.click(".log summary");
  await page.waitForSelector(".lines");
});

test("a phone needs no scrolling sideways", needs, async () => {
  await show(demo, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.waitForSelector(".tiles");
  await page.waitForSelector("#shares table");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});

test("the history of this run can be charted", needs, async () => {
  await show(demo);
  await page.waitForSelector(".tiles");
  await page.locator(".trend .choice").nth(1).getByText("1 h", { exact: true }).click();
  await page.waitForFunction(() => !document.querySelector(".trend .note"));
  assert.match(await page.getAttribute(".chart", "aria-label"), /now \d/);
});

test("mining is paused and resumed", needs, async () => {
  await show(demo);
  await button("Pause").click();
  await make(/paused/);
  await sees("header.top .pill", /paused/);
  await button("Resume").click();
  await make(/paused/);
  await sees("header.top .pill", /mining|starting/, 60_000);
});

test("cooling is changed for a time and undone", needs, async () => {
  await show(demo);
  await page.locator("#cooling article").first().getByText("Change cooling …").click();
  await page.locator("dialog").getByText("Fixed speed").click();
  await page.fill("dialog input[type=number]", "77");
  await button("See what changes").click();
  await page.waitForSelector("dialog .changes");
  await page.selectOption("dialog select", "60");
  await make(/77/);
  await page.waitForSelector(".pending");
  await sees("#cooling article", /manual[\s\S]*77/);
  await button("Undo now").click();
  await page.waitForSelector(".pending", { state: "detached" });
  await sees("#cooling article .pills", /auto/);
});

test("a board's clock is set within its limits", needs, async () => {
  await show(demo);
  await sees("#boards article", /525.MHz/, 60_000);
  await page.locator("#boards article").first().getByText("Clock and voltage …").click();
  await page.locator("dialog input[type=number]").first().fill("500");
  await button("See what changes").click();
  await make(/board\[0\]\.frequency_mhz\s+525\s+500/);
  await sees("#boards article", /500.MHz/);
  await page.locator("#boards article").first().getByText("Clock and voltage …").click();
  await page.locator("dialog input[type=number]").first().fill("525");
  await button("See what changes").click();
  await make(/500\s+525/);
});

test("a board is switched off and on", needs, async () => {
  await show(demo);
  const board = page.locator("#boards article").first();
  await board.getByText("Switch off …").click();
  await make(/enabled/);
  await board.getByText("Switch on …").waitFor({ timeout: 30_000 });
  await board.getByText("Switch on …").click();
  await make(/enabled/);
  await board.getByText("Switch off …").waitFor({ timeout: 30_000 });
});

test("a pool is added, moved to the front and removed", needs, async () => {
  await show(demo);
  await button("Add a pool …").click();
  await page.fill("dialog input[name=url]", "stratum+tcp://127.0.0.1:9");
  await page.fill("dialog input[name=user]", "somebody");
  await button("See what changes").click();
  await make(/127\.0\.0\.1:9/);
  await page.locator("#pools article").nth(1).waitFor();
  await page.click("[aria-label='Move pool 1 up']");
  await make(/pool/);
  await sees("#pools article", /127\.0\.0\.1:9\n/);
  await page.locator("#pools article").first().getByText("Remove …").click();
  await make(/pool/);
  await page.waitForFunction(() => document.querySelectorAll("#pools article").length === 1);
});

test("the miner is tuned, says what it does and why, and stops", needs, async () => {
  await show(demo);
  await button("Aim and bounds …").click();
  await page.locator("dialog .choice").getByText("Efficiency", { exact: true }).click();
  await page.click("dialog summary");
  await page.getByLabel("Chips at most").fill("75");
  await button("See what changes").click();
  await make(/tuner\.target\s+off\s+efficiency/);
  await sees("#tuner article", /Efficiency[\s\S]*chips at most 75/);
  await sees("#tuner article[aria-label='Tuner of board 0']", /measuring|moving|keeping/, 60_000);
  await sees("#tuner .steps", /Supposed[\s\S]*Seen[\s\S]*Sure/, 120_000);
  await sees("#tuner .marks", /Measured/, 180_000);
  await page.waitForSelector("#tuner .chart canvas", { timeout: 180_000 });
  await page.locator(".map").first().locator(".cell").click();
  await sees(".why", /Chip 0[\s\S]*MHz[\s\S]*Work that is right/, 60_000);
  await page.locator("#boards article").first().getByText("Clock and voltage …").click();
  await sees("dialog", /The tuner sets them/);
  await button("Close").first().click();
  const refused = await call(demo, "board.set", { board: 0, frequency_mhz: 500, dry_run: true });
  assert.match(refused.error?.data?.text ?? refused.error?.data ?? "", /tune/, "nor by anybody else");

  await button("Aim and bounds …").click();
  await page.locator("dialog .choice").getByText("Off", { exact: true }).click();
  await page.getByLabel("Chips at most").fill("");
  await button("See what changes").click();
  await make(/tuner\.target\s+efficiency\s+off/);
  await sees("#tuner article", /Off[\s\S]*as configured/);
});

test("power is curtailed to sleep and given back", needs, async () => {
  await show(demo);
  await button("Curtail …").click();
  await page.locator("dialog .choice").getByText("Sleep").click();
  await page.getByLabel("How fast").selectOption("0");
  await page.getByLabel("For how long").selectOption("900");
  await button("Put to sleep").click();
  await page.waitForSelector("dialog", { state: "detached" });
  await sees("#tuner article", /asleep[\s\S]*\(curtailment\)/);
  await sees("header.top .pill", /asleep/, 60_000);
  await button("Curtail …").click();
  await page.getByLabel("How fast").selectOption("0");
  await button("End the curtailment").click();
  await page.waitForSelector("dialog", { state: "detached" });
  await page.waitForFunction(() => !document.querySelector("#tuner article").innerText.includes("curtailment"), undefined, { timeout: 60_000 });
  // It sleeps for the shortest time that a rule may let it.
  await sees("header.top .pill", /mining/, 240_000);
});

test("what the miner refuses is said in words", needs, async () => {
  await show(demo);
  await button("Add a pool …").click();
  await page.fill("dialog input[name=url]", "gopher://nowhere");
  await button("See what changes").click();
  await page.waitForSelector("dialog .alert.bad");
  assert.match(await text("dialog .alert.bad"), /gopher/);
});

test("first a code, then what the token allows, and nothing after it is revoked", needs, async () => {
  assert.equal((await call(strict, "miner.status")).error.code, -32001);
  await show(strict);
  await page.waitForSelector("dialog input.code");
  assert.equal(await page.locator("main section").count(), 0);
  const code = () => /Pairing code [^:]*: (\S+)\./.exec(readFileSync(log, "utf8"))?.[1];
  await page.waitForFunction(() => true);
  for (let i = 0; i < 50 && !code(); i++) await page.waitForTimeout(100);
  await page.fill("dialog input.code", "AAAA-AAAA");
  await page.click("dialog button.primary");
  await page.waitForSelector("dialog .alert.bad");
  await page.fill("dialog input.code", code());
  await page.click("dialog button.primary");
  await page.waitForSelector(".tiles");
  assert.equal(await text(".who"), "admin");

  await button("New token …").click();
  await page.fill("dialog input", "kitchen");
  await page.locator("dialog").getByText("operate", { exact: true }).click();
  await button("Make it").click();
  const token = await text("dialog .token");
  assert.match(token, /^hw_/);
  await button("Done").click();
  await sees(".tokens", /kitchen/);

  const other = await open(browser);
  await other.goto(`${strict}/`);
  await other.waitForSelector("dialog input.code");
  await other.getByText("Token", { exact: true }).first().click();
  await other.fill("dialog input[type=password]", token);
  await other.click("dialog button.primary");
  await other.waitForSelector(".tiles");
  assert.equal(await other.locator(".who").innerText(), "operate");
  assert.equal(await other.getByRole("button", { name: "Change cooling …" }).count(), 1);
  assert.equal(await other.getByRole("button", { name: "Edit …" }).count(), 0);
  assert.equal(await other.locator(".tokens").count(), 0);

  const refused = await call(strict, "pool.remove", { index: 0 }, token);
  assert.deepEqual([refused.error.code, refused.error.data.needs], [-32001, "admin"]);

  const row = page.locator(".tokens tr", { hasText: "kitchen" });
  await row.getByRole("button").click();
  await row.getByRole("button").click();
  await other.waitForSelector("dialog input.code, dialog input[type=password]", { timeout: 20_000 });
  assert.equal(await other.locator("main section").count(), 0);
  await other.context().close();
  await button("Audit log …").click();
  await sees("dialog", /auth\.revoke/);
  paired = await page.evaluate(() => localStorage.getItem("hashwright-token"));
});

let paired;

test("pools are saved in the config file with all that a person wrote there", needs, async () => {
  assert.ok(paired, "nobody was paired before");
  page = await open(browser);
  page.home = strict;
  await page.addInitScript((token) => localStorage.setItem("hashwright-token", token), paired);
  await page.goto(`${strict}/`);
  await page.locator("[aria-label='Move pool 1 up']").click();
  await make(/pool/);
  await sees(".toasts", /Saved in the config file/);
  assert.match(readFileSync(config, "utf8"), /127\.0\.0\.1:10"[\s\S]*127\.0\.0\.1:9"[\s\S]*# this board is the one in the kitchen\n/);
});
