// Builds src/ into the folder named on the command line: minified, named by content, listed in
// manifest.json, each with its gzip, and the licences of the packages that are bundled.

import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const folder = process.argv[2] ?? "../app/static";

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
const { metafile } = await build({
  entryPoints: ["src/pass.css", "src/site.css", "src/site.js"],
  outdir: folder,
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  metafile: true,
  format: "iife",
  // Associations keep their computers for long: browsers of 2021 are served.
  target: ["chrome90", "edge90", "firefox88", "safari14"],
  // The licences go in one file, whole, rather than in comments.
  legalComments: "none",
  logLevel: "warning",
});

const manifest = {};
for (const [path, output] of Object.entries(metafile.outputs)) {
  const source = output.entryPoint ?? Object.keys(output.inputs)[0];
  manifest[basename(source)] = basename(path);
  await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
}
await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest, null, 2));

const bundled = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const inside = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
  if (inside) bundled.add(inside[1]);
}
const licences = ["Styles and scripts served by this software contain the following packages."];
for (const home of [...bundled].sort()) {
  const { name, version, license } = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const file = (await readdir(home)).find((file) => /^licen[cs]e/i.test(file));
  if (!license || !file) throw new Error(`${name} ${version} is bundled and tells no licence`);
  const text = (await readFile(join(home, file), "utf8")).trim();
  licences.push(`${name} ${version}, ${license}\n${"-".repeat(72)}\n\n${text}`);
}
await writeFile(join(folder, "THIRD-PARTY-LICENSES.txt"), licences.join("\n\n\n") + "\n");
