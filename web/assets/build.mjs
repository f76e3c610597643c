// Bundles source/*.js with the libraries that they import into classic scripts, and
// writes the licences of what went in. Called by scripts/assets.sh:
//
//   node web/assets/build.mjs NODE_MODULES OUT
import { createRequire } from "node:module";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, out] = process.argv.slice(2).map((path) => resolve(path));
const here = dirname(fileURLToPath(import.meta.url));
const esbuild = createRequire(join(modules, "x.js"))("esbuild");
mkdirSync(out, { recursive: true });

const packages = new Set();
for (const name of ["chart.js", "editor.js"]) {
  const made = await esbuild.build({
    entryPoints: [join(here, "source", name)],
    outfile: join(out, name),
    bundle: true,
    format: "iife",
    target: "es2022",
    minify: true,
    legalComments: "none", // they stand in LICENSES.txt
    nodePaths: [modules],
    metafile: true,
    logLevel: "warning",
  });
  for (const input of Object.keys(made.metafile.inputs)) {
    const parts = relative(modules, resolve(input)).split(sep);
    if (parts[0] === "..") continue;
    packages.add(parts[0].startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]);
  }
}

let text = "The scripts chart.js and editor.js of mlgym hold these libraries.\n";
for (const name of [...packages].sort()) {
  const dir = join(modules, name);
  const about = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
  const file = readdirSync(dir).find((f) => /^licen[cs]e(\.(md|txt))?$/i.test(f));
  if (!file) throw new Error(`${name} has no file with its licence`);
  text += `\n\n==== ${name} ${about.version} (${about.license}) ====\n\n${readFileSync(join(dir, file), "utf8").trim()}\n`;
}
writeFileSync(join(out, "LICENSES.txt"), text);
