// Bundles the pages' script, style and icon for crates/assets.
//
//   node web/build.mjs MODULES OUT
//
// MODULES is a folder with a `node_modules` made by `npm ci`; OUT receives the files, each also as `.gz` and `.br`, and
// `manifest.tsv`: one line `role<TAB>file name<TAB>content type` for each file. Names carry a hash of the content, so
// that they may be cached for ever; the licence text keeps a fixed name.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [modules, out] = process.argv.slice(2).map((path) => resolve(path));
const source = join(dirname(fileURLToPath(import.meta.url)), "src");
const nodeModules = join(modules, "node_modules");
const esbuild = createRequire(join(modules, "package.json"))("esbuild");

/** Packages whose code ends up in the bundle; their licences are served. */
const SHIPPED = ["htmx.org", "uplot"];

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const manifest = [];

function emit(role, stem, extension, type, bytes, hashed = true) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  store(role, hashed ? `${stem}-${hash}.${extension}` : `${stem}.${extension}`, type, bytes);
}

function store(role, name, type, bytes) {
  writeFileSync(join(out, name), bytes);
  writeFileSync(join(out, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  writeFileSync(join(out, `${name}.br`), brotliCompressSync(bytes, brotli));
  manifest.push([role, name, type].join("\t"));
}

const COMMON = {
  bundle: true,
  minify: true,
  write: false,
  charset: "utf8",
  legalComments: "none",
  nodePaths: [nodeModules],
  target: ["es2022", "chrome109", "firefox115", "safari16"],
  logLevel: "error",
};

async function bundle(entry, options) {
  const result = await esbuild.build({ ...COMMON, entryPoints: [join(source, entry)], ...options });
  return Buffer.from(result.outputFiles[0].contents);
}

/** The pages' script, what it shares with the dashboards' script, and that one, which only dashboards load. */
async function emitScripts() {
  const { outputFiles, metafile } = await esbuild.build({
    ...COMMON,
    entryPoints: [join(source, "app.ts")],
    format: "esm",
    splitting: true,
    outdir: "/",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    metafile: true,
  });
  const entries = new Map(Object.entries(metafile.outputs).map(([path, { entryPoint = "" }]) => [basename(path), basename(entryPoint)]));
  const roles = { "app.ts": "script", "board.ts": "board", "": "shared" };
  for (const { path, contents } of outputFiles) {
    const name = basename(path);
    store(roles[entries.get(name)], name, "text/javascript; charset=utf-8", Buffer.from(contents));
  }
}

function licences() {
  const parts = SHIPPED.map((name) => {
    const folder = join(nodeModules, name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
    return `${name} ${version} (${license ?? "see text"})\n\n${text}\n`;
  });
  return Buffer.from(parts.join(`\n${"-".repeat(80)}\n\n`));
}

emit("theme", "theme", "js", "text/javascript; charset=utf-8", await bundle("theme.ts", { format: "iife" }));
await emitScripts();
emit("style", "style", "css", "text/css; charset=utf-8", await bundle("style.css", {}));
emit("boardstyle", "board", "css", "text/css; charset=utf-8", await bundle("board.css", {}));
emit("icon", "icon", "svg", "image/svg+xml", readFileSync(join(source, "icon.svg")));
emit("licenses", "third-party-licenses", "txt", "text/plain; charset=utf-8", licences(), false);
writeFileSync(join(out, "manifest.tsv"), `${manifest.join("\n")}\n`);
