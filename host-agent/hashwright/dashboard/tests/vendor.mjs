// Writes ../ui/vendor from the pinned packages, or with `--check` says whether it is as they were published.
// What is changed of them: bare module names become paths, uPlot becomes a module, source map links go.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const from = (path) => readFileSync(join(here, "node_modules", path), "utf8");
const version = (name) => JSON.parse(from(`${name}/package.json`)).version;
const tidy = (text) => text.replace(/\n?\/\/# sourceMappingURL=.*\n?$/, "").trimEnd() + "\n";
const notice = (name, file, text) => `\n== ${name} ${version(name)}: ${file}\n\n${tidy(text)}`;

const files = {
  "preact.js": tidy(from("preact/dist/preact.mjs")),
  "hooks.js": tidy(from("preact/hooks/dist/hooks.mjs")).replaceAll('from"preact"', 'from"./preact.js"'),
  "htm.js": tidy(from("htm/dist/htm.module.js")),
  "uplot.js": `${tidy(from("uplot/dist/uPlot.iife.min.js"))}export default uPlot;\n`,
  "uplot.css": tidy(from("uplot/dist/uPlot.min.css")),
};
const licences =
  "The dashboard contains these libraries, as published on npm.\n" +
  notice("preact", "preact.js, hooks.js", from("preact/LICENSE")) +
  notice("htm", "htm.js", from("htm/LICENSE")) +
  notice("uplot", "uplot.js, uplot.css", from("uplot/LICENSE"));
files["LICENCES.txt"] = licences;

let wrong = 0;
for (const [name, text] of Object.entries(files)) {
  const path = join(here, "../ui/vendor", name);
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    console.error(`${name} is not what npm has; run: npm run vendor`);
    wrong += 1;
  }
}
process.exit(wrong ? 1 : 0);
